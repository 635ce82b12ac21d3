/**
 * The command that runs under a freeze. It leads a session of its own, so that all that it starts can be reached, and it
 * dies with netfreeze: what went on alone would go on in a namespace that thaws by itself.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import { sessionOf } from '../platform/process';
import { shown } from '../platform/text';
import { findProgram } from './program';

/** The script lies beside this file, and beside the bundle that it is built into. */
const guardScript = join(__dirname, 'guard.sh');

/**
 * setpriv(1) asks for the parent-death signal. Who was orphaned before it could ask sees another parent, and ends.
 * Descriptors, signals and environment pass through as they are.
 */
const deathPact = '[ "$PPID" = "$0" ] || exit 125; exec "$@"';

/** How a command ended: one of the two is null. */
export interface Ending {
  status: number | null;
  signal: NodeJS.Signals | null;
}

export interface Command {
  ended: Promise<Ending>;
  /** Sends a signal to the command and all of its process group, as a terminal does. */
  signal(signal: NodeJS.Signals): void;
  /** Kills all that is left of its session. */
  kill(): void;
  /** Lets go of the guard: the command has ended, and what it has left running is its own affair. */
  over(): void;
}

/** A command that can be started. */
export interface Startable {
  words: readonly string[];
  program: string;
  setpriv: string;
}

/**
 * Looks for all that is needed to start a command.
 * @throws Failure `no-program`, `no-setpriv`
 */
export function prepareCommand(words: readonly string[]): Startable {
  const program = findProgram(words[0] ?? '');
  try {
    return { words, program, setpriv: findProgram('setpriv') };
  } catch (cause) {
    throw new Failure('no-setpriv', Exit.unsupported, 'setpriv, which starts the command, is not there', {
      suggestions: ['install it: apt-get install util-linux (2.33 or newer)'],
      cause,
    });
  }
}

/**
 * Starts a command. Its standard streams are this process's own.
 * @throws Failure `not-started`, here or from `ended`
 */
export function startCommand({ words, program, setpriv }: Startable, environment: Record<string, string>): Command {
  // Loaded late: no other command starts a process.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  const guard = startGuard();
  // Without its guard it is not started.
  if (guard === null) throw notStarted(words, null);
  const pact = ['--pdeathsig', 'KILL', '--', '/bin/sh', '-c', deathPact, String(process.pid)];
  const child = spawn(setpriv, [...pact, program, ...words.slice(1)], {
    detached: true,
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  });
  const session = child.pid;
  if (session !== undefined) guard.watch(session);
  return {
    ended: new Promise((resolve, reject) => {
      child.once('exit', (status, signal) => resolve({ status, signal }));
      child.once('error', (cause) => reject(notStarted(words, cause)));
    }),
    signal(signal) {
      if (session !== undefined) send(-session, signal);
    },
    kill() {
      if (session !== undefined) killSession(session);
    },
    over: () => guard.over(),
  };
}

/** Starts a guard; one that is killed is followed by another. */
function startGuard(): { watch(session: number): void; over(): void } | null {
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  let watched: number | null = null;
  let isOver = false;
  let line: Writable | null = null;
  const start = (): boolean => {
    // One that follows another knows from its first moment whom to watch: netfreeze may be killed in the next.
    const known = watched === null ? [] : [String(watched)];
    const guard = spawn('/bin/sh', [guardScript, String(process.pid), ...known], {
      argv0: 'netfreeze-guard',
      cwd: '/',
      detached: true,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    const pipe = guard.stdio[3] as Writable;
    for (const one of [guard, pipe]) one.on('error', () => {});
    guard.unref();
    (pipe as unknown as { unref(): void }).unref();
    guard.once('exit', () => {
      if (!isOver) start();
    });
    line = pipe;
    return guard.pid !== undefined;
  };
  if (!start()) return null;
  return {
    watch(session) {
      watched = session;
      line?.write(`${session}\n`);
    },
    over() {
      isOver = true;
      line?.end('over\n');
    },
  };
}

function killSession(session: number): void {
  for (const name of readdirSync('/proc')) {
    if (/^[0-9]+$/.test(name) && sessionOf(Number(name)) === session) send(Number(name), 'SIGKILL');
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

const notStarted = (words: readonly string[], cause: Error | null) =>
  new Failure(
    'not-started',
    Exit.checkpointFailed,
    `${shown(words[0] ?? '')} could not be started: ${cause?.message ?? 'no process could be had for its guard'}`,
    { suggestions: ['look at the limits of processes and memory (ulimit -u, cgroups)'], cause },
  );
