/** The tests' own instruments, without netfreeze: they see traffic, and can tell a whole freeze from a broken one. */
import { bareFreeze, bareFreezeInTwoSteps, bareReplacement, bareThaw } from './rig/bare-freeze';
import { describeKernel } from './rig/describe';
import { openGauge } from './rig/gauge';
import { address, families, useLabs } from './rig/lab';
import { receiver, send, sniffer, trespassers } from './rig/packets';
import { connect, expectEveryByte, expectGoesOn, openStream } from './rig/streams';
import { sleep } from './rig/wait';

describeKernel('the instruments', () => {
  const makeLab = useLabs('replay');

  test('a lab carries both directions of both families, and what is forwarded', async () => {
    const gauge = await openGauge(await makeLab('router'), 'router');
    expect(await gauge.open()).toEqual(gauge.all);
    expect(gauge.all).toHaveLength(8);
  });

  test('the gauge sees a freeze in one transaction as one flip', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    await gauge.open();
    for (let round = 0; round < 10; round += 1) {
      await gauge.begin();
      await sleep(5);
      await lab.nft('box', bareFreeze);
      expect(await gauge.turn()).toMatchObject({ flips: 1, late: 0, firstState: 'open', lastState: 'closed' });
      await lab.nft('box', bareThaw);
      // The kernel takes a deleted table's hooks away one by one, so there can be more than one flip.
      expect(await gauge.end()).toMatchObject({ late: 0, firstState: 'closed', lastState: 'open' });
    }
  });

  test('the gauge sees a freeze in two transactions as many flips', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    await gauge.open();
    await gauge.begin();
    for (const step of bareFreezeInTwoSteps) await lab.nft('box', step);
    const watched = await gauge.end();
    expect(watched.flips).toBeGreaterThan(10);
    expect(watched.late).toBe(0);
  });

  test('the gauge sees a freeze that was lifted and made again', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.nft('box', bareFreeze);
    await gauge.begin();
    await lab.nft('box', bareThaw);
    await lab.nft('box', bareFreeze);
    expect((await gauge.end()).flips).toBeGreaterThanOrEqual(2);
    await lab.nft('box', bareReplacement);
    expect(await gauge.open()).toEqual([]);
  });

  test('every kind of packet is sent, received and sniffed', async () => {
    const lab = await makeLab();
    const [atBox, atPeer, onWire] = [
      await receiver(lab, 'box'),
      await receiver(lab, 'peer'),
      await sniffer(lab, 'peer'),
    ];
    const kinds = ['udp', 'icmp', 'raw', 'fragment', 'tail', 'multicast'] as const;
    const jobs = (from: 'box' | 'peer', to: 'box' | 'peer', device: string) =>
      families.flatMap((family) =>
        kinds.map((kind) => ({
          kind,
          family,
          from: address[family][from],
          to: address[family][to],
          device,
          count: 50,
        })),
      );
    const sent = [
      ...(await send(lab, 'box', jobs('box', 'peer', 'toPeer'))),
      ...(await send(lab, 'peer', jobs('peer', 'box', 'eth0'))),
    ];
    expect(sent.filter((job) => job.sent !== 50)).toEqual([]);
    await sleep(50);
    const all = { udp: 50, icmp: 50, raw: 50, fragment: 50, multicast: 50 };
    for (const received of [await atBox.take(), await atPeer.take()]) {
      for (const [kind, count] of Object.entries(all)) {
        expect(received.counts).toMatchObject({ [`${kind}4`]: count, [`${kind}6`]: count });
      }
      // Three pieces of each datagram, and the last pieces alone.
      expect(received.kernel).toMatchObject({ pieces4: 200, pieces6: 200 });
    }
    expect(trespassers(await onWire.take())).toMatchObject({
      udp4: 100,
      udp6: 100,
      fragment4: 200,
      fragment6: 200,
      icmp4: 100,
      'protocol253-4': 50,
      'protocol253-6': 50,
    });
    await lab.nft('box', bareFreeze);
    await Promise.all([
      send(lab, 'box', jobs('box', 'peer', 'toPeer')),
      send(lab, 'peer', jobs('peer', 'box', 'eth0')),
    ]);
    await sleep(50);
    const quiet = Object.fromEntries(
      Object.keys(all).flatMap((kind) => [
        [`${kind}4`, 0],
        [`${kind}6`, 0],
      ]),
    );
    for (const received of [await atBox.take(), await atPeer.take()]) {
      expect(received).toEqual({ counts: quiet, kernel: { delivered4: 0, pieces4: 0, pieces6: 0, udp6: 0 } });
    }
    expect(trespassers(await onWire.take())).toEqual({});
  });

  test('streams check their bytes; attempts to connect are told apart', async () => {
    const lab = await makeLab();
    const stream = await openStream(lab, { client: 'peer', server: 'box', address: address[6].box, port: 7100 });
    await expectGoesOn(stream, 1000);
    await expectEveryByte(stream, 1000);
    await stream.client.pause();
    const onWire = await sniffer(lab, 'peer', 100);
    await stream.server.close('rst');
    await sleep(50);
    expect((await onWire.take()).packets.flatMap((packet) => packet.flags ?? [])).toContain('RST');
    expect((await stream.client.progress()).ended).toBe('ECONNRESET');

    await lab.start('box', 'listen', { on: [[address[4].box, 7200]] });
    const outcomes = (
      await connect(
        lab,
        'peer',
        [
          { address: address[4].box, port: 7200 },
          { address: address[4].box, port: 7201 },
          { address: '10.91.77.1', port: 1 },
        ],
        200,
      )
    ).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['connected', 'refused', 'unreachable']);
    await lab.nft('box', bareFreeze);
    const [attempt] = await connect(lab, 'peer', [{ address: address[4].box, port: 7200 }], 200);
    expect(attempt?.outcome).toBe('timeout');
  });
});
