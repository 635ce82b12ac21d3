/** Locks on single bytes of a file, by its open file description: no other one has them at the same time (fcntl(2)). */
import { fcntl } from './libc';

/** asm-generic/fcntl.h */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * Locks a byte until the file is closed.
 * @param fd open for writing
 * @throws SystemError EAGAIN when somebody else has it
 */
export function lockByte(fd: number, at: bigint): void {
  fcntl(fd, F_OFD_SETLK, lockOf(at));
}

/** @returns whether somebody else has locked a byte */
export function isByteLocked(fd: number, at: bigint): boolean {
  const lock = lockOf(at);
  fcntl(fd, F_OFD_GETLK, lock);
  return lock.readInt16LE(0) !== F_UNLCK;
}

/** struct flock with 64-bit offsets: type, whence (the beginning), start, length, and a process id that is 0. */
function lockOf(at: bigint): Buffer {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(F_WRLCK, 0);
  lock.writeBigInt64LE(at, 8);
  lock.writeBigInt64LE(1n, 16);
  return lock;
}
