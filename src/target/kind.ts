/** What every kind of target answers; one file of this room for each. */

/** A kind of target. */
export interface Kind {
  /** What stands before the colon. */
  prefix: string;
  /** @returns why a name can't be one of this kind, or null */
  objection(name: string): string | null;
  /** @returns the file behind the name */
  file(name: string): string;
  /** @returns the names that could be meant, for suggestions */
  names(): string[];
  /** What to do when there is nothing of a name. */
  advice: string;
  /** @returns what to say when there is nothing of this name, or when it is no network namespace */
  missing(name: string): string;
}
