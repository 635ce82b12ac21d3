/** Units and machines as targets, where systemd is the first process: what it runs is frozen by its name. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describeEngines } from '../kernel/rig/describe';
import { type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, only } from '../kernel/rig/netfreeze';
import { run } from '../kernel/rig/program';
import { until } from '../kernel/rig/wait';

const folder = '/run/systemd/system';

describeEngines('a unit of systemd', (engine) => {
  const makeLab = useLabs(engine);
  const started: string[] = [];
  afterEach(async () => {
    for (const name of started.splice(0)) {
      await run('systemctl', ['stop', '--', name]);
      rmSync(`${folder}/${name}`, { force: true });
      rmSync(`${folder}/${name}.d`, { recursive: true, force: true });
    }
    await run('systemctl', ['daemon-reload']);
  });

  /** Starts a service of these settings. */
  async function start(name: string, settings: string[], unit: string[] = []): Promise<void> {
    const lines = ['[Unit]', ...unit, '[Service]', 'ExecStart=/bin/sleep 3600', 'KillMode=mixed', ...settings, ''];
    writeFileSync(`${folder}/${name}`, lines.join('\n'));
    started.push(name);
    await run('systemctl', ['daemon-reload']);
    await run('systemctl', ['start', '--', name]);
  }

  const mainPid = async (name: string) =>
    (await run('systemctl', ['show', '--property=MainPID', '--value', '--', name])).trim();
  const tables = async (pid: string) => run('nsenter', [`--net=/proc/${pid}/ns/net`, 'nft', 'list tables']);
  const on = async (lab: Lab, name: string) => only(expectExit(await lab.netfreeze('on', name, '--json'), 0));

  test('with a private network is frozen and thawed by its name, and so are those that join it', async () => {
    const lab = await makeLab();
    await start('nfz-own.service', ['PrivateNetwork=yes']);
    await start('nfz-guest.service', ['PrivateNetwork=yes'], ['JoinsNamespaceOf=nfz-own.service']);
    const pid = await mainPid('nfz-own.service');
    const frozen = await on(lab, 'nfz-own');
    expect(frozen).toMatchObject({ target: 'unit:nfz-own.service', state: 'frozen', verified: true });
    expect(frozen.notes).toEqual(['it shares its namespace with unit:nfz-guest.service: frozen too']);
    expect(await tables(pid)).toContain('inet netfreeze');
    const { stdout } = expectExit(await lab.netfreeze('status'), 0);
    expect(stdout).toMatch(/^unit:nfz-own.service {2}frozen, verified\n {2}also +unit:nfz-guest.service$/m);
    expectExit(await lab.netfreeze('off', 'unit:nfz-guest'), 0);
    expect(await tables(pid)).toBe('');
  });

  test('in a namespace of ip netns is frozen there', async () => {
    const lab = await makeLab();
    await start('nfz-there.service', [`NetworkNamespacePath=${lab.file('box')}`]);
    await on(lab, 'unit:nfz-there');
    expect(await lab.nft('box', 'list tables')).toContain('inet netfreeze');
    // Restarted, it is in the same one.
    await run('systemctl', ['restart', 'nfz-there']);
    expectExit(await lab.netfreeze('verify', 'nfz-there'), 0);
    expectExit(await lab.netfreeze('off', 'nfz-there'), 0);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test("on the host's network is refused with 2, one that has stopped or never was with 3", async () => {
    const lab = await makeLab();
    await start('nfz-hosted.service', []);
    for (const name of ['nfz-hosted', 'unit:nfz-hosted.service']) {
      const { stderr } = expectExit(await lab.netfreeze('on', name, '--lease', '1s', '--dry-run'), 2);
      expect(stderr).toContain("unit:nfz-hosted.service is a unit on the host's network");
      expect(stderr).toContain('PrivateNetwork=');
    }
    const near = expectExit(await lab.netfreeze('on', 'unit:nfz-hostet'), 3);
    expect(near.stderr).toContain('did you mean unit:nfz-hosted?');
    await run('systemctl', ['stop', 'nfz-hosted']);
    const { stderr } = expectExit(await lab.netfreeze('on', 'nfz-hosted'), 3);
    expect(stderr).toContain('unit:nfz-hosted.service is not running (inactive/dead)');
    expect(expectExit(await lab.netfreeze('on', 'nfz-nobody'), 3).stderr).toContain(
      'and systemd knows nothing of that name',
    );
  });

  test('that is a machine of nspawn is frozen where its leader is, and not where nspawn is', async () => {
    const lab = await makeLab();
    const name = 'systemd-nspawn@nfz\\x2dweb.service';
    mkdirSync(`${folder}/${name}.d`, { recursive: true });
    const nspawn =
      'systemd-nspawn --quiet --keep-unit --register=no --machine=nfz-web --directory=/ --volatile=yes --private-network --as-pid2 /bin/sleep 3600';
    writeFileSync(
      `${folder}/${name}.d/test.conf`,
      `[Service]\nType=simple\nWatchdogSec=0\nExecStart=\nExecStart=${nspawn}\n`,
    );
    started.push(name);
    await run('systemctl', ['daemon-reload']);
    await run('systemctl', ['start', '--', name]);
    // Nothing tells when nspawn has put its child where it belongs, but that it is there.
    const frozen = await until('the machine has a network of its own', 20_000, async () => {
      const outcome = await lab.netfreeze('on', 'nfz-web', '--json');
      return outcome.exit === 0 && only(outcome);
    });
    expect(frozen).toMatchObject({ target: `unit:${name}`, state: 'frozen' });
    const nspawnItself = await mainPid(name);
    expect(await run('readlink', [`/proc/${nspawnItself}/ns/net`])).toBe(await run('readlink', ['/proc/1/ns/net']));
    expectExit(await lab.netfreeze('verify', `unit:${name}`), 0);
    expectExit(await lab.netfreeze('off', 'unit:nfz-web'), 0);
  });
});
