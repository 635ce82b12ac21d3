/**
 * What was already behind our chains when they came into force must be gone before a freeze is called one: datagrams
 * that wait for a neighbour's address, and what stands in the devices' queues.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { links, queueingDisciplines, removeNeighbour, unresolvedNeighbours } from '../netlink/route';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import { shown } from '../platform/text';
import type { Site } from './machine';

/** How long queues may take to run empty, and how often they are looked at, in milliseconds. */
const patience = 3000;
const interval = 2;

/**
 * Throws away what waits for neighbours and waits until the queues are empty.
 * @throws Failure `not-settled` when a queue still holds packets after 3 s
 */
export async function settle(site: Site, name: string): Promise<void> {
  const deadline = performance.now() + patience;
  forgetUnresolvedNeighbours(site);
  for (;;) {
    const waiting = queueingDisciplines(site.route).filter(({ queued }) => queued > 0);
    if (waiting.length === 0) return;
    if (performance.now() > deadline) {
      const devices = links(site.route);
      const names = waiting.map(({ index }) =>
        shown(devices.find((link) => link.index === index)?.name ?? `#${index}`),
      );
      const queued = Math.max(...waiting.map((discipline) => discipline.queued));
      throw new Failure(
        'not-settled',
        Exit.verificationFailed,
        `${name}: ${queued} packets still stood in the queue of ${[...new Set(names)].join(', ')} after ${patience / 1000} s; they would have left during the freeze`,
        { suggestions: ['wait until the queue is shorter, or look at its rate with `tc -s qdisc`'] },
      );
    }
    await sleep(interval);
  }
}

/**
 * Removes the neighbours whose address is still being asked for, and the packets that wait for it with them. Traffic
 * that passes the freeze makes new ones at once; so they are removed, and not waited for.
 */
export function forgetUnresolvedNeighbours(site: Site): void {
  for (const neighbour of unresolvedNeighbours(site.route)) {
    try {
      removeNeighbour(site.route, neighbour);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}
