/** The queue numbers of a freeze: one per direction, neither of them anybody else's. */

/** One queue number per direction. */
export interface QueueNumbers {
  in: number;
  out: number;
}

/** Far from the low numbers that programs choose; what `preview` shows without a target. */
export const defaultNumbers: QueueNumbers = { in: 61450, out: 61451 };

/** A stretch of queue numbers that something in the namespace uses. */
export interface Taken {
  number: number;
  total: number;
}

const largest = 65535;

/**
 * Chooses two numbers that nothing uses: no rule queues to them, and no socket is bound to them.
 * @returns the default ones where they are free; null when there is no free pair
 */
export function freeNumbers(taken: Taken[]): QueueNumbers | null {
  const isFree = (number: number) => !taken.some((used) => number >= used.number && number < used.number + used.total);
  const above = (largest + 1 - defaultNumbers.in) / 2;
  for (let step = 0; step < (largest + 1) / 2; step += 1) {
    const at = step < above ? defaultNumbers.in + 2 * step : 2 * (step - above);
    if (isFree(at) && isFree(at + 1)) return { in: at, out: at + 1 };
  }
  return null;
}
