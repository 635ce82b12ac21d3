/**
 * The pieces that the schema is made of. A check looks at a value and throws; it never changes it. In a strict walk, the
 * one of what is to be built, a check refuses as well what nft would pass over in silence or could not read back.
 */
import { describe, type JsonType, NftJsonError, nameTypes, type PathKey, typeOf } from './json-error';
import { MAX_DEPTH } from './json-text';

export interface Walk {
  readonly strict: boolean;
  /** Where the walk is; pushed and popped on the way. */
  readonly path: PathKey[];
}

export type Check = (value: unknown, walk: Walk) => void;

/** Walks one step down. */
export function inside(walk: Walk, key: PathKey, check: Check, value: unknown): void {
  walk.path.push(key);
  if (walk.path.length > MAX_DEPTH) throw fault(walk, `expected at most ${MAX_DEPTH} levels of nesting, got more`);
  check(value, walk);
  walk.path.pop();
}

export function fault(walk: Walk, message: string): NftJsonError {
  return new NftJsonError(message, walk.path);
}

/** One check for each JSON type that is allowed. */
export function byType(checks: { readonly [type in JsonType]?: Check }): Check {
  const expected = nameTypes(Object.keys(checks) as JsonType[]);
  return (value, walk) => {
    const type = typeOf(value);
    const check = type === undefined ? undefined : checks[type];
    if (check === undefined) throw fault(walk, `expected ${expected}, got ${describe(value)}`);
    check(value, walk);
  };
}

export const anything: Check = () => {};

export const nothing = byType({ null: anything });

export const boolean = byType({ boolean: anything });

/** What nft's text could not hold: CRIU, for one, saves a ruleset as text and loads it again. */
export const plainText: Check = (value, walk) => {
  if (walk.strict && /["\p{Cc}\p{Surrogate}]/u.test(String(value))) {
    throw fault(walk, `expected a string without quotes and control characters, got ${describe(value)}`);
  }
};

export const string = byType({ string: plainText });

const NAME = /^[A-Za-z][A-Za-z0-9_-]*$/;

/** The name of a table, chain, set or object. JSON takes any; the text parser can read back only these. */
export const name = byType({
  string: (value, walk) => {
    if (walk.strict && !NAME.test(String(value))) {
      throw fault(walk, `expected a name (a letter, then letters, digits, "_" and "-"), got ${describe(value)}`);
    }
  },
});

/** A string `@name`. */
export const setName = byType({
  string: (value, walk) => {
    const text = String(value);
    if (walk.strict && !(text.startsWith('@') && NAME.test(text.slice(1)))) {
      throw fault(walk, `expected "@" and a name, got ${describe(value)}`);
    }
  },
});

/** Bytes; NFTNL_UDATA_COMMENT_MAXLEN of libnftnl. JSON takes more (measured with 1.0.6), the text parser refuses it then. */
const COMMENT_BYTES = 128;

export const comment = byType({
  string: (value, walk) => {
    plainText(value, walk);
    const bytes = new TextEncoder().encode(String(value)).length;
    if (walk.strict && bytes > COMMENT_BYTES) {
      throw fault(walk, `expected a comment of at most ${COMMENT_BYTES} bytes, got ${bytes}`);
    }
  },
});

/** Any 64-bit integer when read; when built what jansson takes without loss and nft without turning its sign. */
export const integer = integerWithin(0n, 2n ** 63n - 1n);

/** A priority: nft cuts a larger one to 32 bits in silence (measured with 1.0.6: 4294967296 gives 0). */
export const priority = integerWithin(-(2n ** 31n), 2n ** 31n - 1n);

function integerWithin(least: bigint, most: bigint): Check {
  return byType({
    integer: (value, walk) => {
      if (!walk.strict) return;
      if (typeof value === 'number' && !Number.isSafeInteger(value)) {
        throw fault(walk, `expected an exact integer (a bigint beyond 2^53), got ${describe(value)}`);
      }
      if ((value as number | bigint) < least || (value as number | bigint) > most) {
        throw fault(walk, `expected an integer from ${least} to ${most}, got ${describe(value)}`);
      }
    },
  });
}

export function list(item: Check): Check {
  return byType({
    array: (value, walk) => {
      for (const [index, inner] of Array.from(value as unknown[]).entries()) inside(walk, index, item, inner);
    },
  });
}

export const flags = byType({ string: plainText, array: list(string) });

type Optional<T> = { [Key in keyof T]-?: undefined extends T[Key] ? Key : never }[keyof T];

/** The members of an object; the compiler asks for a check for each member of its type. */
export interface Shape {
  readonly required: ReadonlyMap<string, Check>;
  readonly optional: ReadonlyMap<string, Check>;
}

export function shape<T extends object>(
  required: Record<Exclude<keyof T, Optional<T>>, Check>,
  optional: Record<Optional<T>, Check>,
): Shape {
  return { required: new Map(Object.entries(required)), optional: new Map(Object.entries(optional)) };
}

/** An object of a shape. */
export function whole({ required, optional }: Shape): Check {
  return byType({
    object: (value, walk) => {
      const members = value as Record<string, unknown>;
      for (const [key, check] of required) {
        inside(walk, key, check, Object.hasOwn(members, key) ? members[key] : undefined);
      }
      known(members, optional, (key) => required.has(key), walk);
    },
  });
}

/** An object of a shape of which any member may be missing. */
export function part({ required, optional }: Shape): Check {
  const all = new Map([...required, ...optional]);
  return byType({ object: (value, walk) => known(value as Record<string, unknown>, all, () => false, walk) });
}

/** A member that nobody knows is kept when read. Built, it would be a misspelt one, which nft passes over in silence. */
function known(
  members: Record<string, unknown>,
  checks: ReadonlyMap<string, Check>,
  done: (key: string) => boolean,
  walk: Walk,
): void {
  for (const [key, member] of Object.entries(members)) {
    if (done(key)) continue;
    const check = checks.get(key);
    if (check !== undefined) inside(walk, key, check, member);
    else if (walk.strict)
      inside(walk, key, refuse(`a member that nft knows (${[...checks.keys()].join(', ')})`), member);
  }
}

function refuse(expected: string): Check {
  return (_value, walk) => {
    throw fault(walk, `expected ${expected}, got another`);
  };
}

/** An object with one member, whose name is its kind. What nobody knows is kept when read and refused when built. */
export function oneOfKinds(what: string, kinds: () => ReadonlyMap<string, Check>): Check {
  return (value, walk) => {
    const members = Object.entries(value as object);
    const [only] = members;
    if (only === undefined || members.length > 1) {
      throw fault(walk, `expected an object with one member, got one with ${members.length}`);
    }
    const [kind, inner] = only;
    const check = kinds().get(kind);
    if (check !== undefined) inside(walk, kind, check, inner);
    else if (walk.strict) throw fault(walk, `expected a known ${what}, got ${describe(kind)}`);
  };
}
