/**
 * The freeze: one transaction over one or many targets. The way of a freeze, as the design tells it, is freezeAll();
 * each step is a function below it, in order.
 */
import { userInfo } from 'node:os';
import { refuseHost } from '../namespace/namespace';
import { NftRefusal } from '../nftables/engine';
import { NftJsonError } from '../nftables/json';
import { Exit, Failure } from '../platform/failure';
import { type FreezeRecord, identify, monotonicMs, readRecord, removeRecord, writeRecord } from '../record/record';
import {
  differences,
  type Expectation,
  explainDifferences,
  leaseCovers,
  lineDifferences,
  shape,
} from '../ruleset/canonical';
import { durationText } from '../ruleset/duration';
import { closedDevices, type Plan } from '../ruleset/plan';
import { render, type Template } from '../ruleset/template';
import { foreignTable } from './drift';
import { forEachTarget, type Opened, resolveAll, withTargets } from './group';
import { holdingSignals } from './interruption';
import type { Machine } from './machine';
import { rehearse } from './rehearse';
import { asFailure, emptyReport, type Operation, reportedError, standingReport, type TargetReport } from './report';
import { type Before, rollBack } from './rollback';
import { forgetUnresolvedNeighbours, settle } from './settle';
import { findShortcuts } from './shortcuts';
import { generationOf, isOurs, readBack, readStanding, type Standing } from './standing';

/** What the user asked for; the plan but for the devices, which each namespace has of its own. */
export interface FreezeRequest {
  plan: Omit<Plan, 'devices'>;
  template: Template;
  reason: string | null;
  allowHost: boolean;
  dryRun: boolean;
}

/** One target on its way. */
interface Work extends Opened {
  /** Its own failure, once it has one. */
  failure: Failure | null;
  /** The record as it was written when the work on it began. */
  intent: FreezeRecord | null;
  plan: Plan;
  text: string;
  standing: Standing | null;
  record: FreezeRecord | null;
  before: Before | null;
  expected: Expectation | null;
  /** The freeze that was asked for stands already: nothing is to be done. */
  done: boolean;
  /** Whether the record, and perhaps the kernel, is to be brought back when something fails. */
  begun: boolean;
  notes: string[];
  timings: { renderMs: number; rehearseMs: number; applyMs: number; verifyMs: number };
}

/**
 * Freezes all targets, or none.
 * @param names as people write them
 * @returns a report for each target, in the order of the names
 */
export async function freeze(names: string[], request: FreezeRequest, machine: Machine): Promise<Operation> {
  return withTargets(resolveAll(names), machine, async (opened) => {
    const work = opened.map((target) => begin(target, request));
    const reports = await freezeAll(work, request, machine);
    return { reports, failures: work.map(({ failure }) => failure) };
  });
}

/** The way of a freeze. Names are resolved and namespaces pinned when it begins, and their locks are held. */
async function freezeAll(work: Work[], request: FreezeRequest, machine: Machine): Promise<TargetReport[]> {
  const rehearsals = new Map<string, Promise<Expectation>>();
  return holdingSignals(async (interruptions) => {
    const step = async (action: (target: Work) => void | Promise<void>) => {
      await interruptions.check();
      await forEachTarget(work, action);
    };
    try {
      await step((target) => look(target, request, machine));
      await step((target) => renderText(target, request));
      await step((target) => rehearseOnce(target, request, machine, rehearsals));
      await step(takeDownBefore);
      if (request.dryRun) return await Promise.all(work.map(dryRunReport));
      await step((target) => recordIntent(target, request, machine));
      await step(apply);
      await step(settleDown);
      await step(verify);
      await step((target) => commit(target, machine));
    } catch (error) {
      await undo(work, asFailure(error), machine);
    }
    return work.map(report);
  });
}

function begin(opened: Opened, { plan }: FreezeRequest): Work {
  return {
    ...opened,
    failure: null,
    intent: null,
    plan: { ...plan, devices: [] },
    text: '',
    standing: null,
    record: null,
    before: null,
    expected: null,
    done: false,
    begun: false,
    notes: [],
    timings: { renderMs: 0, rehearseMs: 0, applyMs: 0, verifyMs: 0 },
  };
}

/** What stands there now, whether it is ours, and whether packets have ways past our chains. */
function look(target: Work, request: FreezeRequest, machine: Machine): void {
  refuseHost(target.site.namespace, target.name, { host: request.allowHost, lease: request.plan.lease !== null });
  target.standing = readStanding(target.site);
  target.record = readRecord(machine.stateDirectory, target.site.namespace);
  if (target.standing && !isOurs(target.standing, target.record)) throw foreignTable(target.name);
  if (target.standing?.isFlagged) throw flaggedTable(target.name);
  const { devices, notes } = findShortcuts(target.site, target.name);
  target.plan.devices = closedDevices(devices);
  target.notes.push(...notes);
  if (devices.length > 0) target.notes.push(`closed at the device, for their flowtables: ${devices.join(', ')}`);
}

function renderText(target: Work, { template }: FreezeRequest): void {
  const started = performance.now();
  target.text = render(template, target.plan);
  target.timings.renderMs = performance.now() - started;
}

/** Targets with the same text share a rehearsal. */
async function rehearseOnce(
  target: Work,
  { template }: FreezeRequest,
  machine: Machine,
  rehearsals: Map<string, Promise<Expectation>>,
): Promise<void> {
  const started = performance.now();
  const rehearsal = rehearsals.get(target.text) ?? rehearse(target.text, template, target.plan, machine);
  rehearsals.set(target.text, rehearsal);
  target.expected = await rehearsal;
  target.timings.rehearseMs = performance.now() - started;
}

/** What stood before, to go back to; and whether it is already what was asked for, or can't be changed into it. */
async function takeDownBefore(target: Work): Promise<void> {
  const { standing, record, expected } = target;
  if (!standing || !expected) return;
  const state = await readBack(target.site, { listing: true });
  target.before = { state, lease: standing.lease, at: performance.now() };
  const asked = record?.phase === 'frozen' && record.text === target.text;
  target.done = asked && leaseCovers(expected, state) && differences(expected, state).length === 0;
  if (target.done) return;
  const obstacles = differences(shape(expected), shape(state)).filter(({ kind }) => kind !== 'missing');
  if (obstacles.length === 0) return;
  throw new Failure(
    'other-shape',
    Exit.usage,
    `${target.name} has a freeze of another shape, which can't be replaced without an unfrozen moment: ${obstacles.map(({ name, kind }) => `${name} (${kind})`).join(', ')}`,
    { suggestions: [`thaw first: netfreeze off ${target.name}`] },
  );
}

/** The record says `freezing` before the kernel is touched. */
function recordIntent(target: Work, { reason, template, plan }: FreezeRequest, machine: Machine): void {
  if (target.done) return;
  const { username, uid } = userInfo();
  target.begun = true;
  const intent: FreezeRecord = {
    schema: 'netfreeze/1',
    phase: 'freezing',
    target: target.name,
    ...identify(target.site.namespace),
    mode: plan.mode,
    template: template.name,
    leaseMs: plan.lease,
    leaseUntilMs: null,
    reason,
    by: { user: process.env.SUDO_USER || username, uid, pid: process.pid },
    since: new Date().toISOString(),
    text: target.text,
    expected: target.expected,
    generation: null,
  };
  writeRecord(machine.stateDirectory, intent);
  target.intent = intent;
}

/** One transaction: both directions, all families. */
async function apply(target: Work): Promise<void> {
  if (target.done) return;
  const started = performance.now();
  try {
    const session = await target.site.session();
    await session.load(target.text);
  } catch (cause) {
    if (!(cause instanceof NftRefusal)) throw cause;
    throw new Failure(
      'apply-refused',
      Exit.verificationFailed,
      `nft refused in ${target.name} what it had taken in the rehearsal: ${cause.message}\n${cause.answer.trim()}\nThe ruleset, with numbered lines:\n${cause.numberedText}`,
      { suggestions: ['try again; if it stays so, compare `nft list ruleset` in the namespace'], cause },
    );
  } finally {
    target.timings.applyMs = performance.now() - started;
  }
}

async function settleDown(target: Work): Promise<void> {
  if (target.done) return;
  const started = performance.now();
  await settle(target.site, target.name);
  target.timings.applyMs += performance.now() - started;
}

/** The target's tables are read back and must be what the rehearsal showed; the lease must be in force. */
async function verify(target: Work): Promise<void> {
  const { expected, site, name } = target;
  if (!expected || target.done) return;
  const started = performance.now();
  const actual = await readBackOrFail(target);
  const standing = readStanding(site);
  target.timings.verifyMs = performance.now() - started;
  if (differences(expected, actual).length > 0) {
    const shown = standing ? await readBack(site, { listing: true }) : actual;
    throw unverified(name, `the kernel does not show what was loaded:\n${await explainDifferences(expected, shown)}`);
  }
  const wanted = target.plan.lease;
  const lease = standing?.lease ?? { state: 'ended' };
  if (lease.state === 'ended') throw unverified(name, 'the lease had ended before the freeze was proven');
  if (lease.state === 'running' ? lease.timeoutMs !== wanted : wanted !== null) {
    throw unverified(name, 'the kernel keeps another lease than the one that was asked for');
  }
  if (!leaseCovers(expected, actual)) throw unverified(name, 'the lease does not cover all families');
  if (!target.stillThere()) {
    throw new Failure(
      'target-gone',
      Exit.noTarget,
      `${name} no longer names the namespace that it named: deleted or replaced`,
      {
        suggestions: ['look what became of it and try again'],
      },
    );
  }
  // A sender that was between two hooks when the chains came may have made a neighbour wait since.
  forgetUnresolvedNeighbours(site);
  target.standing = standing;
}

/** A listing that can't be had or read proves nothing. */
async function readBackOrFail({ site, name }: Work): Promise<Expectation> {
  try {
    return await readBack(site, { listing: false });
  } catch (cause) {
    if (cause instanceof Failure && cause.code === 'flagged-table') throw unverified(name, cause.message);
    if (!(cause instanceof NftRefusal) && !(cause instanceof NftJsonError)) throw cause;
    throw unverified(name, `the kernel's state could not be read back: ${cause.message}`);
  }
}

function commit(target: Work, machine: Machine): void {
  if (target.done || !target.intent) return;
  const record: FreezeRecord = {
    ...target.intent,
    phase: 'frozen',
    leaseUntilMs: leaseUntil(target.standing),
    generation: generationOf(target.site),
  };
  writeRecord(machine.stateDirectory, record);
  target.record = record;
}

/** @returns when the kernel will end the lease, by monotonicMs() */
export const leaseUntil = (standing: Standing | null): number | null =>
  standing?.lease.state === 'running' ? monotonicMs() + standing.lease.expiresMs : null;

/** Brings every target back to what stood before, the last one first, and says for each what became of it. */
async function undo(work: Work[], failure: Failure, machine: Machine): Promise<void> {
  // A signal, or a fault of our own, is nobody's failure and everybody's.
  const isAnothers = work.some((target) => target.failure === failure);
  for (const target of [...work].reverse()) {
    try {
      let became = 'it was not touched';
      if (target.begun) {
        became = await rollBack(target.site, target.name, target.before);
        if (target.before && target.record) writeRecord(machine.stateDirectory, target.record);
        else removeRecord(machine.stateDirectory, target.site.namespace);
      }
      target.failure = consequence(target, failure, isAnothers, became);
    } catch (error) {
      target.failure = asFailure(error);
    }
    target.standing = readStanding(target.site);
  }
}

/** The failure of a target that was undone: its own, or that another one's was its end too. */
function consequence(target: Work, failure: Failure, isAnothers: boolean, became: string): Failure {
  const { failure: own } = target;
  if (!own && !isAnothers) return failure;
  if (!own) {
    return new Failure('rolled-back', failure.exit, `${target.name}: another target failed; ${became}`);
  }
  const { code, exit, message, suggestions } = own;
  const said = target.begun ? `${message}\nRolled back: ${became}.` : message;
  return new Failure(code, exit, said, { suggestions, cause: own });
}

function report(target: Work): TargetReport {
  const empty = emptyReport(target.name, target.site.namespace);
  if (target.failure) {
    const { standing } = target;
    const rest = standing ? standingReport(empty, standing, target.record, stateOf(standing)) : empty;
    const state = target.failure.exit === Exit.rollbackFailed ? 'failed' : rest.state;
    return { ...rest, state, notes: target.notes, timings: target.timings, error: reportedError(target.failure) };
  }
  const standing = target.standing as Standing;
  if (target.done) target.notes.push('it was frozen so already: nothing was changed');
  return {
    ...standingReport(empty, standing, target.record, 'frozen'),
    verified: true,
    timings: target.timings,
    changed: !target.done,
    notes: target.notes,
  };
}

const stateOf = (standing: Standing) => (standing.lease.state === 'ended' ? 'thawed' : 'frozen');

/** What would change, without touching the target. */
async function dryRunReport(target: Work): Promise<TargetReport> {
  const empty = emptyReport(target.name, target.site.namespace);
  const now = target.standing ? standingReport(empty, target.standing, target.record, stateOf(target.standing)) : empty;
  const lines = target.done
    ? ['nothing would change']
    : [
        ...(await lineDifferences(target.before?.state.listing ?? '', target.expected?.listing ?? '')),
        ...leaseLines(target.standing, target.plan.lease),
      ];
  return { ...now, timings: target.timings, notes: target.notes, wouldChange: lines };
}

/** A listing's lease is no difference in its lines; a dry run says what becomes of it. */
function leaseLines(standing: Standing | null, lease: Plan['lease']): string[] {
  const now = standing?.lease;
  const before =
    now?.state === 'running' ? `thaws by itself in ${Math.round(now.expiresMs)}ms` : now && `lease ${now.state}`;
  const after = lease === null ? 'lease endless' : `thaws by itself in ${durationText(lease)}`;
  return [...(before ? [`- ${before}`] : []), `+ ${after}`];
}

const flaggedTable = (name: string) =>
  new Failure('flagged-table', Exit.drift, `${name}: the freeze that stands there was made dormant, or got an owner`, {
    suggestions: [`take it away first: netfreeze off ${name}`],
  });

const unverified = (name: string, why: string) =>
  new Failure('not-verified', Exit.verificationFailed, `${name}: ${why}`, {
    suggestions: ['something else changes nftables in this namespace: find it, or try again'],
  });
