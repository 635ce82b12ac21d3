/** The thaw of a steal, in the order of law 4: while packets are held no hook is removed, or the kernel throws them away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { endKeepers, findHold, ownerOf, queuesOf } from '../hold/hold';
import { endKeeper, forgetWord, type Keeper, readWord, type Word } from '../hold/keeper';
import { type Ledger, type Ledgers, ledgerOf, releasedBy } from '../hold/ledger';
import type { QueueSocket, QueueState } from '../hold/queue';
import { commit, flushSet } from '../nftables/batch';
import type { Count } from '../nftables/kernel';
import { type FreezeRecord, monotonicMs, stateName, wordFile } from '../record/record';
import { leaseSet, tableName } from '../ruleset/acceptance';
import type { QueueNumbers } from '../ruleset/queue-numbers';
import type { Machine, Site } from './machine';
import { numbersIn } from './queues';
import { ourFamilies, removeTables } from './remove';
import { readStanding, type Standing } from './standing';

/** What a thaw tells of the packets: counted when none came any more. */
export interface Released {
  held: Ledgers;
  counters: { in: Count; out: Count };
}

const none: Count = { packets: 0, bytes: 0 };

/** How long the queues may take to run empty once nothing comes to them any more, in milliseconds. */
const patience = 2000;
/** What was held for longer than this after its lease had ended helps nobody, in milliseconds. */
const tooLateMs = 1000;

/**
 * Takes a steal away: accept what is held, empty the lease (the hooks stay), accept what came meanwhile, and only when the
 * queues are empty remove the table.
 * @param how `discard` drops what is held instead
 * @param known the keeper, where a record names it
 * @param own the bound socket, where this process still has it: the keeper may have died
 * @returns what became of the packets; null for a freeze that held none
 */
export async function releaseAndRemove(
  site: Site,
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
  how: 'release' | 'discard',
  known: Keeper | null = null,
  own: QueueSocket | null = null,
): Promise<Released | null> {
  const numbers = numbersIn(site, known);
  if (!numbers) {
    await removeTables(site);
    return null;
  }
  const state = stateName(site.namespace);
  const file = wordFile(stateDirectory, site.namespace);
  const hold = findHold(site.namespace, state, numbers, known) ?? ownHold(site, numbers, own);
  const word = readWord(file);
  const thrownAway = thrownAwayBefore(site, numbers, word);
  const verdict = how === 'release' ? 'accept' : 'drop';
  const empty = ourFamilies(site).map((family) => flushSet(family, tableName, leaseSet));
  // From here to the last verdict nothing else happens: a datagram that comes meanwhile could overtake those that are held.
  if (how === 'release') hold?.beginThaw();
  hold?.decideInTurns(verdict, queuesOf(site.namespace, numbers));
  hold?.decide(verdict);
  hold?.decide(verdict);
  if (empty.length > 0) commit(site.netfilter, empty);
  hold?.decide(verdict);
  if (hold) await untilEmpty(site, numbers, () => hold.decide(verdict));

  const queues = queuesOf(site.namespace, numbers);
  const counters = readStanding(site)?.counters ?? { in: none, out: none };
  const count = (direction: 'in' | 'out') =>
    afterThaw(counters[direction].packets, queues[direction], thrownAway[direction], releasedBy(word, direction), how);
  const held = { in: count('in'), out: count('out') };
  await removeTables(site);
  hold?.close();
  if (hold?.keeper) endKeeper(hold.keeper);
  endKeepers(state);
  forgetWord(file);
  return { held, counters };
}

/** A hold by this process alone. */
function ownHold({ namespace }: Site, numbers: QueueNumbers, own: QueueSocket | null) {
  if (!own || ownerOf(queuesOf(namespace, numbers)) !== own.port) return null;
  const decide = (verdict: 'accept' | 'drop') => own.decide(verdict, numbers);
  return { keeper: null, decide, decideInTurns() {}, beginThaw() {}, close() {} };
}

/**
 * What is held of a lease that ended a while ago is discarded by whoever finds it.
 * @returns whether the lease ended more than a second ago, as far as anybody knows
 */
export const isTooLate = (standing: Standing, record: FreezeRecord | null): boolean =>
  standing.lease.state === 'ended' &&
  (record?.leaseUntilMs == null || monotonicMs() - record.leaseUntilMs > tooLateMs) &&
  // A thaw that was interrupted has emptied the lease itself.
  record?.phase !== 'thawing';

/** @returns what became of the packets so far, of a steal that stands; null for any other freeze */
export function ledgersOf(
  site: Site,
  standing: Standing,
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
): Ledgers | null {
  const numbers = standing.freezing?.mode === 'steal' ? numbersIn(site) : null;
  if (!numbers) return null;
  const queues = queuesOf(site.namespace, numbers);
  const word = readWord(wordFile(stateDirectory, site.namespace));
  const of = (direction: 'in' | 'out') =>
    ledgerOf({
      met: standing.counters[direction].packets,
      queue: queues[direction],
      released: releasedBy(word, direction),
    });
  return { in: of('in'), out: of('out') };
}

/**
 * Packets that the kernel had thrown away before the thaw: what left a queue without a verdict. The kernel's table is read
 * without a lock, and a packet on its way into the queue can look like one that has left: the least of several readings is right.
 */
function thrownAwayBefore(site: Site, numbers: QueueNumbers, word: Word | null): { in: number; out: number } {
  const least = { in: Number.POSITIVE_INFINITY, out: Number.POSITIVE_INFINITY };
  for (let reading = 0; reading < 3; reading += 1) {
    const queues = queuesOf(site.namespace, numbers);
    for (const direction of ['in', 'out'] as const) {
      const gone = ledgerOf({
        met: 0,
        queue: withoutDrops(queues[direction]),
        released: releasedBy(word, direction),
      }).lost;
      least[direction] = Math.min(least[direction], gone);
    }
  }
  return least;
}

const withoutDrops = (queue: QueueState | null): QueueState | null =>
  queue && { ...queue, sequence: queue.sequence - queue.userDropped, dropped: 0, userDropped: 0 };

function afterThaw(
  met: number,
  queue: QueueState | null,
  thrownAway: number,
  before: number,
  how: 'release' | 'discard',
): Ledger {
  const passed = queue ? queue.sequence - queue.userDropped - queue.held - thrownAway : before;
  const { held, released, lost } = ledgerOf({ met, queue, released: how === 'release' ? passed : before });
  // The table goes now, and what is held still goes with it.
  return { held: 0, released, lost: lost + held };
}

/** Twice empty, so that a packet that was between the lease and the queue on another processor has come to it. */
async function untilEmpty(site: Site, numbers: QueueNumbers, decide: () => void): Promise<void> {
  const deadline = performance.now() + patience;
  for (let empties = 0; empties < 2 && performance.now() < deadline; await sleep(1)) {
    const { in: incoming, out } = queuesOf(site.namespace, numbers);
    if ((incoming?.held ?? 0) + (out?.held ?? 0) === 0) empties += 1;
    else {
      empties = 0;
      decide();
    }
  }
}
