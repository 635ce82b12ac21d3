/** What became of a steal's packets: from the kernel's counts, the keeper's word, and the record of a thaw that died (law 7). */
import { queuesOf } from '../hold/hold';
import { readWord } from '../hold/keeper';
import { type Ledger, type Ledgers, ledgerOf, releasedBy } from '../hold/ledger';
import type { QueueState } from '../hold/queue';
import { type FreezeRecord, type ThawRecord, wordFile } from '../record/record';
import type { QueueNumbers } from '../ruleset/queue-numbers';
import type { Machine, Site } from './machine';
import { numbersIn } from './queues';
import type { Standing } from './standing';

/** What became of the packets that have left the queues. */
interface Left {
  released: number;
  lost: number;
}

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
  const of = (direction: 'in' | 'out', { released }: Left) =>
    ledgerOf({ met: standing.counters[direction].packets, queue: queues[direction], released });
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
  const { in: incoming, out } = leftSoFar(site, numbers, stateDirectory, record);
  const thaw: ThawRecord = { how, lost: { in: incoming.lost, out: out.lost } };
  return { ...record, phase: 'thawing', hold: { ...hold, thaw } };
}

/**
 * What has left the queues. Without a verdict the kernel has thrown it away; a keeper leaves word of what it gave back; a
 * thaw that was interrupted gave back what left after it had begun. The kernel's table is read without a lock, and a
 * packet on its way into the queue can look like one that has left: the least of several readings is right.
 */
export function leftSoFar(
  site: Site,
  numbers: QueueNumbers,
  stateDirectory: string,
  record: FreezeRecord | null,
): { in: Left; out: Left } {
  const word = readWord(wordFile(stateDirectory, site.namespace));
  const thaw = record?.phase === 'thawing' && record.hold?.thaw?.how === 'release' ? record.hold.thaw : null;
  const readings = [1, 2, 3].map(() => queuesOf(site.namespace, numbers));
  const of = (direction: 'in' | 'out'): Left => {
    const gone = Math.min(...readings.map((queues) => goneFrom(queues[direction])));
    const lost = Math.min(gone, thaw ? thaw.lost[direction] : Math.max(0, gone - releasedBy(word, direction)));
    return { released: thaw ? gone - lost : releasedBy(word, direction), lost };
  };
  return { in: of('in'), out: of('out') };
}

const goneFrom = (queue: QueueState | null): number =>
  queue ? Math.max(0, queue.sequence - queue.userDropped - queue.held) : 0;

/**
 * @param met how many packets met the freezing rule
 * @param before what had left the queue before the thaw
 * @returns the ledger of one direction at the end of a thaw
 */
export function afterThaw(met: number, queue: QueueState | null, before: Left, how: 'release' | 'discard'): Ledger {
  const passed = queue ? goneFrom(queue) - before.lost : before.released;
  const { held, released, lost } = ledgerOf({ met, queue, released: how === 'release' ? passed : before.released });
  // The table goes now, and what is held still goes with it.
  return { held: 0, released, lost: lost + held };
}
