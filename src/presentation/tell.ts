/**
 * Where words about a target go: to standard output and standard error; or, where systemd has connected these to its
 * journal, to the journal itself, with fields that programs can ask for, and to the unit's status.
 */
import type { Operation, ReportedError, TargetReport } from '../freeze/report';
import { isJournal, notifyStatus, Priority, toJournal } from '../platform/systemd';
import { harmless, shown } from '../platform/text';
import { crowdFailures, crowdNotes, crowdText, type Deed } from './crowd';
import { failureText } from './failure';
import { print, say } from './output';

/**
 * Tells what came of a target.
 * @param on standard output, where it is the result; standard error, where it is not
 */
export function tellReport(report: TargetReport, text: string, on: 'output' | 'error' = 'output'): void {
  const message = text.trimEnd();
  notifyStatus(report.state === 'frozen' ? frozenStatus(report) : message);
  const isTold = isJournal(on === 'output' ? 1 : 2);
  if (isTold && toJournal({ MESSAGE: message, PRIORITY: Priority.info, ...fieldsOf(report) })) return;
  if (on === 'output') print(text);
  else say(`netfreeze: ${text}`);
}

/**
 * Tells what came of many targets.
 * @param deed what was done to them
 * @param elapsedMs how long it took
 */
export function tellCrowd(operation: Operation, deed: Deed, elapsedMs: number): void {
  const text = crowdText(operation, deed, elapsedMs);
  if (text !== '') tellSummary(text, 1, Priority.info);
  for (const line of crowdNotes(operation.targets)) tellSummary(`${line}\n`, 2, Priority.notice);
  for (const line of crowdFailures(operation.targets)) tellSummary(`${line}\n`, 2, Priority.error);
}

function tellSummary(text: string, fd: 1 | 2, priority: (typeof Priority)[keyof typeof Priority]): void {
  const message = text.trimEnd();
  notifyStatus(message);
  if (isJournal(fd) && toJournal({ MESSAGE: message, PRIORITY: priority })) return;
  if (fd === 1) print(text);
  else say(`netfreeze: ${text}`);
}

/** Tells what a person should know besides. */
export function tellNote(report: TargetReport, note: string): void {
  const text = `${shown(report.target)}: ${harmless(note)}`;
  if (!isJournal(2) || !toJournal({ MESSAGE: text, PRIORITY: Priority.notice, ...fieldsOf(report) })) {
    say(`netfreeze: ${text}\n`);
  }
}

/**
 * Tells what failed, and what to do.
 * @param report of the target that failed; none where it is not about one
 */
export function tellFailure(
  failure: Pick<ReportedError, 'code' | 'exit' | 'message'> & { suggestions: readonly string[] },
  report?: TargetReport,
): void {
  const text = failureText(failure);
  const message = text.replace(/^netfreeze: /, '').trimEnd();
  notifyStatus(message.split('\n')[0] ?? '');
  const { code, exit } = failure;
  const fields = { ...(report && fieldsOf(report)), NETFREEZE_CODE: code, NETFREEZE_EXIT: exit };
  if (!isJournal(2) || !toJournal({ MESSAGE: message, PRIORITY: Priority.error, ...fields })) say(text);
}

function fieldsOf(report: TargetReport): Record<string, string | number | null> {
  const { namespace, held } = report;
  return {
    NETFREEZE_TARGET: report.target,
    NETFREEZE_NAMESPACE: namespace && `${namespace.device}:${namespace.inode}`,
    NETFREEZE_STATE: report.state,
    NETFREEZE_MODE: report.mode,
    NETFREEZE_TEMPLATE: report.template,
    NETFREEZE_LEASE_MS: report.lease && Math.round(report.lease.expiresInMs),
    NETFREEZE_REASON: report.reason,
    NETFREEZE_RELEASED: held && held.in.released + held.out.released,
    NETFREEZE_LOST: held && held.in.lost + held.out.lost,
  };
}

/** It stands there long after it was said, so it has the moment of the lease's end and not the time that is left. */
function frozenStatus({ target, mode, lease }: TargetReport): string {
  if (!lease) return `${shown(target)} is frozen (${mode})`;
  const end = new Date(Date.now() + lease.expiresInMs).toISOString();
  return `${shown(target)} is frozen (${mode}) until ${end.slice(0, 19).replace('T', ' ')} UTC, when its lease ends`;
}
