/** A command under a freeze, as the packets see it: nothing passes while it runs, and nothing is left when it has ended. */
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines, describeOneEngine } from './rig/describe';
import { type Gauge, openGauge } from './rig/gauge';
import { keeperOf, keepersNamed, untilGone, wordsOf } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, only, type Report } from './rig/netfreeze';
import { send } from './rig/packets';
import { processesNamed } from './rig/processes';
import { type RunEnd, startRun } from './rig/running';
import { stateIn } from './rig/state';
import { patience, sleep, until } from './rig/wait';

/** Nothing of a freeze is left, and packets pass. */
async function expectNothingLeft(lab: Lab, gauge: Gauge): Promise<void> {
  expect(await gauge.open()).toEqual(gauge.all);
  expect(await lab.nft('box', 'list ruleset')).toBe('');
  expect(stateIn(lab).filter((name) => !name.startsWith('run-'))).toEqual([]);
  const { namespace } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
  expect(keepersNamed(`net-${namespace.device}-${namespace.inode}`)).toEqual([]);
}

describeEngines('run', (engine) => {
  const makeLab = useLabs(engine);

  test.each(['drop', 'steal'])('(%s) the command runs in a proven freeze, and then traffic flows', async (mode) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, {
      options: ['--mode', mode],
      after: 'echo result; echo complaint >&2; env >environment',
      before: `cd ${lab.stateDir}/run-*`,
    });
    await run.started();
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect((await lab.netfreeze('status', lab.box)).stdout).toContain(`a command runs under it (netfreeze run`);
    const { inode, device } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).namespace;
    const record = join(lab.stateDir, `net-${device}-${inode}.json`);
    expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({ phase: 'frozen', run: { pid: run.pid } });
    const end = await run.finish();
    expect(end).toMatchObject({ exit: 0, stdout: 'result\n' });
    // The command's own complaint stands between what netfreeze says before and after.
    expect(end.stderr).toMatch(/^netfreeze: .* is frozen \(.*\ncomplaint\nnetfreeze: .* is thawed/);
    const folder = readdirSync(lab.stateDir).find((name) => name.startsWith('run-')) ?? '';
    const environment = readFileSync(join(lab.stateDir, folder, 'environment'), 'utf8').split('\n');
    expect(environment).toEqual(
      expect.arrayContaining([
        `NETFREEZE_TARGET=netns:${lab.box}`,
        `NETFREEZE_NAMESPACE=${inode}`,
        `NETFREEZE_MODE=${mode}`,
        `NETFREEZE_RECORD=${record}`,
      ]),
    );
    await expectNothingLeft(lab, gauge);
  });

  test('the freeze is renewed as long as the command runs', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--lease', `${3 * patience}s`] });
    await run.started();
    await sleep(5000 * patience);
    expect(await gauge.open()).toEqual([]);
    expect(await run.finish()).toMatchObject({ exit: 0 });
    await expectNothingLeft(lab, gauge);
  });

  test('packets that are stolen meanwhile are given back, also across renewals', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--mode', 'steal', '--lease', `${3 * patience}s`] });
    await run.started();
    const sent = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;
    await send(lab, 'peer', [sent]);
    await sleep(2500 * patience);
    await send(lab, 'peer', [sent]);
    const end = await run.finish();
    expect(end).toMatchObject({ exit: 0 });
    expect(end.stderr).toMatch(/given back: 20 in .*nothing lost/);
    await expectNothingLeft(lab, gauge);
  });

  test('a freeze that is changed meanwhile: the command is stopped, 10, rolled back', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine);
    await run.started();
    await lab.nft('box', 'insert rule inet netfreeze output accept');
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toMatch(/did not hold to the end: .* its table was changed meanwhile, by nft/);
    await expectNothingLeft(lab, gauge);
  });

  test.each([
    ['a rule', 'insert rule inet netfreeze output accept', 'delete rule inet netfreeze output handle $handle'],
    ['a policy', 'chain inet netfreeze output { policy drop; }', 'chain inet netfreeze output { policy accept; }'],
    ['dormant', 'add table inet netfreeze { flags dormant; }', 'add table inet netfreeze'],
  ])('a change that is undone at once (%s) is noticed: 10, though the command ended well', async (_, change, back) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const script = join(lab.stateDir, 'run-change.sh');
    const handle = "$(nft -a list chain inet netfreeze output | sed -n 's/^[[:space:]]*accept # handle //p')";
    // To be netfreeze's end before it has looked, it is quick; either way it is noticed.
    writeFileSync(script, `nft '${change}'\nhandle=${handle}\nnft "${back}"\n`);
    const after = `nsenter --net=${lab.file('box')} sh ${script} >/dev/null`;
    const end = await startRun(lab, engine, { after }).finish();
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toMatch(/did not hold to the end: .* its table was changed meanwhile/);
    await expectNothingLeft(lab, gauge);
  });

  test('after success it stays frozen where that was asked for, without an end or for the lease', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const end = await startRun(lab, engine, { options: ['--stay-frozen', '--mode', 'steal'] }).finish();
    expect(end).toMatchObject({ exit: 0 });
    expect(end.stderr).toMatch(/stays frozen \(endless\)/);
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0))).toMatchObject({
      state: 'frozen',
      lease: null,
      notes: [],
    });
    await send(lab, 'peer', [{ kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 }]);
    expect(await gauge.open()).toEqual([]);
    expect((await lab.thaw()).stdout).toMatch(/nothing lost/);

    const again = await startRun(lab, engine, { options: ['--stay-frozen', '--lease', '10m'] }).finish();
    expect(again.stderr).toMatch(/stays frozen \(thaws by itself in (10|9)/);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    await expectNothingLeft(lab, gauge);
  });
});

describeOneEngine('run, and what goes wrong', (engine) => {
  const makeLab = useLabs(engine);

  test.each([
    ['a status', 'exit 3', 3, /sh ended with status 3: the checkpoint failed/],
    ['a signal', 'kill -KILL $$', 137, /sh was ended by SIGKILL/],
  ])('a command that fails with %s: rolled back, and its status is the run’s', async (_, after, exit, message) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const end = await startRun(lab, engine, { options: ['--stay-frozen'], after }).finish();
    expect(end).toMatchObject({ exit });
    expect(end.stderr).toMatch(message);
    await expectNothingLeft(lab, gauge);
  });

  test("another program's tables, such as CRIU's lock, may come and go beside it", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine);
    await run.started();
    await lab.nft(
      'box',
      'add table inet CRIU-77; add chain inet CRIU-77 output { type filter hook output priority 0; }',
    );
    await sleep(300);
    await lab.nft('box', 'delete table inet CRIU-77');
    expect(await run.finish()).toMatchObject({ exit: 0 });
    await expectNothingLeft(lab, gauge);
  });

  test('a CRIU lock beside a steal is told of: what was held when it went is lost', async () => {
    const lab = await makeLab();
    const run = startRun(lab, engine, { options: ['--mode', 'steal'] });
    await run.started();
    await lab.nft(
      'box',
      'add table inet CRIU-77; add chain inet CRIU-77 output { type filter hook output priority 0; }',
    );
    await send(lab, 'peer', [{ kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 }]);
    await lab.nft('box', 'delete table inet CRIU-77');
    const end = await run.finish();
    expect(end.stderr).toMatch(/LOST: 10 in/);
    expect(end.stderr).toMatch(/its own lock beside this freeze \(CRIU-77\)/);
  });

  test('more changes than can be followed, of whatever table: 10', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const flood = join(lab.stateDir, 'run-flood.nft');
    const address = (at: number) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
    const elements = Array.from({ length: 120_000 }, (_, at) => address(at)).join(', ');
    writeFileSync(flood, `table inet noise { set s { type ipv4_addr; elements = { ${elements} }; }; }`);
    const after = `nsenter --net=${lab.file('box')} sh -c 'nft -f ${flood} && nft delete table inet noise'`;
    const end = await startRun(lab, engine, { after }).finish();
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toContain('nftables was changed more often than could be followed');
    await lab.nft('box', 'add table inet noise; delete table inet noise');
    await expectNothingLeft(lab, gauge);
  });

  test('a way past the hooks that comes and goes: 10', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const way = 'table netdev x { chain c { type filter hook ingress device toPeer priority 0; accept; }; }';
    const after = `nsenter --net=${lab.file('box')} sh -c 'nft "${way}" && nft delete table netdev x'`;
    const end = await startRun(lab, engine, { after }).finish();
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toContain('packets were given ways past the freeze meanwhile, by nft');
    await lab.nft('box', 'add table netdev x; delete table netdev x');
    await expectNothingLeft(lab, gauge);
  });

  test('what somebody else freezes meanwhile makes it fail, and stays frozen', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine);
    await run.started();
    await lab.freeze('--reason', 'quarantine');
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toContain('was frozen by somebody else meanwhile, and stays so');
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
  });

  test('a fault in a renewal, and in the roll-back as well: 7, and the lease ends the freeze', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--lease', `${3 * patience}s`] });
    await run.started();
    // No file can be opened any more.
    await lab.run('box', 'prlimit', '--pid', `${run.pid}`, '--nofile=4');
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 7 });
    expect(end.stderr).toMatch(/EMFILE.*and the thaw failed too: .*EMFILE/s);
    await until('the lease ends', 4000, async () => (await gauge.open()).length === gauge.all.length);
    expectExit(await lab.netfreeze('off', lab.box), 0);
  });

  test('thawed by somebody else meanwhile: 10', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine);
    await run.started();
    await lab.thaw();
    expect(await run.ended).toMatchObject({ exit: 10 });
    await expectNothingLeft(lab, gauge);
  });

  test('a keeper that is killed meanwhile: 10', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--mode', 'steal'] });
    await run.started();
    process.kill(await keeperOf(lab), 'SIGKILL');
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toContain('its keeper has ended meanwhile');
    await expectNothingLeft(lab, gauge);
  });

  test('a netfreeze that was stopped for longer than the lease: traffic flows again, and the run has failed', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--lease', `${patience}s`] });
    await run.started();
    process.kill(run.pid, 'SIGSTOP');
    await until('the lease ends', 5000, async () => (await gauge.open()).length > 0);
    expect(await gauge.open()).toEqual(gauge.all);
    process.kill(run.pid, 'SIGCONT');
    const end = await run.finish();
    expect(end).toMatchObject({ exit: 10 });
    expect(end.stderr).toMatch(/its lease has (just )?ended/);
    await expectNothingLeft(lab, gauge);
  });

  test('a thaw that fails at the end: 7', async () => {
    const lab = await makeLab();
    const run = startRun(lab, engine);
    await run.started();
    // Not ours any more: `off` does not touch it.
    await lab.nft('box', 'delete table inet netfreeze; add table inet netfreeze');
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 7 });
    expect(end.stderr).toMatch(/the thaw failed too: .*a table named netfreeze that netfreeze did not make/);
    await lab.nft('box', 'delete table inet netfreeze');
    expectExit(await lab.netfreeze('off', lab.box), 0);
  });
});

describeOneEngine('run, and who ends it', (engine) => {
  const makeLab = useLabs(engine);
  const expectThawed = async (lab: Lab, gauge: Gauge) => {
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  };

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s is passed on, and all is rolled back', async (signal, exit) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--stay-frozen'] });
    const command = await run.started();
    process.kill(run.pid, signal);
    expect(await run.ended).toMatchObject({ exit });
    expect(wordsOf(command)).toEqual([]);
    await expectThawed(lab, gauge);
  });

  test.each([
    ['its own status', 'trap "exit 5" TERM', 5],
    ['0, which is no success', 'trap "exit 0" TERM', 143],
  ])('a command that ends a signal with %s', async (_, before, exit) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { before, options: ['--stay-frozen'] });
    await run.started();
    process.kill(run.pid, 'SIGTERM');
    expect(await run.ended).toMatchObject({ exit });
    await expectThawed(lab, gauge);
  });

  test('a command that takes too long is stopped, and one that does not hear is killed, with all that it has started', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const polite = await startRun(lab, engine, { options: ['--timeout', `${patience}s`] }).ended;
    expect(polite).toMatchObject({ exit: 143 });
    expect(polite.stderr).toMatch(/took longer than .* and was stopped/);
    await expectThawed(lab, gauge);

    const child = join(lab.stateDir, 'child');
    const before = `trap '' TERM; sleep 1000 & echo $! >${child}`;
    const run = startRun(lab, engine, { options: ['--timeout', `${patience}s`], before });
    await run.started();
    expect(await run.ended).toMatchObject({ exit: 137 });
    expect(wordsOf(Number(readFileSync(child, 'utf8')))).toEqual([]);
    await expectThawed(lab, gauge);

    const well = startRun(lab, engine, { options: ['--timeout', `${patience}s`], before: 'trap "exit 0" TERM' });
    expect(await well.ended).toMatchObject({ exit: 9 });
  });

  test('a netfreeze that is killed: the command dies with all that it has started, and the lease ends the freeze', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const child = join(lab.stateDir, 'child');
    // The child is in a process group of its own, as a shell with job control makes it.
    const before = `set -m; sleep 1000 & echo $! >${child}; set +m`;
    const run = startRun(lab, engine, { options: ['--lease', `${2 * patience}s`], before });
    const command = await run.started();
    const orphan = Number(readFileSync(child, 'utf8'));
    // A guard that is killed is followed by another.
    for (const guard of processesNamed('netfreeze-guard', String(run.pid))) process.kill(guard, 'SIGKILL');
    await until('another guard', 2000, async () => processesNamed('netfreeze-guard', String(run.pid)).length === 1);
    process.kill(run.pid, 'SIGKILL');
    expect(await run.ended).toMatchObject({ signal: 'SIGKILL' });
    await untilGone(command, 1000);
    await untilGone(orphan, 1000);
    expect(await gauge.open()).toEqual([]);
    const status = await lab.netfreeze('status', lab.box);
    expect(status.stdout).toContain('has ended without thawing it');
    // The next run takes over what it left.
    const next = startRun(lab, engine, { options: ['--lease', `${2 * patience}s`] });
    await next.started();
    expect(await gauge.open()).toEqual([]);
    process.kill(next.pid, 'SIGKILL');
    await until('the lease ends', 5000, async () => (await gauge.open()).length === gauge.all.length);
  });

  test('where it is to stay, it has no end', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const run = startRun(lab, engine, { options: ['--on-death', 'stay'] });
    const command = await run.started();
    process.kill(run.pid, 'SIGKILL');
    await untilGone(command, 1000);
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0))).toMatchObject({
      state: 'frozen',
      lease: null,
    });
    await lab.thaw();
    await expectThawed(lab, gauge);
  });

  test('what is frozen already is refused, with the one who is at work on it', async () => {
    const lab = await makeLab();
    await lab.freeze('--reason', 'mine');
    const refused = await startRun(lab, engine).ended;
    expect(refused).toMatchObject({ exit: 2 });
    expect(refused.stderr).toMatch(/is frozen already/);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();

    const first = startRun(lab, engine);
    await first.started();
    const second = await startRun(lab, engine).ended;
    expect(second).toMatchObject({ exit: 8 });
    expect(second.stderr).toContain(`process ${first.pid}`);
    expect(await first.finish()).toMatchObject({ exit: 0 });
  });

  test('a target that ends with its command is said to be gone, where its namespace was to stay frozen', async () => {
    const lab = await makeLab();
    const pid = await lab.resident('box');
    const options = ['run', `pid:${pid}`, '--stay-frozen', '--', 'kill', '-KILL', `${pid}`];
    const outcome = expectExit(await lab.netfreeze(...(options as [string, ...string[]])), 0);
    expect(outcome.stderr).toContain(`pid:${pid} has ended: where nothing else keeps its namespace`);
    // Here a name keeps it.
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
  });

  test('several targets are frozen together, and each has a line in the environment', async () => {
    const [lab, other] = [await makeLab(), await makeLab()];
    const gauges = [await openGauge(lab), await openGauge(other)];
    const said = join(lab.stateDir, 'targets');
    // Twice the same is once.
    const options = [other.box, lab.box];
    const run = startRun(lab, engine, { options, after: `echo "$NETFREEZE_TARGET" >${said}` });
    await run.started();
    for (const gauge of gauges) expect(await gauge.open()).toEqual([]);
    expect(await run.finish()).toMatchObject({ exit: 0 });
    expect(readFileSync(said, 'utf8')).toBe(`netns:${lab.box}\nnetns:${other.box}\n`);
    for (const gauge of gauges) expect(await gauge.open()).toEqual(gauge.all);
  });

  test('one of several that does not exist: none is frozen, and no command starts', async () => {
    const lab = await makeLab();
    const run = startRun(lab, engine, { options: [`${lab.box}-not`] });
    const end = await run.ended;
    expect(end).toMatchObject({ exit: 3, stdout: '' });
    expect(end.stderr).toMatch(/there is no network namespace named/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});

describeOneEngine('run, and what can’t be started', (engine) => {
  const makeLab = useLabs(engine);

  test('a program that is not there, may not be executed or has no interpreter: 9, and nothing is touched', async () => {
    const lab = await makeLab();
    const script = join(lab.stateDir, 'script');
    writeFileSync(script, '#!/no/such/interpreter\n');
    const attempt = async (...words: string[]) => {
      const outcome = await lab.netfreeze('run', lab.box, '--', ...words);
      expect(outcome).toMatchObject({ exit: 9, stdout: '' });
      return outcome.stderr;
    };
    expect(await attempt('nfz-no-such-program')).toContain('it is in no directory of PATH; nothing was frozen');
    expect(await attempt(`${lab.stateDir}/nothing`)).toContain('there is no such file');
    expect(await attempt(lab.stateDir)).toContain('it is no file');
    expect(await attempt('')).toContain("can't be started");
    chmodSync(script, 0o600);
    expect(await attempt(script)).toContain('it may not be executed');
    chmodSync(script, 0o700);
    expect(await attempt(script)).toContain('its interpreter /no/such/interpreter is not there');
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    expect(stateIn(lab)).toEqual(['script']);
  });

  test('without setpriv: 5, and nothing is touched', async () => {
    const lab = await makeLab();
    const env = { PATH: lab.stateDir };
    const node = process.execPath;
    const outcome = await lab.netfreezeIn({ env, through: [node] }, 'run', lab.box, '--', '/bin/true');
    expect(outcome).toMatchObject({ exit: 5 });
    expect(outcome.stderr).toContain('apt-get install util-linux');
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('no process to be had for it: 9, rolled back', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const noShell = 'mount --bind /dev/null "$(readlink -f /bin/sh)"; exec "$@"';
    const through = ['unshare', '--mount', 'bash', '-c', noShell, 'bash'];
    const outcome = await lab.netfreezeIn({ through }, 'run', lab.box, '--', 'true');
    expect(outcome.stderr).toMatch(/is frozen .*\n.* is thawed .*\n.*true could not be started/);
    expect(outcome).toMatchObject({ exit: 9, stdout: '' });
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test.each<[string, string[], string]>([
    ['no command', ['BOX'], 'no command is given'],
    ['nothing behind --', ['BOX', '--'], 'no command is given'],
    ['no target', ['--', 'true'], 'no target is given'],
    ['a lease and no end', ['BOX', '--lease', '5s', '--on-death', 'stay', '--', 'true'], 'exclude each other'],
    ['two kicks', ['BOX', '--no-kick', '--kick-peers', '--', 'true'], 'exclude each other'],
    ['an odd timeout', ['BOX', '--timeout', 'soon', '--', 'true'], '--timeout'],
    ['--all', ['--all', '--', 'true'], '--all'],
    ['the host', ['pid:1', '--', 'true'], 'is'],
  ])('%s: 2, on standard error, also as JSON', async (_, args, message) => {
    const lab = await makeLab();
    const words = args.map((word) => (word === 'BOX' ? lab.box : word));
    if (args[0] === 'pid:1') words[0] = `pid:${process.pid}`;
    const outcome = await lab.netfreeze('run', ...words);
    expect(outcome).toMatchObject({ exit: 2, stdout: '' });
    expect(outcome.stderr).toContain(message);
    const json = await lab.netfreeze('run', '--json', ...words);
    expect(json).toMatchObject({ exit: 2, stdout: '' });
    expect(JSON.parse(json.stderr)).toMatchObject({ schema: 'netfreeze/1', error: { exit: 2 } });
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('a dry run starts nothing and touches nothing', async () => {
    const lab = await makeLab();
    const made = join(lab.stateDir, 'made');
    const outcome = await lab.netfreeze('run', lab.box, '--dry-run', '--', 'touch', made);
    expect(outcome).toMatchObject({ exit: 0, stdout: '' });
    expect(outcome.stderr).toMatch(/rehearsed, not touched/);
    expect(existsSync(made)).toBe(false);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('options behind -- are the command’s, and the report says what became of it', async () => {
    const lab = await makeLab();
    const report = (end: Pick<RunEnd, 'stderr'>) => JSON.parse(end.stderr) as Report & { command: object };
    const well = await lab.netfreeze('run', '--json', lab.box, '--', 'echo', '--json', '--', '--mode');
    expect(well).toMatchObject({ exit: 0, stdout: '--json -- --mode\n' });
    expect(report(well)).toMatchObject({
      targets: [{ target: `netns:${lab.box}`, state: 'thawed', verified: true, changed: true }],
      command: { words: ['echo', '--json', '--', '--mode'], status: 0, signal: null, held: true },
    });
    const badly = await lab.netfreeze('run', '--json', lab.box, '--', 'false');
    expect(badly.exit).toBe(1);
    expect(report(badly)).toMatchObject({
      targets: [{ state: 'thawed' }],
      error: { code: 'command-failed', exit: 1 },
      command: { status: 1, held: true },
    });
  });
});
