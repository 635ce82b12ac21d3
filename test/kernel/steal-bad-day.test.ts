/** What an operator meets on a bad day while packets are held: hooks and links that go, and netfreeze killed at any moment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { stateName } from '../../src/record/record';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { keepersNamed, keepersOf } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, netfreezeProgram, only } from './rig/netfreeze';
import { sendNumbers } from './rig/numbers';
import { send } from './rig/packets';
import { sleep, until } from './rig/wait';

const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

/** CRIU's lock as FACTS tells it: a table of its own, closed in both directions but for its mark. */
const lockLike = [
  'add table inet CRIU-4711',
  'add chain inet CRIU-4711 output { type filter hook output priority 0; policy drop; }',
  'add rule inet CRIU-4711 output meta mark 0xc114 accept',
  'add chain inet CRIU-4711 input { type filter hook input priority 0; policy drop; }',
  'add rule inet CRIU-4711 input meta mark 0xc114 accept',
];

describeEngines('while packets are held', (engine) => {
  const makeLab = useLabs(engine);
  const held = async (lab: Lab) => only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held;

  test("another program's tables and rules may come, and its rules and elements go: nothing is lost", async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft(
      'box',
      `add table inet theirs; add chain inet theirs in { type filter hook input priority 0; };
       add set inet theirs some { type ipv4_addr; }; add element inet theirs some { 10.0.0.7 };
       add rule inet theirs in counter; flush set inet theirs some; flush chain inet theirs in`,
    );
    expect((await held(lab))?.in).toEqual({ held: 10, released: 0, lost: 0 });
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect((await lab.thaw()).stdout).toMatch(/given back: 10 in .*nothing lost/);
  });

  test("another program's hook that goes throws away what is held: it is counted as lost, and the freeze stands", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.nft('box', 'add table inet theirs; add chain inet theirs in { type filter hook input priority 0; }');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft('box', 'delete table inet theirs');
    expect((await held(lab))?.in).toEqual({ held: 0, released: 0, lost: 10 });
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const after = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0)).held;
    expect(after?.in.lost).toBe(10);
    expect(after?.in.held).toBe(0);
  });

  test("CRIU's own lock may come; when it goes, what is held goes with it", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    for (const command of lockLike) await lab.nft('box', command);
    expect((await held(lab))?.in).toEqual({ held: 10, released: 0, lost: 0 });
    await lab.nft('box', 'delete table inet CRIU-4711');
    expect((await held(lab))?.in).toEqual({ held: 0, released: 0, lost: 10 });
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('a link that goes down takes its packets with it: counted as lost', async () => {
    const lab = await makeLab('router');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    const at = address[4];
    await send(lab, 'far', [{ ...job, from: at.far, to: at.boxToFar, count: 7 }]);
    await lab.ip('box', 'link', 'set', 'toPeer', 'down');
    expect((await held(lab))?.in).toEqual({ held: 7, released: 0, lost: 10 });
    await lab.ip('box', 'link', 'set', 'toPeer', 'up');
    const after = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0)).held;
    expect(after?.in.lost).toBe(10);
    expect(after?.in.released).toBeGreaterThanOrEqual(7);
  });

  test('our own table deleted by hand: drift, then gone; off says what it knows', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft('box', 'delete table inet netfreeze');
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('drifted');
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(await keepersOf(lab)).toEqual([]);
    expect(readdirSync(lab.stateDir)).toEqual([]);
  });
});

describeOneEngine('netfreeze is killed', (engine) => {
  const makeLab = useLabs(engine);

  test('at 200 moments of a steal, its renewal and its thaw: frozen or thawed, as record and kernel say, and nothing is left', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const { namespace } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    const state = stateName(namespace);
    const on = ['on', lab.box, '--mode', 'steal'];
    const commands = [on, ['off', lab.box], [...on, '--lease', '10m'], ['renew', lab.box, '--lease', '5m']];
    const took: number[] = [];
    for (const command of [on, ...commands]) took.push(await timeOf(lab, engine, command));
    let killed = 0;
    for (let round = 0; killed < 200 && round < 800; round += 1) {
      const which = round % commands.length;
      // Each command at forty moments of its life, from its start to shortly before its end.
      const moment = (took[which + 1] ?? 0) * (((round * 7) % 40) / 42);
      if (await killedAfter(lab, engine, commands[which] ?? on, moment)) killed += 1;
      const now = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      const open = await gauge.open();
      // In force or not, in both directions: nothing between, and never called frozen what is open.
      if (now.state === 'frozen' || now.state === 'failed') expect(open).toEqual([]);
      else if (now.state === 'drifted') expect(open).toEqual([]);
      else expect(open).toEqual(gauge.all);
      expect(keepersNamed(state).length).toBeLessThanOrEqual(3);
      if (round % 5 !== 4) continue;
      if (round % 2 === 0) expectExit(await lab.netfreeze(...on), 0);
      if (round % 2 === 0) expectExit(await lab.netfreeze('verify', lab.box), 0);
      expectExit(await lab.netfreeze('off', lab.box), 0);
      expect(await lab.nft('box', 'list ruleset')).toBe('');
      expect(keepersNamed(state)).toEqual([]);
      expect(readdirSync(lab.stateDir).filter((file) => !file.endsWith('.lock'))).toEqual([]);
    }
    expect(killed).toBeGreaterThanOrEqual(200);
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(keepersNamed(state)).toEqual([]);
    expect(await lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue')).toBe('');
    expect(await gauge.open()).toEqual(gauge.all);
  }, 600_000);

  test('in the middle of a thaw at 30 moments: not one datagram is lost', async () => {
    const lab = await makeLab();
    const flow = await sendNumbers(lab, {
      from: 'peer',
      to: 'box',
      address: address[4].box,
      port: 7501,
      perSecond: 1000,
    });
    await lab.freeze('--mode', 'steal');
    const took = await timeOf(lab, engine, ['status', lab.box]);
    for (let round = 0; round < 30; round += 1) {
      await killedAfter(lab, engine, ['off', lab.box], took * (0.5 + (round % 30) / 20));
      // The keeper gives back what a dead thaw has left, or the freeze stands still: either way nothing goes.
      await sleep(300);
      expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal'), 0);
    }
    expectExit(await lab.netfreeze('off', lab.box), 0);
    const { sent } = await flow.stop();
    await until('every datagram comes', 5000, async () => (await flow.heard()).received >= sent);
    expect(await flow.heard()).toMatchObject({ received: sent, missing: 0, twice: 0 });
  }, 600_000);
});

/** How long one run of a command takes here, in milliseconds. */
async function timeOf(lab: Lab, engine: string, args: string[]): Promise<number> {
  const began = performance.now();
  await killedAfter(lab, engine, args, 30_000);
  return performance.now() - began;
}

/** Starts netfreeze and kills it after a time. @returns whether it was killed, and had not ended before */
async function killedAfter(lab: Lab, engine: string, args: string[], ms: number): Promise<boolean> {
  const env = {
    ...process.env,
    NETFREEZE_ENGINE: engine,
    NETFREEZE_STATE_DIR: lab.stateDir,
    NODE_EXTRA_CA_CERTS: undefined,
  };
  const child = spawn(netfreezeProgram, args, { env, stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return signal === 'SIGKILL';
}
