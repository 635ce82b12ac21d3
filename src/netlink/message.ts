/**
 * Netlink messages and attributes: bytes in, bytes out. Headers and attribute headers are in host order (every machine
 * that Node runs Linux on is little-endian but s390x, which koffi and we do not serve); payloads are as each family
 * wants them, so that both orders are offered.
 */

/** linux/netlink.h */
export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  DUMP_INTR: 0x10,
  EXCL: 0x200,
  DUMP: 0x300,
  CREATE: 0x400,
  APPEND: 0x800,
} as const;
export const NLMSG = { ERROR: 2, DONE: 3 } as const;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const headerLength = 16;

/** One message as it came from the kernel. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  /** What follows the netlink header. */
  payload: Buffer;
}

/** One attribute; `data` is a view into the message. */
export interface Attribute {
  type: number;
  data: Buffer;
}

const pad = (length: number): number => (length + 3) & ~3;

/** @returns an attribute with raw bytes */
export function attribute(type: number, data: Buffer): Buffer {
  const bytes = Buffer.alloc(pad(4 + data.length));
  bytes.writeUInt16LE(4 + data.length, 0);
  bytes.writeUInt16LE(type, 2);
  data.copy(bytes, 4);
  return bytes;
}

/** @returns an attribute with a NUL-terminated string */
export const stringAttribute = (type: number, text: string): Buffer => attribute(type, Buffer.from(`${text}\0`));

/** @returns an attribute with other attributes in it */
export const nested = (type: number, ...attributes: Buffer[]): Buffer =>
  attribute(type | NLA_F_NESTED, Buffer.concat(attributes));

/**
 * Puts a message together.
 * @param header the family's own header (nfgenmsg, ndmsg, tcmsg, …)
 */
export function message(
  type: number,
  flags: number,
  sequence: number,
  header: Buffer,
  ...attributes: Buffer[]
): Buffer {
  const length = attributes.reduce((sum, part) => sum + part.length, headerLength + header.length);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | NLM_F.REQUEST, 6);
  bytes.writeUInt32LE(sequence, 8);
  let at = headerLength + header.copy(bytes, headerLength);
  for (const part of attributes) at += part.copy(bytes, at);
  return bytes;
}

/**
 * Takes a received datagram apart. A length that does not fit ends the walk: what the kernel sent is never read beyond.
 */
export function* messages(datagram: Buffer): Generator<Message> {
  for (let at = 0; at + headerLength <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < headerLength || at + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + headerLength, at + length),
    };
    at += pad(length);
  }
}

/** Walks over the attributes in `bytes`, from `offset` (the family's own header) on. */
export function* attributes(bytes: Buffer, offset = 0): Generator<Attribute> {
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    yield { type: bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, data: bytes.subarray(at + 4, at + length) };
    at += pad(length);
  }
}

/** @returns the first attribute of that type, or undefined */
export function find(bytes: Buffer, type: number, offset = 0): Buffer | undefined {
  // As attributes() walks, without a view of each attribute that is passed by: this is asked thousands of times.
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return undefined;
    if ((bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK) === type) return bytes.subarray(at + 4, at + length);
    at += pad(length);
  }
  return undefined;
}

/** @returns a big-endian 32-bit number, as netfilter's attributes carry it; undefined when it is missing or cut */
export const uint32 = (data: Buffer | undefined): number | undefined =>
  data && data.length >= 4 ? data.readUInt32BE(0) : undefined;

/** @returns the same with a sign */
export const int32 = (data: Buffer | undefined): number | undefined =>
  data && data.length >= 4 ? data.readInt32BE(0) : undefined;

/** @returns a big-endian 64-bit number */
export const uint64 = (data: Buffer | undefined): bigint | undefined =>
  data && data.length >= 8 ? data.readBigUInt64BE(0) : undefined;

/** @returns a 32-bit number in host order, as rtnetlink's attributes carry it */
export const hostUint32 = (data: Buffer | undefined, offset = 0): number | undefined =>
  data && data.length >= offset + 4 ? data.readUInt32LE(offset) : undefined;

/** @returns an attribute's text without its terminating NUL */
export function textOf(data: Buffer | undefined): string {
  if (data === undefined) return '';
  const end = data.indexOf(0);
  return data.toString('utf8', 0, end < 0 ? data.length : end);
}
