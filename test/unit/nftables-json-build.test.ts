import {
  buildCommands,
  type Chain,
  type Command,
  NftJsonError,
  parseDocument,
  type Statement,
} from '../../src/nftables/json';

const base: Chain = { family: 'inet', table: 't', name: 'c', type: 'filter', hook: 'input', prio: -500 };
const addChain = (chain: object): Command[] => [{ add: { chain: chain as Chain } }];
const addRule = (...expr: unknown[]): Command[] => [
  { add: { rule: { family: 'inet', table: 't', chain: 'c', expr: expr as Statement[] } } },
];
const without = (key: keyof Chain) => Object.fromEntries(Object.entries(base).filter(([name]) => name !== key));

const fault = (commands: unknown): { path: string; message: string } => {
  try {
    buildCommands(commands as Command[]);
  } catch (error) {
    expect(error).toBeInstanceOf(NftJsonError);
    const { path, message } = error as NftJsonError;
    return { path, message };
  }
  throw new Error('was built');
};

describe('buildCommands', () => {
  it('builds commands in their order, as they stand', () => {
    const commands: Command[] = [
      { add: { table: { family: 'inet', name: 'netfreeze' } } },
      { add: { chain: { family: 'inet', table: 'netfreeze', name: 'jumped-to' } } },
      { add: { chain: { ...base, policy: 'accept' } } },
      {
        add: {
          chain: { family: 'netdev', table: 'd', name: 'c', type: 'filter', hook: 'egress', prio: 0, dev: 'eth0' },
        },
      },
      { add: { set: { family: 'inet', table: 't', name: 'lease', type: 'nf_proto', flags: ['timeout'] } } },
      {
        add: { element: { family: 'inet', table: 't', name: 'lease', elem: [{ elem: { val: 'ipv4', timeout: 30 } }] } },
      },
      ...addRule(
        { match: { op: '==', left: { meta: { key: 'nfproto' } }, right: '@lease' } },
        { counter: 'frozen-in' },
        { queue: { num: 5 } },
      ),
      { replace: { rule: { family: 'inet', table: 't', chain: 'c', handle: 7, expr: [{ drop: null }] } } },
      { delete: { rule: { family: 'inet', table: 't', chain: 'c', handle: 7 } } },
      { delete: { table: { family: 'inet', handle: 9 } } },
      { destroy: { set: { family: 'inet', table: 't', name: 's' } } },
      { flush: { chain: { family: 'inet', table: 't', name: 'c' } } },
      { list: { ruleset: null } },
      { list: { counters: { family: 'inet', table: 't' } } },
      { reset: { counter: { family: 'inet', table: 't', name: 'n' } } },
      { rename: { chain: { family: 'inet', table: 't', name: 'c', newname: 'd' } } },
    ];
    expect(parseDocument(buildCommands(commands))).toEqual({ nftables: commands });
    expect(buildCommands([])).toBe('{"nftables": []}');
  });

  it('writes integers beyond 2^53 exactly', () => {
    const text = buildCommands([
      { add: { counter: { family: 'ip', table: 't', name: 'n', packets: 9223372036854775807n, bytes: 0 } } },
    ]);
    expect(text).toContain('"packets": 9223372036854775807,');
  });
});

// Confirmed with nft 1.0.6 on Linux 6.18, in a namespace of its own: each of these, given to `nft -j`, ends with status 0,
// and `nft list ruleset` then shows `chain c { }`, or a priority of 0 for one of 2^32; nothing is filtered.
describe('a base chain that nft would silently make a plain one', () => {
  it.each<[path: string, chain: object]>([
    ['prio', { ...base, prio: '-500' }],
    ['prio', { ...base, prio: 'filter' }],
    ['prio', { ...base, prio: -500.5 }],
    ['prio', { ...base, prio: null }],
    ['prio', { ...base, prio: 4294967296 }],
    ['prio', without('prio')],
    ['hook', without('hook')],
    ['type', without('type')],
    ['priority', { ...without('prio'), priority: -500 }],
    ['Hook', { ...without('hook'), Hook: 'input' }],
    ['typ', { ...without('type'), typ: 'filter' }],
    ['polcy', { ...base, polcy: 'drop' }],
    ['type', { family: 'inet', table: 't', name: 'c', policy: 'drop' }],
    ['type', { family: 'netdev', table: 't', name: 'c', dev: 'eth0' }],
    ['hook', { ...base, hook: ['input'] }],
    ['type', { ...base, type: 1 }],
  ])('is refused at its %s: %j', (member, chain) => {
    expect(fault(addChain(chain)).path).toBe(`nftables[0].add.chain.${member}`);
    expect(fault([{ create: { chain } }]).path).toBe(`nftables[0].create.chain.${member}`);
  });

  it('is refused by the compiler where it can see it', () => {
    // @ts-expect-error a priority is an integer
    const named: Chain = { ...base, prio: 'filter' };
    // @ts-expect-error a chain has no such member
    const misspelt: Chain = { ...base, priority: -500 };
    expect([fault(addChain(named)).path, fault(addChain(misspelt)).path]).toEqual([
      'nftables[0].add.chain.prio',
      'nftables[0].add.chain.priority',
    ]);
  });

  it('is explained', () => {
    expect(fault(addChain(without('prio'))).message).toBe(
      'expected a chain with type, hook and prio or with none of them and no policy, got type, hook only: ' +
        'nft would make a chain without a hook of it and say nothing',
    );
  });
});

describe('what nft would misread or not read back', () => {
  const t = { family: 'inet', table: 't' };
  const rule = 'nftables[0].add.rule';
  it.each<[path: string, message: string, commands: unknown]>([
    ['nftables', 'expected an array, got an object', {}],
    ['nftables[0]', 'expected a known command, got a string ("table")', [{ table: { family: 'ip', name: 't' } }]],
    ['nftables[0].add', 'expected a known kind of object, got a string ("tabel")', [{ add: { tabel: {} } }]],
    ['nftables[0].add', 'expected an object with one member, got one with 0', [{ add: {} }]],
    ['nftables[0].insert.set', 'expected a rule to insert', [{ insert: { set: { ...t, name: 's' } } }]],
    ['nftables[0].rename.table', 'expected a chain to rename', [{ rename: { table: { family: 'ip', name: 't' } } }]],
    ['nftables[0].delete.tables', 'expected one object to delete, got several', [{ delete: { tables: null } }]],
    ['nftables[0].add.table.name', 'expected a value, got nothing', [{ add: { table: { family: 'ip' } } }]],
    ['nftables[0].add.table.family', 'expected a value, got nothing', [{ add: { table: { name: 't' } } }]],
    ['nftables[0].add.rule.expr', 'expected a value, got nothing', [{ add: { rule: { ...t, chain: 'c' } } }]],
    ['nftables[0].add.rule.expr', 'expected at least one statement, got none', addRule()],
    ['nftables[0].delete.rule.handle', 'expected a value, got nothing', [{ delete: { rule: { ...t, chain: 'c' } } }]],
    ['nftables[0].add.set.type', 'expected a value, got nothing', [{ add: { set: { ...t, name: 's' } } }]],
    [
      'nftables[0].add.table.flags',
      'expected no flags: libnftables before 1.1.0 passes them over',
      [{ add: { table: { family: 'ip', name: 't', flags: ['dormant'] } } }],
    ],
    [
      'nftables[0].add.chain.hook',
      'expected one of input, output, got a string ("prerouting")',
      addChain({ ...base, family: 'arp', hook: 'prerouting' }),
    ],
    [
      'nftables[0].add.chain.policy',
      'expected one of accept, drop, got a string ("queue")',
      addChain({ ...base, policy: 'queue' }),
    ],
    [
      'nftables[0].add.chain.dev',
      'expected a device for this hook, got nothing',
      addChain({ ...base, family: 'netdev', hook: 'ingress' }),
    ],
    ['nftables[0].add.chain.dev', 'expected no device for this hook, got one', addChain({ ...base, dev: 'eth0' })],
    [`${rule}.expr[0]`, 'expected a known statement, got a string ("dorp")', addRule({ dorp: null })],
    [`${rule}.expr[0]`, 'expected an object, got "accept"', addRule('accept')],
    [
      `${rule}.expr[0].xt`,
      'expected a statement that nft can load, got one of xtables',
      addRule({ xt: { type: 'match', name: 'tcp' } }),
    ],
    [
      `${rule}.expr[0].queue.flag`,
      'expected a member that nft knows (num, flags), got another',
      addRule({ queue: { num: 1, flag: 'bypass' } }),
    ],
    [
      `${rule}.expr[0].match.left`,
      'expected a known expression, got a string ("mata")',
      addRule({ match: { op: '==', left: { mata: 1 }, right: 1 } }),
    ],
    [
      `${rule}.expr[0].match.right`,
      'expected an integer from 0 to 9223372036854775807, got an integer (-1)',
      addRule({ match: { op: '==', left: { meta: { key: 'mark' } }, right: -1 } }),
    ],
    [
      `${rule}.expr[0].counter.packets`,
      'expected an integer from 0 to 9223372036854775807, got an integer (9223372036854775808)',
      addRule({ counter: { packets: 2n ** 63n } }),
    ],
    [
      `${rule}.expr[0].counter.packets`,
      'expected an exact integer (a bigint beyond 2^53), got an integer (9007199254740992)',
      addRule({ counter: { packets: 2 ** 53 } }),
    ],
    [
      `${rule}.expr[0].log.prefix`,
      'expected a string without quotes and control characters, got a string ("a\\"b")',
      addRule({ log: { prefix: 'a"b' } }),
    ],
    [
      `${rule}.expr[0].jump.target`,
      'expected a name (a letter, then letters, digits, "_" and "-"), got a string ("1st")',
      addRule({ jump: { target: '1st' } }),
    ],
    [
      `${rule}.expr[0].counter`,
      'expected a name (a letter, then letters, digits, "_" and "-"), got a string ("")',
      addRule({ counter: '' }),
    ],
    [
      `${rule}.expr[0].set.set`,
      'expected "@" and a name, got a string ("seen")',
      addRule({ set: { op: 'add', elem: 1, set: 'seen' } }),
    ],
    [
      `${rule}.expr[0].match.right`,
      'expected "@" and a name, got a string ("@a b")',
      addRule({ match: { op: '==', left: { meta: { key: 'mark' } }, right: '@a b' } }),
    ],
    [`${rule}.expr[0].log.group`, 'expected an integer, got nothing', addRule({ log: { group: undefined } })],
  ])('%s: %s', (path, message, commands) => {
    expect(fault(commands)).toEqual({ path, message });
  });

  it.each(['3abc', 'a b', 'a"b', '', '-a', '_a', 'a.b', 'a\n', 'ä', 'a;b', '@a', 'a/b'])('a name: %j', (name) => {
    const member = { add: { table: { family: 'ip', name } } };
    expect(fault([member])).toEqual({
      path: 'nftables[0].add.table.name',
      message: `expected a name (a letter, then letters, digits, "_" and "-"), got a string (${JSON.stringify(name)})`,
    });
    expect(fault([{ add: { chain: { ...base, table: name } } }]).path).toBe('nftables[0].add.chain.table');
    expect(fault([{ rename: { chain: { family: 'ip', table: 't', name: 'c', newname: name } } }]).path).toBe(
      'nftables[0].rename.chain.newname',
    );
  });

  // nft 1.0.6 takes 129 bytes from JSON, prints them, and refuses its own print: "comment too long, 128 characters maximum".
  it.each([
    ['a quote', 'say "x"'],
    ['a newline', 'two\nlines'],
    ['a NUL, which jansson refuses', 'a\0b'],
    ['half a surrogate pair, which jansson refuses', 'a\ud800b'],
    ['129 bytes', 'x'.repeat(129)],
    ['129 bytes in 65 characters', `x${'ü'.repeat(64)}`],
  ])('a comment with %s', (_what, comment) => {
    const commands = [{ add: { rule: { ...t, chain: 'c', expr: [{ drop: null }], comment } } }];
    expect(fault(commands).path).toBe('nftables[0].add.rule.comment');
  });

  it('but not a comment of 128 bytes with a backslash and letters of any language', () => {
    const comment = `back\\slash ${'ü'.repeat(58)}x`;
    expect(new TextEncoder().encode(comment)).toHaveLength(128);
    const commands = addRule({ drop: null });
    expect(() => buildCommands([...commands, { add: { chain: { ...base, comment } } }])).not.toThrow();
  });

  it('a cycle', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(fault(addRule({ 'ct helper': loop })).message).toBe('expected at most 256 levels of nesting, got more');
  });
});
