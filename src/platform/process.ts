/** Other processes by descriptor: what a process id names can't be swapped for another process once it is opened. */
import { closeSync, readFileSync } from 'node:fs';
import { isErrno, syscallNumbers } from './libc';

/** asm-generic/unistd.h; the same number on every architecture. */
const SYS_pidfd_open = 434;
const SYS_pidfd_getfd = 438;
const SYS_close_range = 436;
/** linux/close_range.h */
const CLOSE_RANGE_CLOEXEC = 4;

/**
 * Takes a copy of another process's descriptor.
 * @param pid the process
 * @param descriptor its number there
 * @returns a descriptor of this process for the same open file
 * @throws SystemError ESRCH without that process, EBADF without that descriptor, EPERM where the kernel forbids it
 *   (Yama's ptrace_scope 3 forbids it to everybody)
 */
export function takeDescriptor(pid: number, descriptor: number): number {
  const pidfd = syscallNumbers(SYS_pidfd_open, pid, 0, 0);
  try {
    return syscallNumbers(SYS_pidfd_getfd, pidfd, descriptor, 0);
  } finally {
    closeSync(pidfd);
  }
}

/**
 * Keeps every descriptor of this process but the standard ones from programs that it starts, unless they are handed over
 * on purpose: what somebody else has left open would stay open as long as that program runs.
 */
export function keepDescriptorsToOurselves(): void {
  try {
    syscallNumbers(SYS_close_range, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC);
  } catch (error) {
    // A kernel before 5.11.
    if (!isErrno(error, 'ENOSYS', 'EINVAL')) throw error;
  }
}

/**
 * @returns when a process was started, in clock ticks since the machine was (proc(5), stat, field 22), by which a process
 *   id that is used again is told apart; null when there is no such process, or it has ended and waits to be reaped
 */
export const startOf = (pid: number): number | null => statOf(pid, 22);

/** @returns the session that a process belongs to (proc(5), stat, field 6); null as for startOf */
export const sessionOf = (pid: number): number | null => statOf(pid, 6);

/** @returns a number of proc(5)'s stat; null when there is no such process, or it has ended and waits to be reaped */
function statOf(pid: number, field: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in field 2 may hold anything, so what follows its last parenthesis is counted from field 3.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : Number(fields[field - 3]);
  } catch {
    return null;
  }
}

/** @returns a process's arguments; none when there is no such process */
export function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}
