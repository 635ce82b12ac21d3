/**
 * The canonical form of a ruleset: what two listings of the same freeze have in common. Handles, counts and times left
 * are taken away; order is kept where it has a meaning (the rules of a chain) and made the same where it has none.
 */
import type { NftDocument } from '../nftables/json';
import type { Hook } from '../nftables/kernel';
import type { QueueRule } from '../nftables/queue-rules';
import { leaseSet } from './acceptance';

/** What the kernel must show: kept in the record, compared with what it shows later. */
export interface Expectation {
  /** Each object of the tables: a name that a person can read, and its canonical JSON. */
  objects: CanonicalObject[];
  /** The base chains with their hooks, priorities, policies and devices. */
  hooks: Hook[];
  /** Where packets are queued, with the numbers that listings leave out. */
  queues: QueueRule[];
  /** The lease set's elements in nft's language, as `inet ipv4`: all of them are there while a freeze is in force. */
  lease: string[];
  /** nft's own listing, for people, and for going back to it. */
  listing: string;
  /** What the kernel dumps for it, byte for byte, where that is the same each time; without it the rest is compared. */
  imprint?: Imprint;
}

/** What two dumps of the same freeze have in common. */
export interface Imprint {
  /** In base64. */
  bytes: string;
  /** The lease's elements by family and key, as `inet 02`. */
  lease: string[];
}

export interface CanonicalObject {
  name: string;
  json: string;
}

/** One way in which the kernel differs from what is expected. */
export interface Difference {
  name: string;
  kind: 'missing' | 'changed' | 'unexpected';
}

/** @returns the canonical form of what nft listed and the kernel showed */
export function canonical(document: NftDocument, hooks: Hook[], queues: QueueRule[], listing: string): Expectation {
  const ruleNumbers = new Map<string, number>();
  const objects: CanonicalObject[] = [];
  const lease: string[] = [];
  for (const object of document.nftables) {
    const [kind = '', value] = Object.entries(object)[0] ?? [];
    if (kind === 'metainfo' || typeof value !== 'object' || value === null) continue;
    const fields = value as Record<string, unknown>;
    if (kind === 'set' && fields.name === leaseSet) lease.push(...elementNames(fields));
    let name = `${kind} ${fields.family} ${fields.table ?? ''} ${fields.name ?? ''}`.replace(/ +/g, ' ').trim();
    if (kind === 'rule') {
      const chain = `${fields.family} ${fields.table} ${fields.chain}`;
      const number = (ruleNumbers.get(chain) ?? 0) + 1;
      ruleNumbers.set(chain, number);
      name = `rule ${number} of chain ${chain}`;
    }
    objects.push({ name, json: JSON.stringify(sortKeys(stable(kind, fields))) });
  }
  objects.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { objects, hooks, queues, lease: lease.sort(), listing };
}

/** A set's element is a value, or `{"elem": {"val": …, "timeout": …}}`. */
function elementNames({ family, elem }: Record<string, unknown>): string[] {
  const values = Array.isArray(elem) ? elem : [];
  return values.map((element) => `${family} ${(element as { elem?: { val?: unknown } }).elem?.val ?? element}`);
}

/** Takes away what changes from one listing to the next. */
function stable(kind: string, fields: Record<string, unknown>): Record<string, unknown> {
  const { handle: _handle, ...rest } = fields;
  if (kind === 'counter') {
    const { packets: _packets, bytes: _bytes, ...counter } = rest;
    return counter;
  }
  // The lease's elements are the freeze itself; they are judged from the kernel's own dump, to the millisecond.
  if (kind === 'set' && fields.name === leaseSet) {
    const { elem: _elements, ...set } = rest;
    return set;
  }
  if (kind === 'set' && Array.isArray(rest.elem)) {
    return { ...rest, elem: rest.elem.map((element) => JSON.stringify(sortKeys(lasting(element)))).sort() };
  }
  if (kind === 'rule' && Array.isArray(rest.expr)) return { ...rest, expr: rest.expr.map(withoutCount) };
  return rest;
}

/** An element without the time that is left of it and what it has counted. */
function lasting(element: unknown): unknown {
  const inner = (element as { elem?: Record<string, unknown> } | null)?.elem;
  if (typeof inner !== 'object' || inner === null) return element;
  const { expires: _expires, ...rest } = inner;
  return { elem: rest.counter ? { ...rest, counter: null } : rest };
}

/** An anonymous counter in a rule: only that it is there. */
function withoutCount(statement: unknown): unknown {
  const counter = (statement as { counter?: unknown } | null)?.counter;
  return typeof counter === 'object' && counter !== null ? { counter: null } : statement;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]));
}

/** @returns whether every element of the lease that is expected is there: each family is frozen */
export const leaseCovers = (expected: Expectation, actual: Expectation): boolean =>
  expected.lease.every((element) => actual.lease.includes(element));

/**
 * The shape of a ruleset: what can't be changed by flushing and filling (tables, chains with their hooks, sets, counters).
 * @returns the expectation without rules and without the elements of sets
 */
export function shape({ objects, hooks }: Expectation): Expectation {
  const frame = objects
    .filter(({ name }) => !name.startsWith('rule '))
    .map(({ name, json }) => {
      const { elem: _elements, ...fields } = JSON.parse(json) as Record<string, unknown>;
      return { name, json: JSON.stringify(fields) };
    });
  return { objects: frame, hooks, queues: [], lease: [], listing: '' };
}

/** @returns how the kernel differs from what is expected; empty when it does not */
export function differences(expected: Expectation, actual: Expectation): Difference[] {
  const found = compare(
    expected.objects.map(({ name, json }) => [name, json]),
    actual.objects.map(({ name, json }) => [name, json]),
  );
  return found.concat(
    compare(hookEntries(expected.hooks), hookEntries(actual.hooks)),
    compare(queueEntries(expected.queues), queueEntries(actual.queues)),
  );
}

/** A record of a freeze in mode drop may have been written without them. */
const queueEntries = (queues: QueueRule[] | undefined): Array<[string, string]> =>
  (queues ?? []).map((rule, index) => [
    `queue ${index + 1} of chain ${rule.family} ${rule.table} ${rule.chain}`,
    JSON.stringify(sortKeys(rule)),
  ]);

const hookEntries = (hooks: Hook[]): Array<[string, string]> =>
  hooks.map((hook) => [`hook of chain ${hook.family} ${hook.table} ${hook.chain}`, JSON.stringify(sortKeys(hook))]);

function compare(expected: Array<[string, string]>, actual: Array<[string, string]>): Difference[] {
  const shown = new Map(actual);
  const wanted = new Map(expected);
  const found: Difference[] = [];
  for (const [name, json] of wanted) {
    if (!shown.has(name)) found.push({ name, kind: 'missing' });
    else if (shown.get(name) !== json) found.push({ name, kind: 'changed' });
  }
  for (const name of shown.keys()) if (!wanted.has(name)) found.push({ name, kind: 'unexpected' });
  return found;
}

/**
 * Puts differences into words and, line by line, into nft's language.
 * @returns text of several lines
 */
export async function explainDifferences(expected: Expectation, actual: Expectation): Promise<string> {
  // One rule more or less changes the numbers of all that follow: the lines below show which it was.
  const words = differences(expected, actual).map(({ name, kind }) =>
    name.startsWith('rule ') ? `changed: rules of ${name.replace(/^rule [0-9]+ of /, '')}` : `${kind}: ${name}`,
  );
  return [...new Set(words), ...(await lineDifferences(expected.listing, actual.listing))].join('\n');
}

/** @returns the lines that differ between two listings, `-` expected and `+` shown, each below the block it is in */
export async function lineDifferences(expected: string, actual: string): Promise<string[]> {
  const { diffLines } = await import('diff');
  const lines: string[] = [];
  const before: Block[] = [];
  const after: Block[] = [];
  let place = '';
  for (const { added = false, removed = false, value } of diffLines(withoutLease(expected), withoutLease(actual))) {
    for (const line of value.split('\n').filter((text) => text.trim() !== '')) {
      if (added || removed) {
        const around = blocksAround(added ? after : before);
        if (around !== place && around !== '') lines.push(`in ${around}:`);
        place = around;
        lines.push(`${added ? '+' : '-'} ${line.replaceAll('\t', '  ')}`);
      }
      const isCommon = !added && !removed;
      if (!added) enterOrLeave(before, line.trim(), isCommon);
      if (!removed) enterOrLeave(after, line.trim(), isCommon);
    }
  }
  return lines;
}

/** A block of a listing that is open, and whether both listings have its first line. */
interface Block {
  name: string;
  isCommon: boolean;
}

/** nft's listing opens a block at the end of a line and closes it on a line of its own. */
function enterOrLeave(blocks: Block[], line: string, isCommon: boolean): void {
  if (line.endsWith('{') && !line.includes('=')) blocks.push({ name: line.slice(0, -1).trim(), isCommon });
  else if (line === '}') blocks.pop();
}

/** What is in a block that came or went is shown with the block itself. */
const blocksAround = (blocks: Block[]): string =>
  blocks
    .filter(({ isCommon }) => isCommon)
    .map(({ name }) => name)
    .join(', ');

/** The lease's elements come and go with time; their line in a listing is no difference. */
const withoutLease = (listing: string): string =>
  listing.replace(/(set lease \{[^}]*?)\n\s*elements = \{[^}]*\}/g, '$1');
