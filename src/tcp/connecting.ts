/**
 * Connections that were being made during a freeze. Nothing makes them send before their timer goes off, and when it does,
 * one that has used up its tries is given up without another. So each of these gets one more.
 */
import type { Namespace } from '../namespace/namespace';
import { TCP, type TcpSocket } from '../netlink/sock-diag';
import { borrow } from './borrow';
import { setOption, TCP_SYNCNT } from './options';
import { readSetting } from './settings';
import { socketsOf, withHolders } from './sockets';
import type { HeldTimers } from './timers';

/** net/ipv4/tcp.c: MAX_TCP_SYNCNT */
const MAX_TCP_SYNCNT = 127;

/**
 * Sets TCP_SYNCNT to one more than the tries of each socket that would be given up once its timers are put back. The
 * option counts for nothing any more when the connection stands. To be called before the timers are put back.
 */
export function spareConnecting(namespace: Namespace, held: HeldTimers): void {
  const usedUp = socketsOf(namespace, [TCP.SYN_SENT]).filter(
    (socket) => socket.retries >= triesOf(namespace, socket, held),
  );
  for (const { holder, cookie, retries } of withHolders(usedUp, namespace)) {
    if (holder) borrow(holder, cookie, (fd) => setOption(fd, TCP_SYNCNT, Math.min(retries + 1, MAX_TCP_SYNCNT)));
  }
}

/** How many tries it will have: its own number or the namespace's, and the linear ones (kernel 6.5) on top. */
function triesOf(namespace: Namespace, { cookie }: TcpSocket, { settings, sockets }: HeldTimers): number {
  const own = sockets.find((socket) => socket.cookie === cookie)?.options.find(({ name }) => name === 'TCP_SYNCNT');
  const common = settings.find(({ name }) => name === 'tcp_syn_retries');
  const limit = (own ?? common)?.saved ?? Number.POSITIVE_INFINITY;
  return limit + (readSetting(namespace, 'tcp_syn_linear_timeouts') ?? 0);
}
