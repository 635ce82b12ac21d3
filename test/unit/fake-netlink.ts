/** A netlink socket that gives prepared answers, in the kernel's own bytes. */
import { type Message, messages } from '../../src/netlink/message';
import type { NetlinkSocket, Request } from '../../src/netlink/socket';

/** linux/nfnetlink.h, linux/nf_tables.h: the requests, of subsystem 10. */
export const GET = { TABLE: 1, CHAIN: 4, RULE: 7, SET: 10, SETELEM: 13, GEN: 16, OBJ: 19, FLOWTABLE: 23 } as const;
/** linux/netfilter.h */
export const families = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;
export type Family = keyof typeof families;

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
};
export const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
export const answer = (family: Family | number, ...attrs: Buffer[]): Message => ({
  type: 0,
  flags: 2,
  sequence: 1,
  payload: Buffer.concat([Buffer.from([typeof family === 'number' ? family : families[family], 0, 0, 0]), ...attrs]),
});

/** A request as the kernel would read it. */
export interface Asked {
  name: number;
  family: number;
  flags: number;
  payload: Buffer;
}

/** What is answered to a request: messages, an error as the socket throws it, or what is made when it is asked for. */
type Prepared = Message[] | { code: string } | (() => Message[]);

/**
 * @returns a socket whose answers are prepared by request; what is not prepared has none
 * @param commit what becomes of a transaction, by its changes; it may throw what the kernel would say
 */
export function fakeNetlink(
  answers: Record<number, Prepared>,
  commit?: (changes: Message[]) => void,
): NetlinkSocket & { asked: Asked[] } {
  const asked: Asked[] = [];
  let sent: Message[] = [];
  const changes = () => {
    throw new Error('nothing is changed by reading');
  };
  return {
    fd: -1,
    asked,
    request: changes,
    batch: changes,
    transmit(datagram) {
      if (!commit) changes();
      sent = [...messages(datagram)].filter(({ type }) => type >> 8 === 10);
    },
    verdict: () => commit?.(sent),
    post: changes,
    dump(request: Request) {
      const [one] = [...messages(request(7))];
      if (!one) throw new Error('no whole message was sent');
      expect(one.type >> 8).toBe(10);
      expect(one.sequence).toBe(7);
      const name = one.type & 0xff;
      asked.push({ name, family: one.payload[0] ?? -1, flags: one.flags, payload: one.payload });
      const prepared = answers[name] ?? [];
      if (typeof prepared === 'function') return prepared();
      if (!Array.isArray(prepared)) throw Object.assign(new Error(prepared.code), prepared);
      return prepared;
    },
    close() {},
  };
}
