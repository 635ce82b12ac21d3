// Numbers for people. Pure.

/** @returns the median; of two in the middle their mean */
export function median(numbers) {
  const sorted = numbers.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 0 ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[Math.floor(middle)];
}

/**
 * @param microseconds with null or Infinity for what never came
 * @returns such as `0.4 ms`, `38 ms`, `3.1 s`, `never`: two digits that count, no more
 */
export function time(microseconds) {
  if (microseconds === null || microseconds === Infinity) return 'never';
  const ms = microseconds / 1000;
  if (ms < 10) return `${Math.max(ms, 0).toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The median of times of which some may never have come (null): those are later than all others. */
export const medianTime = (times) => median(times.map((one) => one ?? Infinity));

/** @returns a number with its thousands apart: `12,345` */
export const count = (number) => number.toLocaleString('en-US');

/** @returns one count if all are alike, else the span: `3`, `3 to 7` */
export function span(counts) {
  const [low, high] = [Math.min(...counts), Math.max(...counts)];
  return low === high ? count(low) : `${count(low)} to ${count(high)}`;
}
