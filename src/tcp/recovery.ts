/** Whether connections have gone on after a thaw: a socket that still waits for an answer has not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Namespace } from '../namespace/namespace';
import { isOverdue, socketsOf } from './sockets';

/** How often is looked, in milliseconds. */
const interval = 5;

/**
 * Waits until the sockets that have waited in vain have had an answer; new ones are not waited for.
 * @param limitMs how long, at the most
 * @returns how many have had none by then
 */
export async function recovery(namespace: Namespace, limitMs: number): Promise<number> {
  const deadline = performance.now() + limitMs;
  let overdue = socketsOf(namespace).filter(isOverdue);
  while (overdue.length > 0 && performance.now() < deadline) {
    await sleep(interval);
    const now = new Map(socketsOf(namespace).map((socket) => [socket.cookie, socket]));
    overdue = overdue.filter(({ cookie }) => {
      const socket = now.get(cookie);
      return socket !== undefined && isOverdue(socket);
    });
  }
  return overdue.length;
}
