// What CRIU's log (-v4) says. Pure: text in, numbers and words out.

/** A line's seconds and microseconds since CRIU began, and its words. */
const stamped = /^\((\d+)\.(\d+)\)\s*(.*)$/;

/**
 * @param log of a dump without an action script, which would be counted too
 * @returns microseconds from CRIU's start to its lock, `began`, and to what it did next, `ended`; null where it did not lock
 */
export function lockIn(log) {
  const lines = log
    .split('\n')
    .map((line) => stamped.exec(line))
    .filter((found) => found !== null)
    .map(([, seconds, fraction, words]) => ({ at: Number(seconds) * 1e6 + Number(fraction), words }))
    // Comes before the lock, also where there is no script.
    .filter(({ words }) => !/^Running network-lock scripts$/.test(words));
  const begins = lines.findIndex(({ words }) => /\bLock network$/.test(words));
  const next = lines[begins + 1];
  return begins === -1 || next === undefined ? null : { began: lines[begins].at, ended: next.at };
}

/** @returns the first error that a log tells of, without its stamp and its place in CRIU's source, or null */
export function failureIn(log) {
  const found = /^(?:\([\d.]+\) )?(?:\d+: )?Error \([^)]*\): (?:[a-z-]+: )?(.*)$/m.exec(log);
  return found?.[1] ?? null;
}
