/** A command under a freeze: frozen and proven before it starts, proven again when it has ended, and thawed whatever happens. */
import { freezeTargets } from '../freeze/freeze';
import { keepStanding } from '../freeze/keep';
import type { Machine } from '../freeze/machine';
import { forOperation, type Pinned, pinAll, releaseAll } from '../freeze/pinned';
import { asFailure, type Operation, type TargetReport } from '../freeze/report';
import type { KickRequest } from '../freeze/tcp/kick';
import { thawTargets } from '../freeze/thaw';
import { openVigil, type Vigil } from '../freeze/vigil';
import type { FreezeRequest } from '../freeze/work';
import { Exit, type Failure } from '../platform/failure';
import { readRecord, recordFile } from '../record/record';
import { attend, type Course } from './attend';
import { prepareCommand, type Startable, startCommand } from './command';
import { lookAtCommand } from './criu/command';
import { listeningForSignals, type Signals } from './signals';
import { type CommandReport, type Judgement, judge, rollBackFailed, stayFailed } from './verdict';

/** How to run a command under a freeze. */
export interface RunRequest {
  freeze: FreezeRequest;
  kick: KickRequest;
  /** Whether the targets stay frozen after success, and how long: for another whole lease, or without an end. */
  stay: 'same' | 'endless' | null;
  /** How long the command may take, in milliseconds; null: as long as it likes. */
  timeoutMs: number | null;
}

export interface RunOutcome {
  /** What stands at the end. */
  operation: Operation;
  /** null where it did not come to it. */
  command: CommandReport | null;
  /** Why the run is no success; its exit status is the run's. */
  failure: Failure | null;
  notes: string[];
}

/**
 * Runs a command under a freeze of its targets.
 * @param names the targets, as people write them
 * @param words the command: a program and its arguments
 * @param onFrozen is told when the freeze is proven, before the command starts, with what a person should know of it
 * @throws Failure `no-program`, `no-setpriv`, `steal-beside-lock` before anything is touched
 */
export async function runUnderFreeze(
  names: string[],
  words: readonly string[],
  request: RunRequest,
  machine: Machine,
  onFrozen: (frozen: Operation, notes: string[]) => void,
): Promise<RunOutcome> {
  const startable = prepareCommand(words);
  const notes = lookAtCommand(words, request.freeze.plan.mode, { stays: request.stay !== null });
  const { targets, failed } = await pinAll(names);
  // The freeze says what is wrong with each name.
  if (failed) return onlyFrozen(await freezeTargets(failed, request.freeze, machine));
  try {
    return await listeningForSignals(async (signals) => {
      const frozen = await freezeTargets(forOperation(targets), request.freeze, machine);
      if (frozen.failure || request.freeze.dryRun) return onlyFrozen(frozen);
      onFrozen(frozen, notes);
      const course = await underVigil(targets, frozen, startable, request, machine, signals);
      return finish(targets, frozen, judge(course, words), course, request, machine);
    });
  } finally {
    releaseAll(targets);
  }
}

const onlyFrozen = (operation: Operation): RunOutcome => ({
  operation,
  command: null,
  failure: operation.failure,
  notes: [],
});

/** Whatever goes wrong here is told, so that what follows is the thaw. */
async function underVigil(
  targets: Pinned,
  frozen: Operation,
  startable: Startable,
  request: RunRequest,
  machine: Machine,
  signals: Signals,
): Promise<Course> {
  let vigil: Vigil | null = null;
  const nothing = { ending: null, stopped: null, objection: null, tookMs: 0, criuLocks: [] };
  try {
    vigil = openVigil(targets, frozen, machine);
    const objection = await vigil.prove();
    if (objection !== null) return { ...nothing, objection };
    const early = signals.came();
    if (early !== null) return { ...nothing, stopped: { why: 'interrupted', signal: early } };
    const command = startCommand(startable, environmentOf(frozen.targets, machine));
    return await attend(command, vigil, signals, { leaseMs: request.freeze.plan.lease, timeoutMs: request.timeoutMs });
  } catch (error) {
    return { ...nothing, stopped: { why: 'fault', failure: asFailure(error) } };
  } finally {
    vigil?.close();
  }
}

/** What the command is told; of several targets each has a line. */
function environmentOf(reports: TargetReport[], { stateDirectory }: Machine): Record<string, string> {
  const lines = (of: (report: TargetReport) => string) => reports.map(of).join('\n');
  return {
    NETFREEZE_TARGET: lines(({ target }) => target),
    NETFREEZE_NAMESPACE: lines(({ namespace }) => String(namespace?.inode ?? '')),
    NETFREEZE_MODE: reports[0]?.mode ?? '',
    NETFREEZE_RECORD: lines(({ namespace }) => (namespace ? recordFile(stateDirectory, namespace) : '')),
  };
}

/** The end of the freeze: it is thawed, or it stays where that was asked for and all went well. */
async function finish(
  targets: Pinned,
  frozen: Operation,
  { failure, report }: Judgement,
  course: Course,
  request: RunRequest,
  machine: Machine,
): Promise<RunOutcome> {
  if (failure === null && request.stay !== null) {
    const lease = request.stay === 'same' ? null : 'endless';
    const kept = await patiently(async () => keepStanding(forOperation(targets), lease, machine));
    if (!kept.failure) {
      const notes = targets.filter((target) => !target.stillThere()).map(endedText);
      return { operation: withTimings(kept, frozen), command: report, failure: null, notes };
    }
    // A thaw would tell the peers of what was just saved that it is gone: the freeze is left, with its lease.
    return { operation: withTimings(kept, frozen), command: report, failure: stayFailed(kept.failure), notes: [] };
  }
  const thaw = { discard: false, disarm: false, kick: request.kick };
  const own = targets.filter((target) => isOwn(target, machine));
  const others = targets.filter((target) => !own.includes(target)).map(othersText);
  const thawed = await patiently(async () => thawTargets(forOperation(own), thaw, machine));
  const decisive = thawed.failure ? rollBackFailed(thawed.failure, failure) : failure;
  const lost = course.criuLocks.length > 0 && request.freeze.plan.mode === 'steal';
  return {
    operation: withTimings(thawed, frozen),
    command: report,
    failure: decisive,
    notes: [...others, ...(lost ? [lostToCriu(course.criuLocks)] : [])],
  };
}

/** Another netfreeze may be at work on it just now, such as a `status` that does not end. */
async function patiently(work: () => Promise<Operation>): Promise<Operation> {
  for (let attempt = 1; ; attempt += 1) {
    const operation = await work().catch((error) => ({ targets: [], failure: asFailure(error) }));
    if (operation.failure?.exit !== Exit.busy || attempt === attempts) return operation;
  }
}

/** Each waits two seconds for the lock. */
const attempts = 5;

/** Whether what stands there is the freeze of this run, and not one that somebody else has made meanwhile. */
function isOwn({ namespace }: Pinned[number], { stateDirectory }: Machine): boolean {
  const run = readRecord(stateDirectory, namespace)?.run;
  return run === undefined || run?.pid === process.pid;
}

const othersText = ({ name }: Pinned[number]): string =>
  `${name} was frozen by somebody else meanwhile, and stays so: netfreeze off ${name}`;

const endedText = ({ name }: Pinned[number]): string =>
  `${name} has ended: where nothing else keeps its namespace, that is gone with it, and so is the freeze`;

const lostToCriu = (tables: string[]): string =>
  `CRIU put up its own lock beside this freeze (${tables.join(', ')}): when that goes, the kernel throws away what is held; give criu --network-lock skip`;

/** How long the freeze took stays in the report. */
const withTimings = (operation: Operation, frozen: Operation): Operation => ({
  ...operation,
  targets: operation.targets.map((report) => ({
    ...report,
    timings: frozen.targets.find(({ target }) => target === report.target)?.timings ?? null,
  })),
});
