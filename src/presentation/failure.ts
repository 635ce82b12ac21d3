/** How a failure reads: what went wrong, then what to do. */
import type { Failure } from '../platform/failure';

/** @returns the text for standard error */
export function failureText({ message, suggestions }: Pick<Failure, 'message' | 'suggestions'>): string {
  const [first = '', ...rest] = message.split('\n');
  const detail = rest.map((line) => `  ${line}`);
  const advice = suggestions.map((suggestion) => `  try: ${suggestion}`);
  return `${[`netfreeze: ${first}`, ...detail, ...advice].join('\n')}\n`;
}
