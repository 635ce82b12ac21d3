/** What people read and what programs read: units, reports, failures, and the JSON of the contract. */
import fc from 'fast-check';
import type { Operation, TargetReport } from '../../src/freeze/report';
import { asFailure, emptyReport, reportedError, standingReport } from '../../src/freeze/report';
import type { Standing } from '../../src/freeze/state/standing';
import { Exit, Failure } from '../../src/platform/failure';
import { SystemError } from '../../src/platform/libc';
import { shown } from '../../src/platform/text';
import { failureText } from '../../src/presentation/failure';
import { failureJson, operationJson, resultJson } from '../../src/presentation/json';
import {
  dryRunText,
  frozenText,
  renewedText,
  statusText,
  thawedText,
  verifiedText,
} from '../../src/presentation/report';
import { bytes, duration, since, times } from '../../src/presentation/units';
import type { FreezeRecord } from '../../src/record/record';
import { dangerous, hostileTexts } from './failures';

// The same texts in every run.
fc.configureGlobal({ seed: 1 });

const empty = emptyReport('netns:web', { device: 4, inode: 4026532178 });
const standing: Standing = {
  hasLeaseSet: true,
  isFlagged: false,
  families: ['inet'],
  freezing: { mode: 'drop', template: 'drop' },
  lease: { state: 'running', timeoutMs: 30_000, expiresMs: 12_345, untilMs: 99_999 },
  counters: { in: { packets: 1, bytes: 64 }, out: { packets: 20, bytes: 2048 } },
  dump: { tables: [], chains: [], sets: [], objects: [], rules: [], elements: [] },
};
const record = {
  mode: 'drop',
  template: 'drop',
  since: '2026-01-02T03:04:05.678Z',
  by: { user: 'alice', uid: 1000, pid: 4711 },
  reason: 'moving house',
} as FreezeRecord;
const timings = { renderMs: 0.1234567, rehearseMs: 3, applyMs: 1.5, verifyMs: 0.5 };
const frozen: TargetReport = {
  ...standingReport(empty, standing, record, 'frozen'),
  verified: true,
  timings,
  changed: true,
};
const failure = new Failure('no-such-target', Exit.noTarget, 'there is no network namespace named web', {
  suggestions: ['did you mean wep?'],
});

describe('units', () => {
  test.each([
    [0, '0.0 ms'],
    [0.04, '0.0 ms'],
    [1.25, '1.3 ms'],
    [12.3, '12 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [4510, '4.5 s'],
    [60_000, '1 min 0 s'],
    [182_000, '3 min 2 s'],
    [3_599_999, '59 min 59 s'],
    [3_600_000, '1 h 0 min'],
    [7_260_000, '2 h 1 min'],
    [31_536_000_000, '8760 h 0 min'],
  ])('%d milliseconds are %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test('no unit is filled up to the next one', () => {
    for (const ms of [9.96, 999.6, 59_960, 59_999, 3_599_999]) {
      expect(duration(ms)).not.toMatch(/^(10\.0 ms|1000 ms|60\.0 s|60 min)/);
    }
    for (const count of [1023, 1_048_575, 1_073_741_823]) expect(bytes(count)).not.toMatch(/^1024/);
  });

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1_048_576, '1.0 MiB'],
    [5_000_000_000, '4.7 GiB'],
    [2 ** 50, '1024.0 TiB'],
  ])('%d bytes are %s', (count, text) => {
    expect(bytes(count)).toBe(text);
  });

  test.each([
    [0, '0 packets'],
    [1, '1 packet'],
    [2, '2 packets'],
  ])('%d: %s', (count, text) => {
    expect(times(count, 'packet')).toBe(text);
  });

  test('how long ago a time was, and never in the future', () => {
    jest.useFakeTimers({ now: Date.parse('2026-01-02T03:05:05.000Z') });
    try {
      expect(since('2026-01-02T03:04:05.000Z')).toBe('1 min 0 s');
      expect(since('2026-01-02T04:00:00.000Z')).toBe('0.0 ms');
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('names that mean harm', () => {
  test.each([
    ['web', 'web'],
    ['netns:web', 'netns:web'],
    ['a"b', 'a"b'],
    ['a b', '"a b"'],
    ['', '""'],
    ['контейнер', '"контейнер"'],
    ['a\nb', '"a\\nb"'],
    ['\u001b[2J', '"\\u001b[2J"'],
    ['\u009b31m', '"\\u009b31m"'],
    ['\x7f', '"\\u007f"'],
    ['\u202egnp', '"\\u202egnp"'],
    ['\u2066x\u2069', '"\\u2066x\\u2069"'],
    ['\u061cx', '"\\u061cx"'],
    ['\u200fx', '"\\u200fx"'],
    ['\u2028', '"\\u2028"'],
    ['\ud800', '"\\ud800"'],
  ])('%j is shown as %s', (name, text) => {
    expect(shown(name)).toBe(text);
  });

  test('are cut', () => {
    expect(shown('x'.repeat(80))).toBe('x'.repeat(80));
    expect(shown('x'.repeat(81))).toBe(`"${'x'.repeat(80)}…"`);
  });

  test('no text makes it to a terminal unescaped, nor over the end of its line', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...hostileTexts)), (text) => {
        expect(shown(text)).not.toMatch(dangerous);
        expect(shown(text)).not.toContain('\n');
      }),
      { numRuns: 1000 },
    );
  });

  test.each(hostileTexts)('in a report’s lines: %j', (text) => {
    const report: TargetReport = {
      ...frozen,
      target: `netns:${text}`,
      reason: text,
      by: { user: text, uid: 0, pid: 1 },
      // What drifted is shown in nft's words, and whoever changed the table chose some of them.
      notes: [`the kernel no longer shows what was frozen:\n+   accept comment "${text}"`],
      wouldChange: [`- accept comment "${text}"`],
      error: reportedError(new Failure('drift', Exit.drift, `changed: chain inet netfreeze ${text}`)),
    };
    for (const say of [frozenText, thawedText, renewedText, verifiedText, dryRunText]) {
      expect(say(report)).not.toMatch(dangerous);
    }
    expect(statusText([report])).not.toMatch(dangerous);
  });

  test.each(hostileTexts)('in a failure: %j', (text) => {
    expect(failureText({ message: `nft answered ${text}`, suggestions: [`try ${text}`] })).not.toMatch(dangerous);
  });
});

describe('failures', () => {
  test('what went wrong, then what to do', () => {
    expect(failureText(failure)).toBe('netfreeze: there is no network namespace named web\n  try: did you mean wep?\n');
  });

  test('more lines below the first', () => {
    expect(failureText({ message: 'one\ntwo\nthree', suggestions: ['a', 'b'] })).toBe(
      'netfreeze: one\n  two\n  three\n  try: a\n  try: b\n',
    );
  });

  test('without advice', () => {
    expect(failureText({ message: 'one', suggestions: [] })).toBe('netfreeze: one\n');
  });

  test('whatever is thrown becomes one', () => {
    expect(asFailure(failure)).toBe(failure);
    expect(asFailure(new SystemError('setns', 1))).toMatchObject({ code: 'not-permitted', exit: 4 });
    expect(asFailure(new SystemError('setns', 22))).toMatchObject({ code: 'unexpected', exit: 1 });
    expect(asFailure(new TypeError('x is not a function'))).toMatchObject({
      code: 'unexpected',
      exit: 1,
      message: 'x is not a function',
    });
    expect(asFailure('text')).toMatchObject({ code: 'unexpected', exit: 1, message: 'text' });
    expect(asFailure(undefined)).toMatchObject({ code: 'unexpected', exit: 1 });
    const cause = new SystemError('setns', 1);
    expect(asFailure(cause).cause).toBe(cause);
  });

  test('the exit codes are those of the contract', () => {
    expect(Exit).toEqual({
      done: 0,
      unexpected: 1,
      usage: 2,
      noTarget: 3,
      notPermitted: 4,
      unsupported: 5,
      verificationFailed: 6,
      rollbackFailed: 7,
      busy: 8,
      checkpointFailed: 9,
      drift: 10,
      notFrozen: 11,
    });
  });
});

describe('reports for people', () => {
  test('on', () => {
    expect(frozenText(frozen)).toBe('netns:web is frozen (drop, thaws by itself in 12.3 s, proven in 5.1 ms)\n');
    expect(frozenText({ ...frozen, lease: null, changed: false })).toBe('netns:web is frozen (drop, as before)\n');
  });

  test('off', () => {
    const thawed = { ...frozen, state: 'thawed' as const, lease: null };
    expect(thawedText(thawed)).toBe('netns:web is thawed (stopped during the freeze: 1 packet in, 20 packets out)\n');
    expect(thawedText({ ...thawed, counters: null })).toBe('netns:web is thawed\n');
    expect(thawedText({ ...empty, verified: true })).toBe('netns:web is not frozen\n');
    const kicked = (sockets: number, peers: number, corked: number, unreachable: number) =>
      thawedText({ ...thawed, counters: null, kicked: { sockets, peers, corked, unreachable } });
    expect(kicked(0, 0, 0, 0)).toBe('netns:web is thawed\n');
    expect(kicked(1, 0, 0, 0)).toBe('netns:web is thawed; 1 TCP socket kicked\n');
    expect(kicked(2, 3, 4, 5)).toBe(
      'netns:web is thawed; 2 TCP sockets kicked, 3 peers told to send again, 4 corked by their program and left alone, 5 out of reach\n',
    );
  });

  test('renew', () => {
    expect(renewedText(frozen)).toBe('netns:web is frozen (thaws by itself in 12.3 s)\n');
    expect(renewedText({ ...frozen, lease: null })).toBe('netns:web is frozen (endless)\n');
  });

  test('verify', () => {
    expect(verifiedText(frozen)).toBe('netns:web is frozen, and the kernel shows what was frozen\n');
    expect(verifiedText({ ...frozen, since: null })).toBe('netns:web is frozen, and the kernel shows a whole freeze\n');
  });

  test('on --dry-run', () => {
    expect(dryRunText({ ...empty, wouldChange: ['- a', '+ b'] })).toBe(
      'netns:web: rehearsed, not touched; would change:\n  - a\n  + b\n',
    );
  });

  test('status', () => {
    jest.useFakeTimers({ now: Date.parse('2026-01-02T03:05:05.678Z') });
    try {
      expect(statusText([])).toBe('nothing is frozen\n');
      expect(statusText([frozen, { ...empty, target: 'netns:db' }])).toBe(`netns:web  frozen, verified
  mode      drop
  lease     12.3 s left
  stopped   in 1 packet (64 B), out 20 packets (2.0 KiB)
  since     2026-01-02T03:04:05.678Z (1 min 0 s ago)
  by        alice (process 4711)
  reason    "moving house"
  namespace device 4, inode 4026532178

netns:db  not frozen
  namespace device 4, inode 4026532178
`);
    } finally {
      jest.useRealTimers();
    }
  });

  test.each<[first: string, report: TargetReport]>([
    ['frozen, not verified', { ...frozen, verified: false }],
    ['thawed (lease ended)', { ...frozen, state: 'thawed' }],
    ['not frozen', empty],
    ['DRIFTED', { ...frozen, state: 'drifted' }],
    ['FAILED', { ...frozen, state: 'failed' }],
  ])('status says %s', (first, report) => {
    expect(statusText([report]).split('\n')[0]).toBe(`netns:web  ${first}`);
  });

  test('status with another template, an endless lease, notes and an error', () => {
    const text = statusText([
      {
        ...frozen,
        template: 'mine',
        lease: null,
        since: null,
        by: null,
        reason: null,
        notes: ['one\ntwo'],
        error: reportedError(failure),
      },
    ]);
    expect(text.split('\n').slice(1, -1)).toEqual([
      '  mode      drop, template mine',
      '  lease     endless',
      '  stopped   in 1 packet (64 B), out 20 packets (2.0 KiB)',
      '  namespace device 4, inode 4026532178',
      '  note      one',
      '            two',
      '  error     there is no network namespace named web',
    ]);
  });
});

describe('a report', () => {
  test('of nothing says nothing but the target', () => {
    expect(emptyReport('web', null)).toMatchObject({
      target: 'web',
      namespace: null,
      state: 'absent',
      verified: false,
    });
    const pinned = { fd: 3, device: 4, inode: 5 };
    expect(emptyReport('web', pinned).namespace).toEqual({ device: 4, inode: 5 });
  });

  test('of a freeze is the kernel’s, with the record beside it', () => {
    expect(frozen).toMatchObject({
      state: 'frozen',
      mode: 'drop',
      lease: { expiresInMs: 12_345 },
      counters: standing.counters,
      reason: 'moving house',
    });
    const other = { ...record, mode: 'steal', template: 'other' } as FreezeRecord;
    expect(standingReport(empty, standing, other, 'frozen')).toMatchObject({ mode: 'drop', template: 'drop' });
    expect(standingReport(empty, { ...standing, freezing: null }, other, 'drifted')).toMatchObject({ mode: 'steal' });
    expect(standingReport(empty, { ...standing, freezing: null }, null, 'drifted')).toMatchObject({
      mode: null,
      template: null,
      since: null,
      by: null,
    });
  });

  test.each<[state: Standing['lease'], expected: object | null]>([
    [{ state: 'endless' }, null],
    [{ state: 'ended' }, null],
    [{ state: 'running', timeoutMs: 30_000, expiresMs: 1, untilMs: 1 }, { expiresInMs: 1 }],
  ])('lease: %j', (lease, expected) => {
    expect(standingReport(empty, { ...standing, lease }, null, 'frozen').lease).toEqual(expected);
  });
});

/** The JSON of the contract: each member with what it may be. */
type Check = (value: unknown) => boolean;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text: Check = (value) => typeof value === 'string';
const number: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const whole: Check = (value) => Number.isInteger(value) && (value as number) >= 0;
const flag: Check = (value) => typeof value === 'boolean';
const or =
  (...checks: Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
const isNull: Check = (value) => value === null;
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const oneOf =
  (...values: unknown[]): Check =>
  (value) =>
    values.includes(value);
const members =
  (needed: Record<string, Check>, perhaps: Record<string, Check> = {}): Check =>
  (value) =>
    isObject(value) &&
    Object.entries(needed).every(([name, check]) => name in value && check(value[name])) &&
    Object.entries(value).every(([name, inner]) => name in needed || perhaps[name]?.(inner) === true);

const count = members({ packets: whole, bytes: whole });
const error = members({ code: text, exit: whole, message: text, suggestions: list(text) });
const target = members(
  {
    target: text,
    namespace: or(isNull, members({ device: whole, inode: whole })),
    state: oneOf('frozen', 'thawed', 'absent', 'drifted', 'failed'),
    mode: or(isNull, text),
    template: or(isNull, text),
    lease: or(isNull, members({ expiresInMs: whole })),
    verified: flag,
    counters: or(isNull, members({ in: count, out: count })),
    held: isNull,
    kicked: or(isNull, members({ sockets: whole, corked: whole, unreachable: whole, peers: whole })),
    timings: or(isNull, members({ renderMs: number, rehearseMs: number, applyMs: number, verifyMs: number })),
  },
  {
    changed: flag,
    since: or(isNull, text),
    by: or(isNull, members({ user: text, uid: whole, pid: whole })),
    reason: or(isNull, text),
    notes: list(text),
    wouldChange: list(text),
    error,
  },
);
const contract = members({ schema: oneOf('netfreeze/1'), targets: list(target) }, { error });

describe('the JSON of the contract', () => {
  const json = (operation: Operation) => JSON.parse(operationJson(operation)) as Record<string, never>;

  test.each<[what: string, operation: Operation]>([
    ['nothing', { targets: [], failure: null }],
    ['a freeze', { targets: [frozen], failure: null }],
    ['an empty report', { targets: [empty], failure: null }],
    ['no namespace', { targets: [emptyReport('web', null)], failure }],
    ['a dry run', { targets: [{ ...empty, timings, wouldChange: ['+ a'] }], failure: null }],
    [
      'a thaw with a kick',
      { targets: [{ ...empty, kicked: { sockets: 3, corked: 1, unreachable: 0, peers: 2 } }], failure: null },
    ],
    ['a failure', { targets: [{ ...empty, state: 'failed', error: reportedError(failure) }], failure }],
    ['several', { targets: [frozen, { ...frozen, state: 'drifted' }, { ...empty, state: 'thawed' }], failure }],
    ['names that mean harm', { targets: hostileTexts.map((name) => ({ ...empty, target: name })), failure: null }],
  ])('%s', (_, operation) => {
    expect(contract(json(operation))).toBe(true);
  });

  test('is one line', () => {
    for (const printed of [
      operationJson({ targets: [{ ...frozen, reason: 'a\nb' }], failure }),
      failureJson(failure),
      resultJson({ checks: [] }),
    ]) {
      expect(printed.endsWith('\n')).toBe(true);
      expect(printed.slice(0, -1)).not.toContain('\n');
    }
  });

  test('says what failed, once for the operation and once for the target', () => {
    const said = { code: 'no-such-target', exit: 3, message: failure.message, suggestions: ['did you mean wep?'] };
    const printed = json({ targets: [{ ...empty, state: 'failed', error: reportedError(failure) }], failure });
    expect(printed).toMatchObject({ error: said, targets: [{ error: said }] });
    expect(json({ targets: [frozen], failure: null })).not.toHaveProperty('error');
    expect(json({ targets: [frozen], failure: null })).not.toHaveProperty('targets.0.error');
  });

  test('of a failure before there were targets', () => {
    const printed = JSON.parse(failureJson(failure));
    expect(contract(printed)).toBe(true);
    expect(printed).toMatchObject({ schema: 'netfreeze/1', targets: [], error: { exit: 3 } });
  });

  test('times are cut to the microsecond', () => {
    expect(json({ targets: [frozen], failure: null })).toMatchObject({
      targets: [{ timings: { renderMs: 0.123, rehearseMs: 3, applyMs: 1.5, verifyMs: 0.5 } }],
    });
  });

  test('names come back as they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const [back] = JSON.parse(operationJson({ targets: [{ ...empty, target: name }], failure: null })).targets;
        expect(back.target).toBe(name);
      }),
    );
  });

  test('any other result goes under the same schema', () => {
    expect(JSON.parse(resultJson({ checks: [1] }))).toEqual({ schema: 'netfreeze/1', checks: [1] });
  });
});
