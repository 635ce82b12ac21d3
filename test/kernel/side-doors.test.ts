/** Ways by which packets pass the hooks by: a tc redirect, an XDP program, a flowtable. None may stay open in silence. */
import { describeEngines } from './rig/describe';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';
import { send, sniffer, trespassers } from './rig/packets';

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

  test('a flowtable is closed, or refused by name', async () => {
    const lab = await makeLab('router');
    const made = await lab
      .nft(
        'box',
        'add table inet flows; add flowtable inet flows fast { hook ingress priority 0; devices = { toPeer, toFar }; }',
      )
      .catch((error: Error) => error);
    if (made instanceof Error) {
      process.stderr.write(`not tested: this kernel has no flowtables\n`);
      return;
    }
    await lab.nft(
      'box',
      'add chain inet flows forward { type filter hook forward priority 0; }; add rule inet flows forward flow add @fast',
    );
    const outcome = expectExit(await lab.netfreeze('on', lab.box), 0, 5);
    if (outcome.exit === 5) expect(outcome.stderr).toMatch(/fast|toPeer/);
    else expect(await lab.nft('box', 'list table netdev netfreeze')).toContain('toPeer');
  });

  async function expectRefused(lab: Lab, device: string): Promise<void> {
    const before = await lab.nft('box', 'list ruleset');
    const outcome = expectExit(await lab.netfreeze('on', lab.box), 5);
    expect(outcome.stderr).toContain(device);
    expect(await lab.nft('box', 'list ruleset')).toBe(before);
  }
});

const tc = (lab: Lab, command: string) => lab.run('box', 'tc', ...command.split(' '));
