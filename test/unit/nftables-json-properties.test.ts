import fc from 'fast-check';
import {
  buildCommands,
  type Command,
  type NftDocument,
  NftJsonError,
  parseDocument,
  stringifyDocument,
} from '../../src/nftables/json';
import { readJson, writeJson } from '../../src/nftables/json-text';

const family = fc.constantFrom('ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev');
const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,15}$/);
const comment = fc.stringMatching(/^[A-Za-z0-9 \\'%äß€]{0,40}$/);
/** As a document holds it: a number where it is exact, else a bigint. */
const exact = (value: bigint) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
const integer = fc.oneof(
  fc.nat().map((value) => value),
  fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(exact),
);
const optional = <T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }, required: (keyof T)[]) =>
  fc.record(members, { requiredKeys: required as never });

const { expression, statement } = fc.letrec<{ expression: unknown; statement: unknown; leaf: unknown }>((tie) => {
  const some = fc.array(tie('expression'), { minLength: 2, maxLength: 3 });
  return {
    leaf: fc.oneof(
      integer,
      fc.boolean(),
      fc.constantFrom('*', '10.0.0.1', 'eth0', 'established'),
      name.map((set) => `@${set}`),
      fc.record({ meta: fc.record({ key: name }) }),
      fc.record({ payload: fc.record({ protocol: name, field: name }) }),
      fc.record({ payload: fc.record({ base: fc.constantFrom('ll', 'nh', 'th'), offset: integer, len: integer }) }),
      fc.record({ ct: optional({ key: name, dir: fc.constantFrom('original', 'reply') }, ['key']) }),
      fc.record({ 'tcp option': optional({ name, field: name }, ['name']) }),
      fc.record({ fib: fc.record({ result: name, flags: fc.array(name) }) }),
    ),
    expression: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      tie('leaf'),
      some,
      fc.record({ concat: some }),
      fc.record({ set: some }),
      fc.record({ range: some }),
      fc.record({ '&': some }),
      fc.record({ map: fc.record({ key: tie('expression'), data: tie('expression') }) }),
      fc.record({ prefix: fc.record({ addr: tie('leaf'), len: integer }) }),
      fc.record({ elem: optional({ val: tie('leaf'), timeout: integer, comment }, ['val']) }),
    ),
    statement: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.constantFrom({ accept: null }, { drop: null }, { notrack: null }, { queue: null }, { log: null }),
      fc.record({ jump: fc.record({ target: name }) }),
      fc.record({
        match: fc.record({ op: fc.constantFrom('==', '!=', 'in'), left: tie('expression'), right: tie('expression') }),
      }),
      fc.record({ counter: fc.oneof(name, fc.record({ packets: integer, bytes: integer })) }),
      fc.record({ limit: optional({ rate: integer, per: name, burst: integer, inv: fc.boolean() }, ['rate', 'per']) }),
      fc.record({ mangle: fc.record({ key: tie('expression'), value: tie('expression') }) }),
      fc.record({ queue: fc.record({ num: tie('expression'), flags: fc.oneof(name, fc.array(name)) }) }),
      fc.record({ dnat: optional({ addr: tie('leaf'), port: tie('leaf'), flags: fc.array(name) }, []) }),
      fc.record({
        set: optional(
          {
            op: fc.constantFrom('add', 'update'),
            elem: tie('expression'),
            set: name.map((set) => `@${set}`),
            stmt: fc.array(tie('statement'), { maxLength: 2 }),
          },
          ['op', 'elem', 'set'],
        ),
      }),
      fc.record({ vmap: fc.record({ key: tie('expression'), data: tie('expression') }) }),
    ),
  };
});

const priority = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const hooked = fc.record({
  family: fc.constantFrom('ip', 'ip6', 'inet', 'bridge'),
  table: name,
  name,
  type: fc.constant('filter'),
  hook: fc.constantFrom('prerouting', 'input', 'forward', 'output', 'postrouting'),
  prio: priority,
  policy: fc.constantFrom('accept', 'drop'),
});
const object = fc.oneof(
  fc.record({ table: optional({ family, name, handle: integer, comment }, ['family', 'name']) }),
  fc.record({ chain: fc.oneof(hooked, fc.record({ family, table: name, name })) }),
  fc.record({
    rule: optional(
      { family, table: name, chain: name, handle: integer, comment, expr: fc.array(statement, { minLength: 1 }) },
      ['family', 'table', 'chain', 'expr'],
    ),
  }),
  fc.record({
    set: optional(
      {
        family,
        table: name,
        name,
        type: fc.oneof(name, fc.array(name)),
        flags: fc.array(fc.constantFrom('interval', 'timeout')),
        elem: fc.array(expression),
        timeout: integer,
        size: integer,
      },
      ['family', 'table', 'name', 'type'],
    ),
  }),
  fc.record({ counter: fc.record({ family, table: name, name, packets: integer, bytes: integer }) }),
  fc.record({ quota: fc.record({ family, table: name, name, bytes: integer, used: integer, inv: fc.boolean() }) }),
);

/** Anything that JSON can say; -0 is not told from 0. */
const anyJson = fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.parse(JSON.stringify(value)));
const unknownObject = fc.dictionary(fc.stringMatching(/^unknown-[a-z]{1,5}$/), anyJson, { minKeys: 1, maxKeys: 1 });
const withUnknownMembers = fc
  .tuple(object, fc.dictionary(fc.stringMatching(/^unknown-[a-z]{1,5}$/), anyJson))
  .map(([known, more]) =>
    Object.fromEntries(Object.entries(known).map(([kind, members]) => [kind, { ...(members as object), ...more }])),
  );

describe('for any document', () => {
  it('reading what was written gives the document, unknown objects and members included', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(object, withUnknownMembers, unknownObject)), (nftables) => {
        const document = { nftables } as unknown as NftDocument;
        expect(parseDocument(stringifyDocument(document))).toEqual(document);
      }),
      { numRuns: 500 },
    );
  });

  it('reading what was built gives the commands', () => {
    fc.assert(
      fc.property(fc.array(object), (objects) => {
        const commands = objects.map((added) => ({ add: added })) as Command[];
        expect(parseDocument(buildCommands(commands))).toEqual({ nftables: commands });
      }),
      { numRuns: 500 },
    );
  });

  it('a change of any one member is taken, or refused with an NftJsonError', () => {
    fc.assert(
      fc.property(object, anyJson, fc.nat(), (listed, wrong, at) => {
        const nftables = structuredClone([listed]);
        const places = placesIn(nftables);
        const place = places[at % places.length];
        if (place === undefined) return;
        place.holder[place.key] = wrong;
        for (const attempt of [
          () => parseDocument(stringifyDocument({ nftables } as unknown as NftDocument)),
          () => buildCommands(nftables.map((added) => ({ add: added })) as Command[]),
        ]) {
          const error = thrown(attempt);
          if (error !== undefined) expect(error).toBeInstanceOf(NftJsonError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('for any text', () => {
  it('reads what the standard parser reads, and refuses what it refuses', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 2 }), (json, at, patch) => {
        const cut = at % (json.length + 1);
        for (const text of [json, json.slice(0, cut) + patch + json.slice(cut + 1), json.slice(0, cut)]) {
          const standard = thrown(() => JSON.parse(text));
          const ours = thrown(() => readJson(text));
          if (standard !== undefined) expect(ours).toBeInstanceOf(NftJsonError);
          // Refused here alone: a member twice, an integer beyond 64 bits, a number beyond a double.
          else if (ours !== undefined) expect(String(ours)).toMatch(/once|64 bits|double/);
          else expect(plain(readJson(text))).toEqual(plain(JSON.parse(text)));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps every integer of 64 bits', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
        const read = readJson(`[${value}]`) as (number | bigint)[];
        expect(BigInt(read[0] ?? 0)).toBe(value);
        expect(typeof read[0] === 'bigint' || Number.isSafeInteger(read[0])).toBe(true);
        expect(writeJson(read)).toBe(`[${value}]`);
      }),
    );
  });

  it('keeps every double', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(readJson(writeJson([value]))).toEqual([value === 0 ? 0 : value]);
      }),
    );
  });
});

/** Every member and item of a tree. */
function placesIn(tree: unknown): { holder: Record<string, unknown>; key: string }[] {
  if (typeof tree !== 'object' || tree === null) return [];
  const holder = tree as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}

function thrown(attempt: () => unknown): unknown {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Bigints as the doubles that the standard parser makes of them; -0 as 0. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value).map(([key, inner]) => [key, plain(inner)]);
}
