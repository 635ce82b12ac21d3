/**
 * The kick: after a thaw TCP waits for a timer that it has set to ever longer times while nothing came back. A kick ends
 * the wait of the namespace's own sockets, and, where asked for, of the peers that send to them.
 *
 * Who waits, and who holds it, is found out before the thaw, so that after it nothing stands between the sockets and
 * their kick. What can't be kicked is a connection that is being made (SYN_SENT): no call moves its timer, and an ICMP
 * message would end it. It goes on with its next SYN.
 */
import type { Namespace } from '../namespace/namespace';
import { TCP } from '../netlink/sock-diag';
import { borrow } from './borrow';
import { getOption, segmentsSent, setOption, TCP_CORK } from './options';
import { kickPeers, type PeersPlan, planPeers } from './peers';
import { probe } from './probe';
import { type HeldSocket, isWaiting, socketsOf, withHolders } from './sockets';

/** What a kick came to, in sockets. */
export interface Kicked {
  /** Those that were made to send. */
  sockets: number;
  /** Those whose program has corked them: left alone. */
  corked: number;
  /** Those that nobody holds any more, or whose holder can't be reached. */
  unreachable: number;
  /** Connections whose peer was told to send again. */
  peers: number;
}

/** Who is to be kicked. */
export interface KickPlan {
  namespace: Namespace;
  waiting: HeldSocket[];
  peers: PeersPlan | null;
}

/**
 * Looks for the sockets that wait, and for their holders. To be called before the thaw.
 * @param options `peers`: the peers of established connections are to be kicked as well
 * @throws SystemError ENOENT where the kernel has no tcp_diag
 */
export function planKick(namespace: Namespace, options: { peers: boolean }): KickPlan {
  const all = socketsOf(namespace);
  const wanted = options.peers
    ? all.filter((socket) => isWaiting(socket) || socket.state === TCP.ESTABLISHED)
    : all.filter(isWaiting);
  const held = withHolders(wanted, namespace);
  return { namespace, waiting: held.filter(isWaiting), peers: options.peers ? planPeers(held) : null };
}

/** Kicks the sockets of a plan, at once, and then the peers. */
export async function kick({ namespace, waiting, peers }: KickPlan): Promise<Kicked> {
  const kicked: Kicked = { sockets: 0, corked: 0, unreachable: 0, peers: 0 };
  for (const socket of waiting) {
    const outcome = kickSocket(socket);
    if (outcome !== 'unmoved') kicked[outcome] += 1;
  }
  if (peers) kicked.peers = await kickPeers(namespace, peers);
  return kicked;
}

type Outcome = 'sockets' | 'corked' | 'unreachable' | 'unmoved';

function kickSocket({ holder, cookie, state }: HeldSocket): Outcome {
  if (!holder) return 'unreachable';
  try {
    return borrow(holder, cookie, (fd) => push(fd, state === TCP.ESTABLISHED)) ?? 'unreachable';
  } catch {
    // A socket that has come to its end meanwhile refuses its options.
    return 'unmoved';
  }
}

/**
 * Setting TCP_CORK to 0 where it is 0 changes nothing, and sends what has not been sent yet. Where all has been sent
 * and was lost, or Nagle's rule holds the rest back, nothing moves: then a window probe's answer makes the socket send
 * again, in one round trip. The kernel sends one on established connections only.
 */
function push(fd: number, isEstablished: boolean): Outcome {
  if (getOption(fd, TCP_CORK) !== 0) return 'corked';
  const before = segmentsSent(fd);
  setOption(fd, TCP_CORK, 0);
  if (segmentsSent(fd) !== before) return 'sockets';
  return isEstablished && probe(fd) ? 'sockets' : 'unmoved';
}
