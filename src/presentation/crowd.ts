/** What is said of many targets: a summary, a line for each failure, and what concerns many of them once. */
import type { Operation, TargetReport } from '../freeze/report';
import { harmless, shown } from '../platform/text';
import { duration, times } from './units';

/** More than so many are a crowd, of whom not each is spoken of. */
const few = 20;
/** How many failures and notes are told. */
const most = 20;

/** What has been done to targets, in a word: `frozen`. */
export type Deed = 'frozen' | 'armed' | 'thawed' | 'renewed' | 'frozen, as the kernel shows';

export const isCrowd = ({ targets }: Pick<Operation, 'targets'>): boolean => targets.length > few;

/**
 * @param elapsedMs how long it took
 * @returns the line for standard output; empty where nothing was done
 */
export function crowdText({ targets, skewMs }: Operation, deed: Deed, elapsedMs: number): string {
  const done = targets.filter(({ error }) => !error);
  if (done.length === 0) return '';
  const idle = deed === 'thawed' ? done.filter(({ changed }) => !changed).length : 0;
  const parts = [`in ${duration(elapsedMs)}`];
  if (skewMs !== undefined) parts.push(`skew ${duration(skewMs)}`);
  const without = idle === 0 ? '' : `, ${idle} ${idle === 1 ? 'was' : 'were'} not frozen`;
  return `${times(done.length - idle, 'target')} ${deed}${without} (${parts.join(', ')})\n`;
}

/** @returns the lines for standard error: each note once, with how many targets it is about */
export function crowdNotes(targets: readonly TargetReport[]): string[] {
  const about = new Map<string, string[]>();
  for (const { target, notes, error } of targets) {
    for (const note of notes.filter((one) => !error?.message.includes(one))) {
      about.set(note, [...(about.get(note) ?? []), target]);
    }
  }
  return shortened(
    [...about].map(([note, names]) => `${who(names)}: ${harmless(note)}`),
    'more notes; --json has them all',
  );
}

/** @returns the lines for standard error: a line for each failure of its own, and how many others it has concerned */
export function crowdFailures(targets: readonly TargetReport[]): string[] {
  const own: string[] = [];
  const others = new Map<string, string[]>();
  for (const { target, error } of targets) {
    if (!error) continue;
    const [first = ''] = harmless(error.message).split('\n');
    if (!['rolled-back', 'not-attempted'].includes(error.code)) own.push(first);
    else {
      const what = first.replace(`${target}: `, '');
      others.set(what, [...(others.get(what) ?? []), target]);
    }
  }
  return [
    ...shortened(own, 'more failures; --json has them all'),
    ...[...others].map(([what, names]) => `${who(names)}: ${what}`),
  ];
}

const shortened = (lines: string[], rest: string): string[] =>
  lines.length <= most ? lines : [...lines.slice(0, most), `${lines.length - most} ${rest}`];

const who = (names: string[]): string => (names.length === 1 ? shown(names[0] ?? '') : times(names.length, 'target'));
