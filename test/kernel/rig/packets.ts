/** Packets of many kinds, sent and counted: see traffic/send.py, receive.py and sniff.py. */
import type { Family, Lab, Place } from './lab';
import type { Running } from './program';

export type Kind = 'udp' | 'icmp' | 'raw' | 'fragment' | 'tail' | 'multicast';

export interface Job {
  kind: Kind;
  family: Family;
  from: string;
  to: string;
  count: number;
  size?: number;
  port?: number;
  everyUs?: number;
  mark?: number;
  device?: string;
}

export interface Sent {
  kind: Kind;
  family: Family;
  attempted: number;
  sent: number;
  refused: Record<string, number>;
}

/** Sends packets from a place and waits until all are sent. */
export async function send(lab: Lab, from: Place, jobs: readonly Job[]): Promise<Sent[]> {
  return (await lab.traffic<{ jobs: Sent[] }>(from, 'send', { jobs })).jobs;
}

/** What programs in a namespace got, by kind and family (`udp4`), and what the kernel says that it delivered. */
export interface Received {
  counts: Record<string, number>;
  kernel: { delivered4: number; pieces4: number; pieces6: number; udp6: number };
}

/** What a packet socket saw arrive. */
export interface Sniffed {
  counts: Record<string, number>;
  packets: SniffedPacket[];
}

export interface SniffedPacket {
  /** Seconds since 1970, the kernel's own stamp. */
  at: number;
  kind: string;
  flags?: string[];
  port?: number;
}

/** Something that counts, from one `take` to the next. */
export interface Counter<Counted> {
  take(): Promise<Counted>;
}

export async function receiver(lab: Lab, place: Place): Promise<Counter<Received>> {
  const device = place === 'box' ? 'toPeer' : 'eth0';
  return counterOf(await lab.start(place, 'receive', { device }));
}

/** @param keep how many packets are written down one by one, beside the counts */
export async function sniffer(lab: Lab, place: Place, keep = 0, device = 'eth0'): Promise<Counter<Sniffed>> {
  return counterOf(await lab.start(place, 'sniff', { device, keep }));
}

function counterOf<Counted>(program: Running): Counter<Counted> {
  return { take: () => program.ask({ do: 'take' }) };
}

/** The kinds that a freeze lets by, because they keep the neighbourhood alive. */
const neighbourhood = ['arp', 'nd'];

/** @returns what was seen beside ARP and neighbour discovery */
export function trespassers(sniffed: Sniffed): Record<string, number> {
  return Object.fromEntries(Object.entries(sniffed.counts).filter(([kind]) => !neighbourhood.includes(kind)));
}
