/** What the JSON layer throws, and how it names the place of a fault: `nftables[3].chain.prio`. */

export type PathKey = string | number;

/** A document that is no libnftables JSON, or that this layer refuses to build. */
export class NftJsonError extends Error {
  /** Where: `nftables[3].chain.prio`; empty when it is the document as a whole. The message does not repeat it. */
  readonly path: string;

  constructor(message: string, path: readonly PathKey[] = []) {
    super(message);
    this.name = 'NftJsonError';
    this.path = path.map(step).join('').replace(/^\./, '');
  }
}

function step(key: PathKey): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

export type JsonType = 'string' | 'integer' | 'number' | 'boolean' | 'null' | 'array' | 'object';

/** The JSON type of a value; undefined for what JSON cannot hold. An integer is a number without fraction, or a bigint. */
export function typeOf(value: unknown): JsonType | undefined {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  const type = typeof value;
  if (type === 'bigint') return 'integer';
  if (type === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return type === 'string' || type === 'boolean' || type === 'object' ? type : undefined;
}

const NAMES: Record<JsonType, string> = {
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  boolean: 'a boolean',
  null: 'null',
  array: 'an array',
  object: 'an object',
};

/** `a string or an array`. */
export function nameTypes(types: readonly JsonType[]): string {
  const names = types.map((type) => NAMES[type]);
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

/** `a string ("foo")`: the value as an error shows it, long strings cut. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  const type = typeOf(value);
  if (type === undefined) return `a ${typeof value}`;
  if (type === 'null' || type === 'array' || type === 'object') return NAMES[type];
  return `${NAMES[type]} (${typeof value === 'string' ? quote(value) : value})`;
}

const SHOWN = 60;

function quote(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}
