/** The program that a command names, looked up before anything is frozen: what can't be started freezes nothing. */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Exit, Failure } from '../platform/failure';
import { errnoOf } from '../platform/libc';
import { shown } from '../platform/text';

/**
 * Finds a program as execvp(3) does.
 * @returns its path
 * @throws Failure `no-program`: it can't be started, and why
 */
export function findProgram(name: string): string {
  if (name.includes('/')) {
    const objection = objectionTo(name);
    if (objection) throw noProgram(name, objection);
    return name;
  }
  let nearest: string | null = null;
  for (const directory of (process.env.PATH || '/usr/sbin:/usr/bin:/sbin:/bin').split(delimiter)) {
    const path = join(directory || '.', name);
    const objection = objectionTo(path);
    if (objection === null) return path;
    if (objection !== missing) nearest ??= `${shown(path)}: ${objection}`;
  }
  throw noProgram(name, nearest ?? 'it is in no directory of PATH');
}

const missing = 'there is no such file';

/** @returns why a file can't be started, or null */
function objectionTo(path: string): string | null {
  try {
    if (!statSync(path).isFile()) return 'it is no file';
    accessSync(path, constants.X_OK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return missing;
    return errno === 'EACCES' ? 'it may not be executed' : `${errno}`;
  }
  const interpreter = interpreterOf(path);
  return interpreter === null || isThere(interpreter) ? null : `its interpreter ${shown(interpreter)} is not there`;
}

/** @returns what a script's first line names (execve(2)); null for what is no script, or can't be read */
function interpreterOf(path: string): string | null {
  const line = Buffer.alloc(256);
  try {
    const fd = openSync(path, 'r');
    try {
      const length = readSync(fd, line, 0, line.length, 0);
      return /^#![ \t]*([^ \t\r\n]+)/.exec(line.toString('latin1', 0, length))?.[1] ?? null;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const noProgram = (name: string, why: string) =>
  new Failure('no-program', Exit.checkpointFailed, `${shown(name)} can't be started: ${why}; nothing was frozen`, {
    suggestions: ['what stands after -- is a program and its arguments, without a shell; for a shell: -- sh -c "…"'],
  });
