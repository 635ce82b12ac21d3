/**
 * The tables of one name as the kernel dumps them, in one reading: what stands there, the bytes that prove it, and what
 * makes it again elsewhere (replay.ts).
 */
import { type Attribute, attributes, find, message, NLM_F, stringAttribute, textOf, uint32 } from '../netlink/message';
import type { NetlinkSocket } from '../netlink/socket';
import { isErrno } from '../platform/libc';
import {
  families,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG,
  NFT_OBJECT_COUNTER,
  NFT_SET_ANONYMOUS,
  NFTA_CHAIN,
  NFTA_EXPR,
  NFTA_OBJ,
  NFTA_RULE,
  NFTA_SET,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_TABLE,
  nfgenmsg,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** One object of a table: the kernel's message without its netlink header. */
export interface Part {
  family: string;
  payload: Buffer;
}

/** The elements of one set, each as the attributes that are in it. */
export interface SetElements {
  family: string;
  set: string;
  items: Buffer[];
}

/** The kinds of objects, in the order in which one may name another. */
export const kinds = ['tables', 'chains', 'sets', 'objects', 'rules'] as const;
export type Kind = (typeof kinds)[number];

export interface Dump extends Record<Kind, Part[]> {
  elements: SetElements[];
}

/** How a kind is asked for and made, where its table's name stands, and what of it the kernel fills in itself. */
export const about = {
  tables: {
    get: NFT_MSG.GETTABLE,
    make: NFT_MSG.NEWTABLE,
    table: NFTA_TABLE.NAME,
    own: [NFTA_TABLE.USE, NFTA_TABLE.HANDLE],
  },
  chains: {
    get: NFT_MSG.GETCHAIN,
    make: NFT_MSG.NEWCHAIN,
    table: NFTA_CHAIN.TABLE,
    own: [NFTA_CHAIN.HANDLE, NFTA_CHAIN.USE, NFTA_CHAIN.COUNTERS, NFTA_CHAIN.ID],
  },
  sets: {
    get: NFT_MSG.GETSET,
    make: NFT_MSG.NEWSET,
    table: NFTA_SET.TABLE,
    own: [NFTA_SET.ID, NFTA_SET.HANDLE, NFTA_SET.TYPE, NFTA_SET.COUNT],
  },
  objects: {
    get: NFT_MSG.GETOBJ,
    make: NFT_MSG.NEWOBJ,
    table: NFTA_OBJ.TABLE,
    own: [NFTA_OBJ.USE, NFTA_OBJ.HANDLE, NFTA_OBJ.PAD],
  },
  rules: {
    get: NFT_MSG.GETRULE,
    make: NFT_MSG.NEWRULE,
    table: NFTA_RULE.TABLE,
    own: [NFTA_RULE.HANDLE, NFTA_RULE.POSITION],
  },
} as const;

/** What can't be taken down to be made again, or compared byte for byte, by name. */
export class NotReplayable extends Error {}

/** How often the tables are read again that change while they are read. */
const attempts = 8;

/** @returns all that is in the tables of that name, at one moment; null when there is none */
export function readDump(netfilter: NetlinkSocket, name: string): Dump | null {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const dump = readParts(netfilter, name);
      // Somebody who changes other tables all the time must not keep ours from being read.
      if (dump === null || attempt === attempts || isOfOneMoment(netfilter, dump)) return dump;
    } catch (error) {
      // A table or a set has gone since it was named.
      if (!isErrno(error, 'ENOENT') || attempt === attempts) throw error;
    }
  }
}

/** Each message carries 16 bits of the generation that it is of (struct nfgenmsg, the resource). */
function isOfOneMoment(netfilter: NetlinkSocket, dump: Dump): boolean {
  const [first] = dump.tables;
  const all = kinds.flatMap((kind) => dump[kind]);
  // Of what is not there no message tells.
  if (kinds.some((kind) => dump[kind].length === 0)) all.push(...parts(netfilter, NFT_MSG.GETTABLE, '', []));
  return all.every(({ payload }) => payload.readUInt16BE(2) === first?.payload.readUInt16BE(2));
}

function readParts(netfilter: NetlinkSocket, name: string): Dump | null {
  const wanted = Buffer.from(`${name}\0`);
  const all = (kind: Kind, family = '', filter: Buffer[] = []): Part[] => {
    const { get, table } = about[kind];
    return parts(netfilter, get, family, filter).filter(({ payload }) =>
      find(payload, table, sizeofNfgenmsg)?.equals(wanted),
    );
  };
  const tables = all('tables');
  if (tables.length === 0) return null;
  // Where the kernel can be asked for one table only, it is: others' may have thousands of rules.
  const ofEach = (kind: Kind): Part[] =>
    tables.flatMap(({ family }) => all(kind, family, [stringAttribute(about[kind].table, name)]));
  const sets = ofEach('sets');
  return {
    tables,
    chains: all('chains'),
    sets,
    objects: ofEach('objects'),
    rules: ofEach('rules'),
    elements: sets.map(({ family, payload }) => elementsOf(netfilter, family, name, setName(payload))),
  };
}

/** @returns the name of a set */
export const setName = (payload: Buffer): string => textOf(find(payload, NFTA_SET.NAME, sizeofNfgenmsg));

function elementsOf(netfilter: NetlinkSocket, family: string, table: string, set: string): SetElements {
  const what = [stringAttribute(NFTA_SET_ELEM_LIST.TABLE, table), stringAttribute(NFTA_SET_ELEM_LIST.SET, set)];
  const items = parts(netfilter, NFT_MSG.GETSETELEM, family, what).flatMap(({ payload }) => {
    const list = find(payload, NFTA_SET_ELEM_LIST.ELEMENTS, sizeofNfgenmsg);
    return list ? [...attributes(list)].map(({ data }) => data) : [];
  });
  return { family, set, items };
}

const parts = (netfilter: NetlinkSocket, get: number, family: string, filter: Buffer[]): Part[] =>
  netfilter
    .dump((sequence) => message((NFNL_SUBSYS_NFTABLES << 8) | get, NLM_F.DUMP, sequence, nfgenmsg(family), ...filter))
    .map(({ payload }) => ({ family: families[payload[0] ?? 0] ?? `family ${payload[0]}`, payload }))
    .filter((part) => family === '' || part.family === family);

/**
 * What two dumps of the same freeze have in common, whatever it has counted and however often it was made: all bytes but
 * those that the kernel fills in itself.
 * @param apart a set whose elements are left out: they are judged by their times
 * @throws NotReplayable for what no two dumps show alike
 */
export function comparable(dump: Dump, apart: string): Buffer {
  const all: Buffer[] = [];
  for (const kind of kinds) for (const { payload } of dump[kind]) all.push(lasting(kind, payload));
  for (const { family, set, items } of dump.elements) {
    if (set === apart) continue;
    all.push(Buffer.from(`${family} ${set} ${items.length}`));
    // A hash has an order of its own in each namespace.
    all.push(...items.map(lastingElement).sort(Buffer.compare));
  }
  // Each with its length, so that no two lists come to the same bytes.
  return Buffer.concat(all.flatMap((bytes) => [lengthOf(bytes), bytes]));
}

function lengthOf({ length }: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length, 0);
  return bytes;
}

/** Each of these has one length, so that it can be blanked where it stands. */
function lasting(kind: Kind, payload: Buffer): Buffer {
  const copy = Buffer.from(payload);
  // struct nfgenmsg: the resource is a part of the generation.
  copy.fill(0, 2, sizeofNfgenmsg);
  blank(copy, about[kind].own, sizeofNfgenmsg);
  if (kind === 'objects' && isCounter(copy)) blank(copy, [NFTA_OBJ.DATA], sizeofNfgenmsg);
  if (kind === 'rules') blankCounters(copy);
  if (kind === 'sets' && isAnonymous(copy)) throw new NotReplayable(`the anonymous set ${setName(copy)}`);
  return copy;
}

/** Fills the data of attributes with zeros, where they stand. */
function blank(bytes: Buffer, types: readonly number[], offset = 0): void {
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) return;
    if (types.includes(bytes.readUInt16LE(at + 2) & 0x3fff)) bytes.fill(0, at + 4, at + length);
    at += (length + 3) & ~3;
  }
}

/** @returns whether an object is a named counter */
export const isCounter = (payload: Buffer): boolean =>
  uint32(find(payload, NFTA_OBJ.TYPE, sizeofNfgenmsg)) === NFT_OBJECT_COUNTER;

/** @returns whether a set has no name of its own, but one that is good for one transaction only */
export const isAnonymous = (payload: Buffer): boolean =>
  ((uint32(find(payload, NFTA_SET.FLAGS, sizeofNfgenmsg)) ?? 0) & NFT_SET_ANONYMOUS) !== 0;

const counterName = Buffer.from('counter\0');

/** What counters without a name in a rule have counted. */
function blankCounters(rule: Buffer): void {
  if (!rule.includes(counterName)) return;
  const list = find(rule, NFTA_RULE.EXPRESSIONS, sizeofNfgenmsg) ?? Buffer.alloc(0);
  for (const { data } of attributes(list)) {
    if (textOf(find(data, NFTA_EXPR.NAME)) === 'counter') find(data, NFTA_EXPR.DATA)?.fill(0);
  }
}

function lastingElement(item: Buffer): Buffer {
  const copy = Buffer.from(item);
  for (const { type, data } of attributes(copy)) {
    if (type === NFTA_SET_ELEM.EXPIRATION) data.fill(0);
    else if (type === NFTA_SET_ELEM.EXPR || type === NFTA_SET_ELEM.EXPRESSIONS) {
      throw new NotReplayable('an element that counts');
    }
  }
  return copy;
}

/** Attributes with their headers as they stand, the mark of nested ones too. */
export function* rawAttributes(bytes: Buffer, offset = 0): Generator<{ attribute: Attribute; bytes: Buffer }> {
  for (const found of attributes(bytes, offset)) {
    const start = found.data.byteOffset - bytes.byteOffset - 4;
    const padded = Buffer.alloc((4 + found.data.length + 3) & ~3);
    bytes.copy(padded, 0, start, start + 4 + found.data.length);
    yield { attribute: found, bytes: padded };
  }
}
