/** Records: written whole or not at all, and none that netfreeze could not have written. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { bootId, cookieOf, ownNamespace } from '../../src/namespace/namespace';
import { missingCapabilities } from '../../src/platform/capabilities';
import {
  amendRecord,
  type FreezeRecord,
  listRecords,
  readRecord,
  removeRecord,
  stateName,
  writeRecord,
} from '../../src/record/record';
import { prepareStateDirectory, stateDirectory } from '../../src/record/state-directory';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const directory = useScratchDirectory();
const isRoot = process.geteuid?.() === 0;
/** To look for a namespace's cookie is to enter it. */
const mayEnter = missingCapabilities('CAP_SYS_ADMIN').length === 0;
const testWhere = (possible: boolean): jest.It => (possible ? test : test.skip);

const record: FreezeRecord = {
  schema: 'netfreeze/1',
  phase: 'frozen',
  target: 'netns:web',
  namespace: { device: 4, inode: 4026532178, cookie: '77' },
  boot: '00000000-0000-0000-0000-000000000000',
  mode: 'drop',
  template: 'drop',
  leaseMs: 30_000,
  leaseUntilMs: 1_000_000,
  reason: 'an "odd" reason,\nin two lines: ❄',
  by: { user: 'alice', uid: 1000, pid: 4711 },
  run: null,
  invocation: '0123456789abcdef0123456789abcdef',
  since: '2026-01-02T03:04:05.678Z',
  armed: null,
  text: 'table inet netfreeze {\n}\n',
  expected: { objects: [{ name: 'table inet netfreeze', json: '{}' }], hooks: [], lease: [], listing: '' },
  timers: null,
  generation: 12,
  hold: { queues: { in: 61450, out: 61451 }, limit: 100, keeper: { pid: 4712, start: 99 }, thaw: null, left: null },
};
const file = (one: FreezeRecord = record): string => join(directory(), `${stateName(one.namespace)}.json`);

describe('a record', () => {
  test('is named by its namespace', () => {
    expect(stateName(record.namespace)).toBe('net-4-4026532178');
  });

  test('comes back as it was written', () => {
    writeRecord(directory(), record);
    expect(listRecords(directory())).toEqual([record]);
  });

  test('is JSON at every moment, and what changes of it is changed at its beginning, where it stands', () => {
    writeRecord(directory(), record);
    const before = statSync(file());
    const changes = [
      { phase: 'thawing' as const, hold: null },
      { phase: 'frozen' as const, leaseMs: null, leaseUntilMs: null, generation: 4_000_000_000 },
      { run: { pid: 4713, start: 17 } },
    ];
    let now = record;
    for (const change of changes) {
      now = amendRecord(directory(), now, change);
      expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual(now);
      expect(listRecords(directory())).toEqual([now]);
    }
    expect(now).toEqual({ ...record, ...Object.assign({}, ...changes) });
    expect(statSync(file()).ino).toBe(before.ino);
    expect(statSync(file()).size).toBe(before.size);
    expect(readdirSync(directory())).toHaveLength(1);
  });

  test('that is changed to what does not fit there, or is gone, is written whole', () => {
    writeRecord(directory(), record);
    const long = {
      ...record.hold,
      queues: { in: 1, out: 2, more: 'x'.repeat(2000) },
    } as unknown as FreezeRecord['hold'];
    const wide = amendRecord(directory(), record, { hold: long });
    expect(listRecords(directory())).toEqual([wide]);
    expect(amendRecord(directory(), wide, { hold: null })).toEqual({ ...record, hold: null });
    expect(listRecords(directory())).toEqual([{ ...record, hold: null }]);
    rmSync(file());
    amendRecord(directory(), record, { phase: 'thawing' });
    expect(listRecords(directory())).toEqual([{ ...record, phase: 'thawing' }]);
  });

  test('that another version has written is changed as a whole', () => {
    writeFileSync(file(), `${JSON.stringify(record)}\n`);
    const changed = amendRecord(directory(), record, { phase: 'thawing', leaseMs: 7 });
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual(changed);
  });

  test('that says nothing of what is armed has armed nothing', () => {
    const { armed, ...older } = record;
    writeFileSync(file(), JSON.stringify(older));
    expect(listRecords(directory())).toEqual([{ ...older, armed }]);
  });

  test('that says nothing of timers has raised none', () => {
    const { timers, ...older } = record;
    writeFileSync(file(), JSON.stringify(older));
    expect(timers).toBeNull();
    expect(listRecords(directory())).toEqual([record]);
  });

  test('of an endless freeze without a reason too', () => {
    const other = { ...record, leaseMs: null, leaseUntilMs: null, reason: null, generation: null };
    writeRecord(directory(), other);
    expect(listRecords(directory())).toEqual([other]);
  });

  test('is one file, that nobody else may read', () => {
    writeRecord(directory(), record);
    expect(readdirSync(directory())).toEqual(['net-4-4026532178.json']);
    expect(lstatSync(file()).mode & 0o777).toBe(0o600);
  });

  test('replaces the one before', () => {
    writeRecord(directory(), { ...record, phase: 'freezing', text: 'x'.repeat(100_000) });
    writeRecord(directory(), record);
    expect(listRecords(directory())).toEqual([record]);
    expect(readdirSync(directory())).toHaveLength(1);
  });

  test('of each namespace by itself', () => {
    const other = { ...record, namespace: { ...record.namespace, inode: 5 } };
    writeRecord(directory(), record);
    writeRecord(directory(), other);
    expect(listRecords(directory())).toHaveLength(2);
    removeRecord(directory(), record.namespace);
    expect(listRecords(directory())).toEqual([other]);
  });

  test('that is not there is removed without a word', () => {
    expect(() => removeRecord(directory(), record.namespace)).not.toThrow();
    expect(() => removeRecord(join(directory(), 'nowhere'), record.namespace)).not.toThrow();
  });

  test('large ones are written whole', () => {
    const large = { ...record, text: '❄'.repeat(500_000) };
    writeRecord(directory(), large);
    expect(listRecords(directory())).toEqual([large]);
  });
});

describe('a crash while one is written', () => {
  test('leaves a draft, which is not read', () => {
    writeFileSync(`${file()}.4711.new`, JSON.stringify(record));
    expect(listRecords(directory())).toEqual([]);
  });

  test('leaves the record before as it was', () => {
    writeRecord(directory(), record);
    writeFileSync(`${file()}.4711.new`, '{"schema":"netfr');
    expect(listRecords(directory())).toEqual([record]);
  });

  test('by a process that had our number does not keep us from writing', () => {
    writeFileSync(`${file()}.${process.pid}.new`, 'half of a re');
    writeRecord(directory(), record);
    expect(listRecords(directory())).toEqual([record]);
  });

  test('a record that cannot be written is a failure, and leaves no draft', async () => {
    // The place of the record is taken by what can't be replaced.
    mkdirSync(join(file(), 'in the way'), { recursive: true });
    const failure = await failureOf(() => writeRecord(directory(), record));
    expect(failure).toMatchObject({ code: 'state-directory', exit: 1 });
    expect(failure.message).toContain('the record cannot be written');
    expect(readdirSync(directory())).toEqual(['net-4-4026532178.json']);
  });

  test('a directory that is not there is a failure', async () => {
    expect(await failureOf(() => writeRecord(join(directory(), 'nowhere'), record))).toMatchObject({
      code: 'state-directory',
    });
  });

  // Root may write everywhere, so it takes another user's rights for a moment; whoever is not root closes its own folder.
  test('a directory that may not be written is one of permission', async () => {
    chmodSync(directory(), isRoot ? 0o755 : 0o500);
    if (isRoot) process.seteuid?.(65534);
    const failure = await failureOf(() => writeRecord(directory(), record));
    if (isRoot) process.seteuid?.(0);
    chmodSync(directory(), 0o700);
    expect(failure).toMatchObject({ code: 'state-directory', exit: 4 });
    expect(failure.suggestions.join()).toContain('NETFREEZE_STATE_DIR');
  });
});

describe('a file that is no record', () => {
  const without = (member: keyof FreezeRecord): object => {
    const { [member]: _left, ...rest } = record;
    return rest;
  };
  test.each<[what: string, content: string]>([
    ['empty', ''],
    ['garbage', '\0\u0001\u0002 garbage'],
    ['cut', JSON.stringify(record).slice(0, -20)],
    ['more than one', `${JSON.stringify(record)}${JSON.stringify(record)}`],
    ['null', 'null'],
    ['a number', '7'],
    ['a list', `[${JSON.stringify(record)}]`],
    ['an empty object', '{}'],
    ['somebody else’s', '{"version":1,"interfaces":[]}'],
    ['of another schema', JSON.stringify({ ...record, schema: 'netfreeze/2' })],
    ['of an unknown phase', JSON.stringify({ ...record, phase: 'melting' })],
    ['with a text as inode', JSON.stringify({ ...record, namespace: { ...record.namespace, inode: '1' } })],
    ['without a namespace', JSON.stringify({ ...record, namespace: null })],
    ['with a cookie that is a number', JSON.stringify({ ...record, namespace: { ...record.namespace, cookie: 7 } })],
    ['with a lease in words', JSON.stringify({ ...record, leaseMs: '30s' })],
    ['with a reason that is none', JSON.stringify({ ...record, reason: ['x'] })],
    ['with an invocation that is a number', JSON.stringify({ ...record, invocation: 7 })],
    ['with a generation in words', JSON.stringify({ ...record, generation: '7' })],
    ['with a run of no process', JSON.stringify({ ...record, run: { pid: 'x', start: 1 } })],
    ['by nobody', JSON.stringify({ ...record, by: null })],
    ['that expects nothing', JSON.stringify({ ...record, expected: null })],
    ['that expects no objects', JSON.stringify({ ...record, expected: { hooks: [], lease: [], listing: '' } })],
    ['that expects no hooks', JSON.stringify({ ...record, expected: { objects: [], lease: [], listing: '' } })],
    ['that expects no lease', JSON.stringify({ ...record, expected: { objects: [], hooks: [], listing: '' } })],
    ['with objects that are none', JSON.stringify({ ...record, expected: { objects: [7], hooks: [], lease: [] } })],
    // These are not there in a record of an earlier version: it had none.
    ...(Object.keys(record) as Array<keyof FreezeRecord>)
      .filter((member) => !['timers', 'hold', 'run', 'invocation', 'armed'].includes(member))
      .map((member): [string, string] => [`without ${member}`, JSON.stringify(without(member))]),
  ])('%s', (_, content) => {
    writeFileSync(file(), content);
    expect(listRecords(directory())).toEqual([]);
  });

  test.each([
    'net-4-5.json.bak',
    'net-4.json',
    'net-a-b.json',
    'web.json',
    'net-4-5.lock',
    '.net-4-5.json',
    'net-4-5.json.1.new',
  ])('is not looked at under another name: %s', (name) => {
    writeFileSync(join(directory(), name), JSON.stringify(record));
    expect(listRecords(directory())).toEqual([]);
  });

  test('does not hide the others', () => {
    writeFileSync(join(directory(), 'net-1-1.json'), 'garbage');
    mkdirSync(join(directory(), 'net-2-2.json'));
    symlinkSync('nowhere', join(directory(), 'net-3-3.json'));
    writeRecord(directory(), record);
    expect(listRecords(directory())).toEqual([record]);
  });

  test('no directory, no records', () => {
    expect(listRecords(join(directory(), 'nowhere'))).toEqual([]);
    writeFileSync(join(directory(), 'plain'), '');
    expect(listRecords(join(directory(), 'plain'))).toEqual([]);
  });
});

describe('the record of a namespace', () => {
  testWhere(mayEnter)('is that of this boot and this namespace (needs the right to enter one)', () => {
    const own = ownNamespace();
    const { device, inode } = own;
    const cookie = cookieOf(own);
    const mine = { ...record, namespace: { device, inode, cookie }, boot: bootId() };
    expect(readRecord(directory(), own)).toBeNull();
    writeRecord(directory(), mine);
    expect(readRecord(directory(), own)).toEqual(mine);
    const before = { ...mine, namespace: { device, inode, cookie: null } };
    writeRecord(directory(), before);
    expect(readRecord(directory(), own)).toEqual(before);
    // The inode's number is used again: by another namespace, or after another start of the machine.
    writeRecord(directory(), { ...mine, namespace: { device, inode, cookie: '1' } });
    expect(readRecord(directory(), own)).toEqual(cookie === null ? expect.anything() : null);
    writeRecord(directory(), { ...mine, boot: record.boot });
    expect(readRecord(directory(), own)).toBeNull();
  });

  testWhere(mayEnter)('is not another one’s that lies in its place (needs the right to enter one)', () => {
    const own = ownNamespace();
    const { device, inode } = own;
    const other = { ...record, namespace: { device, inode: inode + 1, cookie: null }, boot: bootId() };
    writeFileSync(join(directory(), `${stateName({ device, inode })}.json`), JSON.stringify(other));
    expect(readRecord(directory(), own)).toBeNull();
  });
});

describe('the state directory', () => {
  const place = () => join(directory(), 'state');

  test('is made, closed to others, and taken as it is the next time', () => {
    prepareStateDirectory(place());
    expect(lstatSync(place()).mode & 0o777).toBe(0o700);
    writeFileSync(join(place(), 'x'), '');
    prepareStateDirectory(place());
    expect(existsSync(join(place(), 'x'))).toBe(true);
  });

  test.each([0o777, 0o755, 0o750, 0o701, 0o770, 0o707])('is refused when others may use it: %#o', async (mode) => {
    mkdirSync(place());
    chmodSync(place(), mode);
    const failure = await failureOf(() => prepareStateDirectory(place()));
    expect(failure).toMatchObject({ code: 'state-directory' });
    expect(failure.message).toBe(`${place()}: others may use it (mode ${mode.toString(8)})`);
    expect(lstatSync(place()).mode & 0o777).toBe(mode);
  });

  test('is refused when it is a link, even to a directory that would do', async () => {
    mkdirSync(join(directory(), 'real'), { mode: 0o700 });
    symlinkSync('real', place());
    const failure = await failureOf(() => prepareStateDirectory(place()));
    expect(failure).toMatchObject({ code: 'state-directory' });
    expect(failure.message).toContain('it is a link or no directory');
    expect(readdirSync(join(directory(), 'real'))).toEqual([]);
  });

  test('is refused when it is a link to nowhere', async () => {
    symlinkSync('nowhere', place());
    expect(await failureOf(() => prepareStateDirectory(place()))).toMatchObject({ code: 'state-directory' });
    expect(existsSync(join(directory(), 'nowhere'))).toBe(false);
  });

  test('is refused when it is a file', async () => {
    writeFileSync(place(), '');
    expect(await failureOf(() => prepareStateDirectory(place()))).toMatchObject({ code: 'state-directory' });
  });

  test('is refused below a file', async () => {
    writeFileSync(join(directory(), 'plain'), '');
    expect(await failureOf(() => prepareStateDirectory(join(directory(), 'plain', 'state')))).toMatchObject({
      code: 'state-directory',
    });
  });

  testWhere(isRoot)('is refused when it belongs to somebody else (as root, who can make such a one)', async () => {
    const { chownSync } = await import('node:fs');
    mkdirSync(place(), { mode: 0o700 });
    chownSync(place(), 65_534, 65_534);
    const failure = await failureOf(() => prepareStateDirectory(place()));
    expect(failure.message).toBe(`${place()}: it belongs to user 65534`);
  });

  test('is /run/netfreeze, or the one that NETFREEZE_STATE_DIR names', () => {
    const before = process.env.NETFREEZE_STATE_DIR;
    try {
      for (const [value, expected] of [
        [undefined, '/run/netfreeze'],
        ['', '/run/netfreeze'],
        ['/tmp/x', '/tmp/x'],
      ] as const) {
        if (value === undefined) delete process.env.NETFREEZE_STATE_DIR;
        else process.env.NETFREEZE_STATE_DIR = value;
        expect(stateDirectory()).toBe(expected);
      }
    } finally {
      if (before === undefined) delete process.env.NETFREEZE_STATE_DIR;
      else process.env.NETFREEZE_STATE_DIR = before;
    }
  });

  test('what is written into it stays where it was meant', () => {
    prepareStateDirectory(place());
    writeRecord(place(), record);
    expect(JSON.parse(readFileSync(join(place(), 'net-4-4026532178.json'), 'utf8'))).toEqual(record);
  });
});
