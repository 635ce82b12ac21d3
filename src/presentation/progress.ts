/** How far a long operation has come: one line on a terminal, written over and over, and gone at its end. */
import { say } from './output';

/** An operation is long after so many milliseconds; the line is written anew so often. */
const patience = 1000;
const interval = 100;

export interface Progress {
  /** Tells that a step is done for so many of all targets. The clock is looked at here: no timer runs while we work. */
  tell(step: string, done: number, of: number): void;
  /** Takes the line away. */
  end(): void;
}

/** @param isTerminal whether standard error is one; asked when it is needed first */
export function progress(
  isTerminal: () => boolean = () => (require('node:tty') as typeof import('node:tty')).isatty(2),
  now: () => number = () => performance.now(),
  write: (text: string) => void = say,
): Progress {
  let next = now() + patience;
  let shows: boolean | undefined;
  let width = 0;
  return {
    tell(step, done, of) {
      if (of < 2 || now() < next) return;
      next = now() + interval;
      shows ??= isTerminal();
      if (!shows) return;
      const text = `${step} ${done} of ${of}`;
      write(`\r${text.padEnd(width)}`);
      width = text.length;
    },
    end() {
      if (width > 0) write(`\r${' '.repeat(width)}\r`);
      width = 0;
    },
  };
}
