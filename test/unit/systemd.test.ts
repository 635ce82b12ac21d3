/** What is said to systemd, and when nothing is. The journal itself takes it in test/vm/units.test.ts. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { encoded, isJournal, notifyStatus, toJournal, unitRun } from '../../src/platform/systemd';

const names = ['JOURNAL_STREAM', 'NOTIFY_SOCKET', 'SYSTEMD_EXEC_PID', 'INVOCATION_ID'];
const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
beforeEach(() => {
  for (const name of names) delete process.env[name];
});
afterEach(() => {
  for (const name of names) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

describe('outside of systemd', () => {
  test('nothing is the journal, nobody is notified, and there is no run', () => {
    expect([isJournal(1), isJournal(2), notifyStatus('x'), unitRun()]).toEqual([false, false, false, null]);
  });
});

describe('the journal', () => {
  test('is a stream whose device and inode JOURNAL_STREAM names, and no other', () => {
    const { dev, ino } = fstatSync(2, { bigint: true });
    process.env.JOURNAL_STREAM = `${dev}:${ino}`;
    expect(isJournal(2)).toBe(true);
    for (const other of [`${dev}:${ino + 1n}`, `${dev + 1n}:${ino}`, `${dev}`, ':', '', 'x:y']) {
      process.env.JOURNAL_STREAM = other;
      expect(isJournal(2)).toBe(false);
    }
  });

  test('gets a field on a line, and with its length what has line feeds; nothing of what is null', () => {
    const bytes = encoded({ MESSAGE: 'a=b', PRIORITY: 3, NETFREEZE_MODE: null, NETFREEZE_REASON: 'é\nX=1' });
    const length = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0]);
    expect(bytes).toEqual(
      Buffer.concat([Buffer.from('MESSAGE=a=b\nPRIORITY=3\nNETFREEZE_REASON\n'), length, Buffer.from('é\nX=1\n')]),
    );
  });

  test('that is too small for an entry, or not there, has not taken it, and no descriptor stays open', () => {
    const probe = () => {
      const fd = openSync('/dev/null', 'r');
      closeSync(fd);
      return fd;
    };
    toJournal({ MESSAGE: 'x'.repeat(1_000_000), PRIORITY: 6 });
    const fd = probe();
    expect(toJournal({ MESSAGE: 'x'.repeat(1_000_000), PRIORITY: 6 })).toBe(false);
    expect(probe()).toBe(fd);
  });
});

describe('the status', () => {
  test('is told by the process that systemd has started, and by none that a service has', () => {
    process.env.NOTIFY_SOCKET = '/nowhere/notify';
    process.env.SYSTEMD_EXEC_PID = `${process.pid + 1}`;
    expect(notifyStatus('x')).toBe(false);
  });
});
