/** One target on its way through a freeze: what is known of it, and what is said of it at the end. */

import type { Holding } from '../hold/hold';
import type { Ledgers } from '../hold/ledger';
import type { Transaction } from '../nftables/batch';
import { Exit, type Failure } from '../platform/failure';
import type { FreezeRecord, Runner } from '../record/record';
import type { Expectation } from '../ruleset/canonical';
import type { Asked, Plan } from '../ruleset/plan';
import { defaultNumbers } from '../ruleset/queue-numbers';
import type { Template } from '../ruleset/template';
import type { Opened } from './group';
import { emptyReport, reportedError, standingReport, type TargetReport, type Timings } from './report';
import type { Standing } from './state/standing';
import type { Before } from './steps/rollback';

/** What the user asked for. */
export interface FreezeRequest {
  plan: Asked;
  template: Template;
  reason: string | null;
  allowHost: boolean;
  /** Whether TCP's timers are held for the time of the freeze. */
  holdTimers: boolean;
  /** The process that runs a command under this freeze and thaws it; null: it is left standing. */
  run: Runner | null;
  dryRun: boolean;
  /** All but the lease's elements is staged, and nothing stopped. */
  arms: boolean;
}

/** One target on its way. */
export interface Work extends Opened {
  /** Its own failure, once it has one. */
  failure: Failure | null;
  /** The record as it was written when the work on it began. */
  intent: FreezeRecord | null;
  plan: Plan;
  text: string;
  /** The text without a lease, by which it is known what is armed. */
  armedText: string;
  /** Whether what is armed is what is asked for, so that the lease's elements are all that is missing. */
  usesArmed: boolean;
  /** Whether it is armed again after the thaw. */
  rearms: boolean;
  standing: Standing | null;
  /** nf_tables' generation when the target was last looked at, before anything of it was. */
  generation: number;
  record: FreezeRecord | null;
  before: Before | null;
  expected: Expectation | null;
  /** What nft loads where nothing is replayed: the text, or what of it arms. */
  loads: string;
  /** What is replayed into it; null: the text is loaded by nft. */
  recording: Transaction | null;
  /** performance.now() when the kernel had taken it; null: nothing was loaded. */
  appliedAt: number | null;
  /** Mode steal: the bound queues and their keeper, once they are there. */
  holding: Holding | null;
  held: Ledgers | null;
  /** The freeze that was asked for stands already: nothing is to be done. */
  done: boolean;
  /** Whether the record, and perhaps the kernel, is to be brought back when something fails. */
  begun: boolean;
  notes: string[];
  timings: Timings;
}

/** @returns a target at the beginning of its way */
export function begin(opened: Opened, { plan }: FreezeRequest): Work {
  return {
    ...opened,
    failure: null,
    intent: null,
    plan: { ...plan, devices: [], queues: defaultNumbers },
    text: '',
    armedText: '',
    usesArmed: false,
    rearms: false,
    standing: null,
    generation: -1,
    record: null,
    before: null,
    expected: null,
    loads: '',
    recording: null,
    appliedAt: null,
    holding: null,
    held: null,
    done: false,
    begun: false,
    notes: [...opened.notes],
    timings: { renderMs: 0, rehearseMs: 0, applyMs: 0, verifyMs: 0 },
  };
}

/** @returns what is said of a target at the end of its way */
export function report(target: Work): TargetReport {
  const empty = emptyReport(target.name, target.site.namespace);
  if (target.failure) {
    const { standing } = target;
    const rest = standing ? standingReport(empty, standing, target.record, stateOf(standing)) : empty;
    const state = target.failure.exit === Exit.rollbackFailed ? 'failed' : rest.state;
    return { ...rest, state, notes: target.notes, timings: target.timings, error: reportedError(target.failure) };
  }
  const standing = target.standing as Standing;
  const isFrozen = standing.lease.state !== 'ended';
  if (target.done) target.notes.push(`it was ${isFrozen ? 'frozen' : 'armed'} so already: nothing was changed`);
  return {
    ...standingReport(empty, standing, target.record, stateOf(standing)),
    ...(!isFrozen && { armed: true as const }),
    verified: true,
    held: target.held,
    timings: target.timings,
    changed: !target.done,
    notes: target.notes,
  };
}

/** A table whose lease has ended stops nothing. */
export const stateOf = (standing: Standing) => (standing.lease.state === 'ended' ? 'thawed' : 'frozen');
