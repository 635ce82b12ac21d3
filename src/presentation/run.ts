/** What `run` says. All of it goes to standard error: standard output is the command's. */
import type { RunOutcome } from '../checkpoint/run';
import type { Operation, TargetReport } from '../freeze/report';
import { harmless } from '../platform/text';
import { operationJson } from './json';
import { say } from './output';
import { dryRunText, frozenText, keptText, thawedText } from './report';
import { tellFailure, tellNote, tellReport } from './tell';

/** Tells what is frozen, before the command starts. */
export function tellStart({ targets }: Operation, notes: string[]): void {
  for (const report of targets) tellReport(report, frozenText(report), 'error');
  tellNotes(targets);
  for (const note of notes) say(`netfreeze: ${harmless(note)}\n`);
}

/** Tells what came of it. */
export function tellEnd({ operation, command, failure, notes }: RunOutcome): void {
  const { targets } = operation;
  const stands = (report: TargetReport) => (report.state === 'frozen' ? keptText(report) : thawedText(report));
  const text = command === null ? dryRunText : stands;
  for (const report of targets) if (!report.error) tellReport(report, text(report), 'error');
  tellNotes(targets);
  for (const note of notes) say(`netfreeze: ${harmless(note)}\n`);
  if (command !== null && failure) tellFailure(failure, targets[0]);
  else for (const report of targets) if (report.error) tellFailure(report.error, report);
}

/** @returns the report of the contract, with the command beside the targets */
export function runJson({ operation, command, failure }: RunOutcome): string {
  const report = JSON.parse(operationJson({ ...operation, failure })) as object;
  return `${JSON.stringify({ ...report, command })}\n`;
}

function tellNotes(targets: TargetReport[]): void {
  for (const report of targets) {
    // What the failure says is not said twice.
    for (const note of report.notes) if (!report.error?.message.includes(note)) tellNote(report, note);
  }
}
