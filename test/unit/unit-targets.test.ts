/** Units as targets: which of a unit's processes names its namespace, by what systemd and the kernel say. */
import { failureOf } from './failures';

/** A machine with systemd: its units, and the processes with their control groups and namespaces. */
interface Unit {
  Id: string;
  LoadState?: string;
  ActiveState?: string;
  SubState?: string;
  MainPID?: number;
  ControlGroup?: string;
}
let units: Unit[] = [];
let booted = true;
let groups: Record<number, string> = {};
/** Process ids by inode of their namespace; 1 is the host's. */
let namespaces: Record<number, number> = {};
/** Parents by process id; the first process, unless told. */
let parents: Record<number, number> = {};
let said: Partial<{ exit: number; stdout: string; stderr: string }> = {};
const asked: string[][] = [];

const notFound = (Id: string): Unit => ({ Id, LoadState: 'not-found', ActiveState: 'inactive', SubState: 'dead' });
const ask = async (program: string, options: string[], names: string[] = []) => {
  asked.push([program, ...options, '--', ...names]);
  const block = (unit: Unit) =>
    Object.entries({ LoadState: 'loaded', ActiveState: 'active', SubState: 'running', InvocationID: 'i1', ...unit })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('');
  const shown = names.map((name) => block(units.find(({ Id }) => Id === name) ?? notFound(name)));
  return { exit: 0, stdout: shown.join('\n'), stderr: '', ...said };
};
jest.doMock('../../src/target/program', () => ({ ask, isBooted: () => booted }));
jest.doMock('../../src/namespace/processes', () => ({
  processes: () => Object.keys(groups).map(Number),
  controlGroups: (pid: number) => [groups[pid]],
  parentOf: (pid: number) => parents[pid] ?? 1,
  namespaceOf: (pid: number) => (namespaces[pid] ? { device: 4, inode: namespaces[pid] } : null),
}));
jest.doMock('../../src/namespace/namespace', () => ({
  hostRole: ({ inode }: { inode: number }) => (inode === 1 ? "the machine's first namespace" : null),
  sameNamespace: (a: { inode: number }, b: { inode: number }) => a.inode === b.inode,
}));

let unit: typeof import('../../src/target/unit').unit;
beforeAll(async () => {
  ({ unit } = await import('../../src/target/unit'));
});
beforeEach(() => {
  units = [];
  booted = true;
  said = {};
  parents = {};
  asked.length = 0;
  groups = {
    1: '/init.scope',
    10: '/system.slice/db.service',
    11: '/system.slice/db.service/worker',
    12: '/system.slice/db.service2',
  };
  namespaces = { 1: 1, 10: 7, 11: 7, 12: 9 };
});

const db: Unit = { Id: 'db.service', MainPID: 10, ControlGroup: '/system.slice/db.service' };

test('a service is in the namespace of its main process', async () => {
  units = [db];
  expect(await unit.find('db')).toEqual({ name: 'db.service', pid: 10, run: 'i1 10', evidence: null, notes: [] });
  expect(await unit.find('db.service')).toMatchObject({ pid: 10 });
  expect(asked[1]?.slice(-2)).toEqual(['--', 'db.service']);
});

test('of which the main process is on the host, that of the others', async () => {
  units = [db];
  namespaces[10] = 1;
  expect(await unit.find('db')).toMatchObject({ pid: 11 });
});

test('of which all are on the host, the main process, which is refused later', async () => {
  units = [{ ...db, MainPID: 11 }];
  Object.assign(namespaces, { 10: 1, 11: 1 });
  expect(await unit.find('db')).toMatchObject({ pid: 11 });
});

test('of which the main process is not in its control group, another one', async () => {
  units = [{ ...db, MainPID: 12 }];
  expect(await unit.find('db')).toMatchObject({ pid: 10 });
});

test('a process that has gone elsewhere does not hide where the main process is, and is named', async () => {
  units = [{ ...db, MainPID: 11 }];
  namespaces[10] = 8;
  const notes = ['processes of it are in other namespaces too: pid:10'];
  expect(await unit.find('db')).toMatchObject({ pid: 11, notes });
  // On the host is elsewhere as well.
  namespaces[10] = 1;
  expect(await unit.find('db')).toMatchObject({ pid: 11, notes });
});

test('of many that have gone elsewhere the first are named', async () => {
  units = [db];
  for (let pid = 20; pid < 120; pid += 1) {
    groups[pid] = '/system.slice/db.service';
    namespaces[pid] = 1000 + pid;
  }
  const named = 'pid:20, pid:21, pid:22, pid:23, pid:24 and 95 more';
  expect(await unit.find('db')).toMatchObject({
    pid: 10,
    notes: [`processes of it are in other namespaces too: ${named}`],
  });
});

describe('with a main process on the host and others in several namespaces', () => {
  beforeEach(() => {
    units = [db];
    groups[13] = '/system.slice/db.service/payload';
    Object.assign(namespaces, { 10: 1, 11: 7, 13: 8 });
  });

  test('the one that the main process has started leads, as of a machine of nspawn', async () => {
    parents = { 11: 13, 13: 10 };
    const notes = ['processes of it are in other namespaces too: pid:11'];
    expect(await unit.find('db')).toMatchObject({ pid: 13, notes });
  });

  test('of which it has started several, or none: exit 3', async () => {
    for (parents of [{ 11: 10, 13: 10 }, {}]) {
      const failure = await failureOf(() => unit.find('db'));
      expect(failure).toMatchObject({ code: 'ambiguous-target', suggestions: ['pid:11', 'pid:13'] });
    }
  });

  test('a scope has no main process: what was started from outside it leads', async () => {
    units = [{ ...db, MainPID: 0 }];
    groups[10] = '/else';
    parents = { 13: 10, 11: 13 };
    expect(await unit.find('db')).toMatchObject({ pid: 13 });
  });
});

test('with processes in several namespaces and no main process: exit 3, with all of them', async () => {
  units = [{ ...db, MainPID: 0 }];
  namespaces[11] = 8;
  const failure = await failureOf(() => unit.find('db'));
  expect(failure).toMatchObject({ code: 'ambiguous-target', exit: 3, suggestions: ['pid:10', 'pid:11'] });
  expect(failure.message).toBe('the processes of unit:db.service are in 2 network namespaces, those of 10 and 11');
});

test('that is active and has no process, or has ended', async () => {
  units = [{ ...db, MainPID: 0, SubState: 'exited', ControlGroup: '/system.slice/gone.service' }];
  const exited = await failureOf(() => unit.find('db'));
  expect(exited).toMatchObject({ code: 'not-running', exit: 3 });
  expect(exited.message).toBe('unit:db.service has no process (active/exited)');
  units = [{ Id: 'db.service', ActiveState: 'failed', SubState: 'failed', ControlGroup: '' }];
  const failed = await failureOf(() => unit.find('db'));
  expect(failed).toMatchObject({ code: 'not-running', exit: 3, suggestions: ['start it: systemctl start db.service'] });
});

test('a machine goes by its own name, which systemd escapes', async () => {
  groups[20] = '/machine.slice/systemd-nspawn@my\\x2ddb.service/supervisor';
  groups[21] = '/machine.slice/systemd-nspawn@my\\x2ddb.service/payload';
  Object.assign(namespaces, { 20: 1, 21: 5 });
  const Id = 'systemd-nspawn@my\\x2ddb.service';
  units = [{ Id, MainPID: 20, ControlGroup: `/machine.slice/${Id}` }];
  expect(await unit.find('my-db')).toMatchObject({ name: Id, pid: 21 });
  expect(asked[0]?.slice(-4)).toEqual(['--', 'my-db.service', Id, 'machine-my\\x2ddb.scope']);
});

test('a service and a machine of one name: exit 3, with both', async () => {
  units = [db, { Id: 'machine-db.scope', ControlGroup: '/machine.slice/machine-db.scope' }];
  const failure = await failureOf(() => unit.find('db'));
  expect(failure).toMatchObject({
    code: 'ambiguous-target',
    suggestions: ['unit:db.service', 'unit:machine-db.scope'],
  });
});

test('that nobody knows is null; systemd that is silent or missing is a failure', async () => {
  expect(await unit.find('db')).toBeNull();
  said = { exit: 1, stderr: 'Failed to connect to bus: Connection refused' };
  expect(await failureOf(() => unit.find('db'))).toMatchObject({ code: 'engine-failed', exit: 5 });
  said = { exit: 1, stderr: 'Failed to get properties: Access denied' };
  expect(await failureOf(() => unit.find('db'))).toMatchObject({ code: 'not-permitted', exit: 4 });
  said = { stdout: 'Id=db.service\n' };
  expect(await failureOf(() => unit.find('db'))).toMatchObject({ code: 'engine-failed', exit: 5 });
  booted = false;
  expect(await failureOf(() => unit.find('db'))).toMatchObject({ code: 'no-engine', exit: 5 });
});
