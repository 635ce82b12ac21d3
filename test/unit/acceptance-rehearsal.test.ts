/** What the kernel made of a template that people bring: comparable, whole, and gone with the lease (laws 3 and 5). */
import type { NftDocument } from '../../src/nftables/json';
import type { Hook } from '../../src/nftables/kernel';
import { acceptRehearsal } from '../../src/ruleset/acceptance';
import {
  accept,
  chain,
  comment,
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

const objection = (document: NftDocument, hooks: readonly Hook[] = wholeHooks): string | null =>
  acceptRehearsal(document, [...hooks], 'drop', 'mine');
const objectionTo = (...added: Listed[]): string | null => objection(listed(...wholeFreeze, ...added));

/** The freeze with another freezing rule in prerouting. */
const withRule = (expr: unknown[], members: Record<string, unknown> = { comment }): NftDocument =>
  wholeFreezeBut((object) =>
    is(object, 'rule', 'prerouting') && object.rule?.comment === comment ? rule('prerouting', expr, members) : object,
  );

describe('accepted', () => {
  test('a whole freeze', () => {
    expect(objection(listed(...wholeFreeze))).toBeNull();
  });

  test('with a lease that runs', () => {
    const elem = ['ipv4', 'ipv6'].map((val) => ({ elem: { val, timeout: 30, expires: 29 } }));
    expect(
      objection(wholeFreezeBut((object) => (is(object, 'set', 'lease') ? leaseSet({ elem }) : object))),
    ).toBeNull();
  });

  test('with sets of its own, chains of its own and exemptions', () => {
    expect(
      objectionTo(
        set(),
        { chain: { family: 'inet', table: 'netfreeze', name: 'friends', handle: 20 } },
        rule('friends', [fromFriend, accept]),
        rule('prerouting', [{ jump: { target: 'friends' } }]),
      ),
    ).toBeNull();
  });

  test('with a named set’s anonymous counter in a rule', () => {
    expect(objectionTo(rule('output', [fromFriend, { counter: { packets: 0, bytes: 0 } }, accept]))).toBeNull();
  });

  test('with a second table that has a lease and freezing rules of its own', () => {
    const inNetdev = (object: Listed): Listed => {
      const [kind = '', value] = Object.entries(structuredClone(object))[0] ?? [];
      return { [kind]: { ...value, family: 'netdev' } };
    };
    const document = listed(
      ...wholeFreeze,
      ...[table(), leaseSet(), chain('ingress_1'), freezingRule('ingress_1')].map(inNetdev),
    );
    expect(objection(document, [...wholeHooks, hook('ingress_1', { family: 'netdev', devices: ['eth0'] })])).toBeNull();
  });
});

describe('its chains', () => {
  test.each(['prerouting', 'output'])('%s must be there', (name) => {
    const document = wholeFreezeBut((object) =>
      is(object, 'chain', name) || is(object, 'rule', name) ? null : object,
    );
    const hooks = wholeHooks.filter((found) => found.chain !== name);
    expect(objection(document, hooks)).toBe(`it has no chain "${name}" on the hook ${name} in table inet netfreeze`);
  });

  test.each(['prerouting', 'output'])('%s must be in table inet', (name) => {
    const hooks = wholeHooks.map((found) => (found.chain === name ? hook(name, { family: 'ip' }) : found));
    expect(objection(listed(...wholeFreeze), hooks)).toContain(`it has no chain "${name}"`);
  });

  test.each([
    ['prerouting', 1],
    ['output', 4],
  ])('%s must be on the hook of its name, not on hook %d', (name, number) => {
    const hooks = wholeHooks.map((found) => (found.chain === name ? hook(name, { hook: number }) : found));
    expect(objection(listed(...wholeFreeze), hooks)).toContain(`it has no chain "${name}" on the hook ${name}`);
  });

  test.each([-400, -300, 0, 100])('must come before defragmentation: not at %d', (priority) => {
    const hooks = [hook('output'), hook('prerouting', { priority })];
    expect(objection(listed(...wholeFreeze), hooks)).toBe(
      'its chain "prerouting" must come before defragmentation (priority below -400)',
    );
  });

  test('just before defragmentation is early enough', () => {
    const hooks = [hook('output', { priority: -401 }), hook('prerouting', { priority: -401 })];
    expect(objection(listed(...wholeFreeze), hooks)).toBeNull();
  });

  test.each<[what: string, other: Partial<Hook>]>([
    ['the policy drop', { policy: 0 }],
    ['the type nat', { type: 'nat' }],
    ['the type route', { type: 'route' }],
  ])('must not have %s, which would outlive the lease', (_, other) => {
    expect(objection(listed(...wholeFreeze), [hook('output', other), hook('prerouting')])).toContain(
      'its chain "output" must be of type filter with policy accept',
    );
    expect(objection(listed(...wholeFreeze), [...wholeHooks, hook('input', other)])).toContain('its chain "input"');
  });

  test('must each have a freezing rule', () => {
    for (const name of ['prerouting', 'output']) {
      const document = wholeFreezeBut((object) =>
        is(object, 'rule', name) && object.rule?.comment === comment ? null : object,
      );
      expect(objection(document)).toBe(`its chain "${name}" in table inet netfreeze has no freezing rule`);
    }
    expect(objection(listed(...wholeFreeze, chain('forward')), [...wholeHooks, hook('forward')])).toBe(
      'its chain "forward" in table inet netfreeze has no freezing rule',
    );
  });

  test('a freezing rule of a chain of the same name in another family is none', () => {
    expect(objection(listed(...wholeFreeze), [...wholeHooks, hook('output', { family: 'arp' })])).toBe(
      'its chain "output" in table arp netfreeze has no freezing rule',
    );
  });
});

describe('its tables', () => {
  test('must each have a lease', () => {
    expect(objection(wholeFreezeBut((object) => (is(object, 'set', 'lease') ? null : object)))).toBe(
      'table inet netfreeze has no set "lease"',
    );
    expect(objectionTo({ table: { family: 'arp', name: 'netfreeze', handle: 2 } })).toBe(
      'table arp netfreeze has no set "lease"',
    );
  });

  test('a lease in another family does not count', () => {
    const document = wholeFreezeBut((object) => (is(object, 'set', 'lease') ? leaseSet({ family: 'netdev' }) : object));
    expect(objection(document)).toBe('table inet netfreeze has no set "lease"');
  });

  test.each(['dormant', ['dormant']])(
    'must not be dormant: its hooks are listed and do nothing (flags %j)',
    (flags) => {
      const document = wholeFreezeBut((object) => (is(object, 'table') ? table({ flags }) : object));
      expect(objection(document)).toEqual(expect.any(String));
    },
  );
});

describe('what cannot be compared', () => {
  const ours = { family: 'inet', table: 'netfreeze', name: 'x', handle: 30 };
  test.each<[kind: string, value: Record<string, unknown>]>([
    ['limit', { ...ours, rate: 1, per: 'second', burst: 5 }],
    ['quota', { ...ours, bytes: 1000, used: 0 }],
    ['flowtable', { ...ours, hook: 'ingress', prio: 0, dev: ['eth0'] }],
    ['map', { ...ours, type: 'ipv4_addr', map: 'verdict', elem: [['10.0.0.1', { drop: null }]] }],
    ['ct helper', { ...ours, type: 'ftp', protocol: 'tcp', l3proto: 'ip' }],
    ['ct timeout', { ...ours, protocol: 'tcp', l3proto: 'ip' }],
    ['ct expectation', { ...ours, protocol: 'tcp', l3proto: 'ip' }],
    ['synproxy', { ...ours, mss: 1460, wscale: 7 }],
  ])('an object of the kind %s', (kind, value) => {
    expect(objectionTo({ [kind]: value })).toBe(`a ${kind} has no place in a freeze`);
  });

  test.each(['dynamic', ['dynamic'], ['timeout', 'dynamic']])('a set that packets fill: flags %j', (flags) => {
    expect(objectionTo(set({ flags }))).toBe('the set "friends" is filled by packets and can\'t be compared');
  });

  test.each<[statement: string, value: unknown]>([
    ['limit', { rate: 10, per: 'second' }],
    ['quota', { val: 10, val_unit: 'mbytes' }],
    ['ct count', { val: 10 }],
    ['last', null],
    ['meter', { name: 'm', key: 'x', stmt: { counter: null } }],
    ['set', { op: 'add', elem: 'x', set: '@friends' }],
    ['map', { op: 'add', elem: 'x', data: 'y', map: '@friends' }],
    ['synproxy', { mss: 1460 }],
  ])('a rule that says %s', (statement, value) => {
    expect(objectionTo(rule('output', [{ [statement]: value }, accept]))).toBe(
      `a rule in chain "output" has a "${statement}", which can't be compared`,
    );
  });
});

describe('a rule that stops packets', () => {
  test('must ask the lease: drop', () => {
    expect(objectionTo(rule('output', [fromFriend, drop], { comment }))).toBe(
      'a rule in chain "output" says drop without asking "@lease": it would not end with the lease',
    );
  });

  test.each<[verdict: string, statement: unknown]>([
    ['reject', { reject: null }],
    ['queue', { queue: null }],
    ['queue', { queue: { num: 3, flags: ['bypass'] } }],
    ['xt', { xt: { type: 'target', name: 'NFQUEUE' } }],
    ['fwd', { fwd: { dev: 'eth1' } }],
    ['dup', { dup: { addr: '10.0.0.9' } }],
    ['mangle', { mangle: { key: { payload: { protocol: 'ip', field: 'ttl' } }, value: 3 } }],
  ])('says drop and nothing else: not %s', (statement, value) => {
    expect(objectionTo(rule('output', [onLease, value], { comment }))).toContain(`has a "${statement}"`);
  });

  test('asks nothing but the lease: another match would let packets pass', () => {
    expect(objection(withRule([onLease, fromFriend, drop]))).toContain('has no freezing rule');
  });

  test.each(['accept', 'return'])('is not undone by a rule in front that says %s to every packet', (verdict) => {
    expect(objectionTo(rule('output', [{ [verdict]: null }]))).toContain('lets every packet pass');
  });

  test.each([[['ipv4']], [['ipv6']]])('freezes both families, not only %j', (elem) => {
    const document = wholeFreezeBut((object) => (is(object, 'set', 'lease') ? leaseSet({ elem }) : object));
    expect(objection(document)).toContain('its set "lease" lacks');
  });

  test('must ask the lease in a chain of its own too', () => {
    expect(
      objectionTo({ chain: { family: 'inet', table: 'netfreeze', name: 'sink', handle: 9 } }, rule('sink', [drop])),
    ).toContain('a rule in chain "sink" says drop without asking "@lease"');
  });

  test('must ask the lease in a verdict map too', () => {
    const vmap = { vmap: { key: { meta: { key: 'nfproto' } }, data: { set: [['ipv4', { drop: null }]] } } };
    expect(objectionTo(rule('prerouting', [vmap]))).toEqual(expect.any(String));
  });

  test('must freeze while the lease holds, not when it has ended', () => {
    const thawed = { match: { ...onLease.match, op: '!=' } };
    expect(objection(withRule([thawed, { counter: 'in' }, drop]))).toEqual(expect.any(String));
  });

  test.each<[what: string, statement: unknown]>([
    ['elsewhere', { fwd: { dev: 'eth1' } }],
    ['elsewhere as a copy', { dup: { addr: '10.0.0.9' } }],
  ])('may not send packets %s, past the freeze and after the lease', (_, statement) => {
    expect(objectionTo(rule('prerouting', [statement]))).toEqual(expect.any(String));
  });

  test('is not meant by a comment or a name that looks like the lease', () => {
    expect(objectionTo(rule('output', [fromFriend, drop], { comment: '@lease' }))).toContain('without asking "@lease"');
    const other = { match: { ...onLease.match, right: '@leases' } };
    expect(objectionTo(rule('output', [other, drop], { comment }))).toContain('without asking "@lease"');
  });

  test.each([undefined, '', 'netfreeze/1 drop other', 'netfreeze/1 drop mine ', 'Netfreeze/1 drop mine'])(
    'must have the comment by which it is known, not %j',
    (other) => {
      const members = other === undefined ? {} : { comment: other };
      expect(objection(withRule([onLease, { counter: 'in' }, drop], members))).toBe(
        'the freezing rule in chain "prerouting" must have the comment {{comment}}',
      );
    },
  );

  test.each<[what: string, expr: unknown[]]>([
    ['lets pass', [onLease, { counter: 'in' }, accept]],
    ['only counts', [onLease, { counter: 'in' }]],
    ['goes on', [onLease, { continue: null }]],
    ['returns', [onLease, { return: null }]],
  ])('is not a rule with the right comment that %s', (_, expr) => {
    expect(objection(withRule(expr))).toEqual(expect.any(String));
  });
});

test('it is what was asked for: another template’s or another name’s freeze is none of this one', () => {
  expect(acceptRehearsal(listed(...wholeFreeze), [...wholeHooks], 'drop', 'other')).toBe(
    'the freezing rule in chain "prerouting" must have the comment {{comment}}',
  );
});

test('nothing is no freeze', () => {
  expect(objection(listed(), [])).toContain('it has no chain "prerouting"');
});
