/** The thaw: our tables are taken away in one transaction, and that is verified. Works from the kernel alone (law 2). */

import { endKeepers } from '../hold/hold';
import { forgetWord, keptStates } from '../hold/keeper';
import { type Ledgers, nothingLost } from '../hold/ledger';
import { discover } from '../namespace/discover';
import { inside, type Namespace, type NamespaceId, release, sameNamespace } from '../namespace/namespace';
import { NETLINK, openNetlink } from '../netlink/socket';
import { NftRefusal } from '../nftables/engine';
import { familiesOfTable } from '../nftables/kernel';
import { Exit, Failure } from '../platform/failure';
import { isErrno, SystemError } from '../platform/libc';
import { removeCriuNote } from '../record/criu-note';
import {
  amendRecord,
  type FreezeRecord,
  listRecords,
  readRecord,
  removeRecord,
  stateName,
  wordFile,
} from '../record/record';
import { tableName } from '../ruleset/acceptance';
import { fileTarget } from '../target/target';
import { countAnew, isArmed } from './armed';
import { type Attempt, type Opened, onEach, resolveAll } from './group';
import { asThawing, ledgersOf } from './held/ledgers';
import { isTooLate, keptByOthers, type Released, releaseAndRemove } from './held/release';
import { holdingSignals } from './interruption';
import type { Machine } from './machine';
import { asFailure, emptyReport, type Operation, skewOf, standingReport, type TargetReport } from './report';
import { driftOf, foreignTable } from './state/drift';
import { isOurs, readStanding, type Standing } from './state/standing';
import { type KickRequest, planKick } from './tcp/kick';
import { noting, openSequel, type Sequel } from './tcp/sequel';
import { releaseTimers, timersOf } from './tcp/timers';

/** How to thaw, and what the user asked for beside the thaw itself. */
export interface ThawRequest {
  /** Drop what is held instead of giving it back. */
  discard: boolean;
  /** Take away what is armed as well. */
  disarm: boolean;
  kick: KickRequest;
}

/** Thaws the named targets; one that fails does not keep the others frozen. */
export const thaw = async (names: string[], request: ThawRequest, machine: Machine): Promise<Operation> =>
  thawTargets(await resolveAll(names), request, machine);

/** Thaws every namespace of the machine that has a freeze, or something that one has left behind. */
export const thawEverything = (request: ThawRequest, machine: Machine): Promise<Operation> =>
  thawTargets(touchedNamespaces(machine), request, machine);

/**
 * Thaws what this run of a systemd unit has frozen, by its records: whatever the names stand for by now, and no freeze of
 * anybody else.
 * @param names thawed by name only where the records of the run are lost, and where nobody's record is there either; none
 *   where the freeze may have failed, so that what stands there is somebody else's
 * @param run INVOCATION_ID
 */
export async function thawUnit(
  names: string[],
  run: string,
  request: ThawRequest,
  machine: Machine,
): Promise<Operation> {
  const own = namespacesOf(run, machine);
  if (own.length > 0) return thawTargets(own, request, machine);
  // A namespace that is gone has taken the run's freeze with it: what has its name now is not the run's.
  if (listRecords(machine.stateDirectory).some(({ invocation }) => invocation === run)) return nothingDone;
  const named = (await resolveAll(names)).filter(
    ({ failure }) => !['no-such-target', 'not-running'].includes(failure?.code ?? ''),
  );
  const lost = named.filter(({ target }) => {
    const isOthers = target !== null && readRecord(machine.stateDirectory, target.namespace) !== null;
    if (isOthers) release(target.namespace);
    return !isOthers;
  });
  return thawTargets(lost, request, machine);
}

const nothingDone: Operation = { targets: [], failure: null };

/**
 * The same for targets that are resolved; their namespaces are released at the end. A full or broken state directory must
 * not keep anything frozen: the kernel is what is thawed (law 2).
 */
export function thawTargets(attempts: Attempt[], request: ThawRequest, machine: Machine): Promise<Operation> {
  return holdingSignals(async () => {
    const sequel = openSequel(machine, attempts.length > 1);
    const moments: number[] = [];
    let kept: Set<string> | undefined;
    // One look at all processes is enough: a keeper that is started later has a freeze.
    const isKept = (state: string) => {
      kept ??= keptStates();
      return kept.has(state);
    };
    const thawed = () => moments.push(performance.now());
    const one = (target: Opened) => thawOne(target, request, machine, sequel, { thawed, isKept });
    const operation = await onEach(attempts, machine, one, { withoutState: true });
    return sequel.finish({ ...operation, ...skewOf(moments) });
  });
}

/** @param about `thawed` is called when traffic flows again; `isKept` tells whether there is a keeper of that state */
async function thawOne(
  target: Opened,
  request: ThawRequest,
  machine: Machine,
  sequel: Sequel,
  about: { thawed(): void; isKept(state: string): boolean },
): Promise<TargetReport> {
  const { site, name } = target;
  const record = readRecord(machine.stateDirectory, site.namespace);
  const standing = readStanding(site);
  const report = emptyReport(name, site.namespace);
  const notes: string[] = [...target.notes];
  if (!standing) {
    if (record?.phase === 'frozen') notes.push('the record said frozen, but the kernel showed no freeze');
    const state = stateName(site.namespace);
    if (about.isKept(state) && endKeepers(state) > 0) notes.push('a keeper without a freeze was ended');
    notes.push(...releaseTimers(site.namespace, timersOf(record)));
    notes.push(...noting(() => removeRecord(machine.stateDirectory, site.namespace)));
    notes.push(...noting(() => removeCriuNote(machine.stateDirectory, site.namespace)));
    return { ...report, verified: true, notes };
  }
  if (!isOurs(standing, record)) throw foreignTable(name);
  if (isArmed(standing, record) && record.phase === 'armed' && !request.disarm) {
    return { ...standingReport(report, standing, record, 'thawed'), armed: true, lease: null, verified: true, notes };
  }
  const drift = await driftNotes(target, standing, record);
  notes.push(...drift.notes);
  const stays = record?.armed != null && !request.disarm && !drift.hasDrifted && record.phase !== 'freezing';
  if (record?.armed && drift.hasDrifted) notes.push('it is no longer armed');
  const isLate = isTooLate(site, standing, record);
  const how = request.discard || isLate ? 'discard' : 'release';
  if (how === 'release') refuseUnseenKeeper(target, standing, record);
  const lostSoFar = ledgersOf(site, standing, machine, record);
  const thawing = record && asThawing(site, record, how, machine);
  if (record && thawing) notes.push(...noting(() => writeThawing(machine, record, thawing)));
  const before = standingReport(report, standing, record, 'thawed');
  const plan = planKick(site.namespace, needsKick(how, lostSoFar), request.kick, notes);
  const released = await remove(target, how, thawing, machine, stays);
  about.thawed();
  if (released) notes.push(...heldNotes(released.held, request, isLate), ...interruptionNotes(record));
  if (stays) requireEmpty(target);
  const last = stays && thawing ? { ...thawing, generation: countAnew(site, standing) } : record;
  const after = await sequel.follow(target, plan, last, stays);
  notes.push(...after.notes);
  notes.push(...noting(() => removeCriuNote(machine.stateDirectory, site.namespace)));
  const armed = stays ? { armed: true as const } : {};
  return { ...before, ...armed, lease: null, verified: true, changed: true, ...released, kicked: after.kicked, notes };
}

/** What stays armed must stop nothing. */
function requireEmpty({ site, name }: Opened): void {
  const standing = readStanding(site);
  if (standing?.lease.state === 'ended') return;
  throw new Failure('not-verified', Exit.verificationFailed, `${name}: its lease was emptied, and is not empty`, {
    suggestions: ['something else changes nftables in this namespace: find it, or try again'],
  });
}

/** What somebody else holds can't be given back, and would be lost without a word (law 7). */
function refuseUnseenKeeper({ site, name }: Opened, standing: Standing, record: FreezeRecord | null): void {
  if (standing.freezing?.mode !== 'steal' && !record?.hold) return;
  const kept = keptByOthers(site, record);
  if (kept === 0) return;
  throw new Failure(
    'keeper-unseen',
    Exit.notPermitted,
    `${name}: ${kept} packets are held by a process that is no keeper, or that can't be seen from here; it stays frozen`,
    {
      suggestions: [
        'run netfreeze where the keeper was started: in the process namespace of the machine, as the same user',
        `give them up: netfreeze off ${name} --discard`,
      ],
    },
  );
}

/** What the keeper has left word of is in the record from now on. */
function writeThawing({ stateDirectory }: Machine, record: FreezeRecord, { phase, hold }: FreezeRecord): void {
  try {
    amendRecord(stateDirectory, record, { phase, hold });
  } finally {
    // Also where it could not be written: counted twice, it would hide what was lost.
    if (hold?.left) forgetWord(wordFile(stateDirectory, record.namespace));
  }
}

/** Where every packet was held and is given back, TCP needs no kick; and what was discarded is to be forgotten. */
const needsKick = (how: 'release' | 'discard', held: Ledgers | null): boolean =>
  held === null || (how === 'release' && !nothingLost(held));

const interruptionNotes = (record: FreezeRecord | null): string[] =>
  record?.phase === 'thawing'
    ? ['an earlier thaw was interrupted: what left the queues after it had begun is counted as given back']
    : [];

/** The discarded are lost, and it is said why. */
function heldNotes(held: Ledgers, { discard }: ThawRequest, isLate: boolean): string[] {
  if (nothingLost(held) || (!discard && !isLate)) return [];
  return [
    discard ? 'what was held was discarded' : 'what was held still, long after the lease had ended, was discarded',
  ];
}

async function remove(
  { site, name }: Opened,
  how: 'release' | 'discard',
  record: FreezeRecord | null,
  machine: Machine,
  stays: boolean,
): Promise<Released | null> {
  try {
    return await releaseAndRemove(site, machine, how, record, { stays });
  } catch (cause) {
    if (!(cause instanceof NftRefusal || cause instanceof SystemError)) throw cause;
    const [who, answer] = cause instanceof NftRefusal ? ['nft', cause.answer.trim()] : ['the kernel', cause.message];
    throw new Failure(
      'thaw-refused',
      Exit.verificationFailed,
      `${who} refused to thaw ${name}, ${stillFrozen(site) ? 'which stays frozen' : 'which lets packets pass, but is not tidied up'}: ${answer}`,
      {
        suggestions: ['try again; if it stays so, `nft delete table inet netfreeze` in the namespace'],
        cause,
      },
    );
  }
}

/** Some of a thaw may have been done before it was refused. */
function stillFrozen(site: Opened['site']): boolean {
  try {
    const standing = readStanding(site);
    return standing !== null && standing.lease.state !== 'ended';
  } catch {
    return true;
  }
}

/** A drifted freeze is thawed all the same, and said to have drifted. */
async function driftNotes(
  { site }: Opened,
  standing: Standing,
  record: FreezeRecord | null,
): Promise<{ notes: string[]; hasDrifted: boolean }> {
  const notes = record ? [] : ['there was no record of this freeze'];
  const drifted = (how: string) => ({ notes: [...notes, `it had drifted: ${how}`], hasDrifted: true });
  try {
    const drift = await driftOf(site, standing, record);
    if (drift) return drifted(drift);
  } catch (error) {
    return drifted(asFailure(error).message);
  }
  const isEnded = standing.lease.state === 'ended' && record?.phase !== 'armed';
  return { notes: isEnded ? [...notes, 'its lease had ended; traffic was flowing already'] : notes, hasDrifted: false };
}

/** The namespaces that a run of a unit has frozen, pinned, under the names that they had then. */
function namespacesOf(run: string, { stateDirectory }: Machine): Attempt[] {
  const records = listRecords(stateDirectory).filter(({ invocation }) => invocation === run);
  if (records.length === 0) return [];
  const isMeant = (id: NamespaceId) => records.some(({ namespace }) => sameNamespace(namespace, id));
  return discover(isMeant).flatMap(({ namespace }): Attempt[] => {
    const record = readRecord(stateDirectory, namespace);
    if (record?.invocation !== run) {
      release(namespace);
      return [];
    }
    const { target: name } = record;
    return [{ name, target: { ...fileTarget(name, namespace, ''), stillThere: () => true }, failure: null }];
  });
}

/** Every namespace that has a table of our name, a record or a keeper, pinned. */
function touchedNamespaces({ stateDirectory }: Machine): Attempt[] {
  const kept = keptStates();
  return discover().flatMap(({ name, namespace }): Attempt[] => {
    const isTouched =
      kept.has(stateName(namespace)) || readRecord(stateDirectory, namespace) !== null || hasTable(namespace);
    if (!isTouched) {
      release(namespace);
      return [];
    }
    return [{ name, target: { ...fileTarget(name, namespace, ''), stillThere: () => true }, failure: null }];
  });
}

function hasTable(namespace: Namespace): boolean {
  try {
    const netfilter = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
    try {
      return familiesOfTable(netfilter, tableName).length > 0;
    } finally {
      netfilter.close();
    }
  } catch (error) {
    if (isErrno(error, 'EPERM')) return false; // One of another user namespace, say.
    throw error;
  }
}
