/** Plans: values from people, validated at the door, so that nothing unquoted reaches nft but what was meant (law 5). */
import { isIP } from 'node:net';
import fc from 'fast-check';
import { failureText } from '../../src/presentation/failure';
import { type Duration, durationText, parseDuration, remaining } from '../../src/ruleset/duration';
import {
  closedDevices,
  freezingComment,
  parseAllowed,
  parseMark,
  readFreezingComment,
  templateValues,
} from '../../src/ruleset/plan';
import { dangerous, failureOf, hostileTexts } from './failures';
import { endless } from './plans';

// The same values in every run.
fc.configureGlobal({ seed: 1 });

/** Texts near to what is accepted, and far from it. */
const nearly = (alphabet: string) =>
  fc.oneof(
    fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 24 }),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom(...hostileTexts),
  );

async function expectRefusal(action: () => unknown, code: string, exit = 2): Promise<void> {
  const failure = await failureOf(action);
  expect({ code: failure.code, exit: failure.exit }).toEqual({ code, exit });
  expect(failure.suggestions).not.toHaveLength(0);
  expect(failureText(failure)).not.toMatch(dangerous);
}

/** @returns what `read` makes of a text, or undefined when it refuses it */
function accepted<Value>(read: (text: string) => Value, text: string): Value | undefined {
  try {
    return read(text);
  } catch {
    return undefined;
  }
}

describe('an allowed remote end', () => {
  const everything = { protocol: null, port: null };
  test.each<[text: string, expected: object[]]>([
    ['10.0.0.7', [{ family: 'ip', address: '10.0.0.7', ...everything }]],
    ['10.0.0.0/8', [{ family: 'ip', address: '10.0.0.0/8', ...everything }]],
    ['10.0.0.0/32', [{ family: 'ip', address: '10.0.0.0/32', ...everything }]],
    ['fd00::1', [{ family: 'ip6', address: 'fd00::1', ...everything }]],
    ['FD00::A', [{ family: 'ip6', address: 'FD00::A', ...everything }]],
    ['::', [{ family: 'ip6', address: '::', ...everything }]],
    ['::ffff:10.0.0.7', [{ family: 'ip6', address: '::ffff:10.0.0.7', ...everything }]],
    ['fd00::/64', [{ family: 'ip6', address: 'fd00::/64', ...everything }]],
    ['fd00::1:443', [{ family: 'ip6', address: 'fd00::1:443', ...everything }]],
    ['[fd00::1]', [{ family: 'ip6', address: 'fd00::1', ...everything }]],
    ['[fd00::/64]:53/udp', [{ family: 'ip6', address: 'fd00::/64', protocol: 'udp', port: 53 }]],
    ['10.0.0.7:53/udp', [{ family: 'ip', address: '10.0.0.7', protocol: 'udp', port: 53 }]],
    ['10.0.0.0/8:1/tcp', [{ family: 'ip', address: '10.0.0.0/8', protocol: 'tcp', port: 1 }]],
    [
      '10.0.0.7:65535',
      [
        { family: 'ip', address: '10.0.0.7', protocol: 'tcp', port: 65535 },
        { family: 'ip', address: '10.0.0.7', protocol: 'udp', port: 65535 },
      ],
    ],
    [
      '[fd00::1]:443',
      [
        { family: 'ip6', address: 'fd00::1', protocol: 'tcp', port: 443 },
        { family: 'ip6', address: 'fd00::1', protocol: 'udp', port: 443 },
      ],
    ],
  ])('%s', (text, expected) => {
    expect(parseAllowed(text)).toEqual(expected);
  });

  test.each([
    '',
    ':',
    ':443',
    '10.0.0.7:',
    '10.0.0.7:0',
    '10.0.0.7:65536',
    '10.0.0.7:100000',
    '10.0.0.7:-1',
    '10.0.0.7:+1',
    '10.0.0.7:1e3',
    '10.0.0.7:0x10',
    '10.0.0.7: 443',
    '10.0.0.7:443/',
    '10.0.0.7:443/sctp',
    '10.0.0.7:443/TCP',
    '10.0.0.7:443/tcp/udp',
    '10.0.0.7:443-500',
    '10.0.0.7:https',
    '10.0.0.7/33',
    '10.0.0.7/-1',
    '10.0.0.7/',
    '10.0.0.7/8/8',
    '10.0.0.7/255.0.0.0',
    '10.0.0.1-10.0.0.9',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '0x0a000001',
    '167772161',
    '10.0.0.7 ',
    ' 10.0.0.7',
    '10.0.0.7\n',
    '10.0.0.7,10.0.0.8',
    '{10.0.0.7}',
    '!10.0.0.7',
    '@lease',
    '$home',
    'localhost',
    'example.org',
    'example.org:443',
    'fd00::/129',
    'fd00:::1',
    'fd00::1%eth0',
    'fe80::1%1',
    '[fd00::1',
    'fd00::1]',
    '[fd00::1]443',
    '[[fd00::1]]:443',
    '[]:443',
    '[fd00::1]:443:80',
    '10.0.0.1 accept',
    '10.0.0.1:80 accept',
    '10.0.0.1:80/tcp accept',
    '10.0.0.1\naccept',
    '10.0.0.1 } ; flush ruleset ; {',
    '10.0.0.1:80/tcp\n}',
    '10.0.0.1"',
    '10.0.0.1#',
    '10.0.0.1;accept',
    '10.0.0.1\\',
    '١٠.٠.٠.٧',
    '10\u3002 0.0.7',
    ...hostileTexts,
  ])('none: %j', async (text) => {
    await expectRefusal(() => parseAllowed(text), 'bad-allow');
  });

  // nft reads a prefix length that begins with 0 as octal: 10.0.0.0/010 is a network of 8 bits, and /08 an error.
  test.each(['10.0.0.0/010', '10.0.0.0/08', 'fd00::/016', '10.0.0.0/00'])(
    'a prefix length that nft would read as another one: %s',
    (text) => {
      const allowed = accepted(parseAllowed, text) ?? [];
      for (const { address } of allowed) expect(address).toMatch(/\/(0|[1-9][0-9]*)$/);
    },
  );

  test('nothing reaches a template but an address, a port and tcp or udp', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          nearly('0123456789abcdefF:./[]tcpu '),
          fc.tuple(fc.ipV4(), nearly(':/0123tcp ')).map((parts) => parts.join('')),
          fc.tuple(fc.ipV6(), nearly(']:/0123udp ')).map((parts) => `[${parts.join('')}`),
        ),
        (text) => {
          for (const { family, address, protocol, port } of accepted(parseAllowed, text) ?? []) {
            const [literal = '', prefix] = address.split('/');
            expect(isIP(literal)).toBe(family === 'ip' ? 4 : 6);
            expect(address).toMatch(/^[0-9A-Fa-f.:]+(\/[0-9]+)?$/);
            expect(Number(prefix ?? 0)).toBeLessThanOrEqual(family === 'ip' ? 32 : 128);
            expect([null, 'tcp', 'udp']).toContain(protocol);
            expect(port === null).toBe(protocol === null);
            if (port !== null) expect(port >= 1 && port <= 65535 && Number.isInteger(port)).toBe(true);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('a whole family is no exemption, but one port of it is', () => {
    expect(() => parseAllowed('0.0.0.0/0')).toThrow('every packet of the family');
    expect(() => parseAllowed('::/0')).toThrow('every packet of the family');
    expect(parseAllowed('0.0.0.0/0:22/tcp')).toHaveLength(1);
  });

  test('every address and port of either family can be written', () => {
    const ports = fc.integer({ min: 1, max: 65535 });
    const protocols = fc.constantFrom('tcp', 'udp');
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(32), ports, protocols, (address, prefix, port, protocol) => {
        expect(parseAllowed(`${address}/${prefix}:${port}/${protocol}`)).toEqual([
          { family: 'ip', address: `${address}/${prefix}`, protocol, port },
        ]);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 1, max: 128 }), ports, protocols, (address, prefix, port, protocol) => {
        expect(parseAllowed(`${address}/${prefix}`)).toEqual([
          { family: 'ip6', address: `${address}/${prefix}`, protocol: null, port: null },
        ]);
        expect(parseAllowed(`[${address}]:${port}/${protocol}`)).toEqual([{ family: 'ip6', address, protocol, port }]);
      }),
    );
  });
});

describe('a packet mark', () => {
  test.each([
    ['1', 1],
    ['7', 7],
    ['49428', 0xc114],
    ['0xC114', 0xc114],
    ['0xc114', 0xc114],
    ['0x0000c114', 0xc114],
    ['4294967295', 0xffffffff],
    ['0xffffffff', 0xffffffff],
  ])('%s', (text, mark) => {
    expect(parseMark(text)).toBe(mark);
  });

  test.each([
    '',
    '0',
    '0x0',
    '0x',
    '00',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '4294967296',
    '0x100000000',
    '99999999999',
    '0b1',
    '0o7',
    '0XC114',
    'C114',
    '0xC114/0xffff',
    '1 accept',
    '1\n',
    ' 1',
    '1_000',
    '0xC114"',
    'NaN',
    'Infinity',
    '١',
    ...hostileTexts,
  ])('none: %j', async (text) => {
    await expectRefusal(() => parseMark(text), 'bad-mark');
  });

  test('whatever is accepted is written in 8 hexadecimal digits', () => {
    fc.assert(
      fc.property(fc.oneof(nearly('0123456789abcdefxX'), fc.nat(0xffffffff).map(String)), (text) => {
        const mark = accepted(parseMark, text);
        if (mark === undefined) return;
        const { marks } = templateValues({ ...endless, marks: [mark, mark] });
        expect(marks).toEqual([expect.stringMatching(/^0x[0-9a-f]{8}$/)]);
        expect(Number(marks[0])).toBe(Number(text));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a duration', () => {
  test.each([
    ['100ms', 100],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['8760h', 31_536_000_000],
    ['0030s', 30_000],
  ])('%s', (text, ms) => {
    expect(parseDuration(text, '--lease')).toBe(ms);
  });

  test.each([
    '',
    '0',
    '0s',
    '30',
    's',
    '99ms',
    '8761h',
    '1d',
    '1w',
    '1.5s',
    '1e3s',
    '-1s',
    '+1s',
    '30 s',
    ' 30s',
    '30s\n',
    '30S',
    '1m30s',
    '999999999999h',
    '9999999999999999s',
    '30s expires 1s',
    '30s }',
    'Infinitys',
    'NaNs',
    '٣٠s',
    ...hostileTexts,
  ])('none: %j', async (text) => {
    await expectRefusal(() => parseDuration(text, '--lease'), 'bad-duration');
  });

  test('the option is named', async () => {
    const { message } = await failureOf(() => parseDuration('never', '--lease'));
    expect(message).toContain('--lease "never"');
  });

  test.each([
    [1, '1ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1500, '1500ms'],
    [90_000, '90s'],
    [120_000, '2m'],
    [3_600_000, '1h'],
    [86_400_000, '24h'],
  ])('%d ms is written %s', (ms, text) => {
    expect(durationText(ms as Duration)).toBe(text);
  });

  test('what is written is read as the same', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.integer({ min: 100, max: 31_536_000_000 }),
          fc.integer({ min: 1, max: 8760 }).map((hours) => hours * 3_600_000),
          fc.integer({ min: 1, max: 525_600 }).map((minutes) => minutes * 60_000),
        ),
        (ms) => {
          const text = durationText(ms as Duration);
          expect(text).toMatch(/^[1-9][0-9]*(ms|s|m|h)$/);
          expect(parseDuration(text, '--lease')).toBe(ms);
        },
      ),
    );
  });

  test('whatever is accepted is a whole number of milliseconds between the limits', () => {
    fc.assert(
      fc.property(nearly('0123456789msh'), (text) => {
        const ms = accepted((given) => parseDuration(given, '--lease'), text);
        if (ms === undefined) return;
        expect(Number.isInteger(ms) && ms >= 100 && ms <= 31_536_000_000).toBe(true);
        expect(templateValues({ ...endless, lease: ms }).timeout).toMatch(/^ timeout [1-9][0-9]*(ms|s|m|h)$/);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    [0, 1],
    [-5, 1],
    [0.4, 1],
    [1.9, 1],
    [1234.5, 1234],
  ])('what is left of a lease is whole and at least 1: %d', (ms, left) => {
    expect(remaining(ms)).toBe(left);
  });
});

describe('devices', () => {
  test('each once, in one order, with a chain of its own', () => {
    const expected = [
      { name: 'eth0', chain: 'ingress_1' },
      { name: 'eth1', chain: 'ingress_2' },
      { name: 'wan', chain: 'ingress_3' },
    ];
    expect(closedDevices(['eth1', 'wan', 'eth0', 'eth1'])).toEqual(expected);
    expect(closedDevices(['wan', 'eth0', 'eth1'])).toEqual(expected);
    expect(closedDevices([])).toEqual([]);
  });

  // The kernel lets a device be named with any bytes but white space, slash and colon, by whoever owns the namespace.
  test.each(['', 'a"b', 'a{b', 'a}b', 'a;b', 'a#b', 'a\\b', 'a$b', 'eth*', "a'b", 'ethernet-long-16', ...hostileTexts])(
    'a name that cannot be written in a ruleset: %j',
    async (name) => {
      await expectRefusal(() => closedDevices(['eth0', name]), 'odd-device-name', 5);
    },
  );

  test('whatever is accepted stays within its quotes', () => {
    fc.assert(
      fc.property(fc.array(nearly('abz019_.@-"{}')), (names) => {
        for (const { name, chain } of accepted(() => closedDevices(names), '') ?? []) {
          expect(name).toMatch(/^[A-Za-z0-9_.@-]{1,15}$/);
          expect(chain).toMatch(/^ingress_[1-9][0-9]*$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the comment on a freezing rule', () => {
  test('is known again', () => {
    expect(freezingComment('drop', 'mine')).toBe('netfreeze/1 drop mine');
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,31}$/), (template) => {
        expect(readFreezingComment(freezingComment('drop', template))).toEqual({ mode: 'drop', template });
      }),
    );
  });

  test.each([
    '',
    'netfreeze',
    'netfreeze/1',
    'netfreeze/1 drop',
    'netfreeze/1 drop ',
    'netfreeze/2 drop drop',
    'netfreeze/10 drop drop',
    'netfreeze/1 allow drop',
    'netfreeze/1  drop drop',
    'netfreeze/1 drop drop ',
    ' netfreeze/1 drop drop',
    'Netfreeze/1 drop drop',
    'netfreeze/1 drop drop\n',
    'netfreeze/1 drop a b',
    'netfreeze/1 drop 1a',
    'netfreeze/1 drop a"b',
    'netfreeze/1 drop a\u001b[2J',
    'x\nnetfreeze/1 drop drop',
    ...hostileTexts,
  ])('any other is none of ours: %j', (comment) => {
    expect(readFreezingComment(comment)).toBeNull();
  });
});

describe('the values of a template', () => {
  test('of an endless freeze', () => {
    expect(templateValues(endless)).toEqual({
      comment: 'netfreeze/1 drop drop',
      timeout: '',
      keepLoopback: false,
      marks: [],
      allow: [],
      closesDevices: false,
      devices: [],
      queueIn: 61450,
      queueOut: 61451,
    });
  });

  test('of a freeze with everything', () => {
    const devices = closedDevices(['eth0']);
    const allow = parseAllowed('10.0.0.7:53/udp');
    expect(
      templateValues({
        mode: 'drop',
        template: 'mine',
        lease: parseDuration('90s', '--lease'),
        loopback: 'keep',
        allow,
        marks: [7, 0xc114, 7],
        devices,
        queues: { in: 5, out: 6 },
        holdLimit: 100,
      }),
    ).toEqual({
      comment: 'netfreeze/1 drop mine',
      timeout: ' timeout 90s',
      keepLoopback: true,
      marks: ['0x00000007', '0x0000c114'],
      allow,
      closesDevices: true,
      devices,
      queueIn: 5,
      queueOut: 6,
    });
  });
});
