/**
 * The C library's calls that Node does not offer, through koffi. Each function throws a SystemError with the call's
 * name and errno; none of them is called from another thread than the main one.
 */
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import type { KoffiFunc } from 'koffi';
import { Exit, Failure } from './failure';

type Koffi = typeof import('koffi');

/** A system call that failed. */
export class SystemError extends Error {
  readonly errno: number;
  /** The errno's name, such as `EPERM`. */
  readonly code: string;

  constructor(call: string, errno: number) {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
    super(`${call}: ${text} (${code})`);
    this.name = 'SystemError';
    this.errno = errno;
    this.code = code;
  }
}

/** @returns the errno's name that a thrown value carries, ours or Node's; undefined for anything else */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** @returns whether a thrown value is a system error (ours or Node's) with one of these errno names */
export const isErrno = (error: unknown, ...codes: string[]): boolean => codes.includes(errnoOf(error) ?? '');

let loaded: Koffi | undefined;

/**
 * The library that calls C functions; loaded on first use, since it costs a tenth of a start.
 * @throws Failure `no-native-calls` where the package has no binary for this machine
 */
export function nativeCalls(): Koffi {
  try {
    loaded ??= require('koffi') as Koffi;
  } catch (cause) {
    throw new Failure('no-native-calls', Exit.unsupported, `koffi cannot be loaded on this machine: ${cause}`, {
      suggestions: [
        'run `npm ci` again on this machine: koffi brings binaries for the machine that it is installed on',
      ],
      cause,
    });
  }
  return loaded;
}

/** Declares a C function when it is first called and checks its result: -1 means errno. */
function call<Arguments extends unknown[]>(prototype: string): (...values: Arguments) => number {
  const name = /(\w+)\(/.exec(prototype)?.[1] ?? prototype;
  let native: KoffiFunc<(...values: Arguments) => number | bigint> | undefined;
  return (...values) => {
    native ??= nativeCalls().load(null).func(prototype);
    for (;;) {
      const result = Number(native(...values));
      if (result !== -1) return result;
      const errno = nativeCalls().errno();
      if (errno !== EINTR) throw new SystemError(name, errno);
    }
  };
}

/** errno.h */
const EINTR = 4;

/** setns(2): moves the calling thread into a namespace. */
export const setns = call<[fd: number, type: number]>('int setns(int fd, int nstype)');
/** unshare(2). */
export const unshare = call<[flags: number]>('int unshare(int flags)');
/** ioctl(2) without an argument. */
export const ioctl = call<[fd: number, request: number]>('int ioctl(int fd, unsigned long request)');
/** socket(2). */
export const socket = call<[domain: number, type: number, protocol: number]>(
  'int socket(int domain, int type, int protocol)',
);
/** setsockopt(2). */
export const setsockopt = call<[fd: number, level: number, name: number, value: Buffer, length: number]>(
  'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
);
/** getsockopt(2); `length` is four bytes, in and out. */
export const getsockopt = call<[fd: number, level: number, name: number, value: Buffer, length: Buffer]>(
  'int getsockopt(int fd, int level, int name, uint8_t *value, uint8_t *length)',
);
/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
/** The machines on which `long`, of which struct timeval is made, has 32 bits. */
const narrow = ['arm', 'ia32', 'mipsel'];

/** fcntl(2) with a struct flock whose offsets have 64 bits. */
export const fcntl = call<[fd: number, command: number, lock: Buffer]>(
  `int ${narrow.includes(process.arch) ? 'fcntl64' : 'fcntl'}(int fd, int command, uint8_t *lock)`,
);

/** Lets a read from a socket wait no longer than this, in milliseconds; it ends with EAGAIN then. */
export function limitReading(fd: number, ms: number): void {
  const long = narrow.includes(process.arch) ? 4 : 8;
  const timeval = Buffer.alloc(2 * long);
  timeval.writeUIntLE(Math.floor(ms / 1000), 0, 4);
  timeval.writeUIntLE((ms % 1000) * 1000, long, 4);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval, timeval.length);
}

/** sendto(2); returns the bytes sent. */
export const sendto = call<
  [fd: number, data: Buffer, length: number, flags: number, address: Buffer, addressLength: number]
>(
  'intptr_t sendto(int fd, const uint8_t *data, uintptr_t length, int flags, const uint8_t *address, uint32_t addressLength)',
);
/** bind(2). */
export const bind = call<[fd: number, address: Buffer, addressLength: number]>(
  'int bind(int fd, const uint8_t *address, uint32_t addressLength)',
);
/** recv(2); returns the bytes received. */
export const recv = call<[fd: number, data: Buffer, length: number, flags: number]>(
  'intptr_t recv(int fd, uint8_t *data, uintptr_t length, int flags)',
);
/** syscall(2) for a call that the C library does not wrap: number, a command, a buffer and its length. */
export const syscallBuffer = call<[number: number, command: number, data: Buffer, length: number]>(
  'long syscall(long number, long command, uint8_t *data, unsigned long length)',
);
/** getsockname(2); `length` is four bytes, in and out. */
export const getsockname = call<[fd: number, address: Buffer, length: Buffer]>(
  'int getsockname(int fd, uint8_t *address, uint8_t *length)',
);
/** syscall(2) for a call that the C library does not wrap: number and three numbers. */
export const syscallNumbers = call<[number: number, first: number, second: number, third: number]>(
  'long syscall(long number, long first, long second, long third)',
);
/** alarm(2): SIGALRM after so many seconds, which ends a process that does not handle it, whatever it is waiting for. */
export const alarm = call<[seconds: number]>('unsigned int alarm(unsigned int seconds)');
/** dup(2). */
const dup = call<[fd: number]>('int dup(int fd)');
/** dup2(2). */
const dup2 = call<[from: number, to: number]>('int dup2(int from, int to)');

/**
 * Runs `work` with standard error going nowhere, for C libraries that print to it on their own.
 * @returns what `work` returns
 */
export function withoutStandardError<Result>(work: () => Result): Result {
  const nowhere = openSync('/dev/null', 'w');
  const kept = dup(2);
  dup2(nowhere, 2);
  try {
    return work();
  } finally {
    dup2(kept, 2);
    closeSync(kept);
    closeSync(nowhere);
  }
}
