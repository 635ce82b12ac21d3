/** Processes by what they were started with. */
import { readdirSync } from 'node:fs';
import { wordsOf } from './keeper';

/** @returns the processes that have all of these words among their arguments */
export function processesNamed(...words: string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const own = wordsOf(pid);
      return words.every((word) => own.includes(word));
    });
}
