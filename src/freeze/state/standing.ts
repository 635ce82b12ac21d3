/** What stands in a namespace under our name, as the kernel shows it; the record is not asked (law 2). */

import { type Dump, readDump } from '../../nftables/dump';
import { listTables } from '../../nftables/engine';
import {
  type Count,
  commentsIn,
  countersIn,
  elementsIn,
  flagsOf,
  generation,
  hooks,
  type TimedElement,
  tablesNamed,
} from '../../nftables/kernel';
import { queueRules } from '../../nftables/queue-rules';
import { Exit, Failure } from '../../platform/failure';
import { monotonicMs } from '../../record/record';
import { leaseSet, tableName } from '../../ruleset/acceptance';
import { canonical, type Expectation } from '../../ruleset/canonical';
import { type Mode, readFreezingComment } from '../../ruleset/plan';
import type { Site } from '../machine';

/** Elements of one lease are set in one transaction but not in one tick: so close to the end, they count as ended. */
export const sameMomentMs = 50;

/** The state of a lease as the kernel keeps it. */
export type Lease =
  | { state: 'endless' }
  /** `untilMs`: its end by monotonicMs(), which does not age as `expiresMs` does. */
  | { state: 'running'; timeoutMs: number; expiresMs: number; untilMs: number }
  /** The set is empty: traffic flows. */
  | { state: 'ended' };

/** A table of our name. */
export interface Standing {
  families: string[];
  /** Mode and template as the freezing rules' comments tell; null: no such rule, so perhaps not ours. */
  freezing: { mode: Mode; template: string } | null;
  lease: Lease;
  /** Whether the lease's set is there at all, even empty: a table of our name without it was not made by us. */
  hasLeaseSet: boolean;
  /** A table with flags (dormant, or owned by somebody's socket) is not as we load it. */
  isFlagged: boolean;
  counters: { in: Count; out: Count };
  /** All of it, as the kernel dumps it. */
  dump: Dump;
}

/** @returns what stands in the site's namespace under our name, or null */
export function readStanding({ netfilter }: Pick<Site, 'netfilter'>): Standing | null {
  const dump = readDump(netfilter, tableName);
  if (dump === null) return null;
  const lease = elementsIn(dump, leaseSet);
  const comments = commentsIn(dump.rules).map(readFreezingComment);
  const named = countersIn(dump.objects);
  const none = { packets: 0, bytes: 0 };
  return {
    families: dump.tables.map(({ family }) => family).sort(),
    freezing: comments.find((comment) => comment !== null) ?? null,
    lease: leaseOf(lease ?? []),
    hasLeaseSet: lease !== null,
    isFlagged: dump.tables.some((table) => flagsOf(table) !== 0),
    counters: { in: named.get('in') ?? none, out: named.get('out') ?? none },
    dump,
  };
}

function leaseOf(found: TimedElement[]): Lease {
  const timed = found.flatMap(({ timeoutMs, expiresMs }) => (timeoutMs === null ? [] : [{ timeoutMs, expiresMs }]));
  if (found.length > timed.length) return { state: 'endless' };
  const expiresMs = Math.min(...timed.map((element) => element.expiresMs ?? 0));
  const timeoutMs = Math.min(...timed.map((element) => element.timeoutMs));
  const isRunning = timed.length > 0 && Math.max(...timed.map((element) => element.expiresMs ?? 0)) > sameMomentMs;
  return isRunning
    ? { state: 'running', timeoutMs, expiresMs, untilMs: monotonicMs() + expiresMs }
    : { state: 'ended' };
}

/** Whether the lease is the one that was asked for, and not another one that somebody has set; null is endless. */
export const hasLease = ({ lease }: Pick<Standing, 'lease'>, asked: number | null): boolean =>
  asked === null ? lease.state === 'endless' : lease.state === 'running' && isLength(lease.timeoutMs, asked);

/**
 * The kernel keeps times in ticks of its clock and shows those: 30,002 ms as 30,000 where a tick takes 4 ms (measured,
 * Linux 6.18). The longest tick that a kernel can be built with for the machines that Node runs on takes 10 (CONFIG_HZ_100).
 */
const tickMs = 10;

/** Whether a time that the kernel shows is what was asked for. */
export const isLength = (shownMs: number | null, askedMs: number | null): boolean =>
  shownMs === null || askedMs === null ? shownMs === askedMs : Math.abs(shownMs - askedMs) <= tickMs;

/** Whether a lease has come to its end, also since it was read: nft takes its time for what was compared in between. */
export function hasEnded(site: Site, { lease }: Standing): boolean {
  if (lease.state !== 'running') return lease.state === 'ended';
  return monotonicMs() > lease.untilMs - sameMomentMs && readStanding(site)?.lease.state === 'ended';
}

/** Whether a table of our name is ours: by its freezing rules, or by a record of it and the set that it must have. */
export const isOurs = (standing: Standing, record: unknown): boolean =>
  standing.freezing !== null || (record !== null && standing.hasLeaseSet);

/**
 * Reads our tables back.
 * @param options `listing`: with nft's own listing
 * @returns them in canonical form
 * @throws Failure `flagged-table`: libnftables 1.0.6 destroys its memory when it prints a table with flags as JSON
 */
export async function readBack(site: Site, options: { listing: boolean }): Promise<Expectation> {
  const session = await site.session();
  const found = tablesNamed(site.netfilter, tableName);
  if (found.some(({ flags }) => flags !== 0)) {
    throw new Failure(
      'flagged-table',
      Exit.drift,
      `table ${tableName} is dormant or has an owner: it was not loaded so`,
    );
  }
  const tables = found.map(({ family }) => ({ family, name: tableName }));
  const document = await listTables(session, tables);
  const listing = options.listing ? await session.listText(tables) : '';
  const queues = queueRules(site.netfilter).filter(({ table }) => table === tableName);
  return canonical(document, hooks(site.netfilter, tableName), queues, listing);
}

/** @returns nf_tables' generation in the site's namespace */
export const generationOf = ({ netfilter }: Site): number => generation(netfilter);

/** @returns when the kernel will end the lease, by monotonicMs() */
export const leaseUntil = (standing: Standing | null): number | null =>
  standing?.lease.state === 'running' ? standing.lease.untilMs : null;
