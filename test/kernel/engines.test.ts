/** Containers by the names that their engines give them: real ones of podman, and engines that only answer. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describeOneEngine } from './rig/describe';
import { type FakeContainer, fakeDocker, fakePodman } from './rig/fake-engines';
import { openGauge } from './rig/gauge';
import { address, type Lab, useLabs } from './rig/lab';
import { scratchDirectory } from './rig/leftovers';
import { expectExit, only } from './rig/netfreeze';
import { describePodman, usePodman } from './rig/podman';
import { run } from './rig/program';

// A test starts podman a dozen times.
jest.setTimeout(180_000);

describePodman('a container of podman', (engine) => {
  const podman = usePodman();
  const makeLab = useLabs(engine);
  let counter = 0;
  const fresh = (what: string) => `nfz-${process.pid}-${counter++}-${what}`;
  const netfreeze = (lab: Lab, ...args: string[]) => lab.netfreezeIn({ env: podman().env }, ...args);
  /** What a web server in the container says to the peer; null when it says nothing. */
  const fetch = (lab: Lab) =>
    lab
      .run('peer', 'busybox', 'timeout', '2', 'busybox', 'wget', '-qO-', `http://${address[4].box}:8080/bin/hello`)
      .catch(() => null);

  test('is frozen and thawed by its bare name, with its traffic', async () => {
    const lab = await makeLab();
    const name = fresh('db');
    const box = '/bin/busybox';
    const serve = `${box} echo hello >/bin/hello; exec ${box} httpd -f -p 8080 -h /`;
    await podman().start(name, ['--network', `ns:${lab.file('box')}`], 'sh', '-c', serve);
    const gauge = await openGauge(lab);
    expect(await fetch(lab)).toBe('hello\n');
    const frozen = only(expectExit(await netfreeze(lab, 'on', name, '--json'), 0));
    expect(frozen).toMatchObject({ target: `podman:${name}`, state: 'frozen', verified: true, notes: [] });
    expect(frozen.namespace.inode).toBe(statSync(lab.file('box')).ino);
    expect(await gauge.open()).toEqual([]);
    expect(await fetch(lab)).toBeNull();
    expectExit(await netfreeze(lab, 'verify', name), 0);
    expectExit(await netfreeze(lab, 'off', `podman:${name}`), 0);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await fetch(lab)).toBe('hello\n');
  });

  test('that is paused is frozen as well', async () => {
    const lab = await makeLab();
    const name = fresh('paused');
    await podman().start(name, ['--network', 'none'], 'sleep', '600');
    await podman().podman('pause', name);
    expectExit(await netfreeze(lab, 'on', name), 0);
    expectExit(await netfreeze(lab, 'off', name), 0);
    await podman().podman('unpause', name);
  });

  test('that has stopped: exit 3', async () => {
    const lab = await makeLab();
    const name = fresh('stopped');
    await podman().start(name, ['--network', 'none'], 'true');
    await podman().podman('wait', name);
    for (const target of [name, `podman:${name}`]) {
      const { stderr } = expectExit(await netfreeze(lab, 'on', target), 3);
      expect(stderr).toMatch(new RegExp(`podman:${name} is not running \\((exited|stopped)\\)`));
    }
  });

  test("on the host's network: exit 2, and it is said why", async () => {
    const lab = await makeLab();
    const name = fresh('host');
    await podman().start(name, ['--network', 'host'], 'sleep', '600');
    for (const target of [name, `podman:${name}`]) {
      // Rehearsed at the most, so that a fault here does no harm.
      const { stderr } = expectExit(await netfreeze(lab, 'on', target, '--lease', '1s', '--dry-run'), 2);
      expect(stderr).toContain(`podman:${name} is a container on the host's network`);
    }
    const near = expectExit(await netfreeze(lab, 'on', `podman:${name}x`), 3);
    expect(near.stderr).toContain(`did you mean podman:${name}?`);
  });

  test('in a pod: it is said who is frozen with it', async () => {
    const lab = await makeLab();
    const [pod, member] = ['pod', 'member'].map(fresh) as [string, string];
    await podman().startPod(pod, ['--network', 'none']);
    await podman().start(member, ['--pod', pod], 'sleep', '600');
    const { notes } = only(expectExit(await netfreeze(lab, 'on', member, '--json'), 0));
    expect(notes).toEqual([`it shares its namespace with podman:${pod}-infra: frozen too`]);
    const all = expectExit(await netfreeze(lab, 'status', '--json'), 0).report.targets;
    expect(all.find(({ target }) => target === `podman:${member}`)?.otherNames).toEqual([`podman:${pod}-infra`]);
    expectExit(await netfreeze(lab, 'off', member), 0);
  });

  test("in another one's network: each is the other's other name", async () => {
    const lab = await makeLab();
    const [host, guest] = ['landlord', 'guest'].map(fresh) as [string, string];
    await podman().start(host, ['--network', 'none'], 'sleep', '600');
    await podman().start(guest, ['--network', `container:${host}`], 'sleep', '600');
    const { notes } = only(expectExit(await netfreeze(lab, 'on', host, '--json'), 0));
    expect(notes).toEqual([`it shares its namespace with podman:${guest}: frozen too`]);
    const named = expectExit(await netfreeze(lab, 'status', guest), 0);
    expect(named.stdout).toMatch(new RegExp(`^podman:${guest}  frozen, verified\\n  also +podman:${host}\\n`));
    expectExit(await netfreeze(lab, 'off', guest), 0);
  });

  test('that was frozen by a process id has its name in status, where nobody recorded one', async () => {
    const lab = await makeLab();
    const name = fresh('unrecorded');
    await podman().start(name, ['--network', 'none'], 'sleep', '600');
    const { inode } = only(
      expectExit(await netfreeze(lab, 'on', `pid:${await podman().pid(name)}`, '--json'), 0),
    ).namespace;
    const elsewhere = { env: podman().env, stateDir: scratchDirectory('state') };
    const all = expectExit(await lab.netfreezeIn(elsewhere, 'status', '--json'), 0).report.targets;
    expect(all.find(({ namespace }) => namespace.inode === inode)).toMatchObject({ target: `podman:${name}` });
    expectExit(await netfreeze(lab, 'off', name), 0);
  });

  test('that ends during the freeze is thawed by another way', async () => {
    const lab = await makeLab();
    const name = fresh('short');
    await podman().start(name, ['--network', `ns:${lab.file('box')}`], 'sleep', '600');
    expectExit(await netfreeze(lab, 'on', name), 0);
    await podman().podman('kill', name);
    await podman().podman('wait', name);
    expectExit(await netfreeze(lab, 'off', name), 3);
    expectExit(await netfreeze(lab, 'off', lab.box), 0);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});

describeOneEngine('a bare name', (engine) => {
  const makeLab = useLabs(engine);
  const ends: Array<() => Promise<void>> = [];
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  /** A docker and a podman that know these containers, and netfreeze that knows no others. */
  async function engines(lab: Lab, known: { docker: FakeContainer[]; podman: FakeContainer[] }) {
    const folder = scratchDirectory('engines');
    const docker = await fakeDocker(folder, known.docker);
    ends.push(docker.close);
    const bin = fakePodman(folder, known.podman);
    const env = { DOCKER_HOST: docker.host, PATH: `${bin}:${process.env.PATH}` };
    return { docker, bin, netfreeze: (...args: string[]) => lab.netfreezeIn({ env }, ...args) };
  }

  const inside = async (lab: Lab, place: 'box' | 'peer', name: string): Promise<FakeContainer> => ({
    name,
    pid: await lab.resident(place),
    sandbox: lab.file(place),
  });

  test('that two engines know in two namespaces: exit 3 with both, and neither is touched', async () => {
    const lab = await makeLab();
    const { netfreeze } = await engines(lab, {
      docker: [await inside(lab, 'box', 'nfz-db')],
      podman: [await inside(lab, 'peer', 'nfz-db')],
    });
    const { stderr } = expectExit(await netfreeze('on', 'nfz-db'), 3);
    expect(stderr).toContain('nfz-db could be podman:nfz-db or docker:nfz-db');
    for (const place of ['box', 'peer'] as const) expect(await lab.nft(place, 'list ruleset')).toBe('');
    expectExit(await netfreeze('on', 'docker:nfz-db'), 0);
    expect(await lab.nft('peer', 'list ruleset')).toBe('');
    expect(await lab.nft('box', 'list tables')).toContain('netfreeze');
    expectExit(await netfreeze('off', 'docker:nfz-db'), 0);
  });

  test('of a container with a namespace of its own, and of one on the host’s network, is the former', async () => {
    const lab = await makeLab();
    const { netfreeze } = await engines(lab, {
      docker: [await inside(lab, 'box', 'nfz-db')],
      podman: [{ name: 'nfz-db', pid: process.pid, sandbox: '/proc/self/ns/net' }],
    });
    expect(only(expectExit(await netfreeze('on', 'nfz-db', '--json'), 0))).toMatchObject({ target: 'docker:nfz-db' });
    expectExit(await netfreeze('off', 'nfz-db'), 0);
  });

  test('of a namespace of ip netns is that, and no engine is asked', async () => {
    const lab = await makeLab();
    const { docker, bin, netfreeze } = await engines(lab, {
      docker: [await inside(lab, 'peer', lab.box)],
      podman: [await inside(lab, 'peer', lab.box)],
    });
    expect(only(expectExit(await netfreeze('on', lab.box, '--json'), 0)).target).toBe(`netns:${lab.box}`);
    expectExit(await netfreeze('status', lab.box), 0);
    expectExit(await netfreeze('off', lab.box), 0);
    expect(docker.asked).toEqual([]);
    expect(() => readFileSync(join(bin, 'asked'))).toThrow('ENOENT');
    expect(await run('ip', ['netns', 'exec', lab.name('peer'), 'nft', 'list ruleset'])).toBe('');
  });

  test('of what nobody runs: status asks nobody when nothing of it is frozen', async () => {
    const lab = await makeLab();
    const { docker, netfreeze } = await engines(lab, { docker: [await inside(lab, 'box', 'nfz-db')], podman: [] });
    expectExit(await netfreeze('status', 'docker:nfz-db'), 0);
    expect(docker.asked.filter((url) => url.startsWith('/containers/json'))).toEqual([]);
    expectExit(await netfreeze('on', 'nfz-web'), 3);
  });
});
