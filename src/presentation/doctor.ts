/** The doctor's findings for people. */
import type { Check } from '../freeze/doctor';

const marks = { ok: 'ok', limited: 'limited', missing: 'MISSING' } as const;

/** @returns a line for each check, and below it what to do */
export function doctorText(checks: Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks
    .flatMap(({ name, result, found, todo }) => [
      `${name.padEnd(width)}  ${marks[result].padEnd(7)}  ${found}`,
      ...todo.map((step) => `${' '.repeat(width + 11)}try: ${step}`),
    ])
    .map((line) => `${line}\n`)
    .join('');
}
