/** What shows that a process is a container's: the control group that it is in, as the kernel tells it. */
import { release } from '../../src/namespace/namespace';
import type { EngineKind } from '../../src/target/kind';
import { failureOf } from './failures';

let groups: string[] = [];
const processes = jest.requireActual<typeof import('../../src/namespace/processes')>('../../src/namespace/processes');
jest.doMock('../../src/namespace/processes', () => ({ ...processes, controlGroups: () => groups }));

const id = '0f3c'.repeat(16);
const running = { name: 'db', pid: process.pid, run: '1', evidence: { cgroup: id, sandbox: '' }, notes: [] };
const kind = { prefix: 'docker', engine: 'docker', find: async () => running } as unknown as EngineKind;

let lodge: typeof import('../../src/target/engine').lodge;
beforeAll(async () => {
  ({ lodge } = await import('../../src/target/engine'));
});

test.each([`/docker/${id}`, `/docker/${id}/init.scope`, `/machine.slice/libpod-${id}.scope/container`])(
  'the id in %s is evidence',
  async (path) => {
    groups = ['/', path];
    const lodging = await lodge(kind, 'db');
    expect(lodging).toMatchObject({ name: 'docker:db' });
    if (lodging) release(lodging.namespace);
  },
);

test.each(['/', '/docker', `/docker/${id}0`, `/docker/a${id}`, `/docker/${id.slice(1)}`])(
  'what is in %s is no evidence',
  async (path) => {
    groups = [path];
    expect(await failureOf(() => lodge(kind, 'db'))).toMatchObject({ code: 'engine-failed', exit: 5 });
  },
);

describe('the control groups of a process', () => {
  test("are systemd's own first, then the unified one, then the others", () => {
    const text = '4:memory:/docker/x\n1:name=systemd:/system.slice/db.service\n0::/system.slice/db.service/a\n';
    expect(processes.groupsIn(text)).toEqual(['/system.slice/db.service', '/system.slice/db.service/a', '/docker/x']);
  });

  test('without the roots of old hierarchies, which say nothing', () => {
    const text = '4:memory:/\n1:name=systemd:/\n0::/system.slice/db.service\n';
    expect(processes.groupsIn(text)).toEqual(['/system.slice/db.service']);
    expect(processes.groupsIn('2:cpu:/\n0::/\n')).toEqual(['/']);
    expect(processes.groupsIn('')).toEqual([]);
  });
});

test('the parent of a process is told, and of none that has ended', () => {
  expect(processes.parentOf(process.pid)).toBe(process.ppid);
  expect(processes.parentOf(4_194_304)).toBeNull();
});
