/** sock_diag: the TCP sockets of a namespace, with what waits in them, as the kernel lists them for `ss`. */
import { type Message, message, NLM_F } from './message';
import type { NetlinkSocket, Request } from './socket';

/** linux/sock_diag.h */
const SOCK_DIAG_BY_FAMILY = 20;
/** sys/socket.h, netinet/in.h */
const AF = { INET: 2, INET6: 10 } as const;
const IPPROTO_TCP = 6;
/** linux/inet_diag.h: sizes of inet_diag_req_v2 and inet_diag_msg. */
const sizeof = { inet_diag_req_v2: 56, inet_diag_msg: 72 } as const;

/** net/tcp_states.h: those in which a socket has a peer, or looks for one. */
export const TCP = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  CLOSING: 11,
} as const;
export type TcpState = (typeof TCP)[keyof typeof TCP];
const known: readonly number[] = Object.values(TCP);

/** An address and a port. */
export interface End {
  /** 4 bytes, or 16. */
  address: Buffer;
  port: number;
}

/** A TCP socket that has a peer. */
export interface TcpSocket {
  /** What goes over the wire: an IPv6 socket with IPv4-mapped addresses speaks IPv4. */
  family: 4 | 6;
  state: TcpState;
  /** How often the timer that runs (retransmission, window probe, keepalive) has gone off without an answer. */
  retries: number;
  local: End;
  remote: End;
  /** Index of the device that it is bound to, or 0. */
  device: number;
  /** The kernel's own name of the socket, as SO_COOKIE gives it; unique until the next boot; in decimal. */
  cookie: string;
  /** Bytes written by the program and not acknowledged by the peer, sent or not. */
  outstanding: number;
  /** Of the socket's file; 0 when no process has one: closed, or not accepted yet. */
  inode: number;
}

/**
 * Lists the sockets of the namespace that the netlink socket belongs to.
 * @param diag opened with NETLINK.SOCK_DIAG
 * @param states which to ask for
 * @returns each socket once, IPv4 before IPv6; some 200 bytes of memory for each
 * @throws SystemError ENOENT where the kernel has no tcp_diag
 */
export function tcpSockets(diag: NetlinkSocket, states: readonly TcpState[]): TcpSocket[] {
  const found = new Map<string, TcpSocket>();
  for (const family of [AF.INET, AF.INET6]) {
    for (const answer of diag.dump(dumpOf(family, states))) {
      const socket = readSocket(answer);
      if (socket) found.set(socket.cookie, socket);
    }
  }
  return [...found.values()];
}

/** struct inet_diag_req_v2: family, protocol, extensions, padding, states, and a socket's id that is left empty. */
function dumpOf(family: number, states: readonly TcpState[]): Request {
  const header = Buffer.alloc(sizeof.inet_diag_req_v2);
  header[0] = family;
  header[1] = IPPROTO_TCP;
  header.writeUInt32LE(
    states.reduce((mask, state) => mask | (1 << state), 0),
    4,
  );
  return (sequence) => message(SOCK_DIAG_BY_FAMILY, NLM_F.DUMP, sequence, header);
}

/** ::ffff:0:0/96, RFC 4291 */
const mapped = Buffer.from('00000000000000000000ffff', 'hex');

/** struct inet_diag_msg. @returns null for what is no such message, or of a state that was not asked for */
function readSocket({ type, payload }: Message): TcpSocket | null {
  if (type !== SOCK_DIAG_BY_FAMILY || payload.length < sizeof.inet_diag_msg) return null;
  const state = payload[1] ?? 0;
  if (!known.includes(state)) return null;
  const isMapped = payload[0] === AF.INET6 && mapped.equals(payload.subarray(24, 36));
  const isIpv4 = payload[0] === AF.INET;
  const addressAt = (offset: number): Buffer => {
    if (isMapped) return Buffer.from(payload.subarray(offset + 12, offset + 16));
    return Buffer.from(payload.subarray(offset, offset + (isIpv4 ? 4 : 16)));
  };
  return {
    family: isIpv4 || isMapped ? 4 : 6,
    state: state as TcpState,
    retries: payload[3] ?? 0,
    local: { address: addressAt(8), port: payload.readUInt16BE(4) },
    remote: { address: addressAt(24), port: payload.readUInt16BE(6) },
    device: payload.readUInt32LE(40),
    cookie: payload.readBigUInt64LE(44).toString(),
    outstanding: payload.readUInt32LE(60),
    inode: payload.readUInt32LE(68),
  };
}
