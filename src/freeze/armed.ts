/**
 * What is armed: tables that are all there but for the elements of their lease, so that they stop nothing, and a record
 * that says what they are. The freeze is then one message.
 */
import { transaction } from '../nftables/batch';
import { generation, resetCounters } from '../nftables/kernel';
import { filling } from '../nftables/replay';
import { amendRecord, type FreezeRecord, writeRecord } from '../record/record';
import { leaseSet, tableName } from '../ruleset/acceptance';
import type { Expectation } from '../ruleset/canonical';
import type { Machine, Site } from './machine';
import { bears } from './state/imprint';
import type { Standing } from './state/standing';
import type { Rehearsal } from './steps/rehearse';
import type { FreezeRequest, Work } from './work';

/** Phases in which what is armed is there, or will be again. */
const whole: readonly FreezeRecord['phase'][] = ['armed', 'frozen', 'thawing'];

/**
 * Looks whether what is armed is what a target is to be frozen with, so that nothing has to be rehearsed.
 * @returns what must be shown, and the one message that is missing; null, perhaps with a note, where the whole must be loaded
 */
export function useArmed(target: Work, { replays }: Pick<Machine, 'replays'>): Rehearsal | null {
  const { record, standing, plan, armedText } = target;
  if (!record?.armed || !whole.includes(record.phase)) return null;
  if (record.armed !== armedText) {
    target.notes.push('another ruleset was armed: after this freeze nothing is');
    return null;
  }
  target.rearms = true;
  // A freeze that stands is replaced, or repaired, by the whole.
  if (standing && standing.lease.state !== 'ended') return null;
  if (!standing || !isCurrent(standing, record)) {
    target.notes.push('what was armed had been changed: all of it was loaded anew, and is armed again after the thaw');
    return null;
  }
  const { imprint } = record.expected as Expectation;
  if (!imprint || !replays) return null;
  target.usesArmed = true;
  const recording = transaction(filling(imprint.lease, tableName, leaseSet, plan.lease));
  return { expected: record.expected as Expectation, recording, text: '' };
}

/** @returns whether the tables are as they were armed, as far as an imprint tells; without one nft's listing must tell */
export function isCurrent({ dump }: Standing, { expected }: FreezeRecord): boolean {
  const { imprint } = expected as Expectation;
  return imprint === undefined || bears(dump, imprint);
}

/** @returns whether what stands is armed and stops nothing */
export const isArmed = (standing: Standing, record: FreezeRecord | null): record is FreezeRecord =>
  record?.armed != null &&
  whole.includes(record.phase) &&
  standing.lease.state === 'ended' &&
  isCurrent(standing, record);

/** The next freeze counts from nothing. @returns nf_tables' generation since */
export function countAnew({ netfilter }: Site, { families }: Standing): number {
  for (const family of families) resetCounters(netfilter, family, tableName);
  return generation(netfilter);
}

/** Writes the record of what was frozen and is armed again. */
export function armAgain(record: FreezeRecord, directory: string): void {
  const change = { phase: 'armed', leaseMs: null, leaseUntilMs: null, run: null, hold: null } as const;
  if (record.timers === null) amendRecord(directory, record, change);
  else writeRecord(directory, { ...record, ...change, timers: null });
}

/** @returns what `arm` asks for: a freeze without its lease */
export const arming = (request: FreezeRequest): FreezeRequest => ({ ...request, arms: true, holdTimers: false });
