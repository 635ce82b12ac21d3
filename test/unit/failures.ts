/** What a test expects of a refusal. */
import './realms';
import { Failure } from '../../src/platform/failure';

/** @returns the Failure that `action` throws or rejects with; any other outcome fails the test */
export async function failureOf(action: () => unknown): Promise<Failure> {
  let outcome: unknown;
  try {
    outcome = await action();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`was accepted: ${JSON.stringify(outcome)}`);
}

/** What must never reach a terminal as it is: control characters, and those that turn the direction of text. */
export const dangerous = /[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** Names and values as somebody would write them who means harm. */
export const hostileTexts: readonly string[] = [
  'a b',
  ' web',
  'web\n',
  'a"b',
  "a'b",
  'a;b',
  'a`b`',
  '$(id)',
  '} table ip x { }',
  '"; flush ruleset; #',
  '\\',
  '../../etc/passwd',
  '\u001b[2J',
  '\u009b31m',
  '\u202egnp.exe',
  '\u2028',
  '\0',
  'контейнер',
  '容器',
  '💥',
  '\ud800',
  'x'.repeat(300),
];
