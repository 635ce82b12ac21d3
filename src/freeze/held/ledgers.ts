/** What became of a steal's packets: from the kernel's counts, the keeper's word, and the record of a thaw that died (law 7). */
import { queuesOf } from '../../hold/hold';
import { readWord } from '../../hold/keeper';
import { type Ledger, type Ledgers, ledgerOf, releasedBy } from '../../hold/ledger';
import type { QueueState } from '../../hold/queue';
import { type FreezeRecord, type Left, wordFile } from '../../record/record';
import type { QueueNumbers } from '../../ruleset/queue-numbers';
import type { Machine, Site } from '../machine';
import type { Standing } from '../state/standing';
import { numbersIn } from './queues';

/** How often the kernel's table is read before packets are called lost. */
const readings = 5;

/** @returns what became of the packets so far, of a steal that stands; null for any other freeze */
export function ledgersOf(
  site: Site,
  standing: Standing,
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
  record: FreezeRecord | null,
): Ledgers | null {
  const numbers = standing.freezing?.mode === 'steal' ? numbersIn(site) : null;
  if (!numbers) return null;
  const { in: incoming, out } = leftSoFar(site, numbers, stateDirectory, record);
  const queues = queuesOf(site.namespace, numbers);
  const of = (direction: 'in' | 'out', { gone, released }: Left) => {
    const queue = queues[direction];
    // What is not gone is held, or on its way into the queue.
    const held = queue && Math.max(queue.held, queue.sequence - queue.userDropped - gone);
    return ledgerOf({
      met: standing.counters[direction].packets,
      queue: queue && { ...queue, held: held ?? 0 },
      released,
    });
  };
  return { in: of('in', incoming), out: of('out', out) };
}

/**
 * @returns the record of a thaw that begins: one that finds it interrupted knows what became of the packets
 */
export function asThawing(
  site: Site,
  record: FreezeRecord,
  how: 'release' | 'discard',
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
): FreezeRecord {
  const { hold } = record;
  const numbers = hold && numbersIn(site, hold.keeper);
  if (!numbers) return { ...record, phase: 'thawing' };
  const left = leftSoFar(site, numbers, stateDirectory, record);
  return { ...record, phase: 'thawing', hold: { ...hold, thaw: how, left } };
}

/**
 * What has left the queues. Without a verdict the kernel has thrown it away; a keeper leaves word of what it gave back; a
 * thaw that was interrupted gave back what left after it had begun.
 */
export function leftSoFar(
  site: Site,
  numbers: QueueNumbers,
  stateDirectory: string,
  record: FreezeRecord | null,
): { in: Left; out: Left } {
  const word = readWord(wordFile(stateDirectory, site.namespace));
  const hold = record?.hold ?? null;
  const of = (direction: 'in' | 'out', gone: number | null): Left => {
    const before = hold?.left?.[direction] ?? { gone: 0, released: 0 };
    // Nothing is bound any more: what is known is what was written down.
    if (gone === null) return { gone: before.gone, released: before.released + releasedBy(word, direction) };
    const since = hold?.thaw === 'release' ? Math.max(0, gone - before.gone) : releasedBy(word, direction);
    return { gone, released: Math.min(gone, before.released + since) };
  };
  // The kernel's table is read without a lock, and a packet on its way into the queue can look like one that has left and
  // is lost: the least of several readings is right, with time between them where it matters.
  const read = (least: { in: number; out: number }) => {
    const queues = queuesOf(site.namespace, numbers);
    return {
      in: of('in', queues.in && Math.min(least.in, goneFrom(queues.in))),
      out: of('out', queues.out && Math.min(least.out, goneFrom(queues.out))),
    };
  };
  let left = read({ in: Number.POSITIVE_INFINITY, out: Number.POSITIVE_INFINITY });
  for (let reading = 1; reading < readings && isLoss(left); reading += 1) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    left = read({ in: left.in.gone, out: left.out.gone });
  }
  return left;
}

const isLoss = (left: { in: Left; out: Left }): boolean =>
  left.in.gone > left.in.released || left.out.gone > left.out.released;

const goneFrom = (queue: QueueState): number => Math.max(0, queue.sequence - queue.userDropped - queue.held);

/**
 * @param met how many packets met the freezing rule
 * @param before what had left the queue before the thaw
 * @returns the ledger of one direction at the end of a thaw
 */
export function afterThaw(met: number, queue: QueueState | null, before: Left, how: 'release' | 'discard'): Ledger {
  const passed = queue ? goneFrom(queue) - (before.gone - before.released) : before.released;
  const { held, released, lost } = ledgerOf({ met, queue, released: how === 'release' ? passed : before.released });
  // The table goes now, and what is held still goes with it.
  return { held: 0, released, lost: lost + held };
}
