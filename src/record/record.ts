/**
 * Records: what netfreeze keeps about one freeze. Each is one file, written whole or not at all, named by its namespace.
 * A record speaks for one namespace of one boot: inode numbers are used again.
 */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { bootId, cookieOf, type Namespace, type NamespaceId, sameNamespace } from '../namespace/namespace';
import { isErrno } from '../platform/libc';
import { stateFailure } from './state-directory';

const { O_NOFOLLOW, O_RDWR } = constants;

/** How far a freeze had come when its record was last written. */
export type Phase = 'freezing' | 'frozen' | 'thawing' | 'armed';

/** A freeze as it was asked for and proven. */
export interface FreezeRecord {
  schema: 'netfreeze/1';
  phase: Phase;
  target: string;
  namespace: NamespaceId & { cookie: string | null };
  boot: string;
  mode: string;
  template: string;
  /** The lease's length in milliseconds; null is endless. Its end is the kernel's to tell. */
  leaseMs: number | null;
  /** When the kernel is expected to end the lease, by monotonicMs(); a lease that ends earlier was ended by somebody. */
  leaseUntilMs: number | null;
  reason: string | null;
  by: { user: string; uid: number; pid: number };
  /** The netfreeze that runs a command under this freeze; null: none does. */
  run: Runner | null;
  /** The run of a systemd unit that has frozen (INVOCATION_ID, systemd.exec(5)); null: none. */
  invocation: string | null;
  /** When the freeze was asked for, ISO 8601. */
  since: string;
  /** The ruleset's text, byte for byte as it was loaded. */
  text: string;
  /** What is armed here, and to be armed again after a thaw: the ruleset's text without a lease; null: nothing. */
  armed: string | null;
  /** What the kernel must show, as the ruleset room defines it. */
  expected: unknown;
  /** TCP's timers that were raised, with what they were before, as the tcp room defines it; null: none. */
  timers: unknown;
  /** nf_tables' generation right after the freeze was verified; null before. */
  generation: number | null;
  /** Mode steal: who keeps the packets. */
  hold: HoldRecord | null;
}

/** A running process; its start in clock ticks, since a process id is used again. */
export interface Runner {
  pid: number;
  start: number;
}

/** How many packets had left a queue at some moment, and how many of them had been given back. */
export interface Left {
  gone: number;
  released: number;
}

/** What a record knows of a hold. */
export interface HoldRecord {
  queues: { in: number; out: number };
  limit: number;
  /** The keeper by process id and start; null until it is started. */
  keeper: { pid: number; start: number } | null;
  /** What a thaw does that was begun; null before. */
  thaw: 'release' | 'discard' | null;
  /** What had left the queues when this was written, as far back as they have been counting; null: nothing. */
  left: { in: Left; out: Left } | null;
}

/** @returns the machine's monotonic clock in milliseconds, the same for all processes of one boot */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** @returns the name that record and lock of a namespace share */
export const stateName = ({ device, inode }: NamespaceId): string => `net-${device}-${inode}`;

/** @returns the file that holds a namespace's record */
export const recordFile = (directory: string, id: NamespaceId): string => join(directory, `${stateName(id)}.json`);

/** @returns the file in which a namespace's keeper leaves word of what it released at the end of a lease */
export const wordFile = (directory: string, id: NamespaceId): string => join(directory, `${stateName(id)}.released`);

/** A record is written here first. */
const draftOf = (file: string): string => `${file}.new`;

/** @returns what a record says to recognise its namespace by */
export const identify = (namespace: Namespace): Pick<FreezeRecord, 'namespace' | 'boot'> => ({
  namespace: { device: namespace.device, inode: namespace.inode, cookie: cookieOf(namespace) },
  boot: bootId(),
});

/**
 * Reads the record of a namespace.
 * @returns null when there is none, when it can't be read as one, or when it speaks of an earlier namespace or boot
 */
export function readRecord(directory: string, namespace: Namespace): FreezeRecord | null {
  const record = parseRecord(recordFile(directory, namespace));
  if (!record || !sameNamespace(record.namespace, namespace)) return null;
  const now = identify(namespace);
  const sameCookie =
    record.namespace.cookie === null ||
    now.namespace.cookie === null ||
    record.namespace.cookie === now.namespace.cookie;
  return record.boot === now.boot && sameCookie ? record : null;
}

/**
 * Writes a record so that a reader, and a crash at any moment, finds the old one or the new one whole. It is not
 * forced to the disk: what ends the machine ends the freeze with it, and a record of an earlier boot is none.
 * @throws Failure `state-directory`
 */
export function writeRecord(directory: string, record: FreezeRecord): void {
  const file = recordFile(directory, record.namespace);
  const bytes = Buffer.from(textOf(record));
  try {
    // Where there is none, half a record is none either; else it is written aside first.
    if (existsSync(file) || !writeWhole(file, bytes)) replace(file, bytes);
  } catch (cause) {
    throw stateFailure(file, `the record cannot be written: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/**
 * Changes what a freeze changes of its record on its way: the beginning of the file, which has a length of its own, is
 * overwritten at once, so that a reader, and a crash, finds the old one or the new one.
 * @returns the record as it is then
 * @throws Failure `state-directory`
 */
export function amendRecord(directory: string, record: FreezeRecord, change: Changing): FreezeRecord {
  const amended = { ...record, ...change };
  const [before, after] = [Buffer.from(headOf(record)), Buffer.from(headOf(amended))];
  const file = recordFile(directory, record.namespace);
  const isWhere = before.length === headLength && after.length === headLength && existsSync(file);
  try {
    if (isWhere && overwrite(file, before, after)) return amended;
  } catch (cause) {
    throw stateFailure(file, `the record cannot be written: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  writeRecord(directory, amended);
  return amended;
}

/** @returns false where the file does not begin as it was thought to: it was written by another version, say */
function overwrite(file: string, before: Buffer, after: Buffer): boolean {
  const fd = openSync(file, O_RDWR | O_NOFOLLOW);
  try {
    const found = Buffer.alloc(before.length);
    if (readSync(fd, found, 0, found.length, 0) < found.length || !found.equals(before)) return false;
    writeSync(fd, after, 0, after.length, 0);
    return true;
  } finally {
    closeSync(fd);
  }
}

/** How many bytes the changing part of a record takes in its file. */
const headLength = 1024;

type Changing = Partial<Pick<FreezeRecord, 'phase' | 'leaseMs' | 'leaseUntilMs' | 'generation' | 'run' | 'hold'>>;

/** @returns the beginning of a record's JSON, filled up with blanks; longer only where it does not fit */
function headOf({ phase, leaseMs, leaseUntilMs, generation, run, hold }: FreezeRecord): string {
  const changing: Required<Changing> = { phase, leaseMs, leaseUntilMs, generation, run, hold };
  return `${JSON.stringify(changing).slice(0, -1)},`.padEnd(headLength);
}

/** @returns a record as its file holds it: JSON, what changes first */
function textOf(record: FreezeRecord): string {
  const { phase, leaseMs, leaseUntilMs, generation, run, hold, expected, ...rest } = record;
  return `${headOf(record)}"expected":${jsonOf(expected)},${JSON.stringify(rest).slice(1)}\n`;
}

let known: { value: unknown; json: string } | undefined;

/** Targets that are frozen together expect the same, which is most of a record. */
function jsonOf(value: unknown): string {
  if (known?.value !== value || known === undefined) known = { value, json: JSON.stringify(value ?? null) };
  return known.json;
}

/** @returns false where a file of that name is there already */
function writeWhole(file: string, bytes: Buffer): boolean {
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    return true;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

function replace(file: string, bytes: Buffer): void {
  const draft = draftOf(file);
  // One writer at a time, by the namespace's lock: a draft that is there was left by a crash.
  rmSync(draft, { force: true });
  try {
    writeWhole(draft, bytes);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Removes a namespace's record, and a draft that a crash has left; none is no error. */
export function removeRecord(directory: string, id: NamespaceId): void {
  const file = recordFile(directory, id);
  try {
    for (const name of [file, draftOf(file)]) if (existsSync(name)) unlinkSync(name);
  } catch (cause) {
    throw stateFailure(file, `the record cannot be removed: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** @returns every record that can be read, of whatever namespace and boot */
export function listRecords(directory: string): FreezeRecord[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return [];
    throw error;
  }
  return names
    .filter((name) => /^net-[0-9]+-[0-9]+\.json$/.test(name))
    .map((name) => parseRecord(join(directory, name)))
    .filter((record) => record !== null);
}

/** A record that netfreeze could not have written is no record: the kernel is the truth (law 2). */
function parseRecord(file: string): FreezeRecord | null {
  try {
    if (!existsSync(file)) return null;
    const value = readJson(file) as Partial<FreezeRecord> | null;
    if (!isRecord(value)) return null;
    // Records of earlier versions know less.
    const hold = value.hold ? { ...value.hold, thaw: value.hold.thaw ?? null, left: value.hold.left ?? null } : null;
    return {
      ...value,
      timers: value.timers ?? null,
      run: value.run ?? null,
      invocation: value.invocation ?? null,
      armed: value.armed ?? null,
      hold,
    };
  } catch {
    return null;
  }
}

/** Whoever reads while another process changes the beginning may read some of both: then it is read once more. */
function readJson(file: string): unknown {
  const read = () => JSON.parse(readFileSync(file, 'utf8')) as unknown;
  try {
    return read();
  } catch {
    return read();
  }
}

function isRecord(value: Partial<FreezeRecord> | null): value is FreezeRecord {
  if (typeof value !== 'object' || value === null || value.schema !== 'netfreeze/1') return false;
  const { namespace, by, phase } = value;
  const texts = [value.phase, value.target, value.boot, value.mode, value.template, value.since, value.text, by?.user];
  const numbers = [namespace?.device, namespace?.inode, by?.uid, by?.pid];
  return (
    texts.every((text) => typeof text === 'string') &&
    numbers.every((number) => typeof number === 'number') &&
    ['freezing', 'frozen', 'thawing', 'armed'].includes(phase ?? '') &&
    isOrNull(namespace?.cookie, 'string') &&
    isOrNull(value.leaseMs, 'number') &&
    isOrNull(value.leaseUntilMs, 'number') &&
    isOrNull(value.generation, 'number') &&
    isOrNull(value.reason, 'string') &&
    isOrNull(value.invocation ?? null, 'string') &&
    isOrNull(value.armed ?? null, 'string') &&
    isHold(value.hold) &&
    isRunner(value.run) &&
    isExpectation(value.expected)
  );
}

function isHold(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (typeof value !== 'object') return false;
  const { queues, limit, keeper, left } = value as Partial<HoldRecord>;
  const numbers = [
    ...[queues?.in, queues?.out, limit],
    ...(keeper ? [keeper.pid, keeper.start] : []),
    ...(left ? [left.in?.gone, left.in?.released, left.out?.gone, left.out?.released] : []),
  ];
  return numbers.every(Number.isInteger);
}

const isRunner = (value: FreezeRecord['run'] | undefined): boolean =>
  value === null || value === undefined || [value.pid, value.start].every(Number.isInteger);

const isOrNull = (value: unknown, type: 'string' | 'number'): boolean => value === null || typeof value === type;

/** As much of the ruleset room's Expectation as a comparison would trip over. */
function isExpectation(value: unknown): boolean {
  const { objects, hooks, queues = [], lease, listing } = (value ?? {}) as Record<string, unknown>;
  const isText = (entry: unknown) => typeof entry === 'string';
  const isObject = (entry: { name?: unknown; json?: unknown } | null) => isText(entry?.name) && isText(entry?.json);
  return (
    isText(listing) &&
    [objects, hooks, queues, lease].every(Array.isArray) &&
    (objects as Array<{ name?: unknown } | null>).every(isObject) &&
    (lease as unknown[]).every(isText) &&
    (hooks as unknown[]).every((hook) => typeof hook === 'object' && hook !== null)
  );
}
