/** Containers as targets: what podman and docker say, and what they don't, and what becomes of it. */
import { readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import { release } from '../../src/namespace/namespace';
import { failureText } from '../../src/presentation/failure';
import { sharerOf } from '../../src/target/sharers';
import { resolve, type Target } from '../../src/target/target';
import { closed, type FakeContainer, fakeDocker, fakePodman, fakeProgram, idOf } from '../kernel/rig/fake-engines';
import { dangerous, failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const folder = useScratchDirectory();
const { PATH, DOCKER_HOST } = process.env;
const ends: Array<() => unknown> = [];
beforeEach(() => {
  // No engine but those that a test makes.
  process.env.PATH = folder();
  process.env.DOCKER_HOST = `unix://${folder()}/docker.sock`;
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  process.env.PATH = PATH;
  if (DOCKER_HOST === undefined) delete process.env.DOCKER_HOST;
  else process.env.DOCKER_HOST = DOCKER_HOST;
});

/** A process id that Linux gives to nobody while fewer than 4 million processes run. */
const nobody = 4_194_304;

/** This process is the container, and its namespace proves it. */
const here = (name: string, rest: Partial<FakeContainer> = {}): FakeContainer => ({
  name,
  pid: process.pid,
  sandbox: '/proc/self/ns/net',
  ...rest,
});

async function docker(...containers: FakeContainer[]) {
  const daemon = await fakeDocker(folder(), containers);
  ends.push(daemon.close);
  return daemon;
}

function podman(...containers: FakeContainer[]): string {
  process.env.PATH = fakePodman(folder(), containers);
  return process.env.PATH;
}

/** A daemon that says what a test wants. */
async function answering(listener: RequestListener): Promise<Server> {
  const server = createServer(listener);
  await new Promise<void>((ready) => server.listen(join(folder(), 'docker.sock'), ready));
  ends.push(() => closed(server));
  return server;
}

async function found(name: string): Promise<Target> {
  const target = await resolve(name);
  ends.push(() => release(target.namespace));
  return target;
}

async function refused(name: string) {
  const failure = await failureOf(() => resolve(name));
  expect(failureText(failure)).not.toMatch(dangerous);
  expect(failure.suggestions).not.toEqual([]);
  return failure;
}

describe('a container of docker', () => {
  test('is found by its name, and asked for again once its namespace is pinned', async () => {
    const daemon = await docker(here('db'), here('web'));
    const target = await found('docker:db');
    expect(target).toMatchObject({ name: 'docker:db', file: `/proc/${process.pid}/ns/net`, notes: [] });
    expect(target.stillThere()).toBe(true);
    expect(daemon.asked).toEqual(['/containers/db/json', '/containers/db/json']);
  });

  test('is called by its own name when it was asked for by the beginning of its id', async () => {
    await docker(here('db', { id: '0f3c'.padEnd(64, '1') }));
    expect(await found('docker:0f3c')).toMatchObject({ name: 'docker:db' });
  });

  test('may be paused', async () => {
    await docker(here('db', { status: 'paused' }));
    expect(await found('docker:db')).toMatchObject({ name: 'docker:db' });
  });

  test.each(['exited', 'created', 'restarting', 'dead'])('that is %s has no network', async (status) => {
    await docker(here('db', { pid: 0, status }));
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ code: 'not-running', exit: 3, suggestions: ['start it: docker start db'] });
    expect(failure.message).toBe(`docker:db is not running (${status}): it has no network`);
  });

  test('that is not there: those with a name like it are suggested', async () => {
    await docker(here('database'), here('web'));
    const failure = await refused('docker:databse');
    expect(failure).toMatchObject({
      code: 'no-such-target',
      exit: 3,
      message: 'docker has no container named databse',
    });
    expect(failure.suggestions).toEqual(['did you mean docker:database?']);
    expect((await refused('docker:other-thing')).suggestions).toEqual(['`docker ps --all` shows the containers']);
  });

  test('that several could be: exit 3, with all of them', async () => {
    await docker(here('a', { id: 'ab1'.padEnd(64, '0') }), here('b', { id: 'ab2'.padEnd(64, '0') }), here('c'));
    const failure = await refused('docker:ab');
    expect(failure).toMatchObject({ code: 'ambiguous-target', exit: 3, suggestions: ['docker:a', 'docker:b'] });
  });

  test('that is restarted meanwhile is looked at again', async () => {
    const daemon = await docker();
    const pids = [nobody, process.ppid, process.pid, process.pid];
    daemon.containers = () => [here('db', { pid: pids[daemon.asked.length - 1] ?? process.pid })];
    expect(await found('docker:db')).toMatchObject({ file: `/proc/${process.pid}/ns/net` });
    // The first had ended before it was pinned; the second was another one by the time that it was.
    expect(daemon.asked).toHaveLength(5);
  });

  test('that has the same process id and was started anew is another one', async () => {
    const daemon = await docker();
    daemon.containers = () => [here('db', { startedAt: daemon.asked.length > 1 ? 'later' : 'before' })];
    await found('docker:db');
    expect(daemon.asked).toHaveLength(4);
  });

  test('that does not stay up: exit 3, and nothing stays open', async () => {
    const daemon = await docker();
    daemon.containers = () => [here('db', { startedAt: `${daemon.asked.length}` })];
    const before = openNamespaces();
    expect(await refused('docker:db')).toMatchObject({ code: 'target-restarts', exit: 3 });
    daemon.containers = () => (daemon.asked.length % 2 === 1 ? [here('db')] : [here('db', { pid: 0 })]);
    daemon.asked.length = 0;
    expect(await refused('docker:db')).toMatchObject({ code: 'not-running', exit: 3 });
    expect(openNamespaces()).toBe(before);
  });

  test("that is another machine's is not taken for the process of that number here", async () => {
    await docker(here('db', { sandbox: '/var/run/docker/netns/0f3c' }));
    const before = openNamespaces();
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ code: 'engine-failed', exit: 5 });
    expect(failure.message).toMatch(/is not db: docker runs on another machine/);
    expect(openNamespaces()).toBe(before);
  });
});

describe('a docker that is not as it should be', () => {
  test.each<[what: string, exit: number, said: RegExp, listener: RequestListener]>([
    [
      'forbids',
      4,
      /status 403: "authorization denied/,
      (_, to) => to.writeHead(403).end('{"message":"authorization denied by plugin"}'),
    ],
    ['has a fault', 5, /status 500: "disk\\n/, (_, to) => to.writeHead(500).end('{"message":"disk\\nfull"}')],
    ['is none', 5, /status 404/, (_, to) => to.writeHead(404).end('<h1>Not found</h1>')],
    ['says no JSON', 5, /no JSON/, (_, to) => to.end('yes')],
    ['says nothing', 5, /no JSON/, (_, to) => to.end()],
    ['speaks of no container', 5, /no container/, (_, to) => to.end('[1]')],
    ['speaks of nothing', 5, /no container/, (_, to) => to.end('null')],
    ['has a process of minus one', 3, /not running/, (_, to) => to.end(JSON.stringify(nameless('db', -1)))],
    ['has a process and a half', 5, /no container/, (_, to) => to.end(JSON.stringify(nameless('db', 1.5)))],
    ['has an impossible name', 5, /impossibly/, (_, to) => to.end(JSON.stringify(nameless('\u001b[2J', 1)))],
    ['gives no id', 5, /no container/, (_, to) => to.end(JSON.stringify({ ...nameless('db', process.pid), Id: '' }))],
    ['gives a part of one', 5, /no container/, (_, to) => to.end(JSON.stringify({ ...nameless('db', 1), Id: '0f3c' }))],
    ['hangs up', 5, /could not be asked/, ({ socket }) => socket.destroy()],
    ['says far too much', 5, /more than netfreeze reads/, (_, to) => to.end(Buffer.alloc(17 << 20, 32))],
  ])('%s: exit %i', async (_what, exit, said, listener) => {
    await answering(listener);
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ exit });
    expect(failure.message).toMatch(said);
  });

  const nameless = (Name: string, Pid: number) => ({ Id: '0f'.repeat(32), Name, State: { Status: 'running', Pid } });

  test.each<[what: string, listener: RequestListener]>([
    ['does not answer', () => {}],
    ['stops in the middle', (_, to) => to.writeHead(200).write('{"Id":')],
    ['never comes to an end', (_, to) => drip(() => to.write(' '))],
  ])('%s: exit 5 after 5 s', async (_what, listener) => {
    await answering(listener);
    const started = performance.now();
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ code: 'engine-failed', exit: 5 });
    expect(failure.message).toMatch(/no answer within 5 s/);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  const drip = (drop: () => void) => {
    const timer = setInterval(drop, 100);
    ends.push(() => clearInterval(timer));
  };

  test('has no socket: exit 5, and how to name one', async () => {
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ code: 'no-engine', exit: 5 });
    expect(failure.message).toContain(`there is no socket ${folder()}/docker.sock`);
    writeFileSync(join(folder(), 'docker.sock'), 'plain');
    expect(await refused('docker:db')).toMatchObject({ exit: 5 });
  });

  test('has left its socket behind: exit 5', async () => {
    process.env.DOCKER_HOST = `unix://${await orphan()}`;
    const failure = await refused('docker:db');
    expect(failure).toMatchObject({ code: 'engine-failed', exit: 5 });
    expect(failure.message).toMatch(/nobody listens on/);
  });

  test('is not open to this user: exit 4', async () => {
    await docker(here('db'));
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      if (!isRoot) process.env.DOCKER_HOST = 'unix:///proc/1/root/docker.sock';
      expect(await refused('docker:db')).toMatchObject({ code: 'not-permitted', exit: 4 });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test.each(['tcp://10.0.0.1:2375', 'ssh://host', 'unix://relative', 'npipe:////./pipe/docker', '\u001b[2J'])(
    'is another sort of DOCKER_HOST: %j is exit 2',
    async (host) => {
      process.env.DOCKER_HOST = host;
      expect(await refused('docker:db')).toMatchObject({ code: 'bad-docker-host', exit: 2 });
      // For a bare name it is none that is here.
      expect(await refused('db')).toMatchObject({ code: 'no-such-target', exit: 3 });
    },
  );
});

/** A socket that nobody listens on. */
async function orphan(): Promise<string> {
  const [first, second] = ['left', 'behind'].map((name) => join(folder(), name)) as [string, string];
  const server = createSocket();
  await new Promise<void>((ready) => server.listen(first, ready));
  // Its file is removed when it is closed, unless it has another name by then.
  renameSync(first, second);
  await new Promise((ready) => server.close(ready));
  return second;
}

describe('a container of podman', () => {
  test('is found by its name, which can never be an option', async () => {
    const bin = podman(here('db'));
    process.env.CONTAINER_HOST = 'ssh://elsewhere';
    ends.push(() => delete process.env.CONTAINER_HOST);
    expect(await found('podman:db')).toMatchObject({ name: 'podman:db', file: `/proc/${process.pid}/ns/net` });
    // And podman is told of no other machine.
    expect(readFileSync(join(bin, 'asked'), 'utf8')).toBe('container inspect -- db unset\n'.repeat(2));
  });

  test('that has stopped, or was never started', async () => {
    podman(here('db', { pid: 0, status: 'exited' }), here('new', { pid: 0, status: 'created' }));
    expect(await refused('podman:db')).toMatchObject({ code: 'not-running', exit: 3 });
    expect((await refused('podman:new')).message).toBe('podman:new is not running (created): it has no network');
  });

  test('that is not there: those with a name like it are suggested', async () => {
    podman(here('database'));
    const failure = await refused('podman:databse');
    expect(failure).toMatchObject({
      code: 'no-such-target',
      exit: 3,
      message: 'podman has no container named databse',
    });
    expect(failure.suggestions).toEqual(['did you mean podman:database?']);
  });

  test.each<[what: string, exit: number, script: string]>([
    ['is not allowed', 4, 'echo "Error: open /run/libpod/lock: permission denied" >&2; exit 125'],
    ['has a fault', 5, 'printf "Error: \\033[2Jdatabase is locked\\n" >&2; exit 125'],
    ['says no JSON', 5, 'echo yes'],
    ['says nothing', 5, 'exit 0'],
    ['speaks of no container', 5, 'echo "[]"'],
    ['is killed', 5, 'kill -9 $$'],
    ['says far too much', 5, 'while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done'],
  ])('that %s: exit %i', async (_what, exit, script) => {
    process.env.PATH = fakeProgram(folder(), 'podman', script);
    expect(await refused('podman:db')).toMatchObject({ exit });
  });

  test('where podman is not installed: exit 5', async () => {
    const failure = await refused('podman:db');
    expect(failure).toMatchObject({ code: 'no-engine', exit: 5 });
    expect(failure.message).toBe('podman is not installed, or not in PATH');
  });
});

describe('a bare name', () => {
  test('that one engine knows is that, and is called in full', async () => {
    podman(here('web'));
    await docker(here('db'));
    expect(await found('db')).toMatchObject({ name: 'docker:db' });
    expect(await found('web')).toMatchObject({ name: 'podman:web' });
  });

  test('that two engines know for the same namespace is no riddle', async () => {
    podman(here('db'));
    await docker(here('db'));
    expect(await found('db')).toMatchObject({ name: 'podman:db' });
  });

  test('that nobody knows: it is said who was asked, and what is like it', async () => {
    podman(here('web'));
    await docker(here('database'));
    const failure = await refused('databse');
    expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
    expect(failure.message).toMatch(
      /^there is no network namespace named databse, and podman(,| and) docker(| and systemd) know nothing of that name$/,
    );
    expect(failure.suggestions).toEqual(['did you mean docker:database?']);
  });

  test('of one that has stopped: that is said', async () => {
    podman(here('db', { pid: 0 }));
    await docker(here('web'));
    expect((await refused('db')).message).toBe('podman:db is not running (exited): it has no network');
  });

  test('of one that has stopped and another that runs is the one that runs', async () => {
    podman(here('db', { pid: 0 }));
    await docker(here('db'));
    expect(await found('db')).toMatchObject({ name: 'docker:db' });
  });

  test('is found where another engine could not be asked, and that is said', async () => {
    podman(here('db'));
    await answering((_, to) => to.writeHead(500).end('{"message":"ill"}'));
    expect((await found('db')).notes).toEqual(['docker could not be asked: it answered with status 500: ill']);
    expect((await refused('web')).message).toMatch(/know nothing of that name; docker could not be asked: .* ill$/);
  });

  test('that no container could have is asked of no engine', async () => {
    const daemon = await docker();
    await refused('a b');
    await refused('x'.repeat(255));
    expect(daemon.asked.filter((url) => url.includes('/containers/a'))).toEqual([]);
  });
});

describe('who a process belongs to', () => {
  const id = '0f3c'.repeat(16);
  test.each<[path: string, kind: string | null, id: string]>([
    [`/machine.slice/libpod-${id}.scope`, 'podman', id],
    [`/machine.slice/libpod-${id}.scope/container`, 'podman', id],
    [`/libpod_parent/libpod-${id}`, 'podman', id],
    [`/system.slice/db.service/libpod-payload-${id}`, 'podman', id],
    [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope`, 'podman', id],
    [`/system.slice/docker-${id}.scope`, 'docker', id],
    [`/docker/${id}`, 'docker', id],
    [`/docker/${id}/init.scope`, 'docker', id],
    ['/system.slice/nginx.service', 'unit', 'nginx.service'],
    ['/system.slice/system-getty.slice/getty@tty1.service', 'unit', 'getty@tty1.service'],
    [
      '/machine.slice/systemd-nspawn@web.service/payload/system.slice/sshd.service',
      'unit',
      'systemd-nspawn@web.service',
    ],
    ['/machine.slice/machine-web.scope/payload', 'unit', 'machine-web.scope'],
    ['/user.slice/user-0.slice/session-3.scope', null, ''],
    ['/user.slice/user-1000.slice/user@1000.service/app.slice/x.service', null, ''],
    ['/init.scope', null, ''],
    ['/', null, ''],
    ['', null, ''],
    [`/machine.slice/libpod-conmon-${id}.scope`, 'unit', `libpod-conmon-${id}.scope`],
    [`/docker/${id.slice(1)}`, null, ''],
  ])('%s', (path, kind, own) => {
    expect(sharerOf([path])).toEqual(kind === null ? null : { kind, id: own });
  });

  test('a container is told by any of its control groups', () => {
    expect(sharerOf(['/', `/docker/${id}`])).toEqual({ kind: 'docker', id });
    expect(sharerOf(['/system.slice/db.service', `/machine.slice/libpod-${id}.scope`])).toEqual({ kind: 'podman', id });
  });

  test('the fake engines give ids of that form', () => {
    expect(sharerOf([`/docker/${idOf({ name: 'db', pid: 0 })}`])).toMatchObject({ kind: 'docker' });
  });
});

/** Network namespaces that this process has open. */
const openNamespaces = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('net:[');
    } catch {
      return false;
    }
  }).length;
