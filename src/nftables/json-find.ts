/** What users of a document ask it, and the differences between nft's versions made even. Nothing here changes the document. */
import type { Expression, Integer, Queue, SetElement } from './json-rule-types';
import type { Chain, Counter, Family, NftDocument, NftMap, NftSet, Rule, Table } from './json-types';

/** All tables of a listing, in its order. */
export function tables(document: NftDocument): Table[] {
  return document.nftables.flatMap((object) => ('table' in object ? [object.table] : []));
}

/** The chains of one table, in the listing's order. Empty if there are none, or no such table. */
export function chainsOf(document: NftDocument, family: Family, table: string): Chain[] {
  return document.nftables.flatMap((object) => ('chain' in object ? [object.chain] : [])).filter(within(family, table));
}

/** The rules of one chain, in the order in which the kernel runs them. */
export function rulesOf(document: NftDocument, family: Family, table: string, chain: string): Rule[] {
  return document.nftables
    .flatMap((object) => ('rule' in object ? [object.rule] : []))
    .filter(within(family, table))
    .filter((rule) => rule.chain === chain);
}

/** The named sets of one table; maps are not among them. */
export function setsOf(document: NftDocument, family: Family, table: string): NftSet[] {
  return document.nftables.flatMap((object) => ('set' in object ? [object.set] : [])).filter(within(family, table));
}

/** The named counters of one table. */
export function countersOf(document: NftDocument, family: Family, table: string): Counter[] {
  return document.nftables
    .flatMap((object) => ('counter' in object ? [object.counter] : []))
    .filter(within(family, table));
}

function within(family: Family, table: string) {
  return (object: { family: Family; table: string }) => object.family === family && object.table === table;
}

/** The comments in a rule: its own first, then those of the elements of its anonymous sets. */
export function commentsOf(rule: Rule): string[] {
  const comments = rule.comment === undefined ? [] : [rule.comment];
  const pending: unknown[] = [...(rule.expr ?? [])];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (typeof next !== 'object' || next === null) continue;
    if ('elem' in next && isSetElement(next.elem) && next.elem.comment !== undefined) comments.push(next.elem.comment);
    pending.unshift(...Object.values(next));
  }
  return comments;
}

/** An element of a set, in one form. Times are in seconds, cut: 500 ms reads 0. */
export type PlainElement = Pick<SetElement, 'timeout' | 'expires' | 'comment'> & { value: Expression };

/**
 * The elements of a set or map; nft prints the bare value where there is nothing more to say. In a map the value is the
 * pair of key and data, and what is said of the pair is said of its key.
 */
export function elementsOf(set: NftSet | NftMap): PlainElement[] {
  const elements = set.elem === undefined ? [] : Array.isArray(set.elem) ? set.elem : [set.elem];
  return elements.map((element) => {
    if (!Array.isArray(element) || element[0] === undefined) return plain(element);
    const [key, ...data] = element;
    const { value, ...rest } = plain(key);
    return { value: [value, ...data], ...rest };
  });
}

function plain(element: Expression): PlainElement {
  if (typeof element !== 'object' || !('elem' in element)) return { value: element };
  const { val, timeout, expires, comment } = element.elem;
  return {
    value: val,
    ...(timeout === undefined ? {} : { timeout }),
    ...(expires === undefined ? {} : { expires }),
    ...(comment === undefined ? {} : { comment }),
  };
}

function isSetElement(value: unknown): value is SetElement {
  return typeof value === 'object' && value !== null && 'val' in value;
}

/** The flags of a table, set or statement: none, a string and an array read alike. */
export function flagsOf(holder: { flags?: string | readonly string[] } | null): string[] {
  return asList(holder?.flags);
}

/** The devices of a chain or flowtable; undefined where nft did not say (1.0.6 leaves them out of a netdev chain). */
export function devicesOf(holder: { dev?: string | readonly string[] }): string[] | undefined {
  return holder.dev === undefined ? undefined : asList(holder.dev);
}

function asList(words: string | readonly string[] = []): string[] {
  return typeof words === 'string' ? [words] : [...words];
}

/** A queue statement in one form: without a number it is `{ queue: null }`, and the kernel takes queue 0. */
export function queueOf(statement: { queue: Queue | null }): { num: Expression; flags: string[] } {
  return { num: statement.queue?.num ?? 0, flags: flagsOf(statement.queue) };
}

/** The value of an unsigned 64-bit integer: beyond 2^63-1 nft prints it as a negative number. */
export function unsigned64(value: Integer): bigint {
  return BigInt.asUintN(64, BigInt(value));
}
