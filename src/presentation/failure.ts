/** How a failure reads: what went wrong, then what to do. */
import type { Failure } from '../platform/failure';
import { harmless } from '../platform/text';

/** @returns the text for standard error */
export function failureText({ message, suggestions }: Pick<Failure, 'message' | 'suggestions'>): string {
  const [first = '', ...rest] = harmless(message).split('\n');
  const detail = rest.map((line) => `  ${line}`);
  const advice = suggestions.map((suggestion) => `  try: ${harmless(suggestion)}`);
  return `${[`netfreeze: ${first}`, ...detail, ...advice].join('\n')}\n`;
}
