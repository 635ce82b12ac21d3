/** The CRIU that has started this process as its action script: found among the processes above this one. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { argumentsOf, startOf } from '../../platform/process';

export interface Caller {
  pid: number;
  /** By which the same process id is told from a later one of that number. */
  start: number | null;
  /** CRIU's own arguments, its name first; none where no CRIU was found. */
  args: string[];
  /** The name of the program that has started it, such as `runc`. */
  startedBy: string;
}

/** A script of a person's own may stand in between, and a shell below that. */
const generations = 4;

/** @returns CRIU's process, or else whatever has started this one */
export function findCaller(): Caller {
  let pid = process.ppid;
  for (let generation = 0; generation < generations && pid > 1; generation += 1) {
    const args = argumentsOf(pid);
    // Its first arguments, since a loader may stand in front.
    const at = args.slice(0, 5).findIndex((argument) => basename(argument) === 'criu');
    if (at >= 0) return { pid, start: startOf(pid), args: args.slice(at), startedBy: nameOf(parentOf(pid)) };
    pid = parentOf(pid);
  }
  return { pid: process.ppid, start: startOf(process.ppid), args: [], startedBy: '' };
}

/** @returns 0 when there is no such process */
function parentOf(pid: number): number {
  const text = read(`/proc/${pid}/stat`);
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}

const nameOf = (pid: number): string => read(`/proc/${pid}/comm`).trim();

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
