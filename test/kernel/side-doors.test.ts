/** Ways by which packets pass the hooks by: a tc redirect, an XDP program, a flowtable. None may stay open in silence. */
import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import { describeEngines, programPath } from './rig/describe';
import { address, families, type Lab, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';
import { send, sniffer, trespassers } from './rig/packets';
import { expectEveryByte, expectGoesOn, openStream } from './rig/streams';
import { sleep } from './rig/wait';

describeEngines('a side door', (engine) => {
  const makeLab = useLabs(engine);

  test.each([
    ['ingress', 'ingress', 'parent ffff:'],
    ['clsact', 'clsact', 'ingress'],
  ])('a tc redirect (%s) is refused by the name of its device', async (_name, qdisc, where) => {
    const lab = await makeLab('router');
    await tc(lab, `qdisc add dev toPeer ${qdisc}`);
    await tc(
      lab,
      `filter add dev toPeer ${where} protocol ip u32 match u32 0 0 action mirred egress redirect dev toFar`,
    );
    await expectRefused(lab, 'toPeer');
    await tc(lab, `qdisc del dev toPeer ${qdisc}`);
    await lab.freeze();
  });

  test('a tc redirect in a block that devices share is refused by the name of its device', async () => {
    const lab = await makeLab('router');
    await tc(lab, 'qdisc add dev toPeer ingress_block 22 ingress');
    await tc(lab, 'filter add block 22 protocol ip u32 match u32 0 0 action mirred egress redirect dev toFar');
    await expectRefused(lab, 'toPeer');
  });

  test.each(['fwd to toFar', 'dup to toFar'])(
    'a rule at a device that says %s is refused by the name of its chain',
    async (statement) => {
      const lab = await makeLab('router');
      const chain = 'chain door { type filter hook ingress device toPeer priority 0;';
      await lab.nft('box', `table netdev side { ${chain} ${statement}; }; }`);
      await expectRefused(lab, 'door');
    },
  );

  test('a bridge goes on bridging its frames, and on says so by its name', async () => {
    const lab = await makeLab('router');
    await lab.run('box', 'ip', 'link', 'add', 'bridge0', 'type', 'bridge');
    await lab.ip('box', 'link', 'set', 'toFar', 'master', 'bridge0');
    expect((await lab.freeze()).stderr).toContain('bridge0');
  });

  test('a tc redirect of what leaves is none: it comes after the hooks', async () => {
    const lab = await makeLab('router');
    await tc(lab, 'qdisc add dev toPeer clsact');
    await tc(lab, 'filter add dev toPeer egress protocol ip u32 match u32 0 0 action mirred egress redirect dev toFar');
    const outcome = expectExit(await lab.netfreeze('on', lab.box), 0, 5);
    if (outcome.exit === 5) return;
    const wire = await sniffer(lab, 'far');
    await send(lab, 'box', [
      { kind: 'udp', family: 4, from: address[4].box, to: address[4].peer, count: 100 },
      { kind: 'icmp', family: 4, from: address[4].box, to: address[4].peer, count: 100 },
    ]);
    expect(trespassers(await wire.take())).toEqual({});
  });

  test('a tc classifier that redirects nothing is no side door', async () => {
    const lab = await makeLab();
    await tc(lab, 'qdisc add dev toPeer clsact');
    await tc(lab, 'filter add dev toPeer ingress protocol ip u32 match u32 0 0 flowid 1:1');
    await lab.freeze();
  });

  test.each(['skb', 'drv', 'link'])('an XDP program (%s) is refused by the name of its device', async (mode) => {
    const lab = await makeLab();
    // It is loaded by a program that ends with the lab.
    await lab.start('box', 'xdp', { device: 'toPeer', mode });
    expect(await lab.ip('box', 'link', 'show', 'toPeer')).toContain('prog/xdp');
    await expectRefused(lab, 'toPeer');
  });

  // Linux 6.6 has tcx; an older kernel has nothing to refuse.
  const testTcx = kernelIsAtLeast(6, 6) ? test : test.skip;

  testTcx('a tcx program is refused by the name of its device, and drift when it comes later', async () => {
    const lab = await makeLab();
    await lab.freeze();
    const program = await lab.start('box', 'xdp', { device: 'toPeer', mode: 'tcx' });
    const verified = expectExit(await lab.netfreeze('verify', lab.box), 10);
    expect(verified.stderr).toMatch(/tcx program at the ingress of toPeer/);
    await lab.thaw();
    await expectRefused(lab, 'toPeer');
    await program.end();
    await lab.freeze();
  });

  // A kernel without flowtables has nothing to close; the VM suite runs the same test on one that has them.
  const testFlowtables = hasFlowtables() ? test : test.skip;

  testFlowtables.each(families)(
    'a flow that a flowtable has taken over stops, and goes on after the thaw: IPv%d',
    async (family) => {
      const lab = await makeLab('router');
      await lab.nft(
        'box',
        `add table inet flows; add flowtable inet flows fast { hook ingress priority 0; devices = { toPeer, toFar }; };
       add chain inet flows forward { type filter hook forward priority 0; };
       add rule inet flows forward counter; add rule inet flows forward ct state established flow add @fast`,
      );
      const ends = { client: 'peer', server: 'far', address: address[family].far, port: 7400, chunk: 20_000 } as const;
      const stream = await openStream(lab, ends);
      await expectGoesOn(stream, 5000);
      // The forward hook sees only the first packets of a flow that was taken over.
      await sleep(500);
      const seen = await forwarded(lab);
      const { received } = await stream.server.progress();
      await sleep(500);
      expect((await stream.server.progress()).received).toBeGreaterThan(received);
      expect((await forwarded(lab)) - seen).toBeLessThan(10);

      await lab.freeze();
      expect(await lab.nft('box', 'list table netdev netfreeze')).toMatch(/toFar[\s\S]*toPeer/);
      const [client, server] = [await stream.client.progress(), await stream.server.progress()];
      await sleep(1000);
      expect((await stream.client.progress()).received).toBe(client.received);
      expect((await stream.server.progress()).received).toBe(server.received);
      expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 0 });

      await lab.thaw();
      await expectGoesOn(stream, 10_000, { client: client.received, server: server.received });
      await expectEveryByte(stream, 10_000);
    },
  );

  testFlowtables('a flowtable that comes before what closes it is refused by its name', async () => {
    const lab = await makeLab('router');
    await lab.nft(
      'box',
      'add table inet flows; add flowtable inet flows early { hook ingress priority -600; devices = { toPeer }; }',
    );
    await expectRefused(lab, 'early');
  });

  testFlowtables(
    'what a flowtable has taken over can only be dropped: mode steal is refused, and preview says so',
    async () => {
      const lab = await makeLab();
      const flowtable = 'add flowtable inet flows fast { hook ingress priority 0; devices = { toPeer }; }';
      await lab.nft('box', `add table inet flows; ${flowtable}`);
      await expectRefused(lab, 'toPeer', '--mode', 'steal');
      const preview = expectExit(await lab.netfreeze('preview', lab.box, '--mode', 'steal'), 0);
      expect(preview.stderr).toMatch(/would refuse it: .* has flowtables at toPeer/);
      await lab.nft('box', 'delete table inet flows');
      await lab.freeze('--mode', 'steal');
      // One that comes later is drift.
      await lab.nft('box', `add table inet flows; ${flowtable}`);
      expect(expectExit(await lab.netfreeze('verify', lab.box), 10).stderr).toMatch(/a flowtable has come to toPeer/);
    },
  );

  async function expectRefused(lab: Lab, device: string, ...options: string[]): Promise<void> {
    const before = await lab.nft('box', 'list ruleset');
    const outcome = expectExit(await lab.netfreeze('on', lab.box, ...options), 5);
    expect(outcome.stderr).toContain(device);
    expect(await lab.nft('box', 'list ruleset')).toBe(before);
  }
});

const tc = (lab: Lab, command: string) => lab.run('box', 'tc', ...command.split(' '));

/** How many packets have met the forward hook. */
async function forwarded(lab: Lab): Promise<number> {
  return Number(/packets (\d+)/.exec(await lab.nft('box', 'list chain inet flows forward'))?.[1]);
}

/** Asked of the kernel, in a namespace that is gone with the question. */
function hasFlowtables(): boolean {
  const flowtable = 'add table inet t; add flowtable inet t f { hook ingress priority 0; devices = { lo }; }';
  return spawnSync('unshare', ['--net', 'nft', flowtable], { env: { PATH: programPath } }).status === 0;
}

/** @param version the kernel's, of which Node gives `6.18.44-…` */
function kernelIsAtLeast(...version: [number, number]): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > version[0] || (major === version[0] && minor >= version[1]);
}
