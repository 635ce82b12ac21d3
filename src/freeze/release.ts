/** The thaw of a steal, in the order of law 4: while packets are held no hook is removed, or the kernel throws them away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { endKeepers, findHold, ownerOf, queuesOf } from '../hold/hold';
import { endKeeper, findKeepers, forgetWord, leaseLeftOf, readWord } from '../hold/keeper';
import { type Ledger, type Ledgers, ledgerOf, releasedBy } from '../hold/ledger';
import type { QueueSocket, QueueState } from '../hold/queue';
import { commit, flushSet } from '../nftables/batch';
import type { Count } from '../nftables/kernel';
import { type FreezeRecord, monotonicMs, stateName, type ThawRecord, wordFile } from '../record/record';
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

/** What became of the packets that have left the queues. */
interface Left {
  released: number;
  lost: number;
}

/** How long the queues may take to run empty once nothing comes to them any more, in milliseconds. */
const patience = 2000;
/** What was held for longer than this after its lease had ended helps nobody, in milliseconds. */
const tooLateMs = 1000;
/** How often the keeper is told that the thaw goes on, in milliseconds; it waits for 200. */
const tellEveryMs = 50;

/**
 * Takes a steal away: accept what is held, empty the lease (the hooks stay), accept what came meanwhile, and only when the
 * queues are empty remove the table.
 * @param how `discard` drops what is held instead
 * @param record of the freeze, by asThawing() where this thaw is the user's wish
 * @param own the bound socket, where this process still has it: the keeper may have died
 * @returns what became of the packets; null for a freeze that held none
 */
export async function releaseAndRemove(
  site: Site,
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
  how: 'release' | 'discard',
  record: FreezeRecord | null = null,
  own: QueueSocket | null = null,
): Promise<Released | null> {
  const known = record?.hold?.keeper ?? null;
  const numbers = numbersIn(site, known);
  if (!numbers) {
    await removeTables(site);
    return null;
  }
  const state = stateName(site.namespace);
  const file = wordFile(stateDirectory, site.namespace);
  const hold = findHold(site.namespace, state, numbers, known) ?? ownHold(site, numbers, own);
  const before = leftSoFar(site, numbers, stateDirectory, record);
  const verdict = how === 'release' ? 'accept' : 'drop';
  const empty = ourFamilies(site).map((family) => flushSet(family, tableName, leaseSet));
  // From here to the last verdict nothing else happens: a datagram that comes meanwhile could overtake those that are held.
  const tellKeeper = how === 'release' ? everySoOften(() => hold?.beginThaw()) : () => {};
  tellKeeper();
  hold?.decideInTurns(verdict, queuesOf(site.namespace, numbers), tellKeeper);
  hold?.decide(verdict);
  hold?.decide(verdict);
  if (empty.length > 0) commit(site.netfilter, empty);
  hold?.decide(verdict);
  if (hold) {
    await untilEmpty(site, numbers, () => {
      tellKeeper();
      hold.decide(verdict);
    });
  }

  const queues = queuesOf(site.namespace, numbers);
  const counters = readStanding(site)?.counters ?? { in: none, out: none };
  const count = (direction: 'in' | 'out') =>
    afterThaw(counters[direction].packets, queues[direction], before[direction], how);
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

/** @returns an action that does nothing when it was done a moment ago */
function everySoOften(action: () => void): () => void {
  let next = 0;
  return () => {
    if (performance.now() < next) return;
    action();
    next = performance.now() + tellEveryMs;
  };
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
 * What is held of a lease that ended a while ago is discarded by whoever finds it.
 * @returns whether the lease ended more than a second ago, as far as anybody knows
 */
export function isTooLate({ namespace }: Site, standing: Standing, record: FreezeRecord | null): boolean {
  // A thaw that was interrupted has emptied the lease itself.
  if (standing.lease.state !== 'ended' || record?.phase === 'thawing') return false;
  if (record?.leaseUntilMs != null) return monotonicMs() - record.leaseUntilMs > tooLateMs;
  // Without a record its keeper knows; without a keeper nothing is held.
  const ends = findKeepers(stateName(namespace)).map(leaseLeftOf);
  return ends.length > 0 && ends.every((left) => left !== null && left < -tooLateMs);
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
 * What has left the queues. Without a verdict the kernel has thrown it away; a keeper leaves word of what it gave back; a
 * thaw that was interrupted gave back what left after it had begun. The kernel's table is read without a lock, and a
 * packet on its way into the queue can look like one that has left: the least of several readings is right.
 */
function leftSoFar(
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

function afterThaw(met: number, queue: QueueState | null, before: Left, how: 'release' | 'discard'): Ledger {
  const passed = queue ? goneFrom(queue) - before.lost : before.released;
  const { held, released, lost } = ledgerOf({ met, queue, released: how === 'release' ? passed : before.released });
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
