/**
 * The timers that programs have set on their sockets. Each is raised on its socket, and only where the program has set
 * it. An option that was never set reads as the namespace's setting does; so the settings are raised first, and what then
 * reads otherwise was set by the program (one that was set to just the raised value needs no raising).
 */
import type { Namespace } from '../namespace/namespace';
import { TCP, type TcpSocket, type TcpState } from '../netlink/sock-diag';
import { borrow } from './borrow';
import { type Change, planChange } from './change';
import {
  getOption,
  type Option,
  SO_KEEPALIVE,
  setOption,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
} from './options';
import { readSetting, type Setting } from './settings';
import { type HeldSocket, socketsOf, withHolders } from './sockets';

/** What was changed on one socket. */
export interface SocketChanges {
  cookie: string;
  options: Change[];
}

interface Timer {
  option: Option;
  /** As far as the kernel takes it (net/ipv4/tcp.c), or as 127 probes need for 8 hours. */
  wanted: number;
  /** What it reads as where it was never set. */
  unset: Setting | 0;
  /** Where it counts. */
  counts: 'always' | 'while connecting' | 'with keepalive';
}

/** In the order of changing: setting TCP_KEEPIDLE starts the keepalive timer anew, with the other two as they are then. */
const timers: Record<string, Timer> = {
  TCP_USER_TIMEOUT: { option: TCP_USER_TIMEOUT, wanted: 0x7fffffff, unset: 0, counts: 'always' },
  TCP_SYNCNT: { option: TCP_SYNCNT, wanted: 127, unset: 'tcp_syn_retries', counts: 'while connecting' },
  TCP_KEEPCNT: { option: TCP_KEEPCNT, wanted: 127, unset: 'tcp_keepalive_probes', counts: 'with keepalive' },
  TCP_KEEPINTVL: { option: TCP_KEEPINTVL, wanted: 240, unset: 'tcp_keepalive_intvl', counts: 'with keepalive' },
  TCP_KEEPIDLE: { option: TCP_KEEPIDLE, wanted: 32767, unset: 'tcp_keepalive_time', counts: 'with keepalive' },
};

/** Listening sockets are left alone: what they are accepted with would keep the raised values for good. */
const states: readonly TcpState[] = Object.values(TCP);

/**
 * Looks for sockets with timers of their own; the namespace's settings are raised by then.
 * @param before what an earlier freeze that still stands has changed; kept for sockets that can't be looked at now
 * @returns what is to be changed, and what is changed already
 */
export function planOwnTimers(namespace: Namespace, before: readonly SocketChanges[]): SocketChanges[] {
  const unset = new Map<Setting | 0, number>([[0, 0]]);
  for (const { unset: name } of Object.values(timers)) {
    if (name !== 0) unset.set(name, readSetting(namespace, name) ?? 0);
  }
  return withHolders(socketsOf(namespace, states), namespace).flatMap((socket) => {
    const earlier = before.find(({ cookie }) => cookie === socket.cookie);
    const options = onSocket(socket, (fd) => planOptions(fd, socket, unset, earlier?.options ?? []));
    if (options === null) return earlier ? [earlier] : [];
    return options.length === 0 ? [] : [{ cookie: socket.cookie, options }];
  });
}

function planOptions(
  fd: number,
  { state }: TcpSocket,
  unset: ReadonlyMap<Setting | 0, number>,
  before: readonly Change[],
): Change[] {
  const circumstances = {
    always: true,
    'while connecting': state === TCP.SYN_SENT,
    'with keepalive': getOption(fd, SO_KEEPALIVE) !== 0,
  };
  return Object.entries(timers).flatMap(([name, timer]) => {
    if (!circumstances[timer.counts]) return [];
    const now = getOption(fd, timer.option);
    if (now === unset.get(timer.unset)) return [];
    const change = planChange(name, now, timer.wanted, before);
    return change ? [change] : [];
  });
}

/** Raises what still is as it was when it was planned. */
export function raiseOwnTimers(namespace: Namespace, changes: readonly SocketChanges[]): void {
  eachOf(namespace, changes, (fd, { option }, { saved, raised }) => {
    if (getOption(fd, option) === saved) setOption(fd, option, raised);
  });
}

/**
 * Puts back what was raised; what a program has set since stays.
 * @returns how many sockets exist still but can't be reached
 */
export function restoreOwnTimers(namespace: Namespace, changes: readonly SocketChanges[]): number {
  return eachOf(namespace, changes, (fd, { option }, { saved, raised }) => {
    if (getOption(fd, option) === raised) setOption(fd, option, saved);
  });
}

/** @returns the number of sockets that exist and can't be reached */
function eachOf(
  namespace: Namespace,
  changes: readonly SocketChanges[],
  action: (fd: number, timer: Timer, change: Change) => void,
): number {
  if (changes.length === 0) return 0;
  const byCookie = new Map(changes.map(({ cookie, options }) => [cookie, options]));
  const sockets = socketsOf(namespace, states).filter(({ cookie }) => byCookie.has(cookie));
  return withHolders(sockets, namespace).filter((socket) => {
    const done = onSocket(socket, (fd) => {
      for (const [name, timer] of Object.entries(timers)) {
        const change = byCookie.get(socket.cookie)?.find((one) => one.name === name);
        if (change) action(fd, timer, change);
      }
      return true;
    });
    return done === null;
  }).length;
}

/** @returns null when the socket can't be had, or has come to its end meanwhile */
function onSocket<Result>({ holder, cookie }: HeldSocket, work: (fd: number) => Result): Result | null {
  if (!holder) return null;
  try {
    return borrow(holder, cookie, work);
  } catch {
    return null;
  }
}
