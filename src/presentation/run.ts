/** What `run` says. All of it goes to standard error: standard output is the command's. */
import type { RunOutcome } from '../checkpoint/run';
import type { Operation, TargetReport } from '../freeze/report';
import { harmless, shown } from '../platform/text';
import { failureText } from './failure';
import { operationJson } from './json';
import { dryRunText, frozenText, keptText, thawedText } from './report';

/** @returns what is said before the command starts */
export const startText = ({ targets }: Operation): string =>
  [...targets.map((report) => line(frozenText(report))), ...noteLines(targets)].join('');

/** @returns what is said at the end */
export function endText({ operation, command, failure, notes }: RunOutcome): string {
  const { targets } = operation;
  const stands = (report: TargetReport) => (report.state === 'frozen' ? keptText(report) : thawedText(report));
  const text = command === null ? dryRunText : stands;
  const own = targets.flatMap(({ error }) => (error && command === null ? [failureText(error)] : []));
  return [
    ...targets.filter(({ error }) => !error).map((report) => line(text(report))),
    ...noteLines(targets),
    ...notes.map((note) => line(`${harmless(note)}\n`)),
    ...own,
    failure && command !== null ? failureText(failure) : '',
  ].join('');
}

/** @returns the report of the contract, with the command beside the targets */
export function runJson({ operation, command, failure }: RunOutcome): string {
  const report = JSON.parse(operationJson({ ...operation, failure })) as object;
  return `${JSON.stringify({ ...report, command })}\n`;
}

const noteLines = (targets: TargetReport[]): string[] =>
  targets.flatMap(({ target, notes, error }) =>
    notes.filter((note) => !error?.message.includes(note)).map((note) => line(`${shown(target)}: ${harmless(note)}\n`)),
  );

const line = (text: string): string => `netfreeze: ${text}`;
