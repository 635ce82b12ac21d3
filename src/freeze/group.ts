/** Many targets, one operation: names resolved and pinned, locks held, sockets closed at the end. */
import { release, sameNamespace } from '../namespace/namespace';
import { Failure } from '../platform/failure';
import { withLocks } from '../record/lock';
import { resolve, type Target } from '../target/target';
import { type Machine, openSite, type Site } from './machine';
import { asFailure, emptyReport, type Operation, reportedError, type TargetReport } from './report';

/** A target that is open for work. */
export interface Opened {
  name: string;
  site: Site;
  stillThere(): boolean;
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

/** Resolves and pins every name; what fails is kept beside the name. */
export function resolveAll(names: string[]): Attempt[] {
  return names.map((name) => {
    try {
      return { name, target: resolve(name), failure: null };
    } catch (error) {
      return { name, target: null, failure: asFailure(error) };
    }
  });
}

/**
 * Takes the locks and runs the operation on the targets; a namespace that several names stand for is worked on once.
 * @param options `partial`: what resolves is worked on even where another name does not; else nothing is done to any
 */
export async function withTargets(
  attempts: Attempt[],
  machine: Machine,
  operation: (opened: Opened[]) => Promise<Outcome>,
  options: { partial?: boolean } = {},
): Promise<Operation> {
  const first = attempts.find(({ failure }) => failure !== null)?.failure ?? null;
  const targets = attempts.flatMap(({ target }) => (target ? [target] : []));
  const unresolved = new Map(attempts.flatMap(({ name, failure }) => (failure ? [[name, failure] as const] : [])));
  if (first && !options.partial) {
    for (const { namespace } of targets) release(namespace);
    return { targets: attempts.map((attempt) => notAttempted(attempt, first)), failure: first };
  }
  const opened: Opened[] = [];
  let taken = 0;
  try {
    for (const target of targets) {
      taken += 1;
      open(target, opened, machine);
    }
    const locks = opened.map(({ name, site }) => ({
      name,
      device: site.namespace.device,
      inode: site.namespace.inode,
    }));
    const { reports, failures } = await withLocks(machine.stateDirectory, locks, () => operation(opened));
    return { targets: inOrder(attempts, unresolved, reports), failure: first ?? decisive(failures) };
  } catch (error) {
    const failure = asFailure(error);
    const reports = targets.map(({ name, namespace }) => failedReport(name, namespace, failure));
    return { targets: inOrder(attempts, unresolved, reports), failure };
  } finally {
    for (const { site } of opened) site.close();
    // Those that were not opened, since an earlier one could not be.
    for (const target of targets.slice(taken)) release(target.namespace);
  }
}

/** Puts reports where their names stand in the command; a namespace that was named twice has one. */
function inOrder(attempts: Attempt[], unresolved: Map<string, Failure>, reports: TargetReport[]): TargetReport[] {
  const rows = attempts.map(({ name, target }) => {
    const failure = unresolved.get(name);
    return failure ? failedReport(name, null, failure) : reports.find((report) => report.target === target?.name);
  });
  return rows.filter((row, index) => row !== undefined && rows.indexOf(row) === index) as TargetReport[];
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

/** Runs an operation on each target by itself: what fails on one does not keep the others from it. */
export async function eachAlone(opened: Opened[], action: (target: Opened) => Promise<TargetReport>): Promise<Outcome> {
  const outcome: Outcome = { reports: [], failures: [] };
  for (const target of opened) {
    let failure: Failure | null = null;
    try {
      outcome.reports.push(await action(target));
    } catch (error) {
      failure = asFailure(error);
      outcome.reports.push(failedReport(target.name, target.site.namespace, failure));
    }
    outcome.failures.push(failure);
  }
  return outcome;
}

/** Opens a target unless its namespace is open already under another name. */
function open({ name, namespace, stillThere }: Target, opened: Opened[], machine: Machine): void {
  if (opened.some(({ site }) => sameNamespace(site.namespace, namespace))) release(namespace);
  else opened.push({ name, site: openSite(namespace, name, machine), stillThere });
}

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
