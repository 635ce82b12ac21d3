/** Durations as people and nft write them: 500ms, 30s, 5m, 2h. */
import { Exit, Failure } from '../platform/failure';
import { quoted } from '../platform/text';

/** A length of time in milliseconds, validated. */
export type Duration = number & { readonly unit: 'ms' };

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const year = 365 * 24 * units.h;

/**
 * Reads a duration.
 * @param flag the option that it was given to, for the message
 * @throws Failure `bad-duration`
 */
export function parseDuration(text: string, flag: string): Duration {
  const [, amount, unit] = /^([0-9]{1,12})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = amount && unit ? Number(amount) * units[unit as keyof typeof units] : 0;
  if (ms >= 100 && ms <= year) return ms as Duration;
  throw new Failure('bad-duration', Exit.usage, `${flag} ${quoted(text)}: not a duration from 100ms to a year`, {
    suggestions: ['write a whole number and a unit: 500ms, 30s, 5m, 2h'],
  });
}

/** @returns milliseconds as a duration, whole and at least 1: what is left of a lease */
export const remaining = (ms: number): Duration => Math.max(1, Math.floor(ms)) as Duration;

/** @returns a duration in the largest unit that needs no fraction, as nft reads it */
export function durationText(duration: Duration): string {
  const unit = (['h', 'm', 's'] as const).find((name) => duration % units[name] === 0) ?? 'ms';
  return `${duration / units[unit]}${unit}`;
}
