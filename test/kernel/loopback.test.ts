/** Traffic over lo, and of the box to its own addresses: frozen with the rest unless it is kept. */
import { describeEngines } from './rig/describe';
import { gaugeOf } from './rig/gauge';
import { address, families, type Lab, useLabs } from './rig/lab';
import { receiver, send } from './rig/packets';
import { connect, expectEveryByte, expectGoesOn, openStream } from './rig/streams';
import { sleep } from './rig/wait';

const loopback = { 4: '127.0.0.1', 6: '::1' } as const;

describeEngines('loopback', (engine) => {
  const makeLab = useLabs(engine);

  test('is frozen: no datagram, no echo, no byte, no new connection within the box', async () => {
    const lab = await makeLab();
    const counter = await receiver(lab, 'box');
    const streams = await Promise.all(
      families.map((family) =>
        openStream(lab, { client: 'box', server: 'box', address: loopback[family], port: 7100 + family }),
      ),
    );
    for (const stream of streams) await expectGoesOn(stream, 1000);
    await sendToItself(lab, 50);
    expect((await counter.take()).counts).toMatchObject({
      udp4: 100,
      udp6: 100,
      icmp4: 100,
      icmp6: 100,
      raw4: 100,
      raw6: 100,
    });

    await lab.freeze();
    await counter.take();
    const held = await Promise.all(streams.map(async ({ server }) => (await server.progress()).received));
    await sendToItself(lab, 500);
    const attempts = await connect(
      lab,
      'box',
      families.flatMap((family) => [loopback[family], address[family].box].map((to) => ({ address: to, port: 7200 }))),
      500,
    );
    const seen = await counter.take();
    expect(Object.entries(seen.counts).filter(([, count]) => count > 0)).toEqual([]);
    expect(seen.kernel).toEqual({ delivered4: 0, pieces4: 0, pieces6: 0, udp6: 0 });
    expect(attempts.map(({ outcome }) => outcome)).toEqual(Array(4).fill('timeout'));
    expect(await Promise.all(streams.map(async ({ server }) => (await server.progress()).received))).toEqual(held);

    await lab.thaw();
    for (const [index, stream] of streams.entries()) {
      await expectGoesOn(stream, 5000, { client: 0, server: held[index] ?? 0 });
      await expectEveryByte(stream, 5000);
    }
  });

  test('flows with --loopback keep, while everything else is frozen', async () => {
    const lab = await makeLab();
    const gauge = await gaugeOf(lab, [
      { name: 'loopback4', from: 'box', to: 'box', address: loopback[4] },
      { name: 'loopback6', from: 'box', to: 'box', address: loopback[6] },
      { name: 'itself4', from: 'box', to: 'box', address: address[4].box },
      { name: 'itself6', from: 'box', to: 'box', address: address[6].box },
      { name: 'out4', from: 'box', to: 'peer', address: address[4].peer },
      { name: 'out6', from: 'box', to: 'peer', address: address[6].peer },
      { name: 'in4', from: 'peer', to: 'box', address: address[4].box },
      { name: 'in6', from: 'peer', to: 'box', address: address[6].box },
    ]);
    expect(await gauge.open()).toEqual(gauge.all);
    await lab.freeze('--loopback', 'keep');
    expect(await gauge.open()).toEqual(['loopback4', 'loopback6', 'itself4', 'itself6']);
    await lab.freeze('--loopback', 'freeze');
    expect(await gauge.open()).toEqual([]);
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });
});

/** Half of it over 127.0.0.1 and ::1, half to the box's own addresses. */
async function sendToItself(lab: Lab, count: number): Promise<void> {
  const jobs = families.flatMap((family) =>
    [loopback[family], address[family].box].flatMap((own) =>
      (['udp', 'icmp', 'raw'] as const).map((kind) => ({ kind, family, from: own, to: own, count })),
    ),
  );
  await send(lab, 'box', jobs);
  await sleep(50);
}
