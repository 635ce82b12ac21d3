/**
 * What was already behind our chains when they came into force must be gone before a freeze is called one: datagrams
 * that wait for a neighbour's address, and what stands in the devices' queues.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { inside } from '../namespace/namespace';
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
    const held = heldByQueues(site);
    if (waiting.length === 0 && held === 0) return;
    if (performance.now() > deadline && held > 0) throw stillHeld(name, held);
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

/** Packets that another program's NFQUEUE holds: it lets them go on behind our chains when it likes. */
function heldByQueues({ namespace }: Site): number {
  const table = inside(namespace, () => {
    try {
      return readFileSync('/proc/thread-self/net/netfilter/nfnetlink_queue', 'utf8');
    } catch {
      return ''; // A kernel without queues, or no process file system.
    }
  });
  // net/netfilter/nfnetlink_queue.c: queue number, port, packets held, …
  const lines = table.split('\n').filter((line) => line.trim() !== '');
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
}

const stillHeld = (name: string, held: number) =>
  new Failure(
    'not-settled',
    Exit.verificationFailed,
    `${name}: another program's NFQUEUE still held ${held} packets after ${patience / 1000} s; they could go on during the freeze`,
    { suggestions: ['let that program empty its queue, or stop it, and try again'] },
  );

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
