/** What the two ends of a TCP connection, and those who want one, notice of a freeze: a cable that was unplugged. */
import { describeEngines } from './rig/describe';
import { address, families, type Lab, useLabs } from './rig/lab';
import { type SniffedPacket, sniffer } from './rig/packets';
import { connect, expectEveryByte, expectGoesOn, openStream } from './rig/streams';
import { together } from './rig/together';
import { sleep, until } from './rig/wait';

describeEngines('connections', (engine) => {
  const makeLab = useLabs(engine, 'end');

  together({
    'a client that connects during a freeze times out: it is not refused, and no host is unreachable': async () => {
      const lab = await makeLab('router');
      const wanted = families.flatMap((family) => [
        { address: address[family].box, port: 7200 },
        { address: address[family].far, port: 7200 },
      ]);
      await lab.start('box', 'listen', { on: families.map((family) => [address[family].box, 7200]) });
      await lab.start('far', 'listen', { on: families.map((family) => [address[family].far, 7200]) });
      await lab.start('peer', 'listen', { on: families.map((family) => [address[family].peer, 7200]) });
      expect(await outcomes(lab, wanted, 1000)).toEqual(Array(4).fill('connected'));

      await lab.freeze();
      // A neighbour that nobody knows any more is asked for again; an unanswered question fails after three seconds.
      for (const place of ['peer', 'box', 'far'] as const) await lab.ip(place, 'neigh', 'flush', 'all');
      const fromBox = families.map((family) => ({ address: address[family].peer, port: 7200 }));
      const [toBox, out] = await Promise.all([outcomes(lab, wanted, 4500), connect(lab, 'box', fromBox, 4500)]);
      expect(toBox).toEqual(Array(4).fill('timeout'));
      expect(out.map(({ outcome }) => outcome)).toEqual(['timeout', 'timeout']);

      await lab.thaw();
      expect(await outcomes(lab, wanted, 2000)).toEqual(Array(4).fill('connected'));
    },

    'a FIN or RST of a socket that is closed during a freeze stays inside, and a FIN leaves after the thaw':
      async () => {
        const lab = await makeLab();
        const streams = await openFour(lab);
        const wire = await sniffer(lab, 'peer', 2000);
        await lab.freeze();
        await wire.take();
        for (const { server, how } of streams) await server.close(how);
        await sleep(1500);
        expect(endings((await wire.take()).packets)).toEqual([]);
        for (const { client } of streams) expect((await client.progress()).ended).toBeNull();

        await lab.thaw();
        const ofFin = streams.filter(({ how }) => how === 'fin');
        for (const { client } of ofFin) {
          await until('the FIN arrives', 5000, async () => (await client.progress()).ended === 'FIN');
          expect((await client.progress()).wrong).toBeNull();
        }
      },

    'a FIN or RST of the peer during a freeze does not reach the box, and a FIN does after the thaw': async () => {
      const lab = await makeLab();
      const streams = await openFour(lab);
      await lab.freeze();
      for (const { client, how } of streams) await client.close(how);
      await sleep(1000);
      for (const { server } of streams) expect((await server.progress()).ended).toBeNull();

      await lab.thaw();
      for (const { server, how } of streams) {
        if (how === 'rst') continue;
        await until('the FIN arrives', 5000, async () => (await server.progress()).ended === 'FIN');
      }
    },

    'a connection goes on after the thaw with every byte in order': async () => {
      const lab = await makeLab('router');
      const streams = [];
      for (const family of families) {
        const { box, far } = address[family];
        // Chunks as large as windows, so that the freeze finds full buffers and segments in flight.
        streams.push(await openStream(lab, { client: 'peer', server: 'box', address: box, port: 7100, chunk: 20_000 }));
        streams.push(await openStream(lab, { client: 'peer', server: 'far', address: far, port: 7100, chunk: 20_000 }));
      }
      for (const stream of streams) await expectGoesOn(stream, 1000);
      for (let freeze = 0; freeze < 2; freeze += 1) {
        await lab.freeze();
        const held = await Promise.all(
          streams.map(async ({ client, server }) => [await client.progress(), await server.progress()]),
        );
        await sleep(800);
        await lab.thaw();
        for (const [index, stream] of streams.entries()) {
          const [client, server] = held[index] ?? [];
          await expectGoesOn(stream, 10_000, { client: client?.received ?? 0, server: server?.received ?? 0 });
        }
      }
      for (const stream of streams) await expectEveryByte(stream, 10_000);
    },
  });
});

async function outcomes(lab: Lab, to: { address: string; port: number }[], timeoutMs: number): Promise<string[]> {
  return (await connect(lab, 'peer', to, timeoutMs)).map(({ outcome }) => outcome);
}

/** A connection for each family and way to end it, quiet from then on. */
async function openFour(lab: Lab) {
  const streams = [];
  for (const family of families) {
    for (const how of ['fin', 'rst'] as const) {
      const port = how === 'fin' ? 7100 : 7101;
      const stream = await openStream(lab, { client: 'peer', server: 'box', address: address[family].box, port });
      await expectGoesOn(stream, 1000);
      // A socket that is closed with unread data sends a RST in any case.
      await expectEveryByte(stream, 1000);
      streams.push({ ...stream, how });
    }
  }
  return streams;
}

const endings = (packets: SniffedPacket[]) =>
  packets.filter(({ flags }) => flags?.includes('FIN') || flags?.includes('RST'));
