/**
 * Names and texts that come from people, directories, namespaces and programs, made fit for a terminal: control
 * characters, and those that turn the direction of text, are written as escapes, and length is bounded.
 */

/** C0 and C1 controls but for the line feed, and Unicode's marks of direction and line ends. */
const dangerous = /[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** @returns the text as it is when it is plain and short, else quoted, escaped and cut */
export function shown(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return /^[\x21-\x7e]+$/.test(short) ? short : quoted(short);
}

/** @returns the text in quotation marks, escaped as JSON does it and where JSON does not */
export const quoted = (text: string): string => harmless(JSON.stringify(text));

/** @returns a text of several lines in which nothing but line feeds moves the cursor */
export const harmless = (text: string): string =>
  text.replace(dangerous, (character) =>
    character === '\t' ? '  ' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
