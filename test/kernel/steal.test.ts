/** Mode steal: what is held goes on after the thaw, in order, and what becomes of each packet is counted. */
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { address, families, type Lab, type Place, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { expectEveryNumber, sendNumbers } from './rig/numbers';
import { send, sniffer, trespassers } from './rig/packets';
import { expectEveryByte, openStream } from './rig/streams';
import { sleep, until } from './rig/wait';

/** As a report has it, of one direction. */
const ledger = (held: number, released: number, lost: number) => ({ held, released, lost });

describeEngines('steal', (engine) => {
  const makeLab = useLabs(engine);

  test('nothing passes while it stands, and everything goes on after it: TCP both ways, both families', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    const streams = await Promise.all(
      families.flatMap((family) => [
        openStream(lab, { client: 'peer', server: 'box', address: address[family].box, port: 7301 }),
        openStream(lab, { client: 'peer', server: 'far', address: address[family].far, port: 7302 }),
      ]),
    );
    expect(await gauge.open()).toEqual(gauge.all);
    const wire = await sniffer(lab, 'peer');
    await lab.freeze('--mode', 'steal');
    await wire.take();
    await sleep(1000);
    // The peer sees what it sends itself too, so only what comes from the box or through it is looked at.
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const frozen = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    expect(frozen).toMatchObject({ state: 'frozen', mode: 'steal', template: 'steal', verified: true });
    expect(frozen.held?.in).toMatchObject({ released: 0, lost: 0 });
    expect(frozen.held?.in.held).toBeGreaterThan(10);
    expect(frozen.held?.out.held).toBeGreaterThan(0);

    const thawed = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0));
    expect(thawed).toMatchObject({ state: 'thawed', held: { in: { held: 0, lost: 0 }, out: { held: 0, lost: 0 } } });
    expect(thawed.held?.in.released).toBe(thawed.counters.in.packets);
    expect(thawed.held?.out.released).toBe(thawed.counters.out.packets);
    for (const stream of streams) await expectEveryByte(stream, 5000);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    expect(await queues(lab)).toBe('');
  });

  test('a FIN and a RST that are sent during the freeze arrive after it', async () => {
    const lab = await makeLab();
    let port = 7310;
    for (const how of ['fin', 'rst'] as const) {
      for (const closing of ['client', 'server'] as const) {
        port += 1;
        const stream = await openStream(lab, { client: 'peer', server: 'box', address: address[4].box, port });
        const other = closing === 'client' ? 'server' : 'client';
        // Nothing on its way, so that nothing meets the closed end and is answered with a reset.
        for (const end of ['client', 'server'] as const) await stream[end].pause();
        await sleep(50);
        await lab.freeze('--mode', 'steal');
        await stream[closing].close(how);
        await sleep(300);
        expect((await stream[other].progress()).ended).toBeNull();
        await lab.thaw();
        const ended = await until('the end arrives', 2000, async () => (await stream[other].progress()).ended);
        expect(ended).toBe(how === 'fin' ? 'FIN' : 'ECONNRESET');
        expect((await stream[other].progress()).wrong).toBeNull();
      }
    }
  });

  test('over the limit packets are lost, exactly as many as the ledger says', async () => {
    const lab = await makeLab();
    await countAt(lab, 'box');
    await lab.freeze('--mode', 'steal', '--hold-limit', '100');
    const at = address[4];
    await send(lab, 'peer', [{ kind: 'udp', family: 4, from: at.peer, to: at.box, count: 350 }]);
    const held = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held;
    expect(held?.in).toEqual(ledger(100, 0, 250));
    const outcome = await lab.netfreeze('off', lab.box, '--json');
    expect(only(expectExit(outcome, 0)).held).toEqual({ in: ledger(0, 100, 250), out: ledger(0, 0, 0) });
    expect(await countedAt(lab, 'box')).toBe(100);
  });

  test('what is lost is said, and "nothing lost" only when nothing was', async () => {
    const lab = await makeLab();
    const at = address[4];
    const job = { kind: 'udp' as const, family: 4 as const, from: at.peer, to: at.box, count: 20 };
    await countAt(lab, 'box');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    expect((await lab.thaw()).stdout).toContain('given back: 20 in and 0 out; nothing lost');
    await lab.freeze('--mode', 'steal', '--hold-limit', '5');
    await send(lab, 'peer', [job]);
    expect((await lab.netfreeze('status', lab.box)).stdout).toMatch(/lost +in 15, out 0/);
    expect((await lab.thaw()).stdout).toContain('given back: 5 in and 0 out; LOST: 15 in and 0 out');
  });

  test('--discard drops what is held, and counts it as lost', async () => {
    const lab = await makeLab();
    await countAt(lab, 'box');
    const at = address[6];
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ kind: 'udp', family: 6, from: at.peer, to: at.box, count: 30 }]);
    const discarded = only(expectExit(await lab.netfreeze('off', lab.box, '--discard', '--json'), 0));
    expect(discarded.held).toEqual({ in: ledger(0, 0, 30), out: ledger(0, 0, 0) });
    expect(await countedAt(lab, 'box')).toBe(0);
    // Flowing again, with nothing of the past.
    await send(lab, 'peer', [{ kind: 'udp', family: 6, from: at.peer, to: at.box, count: 3 }]);
    expect(await countedAt(lab, 'box')).toBe(3);
  });

  test('another freeze takes the held packets over; a lease is given, renewed and shortened', async () => {
    const lab = await makeLab();
    const at = address[4];
    const job = { kind: 'udp' as const, family: 4 as const, from: at.peer, to: at.box, count: 10 };
    await countAt(lab, 'box');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.freeze('--mode', 'steal', '--allow', '192.0.2.1', '--lease', '30s', '--hold-limit', '200');
    await send(lab, 'peer', [job]);
    expectExit(await lab.netfreeze('renew', lab.box, '--lease', '60s'), 0);
    await send(lab, 'peer', [job]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const again = only(
      expectExit(
        await lab.netfreeze(
          ...[
            'on',
            lab.box,
            '--mode',
            'steal',
            '--allow',
            '192.0.2.1',
            '--lease',
            '60s',
            '--hold-limit',
            '200',
            '--json',
          ],
        ),
        0,
      ),
    );
    expect(again.held?.in).toEqual(ledger(30, 0, 0));
    expect(await countedAt(lab, 'box')).toBe(0);
    expect((await lab.thaw()).stdout).toContain('given back: 30 in and 0 out; nothing lost');
    expect(await countedAt(lab, 'box')).toBe(30);
  });

  test('queue numbers collide with no other queue in the namespace, bound or only named in a rule', async () => {
    const lab = await makeLab();
    const binder = await lab.start('box', 'bind-queue', { numbers: [61450] });
    const preview = expectExit(await lab.netfreeze('preview', lab.box, '--mode', 'steal'), 0).stdout;
    expect(preview).toContain('queue to 61452 ');
    expect(preview).toContain('queue to 61453 ');
    await lab.freeze('--mode', 'steal');
    expect(await queues(lab)).toMatch(/61450 .*\n.*61452 .*\n.*61453 /);
    await lab.thaw();
    expect(await queues(lab)).toMatch(/^ *61450 /);
    await binder.end();
    // Without a target, the defaults.
    const plain = expectExit(await lab.netfreeze('preview', '--mode', 'steal'), 0).stdout;
    expect(plain).toContain('queue to 61450 ');
  });

  test('the mode of a freeze that stands is not changed: exit 2, and all is as before', async () => {
    const lab = await makeLab();
    await lab.freeze();
    const outcome = expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal'), 2);
    expect(outcome.stderr).toMatch(/thaw first/);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    await lab.freeze('--mode', 'steal');
    expectExit(await lab.netfreeze('on', lab.box), 2);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect(await queues(lab)).not.toBe('');
  });

  test('a dry run touches nothing and starts nothing', async () => {
    const lab = await makeLab();
    const outcome = expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal', '--dry-run'), 0);
    expect(outcome.stdout).toMatch(/rehearsed, not touched/);
    expect(await queues(lab)).toBe('');
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});

describeOneEngine('steal, packet by packet', (engine) => {
  const makeLab = useLabs(engine);

  test('50,000 datagrams through 20 freezes: none is lost, and few are overtaken', async () => {
    const lab = await makeLab();
    const flows = await Promise.all(
      [
        { from: 'peer' as const, to: 'box' as const, address: address[4].box, port: 7401 },
        { from: 'box' as const, to: 'peer' as const, address: address[4].peer, port: 7402 },
        { from: 'peer' as const, to: 'box' as const, address: address[6].box, port: 7403 },
        { from: 'box' as const, to: 'peer' as const, address: address[6].peer, port: 7404 },
      ].map((ends) => sendNumbers(lab, { ...ends, perSecond: 1250 })),
    );
    let sent = 0;
    for (let round = 0; round < 20 || sent < 50_000; round += 1) {
      await lab.freeze('--mode', 'steal');
      await sleep(250);
      expect((await lab.thaw()).stdout).toContain('nothing lost');
      await sleep(50);
      if (round >= 19)
        sent = (await Promise.all(flows.map((flow) => flow.heard()))).reduce((sum, { last }) => sum + last, 0);
    }
    let overtaken = 0;
    sent = 0;
    for (const flow of flows) {
      const said = await flow.stop();
      expect(said.refused).toEqual({});
      overtaken += (await expectEveryNumber(flow, 5000, said.sent)).overtaken;
      sent += said.sent;
    }
    process.stderr.write(`steal: ${overtaken} of ${sent} datagrams were overtaken\n`);
    expect(sent).toBeGreaterThanOrEqual(50_000);
    expect(overtaken).toBeLessThan(sent / 1000);
  }, 240_000);

  test('the wire carries nothing but ARP and neighbour discovery while a steal stands', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    const wire = await sniffer(lab, 'peer');
    await lab
      .start('box', 'numbers', { send: [address[4].peer, 7405], perSecond: 1000 })
      .then((it) => it.ask({ do: 'begin' }));
    await lab
      .start('box', 'numbers', { send: [address[6].peer, 7405], perSecond: 1000 })
      .then((it) => it.ask({ do: 'begin' }));
    await wire.take();
    await sleep(1000);
    expect(trespassers(await wire.take())).toEqual({});
  });
});

/** What the kernel shows of the queues of the box. */
const queues = (lab: Lab): Promise<string> => lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue');

/** Counts the test's own datagrams behind every hook of a freeze, and keeps the kernel from answering them. */
const countAt = (lab: Lab, place: Place): Promise<string> =>
  lab.nft(
    place,
    `add table inet count; add counter inet count seen;
     add chain inet count in { type filter hook input priority 100; };
     add rule inet count in meta l4proto udp counter name seen drop`,
  );

const countedAt = async (lab: Lab, place: Place): Promise<number> =>
  Number(/packets (\d+)/.exec(await lab.nft(place, 'list counter inet count seen'))?.[1]);
