/**
 * The keeper: the tiny process that keeps a steal queue's socket open (keeper.sh). It is started before the first packet
 * is queued, is found again without a record, and ends when nobody needs it any more.
 */
import { closeSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { inside, isSocketIn, type Namespace } from '../namespace/namespace';
import { NETLINK, openNetlink } from '../netlink/socket';
import { Exit, Failure } from '../platform/failure';
import { isErrno, limitReading, socket } from '../platform/libc';
import { argumentsOf, keepDescriptorsToOurselves, sessionOf, startOf, takeDescriptor } from '../platform/process';
import { joinOwnCgroup, leaveOwnCgroup } from './cgroup';
import { type QueueNumbers, type QueueSocket, queueFile, queueSocketOn } from './queue';

/** What `ps` shows first. */
const keeperName = 'netfreeze-keeper';
/** The script lies beside this file, and beside the bundle that it is built into. */
const script = join(__dirname, 'keeper.sh');
/** sys/socket.h */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
/** The descriptor under which a keeper has the socket. */
const socketDescriptor = 3;

/** A running keeper. */
export interface Keeper {
  pid: number;
  /** When it was started, in clock ticks: a process id is used again. */
  start: number;
}

/** What a keeper is told when it is started. */
export interface Errand {
  /** The target's name, for people who look at `ps`. */
  target: string;
  /** What record and lock of the namespace are called. */
  state: string;
  namespace: Namespace;
  /** The file by which the namespace was found; the keeper looks from time to time whether it is still there. */
  anchor: string;
  numbers: QueueNumbers;
  socket: QueueSocket;
  /** The length of the lease in milliseconds; null: endless. Only used when whoever starts the keeper dies before `tell`. */
  leaseMs: number | null;
  /** Where the keeper leaves word of what it released at the end of the lease. */
  wordFile: string;
}

/** A keeper that was just started. */
export interface StartedKeeper extends Keeper {
  /** Whether it is in a cgroup of its own, and does not end with whoever started it. */
  isApart: boolean;
  /**
   * Tells it when the lease ends, and lets go of it.
   * @param leaseLeftMs milliseconds from now; null: endless
   */
  tell(leaseLeftMs: number | null): Promise<void>;
  /** Ends it. */
  end(): void;
}

/**
 * Starts a keeper with a copy of the bound socket. It has a session and a cgroup of its own, /dev/null for its standard
 * streams, and is the last that the kernel kills for memory.
 * @throws Failure `no-keeper` when no process can be started
 */
export function startKeeper(errand: Errand): StartedKeeper {
  // Loaded late: no other command starts a process.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  const { namespace, numbers, leaseMs } = errand;
  const opened = openForKeeper(namespace);
  try {
    keepDescriptorsToOurselves();
    const lease = leaseMs === null ? '-' : String(Math.ceil(leaseMs / 10));
    const words = [errand.target, errand.state, String(numbers.in), String(numbers.out)];
    const child = spawn('/bin/sh', [script, ...words, lease, errand.anchor, errand.wordFile], {
      argv0: keeperName,
      cwd: '/',
      detached: true,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      stdio: [
        'ignore',
        'ignore',
        'ignore',
        errand.socket.fd,
        opened.table,
        'pipe',
        namespace.fd,
        opened.asks,
        opened.waits,
      ],
    });
    // A start that fails is told by the missing process id; the event would end this process.
    child.on('error', () => {});
    const { pid } = child;
    const start = pid === undefined ? null : startOf(pid);
    if (pid === undefined || start === null) {
      throw new Failure('no-keeper', Exit.unexpected, 'the process that keeps the queue open could not be started', {
        suggestions: ['look at the limits of processes and memory (ulimit -u, cgroups); nothing was frozen'],
      });
    }
    const isApart = joinOwnCgroup(pid);
    child.unref();
    const order = (child.stdio as unknown as Writable[])[5] as Writable;
    order.on('error', () => {});
    const keeper = { pid, start };
    return {
      ...keeper,
      isApart,
      tell: (leaseLeftMs) => say(order, leaseLeftMs),
      end() {
        order.destroy();
        endKeeper(keeper);
      },
    };
  } finally {
    for (const fd of Object.values(opened)) closeSync(fd);
  }
}

/** What a keeper needs besides, in the namespace: the table of queues, a socket to ask nf_tables, and one to wait with. */
function openForKeeper(namespace: Namespace): { table: number; asks: number; waits: number } {
  return inside(namespace, () => {
    const [asks, waits] = [openNetlink(NETLINK.NETFILTER).fd, socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)];
    limitReading(asks, 10);
    limitReading(waits, 250);
    return { table: openSync(queueFile, 'r'), asks, waits };
  });
}

/** The keeper's clock is the time since the machine was started, in hundredths of a second, as /proc/uptime has it. */
function say(order: Writable, leaseLeftMs: number | null): Promise<void> {
  const due = leaseLeftMs === null ? 'endless' : String(Math.ceil((uptimeMs() + leaseLeftMs) / 10) + 1);
  return new Promise((done) => {
    order.end(`${due}\n`, () => done());
  });
}

/**
 * Finds the keepers of a namespace among all processes.
 * @param state what record and lock of the namespace are called
 * @param known one that is likely to be it, looked at first; with it the others are not looked for
 */
export function findKeepers(state: string, known: Keeper | null = null): Keeper[] {
  if (known && startOf(known.pid) === known.start && isKeeperOf(known.pid, state)) return [known];
  return processes()
    .filter((pid) => isKeeperOf(pid, state))
    .flatMap((pid) => {
      const start = startOf(pid);
      return start === null ? [] : [{ pid, start }];
    });
}

/** @returns what record and lock are called of every namespace that has a keeper; all processes are looked at */
export const keptStates = (): Set<string> =>
  new Set(
    processes()
      .map(stateKeptBy)
      .filter((state) => state !== null),
  );

/**
 * When a keeper's lease ends, by what it was started with; for those who have no record of the freeze.
 * @returns milliseconds from now, negative once it has ended; null: endless, or not known
 */
export function leaseLeftOf({ pid, start }: Keeper): number | null {
  const lease = Number(argumentsOf(pid)[6]);
  // A keeper is started right before its lease. Clock ticks are hundredths of a second on every machine (USER_HZ).
  return Number.isInteger(lease) ? (start + lease) * 10 - uptimeMs() : null;
}

const uptimeMs = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;

/** @returns the queues that a keeper was started for; null when it has ended */
export function numbersOf({ pid }: Keeper): QueueNumbers | null {
  const [incoming, out] = argumentsOf(pid).slice(4, 6).map(Number);
  return Number.isInteger(incoming) && Number.isInteger(out) ? { in: Number(incoming), out: Number(out) } : null;
}

const processes = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number);

const isKeeperOf = (pid: number, state: string): boolean => stateKeptBy(pid) === state;

/**
 * A process of another user is no keeper, whatever it calls itself: root's in a container's user namespace, say. Nor is what
 * a keeper has just forked, which has its arguments until it executes `sleep`: a keeper leads its session.
 */
function stateKeptBy(pid: number): string | null {
  const [name, , , state] = argumentsOf(pid);
  return name === keeperName && state !== undefined && sessionOf(pid) === pid && isOurs(pid) ? state : null;
}

function isOurs(pid: number): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === process.geteuid?.();
  } catch {
    return false;
  }
}

/**
 * Takes a keeper's socket, to decide with.
 * @param owner the netlink port that the kernel's table names: another socket is not the queues'
 * @param namespace where the queues are: a port names one socket of one namespace
 * @returns null when it has not that socket (a process that only looks like a keeper, say)
 * @throws Failure `socket-forbidden` where the kernel lets nobody take descriptors
 */
export function takeSocket(keeper: Keeper, owner: number, namespace: Namespace): QueueSocket | null {
  let fd: number;
  try {
    fd = takeDescriptor(keeper.pid, socketDescriptor);
  } catch (cause) {
    if (isErrno(cause, 'ESRCH', 'EBADF')) return null;
    if (!isErrno(cause, 'EPERM', 'ENOSYS')) throw cause;
    throw new Failure(
      'socket-forbidden',
      Exit.unsupported,
      `the kernel does not let go of the keeper's socket: ${cause}`,
      {
        suggestions: ['kernel.yama.ptrace_scope must be below 3, and the kernel 5.6 or newer'],
        cause,
      },
    );
  }
  try {
    const socket = queueSocketOn(fd);
    if (socket.port === owner && isSocketIn(fd, namespace)) return socket;
  } catch (error) {
    if (!isErrno(error, 'ENOTSOCK', 'EINVAL', 'ENOTTY')) throw error;
  }
  closeSync(fd);
  return null;
}

/** Ends a keeper and what it has started; what it held, if it was the socket's last owner, is dropped by the kernel. */
export function endKeeper({ pid, start }: Keeper): void {
  if (startOf(pid) !== start) return;
  try {
    // It leads a process group of its own, with the `sleep` that it waits for.
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
  // The socket is closed once the process is gone.
  const wait = new Int32Array(new SharedArrayBuffer(4));
  for (let turn = 0; turn < 1000 && startOf(pid) === start; turn += 1) Atomics.wait(wait, 0, 0, 1);
  leaveOwnCgroup();
}

/** Sends a keeper one of the signals that it knows (keeper.sh). */
export function signalKeeper({ pid, start }: Keeper, signal: 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2'): void {
  if (startOf(pid) === start) process.kill(pid, signal);
}

/** What a keeper did at the end of the lease with the packets that were held. */
export interface Word {
  what: 'released' | 'dropped';
  in: number;
  out: number;
}

/** @returns what the keeper left word of; null when it has not released anything yet, or could not write */
export function readWord(file: string): Word | null {
  try {
    const [, what, incoming, out] = /^(repeat|drop) ([0-9]+) ([0-9]+)\n$/.exec(readFileSync(file, 'utf8')) ?? [];
    if (what === undefined) return null;
    return { what: what === 'repeat' ? 'released' : 'dropped', in: Number(incoming), out: Number(out) };
  } catch {
    return null;
  }
}

/** Removes the word. */
export const forgetWord = (file: string): void => rmSync(file, { force: true });
