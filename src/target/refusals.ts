/** Failures that the kinds have in common. */
import { closest, distance } from 'fastest-levenshtein';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';

/** @returns a failure for an engine that is there and gives no answer that can be used */
export const engineFailed = (engine: string, why: string, cause?: unknown) =>
  new Failure('engine-failed', Exit.unsupported, `${engine} could not be asked: ${why}`, {
    suggestions: [`see whether ${engine} works, or name the namespace otherwise: pid:N or path:FILE`],
    cause,
  });

/** @returns a failure for an engine that does not let us ask */
export const engineForbids = (engine: string, why: string, cause?: unknown) =>
  new Failure('not-permitted', Exit.notPermitted, `${engine} could not be asked: ${why}`, {
    suggestions: [
      process.geteuid?.() === 0
        ? 'what started netfreeze lets it do less than the engine needs (a hardened unit, say): name the target by pid:N'
        : 'run it as root, for example with sudo',
    ],
    cause,
  });

/** @param target in full @param state in the engine's word @param start the command that would start it */
export const notRunning = (target: string, state: string, start: string) =>
  new Failure('not-running', Exit.noTarget, `${shown(target)} is not running (${shown(state)}): it has no network`, {
    suggestions: [`start it: ${start}`],
  });

/** @param candidates names in full, any of which would do */
export const ambiguous = (text: string, candidates: string[]) =>
  new Failure('ambiguous-target', Exit.noTarget, `${shown(text)} could be ${listed(candidates.map(shown), 'or')}`, {
    suggestions: candidates.map(shown),
  });

/** @returns what a typing mistake could have meant, or else the advice */
export function nearNames(name: string, names: string[], advice: string): string[] {
  const others = names.filter((known) => known !== name);
  if (others.length === 0) return [advice];
  const nearest = closest(name, others.map(withoutKind));
  const limit = Math.max(2, Math.floor(name.length / 3));
  if (distance(name, nearest) > limit) return [advice];
  return [`did you mean ${shown(others.find((known) => withoutKind(known) === nearest) ?? nearest)}?`];
}

const withoutKind = (name: string): string => name.replace(/^(podman|docker|unit):/, '');

/** @returns `a`, `a and b`, `a, b and c` */
export const listed = (words: string[], last: 'and' | 'or'): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`;
