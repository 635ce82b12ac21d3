/** What the kernel shows of nf_tables, read from messages as it sends them. */
import { attribute, nested, stringAttribute } from '../../src/netlink/message';
import {
  commentsIn,
  countersIn,
  elements,
  familiesOfTable,
  flowtables,
  forwardingRules,
  generation,
  hooks,
} from '../../src/nftables/kernel';
import { answer, type Family, fakeNetlink, families, GET, u32, u64 } from './fake-netlink';

const part = ({ payload }: { payload: Buffer }) => ({ family: 'inet', payload });
const table = (family: Family | number, name: string) => answer(family, stringAttribute(1, name));

test('the generation', () => {
  expect(generation(fakeNetlink({ [GET.GEN]: [answer(0, attribute(1, u32(4711)))] }))).toBe(4711);
  expect(generation(fakeNetlink({ [GET.GEN]: [answer(0, attribute(1, u32(0xfffffffe)))] }))).toBe(0xfffffffe);
  expect(generation(fakeNetlink({ [GET.GEN]: [answer(0)] }))).toBe(0);
  expect(generation(fakeNetlink({}))).toBe(0);
});

describe('the families of a table', () => {
  test('each, sorted, of that name only', () => {
    const all = [
      table('netdev', 'netfreeze'),
      table('inet', 'netfreeze'),
      table('ip', 'netfreeze2'),
      table('ip6', 'Netfreeze'),
      table('arp', 'netfreeze'),
      table('bridge', 'other'),
    ];
    expect(familiesOfTable(fakeNetlink({ [GET.TABLE]: all }), 'netfreeze')).toEqual(['arp', 'inet', 'netdev']);
    expect(familiesOfTable(fakeNetlink({}), 'netfreeze')).toEqual([]);
  });

  test('one that nobody knows yet is shown by its number', () => {
    expect(familiesOfTable(fakeNetlink({ [GET.TABLE]: [table(77, 'netfreeze')] }), 'netfreeze')).toEqual(['family 77']);
  });

  test('a dump is asked for, of all families', () => {
    const asking = fakeNetlink({});
    familiesOfTable(asking, 'netfreeze');
    expect(asking.asked).toEqual([{ name: GET.TABLE, family: 0, flags: 0x301, payload: Buffer.from([0, 0, 0, 0]) }]);
  });
});

describe('hooks', () => {
  const chain = (family: Family, tableName: string, name: string, ...rest: Buffer[]) =>
    answer(family, stringAttribute(1, tableName), stringAttribute(3, name), ...rest);
  const hook = (number: number, priority: number, ...devices: Buffer[]) =>
    nested(4, attribute(1, u32(number)), attribute(2, u32(priority)), ...devices);
  const filter = stringAttribute(7, 'filter');
  const policy = (value: number) => attribute(5, u32(value));

  test('of base chains of that table, sorted by family and name', () => {
    const all = [
      chain('inet', 'netfreeze', 'prerouting', hook(0, -450), policy(1), filter),
      chain('inet', 'netfreeze', 'output', hook(3, -450), policy(0), filter),
      chain('inet', 'netfreeze', 'plain'),
      chain('inet', 'other', 'output', hook(3, 0), policy(1), filter),
      chain('arp', 'netfreeze', 'z', hook(0, 5), policy(1), stringAttribute(7, 'route')),
    ];
    const base = { table: 'netfreeze', policy: 1, type: 'filter', devices: [] };
    expect(hooks(fakeNetlink({ [GET.CHAIN]: all }), 'netfreeze')).toEqual([
      { ...base, family: 'arp', chain: 'z', hook: 0, priority: 5, type: 'route' },
      { ...base, family: 'inet', chain: 'output', hook: 3, priority: -450, policy: 0 },
      { ...base, family: 'inet', chain: 'prerouting', hook: 0, priority: -450 },
    ]);
  });

  test('with the device, or the devices, that it is bound to', () => {
    const all = [
      chain('netdev', 'netfreeze', 'a', hook(0, -500, stringAttribute(3, 'eth0')), policy(1), filter),
      chain(
        'netdev',
        'netfreeze',
        'b',
        hook(0, -500, nested(4, stringAttribute(1, 'eth2'), stringAttribute(1, 'eth1'))),
        policy(1),
        filter,
      ),
      chain(
        'netdev',
        'netfreeze',
        'c',
        hook(0, -500, stringAttribute(3, 'eth0'), nested(4, stringAttribute(1, 'eth0'))),
        policy(1),
        filter,
      ),
      chain('netdev', 'netfreeze', 'd', hook(0, -500), policy(1), filter),
    ];
    const found = hooks(fakeNetlink({ [GET.CHAIN]: all }), 'netfreeze');
    expect(found.map(({ devices }) => devices)).toEqual([['eth0'], ['eth1', 'eth2'], ['eth0'], []]);
  });

  test('what the kernel does not say is none of what is expected', () => {
    expect(hooks(fakeNetlink({ [GET.CHAIN]: [chain('inet', 'netfreeze', 'x', nested(4))] }), 'netfreeze')).toEqual([
      {
        family: 'inet',
        table: 'netfreeze',
        chain: 'x',
        type: '',
        hook: -1,
        priority: 0,
        policy: -1,
        devices: [],
      },
    ]);
  });
});

describe('elements', () => {
  const element = (key: Buffer, ...rest: Buffer[]) => nested(1, nested(1, attribute(1, key)), ...rest);
  const timeout = (ms: bigint) => attribute(4, u64(ms));
  const expires = (ms: bigint) => attribute(5, u64(ms));

  test('with their times to the millisecond', () => {
    const list = nested(
      3,
      element(Buffer.from([2]), timeout(30_000n), expires(12_345n)),
      element(Buffer.from([10])),
      element(Buffer.from([7]), timeout(500n)),
    );
    expect(elements(fakeNetlink({ [GET.SETELEM]: [answer('inet', list)] }), ['inet'], 'netfreeze', 'lease')).toEqual([
      { key: 'inet 02', timeoutMs: 30_000, expiresMs: 12_345 },
      { key: 'inet 0a', timeoutMs: null, expiresMs: null },
      { key: 'inet 07', timeoutMs: 500, expiresMs: null },
    ]);
  });

  test('of every message of a long dump, and none of an empty one', () => {
    const one = answer('inet', nested(3, element(Buffer.from([2]))));
    expect(elements(fakeNetlink({ [GET.SETELEM]: [one, answer('inet'), one] }), ['inet'], 't', 's')).toHaveLength(2);
    expect(elements(fakeNetlink({}), ['inet'], 't', 's')).toEqual([]);
  });

  test('are asked for by family, table and set', () => {
    const asking = fakeNetlink({});
    elements(asking, ['inet', 'netdev'], 'netfreeze', 'lease');
    expect(asking.asked.map(({ name, family }) => [name, family])).toEqual([
      [GET.SETELEM, 1],
      [GET.SETELEM, 5],
    ]);
    expect(asking.asked[0]?.payload.subarray(4)).toEqual(
      Buffer.concat([stringAttribute(1, 'netfreeze'), stringAttribute(2, 'lease')]),
    );
    elements(asking, [], 'netfreeze', 'lease');
    expect(asking.asked).toHaveLength(2);
  });

  test.each(['ENOENT', 'EOPNOTSUPP', 'EINVAL'])('a set that is not there is null: %s', (code) => {
    expect(elements(fakeNetlink({ [GET.SETELEM]: { code } }), ['inet'], 't', 's')).toBeNull();
  });

  test.each(['EPERM', 'ENOBUFS', 'EINTR'])('any other error is one: %s', (code) => {
    expect(() => elements(fakeNetlink({ [GET.SETELEM]: { code } }), ['inet'], 't', 's')).toThrow(code);
  });
});

describe('counters', () => {
  const object = (family: Family, tableName: string, name: string, type: number, ...data: Buffer[]) =>
    answer(
      family,
      stringAttribute(1, tableName),
      stringAttribute(2, name),
      attribute(3, u32(type)),
      nested(4, ...data),
    );
  const counts = (packets: bigint, bytes: bigint) => [attribute(1, u64(bytes)), attribute(2, u64(packets))];

  test('by name, those of several families added up', () => {
    const all = [
      object('inet', 'netfreeze', 'in', 1, ...counts(3n, 180n)),
      object('inet', 'netfreeze', 'out', 1, ...counts(5n, 300n)),
      object('netdev', 'netfreeze', 'in', 1, ...counts(4n, 240n)),
      object('inet', 'netfreeze', 'in', 2, ...counts(100n, 1n)),
    ];
    expect([...countersIn(all.map(part))]).toEqual([
      ['in', { packets: 7, bytes: 420 }],
      ['out', { packets: 5, bytes: 300 }],
    ]);
  });

  test('one without counts is zero', () => {
    expect(countersIn([part(object('inet', 't', 'in', 1))]).get('in')).toEqual({
      packets: 0,
      bytes: 0,
    });
  });
});

describe('comments of rules', () => {
  const rule = (tableName: string, userdata?: Buffer) =>
    answer(
      'inet',
      stringAttribute(1, tableName),
      stringAttribute(2, 'output'),
      ...(userdata ? [attribute(7, userdata)] : []),
    );
  const field = (type: number, value: string) => Buffer.concat([Buffer.from([type, value.length]), Buffer.from(value)]);

  test('in the kernel’s order', () => {
    const all = [
      rule('t', field(0, 'first\0')),
      rule('t'),
      rule('t', Buffer.concat([field(1, 'x'), field(0, 'second\0')])),
    ];
    expect(commentsIn(all.map(part))).toEqual(['first', 'second']);
  });

  test.each<[what: string, userdata: Buffer, comments: string[]]>([
    ['none', Buffer.alloc(0), []],
    ['half a header', Buffer.from([0]), []],
    ['a field that is not there', Buffer.from([1, 200]), []],
    ['a comment that is cut', Buffer.from([0, 200, 0x61]), ['a']],
    ['fields without length', Buffer.from([1, 0, 1, 0, 1, 0]), []],
    ['another field only', field(9, 'x'), []],
  ])('user data that is odd: %s', (_, userdata, comments) => {
    expect(commentsIn([part(rule('t', userdata))])).toEqual(comments);
  });
});

describe('ways past the chains', () => {
  test('flowtables with their priorities and devices', () => {
    const all = [
      answer(
        'inet',
        stringAttribute(1, 'filter'),
        stringAttribute(2, 'fast'),
        nested(
          3,
          attribute(1, u32(0)),
          attribute(2, u32(-10)),
          nested(3, stringAttribute(1, 'wan'), stringAttribute(1, 'lan')),
        ),
      ),
      answer('ip', stringAttribute(1, 'nat'), stringAttribute(2, 'bare')),
    ];
    expect(flowtables(fakeNetlink({ [GET.FLOWTABLE]: all }))).toEqual([
      { table: 'inet filter', name: 'fast', priority: -10, devices: ['lan', 'wan'] },
      { table: 'ip nat', name: 'bare', priority: 0, devices: [] },
    ]);
    expect(flowtables(fakeNetlink({ [GET.FLOWTABLE]: { code: 'EINVAL' } }))).toEqual([]);
    expect(() => flowtables(fakeNetlink({ [GET.FLOWTABLE]: { code: 'EPERM' } }))).toThrow('EPERM');
  });

  test('netdev rules that forward or duplicate, each chain once', () => {
    const rule = (chainName: string, ...expressions: string[]) =>
      answer(
        'netdev',
        stringAttribute(1, 't'),
        stringAttribute(2, chainName),
        nested(4, ...expressions.map((name) => nested(1, stringAttribute(1, name)))),
      );
    const asking = fakeNetlink({
      [GET.RULE]: [
        rule('a', 'meta', 'cmp', 'fwd'),
        rule('a', 'fwd'),
        rule('b', 'dup'),
        rule('c', 'counter', 'immediate'),
        rule('d'),
        answer('netdev'),
      ],
    });
    expect(forwardingRules(asking)).toEqual(['netdev t a', 'netdev t b']);
    expect(asking.asked[0]?.family).toBe(families.netdev);
  });
});
