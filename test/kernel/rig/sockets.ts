/** Quiet TCP connections, for tests that look at the sockets themselves: see traffic/tcp.py. */
import { address, type Family, type Lab, type Place } from './lab';

/** sys/socket.h, linux/tcp.h */
export const options = {
  SO_REUSEADDR: { level: 1, name: 2 },
  SO_KEEPALIVE: { level: 1, name: 9 },
  TCP_NODELAY: { level: 6, name: 1 },
  TCP_CORK: { level: 6, name: 3 },
  TCP_KEEPIDLE: { level: 6, name: 4 },
  TCP_KEEPINTVL: { level: 6, name: 5 },
  TCP_KEEPCNT: { level: 6, name: 6 },
  TCP_SYNCNT: { level: 6, name: 7 },
  TCP_USER_TIMEOUT: { level: 6, name: 18 },
  TCP_REPAIR: { level: 6, name: 19 },
} as const;
export type OptionName = keyof typeof options;

export interface SocketEnd {
  /** @returns the bytes that the kernel took, or an errno's name */
  send(bytes: number): Promise<number | string>;
  /** Waits for data. @returns when it came, by process.hrtime, in milliseconds; null when it did not */
  arrival(limitMs: number): Promise<number | null>;
  /** @returns the number of bytes that were there, null when none were, or an errno's name */
  take(): Promise<number | string | null>;
  get(name: OptionName): Promise<number>;
  set(name: OptionName, value: number): Promise<void>;
  info(): Promise<{ state: number; error: string | null }>;
  pid(): Promise<number>;
  shut(): Promise<void>;
  close(): Promise<void>;
}

/** A connection: one end in the box, the other at the peer. */
export interface Connection {
  box: SocketEnd;
  peer: SocketEnd;
}

/** How the box's end is made. */
export interface Making {
  family?: Family;
  port: number;
  /** Options that the box's program sets at first. */
  set?: Partial<Record<OptionName, number>>;
  /** Where the process of the box's end lives, when not in the box. */
  processIn?: Place;
}

/** Connects the box to the peer; nothing is sent. */
export async function connection(lab: Lab, making: Making): Promise<Connection> {
  const { family = 4, port } = making;
  const place = [address[family].peer, port];
  const peer = await lab.start('peer', 'tcp', { listen: place });
  return { box: await connecting(lab, making), peer: endOf(peer) };
}

/** The box's end alone. @param wait whether until it is connected */
export async function connecting(lab: Lab, making: Making, wait = true): Promise<SocketEnd> {
  const { family = 4, port, set = {}, processIn } = making;
  const program = await lab.start(processIn ?? 'box', 'tcp', {
    connect: [address[family].peer, port],
    options: Object.entries(set).map(([name, value]) => [
      options[name as OptionName].level,
      options[name as OptionName].name,
      value,
    ]),
    wait,
    ...(processIn === undefined ? {} : { socketIn: lab.file('box') }),
  });
  return endOf(program);
}

function endOf(program: Awaited<ReturnType<Lab['start']>>): SocketEnd {
  return {
    send: async (bytes) => (await program.ask<{ sent: number | string }>({ do: 'send', bytes })).sent,
    arrival: async (limit) => (await program.ask<{ at: number | null }>({ do: 'arrival', limit })).at,
    take: async () => (await program.ask<{ received: number | string | null }>({ do: 'take' })).received,
    get: async (name) => (await program.ask<{ value: number }>({ do: 'get', ...options[name] })).value,
    set: async (name, value) => void (await program.ask({ do: 'set', ...options[name], value })),
    info: () => program.ask({ do: 'info' }),
    pid: async () => (await program.ask<{ pid: number }>({ do: 'pid' })).pid,
    shut: async () => void (await program.ask({ do: 'shut' })),
    close: async () => void (await program.ask({ do: 'close' })),
  };
}

/** @returns now, by the clock of `arrival` */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Throws away what arrives at a place, from whoever, until `undeafen`. */
export const deafen = (lab: Lab, place: Place): Promise<string> =>
  lab.nft(
    place,
    'add table inet deaf; add chain inet deaf in { type filter hook prerouting priority -450; policy drop; }',
  );

export const undeafen = (lab: Lab, place: Place): Promise<string> => lab.nft(place, 'delete table inet deaf');
