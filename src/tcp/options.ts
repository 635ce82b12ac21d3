/** Options of TCP sockets: their names in the kernel's headers, and reading and setting those that are one number. */
import { getsockopt, setsockopt } from '../platform/libc';

/** An option that is one int. */
export interface Option {
  level: number;
  name: number;
}

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
export const SO_REUSEADDR: Option = { level: SOL_SOCKET, name: 2 };
export const SO_KEEPALIVE: Option = { level: SOL_SOCKET, name: 9 };
const SO_COOKIE = 57;

/** linux/tcp.h */
const SOL_TCP = 6;
export const TCP_CORK: Option = { level: SOL_TCP, name: 3 };
export const TCP_KEEPIDLE: Option = { level: SOL_TCP, name: 4 };
export const TCP_KEEPINTVL: Option = { level: SOL_TCP, name: 5 };
export const TCP_KEEPCNT: Option = { level: SOL_TCP, name: 6 };
export const TCP_SYNCNT: Option = { level: SOL_TCP, name: 7 };
export const TCP_USER_TIMEOUT: Option = { level: SOL_TCP, name: 18 };
export const TCP_REPAIR: Option = { level: SOL_TCP, name: 19 };
const TCP_INFO = 11;
/** struct tcp_info: where tcpi_segs_out stands. */
const tcpi_segs_out = 136;

/** @throws SystemError from the kernel */
export function getOption(fd: number, { level, name }: Option): number {
  return read(fd, level, name, 4).readInt32LE(0);
}

/** @throws SystemError from the kernel */
export function setOption(fd: number, { level, name }: Option, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  setsockopt(fd, level, name, bytes, bytes.length);
}

/** @returns the socket's cookie in decimal, as sock_diag shows it */
export const cookieOf = (fd: number): string => read(fd, SOL_SOCKET, SO_COOKIE, 8).readBigUInt64LE(0).toString();

/** @returns how many segments the socket has sent, or tried to */
export const segmentsSent = (fd: number): number =>
  read(fd, SOL_TCP, TCP_INFO, tcpi_segs_out + 4).readUInt32LE(tcpi_segs_out);

function read(fd: number, level: number, name: number, size: number): Buffer {
  const value = Buffer.alloc(size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  getsockopt(fd, level, name, value, length);
  return value;
}
