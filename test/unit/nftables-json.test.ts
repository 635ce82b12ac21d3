import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  chainsOf,
  commentsOf,
  countersOf,
  devicesOf,
  elementsOf,
  type Family,
  flagsOf,
  type NftDocument,
  NftJsonError,
  parseDocument,
  queueOf,
  type Rule,
  rulesOf,
  type Statement,
  setsOf,
  stringifyDocument,
  tables,
  unsigned64,
} from '../../src/nftables/json';

const listing = (name: string): NftDocument =>
  parseDocument(readFileSync(join(__dirname, 'fixtures', 'nftables-json', `${name}.json`), 'utf8'));

const one = <T>(items: readonly T[]): T => {
  expect(items).toHaveLength(1);
  return items[0] as T;
};

describe('parseDocument', () => {
  it('tells the kinds of objects apart by their member', () => {
    const kinds = listing('drop-freeze').nftables.map((object) => {
      // What compiles here is the point: each kind is known after `in`.
      if ('chain' in object) return `chain ${object.chain.name} at ${object.chain.prio}`;
      if ('rule' in object) return `rule with ${object.rule.expr?.length} statements`;
      if ('table' in object) return `table ${object.table.family} ${object.table.name}`;
      if ('counter' in object) return `counter of ${object.counter.packets}`;
      if ('set' in object) return `set of ${object.set.type}`;
      return Object.keys(object)[0];
    });
    expect(kinds).toEqual([
      'metainfo',
      'table inet netfreeze',
      'counter of 0',
      'counter of 0',
      'set of nf_proto',
      'chain prerouting at -500',
      'chain output at -500',
      'rule with 3 statements',
      'rule with 3 statements',
    ]);
  });

  it('tells statements and expressions apart by their member', () => {
    const rule = one(rulesOf(listing('drop-freeze'), 'inet', 'netfreeze', 'output'));
    const said = rule.expr?.map((statement: Statement) => {
      if (typeof statement === 'string') return statement;
      if ('match' in statement) {
        const { left, right } = statement.match;
        if (typeof left === 'object' && 'meta' in left) return `${left.meta.key} ${statement.match.op} ${right}`;
      }
      if ('counter' in statement) return `counter ${statement.counter}`;
      return Object.keys(statement)[0];
    });
    expect(said).toEqual(['nfproto == @lease', 'counter frozen-out', 'drop']);
  });

  it('keeps objects, members, statements and expressions that it does not know', () => {
    const text =
      '{"nftables": [{"weather": {"family": "cloud", "name": 7}}, {"table": {"family": "ip", "name": "t", "owner": {"x": [1]}}}, ' +
      '{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"teleport": {"to": null}}, ' +
      '{"match": {"op": "~", "left": {"mood": {"key": 1}}, "right": true, "sure": 1}}]}}, ' +
      '{"add": {"balloon": {"air": "hot"}}}], "trailer": {"a": 1.5}}';
    expect(stringifyDocument(parseDocument(text))).toBe(text);
  });

  it('keeps integers exactly, as bigints where a double does not hold them', () => {
    const [most, safe] = countersOf(listing('big-counters'), 'ip', 't');
    expect(most).toMatchObject({ packets: 9223372036854775807n, bytes: 9007199254740993n });
    expect(safe).toMatchObject({ packets: 9007199254740991, bytes: 9007199254740992n });
  });

  it('reads commands as well as listings, whose objects need not be whole', () => {
    const document = parseDocument(
      '{"nftables": [{"add": {"table": {"family": "inet", "name": "t"}}}, {"flush": {"ruleset": null}}, ' +
        '{"delete": {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 4}}}, {"list": {"tables": {"family": "ip"}}}]}',
    );
    const [add] = document.nftables;
    expect(add !== undefined && 'add' in add && 'table' in add.add && add.add.table.name).toBe('t');
    expect(tables(document)).toEqual([]);
  });

  it('gives a member named __proto__ no power', () => {
    const text =
      '{"nftables": [{"table": {"family": "ip", "name": "t", "__proto__": {"polluted": true}}}, ' +
      '{"__proto__": {"chain": {"family": "ip"}}}, {"constructor": {"prototype": {"polluted": true}}}, {"toString": null}]}';
    const document = parseDocument(text);
    const [table, bare] = document.nftables;
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect((one(tables(document)) as { polluted?: boolean }).polluted).toBeUndefined();
    expect(table !== undefined && Object.getPrototypeOf(table)).toBe(Object.prototype);
    expect(bare !== undefined && 'chain' in bare).toBe(false);
    expect(stringifyDocument(document)).toBe(text);
  });

  it.each([
    ['arrays', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('ends a deep nesting of %s with an error and not with a full stack', (_what, open, close) => {
    const deep = `{"nftables": [{"x": ${open.repeat(200_000)}1${close.repeat(200_000)}}]}`;
    expect(() => parseDocument(deep)).toThrow(NftJsonError);
    expect(() => parseDocument(deep)).toThrow('expected at most 256 levels of nesting, got more');
    expect(() => parseDocument(deep.slice(0, 100_000))).toThrow(NftJsonError);
  });

  it('takes a nesting that is deep and within the limit', () => {
    const text = `{"nftables": [{"x": ${'['.repeat(253)}1${']'.repeat(253)}}]}`;
    expect(stringifyDocument(parseDocument(text))).toBe(text);
  });

  it('reads a large listing in a moment', () => {
    const elements = Array.from(
      { length: 50_000 },
      (_, index) => `"10.${index >> 16}.${(index >> 8) & 255}.${index & 255}"`,
    );
    const text = `{"nftables": [{"set": {"family": "ip", "name": "s", "table": "t", "type": "ipv4_addr", "handle": 1, "elem": [${elements.join(', ')}]}}]}`;
    const document = parseDocument(text);
    expect(elementsOf(one(setsOf(document, 'ip', 't')))).toHaveLength(50_000);
    expect(stringifyDocument(document)).toBe(text);
  });
});

describe('stringifyDocument', () => {
  it.each([
    ['undefined', undefined, 'expected a JSON value, got nothing'],
    ['a function', () => 1, 'expected a JSON value, got a function'],
    ['NaN', Number.NaN, 'expected a JSON value, got NaN'],
    ['infinity', Number.POSITIVE_INFINITY, 'expected a JSON value, got Infinity'],
  ])('refuses %s, which JSON cannot hold', (_what, value, message) => {
    const document = { nftables: [{ table: { family: 'ip', name: 't', comment: value } }] } as unknown as NftDocument;
    expect(() => stringifyDocument(document)).toThrow(
      expect.objectContaining({ name: 'NftJsonError', path: 'nftables[0].table.comment', message }),
    );
  });

  it('ends a cycle with an error', () => {
    const document = { nftables: [] as unknown[] };
    document.nftables.push(document);
    expect(() => stringifyDocument(document as unknown as NftDocument)).toThrow('expected at most 256 levels');
  });
});

describe('the finders', () => {
  const several = listing('several-tables');

  it('keep tables of the same name in different families apart', () => {
    expect(tables(several).map(({ family, name }) => `${family} ${name}`)).toEqual([
      'ip a',
      'ip6 a',
      'inet a',
      'inet b',
    ]);
    for (const family of ['ip', 'ip6', 'inet'] satisfies Family[]) {
      expect(one(chainsOf(several, family, 'a'))).toMatchObject({ family, name: 'c', hook: 'input' });
      expect(one(rulesOf(several, family, 'a', 'c'))).toMatchObject({ family, table: 'a' });
    }
    expect(one(setsOf(several, 'inet', 'b')).name).toBe('s');
    expect(one(countersOf(several, 'inet', 'b')).name).toBe('n');
  });

  it('find nothing where nothing is', () => {
    expect(tables(listing('empty'))).toEqual([]);
    expect(chainsOf(several, 'arp', 'a')).toEqual([]);
    expect(rulesOf(several, 'inet', 'a', 'other')).toEqual([]);
    expect(setsOf(several, 'inet', 'a')).toEqual([]);
    expect(countersOf(several, 'inet', 'a')).toEqual([]);
  });

  it('find rules in the order in which the kernel runs them', () => {
    const marks = rulesOf(listing('verdicts'), 'ip', 't', 'base').map(({ expr }) => Object.keys(expr?.at(-1) ?? {})[0]);
    expect(marks).toEqual(['jump', 'goto', 'accept', 'drop']);
  });

  it('find the comments of a rule and of the elements in it', () => {
    const rules = rulesOf(listing('sets-anonymous'), 'inet', 't', 'c');
    expect(rules.map(commentsOf)).toEqual([[], [], [], ['own', 'mail', 'names']]);
    expect(rulesOf(listing('drop-freeze'), 'inet', 'netfreeze', 'output').map(commentsOf)).toEqual([
      ['netfreeze/1 drop drop'],
    ]);
    expect(commentsOf({ family: 'ip', table: 't', chain: 'c' } satisfies Rule)).toEqual([]);
  });
});

describe('differences between versions of nft', () => {
  it('flags: none, a string and an array read alike', () => {
    expect(flagsOf({})).toEqual([]);
    expect(flagsOf(null)).toEqual([]);
    expect(flagsOf({ flags: 'dormant' })).toEqual(['dormant']);
    expect(flagsOf({ flags: ['dormant', 'owner'] })).toEqual(['dormant', 'owner']);
    expect(tables(listing('hand-written-nft-1.1')).map(flagsOf)).toEqual([['dormant']]);
    expect(setsOf(listing('set-dynamic'), 'inet', 't').map(flagsOf)).toContainEqual(['timeout']);
  });

  it('flags of a table are garbage before 1.1.0, and are kept as they came', () => {
    expect(flagsOf(one(tables(listing('hand-written-dormant-garbage'))))).toEqual(['t']);
  });

  it('a listing that nft cut is told from other nonsense', () => {
    const cut = readFileSync(
      join(__dirname, 'fixtures', 'nftables-json', 'hand-written-dormant-truncated.txt'),
      'utf8',
    );
    expect(() => parseDocument(cut)).toThrow(
      expect.objectContaining({ path: '', message: expect.stringMatching(/^the text is truncated: .*dormant/) }),
    );
  });

  it('devices: not said by 1.0.6, a string or an array later', () => {
    expect(chainsOf(listing('netdev'), 'netdev', 'netfreeze').map(devicesOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(chainsOf(listing('hand-written-nft-1.1'), 'netdev', 't').map(devicesOf)).toEqual([
      ['eth0'],
      ['eth0', 'eth1'],
    ]);
    const flowtables = listing('hand-written-flowtable').nftables.flatMap((object) =>
      'flowtable' in object ? [object.flowtable] : [],
    );
    expect(flowtables.map(devicesOf)).toEqual([['eth0', 'eth1'], ['eth2'], undefined]);
  });

  it('queue: null means queue 0', () => {
    const queues = rulesOf(listing('hand-written-queue'), 'inet', 'netfreeze', 'prerouting').flatMap(({ expr = [] }) =>
      expr.flatMap((statement) => (typeof statement === 'object' && 'queue' in statement ? [queueOf(statement)] : [])),
    );
    expect(queues).toEqual([
      { num: 0, flags: [] },
      { num: 17, flags: [] },
      { num: { range: [1, 4] }, flags: ['bypass', 'fanout'] },
      { num: 5, flags: ['bypass'] },
    ]);
  });

  it('elements: bare or formal, of sets and of maps', () => {
    expect(elementsOf(one(setsOf(listing('comments'), 'ip', 't')))).toEqual([
      { value: '10.0.0.1', comment: 'an element' },
      { value: '10.0.0.2' },
    ]);
    expect(elementsOf(one(setsOf(listing('hand-written-nft-1.1'), 'netdev', 't')))).toEqual([
      { value: 1, timeout: 60, expires: 59 },
    ]);
    const map = one(listing('comments').nftables.flatMap((object) => ('map' in object ? [object.map] : [])));
    expect(elementsOf(map)).toEqual([{ value: ['10.0.0.1', { drop: null }], comment: 'a pair' }]);
    expect(elementsOf({ family: 'ip', table: 't', name: 's' })).toEqual([]);
    expect(elementsOf({ family: 'ip', table: 't', name: 's', elem: 5 })).toEqual([{ value: 5 }]);
  });

  it('unsigned 64-bit values: beyond 2^63 nft prints them as negative ones', () => {
    const [, , , all] = rulesOf(listing('payload-raw'), 'ip', 't', 'c');
    const match = all?.expr?.[0];
    const right = typeof match === 'object' && 'match' in match ? match.match.right : undefined;
    expect(right).toBe(-1);
    expect(unsigned64(-1)).toBe(2n ** 64n - 1n);
    expect(unsigned64(5)).toBe(5n);
    expect(unsigned64(-9223372036854775808n)).toBe(2n ** 63n);
  });

  it('a statement that nft can say only as text is kept', () => {
    const [first, second] = rulesOf(listing('hand-written-text-statement'), 'ip', 't', 'c');
    expect(first?.expr).toEqual(['last used never', { drop: null }]);
    expect(second?.expr).toBeUndefined();
  });
});
