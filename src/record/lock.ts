/**
 * One lock per namespace, so that two netfreeze processes never mix: a byte of one file for each, locked for an open file
 * description (F_OFD_SETLK, fcntl(2)). The kernel lets go of it when a process dies.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NamespaceId } from '../namespace/namespace';
import { isByteLocked, lockByte } from '../platform/byte-lock';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import { prepareStateDirectory, stateFailure } from './state-directory';

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
/** How long a second netfreeze waits for the first, in milliseconds, and how often it looks. */
const patience = 2000;
const interval = 10;

const lockFile = (directory: string): string => join(directory, 'namespaces.lock');

/** The byte that stands for a namespace: its inode number has 32 bits, and there is one device for all (nsfs). */
const byteOf = ({ device, inode }: NamespaceId): bigint => (BigInt(device) << 32n) + BigInt(inode);

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
  if (namespaces.length === 0) return work();
  prepareStateDirectory(directory);
  const fd = openLock(lockFile(directory));
  const ordered = [...namespaces].sort((a, b) => a.device - b.device || a.inode - b.inode);
  try {
    const deadline = performance.now() + patience;
    for (const { name, ...id } of ordered) await take(fd, id, name, directory, deadline);
    return await work();
  } finally {
    closeSync(fd);
  }
}

/** @returns whether another process is at work on the namespace right now */
export function isLocked(directory: string, id: NamespaceId): boolean {
  let fd: number;
  try {
    fd = openSync(lockFile(directory), 'r');
  } catch {
    return false;
  }
  try {
    return isByteLocked(fd, byteOf(id));
  } finally {
    closeSync(fd);
  }
}

async function take(fd: number, id: NamespaceId, name: string, directory: string, deadline: number): Promise<void> {
  for (;;) {
    try {
      lockByte(fd, byteOf(id));
      return;
    } catch (error) {
      if (!isErrno(error, 'EAGAIN', 'EACCES')) throw error;
      if (performance.now() > deadline) {
        throw new Failure(
          'busy',
          Exit.busy,
          `another netfreeze is at work on ${name}, for more than ${patience / 1000} s`,
          {
            suggestions: ['try again when it has ended', `who it may be: fuser ${lockFile(directory)}`],
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
