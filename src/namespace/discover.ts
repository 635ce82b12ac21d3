/** Every network namespace that can be reached from here: through a name, a bind mount, or a process that is in it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { errnoOf } from '../platform/libc';
import { type Namespace, PinError, pin, release, sameNamespace } from './namespace';
import { processes } from './processes';

/** Where `ip netns` keeps its names. */
export const netnsDirectory = '/run/netns';

/** A namespace that was found, and the way to it: `netns:web`, `path:/run/docker/netns/…`, `pid:4711`. */
export interface Found {
  name: string;
  namespace: Namespace;
}

/** @returns the names that `ip netns` knows, whether or not a namespace is still behind them */
export function netnsNames(): string[] {
  try {
    return readdirSync(netnsDirectory).sort();
  } catch {
    return []; // No `ip netns` has been used since the machine was started.
  }
}

/**
 * Pins every namespace that can be reached, each once, by its best name. The caller releases them.
 * @param wanted asked before a namespace is opened; by default all of them
 */
export function discover(wanted: (found: { device: number; inode: number }) => boolean = () => true): Found[] {
  const found: Found[] = [];
  for (const { name, path } of candidates()) {
    try {
      const { dev, ino } = statSync(path);
      const id = { device: dev, inode: ino };
      if (found.some(({ namespace }) => sameNamespace(namespace, id)) || !wanted(id)) continue;
      const namespace = pin(path);
      if (found.some((other) => sameNamespace(other.namespace, namespace))) release(namespace);
      else found.push({ name, namespace });
    } catch (error) {
      // A process that has ended, a name without a namespace, or one that we may not look at.
      const reason = error instanceof PinError ? error.reason : errnoOf(error);
      if (!passedBy.includes(reason ?? '')) throw error;
    }
  }
  return found;
}

/** Why a candidate is passed by; what else goes wrong (no more descriptors, say) must not hide a freeze. */
const passedBy = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'not-a-namespace'];

/** The ways to namespaces, the best names first. */
function* candidates(): Generator<{ name: string; path: string }> {
  for (const name of netnsNames()) yield { name: `netns:${name}`, path: `${netnsDirectory}/${name}` };
  for (const path of namespaceMounts()) yield { name: `path:${path}`, path };
  for (const pid of processes()) yield { name: `pid:${pid}`, path: `/proc/${pid}/ns/net` };
}

/** proc(5), mountinfo: field 4 is `net:[inode]` for a bind-mounted network namespace, field 5 the place. */
function namespaceMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[3]?.startsWith('net:['))
    .map((fields) => unescapeMount(fields[4] ?? ''))
    .sort();
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
const unescapeMount = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
