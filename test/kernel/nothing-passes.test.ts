/** What a peer counts while the box is frozen: nothing, of any kind, in any direction; and what it counts before and after. */
import { describeEngines } from './rig/describe';
import { address, type Family, families, type Lab, type Place, useLabs } from './rig/lab';
import {
  type Counter,
  type Job,
  type Kind,
  type Received,
  receiver,
  type Sniffed,
  send,
  sniffer,
  trespassers,
} from './rig/packets';
import { connect, expectEveryByte, expectGoesOn, openStream, type Stream } from './rig/streams';
import { sleep } from './rig/wait';

/** A way through the lab: who sends, to whom, out of which device multicast goes. */
interface Way {
  from: Place;
  to: Place;
  kinds: readonly Kind[];
  device: string;
}

const direct: readonly Kind[] = ['udp', 'icmp', 'raw', 'fragment', 'tail', 'multicast'];
const forwarded: readonly Kind[] = ['udp', 'icmp', 'raw', 'fragment', 'tail'];

const ways: readonly Way[] = [
  { from: 'box', to: 'peer', kinds: direct, device: 'toPeer' },
  { from: 'peer', to: 'box', kinds: direct, device: 'eth0' },
  { from: 'peer', to: 'far', kinds: forwarded, device: 'eth0' },
  { from: 'far', to: 'peer', kinds: forwarded, device: 'eth0' },
];

/** What programs get of a kind; pieces without a first one are seen on the wire only. */
const received = direct
  .filter((kind) => kind !== 'tail')
  .flatMap((kind) => families.map((family) => `${kind}${family}`));

describeEngines('between the return of on and off', (engine) => {
  const makeLab = useLabs(engine);

  test('nothing passes of 100,000 packets, in either direction or through', async () => {
    const { lab, counters, streams } = await busyLab();

    const before = await sendEverywhere(lab, 60);
    expect(before.refused).toEqual({});
    await expectTraffic(counters);
    for (const stream of streams) await expectGoesOn(stream, 2000);

    await lab.freeze();
    await counters.take();
    const held = await Promise.all(streams.map(bytesReceived));
    // Connection attempts run beside the senders.
    const [during, attempts] = await Promise.all([sendEverywhere(lab, 2000, 8000), connectEverywhere(lab)]);
    await sleep(100);
    const seen = await counters.take();

    expect(during.attempted).toBeGreaterThanOrEqual(100_000);
    expect(seen.wire.map(trespassers)).toEqual([{}, {}]);
    for (const place of seen.programs) {
      expect(Object.entries(place.counts).filter(([, count]) => count > 0)).toEqual([]);
      expect(place.kernel).toEqual({ delivered4: 0, pieces4: 0, pieces6: 0, udp6: 0 });
    }
    expect(attempts.filter(({ outcome }) => outcome !== 'timeout')).toEqual([]);
    expect(await Promise.all(streams.map(bytesReceived))).toEqual(held);

    await lab.thaw();
    const after = await sendEverywhere(lab, 60);
    expect(after.refused).toEqual({});
    await expectTraffic(counters);
    for (const [index, stream] of streams.entries()) {
      await expectGoesOn(stream, 10_000, held[index]);
      await expectEveryByte(stream, 10_000);
    }
  });

  /** A router lab with receivers everywhere, and connections over and through the box that are never idle. */
  async function busyLab() {
    const lab = await makeLab('router');
    const programs = await Promise.all((['box', 'peer', 'far'] as const).map((place) => receiver(lab, place)));
    const wire = await Promise.all((['peer', 'far'] as const).map((place) => sniffer(lab, place)));
    const streams: Stream[] = [];
    for (const family of families) {
      const { box, far } = address[family];
      streams.push(await openStream(lab, { client: 'peer', server: 'box', address: box, port: 7100 }));
      streams.push(await openStream(lab, { client: 'peer', server: 'far', address: far, port: 7100 }));
    }
    return { lab, streams, counters: countersOf(programs, wire) };
  }
});

function countersOf(programs: Counter<Received>[], wire: Counter<Sniffed>[]) {
  return {
    take: async () => ({
      programs: await Promise.all(programs.map((counter) => counter.take())),
      wire: await Promise.all(wire.map((counter) => counter.take())),
    }),
  };
}

/** Every kind, on every way, in both families, all at the same time. */
async function sendEverywhere(lab: Lab, count: number, ofUdp = count) {
  const places: Place[] = ['box', 'peer', 'far'];
  const jobs = (place: Place): Job[] =>
    ways
      .filter((way) => way.from === place)
      .flatMap((way) => families.flatMap((family) => way.kinds.map((kind) => jobOf(way, kind, family))));
  const jobOf = (way: Way, kind: Kind, family: Family): Job => ({
    kind,
    family,
    from: address[family][way.from],
    to: address[family][way.to],
    device: way.device,
    count: kind === 'udp' ? ofUdp : count,
  });
  const sent = (await Promise.all(places.map((place) => send(lab, place, jobs(place))))).flat();
  return {
    attempted: sent.reduce((sum, job) => sum + job.attempted, 0),
    refused: Object.assign({}, ...sent.map((job) => job.refused)) as Record<string, number>,
  };
}

/** That every kind reached programs everywhere, and pieces without a beginning the kernel. */
async function expectTraffic(counters: ReturnType<typeof countersOf>): Promise<void> {
  await sleep(100);
  const seen = await counters.take();
  for (const place of seen.programs.slice(0, 2)) {
    expect(received.filter((kind) => !place.counts[kind])).toEqual([]);
    expect(place.kernel.pieces4).toBeGreaterThan(60);
    expect(place.kernel.pieces6).toBeGreaterThan(60);
  }
  // Multicast is not forwarded.
  const far = seen.programs[2]?.counts ?? {};
  expect(received.filter((kind) => !kind.startsWith('multicast') && !far[kind])).toEqual([]);
}

async function bytesReceived(stream: Stream): Promise<{ client: number; server: number }> {
  return { client: (await stream.client.progress()).received, server: (await stream.server.progress()).received };
}

/** New connections on every way. Nobody listens there: where a way were open, the answer would be a reset. */
async function connectEverywhere(lab: Lab) {
  const to = (place: Place) => families.map((family) => ({ address: address[family][place], port: 7200, times: 50 }));
  const attempts = await Promise.all([
    connect(lab, 'peer', [...to('box'), ...to('far')], 1000),
    connect(lab, 'box', to('peer'), 1000),
    connect(lab, 'far', to('peer'), 1000),
  ]);
  return attempts.flat();
}
