/**
 * The freeze: one transaction over one or many targets. The way of a freeze, as the design tells it, is freezeAll();
 * each step is a function below it, in order.
 */
import { userInfo } from 'node:os';
import { ownerOf, queuesOf } from '../hold/hold';
import { forgetWord } from '../hold/keeper';
import { nothingLost } from '../hold/ledger';
import { refuseHost } from '../namespace/namespace';
import { links } from '../netlink/route';
import { confirm, send } from '../nftables/batch';
import { NftRefusal } from '../nftables/engine';
import { Exit, Failure } from '../platform/failure';
import { SystemError } from '../platform/libc';
import { unitRun } from '../platform/systemd';
import { shown } from '../platform/text';
import {
  amendRecord,
  type FreezeRecord,
  type HoldRecord,
  identify,
  readRecord,
  wordFile,
  writeRecord,
} from '../record/record';
import { differences, type Expectation, leaseCovers, shape } from '../ruleset/canonical';
import { closedDevices } from '../ruleset/plan';
import { render } from '../ruleset/template';
import { useArmed } from './armed';
import { type Attempt, forEachTarget, resolveAll, withTargets } from './group';
import { hold, holdDrift, holdRecord, settleHold } from './held/hold';
import { ledgersOf, leftSoFar } from './held/ledgers';
import { chooseQueues } from './held/queues';
import { isTooLate, releaseAndRemove } from './held/release';
import { holdingSignals } from './interruption';
import type { Machine } from './machine';
import { asFailure, type Operation, type TargetReport } from './report';
import { hasDied } from './runner';
import { foreignTable } from './state/drift';
import { bears, coversLease } from './state/imprint';
import { generationOf, hasLease, isOurs, leaseUntil, readStanding, type Standing } from './state/standing';
import { reportDryRun } from './steps/dry-run';
import { prove } from './steps/proof';
import { type Rehearsal, rehearse } from './steps/rehearse';
import { takeDown } from './steps/rollback';
import { settle } from './steps/settle';
import { findShortcuts, flowtablesPass } from './steps/shortcuts';
import { undo } from './steps/undo';
import { holdTimersOf, releaseTimers, timersOf } from './tcp/timers';
import { begin, type FreezeRequest, report, type Work } from './work';

/**
 * Freezes all targets, or none.
 * @param names as people write them
 * @returns a report for each target, in the order of the names
 */
export const freeze = async (names: string[], request: FreezeRequest, machine: Machine): Promise<Operation> =>
  freezeTargets(await resolveAll(names), request, machine);

/** The same for targets that are resolved; their namespaces are released at the end. */
export function freezeTargets(attempts: Attempt[], request: FreezeRequest, machine: Machine): Promise<Operation> {
  return withTargets(attempts, machine, async (opened) => {
    const work = opened.map((target) => begin(target, request));
    const reports = await freezeAll(work, request, machine);
    const moments = work.flatMap(({ appliedAt, failure }) => (appliedAt === null || failure ? [] : [appliedAt]));
    return { reports, failures: work.map(({ failure }) => failure), moments };
  });
}

/** The way of a freeze. Names are resolved and namespaces pinned when it begins, and their locks are held. */
async function freezeAll(work: Work[], request: FreezeRequest, machine: Machine): Promise<TargetReport[]> {
  const rehearsals = new Map<string, Promise<Rehearsal>>();
  const texts = new Map<string, string>();
  return holdingSignals(async (interruptions) => {
    const step = async (action: (target: Work) => void | Promise<void>, name = 'prepared') => {
      await interruptions.check();
      await forEachTarget(work, action, (done, of) => machine.progress?.(name, done, of));
    };
    try {
      await step((target) => look(target, request, machine), 'looked at');
      await step(sayWhoElse);
      await step((target) => renderText(target, request, texts));
      await step((target) => rehearseOnce(target, request, machine, rehearsals));
      await step((target) => takeDownBefore(target, request, machine));
      if (request.dryRun) return await Promise.all(work.map((target) => reportDryRun(target, request)));
      await step((target) => clearEnded(target, machine));
      await step((target) => recordIntent(target, request, machine));
      if (request.holdTimers) await step((target) => holdTimersOf(target, machine));
      if (!request.arms) await step((target) => hold(target, machine));
      await step(apply, 'frozen');
      await step(confirmApplied);
      await step((target) => settleDown(target, request));
      await step((target) => prove(target, request), 'proven');
      await step((target) => commit(target, request, machine));
      await step(settleHold);
    } catch (error) {
      await undo(work, asFailure(error), machine);
    }
    return work.map(report);
  });
}

/** What stands there now, whether it is ours, and whether packets have ways past our chains. */
function look(target: Work, request: FreezeRequest, machine: Machine): void {
  const allowed = { host: request.allowHost, lease: request.plan.lease !== null };
  refuseHost(target.site.namespace, target.name, allowed, target.onHost);
  target.generation = generationOf(target.site);
  target.standing = readStanding(target.site);
  target.record = readRecord(machine.stateDirectory, target.site.namespace);
  if (target.standing && !isOurs(target.standing, target.record)) throw foreignTable(target.name);
  if (target.standing?.isFlagged) throw flaggedTable(target.name);
  if (request.run) refuseStanding(target);
  const { devices, notes } = findShortcuts(target.site, target.name);
  target.plan.devices = closedDevices(devices);
  target.notes.push(...notes);
  if (devices.length > 0) target.notes.push(`closed at the device, for their flowtables: ${devices.join(', ')}`);
  if (request.plan.mode !== 'steal') return;
  if (devices.length > 0) throw flowtablesPass(target.name, devices);
  target.plan.queues = chooseQueues(target.site, target.standing, target.name);
}

/**
 * A command runs under a freeze of its own, so that its end can be the freeze's end. What a dead run has left behind is
 * taken over.
 */
function refuseStanding({ name, standing, record }: Work): void {
  if (!standing || standing.lease.state === 'ended' || hasDied(record?.run ?? null)) return;
  if (record?.run) {
    throw new Failure('busy', Exit.busy, `${name}: another netfreeze runs a command under its freeze`, {
      suggestions: [`wait until process ${record.run.pid} has ended`],
    });
  }
  throw new Failure('frozen-already', Exit.usage, `${name} is frozen already, and \`run\` would thaw it at its end`, {
    suggestions: [
      `thaw first: netfreeze off ${name}`,
      `or keep that freeze: start the command yourself, and then netfreeze verify ${name}`,
    ],
  });
}

/** A namespace is frozen for all who are in it. */
async function sayWhoElse(target: Work): Promise<void> {
  const others = await target.others();
  if (others.length > 0) target.notes.push(`it shares its namespace with ${others.join(', ')}: frozen too`);
}

/** Targets with the same plan share a text. */
function renderText(target: Work, { template }: FreezeRequest, texts: Map<string, string>): void {
  const started = performance.now();
  const { devices, queues } = target.plan;
  const own = JSON.stringify([devices, queues]);
  target.text = texts.get(own) ?? render(template, target.plan);
  texts.set(own, target.text);
  const staged = `armed ${own}`;
  target.armedText = texts.get(staged) ?? render(template, { ...target.plan, lease: null });
  texts.set(staged, target.armedText);
  target.timings.renderMs = performance.now() - started;
}

/** Targets with the same text share a rehearsal. */
async function rehearseOnce(
  target: Work,
  { template, arms }: FreezeRequest,
  machine: Machine,
  rehearsals: Map<string, Promise<Rehearsal>>,
): Promise<void> {
  const started = performance.now();
  const armed = arms ? null : useArmed(target, machine);
  const rehearsal =
    armed ?? rehearsals.get(target.text) ?? rehearse(target.text, template, target.plan, machine, { arms });
  if (!armed) rehearsals.set(target.text, Promise.resolve(rehearsal));
  const { expected, recording, text } = await rehearsal;
  Object.assign(target, { expected, recording, loads: text });
  target.timings.rehearseMs = performance.now() - started;
  const bound = expected.hooks.flatMap(({ devices }) => devices);
  const missing = bound.length === 0 ? [] : bound.filter((name) => !hasDevice(target, name));
  if (missing.length > 0) throw missingDevice(target.name, missing);
}

/** What stood before, to go back to; and whether it is already what was asked for, or can't be changed into it. */
async function takeDownBefore(target: Work, { holdTimers, run, arms }: FreezeRequest, machine: Machine): Promise<void> {
  const { record, expected } = target;
  // Read anew: the lease has run on during the rehearsal, and an earlier freeze gets back exactly the end that it had.
  const at = performance.now();
  const standing = readStanding(target.site);
  if (!standing || !expected) return;
  const { state, ...recorded } = await takeDown(target.site, standing, expected, machine);
  target.before = { state, lease: standing.lease, ...recorded, at };
  const isEnded = standing.lease.state === 'ended';
  if (arms && !isEnded) throw frozenAlready(target.name);
  const isArmed = arms && record?.phase === 'armed' && record.armed === target.armedText;
  const asked =
    !arms &&
    run === null &&
    record?.phase === 'frozen' &&
    record.text === target.text &&
    (timersOf(record) !== null) === holdTimers &&
    hasLease(standing, target.plan.lease) &&
    (record.hold?.limit ?? target.plan.holdLimit) === target.plan.holdLimit;
  const stands = showsAlready(standing, expected, state);
  target.done = isArmed
    ? showsAll(standing, expected, state)
    : asked && stands && holdDrift(target.site, standing, record) === null;
  if (target.done) target.held = ledgersOf(target.site, standing, machine, record);
  if (target.done || isEnded) return;
  const { freezing } = standing;
  if (freezing && freezing.mode !== target.plan.mode) throw otherMode(target.name, freezing.mode);
  const obstacles = differences(shape(expected), shape(state)).filter(({ kind }) => kind !== 'missing');
  if (obstacles.length === 0) return;
  throw new Failure(
    'other-shape',
    Exit.usage,
    `${target.name} has a freeze of another shape, which can't be replaced without an unfrozen moment: ${obstacles.map(({ name, kind }) => `${name} (${kind})`).join(', ')}`,
    { suggestions: [`thaw first: netfreeze off ${target.name}`] },
  );
}

/** Whether what stands is what is asked for, so that nothing is to be loaded. */
function showsAlready(standing: Standing, expected: Expectation, state: Expectation): boolean {
  const { imprint } = expected;
  const covers = imprint ? coversLease(standing.dump, imprint) : leaseCovers(expected, state);
  return covers && showsAll(standing, expected, state);
}

/** The same whatever its lease is. */
const showsAll = ({ dump }: Standing, expected: Expectation, state: Expectation): boolean =>
  bears(dump, expected.imprint) || differences(expected, state).length === 0;

const frozenAlready = (name: string) =>
  new Failure('frozen-already', Exit.usage, `${name} is frozen, and what is frozen can't be armed`, {
    suggestions: [`thaw it first: netfreeze off ${name}`],
  });

/**
 * What is left of a freeze whose lease has ended stops nothing, so that it may go before the new one comes. What a steal
 * holds still goes on, or is discarded where that is too late.
 */
async function clearEnded(target: Work, machine: Machine): Promise<void> {
  if (!target.before) return;
  const standing = readStanding(target.site);
  const isSteal = standing?.freezing?.mode === 'steal' || target.plan.mode === 'steal';
  if (standing?.lease.state !== 'ended' || !isSteal) return;
  const how = isTooLate(target.site, standing, target.record) ? 'discard' : 'release';
  const stays = target.usesArmed;
  const cleared = await releaseAndRemove(target.site, machine, how, target.record, { stays });
  if (cleared && !nothingLost(cleared.held)) {
    const { in: incoming, out } = cleared.held;
    target.notes.push(`of the freeze whose lease had ended, ${incoming.lost} packets in and ${out.lost} out were lost`);
  }
  if (!stays) target.before = null;
}

let user: FreezeRecord['by'] | undefined;

/** Who freezes. */
function thisUser(): FreezeRecord['by'] {
  if (!user) {
    const { username, uid } = userInfo();
    user = { user: process.env.SUDO_USER || username, uid, pid: process.pid };
  }
  return user;
}

/** The record says `freezing` before the kernel is touched. */
function recordIntent(target: Work, { reason, template, plan, run, arms }: FreezeRequest, machine: Machine): void {
  if (target.done) return;
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
    by: thisUser(),
    run,
    invocation: unitRun(),
    since: new Date().toISOString(),
    text: target.text,
    armed: arms || target.rearms ? target.armedText : null,
    expected: target.expected,
    // What an earlier freeze holds is held until this one has taken it over, or has let it go.
    timers: timersOf(target.record),
    generation: null,
    hold: arms ? null : holdRecord(target, leftBefore(target, machine)),
  };
  writeRecord(machine.stateDirectory, intent);
  if (intent.hold?.left) forgetWord(wordFile(machine.stateDirectory, target.site.namespace));
  target.begun = true;
  target.intent = intent;
}

/** Queues that are taken over go on counting, whatever has been done to their packets by then. */
function leftBefore({ before, plan, site, record }: Work, { stateDirectory }: Machine): HoldRecord['left'] {
  if (!before || plan.mode !== 'steal' || ownerOf(queuesOf(site.namespace, plan.queues)) === null) return null;
  return leftSoFar(site, plan.queues, stateDirectory, record);
}

/**
 * One transaction: both directions, all families. What was recorded goes out to one namespace after the other, and what the
 * kernel has answered is read when all have it, so that they are frozen at nearly one moment.
 */
async function apply(target: Work): Promise<void> {
  if (target.done) return;
  const started = performance.now();
  try {
    if (target.recording) send(target.site.netfilter, target.recording);
    else await (await target.site.session()).load(target.loads);
    target.appliedAt = performance.now();
  } catch (cause) {
    if (cause instanceof SystemError) throw applyRefused(target.name, cause);
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

/** What the kernel has answered to what was sent. */
function confirmApplied(target: Work): void {
  if (target.done || !target.recording) return;
  try {
    confirm(target.site.netfilter, target.recording);
  } catch (cause) {
    if (cause instanceof SystemError) throw applyRefused(target.name, cause);
    throw cause;
  }
}

async function settleDown(target: Work, { arms }: FreezeRequest): Promise<void> {
  if (target.done || arms) return;
  const started = performance.now();
  await settle(target.site, target.name, target.plan);
  target.timings.applyMs += performance.now() - started;
}

function commit(target: Work, { holdTimers, arms }: FreezeRequest, machine: Machine): void {
  if (target.done || !target.intent) return;
  if (!holdTimers && target.intent.timers) {
    target.notes.push(...releaseTimers(target.site.namespace, timersOf(target.intent)));
    target.intent.timers = null;
    writeRecord(machine.stateDirectory, target.intent);
  }
  const record = amendRecord(machine.stateDirectory, target.intent, {
    phase: arms ? 'armed' : 'frozen',
    leaseUntilMs: leaseUntil(target.standing),
    generation: target.generation,
    hold: arms ? null : holdRecord(target, target.intent.hold?.left ?? null),
  });
  target.record = record;
  if (target.standing) target.held = ledgersOf(target.site, target.standing, machine, record);
}

const hasDevice = ({ site }: Work, name: string): boolean => links(site.route).some((link) => link.name === name);

/** Linux 6.18 takes a chain for a device that is not there, and says nothing (FACTS). */
const missingDevice = (name: string, devices: string[]) =>
  new Failure(
    'no-such-device',
    Exit.usage,
    `${name} has no device ${devices.map(shown).join(', ')}, which the template binds`,
    {
      suggestions: ['mend the template, or make the device first'],
    },
  );

/** The kernel's own answer to a transaction that nft did not make. */
const applyRefused = (name: string, cause: SystemError) =>
  new Failure(
    'apply-refused',
    Exit.verificationFailed,
    `the kernel refused in ${name} what it had taken in the rehearsal: ${cause.message}`,
    { suggestions: ['try again; if it stays so, compare `nft list ruleset` in the namespace'], cause },
  );

const otherMode = (name: string, mode: string) =>
  new Failure('other-mode', Exit.usage, `${name} is frozen in mode ${mode}: the mode of a freeze can't be changed`, {
    suggestions: [`thaw first: netfreeze off ${name}`],
  });

const flaggedTable = (name: string) =>
  new Failure('flagged-table', Exit.drift, `${name}: the freeze that stands there was made dormant, or got an owner`, {
    suggestions: [`take it away first: netfreeze off ${name}`],
  });
