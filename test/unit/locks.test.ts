/** One lock for each namespace: two operations on the same one never mix. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLocked, withLocks } from '../../src/record/lock';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const scratch = useScratchDirectory();
const directory = () => join(scratch(), 'state');
const web = { name: 'netns:web', device: 4, inode: 100 };
const db = { name: 'netns:db', device: 4, inode: 99 };

/** Something that a test can wait for and let happen. */
function gate(): { open(): void; opened: Promise<void> } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Takes a lock and keeps it until it is let go. */
async function hold(...namespaces: Array<typeof web>): Promise<{ release(): Promise<void> }> {
  const [taken, leaving] = [gate(), gate()];
  const work = withLocks(directory(), namespaces, async () => {
    taken.open();
    await leaving.opened;
  });
  await Promise.race([taken.opened, work]);
  return {
    release() {
      leaving.open();
      return work;
    },
  };
}

test('work is done while the lock is held, and its result comes back', async () => {
  const result = await withLocks(directory(), [web], async () => {
    expect(readdirSync(directory())).toEqual(['namespaces.lock']);
    expect(isLocked(directory(), web)).toBe(true);
    expect(isLocked(directory(), db)).toBe(false);
    return 7;
  });
  expect(result).toBe(7);
  expect(isLocked(directory(), web)).toBe(false);
});

test('work that fails lets go', async () => {
  await expect(withLocks(directory(), [web, db], () => Promise.reject(new Error('x')))).rejects.toThrow('x');
  await expect(withLocks(directory(), [web, db], async () => 'again')).resolves.toBe('again');
});

test('no namespace, no lock', async () => {
  await expect(withLocks(directory(), [], async () => existsSync(directory()))).resolves.toBe(false);
});

test('different namespaces do not wait for each other', async () => {
  const first = await hold(web);
  await expect(withLocks(directory(), [db], async () => 'at once')).resolves.toBe('at once');
  await first.release();
});

test('the same namespace waits, and goes on when it is its turn', async () => {
  const order: string[] = [];
  const first = await hold(web);
  const second = withLocks(directory(), [web], async () => {
    order.push('second');
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  order.push('first lets go');
  await first.release();
  await second;
  expect(order).toEqual(['first lets go', 'second']);
});

test('many that want the same have it one after the other', async () => {
  let inside = 0;
  let most = 0;
  let turns = 0;
  await Promise.all(
    Array.from({ length: 8 }, () =>
      withLocks(directory(), [web, db], async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setTimeout(resolve, 1));
        inside -= 1;
        turns += 1;
      }),
    ),
  );
  expect({ most, turns }).toEqual({ most: 1, turns: 8 });
});

test('several are taken in one order, so that two do not wait for each other', async () => {
  const results = await Promise.all([
    withLocks(directory(), [web, db], async () => 'one'),
    withLocks(directory(), [db, web], async () => 'other'),
  ]);
  expect(results).toEqual(['one', 'other']);
});

test('who waits for too long is told that another is at work, and nothing is left of the attempt', async () => {
  const first = await hold(web);
  const work = jest.fn();
  const failure = await failureOf(() => withLocks(directory(), [db, web], work));
  expect(failure).toMatchObject({ code: 'busy', exit: 8 });
  expect(failure.message).toContain('another netfreeze is at work on netns:web');
  expect(work).not.toHaveBeenCalled();
  expect(isLocked(directory(), db)).toBe(false);
  expect(isLocked(directory(), web)).toBe(true);
  await first.release();
});

test('a file that a process left which died is no lock', async () => {
  mkdirSync(directory(), { mode: 0o700 });
  writeFileSync(join(directory(), 'namespaces.lock'), '', { mode: 0o600 });
  expect(isLocked(directory(), web)).toBe(false);
  await expect(withLocks(directory(), [web], async () => 'taken')).resolves.toBe('taken');
});

test('a lock whose file is a directory is a failure', async () => {
  mkdirSync(join(directory(), 'namespaces.lock'), { recursive: true, mode: 0o700 });
  expect(await failureOf(() => withLocks(directory(), [web], async () => 0))).toMatchObject({
    code: 'state-directory',
  });
});

test('a state directory that others may use holds no locks', async () => {
  mkdirSync(directory(), { mode: 0o755 });
  expect(await failureOf(() => withLocks(directory(), [web], async () => 0))).toMatchObject({
    code: 'state-directory',
  });
});
