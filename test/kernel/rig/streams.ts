/** TCP connections that carry a known pattern both ways: see traffic/stream.py. */
import type { Lab, Place } from './lab';
import type { Running } from './program';
import { until } from './wait';

export interface Progress {
  sent: number;
  received: number;
  /** The first byte that was not the pattern's, or null. */
  wrong: number | null;
  /** How the other end ended it (`FIN`, an errno's name), or null. */
  ended: string | null;
}

export interface StreamEnd {
  progress(): Promise<Progress>;
  pause(): Promise<Progress>;
  close(how: 'fin' | 'rst'): Promise<Progress>;
}

export interface Stream {
  client: StreamEnd;
  server: StreamEnd;
}

/** Opens a connection over which both ends send from then on. */
export async function openStream(
  lab: Lab,
  ends: { client: Place; server: Place; address: string; port: number; chunk?: number },
): Promise<Stream> {
  const { address, port, chunk } = ends;
  const listening = await lab.start(ends.server, 'stream', { listen: [address, port], chunk });
  const connected = await lab.start(ends.client, 'stream', { connect: [address, port], chunk });
  return { client: endOf(connected), server: endOf(listening) };
}

function endOf(program: Running): StreamEnd {
  return {
    progress: () => program.ask({ do: 'progress' }),
    pause: () => program.ask({ do: 'pause' }),
    close: (how) => program.ask({ do: 'close', how }),
  };
}

/**
 * Waits until each end has received more than it had, and checks that every byte so far was in order.
 * @param before what the ends had received
 */
export async function expectGoesOn(stream: Stream, limitMs: number, before = { client: 0, server: 0 }): Promise<void> {
  for (const side of ['client', 'server'] as const) {
    const now = await until(`the ${side} receives`, limitMs, async () => {
      const progress = await stream[side].progress();
      return progress.received > before[side] || progress.ended !== null ? progress : null;
    });
    expect(now).toMatchObject({ wrong: null, ended: null });
  }
}

/**
 * Ends both sending sides and waits until everything that was sent has been received, in order and once.
 */
export async function expectEveryByte(stream: Stream, limitMs: number): Promise<void> {
  const [client, server] = [await stream.client.pause(), await stream.server.pause()];
  await until('all bytes are received', limitMs, async () => {
    const [atClient, atServer] = [await stream.client.progress(), await stream.server.progress()];
    return atClient.received >= server.sent && atServer.received >= client.sent;
  });
  expect(await stream.client.progress()).toEqual({ ...client, received: server.sent, wrong: null, ended: null });
  expect(await stream.server.progress()).toEqual({ ...server, received: client.sent, wrong: null, ended: null });
}

/** What came of an attempt to connect: see traffic/connect.py. */
export interface Attempt {
  address: string;
  port: number;
  outcome: string;
  ms: number;
}

/** Tries connections from a place, all at the same time. */
export async function connect(
  lab: Lab,
  from: Place,
  to: readonly { address: string; port: number; from?: [string, number]; mark?: number; times?: number }[],
  timeoutMs: number,
): Promise<Attempt[]> {
  return (await lab.traffic<{ attempts: Attempt[] }>(from, 'connect', { to, timeoutMs })).attempts;
}
