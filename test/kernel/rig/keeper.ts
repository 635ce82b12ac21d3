/** The keepers of a lab's box, as `ps` shows them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { sessionOf } from '../../../src/platform/process';
import { stateName } from '../../../src/record/record';
import type { Lab } from './lab';
import { expectExit, only } from './netfreeze';
import { until } from './wait';

/** @returns the process ids of the keepers of the lab's box */
export async function keepersOf(lab: Lab): Promise<number[]> {
  const { namespace } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
  return keepersNamed(stateName(namespace));
}

/** @returns the process ids of the keepers of a namespace, by what its record is called */
export function keepersNamed(state: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [name, , , of] = wordsOf(pid);
      // What it has just forked has its arguments, too, until it executes a program.
      return name === 'netfreeze-keeper' && of === state && sessionOf(pid) === pid;
    });
}

/** @returns the one keeper of the lab's box */
export async function keeperOf(lab: Lab): Promise<number> {
  const [keeper, ...more] = await keepersOf(lab);
  if (keeper === undefined || more.length > 0) throw new Error(`${more.length + (keeper ? 1 : 0)} keepers`);
  return keeper;
}

/** @returns a process's arguments */
export function wordsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** @returns a field of /proc/PID/status */
export const statusOf = (pid: number, field: string): string =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';

/** @returns what a process has open, by descriptor */
export const descriptorsOf = (pid: number): Record<string, string> =>
  Object.fromEntries(readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]));

/** Ends the keepers of a namespace that goes with its test, also one that the test has stopped. */
export function endKeepersOf(box: string): void {
  for (const name of readdirSync('/proc').filter((entry) => /^[0-9]+$/.test(entry))) {
    const words = wordsOf(Number(name));
    if (words[0] === 'netfreeze-keeper' && words.includes(`/run/netns/${box}`)) process.kill(-Number(name), 'SIGKILL');
  }
}

/** Waits until a process is gone. */
export const untilGone = (pid: number, limitMs: number): Promise<true> =>
  until(`process ${pid} ends`, limitMs, async () => wordsOf(pid).length === 0);
