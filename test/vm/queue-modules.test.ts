/** Mode steal on kernels that lack nft's queue, or iptables' too: their modules are kept from being loaded. */
import { rmSync, writeFileSync } from 'node:fs';
import { describeEngines } from '../kernel/rig/describe';
import { address, useLabs } from '../kernel/rig/lab';
import { expectExit } from '../kernel/rig/netfreeze';
import { send } from '../kernel/rig/packets';
import { run } from '../kernel/rig/program';

const blocked = '/etc/modprobe.d/netfreeze-test.conf';
const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

/** Makes a kernel without these modules. */
async function without(...modules: string[]): Promise<void> {
  writeFileSync(blocked, modules.map((name) => `install ${name} /bin/false\n`).join(''));
  for (const name of modules) await run('modprobe', ['--remove', name]);
}

describeEngines('on a kernel', (engine) => {
  const makeLab = useLabs(engine);
  afterEach(() => rmSync(blocked, { force: true }));

  test("with nft's queue, packets are held by it", async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    expect(await lab.nft('box', 'list table inet netfreeze')).toContain('queue to 61450');
    expect((await lab.thaw()).stdout).toMatch(/given back: 10 in .*nothing lost/);
    expect((await lab.netfreeze('doctor')).stdout).toMatch(/mode steal +ok +packets can be held, by nft's queue/);
  });

  test("without it, by iptables' NFQUEUE", async () => {
    const lab = await makeLab();
    await without('nft_queue');
    expect((await lab.netfreeze('doctor')).stdout).toMatch(/mode steal +ok .*iptables' NFQUEUE/);
    await lab.freeze('--mode', 'steal', '--lease', '10m');
    await send(lab, 'peer', [job]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.freeze('--mode', 'steal', '--allow', '192.0.2.1');
    expect((await lab.thaw()).stdout).toMatch(/given back: 10 in .*nothing lost/);
  });

  test('with neither: exit 5, what to load, and the target untouched', async () => {
    const lab = await makeLab();
    await without('nft_queue', 'xt_NFQUEUE');
    const outcome = expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal'), 5);
    expect(outcome.stderr).toMatch(/this kernel cannot hold packets/);
    expect(outcome.stderr).toMatch(/modprobe -a nfnetlink_queue nft_queue/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    expect((await lab.netfreeze('doctor')).stdout).toMatch(/mode steal +limited/);
    // Mode drop needs neither.
    await lab.freeze();
    await lab.thaw();
  });
});
