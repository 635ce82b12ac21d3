/** Datagrams with numbers, so that each one that is lost, doubled or overtaken shows: see traffic/numbers.py. */
import type { Lab, Place } from './lab';
import { until } from './wait';

interface Said {
  sent: number;
  refused: Record<string, number>;
}

export interface Heard {
  received: number;
  missing: number;
  overtaken: number;
  twice: number;
  last: number;
}

export interface Numbers {
  /** How many have been sent, how many came, and how. */
  heard(): Promise<Heard>;
  /** Ends the sending. */
  stop(): Promise<Said>;
  /** Waits until as many were sent as were to be. */
  wait(): Promise<Said>;
}

/** Starts to send numbered datagrams from one place to another. */
export async function sendNumbers(
  lab: Lab,
  ends: { from: Place; to: Place; address: string; port: number; perSecond?: number; count?: number },
): Promise<Numbers> {
  const { address, port, perSecond = 5000, count } = ends;
  const listener = await lab.start(ends.to, 'numbers', { listen: [address, port] });
  const sender = await lab.start(ends.from, 'numbers', { send: [address, port], perSecond, count });
  await sender.ask({ do: 'begin' });
  return {
    heard: () => listener.ask({ do: 'take' }),
    stop: () => sender.ask({ do: 'stop' }),
    wait: () => sender.ask({ do: 'wait' }),
  };
}

/** Waits until every number that was sent has come. */
export async function expectEveryNumber(numbers: Numbers, limitMs: number, sent: number): Promise<Heard> {
  await until('every datagram comes', limitMs, async () => (await numbers.heard()).received >= sent).catch(() => {});
  const heard = await numbers.heard();
  expect(heard).toMatchObject({ received: sent, missing: 0, twice: 0 });
  return heard;
}
