/**
 * Kernels that hold packets in another way, or in none: modules are kept from being loaded, which only works as long as
 * nobody has used them. So this file runs before the others (jest.config.cjs).
 */
import { rmSync, writeFileSync } from 'node:fs';
import { describeEngines } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { keepersOf } from '../kernel/rig/keeper';
import { address, useLabs } from '../kernel/rig/lab';
import { expectExit, only } from '../kernel/rig/netfreeze';
import { send } from '../kernel/rig/packets';
import { run } from '../kernel/rig/program';

const file = '/etc/modprobe.d/netfreeze-test.conf';
const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

describeEngines('a kernel', (engine) => {
  const makeLab = useLabs(engine);
  afterEach(() => rmSync(file, { force: true }));

  /** Keeps modules away, those that are there already included. */
  async function without(...modules: string[]): Promise<void> {
    writeFileSync(file, modules.map((module) => `install ${module} /bin/false\n`).join(''));
    for (const module of modules) await run('modprobe', ['--remove', module]);
  }

  test('without any queue: exit 5, before the target is touched, and what to load', async () => {
    await without('nft_queue', 'xt_NFQUEUE');
    const lab = await makeLab();
    const outcome = expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal'), 5);
    expect(outcome.stderr).toMatch(/nft_queue/);
    expect(outcome.stderr).toMatch(/xt_NFQUEUE/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    expect(await keepersOf(lab)).toEqual([]);
    // Drop needs none.
    await lab.freeze();
    await lab.thaw();
  });

  test.each([
    ["iptables' queue alone: it is taken", 'nft_queue', false],
    ["nft's queue alone: it is taken", 'xt_NFQUEUE', true],
  ])('with %s', async (_, other, isNft) => {
    await without(other);
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze('--mode', 'steal');
    expect((await lab.nft('box', 'list table inet netfreeze')).includes('queue to 61450')).toBe(isNft);
    await send(lab, 'peer', [job]);
    const { held } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    expect(held?.in).toEqual({ held: 10, released: 0, lost: 0 });
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect((await lab.thaw()).stdout).toMatch(/nothing lost/);
    expect(await gauge.open()).toEqual(gauge.all);
  });
});
