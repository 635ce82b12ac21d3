/**
 * Kicking the peers: a peer that sends to the namespace waits for its own backed-off timer, and no call on our side
 * reaches it. What does is an ICMP message that quotes the segment which it waits for (unreachable.ts). Its sequence
 * number is the byte that our socket waits for. It could be read in TCP_REPAIR mode, during which the program's own calls
 * would fail; so our socket is made to send a window probe instead, and the number is read off that as it leaves.
 */
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { inside, type Namespace } from '../namespace/namespace';
import { type End, TCP, type TcpSocket } from '../netlink/sock-diag';
import { isErrno, recv, sendto, setsockopt, socket } from '../platform/libc';
import { borrow } from './borrow';
import { probe } from './probe';
import { readAcknowledgement } from './segment';
import type { HeldSocket } from './sockets';
import { hostUnreachable } from './unreachable';

/** sys/socket.h, linux/if_ether.h, netinet/in.h, asm-generic/socket.h */
const AF = { INET: 2, INET6: 10, PACKET: 17 } as const;
const SOCK = { DGRAM: 2, RAW: 3, CLOEXEC: 0x80000 } as const;
const ETH_P_ALL = 0x0003;
const IPPROTO = { ICMP: 1, ICMPV6: 58 } as const;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;

/** One message takes back one step of backoff, of which there are ten at the most: 200 ms doubled to 120 s. */
const messagesPerPeer = 10;
/** How long a probe may take to leave, in milliseconds: it may stand in a device's queue. */
const patience = 100;
/** How much the packet socket holds between two readings, in bytes. */
const capacity = 8 * 1024 * 1024;

/** The connections whose peers are to be kicked. */
export type PeersPlan = HeldSocket[];

/** @returns those of the sockets whose peer may be sending: established, and with the other end outside of the namespace */
export function planPeers(sockets: readonly HeldSocket[]): PeersPlan {
  const here = new Set(sockets.map(({ local, remote }) => pairKey(local, remote)));
  return sockets.filter(
    ({ state, local, remote, holder }) =>
      state === TCP.ESTABLISHED && holder !== null && !here.has(pairKey(remote, local)),
  );
}

/**
 * Probes each connection and tells its peer that the segment which our side waits for did not arrive. A peer that
 * waits for nothing, or does not know RFC 6069, takes no notice.
 * @returns how many were told
 */
export async function kickPeers(namespace: Namespace, plan: PeersPlan): Promise<number> {
  if (plan.length === 0) return 0;
  const wire = listen(namespace);
  const icmp = icmpSockets(namespace);
  const probed = new Map<string, TcpSocket>();
  let told = 0;
  const answer = () => {
    for (const { source, destination, awaited } of wire.read()) {
      const key = pairKey(source, destination);
      const found = probed.get(key);
      if (found === undefined) continue;
      probed.delete(key);
      if (tell(icmp, found, awaited)) told += 1;
    }
  };
  try {
    for (const one of plan) {
      probed.set(pairKey(one.local, one.remote), one);
      if (!probeHeld(one)) probed.delete(pairKey(one.local, one.remote));
      answer();
    }
    for (const deadline = performance.now() + patience; probed.size > 0 && performance.now() < deadline; answer()) {
      await sleep(1);
    }
    return told;
  } finally {
    icmp.close();
    wire.close();
  }
}

const pairKey = (from: End, to: End): string =>
  `${from.address.toString('hex')} ${from.port} ${to.address.toString('hex')} ${to.port}`;

function probeHeld({ holder, cookie }: HeldSocket): boolean {
  try {
    return holder !== null && borrow(holder, cookie, probe) === true;
  } catch {
    return false; // It has come to its end meanwhile.
  }
}

/** A packet socket sees what leaves the namespace, behind its firewall. */
function listen(namespace: Namespace) {
  const protocol = ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8); // In network order.
  const fd = inside(namespace, () => socket(AF.PACKET, SOCK.DGRAM | SOCK.CLOEXEC, protocol));
  const size = Buffer.alloc(4);
  size.writeInt32LE(capacity);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
  /** The headers are enough: IPv4's, at its longest, and TCP's. */
  const packet = Buffer.alloc(128);
  return {
    *read() {
      for (let length = receive(fd, packet); length > 0; length = receive(fd, packet)) {
        const segment = readAcknowledgement(packet.subarray(0, length));
        if (segment) yield segment;
      }
    },
    close: () => closeSync(fd),
  };
}

/** @returns the length of the next packet, or 0 when there is none */
function receive(fd: number, packet: Buffer): number {
  try {
    return recv(fd, packet, packet.length, MSG_DONTWAIT);
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'ENETDOWN')) return 0;
    throw error;
  }
}

/** Raw sockets in the namespace, each opened when it is first needed: a machine may have no IPv6. */
function icmpSockets(namespace: Namespace) {
  const open = new Map<4 | 6, number>();
  const make = (family: 4 | 6): number =>
    family === 4
      ? socket(AF.INET, SOCK.RAW | SOCK.CLOEXEC, IPPROTO.ICMP)
      : socket(AF.INET6, SOCK.RAW | SOCK.CLOEXEC, IPPROTO.ICMPV6);
  return {
    of(family: 4 | 6): number {
      const fd = open.get(family) ?? inside(namespace, () => make(family));
      open.set(family, fd);
      return fd;
    },
    close() {
      for (const fd of open.values()) closeSync(fd);
    },
  };
}

/** @returns whether the messages were sent; the namespace's own firewall or routes may refuse them */
function tell(
  icmp: ReturnType<typeof icmpSockets>,
  { family, local, remote, device }: TcpSocket,
  awaited: number,
): boolean {
  const message = hostUnreachable({ family, source: remote, destination: local, sequence: awaited });
  const address = family === 4 ? ipv4Address(remote) : ipv6Address(remote, device);
  try {
    for (let count = 0; count < messagesPerPeer; count += 1) {
      sendto(icmp.of(family), message, message.length, 0, address, address.length);
    }
    return true;
  } catch (error) {
    if (isErrno(error, 'EPERM', 'ENETUNREACH', 'EHOSTUNREACH', 'ENOBUFS', 'EACCES', 'EINVAL')) return false;
    throw error;
  }
}

/** struct sockaddr_in without a port. */
function ipv4Address({ address }: End): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF.INET, 0);
  address.copy(bytes, 4);
  return bytes;
}

/** struct sockaddr_in6 without a port; a link-local address needs its device. */
function ipv6Address({ address }: End, device: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF.INET6, 0);
  address.copy(bytes, 8);
  bytes.writeUInt32LE(device, 24);
  return bytes;
}
