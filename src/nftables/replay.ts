/**
 * Replay: what the kernel dumps for a table is, less what the kernel itself fills in, the transaction that makes the same
 * table again elsewhere (FACTS, Replay). netfreeze uses it where nft can't say what must be loaded: a queue on a kernel
 * that has only iptables' NFQUEUE.
 */
import { attribute, find, NLM_F, nested, stringAttribute, textOf, uint32 } from '../netlink/message';
import { type Change, flushSet } from './batch';
import {
  about,
  type Dump,
  isAnonymous,
  isCounter,
  type Kind,
  NotReplayable,
  type Part,
  rawAttributes,
  setName,
} from './dump';
import {
  NFT_META_MARK,
  NFT_MSG,
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
  NFTA_TARGET,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** How long an element of the lease stays: null for good. */
export interface ElementTime {
  timeoutMs: number;
  expiresMs: number;
}

/** Tables taken down, to be made again. */
export interface Recording {
  /** What declares: table, chains, sets, counters. Where they stand already they stay as they are. */
  frame: Change[];
  /** What empties the chains and sets. */
  flush: Change[];
  /** What fills the chains. */
  rules: Change[];
  /** What fills the sets, each element with its time; those of one set can be given another time, or be left out. */
  elements(set: string, time: ElementTime | null | undefined | 'none'): Change[];
}

/**
 * Makes a recording of tables.
 * @param name of the tables
 * @throws NotReplayable when they hold an anonymous set, whose name is good for one transaction only
 */
export function recordingOf(dump: Dump, name: string): Recording {
  const of = (kind: Kind) => dump[kind].map(({ family, payload }) => changeOf(kind, family, payload));
  const chains = of('chains');
  const sets = dump.sets.map((part, index) => numbered(part, index + 1));
  return {
    frame: [...of('tables'), ...chains, ...sets, ...dump.objects.map(withoutCount)],
    flush: [
      ...chains.map(({ family, attributes: parts }) =>
        flushChain(family, name, textOf(find(Buffer.concat(parts), NFTA_CHAIN.NAME))),
      ),
      ...dump.sets.map(({ family, payload }) => flushSet(family, name, setName(payload))),
    ],
    rules: of('rules').map((rule) => ({ ...rule, flags: NLM_F.CREATE | NLM_F.APPEND })),
    elements: (retimed, time) =>
      dump.elements.flatMap(({ family, set, items }) =>
        items.length === 0 || (set === retimed && time === 'none')
          ? []
          : fills(
              family,
              name,
              set,
              set === retimed && time !== undefined && time !== 'none'
                ? items.map((item) => timed(item, time))
                : items.map(ageless),
            ),
      ),
  };
}

/** @returns the whole of a recording as one transaction: declare, flush, fill */
export const wholeOf = (
  { frame, flush, rules, elements }: Recording,
  set: string,
  time?: ElementTime | null | 'none',
): Change[] => [...frame, ...flush, ...rules, ...elements(set, time)];

/**
 * The transaction that fills a set which is there.
 * @param keys by family and key, as `inet 02`
 * @param timeoutMs null: the elements stay for good
 */
export function filling(keys: readonly string[], table: string, set: string, timeoutMs: number | null): Change[] {
  const time = timeoutMs === null ? null : { timeoutMs, expiresMs: timeoutMs };
  const elements = keys.map((key) => key.split(' ') as [family: string, key: string]);
  return [...new Set(elements.map(([family]) => family))].map((family) => {
    const own = elements.filter(([one]) => one === family).map(([, key]) => Buffer.from(key, 'hex'));
    const items = own.map((key) => nested(NFTA_SET_ELEM.KEY, attribute(NFTA_DATA_VALUE, key)));
    return fill(
      family,
      table,
      set,
      items.map((item) => timed(item, time)),
    );
  });
}

/**
 * The transaction that gives the elements of one set a new time: deleted and added at once. One that has lapsed meanwhile
 * makes the kernel refuse it (ENOENT).
 * @param timeoutMs null: they stay for good
 */
export const renewal = (dump: Dump, name: string, set: string, timeoutMs: number | null): Change[] =>
  dump.elements
    .filter((elements) => elements.set === set && elements.items.length > 0)
    .flatMap(({ family, items }) => [
      {
        ...fill(
          family,
          name,
          set,
          items.map((item) => timed(item, null)),
        ),
        type: NFT_MSG.DELSETELEM,
        flags: 0,
      },
      fill(
        family,
        name,
        set,
        items.map((item) => timed(item, timeoutMs === null ? null : { timeoutMs, expiresMs: timeoutMs })),
      ),
    ]);

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

function changeOf(kind: Kind, family: string, payload: Buffer): Change {
  const { make, own } = about[kind];
  const kept = [...rawAttributes(payload, sizeofNfgenmsg)].filter(
    ({ attribute: { type } }) => !(own as readonly number[]).includes(type),
  );
  return { type: make, family, flags: NLM_F.CREATE, attributes: kept.map(({ bytes }) => bytes) };
}

/** A set needs a number of its own in the transaction. */
function numbered({ family, payload }: Part, id: number): Change {
  if (isAnonymous(payload)) throw new NotReplayable(`the anonymous set ${setName(payload)}`);
  const set = changeOf('sets', family, payload);
  const number = Buffer.alloc(4);
  number.writeUInt32BE(id, 0);
  return { ...set, attributes: [...set.attributes, attribute(NFTA_SET.ID, number)] };
}

/** A counter begins at nothing; other objects keep what they are. */
function withoutCount({ family, payload }: Part): Change {
  const object = changeOf('objects', family, payload);
  if (!isCounter(payload)) return object;
  const parts = object.attributes.map((part) =>
    (part.readUInt16LE(2) & 0x3fff) === NFTA_OBJ.DATA ? nested(NFTA_OBJ.DATA) : part,
  );
  return { ...object, attributes: parts };
}

const flushChain = (family: string, table: string, chain: string): Change => ({
  type: NFT_MSG.DELRULE,
  family,
  flags: 0,
  attributes: [stringAttribute(NFTA_RULE.TABLE, table), stringAttribute(NFTA_RULE.CHAIN, chain)],
});

/** An element as it was when it was made: the time that is left of it is the kernel's own. */
const ageless = (item: Buffer): Buffer => without(item, NFTA_SET_ELEM.EXPIRATION);

const without = (item: Buffer, unwanted: number): Buffer =>
  Buffer.concat(
    [...rawAttributes(item)].filter(({ attribute: { type } }) => type !== unwanted).map(({ bytes }) => bytes),
  );

function timed(item: Buffer, time: ElementTime | null): Buffer {
  const bare = ageless(without(item, NFTA_SET_ELEM.TIMEOUT));
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

/** An attribute has 16 bits for its length: of more elements than fit into one there are several changes. */
const mostBytes = 48 * 1024;

function fills(family: string, table: string, set: string, items: Buffer[]): Change[] {
  const groups: Buffer[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    if (size + item.length + 8 > mostBytes) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(item);
    size += item.length + 8;
  }
  return groups.map((group) => fill(family, table, set, group));
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
