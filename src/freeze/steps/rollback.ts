/** Going back to what stood before a freeze: nothing, or an earlier freeze until the end that it had; and proving that. */

import type { QueueSocket } from '../../hold/queue';
import { commit } from '../../nftables/batch';
import { NftRefusal } from '../../nftables/engine';
import { type Recording, recordingOf, wholeOf } from '../../nftables/replay';
import { Exit, Failure } from '../../platform/failure';
import { leaseSet, tableName } from '../../ruleset/acceptance';
import { differences, type Expectation, explainDifferences } from '../../ruleset/canonical';
import { durationText, remaining } from '../../ruleset/duration';
import { releaseAndRemove } from '../held/release';
import type { Machine, Site } from '../machine';
import { bears, imprintOf } from '../state/imprint';
import { type Lease, readBack, readStanding, type Standing, sameMomentMs } from '../state/standing';

/** Two readings of one lease may be that far apart: each takes its time, on a slow machine a long one. */
const clockSlackMs = 500;

/** What stood before, taken down before the kernel was touched. */
export interface Before {
  /** As nft lists it, or, where it bears the imprint of what was rehearsed, as that was listed. */
  state: Expectation;
  lease: Lease;
  /** How to make it again; null: by nft, from its listing. */
  recording: Recording | null;
  /** performance.now() when it was taken down. */
  at: number;
}

/** Takes down what stands, to go back to it. */
export async function takeDown(
  site: Site,
  { dump }: Standing,
  expected: Expectation,
  { replays }: Machine,
): Promise<Pick<Before, 'state' | 'recording'>> {
  const imprint = replays ? imprintOf(dump) : null;
  const isExpected = imprint !== null && imprint.bytes === expected.imprint?.bytes;
  const listed = isExpected ? expected : await readBack(site, { listing: true });
  const state = imprint ? { ...listed, imprint } : listed;
  const isRaw = state.queues.some(({ by }) => by === 'xt');
  return { state, recording: imprint || isRaw ? recordingOf(dump, tableName) : null };
}

/**
 * Restores what stood before and verifies it. What is already as it was is left alone.
 * @param before null: no table of ours stood there
 * @param own the socket that holds packets, where this process has it
 * @returns what became of it, for the message: `nothing stands`, `the earlier freeze stands`, …
 * @throws Failure `rollback-failed`: a person is needed
 */
export async function rollBack(
  site: Site,
  name: string,
  before: Before | null,
  machine: Pick<Machine, 'stateDirectory'>,
  own: QueueSocket | null = null,
): Promise<string> {
  try {
    // What stood stopped nothing: what has been held since goes on before the queues go.
    if (before?.lease.state === 'ended') await releaseAndRemove(site, machine, 'release', null, { own, stays: true });
    const stands = before !== null && leaseLeft(before) > 0 && (await restore(site, before));
    if (stands) return before.lease.state === 'ended' ? 'thawed, as before' : 'the earlier freeze stands';
    // What a steal has held by now goes on.
    await releaseAndRemove(site, machine, 'release', null, { own });
    return before === null ? 'no freeze stands, as before' : 'thawed: the earlier freeze had come to its end';
  } catch (cause) {
    if (cause instanceof Failure && cause.exit === Exit.rollbackFailed) throw cause;
    throw rollbackFailed(name, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** @returns false where the end of its lease has come meanwhile */
async function restore(site: Site, before: Before): Promise<boolean> {
  if (await isAsBefore(site, before)) return true;
  try {
    await load(site, before);
  } catch (error) {
    if (!(error instanceof NftRefusal) || !(await isAsBefore(site, before))) throw error;
  }
  const standing = readStanding(site);
  if (!standing || !bears(standing.dump, before.state.imprint)) {
    const now = await readBack(site, { listing: true });
    if (differences(before.state, now).length > 0) throw new Error(await explainDifferences(before.state, now));
  }
  if (standing?.lease.state === before.lease.state) return true;
  if (standing?.lease.state === 'ended' && leaseLeft(before) <= 2 * sameMomentMs) return false;
  throw new Error('the lease is not what it was');
}

async function load(site: Site, before: Before): Promise<void> {
  const { recording, lease } = before;
  if (recording) {
    const running = lease.state === 'running' && { timeoutMs: lease.timeoutMs, expiresMs: leaseLeft(before) };
    // What was as good as ended had elements still, perhaps.
    const time = lease.state === 'ended' ? 'none' : running || null;
    commit(site.netfilter, wholeOf(recording, leaseSet, time));
    return;
  }
  const session = await site.session();
  await session.load(restoringText(before));
}

async function isAsBefore(site: Site, before: Before): Promise<boolean> {
  const standing = readStanding(site);
  if (standing?.lease.state !== before.lease.state) return false;
  if (standing.lease.state === 'running' && before.lease.state === 'running') {
    const gained = standing.lease.expiresMs - (before.lease.expiresMs - (performance.now() - before.at));
    if (Math.abs(gained) > clockSlackMs) return false;
  }
  if (bears(standing.dump, before.state.imprint)) return true;
  return differences(before.state, await readBack(site, { listing: false })).length === 0;
}

/**
 * The text that brings an earlier freeze back in one transaction: declare all of it, flush, fill, and set the lease
 * to what is left of it. nft's own listing is what declares and fills.
 */
function restoringText(before: Before): string {
  const flushes = before.state.objects.flatMap(({ name, json }) => {
    const kind = name.split(' ')[0];
    if (kind !== 'chain' && kind !== 'set') return [];
    const { family, table, name: own } = JSON.parse(json) as { family: string; table: string; name: string };
    return [`flush ${kind} ${family} ${table} ${own}`];
  });
  const { lease, state } = before;
  const time =
    lease.state === 'running'
      ? ` timeout ${durationText(remaining(lease.timeoutMs))} expires ${durationText(remaining(leaseLeft(before)))}`
      : '';
  const elements = lease.state === 'ended' ? [] : state.lease;
  const fills = elements.map((element) => {
    const [family, key] = element.split(' ');
    return `add element ${family} ${tableName} ${leaseSet} { ${key}${time} }`;
  });
  const leaseFlushes = state.objects
    .filter(({ name }) => name.startsWith('set ') && name.endsWith(` ${tableName} ${leaseSet}`))
    .map(({ name }) => `flush ${name}`);
  return `${[state.listing, ...flushes, state.listing, ...leaseFlushes, ...fills].join('\n')}\n`;
}

/** @returns milliseconds left of the earlier freeze's lease; 0 when it has ended since; Infinity when it has no end */
function leaseLeft({ lease, at }: Before): number {
  if (lease.state !== 'running') return Number.POSITIVE_INFINITY;
  return Math.max(0, lease.expiresMs - (performance.now() - at));
}

const rollbackFailed = (name: string, why: string, cause: unknown) =>
  new Failure('rollback-failed', Exit.rollbackFailed, `${name}: the state before could not be restored: ${why}`, {
    suggestions: [
      `look at it: nft list table inet ${tableName}, in the namespace`,
      `\`netfreeze off ${name}\` removes the freeze; if that fails too: nft delete table inet ${tableName}`,
    ],
    cause,
  });
