/** What a run came to, from what happened: success, or a failure with the exit status of the contract. */
import { constants } from 'node:os';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import type { Course, Stop } from './attend';
import type { Ending } from './command';

/** What became of a command. */
export interface CommandReport {
  words: readonly string[];
  /** Its exit status; null where a signal ended it, or it was not started. */
  status: number | null;
  signal: string | null;
  /** How long it ran, in milliseconds. */
  tookMs: number;
  /** Whether the freeze held all the time; null where it was not started. */
  held: boolean | null;
}

export interface Judgement {
  /** null: the command ended well, under a freeze that held. */
  failure: Failure | null;
  report: CommandReport;
}

/**
 * A command that ran gives its own exit status. Where it ended with 0 and the run is no success all the same, the status
 * says why: 10 when the freeze did not hold, 9 when its time was over, 128 and the number of a signal that came.
 */
export function judge(course: Course, words: readonly string[]): Judgement {
  const { ending, tookMs, objection } = course;
  const report: CommandReport = {
    words,
    status: ending?.status ?? null,
    signal: ending?.signal ?? null,
    tookMs: Math.round(tookMs),
    held: ending === null ? null : objection === null && course.stopped?.why !== 'not-held',
  };
  return { failure: failureOf(course, shown(words[0] ?? '')), report };
}

function failureOf({ ending, stopped, objection }: Course, name: string): Failure | null {
  const own = ending === null ? 0 : statusOf(ending);
  if (stopped) return stopFailure(stopped, own, name);
  if (ending === null) return notHeld(objection ?? '', Exit.drift, 'the command was not started');
  if (own !== 0) {
    const broken = objection === null ? '' : `\nNor did the freeze hold: ${objection}`;
    return new Failure('command-failed', own, `${name} ${endingText(ending)}: the checkpoint failed${broken}`);
  }
  if (objection === null) return null;
  return notHeld(objection, Exit.drift, `${name} ended well, but not under a freeze: do not use its checkpoint`);
}

function stopFailure(stopped: Stop, own: number, name: string): Failure {
  switch (stopped.why) {
    case 'fault':
      return stopped.failure;
    case 'not-held':
      return notHeld(stopped.objection, Exit.drift, `${name} was stopped`);
    case 'timeout':
      return new Failure(
        'timed-out',
        own || Exit.checkpointFailed,
        `${name} took longer than ${stopped.afterMs / 1000} s and was stopped`,
        { suggestions: ['give it more time: --timeout'] },
      );
    case 'interrupted': {
      const { signal } = stopped;
      return new Failure('interrupted', own || 128 + constants.signals[signal], `${name} was interrupted by ${signal}`);
    }
  }
}

/** As shells count: 128 and its number for a signal. */
const statusOf = ({ status, signal }: Ending): number => status ?? 128 + (signal ? constants.signals[signal] : 0);

const endingText = ({ status, signal }: Ending): string =>
  signal ? `was ended by ${signal}` : `ended with status ${status}`;

const notHeld = (objection: string, exit: number, consequence: string) =>
  new Failure('not-held', exit, `the freeze did not hold to the end: ${objection}\n${consequence}`, {
    suggestions: ['find out who changes nftables in this namespace, and run it again'],
  });

/** @param before what had gone wrong before; null: nothing */
export const rollBackFailed = (thaw: Failure, before: Failure | null): Failure =>
  new Failure(
    'rollback-failed',
    Exit.rollbackFailed,
    before ? `${before.message}\nand the thaw failed too: ${thaw.message}` : `the thaw failed: ${thaw.message}`,
    { suggestions: thaw.suggestions, cause: thaw },
  );

export const stayFailed = (renewal: Failure): Failure =>
  new Failure(
    'not-held',
    renewal.exit,
    `the command ended well, but the freeze could not be kept standing: ${renewal.message}`,
    { suggestions: renewal.suggestions, cause: renewal },
  );
