/** A program that does not end: it is given up in time, with all that it has started. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../src/target/program';
import { fakeProgram } from '../kernel/rig/fake-engines';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const folder = useScratchDirectory();
const { PATH } = process.env;
beforeEach(() => {
  process.env.PATH = `${folder()}:${PATH}`;
});
afterEach(() => {
  process.env.PATH = PATH;
});

/** Each writes to `NAME.pid` what may be left of it. */
const scripts = {
  'whose grandchild holds the pipe': 'sleep 600 & echo $! >"$0.pid"; echo "[]"',
  'that does not mind being asked to end': 'trap "" TERM; echo $$ >"$0.pid"; while :; do sleep 1; done',
  'whose grandchild has a session of its own': 'setsid sleep 600 & echo $! >"$0.pid"; echo "[]"',
};

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}/status`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

test('a program that does not end is given up after 15 s, and its process group killed', async () => {
  const started = performance.now();
  const asked = Object.values(scripts).map(async (script, index) => {
    const name = `nfz-program-${index}`;
    fakeProgram(folder(), name, script);
    const failure = await failureOf(() => ask(name, []));
    return { failure, took: performance.now() - started, pid: Number(readFileSync(join(folder(), `${name}.pid`))) };
  });
  const [piped, deaf, apart] = await Promise.all(asked);
  for (const one of [piped, deaf, apart]) {
    expect(one?.failure).toMatchObject({ code: 'engine-failed', exit: 5 });
    expect(one?.failure.message).toMatch(/has not ended after 15 s/);
    expect(one?.took).toBeLessThan(18_500);
  }
  // A signal is on its way for a moment.
  for (let tries = 0; tries < 50 && [piped, deaf].some((one) => isAlive(one?.pid ?? 0)); tries += 1) await sleep(20);
  const left = [piped, deaf, apart].map((one) => isAlive(one?.pid ?? 0));
  if (left[2]) process.kill(apart?.pid ?? 0, 'SIGKILL');
  expect(left).toEqual([false, false, true]);
});
