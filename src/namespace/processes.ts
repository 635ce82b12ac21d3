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
 *   unified one, then the others, each where it is not at its root; none when it has ended
 */
export function controlGroups(pid: number): string[] {
  try {
    return groupsIn(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
  } catch {
    return [];
  }
}

/** @param text a process's `cgroup` file; what is at the root of an old hierarchy was never put anywhere in it */
export function groupsIn(text: string): string[] {
  const lines = text.split('\n').filter((line) => line.startsWith('0::') || !/^([^:]*:[^:]*:\/)?$/.test(line));
  const rank = (line: string) => (line.includes(':name=systemd:') ? 0 : line.startsWith('0::') ? 1 : 2);
  return lines.sort((a, b) => rank(a) - rank(b)).map((line) => line.replace(/^[^:]*:[^:]*:/, ''));
}

/** @returns the process that is a process's parent now; null when that has ended */
export function parentOf(pid: number): number | null {
  try {
    const [, parent] = /^PPid:\s+([0-9]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return parent === undefined ? null : Number(parent);
  } catch {
    return null;
  }
}
