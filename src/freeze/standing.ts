/** What stands in a namespace under our name, as the kernel shows it; the record is not asked (law 2). */
import { listTables } from '../nftables/engine';
import {
  type Count,
  counters,
  elements,
  familiesOfTable,
  generation,
  hooks,
  ruleComments,
  type TimedElement,
} from '../nftables/kernel';
import { leaseSet, tableName } from '../ruleset/acceptance';
import { canonical, type Expectation } from '../ruleset/canonical';
import { type Mode, readFreezingComment } from '../ruleset/plan';
import type { Site } from './machine';

/** Elements of one lease are set in one transaction but not in one tick: so close to the end, they count as ended. */
const sameMomentMs = 50;

/** The state of a lease as the kernel keeps it. */
export type Lease =
  | { state: 'endless' }
  | { state: 'running'; timeoutMs: number; expiresMs: number }
  /** The set is empty: traffic flows. */
  | { state: 'ended' };

/** A table of our name. */
export interface Standing {
  families: string[];
  /** Mode and template as the freezing rules' comments tell; null: no such rule, so perhaps not ours. */
  freezing: { mode: Mode; template: string } | null;
  lease: Lease;
  counters: { in: Count; out: Count };
}

/** @returns what stands in the site's namespace under our name, or null */
export function readStanding({ netfilter }: Site): Standing | null {
  const families = familiesOfTable(netfilter, tableName);
  if (families.length === 0) return null;
  const comments = ruleComments(netfilter, tableName).map(readFreezingComment);
  const named = counters(netfilter, tableName);
  const none = { packets: 0, bytes: 0 };
  return {
    families,
    freezing: comments.find((comment) => comment !== null) ?? null,
    lease: leaseOf(elements(netfilter, families, tableName, leaseSet)),
    counters: { in: named.get('in') ?? none, out: named.get('out') ?? none },
  };
}

function leaseOf(found: TimedElement[]): Lease {
  const timed = found.flatMap(({ timeoutMs, expiresMs }) => (timeoutMs === null ? [] : [{ timeoutMs, expiresMs }]));
  if (found.length > timed.length) return { state: 'endless' };
  const expiresMs = Math.min(...timed.map((element) => element.expiresMs ?? 0));
  const timeoutMs = Math.min(...timed.map((element) => element.timeoutMs));
  const isRunning = timed.length > 0 && Math.max(...timed.map((element) => element.expiresMs ?? 0)) > sameMomentMs;
  return isRunning ? { state: 'running', timeoutMs, expiresMs } : { state: 'ended' };
}

/** @returns our tables in the site's namespace in canonical form, with nft's listing when it is asked for */
export async function readBack(site: Site, options: { listing: boolean }): Promise<Expectation> {
  const session = await site.session();
  const tables = familiesOfTable(site.netfilter, tableName).map((family) => ({ family, name: tableName }));
  const document = await listTables(session, tables);
  const listing = options.listing ? await session.listText(tables) : '';
  return canonical(document, hooks(site.netfilter, tableName), listing);
}

/** @returns nf_tables' generation in the site's namespace */
export const generationOf = ({ netfilter }: Site): number => generation(netfilter);
