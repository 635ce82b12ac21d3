/** One lock per namespace, so that two netfreeze processes never mix. The kernel lets go of it when a process dies. */
import { closeSync, constants, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NamespaceId } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { flock, isErrno } from '../platform/libc';
import { stateName } from './record';
import { prepareStateDirectory, stateFailure } from './state-directory';

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
/** sys/file.h */
const LOCK_SH_NB = 1 | 4;
const LOCK_EX_NB = 2 | 4;
/** How long a second netfreeze waits for the first, in milliseconds, and how often it looks. */
const patience = 2000;
const interval = 10;

/**
 * Runs `work` while the locks of these namespaces are held. They are taken in one order, so that two operations on
 * the same namespaces can't wait for each other.
 * @throws Failure `busy` when another process keeps one of them for longer than two seconds
 */
export async function withLocks<Result>(
  directory: string,
  namespaces: Array<NamespaceId & { name: string }>,
  work: () => Promise<Result>,
): Promise<Result> {
  prepareStateDirectory(directory);
  const held: Array<{ fd: number; file: string }> = [];
  const ordered = [...namespaces].sort((a, b) => a.device - b.device || a.inode - b.inode);
  try {
    const deadline = performance.now() + patience;
    for (const { name, ...id } of ordered) held.push(await take(directory, id, name, deadline));
    return await work();
  } finally {
    for (const { fd, file } of held.reverse()) {
      rmSync(file, { force: true });
      closeSync(fd);
    }
  }
}

/** @returns whether another process is at work on the namespace right now */
export function isLocked(directory: string, id: NamespaceId): boolean {
  let fd: number;
  try {
    fd = openSync(join(directory, `${stateName(id)}.lock`), 'r');
  } catch {
    return false;
  }
  try {
    flock(fd, LOCK_SH_NB);
    return false;
  } catch (error) {
    return isErrno(error, 'EAGAIN');
  } finally {
    closeSync(fd);
  }
}

async function take(directory: string, id: NamespaceId, name: string, deadline: number) {
  const file = join(directory, `${stateName(id)}.lock`);
  for (;;) {
    const fd = openLock(file);
    try {
      flock(fd, LOCK_EX_NB);
      // Whoever held it before has removed the file: a lock on a file without a name protects nothing.
      if (isStill(file, fd)) return { fd, file };
      closeSync(fd);
    } catch (error) {
      closeSync(fd);
      if (!isErrno(error, 'EAGAIN')) throw error;
      if (performance.now() > deadline) {
        throw new Failure(
          'busy',
          Exit.busy,
          `another netfreeze is at work on ${name}, for more than ${patience / 1000} s`,
          {
            suggestions: ['try again when it has ended', `who it is: fuser ${file}`],
          },
        );
      }
      await sleep(interval);
    }
  }
}

function openLock(file: string): number {
  try {
    return openSync(file, O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw stateFailure(file, `the lock cannot be taken: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

function isStill(file: string, fd: number): boolean {
  try {
    return statSync(file).ino === fstatSync(fd).ino;
  } catch {
    return false;
  }
}
