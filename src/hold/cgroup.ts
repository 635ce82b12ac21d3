/**
 * A cgroup for keepers alone: whoever stops or freezes the unit, the session or the container that netfreeze was called
 * from must not stop what holds the packets.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One group for all keepers; it goes with the last of them. */
const groupName = 'netfreeze';
/** Of the hierarchies of cgroup version 1 those that processes are stopped, counted or killed by. */
const controllers = ['name=systemd', 'freezer', 'memory', 'pids'];

/**
 * Puts a process into the keepers' group, in every hierarchy where that is possible. Where it is not (a container without
 * its own cgroups, say) it stays where it is: the queue is held all the same.
 * @returns whether it has left the group of whoever called, in one hierarchy at least
 */
export function joinOwnCgroup(pid: number): boolean {
  let joined = false;
  for (const group of groups()) {
    try {
      mkdirSync(group, { recursive: false });
    } catch {
      // It is there already, or can't be made; then the next line fails too.
    }
    try {
      writeFileSync(join(group, 'cgroup.procs'), `${pid}\n`);
      joined = true;
    } catch {
      // Said above.
    }
  }
  return joined;
}

/** Removes the group once no keeper is in it. */
export function leaveOwnCgroup(): void {
  for (const group of groups()) {
    try {
      rmdirSync(group);
    } catch {
      // Another keeper lives in it, or it was never made.
    }
  }
}

/** proc(5), mountinfo: field 5 is the place; after ` - ` come the type, the source and the options of the file system. */
function groups(): string[] {
  let mounts: string;
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return [];
  }
  return mounts.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [type = '', , options = ''] = after.split(' ');
    const isOurs =
      type === 'cgroup2' || (type === 'cgroup' && options.split(',').some((name) => controllers.includes(name)));
    const place = before.split(' ')[4];
    return isOurs && place ? [join(place, groupName)] : [];
  });
}
