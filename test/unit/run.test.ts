/** What is pure of a run: what is to be started, what came of it, and what the kernel tells of nf_tables. */
import fs, { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Course } from '../../src/checkpoint/attend';
import { findProgram } from '../../src/checkpoint/program';
import { judge, rollBackFailed } from '../../src/checkpoint/verdict';
import { emptyReport } from '../../src/freeze/report';
import { type Message, messages } from '../../src/netlink/message';
import { takeApart } from '../../src/nftables/watch';
import { Failure } from '../../src/platform/failure';
import { runJson, tellEnd, tellStart } from '../../src/presentation/run';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

describe('finding a program', () => {
  const directory = useScratchDirectory();
  const path = process.env.PATH;
  afterEach(() => {
    process.env.PATH = path;
  });
  const program = (...names: string[]) => {
    const file = join(directory(), ...names);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o755);
    return file;
  };

  test('a path is taken as it is', () => {
    const file = program('tool');
    expect(findProgram(file)).toBe(file);
    symlinkSync(file, join(directory(), 'link'));
    expect(findProgram(join(directory(), 'link'))).toBe(join(directory(), 'link'));
  });

  test('a name is looked for in PATH, in its order; what can’t be started is passed by', async () => {
    const first = program('a', 'other');
    const wanted = program('b', 'tool');
    program('c', 'tool');
    process.env.PATH = `${join(first, '..')}:${join(wanted, '..')}:${directory()}/c`;
    expect(findProgram('tool')).toBe(wanted);
    chmodSync(wanted, 0o644);
    expect(findProgram('tool')).toBe(join(directory(), 'c', 'tool'));
    chmodSync(join(directory(), 'c', 'tool'), 0o644);
    const failure = await failureOf(() => findProgram('tool'));
    expect(failure).toMatchObject({ code: 'no-program', exit: 9 });
    expect(failure.message).toContain('b/tool: it may not be executed');
  });
});

describe('the verdict on a run', () => {
  const well: Course = {
    ending: { status: 0, signal: null },
    stopped: null,
    objection: null,
    tookMs: 12.3,
    criuLocks: [],
  };
  const verdict = (course: Partial<Course>) => judge({ ...well, ...course }, ['criu', 'dump']);
  const killed = { status: null, signal: 'SIGTERM' } as const;
  const failed = { status: 3, signal: null };

  test('a command that ended well under a freeze that held is a success', () => {
    expect(verdict({})).toEqual({
      failure: null,
      report: { words: ['criu', 'dump'], status: 0, signal: null, tookMs: 12, held: true },
    });
  });

  test.each<[string, Partial<Course>, number, string]>([
    ['a status', { ending: failed }, 3, 'command-failed'],
    ['a signal', { ending: killed }, 143, 'command-failed'],
    ['a freeze that did not hold', { objection: 'x' }, 10, 'not-held'],
    ['a status, and a freeze that did not hold', { ending: failed, objection: 'x' }, 3, 'command-failed'],
    ['stopped, for the freeze', { ending: killed, stopped: { why: 'not-held', objection: 'x' } }, 10, 'not-held'],
    ['not started, for the freeze', { ending: null, objection: 'x' }, 10, 'not-held'],
    ['too slow', { ending: killed, stopped: { why: 'timeout', afterMs: 5 } }, 143, 'timed-out'],
    ['too slow, and ended well', { stopped: { why: 'timeout', afterMs: 5 } }, 9, 'timed-out'],
    ['interrupted', { ending: killed, stopped: { why: 'interrupted', signal: 'SIGINT' } }, 143, 'interrupted'],
    ['interrupted, and ended well', { stopped: { why: 'interrupted', signal: 'SIGINT' } }, 130, 'interrupted'],
    [
      'not started, for a signal',
      { ending: null, stopped: { why: 'interrupted', signal: 'SIGHUP' } },
      129,
      'interrupted',
    ],
    ['a fault', { ending: null, stopped: { why: 'fault', failure: new Failure('odd', 1, 'odd') } }, 1, 'odd'],
  ])('%s', (_, course, exit, code) => {
    expect(verdict(course).failure).toMatchObject({ exit, code });
  });

  test('what could not be thawed comes before all else, and tells of both', () => {
    const thaw = new Failure('thaw-refused', 6, 'no thaw', { suggestions: ['try'] });
    const { failure } = verdict({ ending: failed });
    expect(rollBackFailed(thaw, null)).toMatchObject({ exit: 7, message: 'the thaw failed: no thaw' });
    expect(rollBackFailed(thaw, failure)).toMatchObject({ exit: 7, suggestions: ['try'] });
    expect(rollBackFailed(thaw, failure).message).toMatch(/ended with status 3.*\n.*no thaw/);
  });
});

describe('what a run says', () => {
  const frozen = {
    ...emptyReport('netns:a\u001bb', null),
    state: 'frozen' as const,
    mode: 'drop',
    notes: ['a\u001bnote'],
  };
  const course = { criuLocks: [], tookMs: 1, stopped: null, objection: null };
  const { failure, report } = judge({ ...course, ending: { status: 3, signal: null } }, ['x\u001by']);
  const outcome = { operation: { targets: [frozen], failure: null }, command: report, failure, notes: [] };

  test('nothing of it moves the cursor', () => {
    let all = '';
    const write = jest.spyOn(fs, 'writeSync').mockImplementation((_, bytes) => {
      all += String(bytes);
      return Buffer.byteLength(String(bytes));
    });
    tellStart(outcome.operation, ['a\u001bnote']);
    tellEnd(outcome);
    write.mockRestore();
    expect(all).toContain('ended with status 3');
    expect(all).not.toContain('\u001b');
  });

  test('the report has the command, and the failure that decides', () => {
    expect(JSON.parse(runJson(outcome))).toMatchObject({
      schema: 'netfreeze/1',
      targets: [{ state: 'frozen' }],
      command: { status: 3, held: true },
      error: { exit: 3 },
    });
  });
});

describe('what the kernel tells of nf_tables', () => {
  // As Linux 6.18 told it: nft add table inet foo; then the new generation, made by process 32084, nft.
  const recorded = Buffer.from(
    [
      '380000000 00a0000010000005 47d0000 01000003 0800010066 6f6f00 0800030000000000 0c0004000000000000000001 08000200 00000000',
      '2c0000000 f0a0000010000005 47d0000 00000003 0800010000000003 080002000000 7d54 080003006e667400',
    ]
      .join('')
      .replace(/ /g, ''),
    'hex',
  );
  const told = (): Message[] => [...messages(recorded)];

  test('a transaction is told to its end before it counts', () => {
    const [change, generation] = told() as [Message, Message];
    const begun = takeApart([change]);
    expect(begun).toEqual({ done: [], rest: [change] });
    expect(takeApart([...begun.rest, generation])).toEqual({
      done: [{ tables: new Set(['foo']), onlyElements: false, waysPast: false, by: { name: 'nft', pid: 32084 } }],
      rest: [],
    });
  });

  test('changes of elements are told apart, and what other subsystems tell is passed by', () => {
    const [change, generation] = told() as [Message, Message];
    const element = { ...change, type: (10 << 8) | 12 };
    const other = { ...change, type: (1 << 8) | 0 };
    const { done } = takeApart([other, element, generation]);
    expect(done).toMatchObject([{ tables: new Set(['foo']), onlyElements: true, waysPast: false }]);
  });

  test('so are those of what packets meet before the hooks of the IP families', () => {
    const [change, generation] = told() as [Message, Message];
    const netdev = { ...change, payload: Buffer.from(change.payload) };
    netdev.payload[0] = 5;
    const flowtable = { ...change, type: (10 << 8) | 22 };
    for (const one of [netdev, flowtable]) {
      expect(takeApart([one, generation]).done).toMatchObject([{ waysPast: true }]);
    }
  });
});
