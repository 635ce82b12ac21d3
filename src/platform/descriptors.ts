/**
 * Low descriptors, kept for a library that can't use high ones: libnftables waits with select(2), which ends the process
 * where a descriptor's number is 1024 or more (FD_SETSIZE, glibc's check).
 */
import { closeSync, openSync } from 'node:fs';

/** How many are kept: more than are ever lent at once. */
const enough = 40;
const kept: number[] = [];

/** Keeps low descriptors; to be called before many others are opened. */
export function keepLowDescriptors(): void {
  while (kept.length < enough) kept.push(openSync('/dev/null', 'r'));
}

/**
 * Lends one of those that are kept.
 * @param open opens the descriptor that must be low, first of all
 * @returns what `open` returns
 */
export function withLowDescriptor<Result>(open: () => Result): Result {
  const lent = kept.pop();
  if (lent !== undefined) closeSync(lent);
  return open();
}

/** Keeps a low descriptor again that was lent and has been closed. */
export function takeBackLowDescriptor(): void {
  if (kept.length > 0) keepLowDescriptors();
}
