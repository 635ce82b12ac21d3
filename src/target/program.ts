/** An engine's own program: whether it is there, and one question to it. */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { Exit, Failure } from '../platform/failure';
import { engineFailed } from './refusals';

/** What a program may take before it is given up, in milliseconds: podman waits for its locks, systemctl for systemd. */
const patience = 15_000;

/** More than any answer of use has, in characters. */
const largestAnswer = 16 * 1024 * 1024;

/** @returns whether a program of that name is in PATH; nothing is started */
export function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @returns whether systemd is the first process: sd_booted(3) */
export function isBooted(): boolean {
  try {
    return statSync('/run/systemd/system').isDirectory();
  } catch {
    return false;
  }
}

/** What a program said and how it ended. */
export interface Answer {
  exit: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs an engine's program to its end, in a session of its own: a Ctrl-C is for us.
 * @param options whatever follows `--` is a name, never an option
 * @throws Failure `no-engine` when it can't be started, `engine-failed` when it does not end in time or is killed
 */
export async function ask(program: string, options: string[], names: string[] = []): Promise<Answer> {
  // Late: most targets need no program, and execa takes longer to load than they do to resolve.
  const { execa } = await import('execa');
  const running = execa(program, names.length > 0 ? [...options, '--', ...names] : options, {
    stdin: 'ignore',
    maxBuffer: largestAnswer,
    detached: true,
    reject: false,
    // The engine of this machine: a process id of another one means nothing here.
    env: { LC_ALL: 'C', CONTAINER_HOST: undefined, CONTAINER_CONNECTION: undefined },
  });
  const result = await inTime(running);
  if (result === null) {
    giveUp(running);
    // One that can't even be killed is not waited for.
    running.unref();
    throw engineFailed(program, `it has not ended after ${patience / 1000} s`);
  }
  if (result.isMaxBuffer) throw engineFailed(program, 'it answered more than netfreeze reads');
  if (result.exitCode === undefined) {
    if (result.code === 'ENOENT') throw notInstalled(program);
    throw engineFailed(program, result.originalMessage ?? result.shortMessage ?? 'it was killed', result);
  }
  return { exit: result.exitCode, stdout: result.stdout, stderr: result.stderr.trim() };
}

/** @returns null when it takes too long */
async function inTime<T>(running: PromiseLike<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), patience);
  });
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Kills what was started with all that it has started; what has left its session may keep the pipes, unread. */
function giveUp({ pid, stdout, stderr }: { pid?: number | undefined; stdout: Readable; stderr: Readable }): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
  stdout.destroy();
  stderr.destroy();
}

/** @returns a failure for an engine whose program is not there */
export const notInstalled = (program: string) =>
  new Failure('no-engine', Exit.unsupported, `${program} is not installed, or not in PATH`, {
    suggestions: [`install ${program}, or name the namespace otherwise: pid:N or path:FILE`],
  });
