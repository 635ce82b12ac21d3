/** What is frozen, judged from the kernel, with the record beside it: status and verify. Nothing is changed. */
import { discover } from '../namespace/discover';
import { type Namespace, sameNamespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { isLocked } from '../record/lock';
import { type FreezeRecord, listRecords, readRecord } from '../record/record';
import { isArmed } from './armed';
import { resolveAll } from './group';
import { ledgersOf } from './held/ledgers';
import { type Machine, openSite, type Site } from './machine';
import { withOtherNames } from './names';
import { asFailure, emptyReport, type Operation, reportedError, standingReport, type TargetReport } from './report';
import { runNotes } from './runner';
import { criuMarkNote } from './state/criu-mark';
import { driftOf, foreignTable } from './state/drift';
import { generationOf, hasEnded, isOurs, readStanding, type Standing } from './state/standing';
import { timersOf } from './tcp/timers';
import { stateOf } from './work';

/** What an inspection found: the report, and the verdict in words when it is not a proven freeze. */
interface Finding {
  report: TargetReport;
  drift: string | null;
  /** What kept it from being judged. */
  failure: Failure | null;
}

/**
 * Looks at the named targets, or at every namespace of the machine that a freeze or a record is known of.
 * @returns reports; a name that can't be resolved is a failure, what is found never is
 */
export async function status(names: string[], machine: Machine): Promise<Operation> {
  if (names.length > 0) {
    const { targets, failure } = await inspectNamed(names, machine, () => null);
    return { targets: await withOtherNames(targets), failure };
  }
  const records = listRecords(machine.stateDirectory);
  const reports: TargetReport[] = [];
  const ways = new Map<TargetReport, string>();
  for (const { name, namespace } of discover()) {
    const known = records.find((record) => sameNamespace(record.namespace, namespace));
    const report = await inspectFound(known?.target ?? name, namespace, machine);
    if (report) reports.push(report);
    if (report) ways.set(report, name);
  }
  return { targets: await withOtherNames(reports, ways), failure: null };
}

/** Compares the kernel with the record: drift is a failure, and so is what is not frozen. */
export async function verify(names: string[], machine: Machine): Promise<Operation> {
  return inspectNamed(names, machine, ({ report, drift, failure }) => {
    const { target, state } = report;
    if (failure) return failure.exit === Exit.unexpected ? notCompared(target, failure) : failure;
    if (state === 'drifted' || state === 'failed') {
      return new Failure('drift', Exit.drift, `${target}: ${drift}`, {
        suggestions: [
          `\`netfreeze on ${target}\` with the same options repairs it, \`netfreeze off ${target}\` thaws it`,
        ],
      });
    }
    if (state === 'frozen') return null;
    const ended = report.armed ? 'it is armed, and traffic flows' : 'its lease has ended and traffic flows';
    const why = state === 'thawed' ? ended : 'no freeze stands in it';
    return new Failure('not-frozen', Exit.notFrozen, `${target} is not frozen: ${why}`, {
      suggestions: [`freeze it: netfreeze on ${target}`],
    });
  });
}

/** What can't be read back can't be called frozen. */
const notCompared = (target: string, cause: Failure) =>
  new Failure('not-compared', Exit.drift, `${target}: the kernel's state could not be compared: ${cause.message}`, {
    suggestions: ['look at it with `nft list ruleset` in the namespace'],
    cause,
  });

async function inspectNamed(
  names: string[],
  machine: Machine,
  judge: (finding: Finding) => Failure | null,
): Promise<Operation> {
  const targets: TargetReport[] = [];
  let first: Failure | null = null;
  const attempts = await resolveAll(names);
  for (const { name, target, failure } of attempts) {
    machine.progress?.('looked at', targets.length, attempts.length);
    let own: Failure | null = failure;
    let report: TargetReport = { ...emptyReport(target?.name ?? name, target?.namespace ?? null), state: 'failed' };
    try {
      if (target) {
        const finding = await inspect(target.name, target.namespace, machine);
        report = finding.report;
        report.notes.push(...target.notes);
        own = judge(finding);
      }
    } catch (error) {
      own = asFailure(error);
    }
    targets.push(own ? { ...report, error: reportedError(own) } : report);
    first ??= own;
  }
  return { targets, failure: first };
}

/** @returns null where nothing of ours is */
async function inspectFound(name: string, namespace: Namespace, machine: Machine): Promise<TargetReport | null> {
  try {
    const { report } = await inspect(name, namespace, machine);
    return report.state === 'absent' && report.notes.length === 0 ? null : report;
  } catch (error) {
    const failure = asFailure(error);
    // A namespace that we may not enter, or that went while we looked, is none that we can speak of.
    if (failure.exit === Exit.notPermitted) return null;
    return { ...emptyReport(name, namespace), state: 'failed', error: reportedError(failure) };
  }
}

/** Looks at one namespace; it is released afterwards. */
async function inspect(name: string, namespace: Namespace, machine: Machine): Promise<Finding> {
  const site = openSite(namespace, name, machine);
  try {
    const record = readRecord(machine.stateDirectory, namespace);
    const standing = readStanding(site);
    const empty = emptyReport(name, namespace);
    const atWork = isLocked(machine.stateDirectory, namespace);
    const finding = standing
      ? await withTable(site, empty, standing, record, atWork)
      : withoutTable(empty, record, atWork);
    finding.report.notes.push(...timersNote(finding.report, record));
    if (finding.report.state === 'frozen') finding.report.notes.push(...criuMarkNote(record));
    const held = standing && ledgersOf(site, standing, machine, record);
    return { ...finding, report: { ...finding.report, held } };
  } finally {
    site.close();
  }
}

function withoutTable(report: TargetReport, record: FreezeRecord | null, atWork: boolean): Finding {
  if (!record) return { report, drift: null, failure: null };
  if (atWork)
    return { report: { ...report, notes: ['another netfreeze is at work on it'] }, drift: null, failure: null };
  if (record.phase === 'armed') {
    const notes = ['it was armed, but the kernel shows no table of netfreeze: somebody has removed it'];
    return { report: { ...report, notes }, drift: null, failure: null };
  }
  if (record.phase !== 'frozen') {
    return {
      report: { ...report, notes: [`a ${record.phase} was interrupted; no freeze stands`] },
      drift: null,
      failure: null,
    };
  }
  const drift = 'the record says frozen, but the kernel shows no table of netfreeze: somebody has removed it';
  const { since, by, reason, mode, template } = record;
  return {
    report: { ...report, state: 'drifted', since, by, reason, mode, template, notes: [drift] },
    drift,
    failure: null,
  };
}

async function withTable(
  site: Site,
  empty: TargetReport,
  standing: Standing,
  record: FreezeRecord | null,
  atWork: boolean,
): Promise<Finding> {
  const found = (
    state: TargetReport['state'],
    drift: string | null,
    notes: string[] = [],
    verified = false,
  ): Finding => ({
    report: { ...standingReport(empty, standing, record, state), verified, notes: drift ? [drift, ...notes] : notes },
    drift,
    failure: null,
  });
  if (atWork) return found(stateOf(standing), null, ['another netfreeze is at work on it']);
  const notes = record
    ? [...runNotes(record), ...generationNote(site, record)]
    : ['there is no record of this freeze: it was judged from the kernel alone'];
  try {
    const drift = await driftOf(site, standing, record);
    const foreign = isOurs(standing, record) ? null : foreignTable(empty.target);
    if (drift) return { ...found('drifted', drift, notes), failure: foreign };
  } catch (error) {
    const failure = asFailure(error);
    return { ...found(stateOf(standing), null, [...notes, `not compared: ${failure.message}`]), failure };
  }
  if (hasEnded(site, standing)) {
    const ended = found('thawed', null, notes);
    const armed = isArmed({ ...standing, lease: { state: 'ended' } }, record) ? { armed: true as const } : {};
    return { ...ended, report: { ...ended.report, ...armed, lease: null } };
  }
  if (record && record.phase !== 'frozen') {
    return found('failed', `a ${record.phase} was interrupted before it was finished`, notes);
  }
  return found('frozen', null, notes, true);
}

/** A lease that ends by itself puts no timers back. */
function timersNote({ target, state }: TargetReport, record: FreezeRecord | null): string[] {
  if (timersOf(record) === null) return [];
  return state === 'frozen'
    ? ["TCP's timers are held until it is thawed"]
    : [`TCP's timers are still raised: \`netfreeze off ${target}\` puts them back`];
}

/** A change that was undone again leaves no other trace than the generation. */
function generationNote(site: Site, record: FreezeRecord): string[] {
  const now = generationOf(site);
  if (record.generation === null || record.generation === now) return [];
  return [`nftables of this namespace has been changed since the freeze (generation ${record.generation}, now ${now})`];
}
