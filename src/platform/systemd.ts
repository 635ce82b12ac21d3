/**
 * Speaking with systemd, when it has started this process: the state of the unit (sd_notify(3)) and the journal's own
 * protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Both are datagrams to a socket in the file system. Nothing is loaded,
 * opened or sent anywhere else.
 */
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { sendto, socket } from './libc';

/** sys/socket.h */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0x80002;
const MSG_NOSIGNAL = 0x4000;
const journalSocket = '/run/systemd/journal/socket';

/** syslog.h */
export const Priority = { error: 3, notice: 5, info: 6 } as const;

/** A message for the journal: fields by their names, in capitals; `MESSAGE` is the text. What is null is left out. */
export type JournalEntry = { MESSAGE: string; PRIORITY: number } & Record<string, string | number | null>;

/** @returns which run of a systemd unit this process belongs to; null outside of units */
export const unitRun = (): string | null => process.env.INVOCATION_ID || null;

/**
 * @param fd a standard stream
 * @returns whether what is written to it goes to the journal: JOURNAL_STREAM names the stream by device and inode
 */
export function isJournal(fd: 1 | 2): boolean {
  const [device, inode] = (process.env.JOURNAL_STREAM ?? '').split(':');
  if (!device || !inode) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return `${dev}` === device && `${ino}` === inode;
  } catch {
    return false;
  }
}

/** @returns whether the journal has taken the entry */
export function toJournal(entry: JournalEntry): boolean {
  return sent(journalSocket, encoded({ SYSLOG_IDENTIFIER: 'netfreeze', ...entry, ...unitField() }));
}

/** @returns an entry as the journal reads it */
export const encoded = (entry: JournalEntry): Buffer =>
  Buffer.concat(Object.entries(entry).flatMap(([name, value]) => (value === null ? [] : [field(name, `${value}`)])));

/**
 * Tells systemd how this unit is doing: the line `Status:` of `systemctl status`. Only a process that systemd itself has
 * started speaks for its unit; one that a service has started would put its words into the mouth of that service.
 * @returns whether there is anybody who has taken it
 */
export function notifyStatus(text: string): boolean {
  const place = process.env.NOTIFY_SOCKET;
  if (!place || process.env.SYSTEMD_EXEC_PID !== `${process.pid}`) return false;
  return sent(place, Buffer.from(`STATUS=${text.trim().replace(/\s*\n\s*/g, '; ')}\n`));
}

/** A value with line feeds is sent with its length, 64 bits in little endian. */
function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/**
 * The journal asks /proc which unit a sender belongs to, and finds nobody when the sender has ended by then, as netfreeze
 * does right after its last word. `journalctl --unit` finds an entry by this field, too, where root has sent it.
 */
function unitField(): Record<string, string> {
  try {
    const unit = /\/([^/]+\.(?:service|scope))$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
    return unit ? { OBJECT_SYSTEMD_UNIT: unit } : {};
  } catch {
    return {};
  }
}

/** What nobody takes, or what is too large for a datagram, is said in another way by whoever calls. */
function sent(place: string, data: Buffer): boolean {
  let fd: number | undefined;
  try {
    fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    const address = socketAddress(place);
    return sendto(fd, data, data.length, MSG_NOSIGNAL, address, address.length) === data.length;
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** unix(7): a path ends with a zero byte; an abstract name, which is written with an @, begins with one and has its length. */
function socketAddress(place: string): Buffer {
  const name = place.startsWith('@') ? Buffer.from(`\0${place.slice(1)}`) : Buffer.from(`${place}\0`);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
