/**
 * A network namespace, pinned: an open descriptor, named by (device, inode) from then on. What is pinned can't be
 * swapped for another namespace behind our back, and lives at least as long as the descriptor.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { Exit, Failure } from '../platform/failure';
import { errnoOf, getsockopt, ioctl, isErrno, setns, socket, unshare } from '../platform/libc';

/** linux/sched.h */
const CLONE_NEWNET = 0x40000000;
/** linux/magic.h */
const NSFS_MAGIC = 0x6e736673;
/** linux/nsfs.h: _IO(0xb7, 3) */
const NS_GET_NSTYPE = 0xb703;
/** asm-generic/fcntl.h */
const O_PATH = 0x200000;
/** asm-generic/socket.h; the cookie names a namespace for as long as the machine runs, an inode number is used again. */
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;
/** linux/sockios.h: opens the namespace of a socket (kernel 4.9). */
const SIOCGSKNS = 0x894c;
/** sys/socket.h */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
/** linux/nsfs.h since 6.18: the inode number of the machine's first network namespace. */
const NET_NS_INIT_INO = 0xeffffff9;

/** What a namespace is called in records and reports. */
export interface NamespaceId {
  device: number;
  inode: number;
}

/** A pinned network namespace. */
export interface Namespace extends NamespaceId {
  readonly fd: number;
}

/** Why a file could not be pinned; `errno` is Node's name for it, `not-a-namespace` what it says. */
export class PinError extends Error {
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Opens a namespace's file once and checks that it is a network namespace.
 * @param path such as `/run/netns/web` or `/proc/4711/ns/net`
 * @throws PinError with the errno's name or `not-a-namespace`
 */
export function pin(path: string): Namespace {
  let handle: number | undefined;
  try {
    // By path only at first: opening a device or a FIFO could do something, or wait.
    handle = openSync(path, O_PATH);
    const real = `/proc/self/fd/${handle}`;
    if (statfsSync(real).type !== NSFS_MAGIC) throw notANamespace(path);
    const fd = openSync(real, constants.O_RDONLY);
    if (ioctl(fd, NS_GET_NSTYPE) !== CLONE_NEWNET) {
      closeSync(fd);
      throw notANamespace(path);
    }
    const { dev, ino } = fstatSync(fd);
    return { fd, device: dev, inode: ino };
  } catch (error) {
    const errno = errnoOf(error);
    if (error instanceof PinError || errno === undefined) throw error;
    throw new PinError(errno, (error as Error).message);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

const notANamespace = (path: string) => new PinError('not-a-namespace', `${path} is not a network namespace`);

/** Lets go of a namespace. */
export function release(namespace: Namespace): void {
  closeSync(namespace.fd);
}

/** @returns whether two names stand for the same namespace */
export const sameNamespace = (a: NamespaceId, b: NamespaceId): boolean => a.device === b.device && a.inode === b.inode;

let home: Namespace | undefined;

/** @returns the namespace that netfreeze itself runs in */
export function ownNamespace(): Namespace {
  home ??= pin('/proc/thread-self/ns/net');
  return home;
}

/**
 * Runs `work` with the main thread in the namespace, and comes back whatever happens. `work` is synchronous on purpose:
 * nothing else can run on this thread meanwhile, and libuv's pool, whose threads would stay in there, is not started.
 * @returns what `work` returns
 * @throws what `work` throws; SystemError EPERM without the right to enter
 */
export function inside<Result>(namespace: Namespace, work: () => Result): Result {
  const { fd } = ownNamespace();
  setns(namespace.fd, CLONE_NEWNET);
  try {
    return work();
  } finally {
    comeHome(fd);
  }
}

/**
 * Makes a new, empty network namespace that nothing names: it goes when the last descriptor and socket in it are closed.
 * @throws SystemError EPERM without CAP_SYS_ADMIN, ENOSPC when the limit of namespaces is reached
 */
export function makeScratch(): Namespace {
  const { fd } = ownNamespace();
  unshare(CLONE_NEWNET);
  try {
    return pin('/proc/thread-self/ns/net');
  } finally {
    comeHome(fd);
  }
}

function comeHome(fd: number): void {
  try {
    setns(fd, CLONE_NEWNET);
  } catch (error) {
    // Going on would do to this namespace what is meant for another one.
    process.stderr.write(`netfreeze: cannot return to its own network namespace (${error}); it stops here.\n`);
    process.exit(Exit.unexpected);
  }
}

/**
 * @returns the namespace's cookie (kernel 5.14), unique until the next boot, in decimal; null on an older kernel
 */
export function cookieOf(namespace: Namespace): string | null {
  const known = cookies.get(namespace);
  if (known !== undefined) return known;
  const cookie = askCookie(namespace);
  cookies.set(namespace, cookie);
  return cookie;
}

/** A pinned namespace stays what it is. */
const cookies = new WeakMap<Namespace, string | null>();

function askCookie(namespace: Namespace): string | null {
  const fd = inside(namespace, () => socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
  try {
    const value = Buffer.alloc(8);
    const length = Buffer.from([8, 0, 0, 0]);
    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, length);
    return value.readBigUInt64LE(0).toString();
  } catch (error) {
    if (isErrno(error, 'ENOPROTOOPT')) return null;
    throw error;
  } finally {
    closeSync(fd);
  }
}

/**
 * @param socketFd any socket of this process
 * @returns whether it was opened in the namespace
 * @throws SystemError ENOTTY or EINVAL for what is no socket, EPERM without CAP_NET_ADMIN there
 */
export function isSocketIn(socketFd: number, namespace: NamespaceId): boolean {
  const fd = ioctl(socketFd, SIOCGSKNS);
  try {
    const { dev, ino } = fstatSync(fd);
    return sameNamespace({ device: dev, inode: ino }, namespace);
  } finally {
    closeSync(fd);
  }
}

let boot: string | undefined;

/** @returns this boot's identifier, by which what an earlier boot left behind is told apart */
export function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return boot;
}

/**
 * The machine's first namespace and the one that netfreeze runs in carry the host's own traffic.
 * @returns which of the two it is, or null
 */
export function hostRole(namespace: NamespaceId): string | null {
  if (sameNamespace(namespace, ownNamespace())) return 'the namespace that netfreeze itself runs in';
  if (namespace.inode === NET_NS_INIT_INO) return "the machine's first namespace";
  first ??= firstNamespace();
  return sameNamespace(namespace, first) ? "the machine's first namespace" : null;
}

let first: NamespaceId | undefined;

/** @returns the namespace of process 1; where that can't be seen from here, the one that netfreeze runs in */
function firstNamespace(): NamespaceId {
  try {
    const { dev, ino } = statSync('/proc/1/ns/net');
    return { device: dev, inode: ino };
  } catch {
    return ownNamespace();
  }
}

/**
 * @param remark what the target is that it has come to the host's namespace, and what to do about it
 * @throws Failure `host-namespace` unless the user has allowed it and given a lease
 */
export function refuseHost(
  namespace: NamespaceId,
  name: string,
  allowed: { host: boolean; lease: boolean },
  remark: { what: string; advice: string } | null = null,
): void {
  const role = hostRole(namespace);
  if (role === null || (allowed.host && allowed.lease)) return;
  throw new Failure(
    'host-namespace',
    Exit.usage,
    `${remark ? `${name} is ${remark.what}, ${role}` : `${name} is ${role}`}: freezing it would cut this machine off from its network`,
    {
      suggestions: [
        ...(remark ? [remark.advice] : []),
        'if you mean it, give --allow-host and --lease together, so that the kernel thaws it by itself',
      ],
    },
  );
}
