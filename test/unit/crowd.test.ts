/** What is said of many targets, and of how far they have come. */
import { emptyReport, reportedError, skewOf, type TargetReport } from '../../src/freeze/report';
import { Exit, Failure } from '../../src/platform/failure';
import { crowdFailures, crowdNotes, crowdText, isCrowd } from '../../src/presentation/crowd';
import { operationJson } from '../../src/presentation/json';
import { progress } from '../../src/presentation/progress';

const target = (at: number, rest: Partial<TargetReport> = {}): TargetReport => ({
  ...emptyReport(`netns:web-${at}`, { device: 4, inode: at }),
  state: 'frozen',
  changed: true,
  ...rest,
});
const many = (count: number, rest: Partial<TargetReport> = {}) =>
  Array.from({ length: count }, (_, at) => target(at, rest));
const failed = (code: string, message: string) => reportedError(new Failure(code, Exit.verificationFailed, message));

test('more than twenty are a crowd', () => {
  expect(isCrowd({ targets: many(20) })).toBe(false);
  expect(isCrowd({ targets: many(21) })).toBe(true);
});

test('a summary says how many, how long, and how far apart', () => {
  expect(crowdText({ targets: many(30), failure: null, skewMs: 55.4 }, 'frozen', 940)).toBe(
    '30 targets frozen (in 940 ms, skew 55 ms)\n',
  );
  const some = [...many(28), target(28, { changed: false }), target(29, { changed: false })];
  expect(crowdText({ targets: some, failure: null }, 'thawed', 1500)).toBe(
    '28 targets thawed, 2 were not frozen (in 1.5 s)\n',
  );
  const none = many(30, { error: failed('rolled-back', 'no') });
  expect(crowdText({ targets: none, failure: null }, 'frozen', 1)).toBe('');
});

test('a note is told once, with how many it is about', () => {
  const targets = [...many(30, { notes: ['it is late'] }), target(30, { notes: ['it is odd\x1b'] })];
  expect(crowdNotes(targets)).toEqual(['30 targets: it is late', 'netns:web-30: it is odd\\u001b']);
  const different = many(50).map((one, at) => ({ ...one, notes: [`note ${at}`] }));
  expect(crowdNotes(different)).toHaveLength(21);
  expect(crowdNotes(different).at(-1)).toBe('30 more notes; --json has them all');
});

test('a failure is a line, and those that it has drawn along are counted', () => {
  const targets = [
    target(0, { error: failed('not-verified', 'netns:web-0: the kernel does not show it:\nmore') }),
    ...many(25).map((one, at) => ({
      ...one,
      error: failed('rolled-back', `netns:web-${at}: another target failed; no freeze stands, as before`),
    })),
  ];
  expect(crowdFailures(targets)).toEqual([
    'netns:web-0: the kernel does not show it:',
    '25 targets: another target failed; no freeze stands, as before',
  ]);
  const each = many(40).map((one, at) => ({ ...one, error: failed('not-frozen', `netns:web-${at} is not frozen`) }));
  expect(crowdFailures(each)).toHaveLength(21);
  expect(crowdFailures(each).at(-1)).toBe('20 more failures; --json has them all');
});

test('the skew is between the first and the last, and none of one', () => {
  expect(skewOf([])).toEqual({});
  expect(skewOf([7])).toEqual({});
  expect(skewOf([12, 7, 9])).toEqual({ skewMs: 5 });
  const json = (skewMs?: number) =>
    JSON.parse(operationJson({ targets: [], failure: null, ...(skewMs !== undefined && { skewMs }) }));
  expect(json(1.23456)).toMatchObject({ skewMs: 1.235 });
  expect(json()).not.toHaveProperty('skewMs');
});

describe('progress', () => {
  function watched(isTerminal: boolean) {
    const written: string[] = [];
    let now = 0;
    const line = progress(
      () => isTerminal,
      () => now,
      (text) => written.push(text),
    );
    const at = (ms: number, step: string, done: number) => {
      now = ms;
      line.tell(step, done, 1000);
    };
    return { written, at, end: () => line.end() };
  }

  test('is shown on a terminal, after a second, every tenth of one, and taken away', () => {
    const { written, at, end } = watched(true);
    at(999, 'frozen', 10);
    at(1000, 'frozen', 20);
    at(1050, 'frozen', 30);
    at(1100, 'proven', 5);
    end();
    end();
    expect(written).toEqual(['\rfrozen 20 of 1000', '\rproven 5 of 1000 ', `\r${' '.repeat(16)}\r`]);
  });

  test('is nothing elsewhere, and of one target', () => {
    const { written, at, end } = watched(false);
    at(5000, 'frozen', 10);
    end();
    expect(written).toEqual([]);
    const one: string[] = [];
    progress(
      () => true,
      () => 10_000,
      (text) => one.push(text),
    ).tell('frozen', 1, 1);
    expect(one).toEqual([]);
  });
});
