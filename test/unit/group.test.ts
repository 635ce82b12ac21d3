/** Many targets, one operation: the order of things, and what becomes of the others when one fails. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { Exit, Failure } from '../../src/platform/failure';
import { isLocked } from '../../src/record/lock';
import { fileTarget, type Target } from '../../src/target/target';
import './realms';
import { useScratchDirectory } from './scratch';

/** Opening a site means entering its namespace; here it only means to own the descriptor. */
const openSite = jest.fn();
jest.doMock('../../src/freeze/machine', () => ({ openSite }));

type Group = typeof import('../../src/freeze/group');
type Opened = Parameters<Parameters<Group['onEach']>[2]>[0];
let group: Group;
let emptyReport: typeof import('../../src/freeze/report').emptyReport;
beforeAll(async () => {
  group = await import('../../src/freeze/group');
  ({ emptyReport } = await import('../../src/freeze/report'));
});

const scratch = useScratchDirectory();
const machine = () => ({
  stateDirectory: join(scratch(), 'state'),
  engine: () => Promise.reject(new Error('unused')),
  replays: true,
});

const opened: number[] = [];
beforeEach(() => {
  openSite.mockReset();
  openSite.mockImplementation((namespace: Target['namespace']) => ({
    namespace,
    close: () => closeSync(namespace.fd),
  }));
});
afterEach(() => {
  for (const fd of opened.splice(0)) if (isOpen(fd)) closeSync(fd);
});

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

/** A target with a descriptor that a test can look after. */
function target(name: string, inode: number): Target {
  const fd = openSync('/dev/null', 'r');
  opened.push(fd);
  return { ...fileTarget(name, { fd, device: 4, inode }, ''), stillThere: () => true };
}

const found = (name: string, inode: number) => ({ name, target: target(`netns:${name}`, inode), failure: null });
const failure = (code: string, exit: Failure['exit'] = Exit.verificationFailed) => new Failure(code, exit, `${code}!`);
const missing = (name: string) => ({ name, target: null, failure: failure('no-such-target', Exit.noTarget) });
const reportOf = ({ name, site }: Opened) => ({ ...emptyReport(name, site.namespace), state: 'frozen' as const });
const succeed = async (targets: Opened[]) => ({ reports: targets.map(reportOf), failures: targets.map(() => null) });

const codes = (operation: { targets: Array<{ target: string; state: string; error?: { code: string } }> }) =>
  operation.targets.map(({ target: name, state, error }) => [name, state, error?.code ?? null]);

describe('an operation on several targets', () => {
  test('has them all open and locked, and closes them', async () => {
    const operation = await group.withTargets([found('web', 1), found('db', 2)], machine(), async (targets) => {
      expect(targets.map(({ name }) => name)).toEqual(['netns:web', 'netns:db']);
      expect([1, 2].every((inode) => isLocked(machine().stateDirectory, { device: 4, inode }))).toBe(true);
      expect(opened.every(isOpen)).toBe(true);
      return succeed(targets);
    });
    expect(operation.failure).toBeNull();
    expect(codes(operation)).toEqual([
      ['netns:web', 'frozen', null],
      ['netns:db', 'frozen', null],
    ]);
    expect(opened.some(isOpen)).toBe(false);
    expect([1, 2].some((inode) => isLocked(machine().stateDirectory, { device: 4, inode }))).toBe(false);
  });

  test('of none is done', async () => {
    expect(await group.withTargets([], machine(), succeed)).toEqual({ targets: [], failure: null });
  });

  test('works once on a namespace that has several names', async () => {
    const attempts = [found('web', 1), found('other-name-of-web', 1), found('db', 2)];
    const operation = await group.withTargets(attempts, machine(), succeed);
    expect(codes(operation)).toEqual([
      ['netns:web', 'frozen', null],
      ['netns:db', 'frozen', null],
    ]);
    expect(opened.some(isOpen)).toBe(false);
  });

  test('does nothing at all when one name has no target', async () => {
    const work = jest.fn(succeed);
    const operation = await group.withTargets([found('web', 1), missing('nobody'), found('db', 2)], machine(), work);
    expect(work).not.toHaveBeenCalled();
    expect(openSite).not.toHaveBeenCalled();
    expect(operation.failure).toMatchObject({ code: 'no-such-target', exit: 3 });
    expect(codes(operation)).toEqual([
      ['netns:web', 'failed', 'not-attempted'],
      ['nobody', 'failed', 'no-such-target'],
      ['netns:db', 'failed', 'not-attempted'],
    ]);
    expect(opened.some(isOpen)).toBe(false);
  });

  test('or works on the others, where that was asked for; the failure decides all the same', async () => {
    const attempts = [found('web', 1), missing('nobody')];
    const operation = await group.onEach(attempts, machine(), async (one) => reportOf(one));
    expect(operation.failure).toMatchObject({ code: 'no-such-target' });
    expect(codes(operation)).toEqual([
      ['netns:web', 'frozen', null],
      ['nobody', 'failed', 'no-such-target'],
    ]);
  });

  test('reports in the order of the names, those that were not found too', async () => {
    const attempts = [missing('nobody'), found('web', 1)];
    const operation = await group.onEach(attempts, machine(), async (one) => reportOf(one));
    expect(operation.targets.map(({ target: name }) => name)).toEqual(['nobody', 'netns:web']);
  });

  test('that throws is a failure of every target, and everything is closed', async () => {
    const operation = await group.withTargets([found('web', 1), found('db', 2)], machine(), () =>
      Promise.reject(failure('not-verified')),
    );
    expect(operation.failure).toMatchObject({ code: 'not-verified', exit: 6 });
    expect(codes(operation)).toEqual([
      ['netns:web', 'failed', 'not-verified'],
      ['netns:db', 'failed', 'not-verified'],
    ]);
    expect(opened.some(isOpen)).toBe(false);
    expect([1, 2].some((inode) => isLocked(machine().stateDirectory, { device: 4, inode }))).toBe(false);
  });

  test('that may not enter one closes all of them', async () => {
    openSite.mockImplementation((namespace: Target['namespace']) => {
      if (namespace.inode === 1) return { namespace, close: () => closeSync(namespace.fd) };
      closeSync(namespace.fd);
      throw failure('not-permitted', Exit.notPermitted);
    });
    const work = jest.fn(succeed);
    const attempts = [found('web', 1), found('db', 2), found('cache', 3)];
    const operation = await group.withTargets(attempts, machine(), work);
    expect(work).not.toHaveBeenCalled();
    expect(operation.failure).toMatchObject({ code: 'not-permitted', exit: 4 });
    expect(opened.some(isOpen)).toBe(false);
  });

  test.each<[what: string, failures: Array<string | null>, decisive: string | null]>([
    ['none', [null, null], null],
    ['the first failure decides', [null, 'not-verified', 'apply-refused'], 'not-verified'],
    ['not one that only follows from another', ['rolled-back', 'not-verified', 'rolled-back'], 'not-verified'],
    ['a failed roll-back before all others', ['not-verified', 'rollback-failed'], 'rollback-failed'],
    ['what only follows, when there is nothing else', ['rolled-back', null], 'rolled-back'],
  ])('exit status: %s', async (_, failures, decisive) => {
    const attempts = failures.map((_failure, index) => found(`t${index}`, index + 1));
    const operation = await group.withTargets(attempts, machine(), async (targets) => ({
      reports: targets.map(reportOf),
      failures: failures.map((code) => (code === null ? null : failure(code))),
    }));
    expect(operation.failure?.code ?? null).toBe(decisive);
  });
});

describe('a step on every target', () => {
  const items = (count: number) => Array.from({ length: count }, (_, id) => ({ id, failure: null as Failure | null }));

  test('is done in order, one after the other', async () => {
    const order: string[] = [];
    await group.forEachTarget(items(3), async ({ id }) => {
      order.push(`${id} begins`);
      await null;
      order.push(`${id} ends`);
    });
    expect(order).toEqual(['0 begins', '0 ends', '1 begins', '1 ends', '2 begins', '2 ends']);
  });

  test('is done on all of them before the first failure is thrown, and each keeps its own', async () => {
    const targets = items(4);
    const done: number[] = [];
    const outcome = group.forEachTarget(targets, ({ id }) => {
      done.push(id);
      if (id % 2 === 1) throw failure(`failed-${id}`);
    });
    await expect(outcome).rejects.toMatchObject({ code: 'failed-1' });
    expect(done).toEqual([0, 1, 2, 3]);
    expect(targets.map((one) => one.failure?.code ?? null)).toEqual([null, 'failed-1', null, 'failed-3']);
  });

  test('what nobody foresaw is a failure too', async () => {
    await expect(group.forEachTarget(items(1), () => Promise.reject(new TypeError('x')))).rejects.toMatchObject({
      code: 'unexpected',
      exit: 1,
      message: 'x',
    });
  });
});

describe('each target alone', () => {
  test('one that fails does not keep the others from it', async () => {
    const attempts = [found('t1', 1), found('t2', 2), found('t3', 3)];
    const operation = await group.onEach(attempts, machine(), async (one) => {
      if (one.site.namespace.inode === 2) throw failure('drift', Exit.drift);
      return reportOf(one);
    });
    expect(codes(operation)).toEqual([
      ['netns:t1', 'frozen', null],
      ['netns:t2', 'failed', 'drift'],
      ['netns:t3', 'frozen', null],
    ]);
    expect(operation.failure).toMatchObject({ code: 'drift' });
    expect(opened.some(isOpen)).toBe(false);
  });
});

test('names that cannot be resolved are kept beside the others', async () => {
  const attempts = await group.resolveAll(['netfreeze-no-such-namespace', 'nosuch:kind', `pid:${process.pid}`]);
  expect(attempts.map(({ name, failure: own }) => [name, own?.exit ?? null])).toEqual([
    ['netfreeze-no-such-namespace', 3],
    ['nosuch:kind', 2],
    [`pid:${process.pid}`, null],
  ]);
  const [, , own] = attempts;
  if (own?.target) opened.push(own.target.namespace.fd);
  expect(own?.target?.stillThere()).toBe(true);
});
