/** A value that is changed for the time of a freeze, in the form in which the record keeps it. */
export interface Change {
  /** The kernel's name of the setting or option. */
  name: string;
  /** What it was. */
  saved: number;
  /** What it was made. */
  raised: number;
}

/**
 * Plans a change of a value, with what an earlier freeze that still stands has changed already.
 * @param now the value as it is
 * @param wanted what it must be at least
 * @param before the earlier changes; null or absent: none
 * @returns the earlier change where it is still in force, so that its saved value is kept; null where nothing is to be done
 */
export function planChange(name: string, now: number, wanted: number, before: readonly Change[] = []): Change | null {
  const earlier = before.find((change) => change.name === name);
  if (earlier !== undefined && now === earlier.raised) return earlier;
  return now >= wanted ? null : { name, saved: now, raised: wanted };
}

/** @returns the changes that are not among others */
export const without = (changes: readonly Change[], others: readonly Change[]): Change[] =>
  changes.filter(({ name, saved }) => !others.some((other) => other.name === name && other.saved === saved));

/** @returns whether a value that was read from a record is a change */
export function isChange(value: unknown): value is Change {
  const { name, saved, raised } = (value ?? {}) as Record<string, unknown>;
  return typeof name === 'string' && Number.isSafeInteger(saved) && Number.isSafeInteger(raised);
}
