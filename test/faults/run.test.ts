/**
 * `netfreeze run` met by signals and kills at any moment: no packet passes while the command lives and is believed frozen,
 * and no freeze outlasts its lease.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describeOneEngine, type Engine, programPath } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { address, type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, netfreezeProgram } from '../kernel/rig/netfreeze';
import { processesNamed } from '../kernel/rig/processes';
import { patience, sleep, until } from '../kernel/rig/wait';

const leaseMs = 1000 * patience;
/** How long the command of a round lives, in seconds, and the last moment at which something is done to it: some outlive a lease. */
const short = { life: 0.3 * patience, lastMs: 1000 * patience };
const long = { life: 2.2 * patience, lastMs: 3000 * patience };

type Blow = 'SIGKILL' | 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'stopped' | 'command killed' | 'guard killed' | 'none';
const blows: Blow[] = [
  ...Array.from({ length: 8 }, () => 'SIGKILL' as const),
  ...(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGTERM', 'SIGINT'] as const),
  ...(['stopped', 'command killed', 'command killed', 'guard killed', 'none'] as const),
];

describeOneEngine('run, killed and interrupted at 100 moments', (engine) => {
  const makeLab = useLabs(engine);

  test.each([1, 2, 3, 4])(
    '25 moments, from seed %i',
    async (seed) => {
      const lab = await makeLab();
      const random = generator(seed);
      const gauge = await openGauge(lab);
      const streams = [await arrivalsFrom(lab, 'peer', 'box'), await arrivalsFrom(lab, 'box', 'peer')];
      const told: string[] = [];
      const seen = new Set<Blow>();
      let lived = 0;
      for (let round = 0; round < 25; round += 1) {
        const blow = blows[Math.floor(random() * blows.length)] ?? 'SIGKILL';
        const mode = random() < 0.5 ? 'drop' : 'steal';
        seen.add(blow);
        const { life, lastMs } = round % 4 === 0 ? long : short;
        const moment = random() * lastMs;
        const file = join(lab.stateDir, `beacon-${round}`);
        const run = startRound(lab, engine, mode, file, life);
        const struck = strike(run, file, blow, moment);
        const { exitCode, signal } = await run;
        await struck;
        const ended = performance.now();
        const said = `round ${round}, ${mode}, ${blow} after ${Math.round(moment)} ms: ${exitCode ?? signal}`;
        // Interrupted, undone, ended by its own status, or not frozen to its end: never a failed roll-back, never a fault.
        expect([0, 9, 10, 129, 130, 137, 143, undefined]).toContain(exitCode);
        if (exitCode === undefined) expect(signal).toBe(blow);
        await until(
          `all flows after ${said}`,
          leaseMs + 1500,
          async () => (await gauge.open()).length === gauge.all.length,
        );
        const frozenMs = performance.now() - ended;
        if (exitCode !== undefined && frozenMs > 700 * patience) told.push(`${said}: frozen for ${frozenMs} ms more`);
        // What it started has gone with it.
        await until(
          `its processes end after ${said}`,
          1000,
          async () => [...processesNamed(file), ...processesNamed('netfreeze-guard', String(run.pid))].length === 0,
        );
        const sign = lifeIn(file);
        if (sign === null) continue;
        lived += 1;
        const times = (await Promise.all(streams.map((take) => take()))).flat();
        expect(times.length).toBeGreaterThan(0);
        const inside = times.filter((both) => both.every((at) => at >= sign.first && at <= sign.last));
        // Stopped for longer than the lease, it can't know better until it goes on; then it must say so.
        if (inside.length > 0 && exitCode !== 10)
          told.push(`${said}: ${inside.length} packets while the command lived`);
      }
      expect(told).toEqual([]);
      expect(lived).toBeGreaterThan(5);
      expect(seen.size).toBeGreaterThan(3);
      expectExit(await lab.netfreeze('off', lab.box), 0);
      expect(await lab.nft('box', 'list ruleset')).toBe('');
      expect(await gauge.open()).toEqual(gauge.all);
    },
    300_000,
  );
});

/** mulberry32: the same moments for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function startRound(lab: Lab, engine: Engine, mode: string, file: string, life: number) {
  const beacon = ['python3', '-SB', join(__dirname, '../kernel/rig/traffic/beacon.py'), file, String(life)];
  const options = ['--mode', mode, '--lease', `${leaseMs}ms`];
  return execa(netfreezeProgram, ['run', lab.box, ...options, '--', ...beacon], {
    reject: false,
    stdin: 'ignore',
    timeout: 60_000 * patience,
    env: {
      NETFREEZE_ENGINE: engine,
      NETFREEZE_STATE_DIR: lab.stateDir,
      NODE_EXTRA_CA_CERTS: undefined,
      PATH: programPath,
    },
  });
}

/** Does to a run what is to be done to it at that moment, if it still runs then. */
async function strike(run: ReturnType<typeof startRound>, file: string, blow: Blow, afterMs: number): Promise<void> {
  await Promise.race([sleep(afterMs), run]);
  const pid = run.pid ?? 0;
  const kill = (victim: number, signal: NodeJS.Signals) => {
    try {
      process.kill(victim, signal);
    } catch {
      // It has ended already.
    }
  };
  if (run.exitCode !== null) return;
  if (blow === 'none') return;
  // Netfreeze has the command among its own arguments.
  if (blow === 'command killed') {
    for (const one of processesNamed(file)) if (one !== pid) kill(one, 'SIGKILL');
  } else if (blow === 'guard killed')
    for (const one of processesNamed('netfreeze-guard', String(pid))) kill(one, 'SIGKILL');
  else if (blow === 'stopped') {
    kill(pid, 'SIGSTOP');
    await sleep(leaseMs * 1.3);
    kill(pid, 'SIGCONT');
  } else kill(pid, blow);
}

/** @returns takes the times at which datagrams of a steady stream have arrived since it was last asked */
async function arrivalsFrom(lab: Lab, from: 'peer' | 'box', to: 'peer' | 'box') {
  const [at, port] = [address[4][to], 7610];
  const listener = await lab.start(to, 'arrivals', { listen: [at, port] });
  const sender = await lab.start(from, 'numbers', { send: [at, port], perSecond: 500 });
  await sender.ask({ do: 'begin' });
  return async () => (await listener.ask<{ at: [came: number, read: number][] }>({ do: 'take' })).at;
}

/** @returns when a beacon has first and last shown that it lived; null: it was not started */
function lifeIn(file: string): { first: number; last: number } | null {
  try {
    const bytes = readFileSync(file);
    return bytes.length === 16 ? { first: bytes.readDoubleLE(0), last: bytes.readDoubleLE(8) } : null;
  } catch {
    return null;
  }
}
