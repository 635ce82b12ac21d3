/** The units that come with netfreeze, where systemd is the first process: docs/systemd.md tells what is tested here. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeOneEngine } from '../kernel/rig/describe';
import { type Gauge, openGauge } from '../kernel/rig/gauge';
import { keepersNamed } from '../kernel/rig/keeper';
import { address, type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, netfreeze, only } from '../kernel/rig/netfreeze';
import { send } from '../kernel/rig/packets';
import { run } from '../kernel/rig/program';
import { sleep, until } from '../kernel/rig/wait';

/** Where the units keep their state. */
const stateDir = '/run/netfreeze';
const docs = readFileSync(resolve(__dirname, '../../docs/systemd.md'), 'utf8');
/** Files that tests have made. */
const made: string[] = [];
/** Units that tests have started. */
const started = new Set<string>();

describeOneEngine('the units', (engine) => {
  beforeAll(async () => {
    expectExit(await here('units', 'install'), 0);
    mkdirSync('/etc/netfreeze', { recursive: true });
  });
  afterEach(async () => {
    if (started.size > 0) await systemctl('stop', '--', ...started);
    await systemctl('reset-failed');
    started.clear();
    for (const file of made.splice(0)) rmSync(file, { force: true });
    await systemctl('daemon-reload');
  });
  // Its removal follows that of the units.
  const makeLab = useLabs(engine);
  afterAll(async () => {
    expectExit(await here('units', 'remove'), 0);
    expect(readdirSync('/etc/systemd/system').filter((name) => name.startsWith('netfreeze'))).toEqual([]);
  });

  test('are valid, and as little exposed as the documentation says', async () => {
    const files = ['netfreeze@.service', 'netfreeze-while@.target'].map((name) => `/etc/systemd/system/${name}`);
    await run('systemd-analyze', ['verify', ...files]);
    const security = await run('systemd-analyze', ['security', '--no-pager', 'netfreeze@x.service']);
    const level = Number(/Overall exposure level for .*: ([0-9.]+)/.exec(security)?.[1]);
    const told = Number(/exposure level is \*\*([0-9.]+)\*\*/.exec(docs)?.[1]);
    expect(told).toBeGreaterThan(0);
    expect(level).toBeLessThanOrEqual(told);
    // Every setting that restricts something has its reason in the documentation.
    const settings = readFileSync(files[0] as string, 'utf8').match(/^(?!Exec|Environment)[A-Z]\w+(?==)/gm) ?? [];
    for (const setting of settings) expect(docs).toContain(`\`${setting}`);
  });

  test('freeze and thaw, with a dash in the name, and tell the journal and the status in fields', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    conf(lab.box, `NETFREEZE_OPTIONS=--lease 10m --reason "before the 'big' upgrade"`);
    await start(lab.box);
    expect(await gauge.open()).toEqual([]);
    expect(only(await here('status', lab.box, '--json'))).toMatchObject({
      state: 'frozen',
      verified: true,
      reason: "before the 'big' upgrade",
    });
    const status = await show(lab.box, 'StatusText');
    expect(status).toMatch(
      /^netns:nfz-\S+ is frozen \(drop\) until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, when its lease ends$/,
    );
    expect(await statusOf(lab.box)).toContain(`Status: "${status}"`);
    const { dev, ino } = statSync(lab.file('box'));
    const [entry] = await journal(lab.box, 'NETFREEZE_STATE=frozen');
    expect(entry).toMatchObject({
      MESSAGE: expect.stringMatching(/is frozen/),
      PRIORITY: '6',
      SYSLOG_IDENTIFIER: 'netfreeze',
      NETFREEZE_TARGET: `netns:${lab.box}`,
      NETFREEZE_NAMESPACE: `${dev}:${ino}`,
      NETFREEZE_MODE: 'drop',
      NETFREEZE_REASON: "before the 'big' upgrade",
    });
    expect(Number(entry?.NETFREEZE_LEASE_MS)).toBeGreaterThan(0);

    // A restart, and a reload that changes the freeze, end with a freeze; the reload without an unfrozen moment.
    conf(lab.box, 'NETFREEZE_OPTIONS=--allow 10.91.9.9');
    await gauge.begin();
    await systemctl('reload', unit(lab.box));
    const watched = await gauge.end();
    expect(watched.tries).toBeGreaterThan(0);
    expect([watched.flips, ...Object.values(watched.open)]).toEqual([0, 0, 0, 0, 0]);
    expect(await lab.nft('box', 'list table inet netfreeze')).toContain('10.91.9.9');
    await systemctl('restart', unit(lab.box));
    expect(await show(lab.box, 'ActiveState')).toBe('active');
    expect(await gauge.open()).toEqual([]);

    await systemctl('stop', unit(lab.box));
    expect(await show(lab.box, 'ActiveState')).toBe('inactive');
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await leftBehind(lab)).toEqual([]);
  });

  test('fail with the reason in the journal and the status, and touch nothing', async () => {
    const lab = await makeLab();
    expect(await starting('nfz-nothing')).toBe('failed');
    expect(await statusOf('nfz-nothing')).toMatch(/Status: "there is no network namespace named nfz-nothing\b/);
    const [entry] = await journal('nfz-nothing', 'NETFREEZE_CODE=no-such-target');
    expect(entry).toMatchObject({ PRIORITY: '3', NETFREEZE_EXIT: '3', MESSAGE: expect.stringMatching(/no network/) });

    await lab.nft('box', 'add table inet netfreeze { chain mine { accept; }; }');
    expect(await starting(lab.box)).toBe('failed');
    expect(await show(lab.box, 'ExecMainStatus')).toBe('10');
    expect(await journal(lab.box, 'NETFREEZE_EXIT=10')).toHaveLength(1);
    expect(await lab.nft('box', 'list table inet netfreeze')).toContain('chain mine');
    await lab.nft('box', 'delete table inet netfreeze');

    // A freeze by hand, which the unit's can't replace, stands when the unit has failed.
    expectExit(await here('on', lab.box), 0);
    conf(lab.box, 'NETFREEZE_OPTIONS=--mode steal');
    expect(await starting(lab.box)).toBe('failed');
    expectExit(await here('verify', lab.box), 0);
    expectExit(await here('off', lab.box), 0);
    // Options that are none, and an instance that would be one.
    conf(lab.box, 'NETFREEZE_OPTIONS=--lease soon');
    expect(await starting(lab.box)).toBe('failed');
    expect(await show(lab.box, 'ExecMainStatus')).toBe('2');
    expect(await starting('--all')).toBe('failed');
    expect(await show('--all', 'ExecMainStatus')).toBe('3');
    expect(await leftBehind(lab)).toEqual([]);
  });

  test('hold packets through a kill of every process of the unit and a new systemd, and give them back', async () => {
    const lab = await makeLab();
    // By a path, which no instance can be; timers held, peers kicked: all that needs rights.
    const lines = [
      `NETFREEZE_TARGET=path:${lab.file('box')}`,
      'NETFREEZE_OPTIONS=--mode steal --hold-timers',
      'NETFREEZE_OFF_OPTIONS=--kick-peers',
    ];
    conf('nfz-held', ...lines);
    await start('nfz-held');
    await send(lab, 'peer', [{ kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 }]);
    const [keeper] = keepers(lab);
    expect(readFileSync(`/proc/${keeper}/cgroup`, 'utf8')).toContain('0::/netfreeze\n');
    expect(readFileSync(`/proc/${keeper}/oom_score_adj`, 'utf8')).toBe('-1000\n');
    await systemctl('kill', '--signal=KILL', '--kill-whom=all', unit('nfz-held'));
    await systemctl('daemon-reexec');
    expect(await show('nfz-held', 'ActiveState')).toBe('active');
    const { verified, held, notes } = only(await here('status', `path:${lab.file('box')}`, '--json'));
    expect({ verified, held: held?.in.held }).toEqual({ verified: true, held: 10 });
    expect(notes.join()).toMatch(/timers are held/);
    expect(keepers(lab)).toEqual([keeper]);
    await systemctl('stop', unit('nfz-held'));
    const [entry] = await journal('nfz-held', 'NETFREEZE_STATE=thawed');
    expect(entry).toMatchObject({
      MESSAGE: expect.stringMatching(/given back: 10 in .*nothing lost/),
      NETFREEZE_RELEASED: expect.stringMatching(/^1[0-9]$/),
      NETFREEZE_LOST: '0',
    });
    expect(await leftBehind(lab)).toEqual([]);
  });

  test("kick the sockets of another user's program", async () => {
    const lab = await makeLab();
    await lab.start('peer', 'stream', { listen: [address[4].peer, 7000], chunk: 100 });
    const program = `import socket, time
s = socket.create_connection(('${address[4].peer}', 7000))
while True: s.send(b'x'); time.sleep(0.01)`;
    const name = `${lab.box}-sender.service`;
    const options = [`--unit=${name}`, '--uid=65534', `--property=NetworkNamespacePath=${lab.file('box')}`];
    started.add(name);
    await run('systemd-run', ['--quiet', ...options, 'python3', '-c', program]);
    await until('it is connected', 5000, async () => (await lab.run('box', 'ss', '-tnH')).includes(':7000'));
    await start(lab.box);
    await sleep(1000);
    await systemctl('stop', unit(lab.box));
    const [entry] = await journal(lab.box, 'NETFREEZE_STATE=thawed');
    expect(entry?.MESSAGE).toMatch(/1 TCP socket kicked$/);
  });

  test('that are killed while they start leave no freeze, whenever it happens', async () => {
    const lab = await makeLab();
    conf(lab.box, 'NETFREEZE_OPTIONS=--mode steal');
    // How long a start takes here.
    const began = performance.now();
    await start(lab.box);
    const takes = performance.now() - began;
    await systemctl('stop', unit(lab.box));
    for (const part of [0.5, 0.8, 1]) {
      started.add(unit(lab.box));
      await systemctl('start', '--no-block', unit(lab.box));
      await sleep(takes * part);
      await systemctl('kill', '--signal=KILL', '--kill-whom=all', unit(lab.box));
      const state = await until('it has started or failed', 60_000, async () => settled(lab.box));
      if (state === 'active') await systemctl('stop', unit(lab.box));
      expect({ part, left: await leftBehind(lab) }).toEqual({ part, left: [] });
      await systemctl('reset-failed');
    }
  });

  test('start beside a record of another boot', async () => {
    const lab = await makeLab();
    await start(lab.box);
    const [file = ''] = records();
    const stale = readFileSync(file, 'utf8').replace(/"boot":"[^"]*"/, '"boot":"00000000-0000-0000-0000-000000000000"');
    await systemctl('stop', unit(lab.box));
    writeFileSync(file, stale, { mode: 0o600 });
    await start(lab.box);
    expect(readFileSync(file, 'utf8')).not.toContain('00000000-0000-0000-0000-000000000000');
    expectExit(await here('verify', lab.box), 0);
    await systemctl('stop', unit(lab.box));
    expect(await leftBehind(lab)).toEqual([]);
  });

  test('are not removed while one of them is active', async () => {
    const lab = await makeLab();
    await start(lab.box);
    const outcome = expectExit(await here('units', 'remove'), 2);
    expect(outcome.stderr).toContain(`systemctl stop ${unit(lab.box)}`);
    expect(existsSync('/etc/systemd/system/netfreeze@.service')).toBe(true);
  });

  describe('a unit that needs a frozen target', () => {
    const makeShared = useLabs(engine, 'end');
    let shared: { lab: Lab; gauge: Gauge };
    beforeAll(async () => {
      const lab = await makeShared();
      shared = { lab, gauge: await openGauge(lab) };
    });

    test.each([
      ['succeeds', 'true', [], 'inactive'],
      ['fails', 'false', [], 'failed'],
      ['takes too long', 'sleep 1000', ['TimeoutStartSec=3'], 'failed'],
      ['is killed', 'sleep 1000', [], 'failed'],
      [
        'takes all memory that it may',
        'dd if=/dev/zero of=/dev/null bs=300M count=1',
        ['MemoryMax=30M', 'MemorySwapMax=0'],
        'failed',
      ],
    ])('finds it frozen, and it is thawed when that %s', async (how, command, settings, end) => {
      const { lab, gauge } = shared;
      const waiting = `touch ${begun}; while [ -e ${begun} ]; do sleep 0.1; done`;
      const checkpoint = needing(lab.box, `sh -c '${waiting}; exec ${command}'`, settings);
      await begin(checkpoint);
      expect(await gauge.open()).toEqual([]);
      rmSync(begun);
      if (how === 'is killed') await systemctl('kill', '--signal=KILL', checkpoint);
      await until('the freeze has ended', 60_000, async () => (await show(lab.box, 'ActiveState')) === 'inactive');
      expect(await showUnit(checkpoint, 'ActiveState')).toBe(end);
      if (how.includes('memory')) expect(await showUnit(checkpoint, 'Result')).toBe('oom-kill');
      expect(await gauge.open()).toEqual(gauge.all);
      expect(await leftBehind(lab)).toEqual([]);
    });

    test('does not start when the target cannot be frozen, and is stopped when it is thawed', async () => {
      const { lab } = shared;
      await lab.nft('box', 'add table inet netfreeze');
      const checkpoint = needing(lab.box, `sh -c 'touch ${begun}; exec sleep 1000'`, []);
      await expect(run('systemctl', ['start', checkpoint])).rejects.toThrow(/[Dd]ependency/);
      expect(existsSync(begun)).toBe(false);
      await lab.nft('box', 'delete table inet netfreeze');
      await systemctl('reset-failed');

      await begin(checkpoint);
      rmSync(begun);
      await systemctl('stop', unit(lab.box));
      expect(await showUnit(checkpoint, 'ActiveState')).not.toMatch(/^activ/);
      expect(await leftBehind(lab)).toEqual([]);
    });
  });

  /** What a unit of the test's own makes when it begins. */
  const begun = '/run/nfz-checkpoint';

  async function begin(checkpoint: string): Promise<void> {
    await systemctl('start', '--no-block', checkpoint);
    await until('the checkpoint begins', 60_000, async () => existsSync(begun));
  }

  /** netfreeze as a person calls it, on the state of the units. */
  const here = (...args: string[]) => netfreeze({ engine, stateDir }, args);

  const start = async (instance: string) => {
    started.add(unit(instance));
    await systemctl('start', unit(instance)).catch(async (error: unknown) => {
      throw new Error(await statusOf(instance), { cause: error });
    });
  };

  /** @returns what became of a start */
  async function starting(instance: string): Promise<string> {
    started.add(unit(instance));
    await systemctl('start', unit(instance)).catch(() => {});
    return show(instance, 'ActiveState');
  }

  async function settled(instance: string): Promise<string | null> {
    const state = await show(instance, 'ActiveState');
    return ['active', 'failed', 'inactive'].includes(state) ? state : null;
  }

  /** A unit of the test's own that needs the target frozen, as docs/systemd.md has it. */
  function needing(instance: string, command: string, settings: string[]): string {
    const name = `${instance}-checkpoint.service`;
    const file = join('/etc/systemd/system', name);
    const needs = ['BindsTo', 'After'].map((key) => `${key}=netfreeze-while@${instance}.target`);
    expect(docs).toContain('BindsTo=netfreeze-while@%i.target\nAfter=netfreeze-while@%i.target');
    const service = ['Type=oneshot', `ExecStart=${command}`, ...settings];
    writeFileSync(file, `${['[Unit]', ...needs, '[Service]', ...service].join('\n')}\n`);
    made.push(file);
    started.add(name).add(unit(instance));
    return name;
  }

  /** Everything that a freeze could have left: tables, records, locks, keepers. */
  async function leftBehind(lab: Lab): Promise<string[]> {
    const tables = (await lab.nft('box', 'list tables')).split('\n').filter((line) => line !== '');
    return [...tables, ...records(), ...keepers(lab).map((pid) => `keeper ${pid}`)];
  }

  /** Whoever is killed leaves a lock file that is locked by nobody. */
  const records = () =>
    (existsSync(stateDir) ? readdirSync(stateDir) : [])
      .filter((name) => !name.endsWith('.lock'))
      .map((name) => join(stateDir, name));

  function keepers(lab: Lab): number[] {
    const { dev, ino } = statSync(lab.file('box'));
    return keepersNamed(`net-${dev}-${ino}`);
  }

  function conf(instance: string, ...lines: string[]): void {
    const file = `/etc/netfreeze/${instance}.conf`;
    writeFileSync(file, `${lines.join('\n')}\n`);
    made.push(file);
  }

  async function journal(instance: string, ...matches: string[]): Promise<Array<Record<string, string>>> {
    await run('journalctl', ['--sync']);
    const out = await run('journalctl', ['--output=json', `--unit=${unit(instance)}`, '--reverse', ...matches]);
    return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Record<string, string>]));
  }
});

const unit = (instance: string) => `netfreeze@${instance}.service`;
const systemctl = (...args: string[]) => run('systemctl', args);
const show = (instance: string, property: string) => showUnit(unit(instance), property);
const showUnit = async (name: string, property: string) =>
  (await run('systemctl', ['show', '--value', `--property=${property}`, '--', name])).trim();

/** `systemctl status` ends with 3 for what is not active. */
const statusOf = (instance: string) =>
  run('sh', ['-c', 'systemctl status --no-pager --full -- "$0" || [ $? = 3 ]', unit(instance)]);
