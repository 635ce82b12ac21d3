// A program, and a dump of it by CRIU from outside its network namespace, as container runtimes do it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { now, sleep } from '../lab/clock.mjs';
import { mustRun } from '../lab/programs.mjs';
import { failureIn } from './log.mjs';

// Milliseconds.
const betweenLooks = 5;

/**
 * Starts a program that CRIU can dump: a session of its own, and nothing open that belongs to others.
 * @param file of its network namespace
 */
export async function startProgram(file) {
  const child = spawn('nsenter', [`--net=${file}`, 'sleep', '1000'], { detached: true, stdio: 'ignore' });
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  return {
    pid: child.pid,
    async end() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/**
 * Begins to dump a program, which goes on after it; its own lock is there for so long.
 * @param criu the program
 * @param lock its `--network-lock`
 * @param options.pause whether the dump stays where it is, locked and all but done, until `open`
 * @param options.killable whether it may end badly
 * @returns `pid`; `log`, the file; `closed`, which settles when it is locked and waits, or without `pause` when it has
 *   ended; `open()`, which lets it end, and waits for that. An end that is none throws what CRIU's log says.
 */
export async function beginDump(criu, lock, site, pid, { pause = false, killable = false } = {}) {
  const folder = mkdtempSync(join(site.folder, 'dump-'));
  const log = join(folder, 'dump.log');
  const { ino } = statSync(site.pair.file.box);
  const waiting = pause ? await waitingScript(folder) : null;
  const args = [
    ...['dump', '--leave-running', '--tree', `${pid}`, '--external', `net[${ino}]:box`, '--network-lock', lock],
    ...['--images-dir', folder, '--log-file', log, '-v4'],
    ...(waiting ? ['--action-script', waiting.script] : []),
  ];
  const began = now();
  const child = spawn(criu, args, { stdio: 'ignore' });
  const ended = new Promise((resolve, reject) => {
    child.once('error', (error) => reject(Object.assign(error, { said: `it can't be started: ${error.code}` })));
    child.once('exit', (status, signal) => {
      if (status === 0 || killable) resolve({ status, signal });
      else reject(refusal(criu, lock, existsSync(log) ? readFileSync(log, 'utf8') : '', status ?? signal));
    });
  });
  let isOver = false;
  ended.catch(() => {}).finally(() => (isOver = true));
  return {
    pid: child.pid,
    began,
    log,
    ended,
    closed: waiting ? Promise.race([ended, waiting.reached(() => isOver)]) : ended,
    async open() {
      await waiting?.release();
      await ended;
    },
  };
}

/** An action script that waits when all is dumped and still locked. */
async function waitingScript(folder) {
  const [script, reached, go] = ['action.sh', 'reached', 'go'].map((name) => join(folder, name));
  await mustRun('mkfifo', [go]);
  writeFileSync(
    script,
    `#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" = post-dump ] || exit 0\n: >${reached}\nread -r _ <${go}\n`,
  );
  chmodSync(script, 0o755);
  return {
    script,
    async reached(isOver) {
      while (!existsSync(reached) && !isOver()) await sleep(betweenLooks);
    },
    release: () => writeFile(go, '\n'),
  };
}

function refusal(criu, lock, log, how) {
  const said = failureIn(log) ?? `it ended with ${how}`;
  const error = new Error(`${criu} dump --network-lock ${lock} failed: ${said}\n${log.slice(-2000)}`);
  return Object.assign(error, { said });
}
