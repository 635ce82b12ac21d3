/** What holds packets, as far as it needs no kernel: the kernel's table, the verdicts' bytes, the ledger, the numbers. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { planFrom } from '../../src/commands/plan-flags';
import { inTurns } from '../../src/hold/hold';
import { findKeepers, forgetWord, readWord } from '../../src/hold/keeper';
import { type Evidence, ledgerOf, nothingLost, releasedBy } from '../../src/hold/ledger';
import { parseQueues, type QueueSocket, type Verdict, verdictUpTo } from '../../src/hold/queue';
import { message, NLM_F, stringAttribute } from '../../src/netlink/message';
import { NFNL_SUBSYS_NFTABLES, NFT_MSG, NFTA_SET_ELEM_LIST, nfgenmsg } from '../../src/nftables/nf-tables-h';
import { leaseSet, tableName } from '../../src/ruleset/acceptance';
import { defaultHoldLimit, parseHoldLimit } from '../../src/ruleset/plan';
import { defaultNumbers, freeNumbers } from '../../src/ruleset/queue-numbers';
import { withoutQueues } from '../../src/ruleset/queue-text';
import { failureOf, hostileTexts } from './failures';
import { useScratchDirectory } from './scratch';

// The same values in every run.
fc.configureGlobal({ seed: 1 });

const directory = useScratchDirectory();

test('a keeper leads its session: what it has just forked, with its arguments still, is none', async () => {
  const state = 'net-0-0-of-a-test';
  const start = (detached: boolean) =>
    spawn('/bin/sh', ['-c', 'echo there; read -r _', state], {
      argv0: 'netfreeze-keeper',
      detached,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const [keeper, fork] = [start(true), start(false)];
  try {
    for (const child of [keeper, fork]) await once(child.stdout, 'data');
    expect(findKeepers(state).map(({ pid }) => pid)).toEqual([keeper.pid]);
  } finally {
    for (const child of [keeper, fork]) child.kill('SIGKILL');
  }
});

describe('verdicts in turns', () => {
  test('a little of each direction, never more than is held, and a word after each', () => {
    const said: unknown[] = [];
    const socket: QueueSocket = {
      ...{ fd: -1, port: 1, drain() {}, limit() {}, close() {} },
      decide: (_verdict, _numbers, upTo) => said.push(upTo),
    };
    const queue = { number: 1, owner: 1, dropped: 0, userDropped: 0 };
    const queues = { in: { ...queue, held: 150, sequence: 1150 }, out: { ...queue, held: 10, sequence: 20 } };
    inTurns(socket, 'accept', { in: 1, out: 2 }, queues, () => said.push('word'));
    // The last turn is the caller's, for all that is left.
    expect(said).toEqual([
      ...[{ in: 1004, out: 14 }, 'word', { in: 1012, out: 20 }, 'word', { in: 1028, out: 20 }, 'word'],
      ...[{ in: 1060, out: 20 }, 'word', { in: 1124, out: 20 }, 'word'],
    ]);
  });
});

describe("the kernel's table of queues", () => {
  // Recorded on Linux 6.18 while a freeze held one packet that was sent.
  const recorded =
    '61450 3531346344     0 1     0     0     0        0  1\n61451 3531346344     1 1     0     0     0        1  1\n';
  const counts = { dropped: 0, userDropped: 0 };

  test('as it was recorded', () => {
    expect(parseQueues(recorded)).toEqual([
      { number: 61450, owner: 3531346344, held: 0, ...counts, sequence: 0 },
      { number: 61451, owner: 3531346344, held: 1, ...counts, sequence: 1 },
    ]);
  });

  test('each column is its own', () => {
    expect(parseQueues('    7   4711    12 2 65535    34    56      789  1\n')).toEqual([
      { number: 7, owner: 4711, held: 12, dropped: 34, userDropped: 56, sequence: 789 },
    ]);
  });

  test('columns that have grown to their neighbours, and the largest of all', () => {
    expect(parseQueues('65535 4294967295 500000 1 65535 4294967295 4294967295 4294967295  1\n')).toEqual([
      {
        number: 65535,
        owner: 4294967295,
        held: 500000,
        dropped: 4294967295,
        userDropped: 4294967295,
        sequence: 4294967295,
      },
    ]);
  });

  test('a port with a sign is the same port', () => {
    expect(parseQueues('0 -4100 0 1 0 0 0 0 1')[0]?.owner).toBe(4294963196);
  });

  test.each([
    '',
    '\n',
    '\n\n',
    'queue owner held mode range dropped user sequence 1\n',
    '7 4711 12 2\n',
    '7 1 2 3 4 5 6',
  ])('no queue in %j', (text) => {
    expect(parseQueues(text)).toEqual([]);
  });
});

describe('a verdict on all that is held', () => {
  // struct nlmsghdr, struct nfgenmsg, then NFQA_VERDICT_HDR (2): the verdict and the largest id, in network order.
  test.each<[verdict: Verdict, code: string]>([
    ['drop', '00000000'],
    ['accept', '00000001'],
    ['repeat', '00000004'],
  ])('%s, byte by byte', (verdict, code) => {
    expect(verdictUpTo(0x01020304, verdict, 61450).toString('hex')).toBe(
      `20000000${'0303'}0100${'04030201'}00000000${'0000f00a'}0c000200${code}7fffffff`,
    );
  });

  test.each<[verdict: Verdict, code: number]>([
    ['drop', 0],
    ['accept', 1],
    ['repeat', 4],
  ])('the keeper says the same bytes: %s', (verdict, code) => {
    for (const [incoming, out] of [
      [0, 7],
      [7, 0],
      [61450, 65535],
      [65535, 256],
    ] as const) {
      const expected = Buffer.concat([verdictUpTo(0, verdict, incoming), verdictUpTo(0, verdict, out)]);
      expect(keeperDecides(code, incoming, out).toString('hex')).toBe(expected.toString('hex'));
    }
  });

  test('and asks nf_tables for the elements of the lease', () => {
    const expected = message(
      (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG.GETSETELEM,
      NLM_F.DUMP,
      0,
      nfgenmsg('inet'),
      stringAttribute(NFTA_SET_ELEM_LIST.TABLE, tableName),
      stringAttribute(NFTA_SET_ELEM_LIST.SET, leaseSet),
    );
    expect(keeperSays(['lease_has_ended'], 'nap() { :; }; lease_has_ended 7>"$1"').toString('hex')).toBe(
      expected.toString('hex'),
    );
  });

  const keeperDecides = (code: number, incoming: number, out: number): Buffer =>
    keeperSays(
      ['octal', 'decide'],
      `octal ${incoming}; bytes_in=$octal; octal ${out}; bytes_out=$octal; decide ${code} 3>"$1"`,
    );

  /** Runs functions of the keeper's script with a file in a socket's place. */
  function keeperSays(names: string[], call: string): Buffer {
    const script = readFileSync(join(__dirname, '../../src/hold/keeper.sh'), 'utf8');
    const functions = names.map((name) => {
      const [text] = new RegExp(`^${name}\\(\\) \\{\\n.*?^\\}\\n`, 'ms').exec(script) ?? [];
      if (text === undefined) throw new Error(`keeper.sh has no function ${name}`);
      return text;
    });
    const socket = join(directory(), 'socket');
    execFileSync('/bin/sh', ['-c', `${functions.join('')}${call} || true`, 'sh', socket], { stdio: 'ignore' });
    return readFileSync(socket);
  }
});

describe('the ledger', () => {
  const count = fc.nat(1_000_000);
  const queue = { number: 7, owner: 1 };

  test('each packet that met the rule is in one of the three', () => {
    fc.assert(
      fc.property(
        fc.record({ held: count, released: count, thrown: count, full: count, unread: count, unheard: count }),
        ({ held, released, thrown, full, unread, unheard }) => {
          const sequence = held + released + thrown + unread;
          const arrived = sequence + full + unheard;
          const evidence: Evidence = {
            met: arrived,
            released,
            queue: { ...queue, held, dropped: full, userDropped: unread, sequence },
          };
          const ledger = ledgerOf(evidence);
          expect(ledger).toEqual({ held, released, lost: thrown + full + unread + unheard });
          expect(ledger.held + ledger.released + ledger.lost).toBe(arrived);
        },
      ),
    );
  });

  test('without a queue nothing is held: what was not released is lost', () => {
    fc.assert(
      fc.property(count, count, (released, lost) => {
        const ledger = ledgerOf({ met: released + lost, released, queue: null });
        expect(ledger).toEqual({ held: 0, released, lost });
      }),
    );
  });

  test('readings that do not fit together make nothing negative', () => {
    const state = fc.record({ held: count, dropped: count, userDropped: count, sequence: count });
    fc.assert(
      fc.property(count, fc.option(state), count, (met, state, released) => {
        const found = ledgerOf({ met, released, queue: state && { ...queue, ...state } });
        for (const packets of Object.values(found)) expect(packets).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  test('what a keeper released, by its word', () => {
    expect(releasedBy({ what: 'released', in: 3, out: 4 }, 'in')).toBe(3);
    expect(releasedBy({ what: 'released', in: 3, out: 4 }, 'out')).toBe(4);
    expect(releasedBy({ what: 'dropped', in: 3, out: 4 }, 'in')).toBe(0);
    expect(releasedBy(null, 'out')).toBe(0);
  });

  test('nothing is lost only when nothing is lost in both directions', () => {
    const ledgers = (incoming: number, out: number) => ({
      in: { held: 1, released: 2, lost: incoming },
      out: { held: 0, released: 0, lost: out },
    });
    expect([ledgers(0, 0), ledgers(1, 0), ledgers(0, 1)].map(nothingLost)).toEqual([true, false, false]);
  });
});

describe("the keeper's word", () => {
  const file = () => join(directory(), 'word');

  test.each([
    ['repeat 10 0\n', { what: 'released', in: 10, out: 0 }],
    ['drop 0 4711\n', { what: 'dropped', in: 0, out: 4711 }],
  ])('%j', (text, word) => {
    writeFileSync(file(), text);
    expect(readWord(file())).toEqual(word);
  });

  test.each(['', 'repeat 10 0', 'repeat 10\n', 'accept 1 1\n', 'repeat -1 0\n', ' drop 1 2\n', 'drop 1 2\n\n', '\0'])(
    'half written, or not a word: %j',
    (text) => {
      writeFileSync(file(), text);
      expect(readWord(file())).toBeNull();
    },
  );

  test('none was left, and forgetting it is no fault', () => {
    expect(readWord(file())).toBeNull();
    forgetWord(file());
    writeFileSync(file(), 'drop 1 2\n');
    forgetWord(file());
    expect(readWord(file())).toBeNull();
  });
});

describe('queue numbers', () => {
  const taken = fc.array(fc.record({ number: fc.nat(65535), total: fc.integer({ min: 1, max: 65536 }) }), {
    maxLength: 8,
  });
  const uses = (number: number) => (used: { number: number; total: number }) =>
    number >= used.number && number < used.number + used.total;

  test('are two that nothing uses, one after the other, within 16 bits', () => {
    fc.assert(
      fc.property(taken, (all) => {
        const found = freeNumbers(all);
        if (!found) return;
        expect(found.out).toBe(found.in + 1);
        expect(found.in).toBeGreaterThanOrEqual(0);
        expect(found.out).toBeLessThanOrEqual(65535);
        for (const number of [found.in, found.out]) expect(all.some(uses(number))).toBe(false);
      }),
    );
  });

  test('are the default ones where these are free', () => {
    fc.assert(
      fc.property(taken, (all) => {
        const others = all.filter((used) => !Object.values(defaultNumbers).some((number) => uses(number)(used)));
        expect(freeNumbers(others)).toEqual(defaultNumbers);
      }),
    );
  });

  test('are the next higher pair, then one from the beginning, then none', () => {
    const upward = { number: defaultNumbers.in, total: 65536 - defaultNumbers.in };
    expect(freeNumbers([{ number: defaultNumbers.out, total: 1 }])).toEqual({ in: 61452, out: 61453 });
    expect(freeNumbers([{ ...upward, total: upward.total - 2 }])).toEqual({ in: 65534, out: 65535 });
    expect(freeNumbers([upward])).toEqual({ in: 0, out: 1 });
    expect(freeNumbers([upward, { number: 0, total: 61448 }])).toEqual({ in: 61448, out: 61449 });
    expect(freeNumbers([{ number: 0, total: 65536 }])).toBeNull();
  });
});

describe('a text for an nft without queue', () => {
  test.each([
    ['queue to 61450', 'meta mark set 61450'],
    ['queue num 0 comment "x"', 'meta mark set 0 comment "x"'],
    ['counter name "in" queue \t to\n 7\n', 'counter name "in" meta mark set 7\n'],
    ['queue to 7; queue to 65535', 'meta mark set 7; meta mark set 65535'],
    // Comments end with their lines, and quoted texts with their quotes.
    ['# queue to 7\nqueue to 8', '# queue to 7\nmeta mark set 8'],
    ['comment "a # b" queue to 8', 'comment "a # b" meta mark set 8'],
  ])('%j becomes %j', (text, expected) => {
    expect(withoutQueues(text)).toBe(expected);
  });

  test.each([
    'comment "queue to 7"',
    'comment "x # y" # queue to 7',
    'queue to 7-8',
    'queue num 61450-61459',
    'queue flags bypass to 7',
    'queue flags bypass,fanout num 7-8',
    'queue to symhash mod 2 offset 7',
    'queue',
    'aqueue to 7',
    'queued to 7',
  ])('%j stays as it is', (text) => {
    expect(withoutQueues(text)).toBe(text);
  });
});

describe('how many packets are held', () => {
  test.each([
    ['1', 1],
    ['16384', 16_384],
    ['0500000', 500_000],
  ])('%j', (text, limit) => {
    expect(parseHoldLimit(text)).toBe(limit);
  });

  test.each(['', '0', '-1', '+1', '1.5', '1e3', '0x10', ' 1', '1 ', '1\n', '500001', '00000001', ...hostileTexts])(
    'not %j',
    async (text) => {
      const failure = await failureOf(() => parseHoldLimit(text));
      expect(failure).toMatchObject({ code: 'bad-hold-limit', exit: 2 });
      expect(failure.suggestions).toHaveLength(1);
    },
  );

  const flags = { loopback: 'freeze' } as const;

  test('a limit is of mode steal only', async () => {
    const refused = await failureOf(() => planFrom({ ...flags, mode: 'drop', 'hold-limit': '100' }));
    expect(refused).toMatchObject({ code: 'hold-limit-without-steal', exit: 2 });
    const { plan, template } = await planFrom({ ...flags, mode: 'steal', 'hold-limit': '100' });
    expect(plan).toMatchObject({ mode: 'steal', template: 'steal', holdLimit: 100 });
    expect(template).toMatchObject({ name: 'steal', builtin: true });
    expect((await planFrom({ ...flags, mode: 'steal' })).plan.holdLimit).toBe(defaultHoldLimit);
  });

  test('a limit that is none is refused in either mode', async () => {
    for (const mode of ['drop', 'steal'] as const) {
      const refused = await failureOf(() => planFrom({ ...flags, mode, 'hold-limit': 'many' }));
      expect(refused).toMatchObject({ code: 'bad-hold-limit', exit: 2 });
    }
  });
});
