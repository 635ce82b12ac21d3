/**
 * Writing to standard output and standard error, at once and whole. Node's own streams would bring sockets, terminals and
 * all of its stream machinery with them, which is a tenth of a command's time.
 */
import { writeSync } from 'node:fs';
import { errnoOf } from '../platform/libc';

/** Prints a result. A reader that has gone, as in `netfreeze status | head -1`, is no failure. */
export const print = (text: string): void => writeAll(1, text);

/** Says what is not the result: notes, failures. */
export const say = (text: string): void => writeAll(2, text);

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EPIPE' || errno === 'EBADF') return;
      // The other end of the pipe has asked for no waiting, and is slow: it is tried again until it has read.
      if (errno !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
