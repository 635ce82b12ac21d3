/** `netfreeze run` at work: what its command does, and when, is up to the test. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Engine } from './describe';
import type { Lab } from './lab';
import { netfreezeProgram } from './netfreeze';
import { patience, until } from './wait';

/** How a run ended: a status, or the signal that ended netfreeze itself. */
export interface RunEnd {
  exit: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface RunAtWork {
  /** Netfreeze's process. */
  pid: number;
  /** Waits until the command runs. @returns its process id */
  started(): Promise<number>;
  /** Lets the command end. */
  go(): void;
  ended: Promise<RunEnd>;
  /** Lets it end, and waits for it. */
  finish(): Promise<RunEnd>;
}

/** What the command does once it may go on: shell words. */
interface Behaviour {
  /** Options and further targets of `run`. */
  options?: string[];
  /** Before it says that it has started, such as `trap '' TERM`. */
  before?: string;
  /** After it was told to go on, such as `exit 3`. */
  after?: string;
  /** What it does while it waits, instead of a little sleep. */
  meanwhile?: string;
}

/** Starts `netfreeze run` on a lab's box. */
export function startRun(lab: Lab, engine: Engine, behaviour: Behaviour = {}): RunAtWork {
  const folder = mkdtempSync(join(lab.stateDir, 'run-'));
  const [started, go] = [join(folder, 'started'), join(folder, 'go')];
  const { options = [], before = ':', after = 'exit 0', meanwhile = 'sleep 0.02' } = behaviour;
  const script = `${before}
echo $$ >${started}.new && mv ${started}.new ${started}
while ! [ -e ${go} ]; do ${meanwhile}; done
${after}`;
  const child = execa(netfreezeProgram, ['run', lab.box, ...options, '--', 'sh', '-c', script], {
    reject: false,
    timeout: 60_000 * patience,
    stdin: 'ignore',
    stripFinalNewline: false,
    detached: true,
    env: { NETFREEZE_ENGINE: engine, NETFREEZE_STATE_DIR: lab.stateDir, NODE_EXTRA_CA_CERTS: undefined },
  });
  const ended = child.then(({ exitCode, signal, stdout, stderr }) => ({
    exit: exitCode ?? null,
    signal: signal ?? null,
    stdout,
    stderr,
  }));
  const isStarted = async () => (existsSync(started) ? Number(readFileSync(started, 'utf8')) : false);
  const letGo = () => writeFileSync(go, '');
  return {
    pid: child.pid ?? 0,
    ended,
    started: () => until('the command starts', 10_000, isStarted),
    go: letGo,
    finish() {
      letGo();
      return ended;
    },
  };
}
