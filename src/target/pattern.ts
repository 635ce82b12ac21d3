/** Patterns in the place of names: `web-*`, `podman:db-?`, `unit:worker@{1,2}.service`, matched as a shell matches files. */
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';

/** @returns whether a name holds what only patterns do */
export const isPattern = (name: string): boolean => /[*?[\]{}]/.test(name);

/**
 * @param names that could be meant
 * @returns those that the pattern matches, each once, sorted by code units; names that begin with a dot as any other
 */
export function matching(pattern: string, names: readonly string[]): string[] {
  // Loaded late: few commands are given a pattern.
  const { minimatch } = require('minimatch') as typeof import('minimatch');
  const options = { dot: true, nocomment: true, nonegate: true, noext: true };
  return [...new Set(names.filter((name) => minimatch(name, pattern, options)))].sort();
}

/** @param stopped how many do match, but do not run */
export const noMatch = (pattern: string, suggestions: string[], stopped = 0) =>
  new Failure(
    'no-such-target',
    Exit.noTarget,
    stopped === 0
      ? `nothing matches ${shown(pattern)}`
      : `nothing that runs matches ${shown(pattern)}; ${stopped} that ${stopped === 1 ? 'does is' : 'do are'} stopped`,
    { suggestions },
  );
