/** Where systemd is the first process: what it starts it also ends, but not a freeze. */
import { readFileSync } from 'node:fs';
import { describeEngines } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { keeperOf } from '../kernel/rig/keeper';
import { address, type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, netfreezeProgram, only } from '../kernel/rig/netfreeze';
import { send } from '../kernel/rig/packets';
import { run } from '../kernel/rig/program';
import { patience } from '../kernel/rig/wait';

describeEngines('under systemd', (engine) => {
  const makeLab = useLabs(engine);

  test('the machine has systemd as its first process, and it is up', async () => {
    expect(readFileSync('/proc/1/comm', 'utf8')).toBe('systemd\n');
    // Other tests, at the same time, have units that fail on purpose.
    expect(await run('sh', ['-c', 'systemctl is-system-running || :'])).toMatch(/^(running|degraded)\n$/);
    const failed = await run('systemctl', ['list-units', '--failed', '--plain', '--no-legend']);
    expect(failed.split('\n').filter((line) => line !== '' && !/nfz|netfreeze/.test(line))).toEqual([]);
  });

  test('a freeze that a transient unit has made stands when the unit and its processes are gone', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const unit = `${lab.box}.service`;
    await inUnit(lab, unit, 'on', lab.box, '--reason', 'from a unit');
    // Collected: systemd has ended all that was left of it.
    expect(await run('systemctl', ['show', '--property=LoadState', unit])).toBe('LoadState=not-found\n');
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect(only(await lab.netfreeze('status', lab.box, '--json'))).toMatchObject({ state: 'frozen', verified: true });

    await inUnit(lab, unit, 'off', lab.box);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('packets that a transient unit has stolen are held when the unit is gone, and said to be in danger where they are', async () => {
    const lab = await makeLab();
    const unit = `${lab.box}.service`;
    await inUnit(lab, unit, 'on', lab.box, '--mode', 'steal');
    expect(await run('systemctl', ['show', '--property=LoadState', unit])).toBe('LoadState=not-found\n');
    await send(lab, 'peer', [{ kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 }]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const keeper = await keeperOf(lab);
    expect(readFileSync(`/proc/${keeper}/cgroup`, 'utf8')).toBe('0::/netfreeze\n');
    expect(readFileSync(`/proc/${keeper}/oom_score_adj`, 'utf8')).toBe('-1000\n');
    expect((await lab.thaw()).stdout).toMatch(/given back: 10 in .*nothing lost/);

    const bound = ['ProtectControlGroups=yes'];
    const said = await run('systemd-run', [
      '--pipe',
      ...unitOptions(lab, bound),
      'sh',
      '-c',
      `${netfreezeProgram} on ${lab.box} --mode steal 2>&1`,
    ]);
    expect(said).toMatch(/its keeper could not be given a cgroup of its own/);
    expectExit(await lab.netfreeze('verify', lab.box), 10);
    expectExit(await lab.netfreeze('off', lab.box), 0);
  });

  test("a unit that may write only netfreeze's state can freeze", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const hardened = ['ProtectSystem=strict', 'ProtectHome=yes', `ReadWritePaths=${lab.stateDir}`];
    await run('systemd-run', [
      ...unitOptions(lab, hardened),
      netfreezeProgram,
      'on',
      lab.box,
      '--lease',
      `${30 * patience}s`,
    ]);
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  /** Runs netfreeze in a unit of that name, to its end; fails when it does. */
  const inUnit = (lab: Lab, unit: string, ...args: string[]) =>
    run('systemd-run', [`--unit=${unit}`, ...unitOptions(lab), netfreezeProgram, ...args]);

  function unitOptions(lab: Lab, properties: string[] = []): string[] {
    return [
      ...['--wait', '--collect', '--quiet', '--property=KillMode=control-group'],
      ...[`--setenv=NETFREEZE_ENGINE=${engine}`, `--setenv=NETFREEZE_STATE_DIR=${lab.stateDir}`],
      ...properties.map((property) => `--property=${property}`),
    ];
  }
});
