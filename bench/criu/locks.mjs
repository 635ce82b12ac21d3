// The locks that are compared: CRIU's own two, and netfreeze's two modes.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { now } from '../lab/clock.mjs';
import { run } from '../lab/programs.mjs';
import { ways } from '../lab/ways.mjs';
import { beginDump, startProgram } from './dump.mjs';

const netfreezeProgram = join(import.meta.dirname, '../../bin/netfreeze');

/**
 * @param criu the program of that name, or its path
 * @returns locks, each with `key`, `name`, `isOurs`, and `begin(site, { pause, killable })`: begins to lock the site's box,
 *   and returns `pid` and `began` (microseconds), `closed`, which settles when it says that it is closed, `open()`, which
 *   returns when it says that it is open, and `log`, where it keeps one. Without `pause` CRIU's locks open by themselves
 *   as soon as all is dumped, before `closed`.
 */
export const locksOf = (criu) => [
  criuLock(criu, 'nftables', "CRIU's lock, nftables"),
  criuLock(criu, 'iptables', "CRIU's lock, iptables"),
  netfreezeLock('drop', 'netfreeze drop', []),
  netfreezeLock('steal', 'netfreeze steal', ['--mode', 'steal']),
];

/**
 * The same locks as ways of the lab (../lab/ways.mjs), and netfreeze's thaw without a kick.
 * @param locks those that work
 */
export function waysOf(locks) {
  const netfreezes = locks.some(({ isOurs }) => isOurs) ? [ways.plain, ways.kick] : [];
  const steals = locks.some(({ key }) => key === 'steal') ? [ways.steal] : [];
  return [...locks.filter(({ isOurs }) => !isOurs).map(wayOf), ...netfreezes, ...steals];
}

function wayOf(lock) {
  const { key, name } = lock;
  return {
    key,
    name,
    async freeze(site) {
      site.lock = await lock.begin(site, { pause: true });
      await site.lock.closed;
    },
    async thaw(site) {
      await site.lock.open();
    },
  };
}

function criuLock(criu, key, name) {
  return {
    key,
    name,
    isOurs: false,
    async begin(site, options) {
      // Outside the time that counts.
      const program = await startProgram(site.pair.file.box);
      const dump = await beginDump(criu, key, site, program.pid, options).catch(async (error) => {
        await program.end();
        throw error;
      });
      const over = () => program.end();
      dump.ended.then(over, over);
      return dump;
    },
  };
}

function netfreezeLock(key, name, options) {
  return {
    key,
    name,
    isOurs: true,
    begin: async (site, { killable = false } = {}) =>
      command(site, ['on', site.pair.name.box, ...options, '--lease', killable ? leaseOfTheKilled : leaseOfTheLiving], {
        killable,
      }),
  };
}

/**
 * A command under a freeze, to be killed: `netfreeze run` is, not the command, which must not outlive it.
 * Its `begin` returns also `isRunning()`: whether the command is.
 */
export const runLock = {
  key: 'run',
  name: 'netfreeze run',
  isOurs: true,
  async begin(site, { killable }) {
    const file = join(site.folder, 'pid');
    const waiting = ['sh', '-c', `echo $$ >${file} && exec sleep 600`];
    return {
      ...command(site, ['run', site.pair.name.box, '--lease', leaseOfTheKilled, '--', ...waiting], { killable }),
      isRunning: () => existsSync(file) && isAlive(Number(readFileSync(file, 'utf8'))),
    };
  },
};

function isAlive(pid) {
  try {
    // One that has ended and that nobody has waited for runs no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Of the freezes whose netfreeze is killed, in seconds, and as a flag; the others outlive no measurement that is killed. */
export const leaseSeconds = 30;
const leaseOfTheKilled = `${leaseSeconds}s`;
const leaseOfTheLiving = '10m';

/** Starts netfreeze, as a person would. */
function command(site, args, { killable }) {
  const environment = { NETFREEZE_STATE_DIR: site.stateDirectory };
  const began = now();
  const child = spawn(netfreezeProgram, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => {
      if (status === 0 || killable) return resolve({ took: now() - began });
      const error = new Error(`netfreeze ${args.join(' ')} ended with ${status}\n${errors}`);
      reject(Object.assign(error, { said: errors.split('\n')[0] }));
    });
  });
  ended.catch(() => {});
  return {
    pid: child.pid,
    began,
    ended,
    closed: ended,
    open: () => thaw(site),
  };
}

/** Takes away whatever netfreeze has left in the site's box. @returns how long it took, in microseconds */
export async function thaw(site) {
  const outcome = await run(netfreezeProgram, ['off', site.pair.name.box], {
    env: { NETFREEZE_STATE_DIR: site.stateDirectory },
  });
  if (outcome.exit !== 0) throw new Error(`netfreeze off ended with ${outcome.exit}\n${outcome.stderr}`);
  return outcome.ended - outcome.began;
}
