/**
 * Who holds a socket: a descriptor of a process, of any process of the machine. A process outside of a namespace can
 * hold a socket inside it.
 */
import { readdirSync, readlinkSync } from 'node:fs';

/** One descriptor of a socket; more may exist. */
export interface Holder {
  pid: number;
  fd: number;
}

/**
 * Walks over the descriptors of all processes that this one may see, once; first those of the namespace's own
 * processes. It ends as soon as every socket has been found.
 * @param inodes of the sockets' files; 0 stands for none and is not looked for
 * @param namespaceInode of the network namespace that the sockets belong to
 * @returns a holder for each socket that has one; sockets of processes that may not be looked at have none
 */
export function findHolders(inodes: Iterable<number>, namespaceInode: number): Map<number, Holder> {
  const wanted = new Set(inodes);
  wanted.delete(0);
  const found = new Map<number, Holder>();
  if (wanted.size === 0) return found;
  for (const pid of processes(`net:[${namespaceInode}]`)) {
    for (const { fd, inode } of sockets(pid)) {
      if (wanted.delete(inode)) found.set(inode, { pid, fd });
    }
    if (wanted.size === 0) break;
  }
  return found;
}

/** Process ids; those in the namespace come first. */
function* processes(namespace: string): Generator<number> {
  const others: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    if (linkOf(`/proc/${name}/ns/net`) === namespace) yield Number(name);
    else others.push(Number(name));
  }
  yield* others;
}

/** proc(5), /proc/PID/fd: a socket's link reads `socket:[inode]`. */
function* sockets(pid: number): Generator<{ fd: number; inode: number }> {
  const directory = `/proc/${pid}/fd`;
  for (const fd of entries(directory)) {
    const link = linkOf(`${directory}/${fd}`);
    if (link.startsWith('socket:[')) yield { fd: Number(fd), inode: Number(link.slice(8, -1)) };
  }
}

/** A process that has ended, or that may not be looked at, has no descriptors. */
function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
