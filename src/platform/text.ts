/**
 * Names come from people and from directories: control characters never reach a terminal, and length is bounded.
 * @returns the text as it is when it is plain and short, else quoted, escaped and cut
 */
export function shown(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return /^[\x21-\x7e]+$/.test(short) ? short : escaped(short);
}

/** JSON's escapes, and those of the control characters that JSON leaves alone. */
const escaped = (text: string): string =>
  JSON.stringify(text).replace(
    /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
