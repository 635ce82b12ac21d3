/** Many targets, one operation: names resolved and pinned, locks held, sockets closed at the end. */
import { release } from '../namespace/namespace';
import { keepLowDescriptors } from '../platform/descriptors';
import { Failure } from '../platform/failure';
import { withLocks } from '../record/lock';
import { noMatch } from '../target/pattern';
import { expand, resolve, type Target } from '../target/target';
import { type Machine, openSite, type Site } from './machine';
import { asFailure, emptyReport, type Operation, reportedError, skewOf, type TargetReport } from './report';

/** A target that is open for work. */
export interface Opened extends Omit<Target, 'namespace'> {
  site: Site;
}

/** A name and what came of resolving it. */
export type Attempt =
  | { name: string; target: Target; failure: null }
  | { name: string; target: null; failure: Failure };

/** What an operation says of the targets that were opened: a report and a failure, or null, for each. */
export interface Outcome {
  reports: TargetReport[];
  failures: Array<Failure | null>;
  /** performance.now() when each target was changed that was. */
  moments?: number[];
}

/** So many targets take no more descriptors than any library can use. */
const few = 100;

/** Resolves and pins every name, and all that a pattern matches, each name once; what fails is kept beside the name. */
export async function resolveAll(names: string[]): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  const done = new Set<string>();
  if (names.length > few) keepLowDescriptors();
  for (const name of names) {
    try {
      const found = await expand(name);
      const wanted = found.filter((one) => !done.has(one));
      if (wanted.length > few) keepLowDescriptors();
      let stopped: Failure | null = null;
      for (const one of wanted) {
        done.add(one);
        // What does not run is passed by where nobody has named it.
        const target = await resolve(one).catch((error: unknown) => {
          if (one === name || !isStopped(error)) throw error;
          stopped = error;
          return null;
        });
        if (target) attempts.push({ name: one, target, failure: null });
      }
      if (stopped && !attempts.some((attempt) => wanted.includes(attempt.name))) {
        throw noMatch(name, [...(stopped as Failure).suggestions], wanted.length);
      }
    } catch (error) {
      attempts.push({ name, target: null, failure: asFailure(error) });
    }
  }
  return attempts;
}

const isStopped = (error: unknown): error is Failure => error instanceof Failure && error.code === 'not-running';

/**
 * Takes all the locks and runs one operation on all targets; where one name does not resolve, nothing is done to any.
 * A namespace that several names stand for is worked on once.
 */
export async function withTargets(
  attempts: Attempt[],
  machine: Machine,
  operation: (opened: Opened[]) => Promise<Outcome>,
): Promise<Operation> {
  const targets = attempts.flatMap(({ target }) => (target ? [target] : []));
  const first = attempts.find(({ failure }) => failure !== null)?.failure;
  if (first) {
    for (const { namespace } of targets) release(namespace);
    return { targets: attempts.map((attempt) => notAttempted(attempt, first)), failure: first };
  }
  const opened: Opened[] = [];
  const known = new Set<string>();
  let taken = 0;
  try {
    for (const target of targets) {
      taken += 1;
      if (isNew(target, known)) opened.push(open(target, machine));
      else release(target.namespace);
    }
    const {
      reports,
      failures,
      moments = [],
    } = await withLocks(machine.stateDirectory, opened.map(lockOf), () => operation(opened));
    return { targets: reports, failure: decisive(failures), ...skewOf(moments) };
  } catch (error) {
    const failure = asFailure(error);
    return { targets: targets.map(({ name, namespace }) => failedReport(name, namespace, failure)), failure };
  } finally {
    for (const { site } of opened) site.close();
    // Those that were not opened, since an earlier one could not be.
    for (const target of targets.slice(taken)) release(target.namespace);
  }
}

/**
 * Runs an operation on each target by itself, each under its own lock: what fails on one does not keep the others from it.
 * @param options `withoutState`: the operation is so urgent that a state directory which can't be used does not stop it
 */
export async function onEach(
  attempts: Attempt[],
  machine: Machine,
  operation: (target: Opened) => Promise<TargetReport>,
  options: { withoutState?: boolean } = {},
): Promise<Operation> {
  const known = new Set<string>();
  const targets: TargetReport[] = [];
  const failures: Failure[] = [];
  const opened: Opened[] = [];
  for (const { name, target, failure } of attempts) {
    if (target && !isNew(target, known)) {
      release(target.namespace);
      continue;
    }
    machine.progress?.('done:', targets.length, attempts.length);
    try {
      if (!target) throw failure;
      const one = open(target, machine);
      opened.push(one);
      targets.push(await onOne(one, machine, operation, options.withoutState ?? false));
    } catch (error) {
      const own = asFailure(error);
      failures.push(own);
      targets.push(failedReport(target?.name ?? name, target?.namespace ?? null, own));
    }
  }
  // Together, at the end: each of them waits for what nf_tables has to tidy up (FACTS, Time).
  for (const { site } of opened) site.close();
  return { targets, failure: failures[0] ?? null };
}

async function onOne(
  opened: Opened,
  machine: Machine,
  operation: (target: Opened) => Promise<TargetReport>,
  withoutState: boolean,
): Promise<TargetReport> {
  try {
    return await withLocks(machine.stateDirectory, [lockOf(opened)], () => operation(opened));
  } catch (error) {
    // Only the lock can fail so: the operations that may do without state keep its failures to themselves.
    if (!withoutState || !(error instanceof Failure) || error.code !== 'state-directory') throw error;
    const report = await operation(opened);
    return { ...report, notes: [...report.notes, `done without a lock: ${error.message}`] };
  }
}

/**
 * Runs a step on every target; throws the first failure after all of them have had their turn.
 * @param tell is told how many have had it
 */
export async function forEachTarget<Item extends { failure: Failure | null }>(
  targets: Item[],
  action: (target: Item) => void | Promise<void>,
  tell: (done: number, of: number) => void = () => {},
): Promise<void> {
  for (const [done, target] of targets.entries()) {
    try {
      await action(target);
    } catch (error) {
      target.failure = asFailure(error);
    }
    tell(done + 1, targets.length);
  }
  const failed = targets.find(({ failure }) => failure !== null);
  if (failed?.failure) throw failed.failure;
}

/** @param known the namespaces that were met so far; this one is one of them from now on */
function isNew({ namespace: { device, inode } }: Target, known: Set<string>): boolean {
  const before = known.size;
  return known.add(`${device} ${inode}`).size > before;
}

const open = ({ namespace, ...target }: Target, machine: Machine): Opened => ({
  ...target,
  site: openSite(namespace, target.name, machine),
});

const lockOf = ({ name, site: { namespace } }: Opened) => ({ name, device: namespace.device, inode: namespace.inode });

/** One name can't be resolved: the others are not touched, and say so. */
function notAttempted({ name, target, failure }: Attempt, first: Failure): TargetReport {
  if (failure) return failedReport(name, null, failure);
  const consequence = new Failure(
    'not-attempted',
    first.exit,
    `${target.name}: not touched, since another target failed`,
  );
  return failedReport(target.name, target.namespace, consequence);
}

const failedReport = (name: string, namespace: Target['namespace'] | null, failure: Failure): TargetReport => ({
  ...emptyReport(name, namespace),
  state: 'failed',
  error: reportedError(failure),
});

/** The first failure decides; one whose roll-back failed too is the worst and decides before it. */
function decisive(failures: Array<Failure | null>): Failure | null {
  const all = failures.filter((failure) => failure !== null);
  const own = all.filter(({ code }) => code !== 'rolled-back');
  return own.find(({ code }) => code === 'rollback-failed') ?? own[0] ?? all[0] ?? null;
}
