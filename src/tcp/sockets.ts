/** The sockets of a namespace that have a peer, and who holds them. */
import { readFileSync } from 'node:fs';
import { inside, type Namespace } from '../namespace/namespace';
import { TCP, type TcpSocket, type TcpState, tcpSockets } from '../netlink/sock-diag';
import { NETLINK, openNetlink } from '../netlink/socket';
import { isErrno } from '../platform/libc';
import { findHolders, type Holder } from './holders';

/** A socket and one of its holders; null: nobody has it any more, or who does can't be seen from here. */
export interface HeldSocket extends TcpSocket {
  holder: Holder | null;
}

const everyState: readonly TcpState[] = Object.values(TCP);

/**
 * @param states which to ask for; by default all that have a peer or look for one
 * @returns the namespace's sockets
 * @throws SystemError ENOENT where the kernel has no tcp_diag
 */
export function socketsOf(namespace: Namespace, states: readonly TcpState[] = everyState): TcpSocket[] {
  // For the list the kernel walks over the sockets of all namespaces, which takes the better part of a millisecond (measured).
  if (!hasTcp(namespace)) return [];
  const diag = inside(namespace, () => openNetlink(NETLINK.SOCK_DIAG));
  try {
    return tcpSockets(diag, states);
  } finally {
    diag.close();
  }
}

/** proc(5), /proc/net/sockstat: how many sockets of a protocol the namespace has. */
const counts = { sockstat: /^TCP: inuse ([0-9]+)/m, sockstat6: /^TCP6: inuse ([0-9]+)/m } as const;

/** @returns false only where the kernel says that there is none */
function hasTcp(namespace: Namespace): boolean {
  return inside(namespace, () =>
    Object.entries(counts).some(([file, pattern]) => {
      const [, count] = pattern.exec(readStatistics(file)) ?? [];
      return count !== '0';
    }),
  );
}

/** @returns what stands for none where the kernel has no such protocol */
function readStatistics(file: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${file}`, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return file === 'sockstat6' ? 'TCP6: inuse 0' : '';
    throw error;
  }
}

/** @returns the same sockets, each with a holder, found in one walk over the machine's processes */
export function withHolders(sockets: readonly TcpSocket[], namespace: Namespace): HeldSocket[] {
  const holders = findHolders(
    sockets.map(({ inode }) => inode),
    namespace.inode,
  );
  return sockets.map((socket) => ({ ...socket, holder: holders.get(socket.inode) ?? null }));
}

/**
 * A socket whose tries have had no answer. One that is being connected is none: it goes on by itself, and nothing can
 * hurry it.
 */
export const isOverdue = ({ retries, state }: TcpSocket): boolean => retries > 0 && state !== TCP.SYN_SENT;

/** A socket that waits for its timer: with data that the peer has not acknowledged, or overdue. */
export const isWaiting = (socket: TcpSocket): boolean =>
  isOverdue(socket) || (socket.outstanding > 0 && socket.state !== TCP.SYN_SENT);
