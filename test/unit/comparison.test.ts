/** The comparison of what the kernel shows with what is expected, and how the difference reads. */
import fc from 'fast-check';
import type { NftDocument } from '../../src/nftables/json';
import type { Hook } from '../../src/nftables/kernel';
import {
  canonical,
  differences,
  type Expectation,
  explainDifferences,
  leaseCovers,
  lineDifferences,
  shape,
} from '../../src/ruleset/canonical';
import {
  accept,
  chain,
  counter,
  drop,
  freezingRule,
  fromFriend,
  hook,
  is,
  type Listed,
  leaseSet,
  listed,
  onLease,
  rule,
  set,
  table,
  wholeFreeze,
  wholeFreezeBut,
  wholeHooks,
} from './rulesets';

// The same values in every run.
fc.configureGlobal({ seed: 1 });

const expectation = (document: NftDocument, hooks: readonly Hook[] = wholeHooks, listing = ''): Expectation =>
  canonical(document, [...hooks], [], listing);
const whole = expectation(listed(...wholeFreeze, set()));
const withSet = (replace: (object: Listed) => Listed | Listed[] | null): Expectation =>
  expectation(listed(...[...wholeFreeze, set()].flatMap<Listed>((object) => replace(structuredClone(object)) ?? [])));

/** The differences in words, as `kind: name`. */
const found = (actual: Expectation, expected = whole): string[] =>
  differences(expected, actual).map(({ kind, name }) => `${kind}: ${name}`);

describe('the canonical form', () => {
  test('names each object as a person would', () => {
    expect(whole.objects.map(({ name }) => name)).toEqual([
      'chain inet netfreeze output',
      'chain inet netfreeze prerouting',
      'counter inet netfreeze in',
      'counter inet netfreeze out',
      'rule 1 of chain inet netfreeze output',
      'rule 1 of chain inet netfreeze prerouting',
      'rule 2 of chain inet netfreeze prerouting',
      'set inet netfreeze friends',
      'set inet netfreeze lease',
      'table inet netfreeze',
    ]);
  });

  test('keeps hooks and listing, and the lease by family', () => {
    const elem = [{ elem: { val: 'ipv6', timeout: 30, expires: 3 } }, 'ipv4'];
    const netdev = leaseSet({ family: 'netdev', elem: ['ip', 34916] });
    const form = canonical(
      listed(...wholeFreeze.map((object) => (is(object, 'set') ? leaseSet({ elem }) : object)), netdev),
      [...wholeHooks],
      [],
      'a listing',
    );
    expect(form).toMatchObject({
      hooks: wholeHooks,
      lease: ['inet ipv4', 'inet ipv6', 'netdev 34916', 'netdev ip'],
      listing: 'a listing',
    });
  });

  test('goes through JSON, as a record does, unchanged', () => {
    expect(JSON.parse(JSON.stringify(whole))).toEqual(whole);
    expect(found(JSON.parse(JSON.stringify(whole)) as Expectation)).toEqual([]);
  });

  test('of nothing is empty', () => {
    expect(canonical(listed(), [], [], '')).toEqual({ objects: [], hooks: [], queues: [], lease: [], listing: '' });
  });
});

describe('no difference', () => {
  test.each<[what: string, actual: Expectation]>([
    ['the same', whole],
    [
      'other handles',
      withSet((object) => {
        for (const value of Object.values(object)) value.handle = 99;
        return object;
      }),
    ],
    ['other counts', withSet((object) => (is(object, 'counter', 'in') ? counter('in', 12345) : object))],
    [
      'counts too large for a double',
      expectation(
        JSON.parse(
          JSON.stringify(listed(...wholeFreeze, set())).replace('"packets":0', '"packets":18446744073709551615'),
        ) as NftDocument,
      ),
    ],
    [
      'a lease that runs on',
      withSet((object) =>
        is(object, 'set', 'lease')
          ? leaseSet({ elem: ['ipv4', 'ipv6'].map((val) => ({ elem: { val, timeout: 30, expires: 3 } })) })
          : object,
      ),
    ],
    [
      'a lease that has ended',
      withSet((object) => {
        if (is(object, 'set', 'lease')) delete object.set?.elem;
        return object;
      }),
    ],
    [
      'members in another order',
      withSet((object) =>
        Object.fromEntries(
          Object.entries(object).map(([kind, value]) => [kind, Object.fromEntries(Object.entries(value).reverse())]),
        ),
      ),
    ],
    [
      'elements in another order',
      withSet((object) => (is(object, 'set', 'friends') ? set({ elem: ['10.0.0.2', '10.0.0.1'] }) : object)),
    ],
    ['objects in another order', expectation(listed(set(), ...[...wholeFreeze].sort((a) => (is(a, 'rule') ? 1 : -1))))],
    ['another version of nft', expectation({ nftables: listed(...wholeFreeze, set()).nftables.slice(1) })],
  ])('%s', (_, actual) => {
    expect(found(actual)).toEqual([]);
  });

  test('an anonymous counter’s counts', () => {
    const counted = (packets: number) =>
      expectation(listed(rule('output', [fromFriend, { counter: { packets, bytes: packets } }, accept])));
    expect(found(counted(7), counted(0))).toEqual([]);
  });

  test('times left and counts of another set’s elements', () => {
    const elements = (expires: number, packets: number) =>
      expectation(
        listed(
          set({
            flags: ['timeout'],
            elem: [{ elem: { val: '10.0.0.1', timeout: 30, expires, counter: { packets, bytes: packets } } }],
          }),
        ),
      );
    expect(found(elements(3, 7), elements(29, 0))).toEqual([]);
  });
});

describe('a difference', () => {
  const without = (kind: string, name?: string) => withSet((object) => (is(object, kind, name) ? null : object));
  const plus = (...added: Listed[]) => expectation(listed(...wholeFreeze, set(), ...added));
  const changed = (kind: string, name: string | undefined, members: Record<string, unknown>) =>
    withSet((object) => (is(object, kind, name) ? { [kind]: { ...object[kind], ...members } } : object));

  test.each<[what: string, actual: Expectation, expected: string[]]>([
    ['a table is missing', without('table'), ['missing: table inet netfreeze']],
    ['a set is missing', without('set', 'friends'), ['missing: set inet netfreeze friends']],
    ['the lease is missing', without('set', 'lease'), ['missing: set inet netfreeze lease']],
    ['a counter is missing', without('counter', 'out'), ['missing: counter inet netfreeze out']],
    ['a chain is missing', without('chain', 'output'), ['missing: chain inet netfreeze output']],
    ['the only rule is missing', without('rule', 'output'), ['missing: rule 1 of chain inet netfreeze output']],
    [
      'the last of two rules is missing',
      withSet((object) => (is(object, 'rule', 'prerouting') && object.rule?.comment ? null : object)),
      ['missing: rule 2 of chain inet netfreeze prerouting'],
    ],
    [
      'the first of two rules is missing',
      withSet((object) => (is(object, 'rule', 'prerouting') && !object.rule?.comment ? null : object)),
      ['changed: rule 1 of chain inet netfreeze prerouting', 'missing: rule 2 of chain inet netfreeze prerouting'],
    ],
    [
      'rules in another order',
      expectation(
        listed(
          ...wholeFreeze.filter((o) => !is(o, 'rule', 'prerouting')),
          freezingRule('prerouting'),
          rule('prerouting', [fromFriend, accept]),
          set(),
        ),
      ),
      ['changed: rule 1 of chain inet netfreeze prerouting', 'changed: rule 2 of chain inet netfreeze prerouting'],
    ],
    ['a rule more', plus(rule('output', [accept])), ['unexpected: rule 2 of chain inet netfreeze output']],
    ['a set more', plus(set({ name: 'more' })), ['unexpected: set inet netfreeze more']],
    ['a chain more', plus(chain('input')), ['unexpected: chain inet netfreeze input']],
    ['a counter more', plus(counter('more')), ['unexpected: counter inet netfreeze more']],
    [
      'a table more',
      plus({ table: { family: 'arp', name: 'netfreeze', handle: 9 } }),
      ['unexpected: table arp netfreeze'],
    ],
    [
      'another verdict',
      withSet((object) =>
        is(object, 'rule', 'output')
          ? freezingRule('output', { expr: undefined }) &&
            rule('output', [onLease, { counter: 'out' }, accept], { comment: 'netfreeze/1 drop mine' })
          : object,
      ),
      ['changed: rule 1 of chain inet netfreeze output'],
    ],
    [
      'another comment',
      changed('rule', 'output', { comment: 'x' }),
      ['changed: rule 1 of chain inet netfreeze output'],
    ],
    [
      'a rule that counts where it should not',
      withSet((object) =>
        is(object, 'rule', 'output')
          ? rule('output', [onLease, { counter: 'in' }, drop], { comment: 'netfreeze/1 drop mine' })
          : object,
      ),
      ['changed: rule 1 of chain inet netfreeze output'],
    ],
    [
      'an element more',
      changed('set', 'friends', { elem: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] }),
      ['changed: set inet netfreeze friends'],
    ],
    ['an element less', changed('set', 'friends', { elem: ['10.0.0.1'] }), ['changed: set inet netfreeze friends']],
    ['another type of set', changed('set', 'friends', { type: 'ipv6_addr' }), ['changed: set inet netfreeze friends']],
    ['a lease without timeouts', changed('set', 'lease', { flags: undefined }), ['changed: set inet netfreeze lease']],
    ['a lease of another type', changed('set', 'lease', { type: 'mark' }), ['changed: set inet netfreeze lease']],
    ['a dormant table', changed('table', undefined, { flags: 'dormant' }), ['changed: table inet netfreeze']],
    [
      'a chain of another policy, as nft lists it',
      changed('chain', 'output', { policy: 'drop' }),
      ['changed: chain inet netfreeze output'],
    ],
    [
      'a chain of another priority, as nft lists it',
      changed('chain', 'output', { prio: 0 }),
      ['changed: chain inet netfreeze output'],
    ],
    [
      'a chain without a hook, as nft lists it',
      changed('chain', 'output', { type: undefined, hook: undefined, prio: undefined, policy: undefined }),
      ['changed: chain inet netfreeze output'],
    ],
  ])('%s', (_, actual, expected) => {
    expect(found(actual)).toEqual(expected);
  });

  const document = listed(...wholeFreeze, set());
  test.each<[what: string, hooks: Hook[], expected: string[]]>([
    ['a hook is missing', [hook('output')], ['missing: hook of chain inet netfreeze prerouting']],
    [
      'both hooks are missing',
      [],
      ['missing: hook of chain inet netfreeze output', 'missing: hook of chain inet netfreeze prerouting'],
    ],
    ['a hook more', [...wholeHooks, hook('input')], ['unexpected: hook of chain inet netfreeze input']],
    [
      'another hook',
      [hook('output', { hook: 4 }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    [
      'another priority',
      [hook('output', { priority: -449 }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    [
      'another policy',
      [hook('output', { policy: 0 }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    [
      'another type',
      [hook('output', { type: 'route' }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    [
      'a device',
      [hook('output', { devices: ['eth0'] }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    ['hooks in another order are none', [...wholeHooks].reverse(), []],
  ])('the kernel’s hooks: %s', (_, hooks, expected) => {
    expect(found(expectation(document, hooks))).toEqual(expected);
  });

  test('a device less on a hook', () => {
    const bound = (...devices: string[]) => expectation(listed(), [hook('ingress_1', { family: 'netdev', devices })]);
    expect(found(bound('eth0'), bound('eth0', 'eth1'))).toEqual(['changed: hook of chain netdev netfreeze ingress_1']);
    expect(found(bound(), bound('eth0'))).toEqual(['changed: hook of chain netdev netfreeze ingress_1']);
  });
});

describe('laws of the comparison', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const object = fc.oneof(
    fc.tuple(fc.constantFrom('inet', 'netdev'), fc.nat(9)).map(([family, handle]) => table({ family, handle })),
    fc.tuple(name, fc.nat(9)).map(([n, packets]) => counter(n, packets)),
    fc.tuple(name, fc.uniqueArray(name)).map(([n, elem]) => set({ name: n, elem })),
    fc.uniqueArray(fc.constantFrom('ipv4', 'ipv6')).map((elem) => leaseSet({ elem })),
    fc.tuple(name, fc.integer({ min: -2, max: 2 })).map(([n, prio]) => chain(n, { prio })),
    fc
      .tuple(name, fc.array(fc.constantFrom(onLease, fromFriend, accept, drop, { counter: { packets: 1, bytes: 2 } })))
      .map(([n, expr]) => rule(n, expr)),
  );
  const hooks = fc.uniqueArray(
    fc.tuple(name, fc.nat(2), fc.nat(1)).map(([n, number, policy]) => hook(n, { hook: number, policy })),
    { selector: (made) => made.chain },
  );
  const state = fc
    .tuple(fc.array(object, { maxLength: 12 }), hooks)
    .map(([objects, made]) => expectation(listed(...objects), made));
  const of = (list: ReturnType<typeof differences>, kind: string) =>
    list
      .filter((difference) => difference.kind === kind)
      .map((difference) => difference.name)
      .sort();

  test('nothing differs from itself', () => {
    fc.assert(
      fc.property(state, (one) => {
        expect(differences(one, one)).toEqual([]);
        expect(differences(one, structuredClone(one))).toEqual([]);
        expect(leaseCovers(one, one)).toBe(true);
      }),
    );
  });

  test('what is missing one way is unexpected the other way, and what has changed has changed both ways', () => {
    fc.assert(
      fc.property(state, state, (one, other) => {
        const [there, back] = [differences(one, other), differences(other, one)];
        expect(of(there, 'missing')).toEqual(of(back, 'unexpected'));
        expect(of(there, 'unexpected')).toEqual(of(back, 'missing'));
        expect(of(there, 'changed')).toEqual(of(back, 'changed'));
      }),
    );
  });

  test('the order in which the kernel lists what has no order does not matter', () => {
    fc.assert(
      fc.property(fc.array(object, { maxLength: 12 }), fc.nat(), (objects, turn) => {
        const unordered = objects.filter((one) => !is(one, 'rule'));
        const unique = [
          ...new Map(
            unordered.map((one) => [JSON.stringify(Object.entries(one).map(([k, v]) => [k, v.family, v.name])), one]),
          ).values(),
        ];
        const at = turn % (unique.length + 1);
        const turned = [...unique.slice(at), ...unique.slice(0, at)];
        expect(differences(expectation(listed(...unique)), expectation(listed(...turned)))).toEqual([]);
      }),
    );
  });
});

describe('whether the lease covers what it must', () => {
  const lease = (...elem: unknown[]) => expectation(listed(leaseSet({ elem })));
  test.each([
    [['ipv4', 'ipv6'], true],
    [['ipv6', 'ipv4'], true],
    [['ipv4', 'ipv6', 'ipv9'], true],
    [['ipv4'], false],
    [['ipv6'], false],
    [[], false],
  ])('%j', (elements, covers) => {
    expect(leaseCovers(lease('ipv4', 'ipv6'), lease(...elements))).toBe(covers);
  });

  test('an element with a time is as good as one without', () => {
    const timed = ['ipv4', 'ipv6'].map((val) => ({ elem: { val, timeout: 30, expires: 1 } }));
    expect(leaseCovers(lease('ipv4', 'ipv6'), lease(...timed))).toBe(true);
  });

  test('each family’s own', () => {
    const both = listed(leaseSet(), leaseSet({ family: 'netdev', elem: ['ip'] }));
    const one = listed(leaseSet(), leaseSet({ family: 'netdev', elem: [] }));
    expect(leaseCovers(expectation(both), expectation(one))).toBe(false);
  });
});

describe('the shape', () => {
  test('is what flushing and filling does not change', () => {
    const refilled = wholeFreezeBut((object) => {
      if (is(object, 'rule', 'prerouting')) return rule('prerouting', [drop]);
      if (is(object, 'rule')) return [object, rule('output', [accept])];
      return is(object, 'set') ? leaseSet({ elem: [{ elem: { val: 'ipv4', timeout: 5, expires: 4 } }] }) : object;
    });
    expect(found(shape(expectation(refilled)), shape(expectation(listed(...wholeFreeze))))).toEqual([]);
    const other = listed(...wholeFreeze, set({ elem: ['10.9.9.9'] }));
    expect(found(shape(expectation(other)), shape(whole))).toEqual([]);
  });

  test.each<[what: string, document: NftDocument, hooks: Hook[], expected: string[]]>([
    [
      'another chain',
      listed(...wholeFreeze, chain('input')),
      [...wholeHooks, hook('input')],
      ['unexpected: chain inet netfreeze input', 'unexpected: hook of chain inet netfreeze input'],
    ],
    [
      'another priority',
      listed(...wholeFreeze),
      [hook('output', { priority: -460 }), hook('prerouting')],
      ['changed: hook of chain inet netfreeze output'],
    ],
    [
      'another type of set',
      wholeFreezeBut((o) => (is(o, 'set') ? leaseSet({ type: 'mark' }) : o)),
      [...wholeHooks],
      ['changed: set inet netfreeze lease'],
    ],
    [
      'another table',
      listed(...wholeFreeze, table({ family: 'arp' })),
      [...wholeHooks],
      ['unexpected: table arp netfreeze'],
    ],
  ])('shows %s', (_, document, hooks, expected) => {
    expect(found(shape(expectation(document, hooks)), shape(expectation(listed(...wholeFreeze))))).toEqual(expected);
  });
});

describe('how a difference reads', () => {
  const listing = `table inet netfreeze {
	counter in {
	}

	set lease {
		type nf_proto
		flags timeout
		elements = { ipv4 timeout 30s, ipv6 timeout 30s }
	}

	chain prerouting {
		type filter hook prerouting priority -450; policy accept;
		ip saddr 10.0.0.7 accept
		meta nfproto @lease counter name "in" drop comment "netfreeze/1 drop drop"
	}
}
`;

  test('nothing to say of what is the same', async () => {
    expect(await lineDifferences(listing, listing)).toEqual([]);
    const same = { ...whole, listing };
    expect(await explainDifferences(same, same)).toBe('');
  });

  test('the lease is no difference, however it is listed', async () => {
    const later = listing.replace(
      'elements = { ipv4 timeout 30s, ipv6 timeout 30s }',
      'elements = { ipv6 timeout 30s expires 2s,\n\t\t\t     ipv4 timeout 30s expires 2s }',
    );
    const ended = listing.replace('\t\telements = { ipv4 timeout 30s, ipv6 timeout 30s }\n', '');
    expect(await lineDifferences(listing, later)).toEqual([]);
    expect(await lineDifferences(listing, ended)).toEqual([]);
    expect(await lineDifferences(ended, listing)).toEqual([]);
  });

  test('another set’s elements are one', async () => {
    const friends = '\tset friends {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n';
    const other = friends.replace('10.0.0.1', '10.0.0.2');
    expect(await lineDifferences(friends, other)).toEqual([
      'in set friends:',
      '-     elements = { 10.0.0.1 }',
      '+     elements = { 10.0.0.2 }',
    ]);
  });

  test('a line that went and a line that came', async () => {
    expect(await lineDifferences(listing, listing.replace('10.0.0.7 accept', '10.0.0.9 accept'))).toEqual([
      'in table inet netfreeze, chain prerouting:',
      '-     ip saddr 10.0.0.7 accept',
      '+     ip saddr 10.0.0.9 accept',
    ]);
    expect(await lineDifferences(listing, listing.replace(' drop comment', ' accept comment'))).toEqual([
      'in table inet netfreeze, chain prerouting:',
      '-     meta nfproto @lease counter name "in" drop comment "netfreeze/1 drop drop"',
      '+     meta nfproto @lease counter name "in" accept comment "netfreeze/1 drop drop"',
    ]);
  });

  test('all of it came, all of it went', async () => {
    const came = await lineDifferences('', listing);
    expect(came.every((line) => line.startsWith('+ '))).toBe(true);
    expect(came).toHaveLength(
      listing.split('\n').filter((line) => line.trim() !== '' && !line.includes('elements')).length,
    );
    expect(await lineDifferences(listing, '')).toEqual(came.map((line) => `-${line.slice(1)}`));
  });

  test('a block that came as a whole says where once', async () => {
    const set = '\n\tset friends {\n\t\ttype ipv4_addr\n\t}\n';
    const came = await lineDifferences(listing, listing.replace('\n\tchain', `${set}\n\tchain`));
    expect(came).toEqual(['in table inet netfreeze:', '+   set friends {', '+     type ipv4_addr', '+   }']);
  });

  test('each line is in the block where it stands', async () => {
    const changed = listing
      .replace('type nf_proto', 'type mark')
      .replace('policy accept', 'policy drop')
      .replace('\tcounter in {', '\tcounter incoming {');
    expect(await lineDifferences(listing, changed)).toEqual([
      'in table inet netfreeze:',
      '-   counter in {',
      '+   counter incoming {',
      'in table inet netfreeze, set lease:',
      '-     type nf_proto',
      '+     type mark',
      'in table inet netfreeze, chain prerouting:',
      '-     type filter hook prerouting priority -450; policy accept;',
      '+     type filter hook prerouting priority -450; policy drop;',
    ]);
  });

  // One rule more or less changes the numbers of all that follow: the lines show which it was.
  test('words first, then lines', async () => {
    const expected = { ...whole, listing };
    const shown = withSet((object) => (is(object, 'rule', 'prerouting') && object.rule?.comment ? null : object));
    const actual = {
      ...shown,
      hooks: [hook('output', { policy: 0 })],
      listing: listing.replace(/\t\tmeta nfproto.*\n/, ''),
    };
    expect(await explainDifferences(expected, actual)).toBe(
      [
        'changed: rules of chain inet netfreeze prerouting',
        'changed: hook of chain inet netfreeze output',
        'missing: hook of chain inet netfreeze prerouting',
        'in table inet netfreeze, chain prerouting:',
        '-     meta nfproto @lease counter name "in" drop comment "netfreeze/1 drop drop"',
      ].join('\n'),
    );
  });

  test('of two chains with the same rule it says which one', async () => {
    const twice = listing + listing.replaceAll('prerouting', 'output').replace('table inet', 'table arp');
    const [first, second] = ['inet', 'arp'].map((family) => {
      const at = twice.indexOf('ip saddr', twice.indexOf(`table ${family}`));
      return `${twice.slice(0, at)}accept\n\t\t${twice.slice(at)}`;
    });
    expect(await lineDifferences(twice, first ?? '')).not.toEqual(await lineDifferences(twice, second ?? ''));
  });

  test('what went is minus and what came is plus, for every listing', async () => {
    const line = fc.constantFrom('a', 'b', 'c', '\td');
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(line), async (expected, actual) => {
        const lines = await lineDifferences(`${expected.join('\n')}\n`, `${actual.join('\n')}\n`);
        const minus = lines.filter((text) => text.startsWith('- ')).length;
        const plus = lines.filter((text) => text.startsWith('+ ')).length;
        expect(minus + plus).toBe(lines.length);
        expect(expected.length - minus).toBe(actual.length - plus);
      }),
    );
  });
});
