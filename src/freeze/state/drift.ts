/** Drift: whether the kernel still shows what was frozen, by the record, or without one by what a whole freeze must have. */
import { listTables } from '../../nftables/engine';
import { elementsIn, familiesOfTable, hooks } from '../../nftables/kernel';
import { Exit, Failure } from '../../platform/failure';
import { shown } from '../../platform/text';
import { type FreezeRecord, monotonicMs } from '../../record/record';
import { acceptRehearsal, leaseSet, tableName } from '../../ruleset/acceptance';
import { differences, type Expectation, explainDifferences, leaseCovers } from '../../ruleset/canonical';
import { holdDrift } from '../held/hold';
import type { Site } from '../machine';
import { findShortcuts } from '../steps/shortcuts';
import { bears, coversLease } from './imprint';
import { isOurs, readBack, readStanding, type Standing } from './standing';

/**
 * Compares what stands with what was frozen.
 * @returns how it differs, in words of one or more lines; null when it does not
 * @throws whatever keeps the kernel's state from being read back: then nothing is known
 */
export async function driftOf(site: Site, standing: Standing, record: FreezeRecord | null): Promise<string | null> {
  if (!isOurs(standing, record)) return 'it has a table named netfreeze that netfreeze did not make';
  if (standing.isFlagged) return 'its table is dormant or has an owner: it was not loaded so';
  const drift = await (record ? driftFrom(site, standing, record) : driftWithout(site, standing));
  if (drift !== null || standing.lease.state === 'ended') return drift;
  return shortcutsSince(site) ?? holdDrift(site, standing, record);
}

/** Ways past the chains that have come since the freeze. */
function shortcutsSince(site: Site): string | null {
  try {
    const { devices, names } = findShortcuts(site, 'since the freeze it');
    const closed = hooks(site.netfilter, tableName).flatMap((hook) => hook.devices);
    const gone = closed.find((device) => !names.includes(device));
    if (gone !== undefined) return `the device ${shown(gone)}, which a chain is bound to, has gone or has another name`;
    const open = devices.filter((device) => !closed.includes(device));
    return open.length === 0 ? null : `a flowtable has come to ${open.map(shown).join(', ')} since the freeze`;
  } catch (error) {
    if (error instanceof Failure && error.code === 'shortcut') return error.message;
    throw error;
  }
}

async function driftFrom(site: Site, standing: Standing, record: FreezeRecord): Promise<string | null> {
  const expected = record.expected as Expectation;
  // An engine that is asked for by name judges by its own listing.
  const imprint = site.replays ? expected.imprint : undefined;
  let covers: boolean;
  if (imprint && bears(standing.dump, imprint)) covers = coversLease(standing.dump, imprint);
  else {
    const actual = await readBack(site, { listing: false });
    if (differences(expected, actual).length > 0) {
      const listed = await readBack(site, { listing: true });
      return `the kernel no longer shows what was frozen:\n${await explainDifferences(expected, listed)}`;
    }
    covers = leaseCovers(expected, actual);
  }
  if (standing.lease.state === 'endless' && endsPartly(standing)) return 'an element of its lease ends by itself';
  if (standing.lease.state !== 'ended' && covers) return null;
  // It may have come to its end since it was read first, or have been renewed at its end.
  const now = readStanding(site);
  if (now === null) return 'its table was removed while it was looked at';
  if (now.lease.state === 'ended') {
    return endedEarly(record) ? 'its lease was emptied before its end: traffic flows' : null;
  }
  const coversNow = leaseCovers(expected, await readBack(site, { listing: false }));
  return coversNow ? null : 'the lease no longer covers all families';
}

/** A freeze without an end has no element that has one. */
const endsPartly = ({ dump }: Standing): boolean =>
  (elementsIn(dump, leaseSet) ?? []).some(({ timeoutMs }) => timeoutMs !== null);

/** The kernel's timers may be a tick early, never a second. */
const endedEarly = ({ phase, leaseUntilMs }: FreezeRecord): boolean =>
  phase === 'frozen' && (leaseUntilMs === null || monotonicMs() < leaseUntilMs - 1000);

async function driftWithout(site: Site, { freezing }: Standing): Promise<string | null> {
  if (!freezing) return 'no freezing rule stands in it';
  const tables = familiesOfTable(site.netfilter, tableName).map((family) => ({ family, name: tableName }));
  const document = await listTables(await site.session(), tables);
  const objection = acceptRehearsal(document, hooks(site.netfilter, tableName), freezing.mode, freezing.template);
  return objection && `what stands there is no whole freeze: ${objection}`;
}

/** A table of our name that is not ours: it is not touched. */
export const foreignTable = (name: string) =>
  new Failure(
    'foreign-table',
    Exit.drift,
    `${name} has a table named netfreeze that netfreeze did not make; it was not touched`,
    { suggestions: ['look at it with `nft list ruleset` in the namespace, and rename or delete it by hand'] },
  );
