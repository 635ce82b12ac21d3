/** The processes of this machine, as /proc shows them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { NamespaceId } from './namespace';

/** @returns the ids of all processes, in order */
export function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** @returns the network namespace that a process is in; null when it has ended, or may not be looked at */
export function namespaceOf(pid: number): NamespaceId | null {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/ns/net`);
    return { device: dev, inode: ino };
  } catch {
    return null;
  }
}

/**
 * @returns the control groups that a process is in, as cgroups(7) has them: systemd's own hierarchy first, then the
 *   unified one, then the others; none when it has ended
 */
export function controlGroups(pid: number): string[] {
  try {
    const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n').slice(0, -1);
    const rank = (line: string) => (line.includes(':name=systemd:') ? 0 : line.startsWith('0::') ? 1 : 2);
    return lines.sort((a, b) => rank(a) - rank(b)).map((line) => line.replace(/^[^:]*:[^:]*:/, ''));
  } catch {
    return [];
  }
}
