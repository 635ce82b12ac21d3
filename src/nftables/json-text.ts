/**
 * JSON as libnftables' own library (jansson) reads and writes it. JSON.parse would do but for three things: counters
 * reach 2^63 and a double holds 2^53; a deep nesting must be an error with a place and not a full stack; and a cut
 * listing (nft before 1.1.0, a table with flags) must be told from other nonsense.
 */
import { describe, NftJsonError, type PathKey } from './json-error';

/** How deep a document may nest. Real listings stay below 20; jansson itself stops at 2048. */
export const MAX_DEPTH = 256;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/**
 * Reads one JSON text.
 * @returns plain objects, arrays, strings, booleans, null and numbers; an integer that a double cannot hold is a bigint.
 * A member named `__proto__` is a member like any other.
 * @throws NftJsonError with an empty path if the text is no JSON or is cut; with a path for an integer of more than 64
 * bits, a nesting deeper than MAX_DEPTH and a member that stands twice.
 */
export function readJson(text: string): unknown {
  const path: PathKey[] = [];
  let at = 0;

  skipSpace();
  if (at === text.length) throw new NftJsonError('the text is empty: nft printed no document');
  const document = value();
  skipSpace();
  if (at < text.length) throw unexpected();
  return document;

  function value(): unknown {
    switch (text[at]) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return string();
      default:
        return literal();
    }
  }

  function object(): Record<string, unknown> {
    const members: Record<string, unknown> = {};
    if (opens('}')) return members;
    do {
      skipSpace();
      if (text[at] !== '"') throw unexpected();
      const key = string();
      skipSpace();
      if (!takes(':')) throw unexpected();
      if (Object.hasOwn(members, key)) {
        throw new NftJsonError('expected a member once, got it twice', [...path, key]);
      }
      const inner = nested(key);
      if (key === '__proto__') {
        Object.defineProperty(members, key, { value: inner, enumerable: true, writable: true, configurable: true });
      } else {
        members[key] = inner;
      }
    } while (goesOn('}'));
    return members;
  }

  function array(): unknown[] {
    const items: unknown[] = [];
    if (opens(']')) return items;
    do items.push(nested(items.length));
    while (goesOn(']'));
    return items;
  }

  /** After an opening bracket: true if the closing one follows at once. */
  function opens(close: string): boolean {
    at++;
    skipSpace();
    return takes(close);
  }

  /** After a value inside of brackets: true if another one follows, false if they close. */
  function goesOn(close: string): boolean {
    skipSpace();
    if (takes(',')) return true;
    if (takes(close)) return false;
    throw unexpected();
  }

  function nested(key: PathKey): unknown {
    path.push(key);
    if (path.length > MAX_DEPTH) throw tooDeep(path);
    skipSpace();
    const inner = value();
    path.pop();
    return inner;
  }

  function string(): string {
    const start = at++;
    let escaped = false;
    for (;;) {
      const special = find(/["\\\u0000-\u001f]/g);
      if (special === '"') break;
      if (special !== '\\') throw unexpected();
      escaped = true;
      at++;
    }
    if (!escaped) return text.slice(start + 1, at - 1);
    try {
      return JSON.parse(text.slice(start, at));
    } catch {
      throw new NftJsonError(`the text is no JSON: a bad escape in the string at offset ${start}`);
    }
  }

  /** Moves behind the next match of a pattern and returns it. */
  function find(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) {
      at = text.length;
      throw unexpected();
    }
    at = found.index;
    if ((found[0].codePointAt(0) ?? 0) >= 0x20) at++;
    return found[0];
  }

  function literal(): unknown {
    const word = here(/true|false|null/y);
    if (word !== undefined) return word === 'null' ? null : word === 'true';
    const number = here(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y);
    if (number === undefined) throw unexpected();
    return toNumber(number);
  }

  function toNumber(number: string): number | bigint {
    if (number.length < 16 || /[.eE]/.test(number)) {
      const short = Number(number);
      if (!Number.isFinite(short)) throw new NftJsonError('expected a number that a double holds', path);
      return short === 0 ? 0 : short;
    }
    const long = BigInt(number);
    if (long < INT64_MIN || long > UINT64_MAX) {
      throw new NftJsonError(`expected an integer of at most 64 bits, got one of ${number.length} digits`, path);
    }
    return Number.isSafeInteger(Number(long)) ? Number(long) : long;
  }

  function here(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  }

  function takes(character: string): boolean {
    if (text[at] !== character) return false;
    at++;
    return true;
  }

  function skipSpace(): void {
    while (at < text.length && ' \t\n\r'.includes(text.charAt(at))) at++;
  }

  function unexpected(): NftJsonError {
    const rest = text.slice(at, at + 8);
    if (
      rest === '' ||
      rest === '-' ||
      ['true', 'false', 'null'].some((word) => word !== rest && word.startsWith(rest))
    ) {
      return new NftJsonError(
        `the text is truncated: it ends after ${text.length} characters, inside of the document ` +
          '(nft before 1.1.0 cuts the listing of a table with flags, such as a dormant one)',
      );
    }
    return new NftJsonError(`the text is no JSON: unexpected ${JSON.stringify(rest[0])} at offset ${at}`);
  }
}

/**
 * Writes a value as nft does, blanks included, so that a listing that was read comes out as it was to the letter.
 * @throws NftJsonError, with a path, for what JSON cannot hold and for a nesting deeper than MAX_DEPTH, a cycle included.
 */
export function writeJson(value: unknown, path: PathKey[] = []): string {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value);
    case 'number':
      return writeNumber(value, path);
    case 'bigint':
      return String(value);
    case 'object':
      break;
    default:
      throw new NftJsonError(`expected a JSON value, got ${describe(value)}`, path);
  }
  if (value === null) return 'null';
  if (path.length >= MAX_DEPTH) throw tooDeep(path);
  const inner = (key: PathKey, item: unknown) => {
    path.push(key);
    const text = writeJson(item, path);
    path.pop();
    return text;
  };
  // Array.from and not map: a hole in an array is to be an error as well.
  if (Array.isArray(value)) return `[${Array.from(value, (item, index) => inner(index, item)).join(', ')}]`;
  const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${inner(key, item)}`);
  return `{${members.join(', ')}}`;
}

function writeNumber(value: number, path: readonly PathKey[]): string {
  if (!Number.isFinite(value)) throw new NftJsonError(`expected a JSON value, got ${value}`, path);
  const text = JSON.stringify(value);
  // A double beyond 2^53 was read from a real number; without the fraction it would be read back as an integer.
  return Number.isInteger(value) && !Number.isSafeInteger(value) && !text.includes('e') ? `${text}.0` : text;
}

function tooDeep(path: readonly PathKey[]): NftJsonError {
  return new NftJsonError(`expected at most ${MAX_DEPTH} levels of nesting, got more`, path);
}
