/** The keeper of a steal: what it is, what it outlives, and what it does not. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { takeSocket } from '../../src/hold/keeper';
import { pin, release } from '../../src/namespace/namespace';
import { startOf } from '../../src/platform/process';
import { stateName } from '../../src/record/record';
import { aloneWith } from './rig/alone';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import {
  descriptorsOf,
  endKeepersOf,
  keeperOf,
  keepersNamed,
  keepersOf,
  statusOf,
  untilGone,
  wordsOf,
} from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, netfreeze, netfreezeProgram, only } from './rig/netfreeze';
import { send } from './rig/packets';
import { run } from './rig/program';
import { expectEveryByte, openStream } from './rig/streams';
import { together } from './rig/together';
import { patience, sleep, until } from './rig/wait';

const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box } as const;

describeEngines('the keeper', (engine) => {
  const makeLab = useLabs(engine);

  test('says what it is and for whom, and is a small process of its own', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal', '--lease', '1m');
    const pid = await keeperOf(lab);
    const { namespace } = only(await lab.netfreeze('status', lab.box, '--json'));
    const [name, script, target, state] = wordsOf(pid);
    expect([name, target, state]).toEqual([
      'netfreeze-keeper',
      `netns:${lab.box}`,
      `net-${namespace.device}-${namespace.inode}`,
    ]);
    expect(script).toMatch(/keeper\.sh$/);
    expect(statusOf(pid, 'Name')).toBe('netfreeze-keepe');
    // It leads its session, and its parent is not netfreeze, which has ended.
    const [, , , , , group, session] = ` ${readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /, '0 0 ')}`.split(
      ' ',
    );
    expect([group, session]).toEqual([String(pid), String(pid)]);
    const open = descriptorsOf(pid);
    expect([open[0], open[1], open[2]]).toEqual(['/dev/null', '/dev/null', '/dev/null']);
    const others = Object.entries(open).filter(
      ([, file]) => !/null$|keeper\.sh$|^socket:|nfnetlink_queue$|netns|^net:/.test(file),
    );
    expect(others).toEqual([]);
    expect(residentOf(pid)).toBeLessThan(3 * 1024);
    if (mayProtect()) expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('-1000\n');
    const cgroups = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    expect(cgroups).toMatch(/^[0-9]+:(name=systemd)?:\/(.*\/)?netfreeze$/m);
    await lab.thaw();
    expect(keepersNamed(state ?? '')).toEqual([]);
  });

  test('keeps nobody waiting who reads what netfreeze prints', async () => {
    const lab = await makeLab();
    // execa waits until every copy of the pipes is closed; a third pipe is one that the caller has left open.
    const outcome = await netfreeze(
      { engine, stateDir: lab.stateDir, through: ['sh', '-c', 'exec 9>&1; exec "$@"', 'sh'] },
      ['on', lab.box, '--mode', 'steal'],
    );
    expectExit(outcome, 0);
    expect(Object.values(descriptorsOf(await keeperOf(lab))).filter((file) => file.startsWith('pipe:'))).toEqual([]);
  });

  test('dies: the namespace stays frozen, status and verify say so, on repairs it, and what was held is counted as lost', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const stream = await openStream(lab, { client: 'peer', server: 'box', address: address[4].box, port: 7320 });
    await lab.freeze('--mode', 'steal');
    await until('something is held', 3000, async () => (await heldIn(lab)) > 3);
    process.kill(await keeperOf(lab), 'SIGKILL');
    await until('the queues are unbound', 2000, async () => (await queues(lab)) === '');
    expect(await gauge.open()).toEqual([]);
    const drifted = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    expect(drifted).toMatchObject({ state: 'drifted', held: { in: { held: 0, released: 0 } } });
    expect(drifted.held?.in.lost).toBeGreaterThan(3);
    const verified = expectExit(await lab.netfreeze('verify', lab.box), 10);
    expect(verified.stderr).toMatch(/its keeper is gone/);
    expectExit(await lab.netfreeze('renew', lab.box, '--lease', '1m'), 10);

    await lab.freeze('--mode', 'steal');
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const thawed = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0));
    expect(thawed.held?.in.lost).toBeGreaterThan(3);
    // TCP makes good what was lost.
    await expectEveryByte(stream, 15_000);
  });

  test('off where it can not be seen leaves what it holds alone, unless that is to be discarded', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ ...job, count: 5 }]);
    const through = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--propagation', 'private'];
    const outcome = expectExit(await lab.netfreezeIn({ through }, 'off', lab.box), 4);
    expect(outcome.stderr).toMatch(/5 packets are held by a process .* can't be seen from here; it stays frozen/);
    expect((await lab.thaw()).stdout).toMatch(/given back: 5 in .*nothing lost/);

    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ ...job, count: 5 }]);
    expect((await lab.netfreezeIn({ through }, 'off', lab.box, '--discard')).stdout).toMatch(/LOST: 5 in/);
  });

  test('off thaws when the keeper is dead', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze('--mode', 'steal');
    process.kill(await keeperOf(lab), 'SIGKILL');
    const outcome = expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(outcome.stderr).toMatch(/keeper is gone/);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('another program that binds the queues in its place is drift, and gets nothing from the next on', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    process.kill(await keeperOf(lab), 'SIGKILL');
    const thief = await lab.start('box', 'bind-queue', { numbers: [61450, 61451] });
    expect(expectExit(await lab.netfreeze('verify', lab.box), 10).stderr).toMatch(/bound to another program/);
    // Other numbers, in the same rules.
    await lab.freeze('--mode', 'steal');
    expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 0 });
    await thief.end();
    expectExit(await lab.netfreeze('off', lab.box), 0);
  });

  test('is found without a record, by verify and by off', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ ...job, count: 5 }]);
    const elsewhere = { NETFREEZE_STATE_DIR: `${lab.stateDir}-other` };
    expect(expectExit(await lab.netfreezeIn({ env: elsewhere }, 'verify', lab.box), 0).stderr).toMatch(/no record/);
    const thawed = expectExit(await lab.netfreezeIn({ env: elsewhere }, 'off', lab.box), 0);
    expect(thawed.stdout).toMatch(/given back: 5 in/);
    await run('rm', ['-r', elsewhere.NETFREEZE_STATE_DIR]);
  });
});

describeOneEngine('a keeper in need', (engine) => {
  const makeLab = useLabs(engine);

  test('holds on where no process can be started any more, and gives back at the end of the lease', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal', '--lease', `${8 * patience}s`);
    await send(lab, 'peer', [{ ...job, count: 20 }]);
    const pid = await keeperOf(lab);
    const starving = join(existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids' : '/sys/fs/cgroup', lab.box);
    mkdirSync(starving);
    try {
      writeFileSync(join(starving, 'pids.max'), '1\n');
      writeFileSync(join(starving, 'cgroup.procs'), `${pid}\n`);
      await sleep(6000 * patience);
      expect(await heldIn(lab)).toBe(20);
      await until('the packets go on', 8000, async () => (await heldIn(lab)) === 0);
      expect((await lab.thaw()).stdout).toMatch(/given back: 20 in .*nothing lost/);
    } finally {
      endKeepersOf(lab.box);
      await untilGone(pid, 3000);
      rmdirSync(starving);
    }
  });

  test('works where sh is bash: what is held goes on at the end of a lease, after a dead thaw, and when it is asked', async () => {
    const lab = await makeLab();
    // Whoever starts it sees bash under the name of sh.
    const bash = 'mount --bind "$(command -v bash)" "$(readlink -f /bin/sh)"; exec "$@"';
    const through = ['unshare', '--mount', 'bash', '-c', bash, 'bash'];
    const on = async (...options: string[]) =>
      expectExit(await lab.netfreezeIn({ through }, 'on', lab.box, '--mode', 'steal', ...options), 0);
    await on('--lease', `${3 * patience}s`);
    const pid = await keeperOf(lab);
    // It is linked with a library that dash does not need.
    expect(readFileSync(`/proc/${pid}/maps`, 'utf8')).toMatch(/\/libtinfo\.so/);
    await send(lab, 'peer', [{ ...job, count: 20 }]);
    await until('the packets go on', 6000, async () => (await heldIn(lab)) === 0);
    expect((await lab.thaw()).stdout).toMatch(/given back: 20 in .*nothing lost/);

    await on();
    await send(lab, 'peer', [{ ...job, count: 20 }]);
    const other = await keeperOf(lab);
    process.kill(other, 'SIGHUP');
    await sleep(1000);
    expect(await heldIn(lab)).toBe(20);
    await lab.nft('box', 'flush set inet netfreeze lease');
    process.kill(other, 'SIGHUP');
    await until('the packets go on', 3000, async () => (await heldIn(lab)) === 0);
    await lab.thaw();

    await on();
    await send(lab, 'peer', [{ ...job, count: 20 }]);
    const weak = ['setpriv', '--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace', '--'];
    expect((await lab.netfreezeIn({ through: weak }, 'off', lab.box)).stdout).toMatch(
      /given back: 20 in .*nothing lost/,
    );
  });

  test('asks nothing of the packets: whoever tells it of a thaw that is none changes no count', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ ...job, count: 10 }]);
    process.kill(await keeperOf(lab), 'SIGHUP');
    await sleep(500);
    const { held, counters } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    expect(held?.in).toEqual({ held: 10, released: 0, lost: 0 });
    expect(counters.in.packets).toBe(10);
  });
});

describeOneEngine('a namespace that nobody uses any more', (engine) => {
  const makeLab = useLabs(engine, 'end');

  together({
    'and that had a name is not kept alive by its keeper': async () => {
      const lab = await makeLab();
      await lab.freeze('--mode', 'steal');
      const keeper = await keeperOf(lab);
      await run('ip', ['netns', 'delete', lab.box]);
      await untilGone(keeper, 30_000);
    },

    'nor one that was found by a process: but as long as it has a name it is kept': async () => {
      const lab = await makeLab();
      const resident = await lab.start('box', 'resident', {});
      const { pid } = await resident.ask<{ pid: number }>({ do: 'pid' });
      expectExit(await lab.netfreeze('on', `pid:${pid}`, '--mode', 'steal'), 0);
      const keeper = await keeperOf(lab);
      await resident.end();
      await sleep(12_000);
      expect(wordsOf(keeper)).not.toEqual([]);
      await run('ip', ['netns', 'delete', lab.box]);
      await untilGone(keeper, 30_000);
    },

    'but that a descriptor still reaches is kept': async () => {
      const lab = await makeLab();
      await lab.freeze('--mode', 'steal');
      const keeper = await keeperOf(lab);
      const holder = await lab.start('peer', 'open-file', { file: lab.file('box') });
      await run('ip', ['netns', 'delete', lab.box]);
      await sleep(12_000);
      expect(wordsOf(keeper)).not.toEqual([]);
      await holder.end();
      await untilGone(keeper, 30_000);
    },
  });
});

describeOneEngine('where nobody may take a descriptor of another process', (engine) => {
  const makeLab = useLabs(engine);
  // Without CAP_SYS_PTRACE, and with fewer capabilities than the keeper has, the kernel says EPERM, as Yama's ptrace_scope 3 does.
  const through = ['setpriv', '--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace', '--'];

  test('off has the keeper give back what it holds, or drop it; renewing ends with 5', async () => {
    const lab = await makeLab();
    for (const [option, text] of [
      [[], /given back: 20 in and [0-9]+ out; nothing lost/],
      [['--discard'], /given back: 0 in and [0-9]+ out; LOST: 20 in/],
    ] as const) {
      await lab.freeze('--mode', 'steal', '--lease', '10m');
      await send(lab, 'peer', [{ ...job, count: 20 }]);
      const renewed = expectExit(await lab.netfreezeIn({ through }, 'renew', lab.box), 5);
      expect(renewed.stderr).toMatch(/lets nobody take over what is held/);
      expectExit(await lab.netfreezeIn({ through }, 'on', lab.box, '--mode', 'steal', '--lease', '5m'), 5);
      expectExit(await lab.netfreezeIn({ through }, 'verify', lab.box), 0);
      expect((await lab.netfreezeIn({ through }, 'off', lab.box, ...option)).stdout).toMatch(text);
      expect(await queues(lab)).toBe('');
    }
  });
});

describeOneEngine('a keeper whose netfreeze was killed', (engine) => {
  const makeLab = useLabs(engine);

  test('before the ruleset came is ended by the next command', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    const [keeper] = await keepersOf(lab);
    await lab.nft('box', 'delete table inet netfreeze');
    expect(wordsOf(keeper ?? 0)).not.toEqual([]);
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(await keepersOf(lab)).toEqual([]);
    expect(await queues(lab)).toBe('');
  });

  test('is ended by off --all too, without a table and without a record', async () => {
    const lab = await makeLab();
    // In one process namespace, so that the keeper is to be seen.
    const left = [
      `${netfreezeProgram} on ${lab.box} --mode steal`,
      `nsenter --net=/run/netns/${lab.box} nft delete table inet netfreeze`,
      `rm ${lab.stateDir}/*.json`,
      'exec "$@"',
    ].join(' && ');
    const through = [...aloneWith(lab), 'sh', '-c', left, 'sh'];
    const outcome = expectExit(await lab.netfreezeIn({ through }, 'off', '--all'), 0);
    expect(outcome.stderr).toMatch(/a keeper without a freeze was ended/);
    expect(await queues(lab)).toBe('');
  });
});

describeOneEngine('what only calls itself a keeper', (engine) => {
  const makeLab = useLabs(engine);

  /** A process with a keeper's arguments, which reads a line and binds a socket of the port that it says. */
  async function pretend(lab: Lab, user: string): Promise<ChildProcessByStdio<Writable, Readable, null>> {
    const { namespace } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    const script = `
import os, socket, time
print("there", flush=True)
own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
own.bind((int(input()), 0))
# Where a keeper has its socket.
if own.fileno() != 3: os.dup2(own.fileno(), 3)
print("bound", flush=True)
time.sleep(600)`;
    // Arguments: name, -c, program, state. Python's isolated mode starts fast.
    const disguise = 'exec -a netfreeze-keeper /usr/bin/python3 -c "$0" "$@"';
    const child = spawn('setpriv', [`--reuid=${user}`, '--', 'bash', '-c', disguise, script, stateName(namespace)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    pretenders.push(child);
    await once(child.stdout, 'data');
    expect(wordsOf(child.pid ?? 0)[0]).toBe('netfreeze-keeper');
    return child;
  }
  const pretenders: ChildProcess[] = [];
  afterEach(() => {
    for (const one of pretenders.splice(0)) one.kill('SIGKILL');
  });

  test('another user: it is left alone, and what is held goes on', async () => {
    const lab = await makeLab();
    const { pid = 0 } = await pretend(lab, '65534');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [{ ...job, count: 5 }]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect((await lab.thaw()).stdout).toMatch(/given back: 5 in .*nothing lost/);
    expect(wordsOf(pid)).not.toEqual([]);
  });

  test("a socket with the same port in another namespace is not the queues'", async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    const keeper = await keeperOf(lab);
    const impostor = await pretend(lab, '0');
    const port = Number((await queues(lab)).trim().split(/\s+/)[1]);
    impostor.stdin.write(`${port}\n`);
    await once(impostor.stdout, 'data');
    const namespace = pin(lab.file('box'));
    try {
      const socketOf = (pid = 0) => takeSocket({ pid, start: startOf(pid) ?? 0 }, port, namespace);
      expect(socketOf(impostor.pid)).toBeNull();
      const own = socketOf(keeper);
      expect(own?.port).toBe(port);
      own?.close();
    } finally {
      release(namespace);
    }
  });
});

const queues = (lab: Lab): Promise<string> => lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue');

const heldIn = async (lab: Lab): Promise<number> =>
  only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held?.in.held ?? 0;

/** What a process has in memory, pages that others use as well included, in KiB: the most that it ever was. */
const residentOf = (pid: number): number => Number.parseInt(statusOf(pid, 'VmHWM'), 10);

/** Bit 24 is CAP_SYS_RESOURCE (linux/capability.h), without which nobody is protected from the OOM killer. */
const mayProtect = (): boolean => ((BigInt(`0x${statusOf(process.pid, 'CapEff')}`) >> 24n) & 1n) === 1n;
