/** A server that CRIU can dump and restore: it lives in a lab's box, with a connection to a client at the peer. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { programPath } from '../kernel/rig/describe';
import { address, type Lab } from '../kernel/rig/lab';
import { type Sniffed, sniffer } from '../kernel/rig/packets';
import type { Progress, Stream, StreamEnd } from '../kernel/rig/streams';
import { patience, until } from '../kernel/rig/wait';

const port = 7100;

export interface Dumped extends Stream {
  readonly pid: number;
  /** Whether the server's process is there, and not a corpse. */
  isAlive(): boolean;
  /** Every packet with the flag RST that either end of the wire has received since the beginning. */
  resets(): Promise<Sniffed['packets']>;
  /** How many packets of TCP the ends of the wire have received by the last look for resets. */
  captured(): Promise<number>;
  /** Ends the server, whoever has started it. */
  kill(): void;
}

/** Starts a server in the box and a client at the peer; both send numbered bytes, and both ends of the wire are watched. */
export async function startServer(lab: Lab): Promise<Dumped> {
  const wires = [await sniffer(lab, 'peer', 50_000), await sniffer(lab, 'box', 50_000, 'toPeer')];
  const resets: Sniffed['packets'] = [];
  let captured = 0;
  const folder = join(lab.stateDir, 'server');
  mkdirSync(folder);
  const settings = { listen: [address[4].box, port], everyMs: 20, folder };
  const program = join(process.cwd(), 'test/kernel/rig/traffic/stream.py');
  const started = ['python3', '-SB', program, JSON.stringify(settings)];
  // A session of its own, and nothing open that belongs to others.
  const child = spawn('nsenter', [`--net=${lab.file('box')}`, ...started], {
    ...{ detached: true, stdio: 'ignore', env: { PATH: programPath, NETFREEZE_TEST_PATIENCE: `${patience}` } },
  });
  await once(child, 'spawn');
  const pid = child.pid as number;
  const server = endByLetters(folder);
  await server.ready();
  const client = await lab.start('peer', 'stream', { connect: [address[4].box, port], everyMs: 20 });
  return {
    pid,
    server,
    client: {
      progress: () => client.ask({ do: 'progress' }),
      pause: () => client.ask({ do: 'pause' }),
      close: (how) => client.ask({ do: 'close', how }),
    },
    isAlive: () => /^\d+ \(.*\) [^ZX]/.test(statOf(pid)),
    async resets() {
      for (const wire of wires) {
        const { packets } = await wire.take();
        captured += packets.length;
        resets.push(...packets.filter(({ flags = [] }) => flags.includes('RST')));
      }
      return resets;
    },
    captured: async () => captured,
    kill() {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    },
  };
}

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}

function endByLetters(folder: string): StreamEnd & { ready(): Promise<void> } {
  const [question, answer] = ['ask', 'answer'].map((name) => join(folder, name)) as [string, string];
  const answered = async () => {
    await until('the server answers', 20_000, async () => existsSync(answer));
    const said = JSON.parse(readFileSync(answer, 'utf8')) as Progress;
    rmSync(answer);
    return said;
  };
  const ask = (command: object) => {
    writeFileSync(`${question}.new`, JSON.stringify(command));
    renameSync(`${question}.new`, question);
    return answered();
  };
  return {
    ready: async () => void (await answered()),
    progress: () => ask({ do: 'progress' }),
    pause: () => ask({ do: 'pause' }),
    close: (how) => ask({ do: 'close', how }),
  };
}

/** CRIU from outside the box, whose namespace is none of the dump's business. */
export interface Criu {
  program: string;
  images: string;
  /** The environment of CRIU and of its action script. */
  env?: NodeJS.ProcessEnv;
  options?: string[];
  /** Whether established connections are dumped: yes, unless told. */
  tcp?: boolean;
}

/** @returns CRIU's arguments for dumping a process, the program first */
function dumpCommand(lab: Lab, pid: number, { program, images, options = [], tcp = true }: Criu): string[] {
  const external = `net[${statSync(lab.file('box')).ino}]:box`;
  const log = ['--log-file', 'dump.log', '-v4'];
  return [
    ...[program, 'dump', '--tree', `${pid}`, '--images-dir', images, ...log],
    ...(tcp ? ['--tcp-established'] : []),
    ...['--external', external, ...options],
  ];
}

/** What CRIU, or a wrapper around it, came to, with the end of its log. */
export interface CriuOutcome {
  exit: number;
  stderr: string;
  log: string;
}

async function runCommand(command: string[], { images, env }: Criu, log: string): Promise<CriuOutcome> {
  const [program = '', ...args] = command;
  const ended = await execa(program, args, {
    reject: false,
    env: { PATH: programPath, ...env },
    timeout: 60_000 * patience,
    stdin: 'ignore',
  });
  const file = join(images, log);
  const said = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return { exit: ended.exitCode ?? -1, stderr: ended.stderr, log: said };
}

export const dump = (lab: Lab, pid: number, criu: Criu): Promise<CriuOutcome> => dumpUnder([], lab, pid, criu);

/** @param under a program that runs CRIU, with its arguments */
export const dumpUnder = (under: string[], lab: Lab, pid: number, criu: Criu): Promise<CriuOutcome> =>
  runCommand([...under, ...dumpCommand(lab, pid, criu)], criu, 'dump.log');

/** Restores into the box and lets go of what was restored. */
export async function restore(lab: Lab, pid: number, criu: Criu): Promise<CriuOutcome> {
  const { program, images, options = [] } = criu;
  // Somebody has to have reaped the dumped one: the restored one gets its number.
  await until('the process id is free', 5000, async () => !existsSync(`/proc/${pid}`));
  const criuArguments = [
    ...['restore', '--restore-detached', '--images-dir', images, '--log-file', 'restore.log', '-v4'],
    ...['--tcp-established', '--inherit-fd', 'fd[3]:box', ...options],
  ];
  // The namespace is handed over as descriptor 3.
  const shell = ['sh', '-c', 'box=$1; shift; exec "$@" 3<"$box"', 'sh', lab.file('box')];
  return runCommand([...shell, program, ...criuArguments], criu, 'restore.log');
}

/** Fails with the end of CRIU's log unless it ended well. */
export function expectDone(outcome: CriuOutcome): CriuOutcome {
  if (outcome.exit === 0) return outcome;
  throw new Error(`exit ${outcome.exit}\n${outcome.stderr}\nthe log ends with:\n${outcome.log.slice(-3000)}`);
}
