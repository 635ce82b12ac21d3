// Logarithmic axes. Pure.

/**
 * @param domain the smallest and the largest value, both above zero
 * @param range where those two are drawn
 * @returns a function from a value to its place; what is outside is drawn at the edge
 */
export function logScale([low, high], [from, to]) {
  const whole = Math.log(high / low);
  return (value) => from + ((to - from) * Math.log(Math.min(Math.max(value, low), high) / low)) / whole;
}

/** @returns the powers of ten from `low` to `high`, both included where they are powers themselves */
export function decades(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
}

/**
 * Moves labels apart that would stand on each other, each as little as can be.
 * @param places where the labels want to stand, in any order
 * @param gap the least distance of two
 * @param limits the first and the last place that a label may have
 * @returns their places, in the same order
 */
export function spread(places, gap, [first, last]) {
  const order = places.map((_, index) => index).sort((one, other) => places[one] - places[other]);
  const moved = [...places];
  let least = first;
  for (const index of order) {
    moved[index] = Math.max(moved[index], least);
    least = moved[index] + gap;
  }
  let most = last;
  for (const index of order.toReversed()) {
    moved[index] = Math.min(moved[index], most);
    most = moved[index] - gap;
  }
  return moved;
}
