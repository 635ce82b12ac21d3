/**
 * What was already behind our chains when they came into force must be gone before a freeze is called one: datagrams
 * that wait for a neighbour's address, and what stands in the devices' queues.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readQueues } from '../../hold/queue';
import { links, queueingDisciplines, removeNeighbour, unresolvedNeighbours } from '../../netlink/route';
import { Exit, Failure } from '../../platform/failure';
import { isErrno } from '../../platform/libc';
import { shown } from '../../platform/text';
import type { Mode, Plan } from '../../ruleset/plan';
import type { Site } from '../machine';

/** How long queues may take to run empty, and how often they are looked at, in milliseconds. */
const patience = 3000;
const interval = 2;

/**
 * Throws away what waits for neighbours (in mode steal it waits for them) and waits until the queues are empty.
 * @param plan what is frozen: in mode steal its own queues hold packets, and shall
 * @throws Failure `not-settled` when a queue still holds packets after 3 s
 */
export async function settle(site: Site, name: string, plan: Pick<Plan, 'mode' | 'queues'>): Promise<void> {
  const deadline = performance.now() + patience;
  const own: number[] = plan.mode === 'steal' ? Object.values(plan.queues) : [];
  await settleNeighbours(site, plan.mode);
  for (;;) {
    const waiting = queueingDisciplines(site.route).filter(({ queued }) => queued > 0);
    const held = heldByOthers(site, own);
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
const heldByOthers = ({ namespace }: Site, own: number[]): number =>
  readQueues(namespace)
    .filter(({ number }) => !own.includes(number))
    .reduce((sum, { held }) => sum + held, 0);

const stillHeld = (name: string, held: number) =>
  new Failure(
    'not-settled',
    Exit.verificationFailed,
    `${name}: another program's NFQUEUE still held ${held} packets after ${patience / 1000} s; they could go on during the freeze`,
    { suggestions: ['let that program empty its queue, or stop it, and try again'] },
  );

/**
 * Deals with the packets that wait for a neighbour's address. In mode drop the neighbours that are still asked for are
 * removed, and the packets with them. In mode steal they are waited for: discovery passes a freeze, and whoever answers does
 * so at once. Who has not answered after 3 s does not answer: the kernel itself gives up then, and so do we.
 */
export async function settleNeighbours(site: Site, mode: Mode): Promise<void> {
  const deadline = performance.now() + patience;
  while (mode === 'steal' && unresolvedNeighbours(site.route).length > 0 && performance.now() < deadline) {
    await sleep(interval);
  }
  for (const neighbour of unresolvedNeighbours(site.route)) {
    try {
      removeNeighbour(site.route, neighbour);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}
