/**
 * A process's socket, borrowed for a moment: a descriptor of our own for the same socket (pidfd_getfd), whether its
 * process runs, sleeps or is stopped.
 */
import { closeSync } from 'node:fs';
import { isErrno } from '../platform/libc';
import { takeDescriptor } from '../platform/process';
import type { Holder } from './holders';
import { cookieOf } from './options';

/**
 * Runs `work` on a process's socket. Between the walk that found the holder and now, the process may have ended, its
 * number may stand for another one, and the descriptor for another file: so the cookie is asked of what was fetched.
 * @param cookie of the socket that is meant
 * @returns what `work` returns; null when the socket can't be had: gone, another one by now, or not permitted
 * @throws what `work` throws
 */
export function borrow<Result>(holder: Holder, cookie: string, work: (fd: number) => Result): Result | null {
  const fd = fetch(holder);
  if (fd === null) return null;
  try {
    return isSocket(fd, cookie) ? work(fd) : null;
  } finally {
    closeSync(fd);
  }
}

function fetch({ pid, fd }: Holder): number | null {
  try {
    return takeDescriptor(pid, fd);
  } catch (error) {
    // EPERM comes from Yama and other security modules; ENOSYS from kernels before 5.6.
    if (isErrno(error, 'ESRCH', 'EBADF', 'EPERM', 'EINVAL', 'ENOSYS')) return null;
    throw error;
  }
}

function isSocket(fd: number, cookie: string): boolean {
  try {
    return cookieOf(fd) === cookie;
  } catch (error) {
    if (isErrno(error, 'ENOTSOCK', 'EBADF')) return false;
    throw error;
  }
}
