/** Many targets, one operation: names resolved and pinned, locks held, sockets closed at the end. */
import { release, sameNamespace } from '../namespace/namespace';
import { keepLowDescriptors } from '../platform/descriptors';
import { Failure } from '../platform/failure';
import { withLocks } from '../record/lock';
import { resolve, type Target } from '../target/target';
import { type Machine, openSite, type Site } from './machine';
import { asFailure, emptyReport, type Operation, reportedError, type TargetReport } from './report';

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
}

/** So many targets take no more descriptors than any library can use. */
const few = 100;

/** Resolves and pins every name; what fails is kept beside the name. */
export async function resolveAll(names: string[]): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  if (names.length > few) keepLowDescriptors();
  for (const name of names) {
    try {
      attempts.push({ name, target: await resolve(name), failure: null });
    } catch (error) {
      attempts.push({ name, target: null, failure: asFailure(error) });
    }
  }
  return attempts;
}

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
  let taken = 0;
  try {
    for (const target of targets) {
      taken += 1;
      if (isOpen(target, opened)) release(target.namespace);
      else opened.push(open(target, machine));
    }
    const { reports, failures } = await withLocks(machine.stateDirectory, opened.map(lockOf), () => operation(opened));
    return { targets: reports, failure: decisive(failures) };
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
  const done: Target[] = [];
  const targets: TargetReport[] = [];
  const failures: Failure[] = [];
  const opened: Opened[] = [];
  for (const { name, target, failure } of attempts) {
    if (target && done.some((other) => sameNamespace(other.namespace, target.namespace))) {
      release(target.namespace);
      continue;
    }
    if (target) done.push(target);
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

/** Runs a step on every target; throws the first failure after all of them have had their turn. */
export async function forEachTarget<Item extends { failure: Failure | null }>(
  targets: Item[],
  action: (target: Item) => void | Promise<void>,
): Promise<void> {
  for (const target of targets) {
    try {
      await action(target);
    } catch (error) {
      target.failure = asFailure(error);
    }
  }
  const failed = targets.find(({ failure }) => failure !== null);
  if (failed?.failure) throw failed.failure;
}

const isOpen = ({ namespace }: Target, opened: Opened[]): boolean =>
  opened.some(({ site }) => sameNamespace(site.namespace, namespace));

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
