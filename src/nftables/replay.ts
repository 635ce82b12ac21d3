/**
 * Replay: what the kernel dumps for a table is, less what the kernel itself fills in, the transaction that makes the same
 * table again elsewhere (FACTS, Replay). netfreeze uses it where nft can't say what must be loaded: a queue on a kernel
 * that has only iptables' NFQUEUE.
 */
import {
  type Attribute,
  attribute,
  attributes,
  find,
  message,
  NLM_F,
  nested,
  stringAttribute,
  textOf,
  uint32,
} from '../netlink/message';
import type { NetlinkSocket } from '../netlink/socket';
import type { Change } from './batch';
import {
  families,
  NFNL_SUBSYS_NFTABLES,
  NFT_META_MARK,
  NFT_MSG,
  NFT_OBJECT_COUNTER,
  NFT_SET_ANONYMOUS,
  NFTA_CHAIN,
  NFTA_DATA_VALUE,
  NFTA_EXPR,
  NFTA_IMMEDIATE,
  NFTA_LIST_ELEM,
  NFTA_META,
  NFTA_OBJ,
  NFTA_RULE,
  NFTA_SET,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_TABLE,
  NFTA_TARGET,
  nfgenmsg,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** The kinds of objects in the order in which one may name another; which of their attributes the kernel fills in itself. */
const kinds = [
  { get: NFT_MSG.GETTABLE, make: NFT_MSG.NEWTABLE, table: NFTA_TABLE.NAME, own: [NFTA_TABLE.USE, NFTA_TABLE.HANDLE] },
  {
    get: NFT_MSG.GETCHAIN,
    make: NFT_MSG.NEWCHAIN,
    table: NFTA_CHAIN.TABLE,
    own: [NFTA_CHAIN.HANDLE, NFTA_CHAIN.USE, NFTA_CHAIN.COUNTERS, NFTA_CHAIN.ID],
  },
  {
    get: NFT_MSG.GETSET,
    make: NFT_MSG.NEWSET,
    table: NFTA_SET.TABLE,
    own: [NFTA_SET.ID, NFTA_SET.HANDLE, NFTA_SET.TYPE, NFTA_SET.COUNT],
  },
  {
    get: NFT_MSG.GETOBJ,
    make: NFT_MSG.NEWOBJ,
    table: NFTA_OBJ.TABLE,
    own: [NFTA_OBJ.USE, NFTA_OBJ.HANDLE, NFTA_OBJ.PAD],
  },
  { get: NFT_MSG.GETRULE, make: NFT_MSG.NEWRULE, table: NFTA_RULE.TABLE, own: [NFTA_RULE.HANDLE, NFTA_RULE.POSITION] },
] as const;

/** What can't be replayed, by name. */
export class NotReplayable extends Error {}

/** How long an element of the lease stays: null for good. */
export interface ElementTime {
  timeoutMs: number;
  expiresMs: number;
}

/** A table taken down, to be made again. */
export interface Recording {
  /** What declares: table, chains, sets, counters. Where they stand already they stay as they are. */
  frame: Change[];
  /** What empties the chains and sets. */
  flush: Change[];
  /** What fills the chains. */
  rules: Change[];
  /** What fills the sets, each element with its time; a time of another length can be given to those of one set. */
  elements(set: string, time: ElementTime | null | undefined): Change[];
}

/**
 * Takes a table down.
 * @param family in nft's word
 * @throws NotReplayable when the table holds an anonymous set, whose name is good for one transaction only
 */
export function takeDown(netfilter: NetlinkSocket, family: string, name: string): Recording {
  const changes = kinds.flatMap(({ get, make, table, own }) =>
    dump(netfilter, get, family, [])
      .filter((payload) => textOf(find(payload, table, sizeofNfgenmsg)) === name)
      .map((payload) => changeOf(make, family, payload, own)),
  );
  const of = (type: number) => changes.filter((change) => change.type === type);
  const sets = of(NFT_MSG.NEWSET).map((set, index) => numbered(set, index + 1));
  const setNames = sets.map((set) => textOf(find(Buffer.concat(set.attributes), NFTA_SET.NAME)));
  const elements = setNames.flatMap((set) => elementsOf(netfilter, family, name, set));
  const chains = of(NFT_MSG.NEWCHAIN);
  const rules = of(NFT_MSG.NEWRULE).map((rule) => ({ ...rule, flags: NLM_F.CREATE | NLM_F.APPEND }));
  return {
    frame: [...of(NFT_MSG.NEWTABLE), ...chains, ...sets, ...of(NFT_MSG.NEWOBJ).map(withoutCount)],
    flush: [
      ...chains.map((chain) =>
        flushChain(family, name, textOf(find(Buffer.concat(chain.attributes), NFTA_CHAIN.NAME))),
      ),
      ...setNames.map((set) => ({
        type: NFT_MSG.DELSETELEM,
        family,
        flags: 0,
        attributes: [stringAttribute(NFTA_SET_ELEM_LIST.TABLE, name), stringAttribute(NFTA_SET_ELEM_LIST.SET, set)],
      })),
    ],
    rules,
    elements: (retimed, time) =>
      elements.map(({ set, items }) =>
        fill(family, name, set, set === retimed && time !== undefined ? items.map((item) => timed(item, time)) : items),
      ),
  };
}

/**
 * Puts iptables' NFQUEUE where a text without a queue has `meta mark set NUMBER`: what nft could compile becomes what it
 * could not say.
 * @param numbers the queue numbers that stand for themselves
 */
export function withQueues({ ...recording }: Recording, numbers: readonly number[]): Recording {
  return {
    ...recording,
    rules: recording.rules.map((rule) => ({
      ...rule,
      attributes: rule.attributes.map((part) => queued(part, numbers)),
    })),
  };
}

/** @returns the rule expression of iptables' NFQUEUE, revision 3 (linux/netfilter/xt_NFQUEUE.h), for one queue, without bypass */
export function xtQueueExpression(number: number): Buffer {
  const info = Buffer.alloc(8);
  info.writeUInt16LE(number, 0);
  info.writeUInt16LE(1, 2);
  const revision = Buffer.alloc(4);
  revision.writeUInt32BE(3, 0);
  return nested(
    NFTA_LIST_ELEM,
    stringAttribute(NFTA_EXPR.NAME, 'target'),
    nested(
      NFTA_EXPR.DATA,
      stringAttribute(NFTA_TARGET.NAME, 'NFQUEUE'),
      attribute(NFTA_TARGET.REV, revision),
      attribute(NFTA_TARGET.INFO, info),
    ),
  );
}

/** @returns the rule expression of nft's own queue (module nft_queue) */
export function queueExpression(number: number): Buffer {
  const short = (value: number) => Buffer.from([value >> 8, value & 0xff]);
  return nested(
    NFTA_LIST_ELEM,
    stringAttribute(NFTA_EXPR.NAME, 'queue'),
    nested(NFTA_EXPR.DATA, attribute(1, short(number)), attribute(2, short(1))),
  );
}

function dump(netfilter: NetlinkSocket, get: number, family: string, what: Buffer[]): Buffer[] {
  return netfilter
    .dump((sequence) => message((NFNL_SUBSYS_NFTABLES << 8) | get, NLM_F.DUMP, sequence, nfgenmsg(family), ...what))
    .map(({ payload }) => payload)
    .filter((payload) => families[payload[0] ?? 0] === family);
}

function changeOf(type: number, family: string, payload: Buffer, own: readonly number[]): Change {
  const kept = [...rawAttributes(payload, sizeofNfgenmsg)].filter(
    ({ attribute: { type: number } }) => !own.includes(number),
  );
  return { type, family, flags: NLM_F.CREATE, attributes: kept.map(({ bytes }) => bytes) };
}

/** Attributes with their headers as they stand, the mark of nested ones too. */
function* rawAttributes(bytes: Buffer, offset = 0): Generator<{ attribute: Attribute; bytes: Buffer }> {
  for (const found of attributes(bytes, offset)) {
    const start = found.data.byteOffset - bytes.byteOffset - 4;
    const padded = Buffer.alloc((4 + found.data.length + 3) & ~3);
    bytes.copy(padded, 0, start, start + 4 + found.data.length);
    yield { attribute: found, bytes: padded };
  }
}

/** A set needs a number of its own in the transaction. */
function numbered(set: Change, id: number): Change {
  const all = Buffer.concat(set.attributes);
  if (((uint32(find(all, NFTA_SET.FLAGS)) ?? 0) & NFT_SET_ANONYMOUS) !== 0) {
    throw new NotReplayable(`the anonymous set ${textOf(find(all, NFTA_SET.NAME))}`);
  }
  const number = Buffer.alloc(4);
  number.writeUInt32BE(id, 0);
  return { ...set, attributes: [...set.attributes, attribute(NFTA_SET.ID, number)] };
}

/** A counter begins at nothing; other objects keep what they are. */
const withoutCount = (object: Change): Change => ({
  ...object,
  attributes: !isCounter(object)
    ? object.attributes
    : object.attributes.map((part) =>
        (part.readUInt16LE(2) & 0x3fff) === NFTA_OBJ.DATA ? nested(NFTA_OBJ.DATA) : part,
      ),
});

const isCounter = ({ attributes: parts }: Change): boolean =>
  uint32(find(Buffer.concat(parts), NFTA_OBJ.TYPE)) === NFT_OBJECT_COUNTER;

const flushChain = (family: string, table: string, chain: string): Change => ({
  type: NFT_MSG.DELRULE,
  family,
  flags: 0,
  attributes: [stringAttribute(NFTA_RULE.TABLE, table), stringAttribute(NFTA_RULE.CHAIN, chain)],
});

function elementsOf(
  netfilter: NetlinkSocket,
  family: string,
  table: string,
  set: string,
): Array<{ set: string; items: Buffer[] }> {
  const what = [stringAttribute(NFTA_SET_ELEM_LIST.TABLE, table), stringAttribute(NFTA_SET_ELEM_LIST.SET, set)];
  return dump(netfilter, NFT_MSG.GETSETELEM, family, what).flatMap((payload) => {
    const list = find(payload, NFTA_SET_ELEM_LIST.ELEMENTS, sizeofNfgenmsg);
    const items = list ? [...attributes(list)].map(({ data }) => data) : [];
    return items.length === 0 ? [] : [{ set, items: items.map((item) => without(item, NFTA_SET_ELEM.EXPIRATION)) }];
  });
}

const without = (item: Buffer, unwanted: number): Buffer =>
  Buffer.concat(
    [...rawAttributes(item)].filter(({ attribute: { type } }) => type !== unwanted).map(({ bytes }) => bytes),
  );

function timed(item: Buffer, time: ElementTime | null): Buffer {
  const bare = without(item, NFTA_SET_ELEM.TIMEOUT);
  if (time === null) return bare;
  const milliseconds = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(Math.max(1, Math.floor(value))), 0);
    return bytes;
  };
  return Buffer.concat([
    bare,
    attribute(NFTA_SET_ELEM.TIMEOUT, milliseconds(time.timeoutMs)),
    attribute(NFTA_SET_ELEM.EXPIRATION, milliseconds(time.expiresMs)),
  ]);
}

const fill = (family: string, table: string, set: string, items: Buffer[]): Change => ({
  type: NFT_MSG.NEWSETELEM,
  family,
  flags: NLM_F.CREATE,
  attributes: [
    stringAttribute(NFTA_SET_ELEM_LIST.TABLE, table),
    stringAttribute(NFTA_SET_ELEM_LIST.SET, set),
    nested(NFTA_SET_ELEM_LIST.ELEMENTS, ...items.map((item) => nested(NFTA_LIST_ELEM, item))),
  ],
});

/** In a rule's list of expressions, `immediate NUMBER; meta set mark` becomes the target. */
function queued(part: Buffer, numbers: readonly number[]): Buffer {
  if ((part.readUInt16LE(2) & 0x3fff) !== NFTA_RULE.EXPRESSIONS) return part;
  const list = part.subarray(4, part.readUInt16LE(0));
  const expressions = [...rawAttributes(list)];
  const replaced: Buffer[] = [];
  for (let at = 0; at < expressions.length; at += 1) {
    const [here, next] = [expressions[at], expressions[at + 1]];
    const number = here && next ? markSet(here.attribute.data, next.attribute.data) : null;
    if (number !== null && numbers.includes(number)) {
      replaced.push(xtQueueExpression(number));
      at += 1;
    } else if (here) replaced.push(here.bytes);
  }
  return nested(NFTA_RULE.EXPRESSIONS, ...replaced);
}

/** @returns the mark that two expressions set; null when they do something else */
function markSet(first: Buffer, second: Buffer): number | null {
  if (textOf(find(first, NFTA_EXPR.NAME)) !== 'immediate' || textOf(find(second, NFTA_EXPR.NAME)) !== 'meta')
    return null;
  const meta = find(second, NFTA_EXPR.DATA);
  const value = find(
    find(find(first, NFTA_EXPR.DATA) ?? Buffer.alloc(0), NFTA_IMMEDIATE.DATA) ?? Buffer.alloc(0),
    NFTA_DATA_VALUE,
  );
  const isSet = meta && find(meta, NFTA_META.SREG) && uint32(find(meta, NFTA_META.KEY)) === NFT_META_MARK;
  // A mark is in host order.
  return isSet && value?.length === 4 ? value.readUInt32LE(0) : null;
}
