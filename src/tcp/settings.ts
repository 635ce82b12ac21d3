/**
 * The settings (sysctls) of a namespace by which its TCP gives a connection up, and which sockets that exist already
 * follow. Found by experiment on Linux 6.18; test/kernel/timers.test.ts shows it.
 *
 * - tcp_retries2: data that is not acknowledged, and data that could not be sent at all (window probes).
 * - tcp_syn_retries: connections that are being made.
 * - tcp_orphan_retries: sockets that were closed with data or a FIN still to deliver. Nobody holds them, so no kick reaches
 *   them; raised, it saves those whose packets were held and are given back.
 * - tcp_keepalive_probes, tcp_keepalive_intvl: idle connections with SO_KEEPALIVE. The two multiply; the interval is raised
 *   only as far as 255 probes need to last as long as the other timers do.
 *
 * Not raised: tcp_keepalive_time, since a timer that was set by it would go off that late after the thaw; tcp_retries1,
 * which ends no connection; tcp_synack_retries, since a half-open connection ends with the first answer that a freeze
 * drops whatever it says, and the peer's next SYN begins it again; tcp_rto_max_ms, which counts for new sockets only.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { inside, type Namespace } from '../namespace/namespace';
import { isErrno } from '../platform/libc';
import { type Change, planChange } from './change';

/** What is raised, and how far: to the largest value that the kernel takes, or as far as 8 hours need. */
const wanted = {
  tcp_retries2: 255,
  tcp_syn_retries: 127,
  tcp_orphan_retries: 255,
  tcp_keepalive_probes: 255,
  tcp_keepalive_intvl: 120,
} as const;

/** The settings that sockets without options of their own follow. */
export type Setting = keyof typeof wanted | 'tcp_keepalive_time';

/**
 * @param before what an earlier freeze that still stands has changed
 * @returns what is to be changed, and what is changed already
 */
export function planSettings(namespace: Namespace, before: readonly Change[]): Change[] {
  return Object.entries(wanted).flatMap(([name, value]) => {
    const now = readSetting(namespace, name);
    const change = now === null ? null : planChange(name, now, value, before);
    return change ? [change] : [];
  });
}

/** Raises what still is as it was when it was planned. @throws Node's errors, EROFS where /proc/sys is read-only */
export function raiseSettings(namespace: Namespace, changes: readonly Change[]): void {
  for (const { name, saved, raised } of changes) {
    if (readSetting(namespace, name) === saved) writeSetting(namespace, name, raised);
  }
}

/**
 * Puts back what was raised; what somebody has changed since stays.
 * @returns what could not be, or was not to be put back, in words
 */
export function restoreSettings(namespace: Namespace, changes: readonly Change[]): string[] {
  return changes.flatMap(({ name, saved, raised }) => {
    try {
      const now = readSetting(namespace, name);
      if (now === raised) writeSetting(namespace, name, saved);
      return now === raised || now === saved ? [] : [`${name} was changed to ${now} by somebody else, and left`];
    } catch (error) {
      return [`${name} is ${raised} and was ${saved}: ${(error as Error).message}`];
    }
  });
}

/** @returns a setting of the namespace; null where the kernel has none of that name */
export function readSetting(namespace: Namespace, name: string): number | null {
  try {
    return Number(inside(namespace, () => readFileSync(file(name), 'utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

const writeSetting = (namespace: Namespace, name: string, value: number): void =>
  inside(namespace, () => writeFileSync(file(name), `${value}\n`));

/** What stands below /proc/sys/net is that of the namespace in which the file is opened (net/sysctl_net.c). */
const file = (name: string): string => `/proc/sys/net/ipv4/${name}`;
