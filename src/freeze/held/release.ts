/** The thaw of a steal, in the order of law 4: while packets are held no hook is removed, or the kernel throws them away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BothQueues, endKeepers, findHold, ownerOf, queuesOf } from '../../hold/hold';
import { endKeeper, findKeepers, forgetWord, leaseLeftOf } from '../../hold/keeper';
import type { Ledgers } from '../../hold/ledger';
import type { QueueSocket } from '../../hold/queue';
import { commit, flushSet } from '../../nftables/batch';
import type { Count } from '../../nftables/kernel';
import { type FreezeRecord, monotonicMs, stateName, wordFile } from '../../record/record';
import { leaseSet, tableName } from '../../ruleset/acceptance';
import type { QueueNumbers } from '../../ruleset/queue-numbers';
import type { Machine, Site } from '../machine';
import { readStanding, type Standing } from '../state/standing';
import { afterThaw, leftSoFar } from './ledgers';
import { numbersIn } from './queues';
import { emptyLease, ourFamilies, removeTables } from './remove';

/** What a thaw tells of the packets: counted when none came any more. */
export interface Released {
  held: Ledgers;
  counters: { in: Count; out: Count };
}

const none: Count = { packets: 0, bytes: 0 };

/** How long the queues may take to run empty once nothing comes to them any more, in milliseconds. */
const patience = 2000;
/** How long a keeper that is asked by a signal may take, in milliseconds: it has other things to run first. */
const keeperPatience = 100;
/** What was held for longer than this after its lease had ended helps nobody, in milliseconds. */
const tooLateMs = 1000;
/** How often the keeper is told or asked something by a signal, in milliseconds; it waits for 200 before it acts by itself. */
const tellEveryMs = 50;

/**
 * Takes a steal away: accept what is held, empty the lease (the hooks stay), accept what came meanwhile, and only when the
 * queues are empty remove the table.
 * @param how `discard` drops what is held instead
 * @param record of the freeze, by asThawing() where this thaw is the user's wish
 * @param own the bound socket, where this process still has it: the keeper may have died
 * @param stays the tables stay, with an empty lease
 * @returns what became of the packets; null for a freeze that held none
 */
export async function releaseAndRemove(
  site: Site,
  { stateDirectory }: Pick<Machine, 'stateDirectory'>,
  how: 'release' | 'discard',
  record: FreezeRecord | null = null,
  { own = null, stays = false }: { own?: QueueSocket | null; stays?: boolean } = {},
): Promise<Released | null> {
  const known = record?.hold?.keeper ?? null;
  const numbers = numbersIn(site, known);
  if (!numbers) {
    if (stays) emptyLease(site);
    else removeTables(site);
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
  const waiting = queuesOf(site.namespace, numbers);
  hold?.decideInTurns(verdict, waiting, tellKeeper);
  hold?.decide(verdict);
  if (hold?.socket === null) await untilFewer(site, numbers, heldIn(waiting));
  hold?.decide(verdict);
  if (empty.length > 0) commit(site.netfilter, empty);
  hold?.decide(verdict);
  if (hold) {
    // Signals that come too fast keep a keeper from doing what they ask for: a fork begins anew at each (bash needs one).
    const again = hold.socket === null ? everySoOften(() => hold.decide(verdict)) : () => hold.decide(verdict);
    await untilEmpty(site, numbers, () => {
      tellKeeper();
      again();
    });
  }

  const queues = queuesOf(site.namespace, numbers);
  const counters = readStanding(site)?.counters ?? { in: none, out: none };
  const count = (direction: 'in' | 'out') =>
    afterThaw(counters[direction].packets, queues[direction], before[direction], how);
  const held = { in: count('in'), out: count('out') };
  if (!stays) removeTables(site);
  hold?.close();
  if (hold?.keeper) endKeeper(hold.keeper);
  endKeepers(state);
  forgetWord(file);
  return { held, counters };
}

/** @returns how many packets are held by a process that is none of our keepers, as far as it can be seen from here */
export function keptByOthers(site: Site, record: FreezeRecord | null): number {
  const known = record?.hold?.keeper ?? null;
  const numbers = numbersIn(site, known);
  const queues = numbers && queuesOf(site.namespace, numbers);
  if (!numbers || !queues || heldIn(queues) === 0) return 0;
  const hold = findHold(site.namespace, stateName(site.namespace), numbers, known);
  hold?.close();
  return hold ? 0 : heldIn(queues);
}

/** A hold by this process alone. */
function ownHold({ namespace }: Site, numbers: QueueNumbers, own: QueueSocket | null) {
  if (!own || ownerOf(queuesOf(namespace, numbers)) !== own.port) return null;
  const decide = (verdict: 'accept' | 'drop') => own.decide(verdict, numbers);
  return { keeper: null, socket: own, decide, decideInTurns() {}, beginThaw() {}, close() {} };
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

/** Twice empty, so that a packet that was between the lease and the queue on another processor has come to it. */
async function untilEmpty(site: Site, numbers: QueueNumbers, decide: () => void): Promise<void> {
  const deadline = performance.now() + patience;
  for (let empties = 0; empties < 2 && performance.now() < deadline; await sleep(1)) {
    if (heldIn(queuesOf(site.namespace, numbers)) === 0) empties += 1;
    else {
      empties = 0;
      decide();
    }
  }
}

/** Until a keeper that was asked by a signal has done it: the lease must stand for as long. */
async function untilFewer(site: Site, numbers: QueueNumbers, than: number): Promise<void> {
  const deadline = performance.now() + keeperPatience;
  while (than > 0 && heldIn(queuesOf(site.namespace, numbers)) >= than && performance.now() < deadline) await sleep(1);
}

const heldIn = ({ in: incoming, out }: BothQueues): number => (incoming?.held ?? 0) + (out?.held ?? 0);
