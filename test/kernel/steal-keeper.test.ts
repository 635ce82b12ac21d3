/** The keeper of a steal: what it is, what it outlives, and what it does not. */
import { readFileSync } from 'node:fs';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { descriptorsOf, keeperOf, keepersNamed, keepersOf, statusOf, untilGone, wordsOf } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, netfreeze, only } from './rig/netfreeze';
import { send } from './rig/packets';
import { run } from './rig/program';
import { expectEveryByte, openStream } from './rig/streams';
import { sleep, until } from './rig/wait';

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
    expect(memoryOf(pid)).toBeLessThan(3 * 1024);
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

describeOneEngine('a namespace that nobody uses any more', (engine) => {
  const makeLab = useLabs(engine);

  test('is not kept alive by its keeper: named, and by a process', async () => {
    const named = await makeLab();
    const inhabited = await makeLab();
    const resident = await inhabited.start('box', 'resident', {});
    const { pid } = await resident.ask<{ pid: number }>({ do: 'pid' });
    await named.freeze('--mode', 'steal');
    expectExit(await inhabited.netfreeze('on', `pid:${pid}`, '--mode', 'steal'), 0);
    const [first, second] = [await keeperOf(named), await keeperOf(inhabited)];
    // The way by which it was found goes, and another stays: a name, a process.
    await resident.end();
    await sleep(6000);
    expect(wordsOf(second)).not.toEqual([]);
    await run('ip', ['netns', 'delete', named.box]);
    await run('ip', ['netns', 'delete', inhabited.box]);
    await Promise.all([untilGone(first, 20_000), untilGone(second, 20_000)]);
  });

  test('but one that a descriptor still reaches is kept', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    const pid = await keeperOf(lab);
    const holder = await lab.start('peer', 'open-file', { file: lab.file('box') });
    await run('ip', ['netns', 'delete', lab.box]);
    await sleep(12_000);
    expect(wordsOf(pid)).not.toEqual([]);
    await holder.end();
    await untilGone(pid, 20_000);
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
});

const queues = (lab: Lab): Promise<string> => lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue');

const heldIn = async (lab: Lab): Promise<number> =>
  only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held?.in.held ?? 0;

/** The share of the keeper and of the `sleep` that it waits for, in KiB: pages that others use as well count in part. */
function memoryOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [pid, ...children.map(Number)].reduce((sum, one) => {
    const [, pss = '0'] = /^Pss:\s+([0-9]+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8')) ?? [];
    return sum + Number(pss);
  }, 0);
}

/** Bit 24 is CAP_SYS_RESOURCE (linux/capability.h), without which nobody is protected from the OOM killer. */
const mayProtect = (): boolean => ((BigInt(`0x${statusOf(process.pid, 'CapEff')}`) >> 24n) & 1n) === 1n;
