/** The sockets of a namespace that have a peer, and who holds them. */
import { inside, type Namespace } from '../namespace/namespace';
import { TCP, type TcpSocket, type TcpState, tcpSockets } from '../netlink/sock-diag';
import { NETLINK, openNetlink } from '../netlink/socket';
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
  const diag = inside(namespace, () => openNetlink(NETLINK.SOCK_DIAG));
  try {
    return tcpSockets(diag, states);
  } finally {
    diag.close();
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
