/**
 * CRIU's action script: one action of a dump or a restore, each in a process of its own. CRIU tells which by its environment
 * (criu/action-scripts.c); the tasks wait until it is done, and at most actions a failure ends what CRIU is doing.
 *
 *   dump     pre-dump → tasks stopped → network-lock: freeze → … → post-dump: prove that it held
 *            → network-unlock: thaw, where the tasks go on; else they are killed, and the freeze stays
 *   restore  setup-namespaces: freeze → links, routes, rulesets → post-setup-namespaces: freeze again, whatever the image
 *            brought → sockets … network-unlock → pre-resume: thaw → tasks go on → post-resume: thaw, if that failed
 */
import { statSync } from 'node:fs';
import { freeze } from '../../freeze/freeze';
import { resolveAll } from '../../freeze/group';
import type { Machine } from '../../freeze/machine';
import { renewTargets } from '../../freeze/renew';
import type { Operation } from '../../freeze/report';
import { criuMark } from '../../freeze/state/criu-mark';
import { type Moment, momentOf } from '../../freeze/state/moment';
import { thaw } from '../../freeze/thaw';
import { Exit, Failure } from '../../platform/failure';
import { shown } from '../../platform/text';
import { type CriuNote, readCriuNote, removeCriuNote, writeCriuNote } from '../../record/criu-note';
import type { Duration } from '../../ruleset/duration';
import type { Asked } from '../../ruleset/plan';
import { loadTemplate, type Template } from '../../ruleset/template';
import type { Caller } from './caller';
import { type FoundLock, leavesRunning, lockOfDump, lockOfImage, refuseStealBeside } from './own-lock';

/** What CRIU says of itself. */
export interface Call {
  action: string;
  /** CRTOOLS_INIT_PID: the first process of what is dumped or restored. */
  init: string | undefined;
  /** CRTOOLS_IMAGE_DIR. */
  images: string | undefined;
  criu: Caller;
}

/** What the user asked for. */
export interface HookRequest {
  plan: Asked;
  template: Template;
  /** Instead of the process that CRIU names. */
  target: string | null;
  /** How long the freeze of a dump that has ended its tasks stays; null: without end. */
  stay: Duration | null;
}

/** What an action came to. */
export interface HookOutcome {
  /** What was frozen, thawed or renewed, if anything was. */
  operations: Operation[];
  notes: string[];
}

interface Context extends HookOutcome {
  call: Call;
  request: HookRequest;
  machine: Machine;
}

const actions: Record<string, (context: Context) => Promise<void>> = {
  'pre-dump': preDump,
  'network-lock': networkLock,
  'post-dump': postDump,
  'network-unlock': networkUnlock,
  'setup-namespaces': freezeForRestore,
  'post-setup-namespaces': freezeForRestore,
  'pre-resume': resume,
  'post-resume': resume,
};

/**
 * Does what one action asks for; those that ask for nothing, or that a later CRIU has added, are left alone.
 * @returns what was done, and what is to be said of it
 * @throws Failure that ends what CRIU is doing, where CRIU heeds it
 */
export async function hook(call: Call, request: HookRequest, machine: Machine): Promise<HookOutcome> {
  const context: Context = { call, request, machine, operations: [], notes: [] };
  if (Object.hasOwn(actions, call.action)) await actions[call.action]?.(context);
  return { operations: context.operations, notes: context.notes };
}

/** Where the tasks share CRIU's namespace it says nothing when it locks, and nothing when a dump fails. */
async function preDump(context: Context): Promise<void> {
  if (!sharesOurNamespace(context)) return;
  const now = await momentOf(targetOf(context), context.machine);
  if (now.freeze === null) throw unannounced(now.target);
  left(context, 'dump', proven(now));
}

async function networkLock(context: Context): Promise<void> {
  const { call, request, machine } = context;
  const now = await momentOf(targetOf(context), machine);
  const lock = lockOfDump(call.criu);
  refuseStealBeside(lock, now.freeze?.mode ?? request.plan.mode, now.target);
  context.notes.push(lockText(lock));
  if (now.freeze === null || isOwn(context, now)) await own(context, 'dump', now, request.plan);
  else left(context, 'dump', proven(now));
}

/** A non-zero status is the last moment at which the dump can fail: CRIU lets the tasks go on then. */
async function postDump(context: Context): Promise<void> {
  const { call, request, machine } = context;
  const now = proven(await momentOf(targetOf(context), machine));
  const note = readCriuNote(machine.stateDirectory, now.namespace);
  if (!note || !isSame(note.criu, call.criu)) throw notHeld(now, 'no freeze was made or found when this dump began');
  if (note.since !== now.freeze.since) throw notHeld(now, 'another freeze stands there than when the dump began');
  if (note.generation !== now.generation && !renewedByRun(now)) {
    // What CRIU's lock has changed it has changed beside us; without that lock nobody had any business there.
    if (now.criuLocks.length === 0)
      throw notHeld(now, `nftables has been changed meanwhile (generation ${note.generation}, now ${now.generation})`);
    context.notes.push(
      `CRIU's own lock stands beside it (${now.criuLocks.join(', ')}): nftables has been changed by that, and by what else is not known`,
    );
  }
  const isCertain = note.generation === now.generation || renewedByRun(now);
  context.notes.push(
    isCertain ? 'the freeze has held to the end of the dump' : 'the freeze stands as it did when the dump began',
  );
  if (!note.own || leavesRunning(call.criu)) return;
  // Nobody knows when the restore will come. Without sockets and without a freeze the kernel would reset every connection.
  report(context, await renewTargets(await resolveAll([now.target]), request.stay ?? 'endless', machine));
}

/** A `netfreeze run` around CRIU renews its freeze, keeps watch over it, and says at the end whether it has held. */
const renewedByRun = ({ freeze: standing, generation }: Proven): boolean =>
  standing.isRun && standing.generation === generation;

/** Of a dump: it has failed, or the tasks go on. Of a restore: the tasks do not go on yet. */
async function networkUnlock(context: Context): Promise<void> {
  const { machine, call } = context;
  const now = await momentOf(targetOf(context), machine);
  const note = readCriuNote(machine.stateDirectory, now.namespace);
  if (note?.way === 'dump' && isSame(note.criu, call.criu)) await end(context, now, note);
}

async function freezeForRestore(context: Context): Promise<void> {
  const { request, machine, call } = context;
  const now = await momentOf(targetOf(context), machine);
  if (sharesOurNamespace(context) && now.freeze === null) throw unannounced(now.target);
  if (stillAsNoted(context, now)) return;
  const mode = modeOf(now, request.plan.mode);
  refuseStealBeside(call.images ? lockOfImage(call.images) : lockOfDump(call.criu), mode, now.target);
  // A freeze without a record came with the image.
  if (now.freeze && now.freeze.since !== null && !isOwn(context, now)) return left(context, 'restore', proven(now));
  const lease = now.freeze?.lease.state === 'endless' ? null : request.plan.lease;
  const marks = [...request.plan.marks, criuMark];
  await own(context, 'restore', now, { ...request.plan, mode, lease, marks });
}

async function resume(context: Context): Promise<void> {
  const { machine, call } = context;
  const now = await momentOf(targetOf(context), machine);
  const note = readCriuNote(machine.stateDirectory, now.namespace);
  if (note?.way === 'restore' && isSame(note.criu, call.criu)) await end(context, now, note);
}

/** Freezes, or brings a freeze of the hook's own to what is asked for now, and notes that. */
async function own(context: Context, way: CriuNote['way'], now: Moment, plan: Asked): Promise<void> {
  const { call, request, machine } = context;
  const { pid, start } = call.criu;
  const note = { way, criu: { pid, start }, own: true };
  // Intent before the kernel: a hook that is killed in the middle leaves a freeze that the next action thaws.
  writeCriuNote(machine.stateDirectory, now.namespace, { ...note, since: now.freeze?.since ?? null, generation: null });
  const template = plan.mode === request.plan.mode ? request.template : await loadTemplate(plan.mode);
  const asked = { plan: { ...plan, template: template.name }, template, reason: `CRIU's ${way}` };
  const operation = await freeze(
    [now.target],
    { ...asked, allowHost: false, holdTimers: false, run: null, dryRun: false, arms: false },
    machine,
  );
  report(context, operation);
  // One that stood already has only what is left of its lease.
  if (operation.targets[0]?.changed === false && plan.lease !== null) {
    report(context, await renewTargets(await resolveAll([now.target]), plan.lease, machine));
  }
  const after = proven(await momentOf(now.target, machine));
  writeCriuNote(machine.stateDirectory, now.namespace, {
    ...note,
    since: after.freeze.since,
    generation: after.generation,
  });
}

/** Another's freeze serves as well as one of our own, and stays when CRIU is done. */
function left({ call, machine, notes }: Context, way: CriuNote['way'], now: Proven): void {
  const { pid, start } = call.criu;
  const { since } = now.freeze;
  writeCriuNote(machine.stateDirectory, now.namespace, {
    way,
    criu: { pid, start },
    own: false,
    since,
    generation: now.generation,
  });
  notes.push(`${now.target} is frozen already (${now.freeze.mode}): that freeze is left as it is, also at the end`);
}

const howToThaw = { discard: false, disarm: false, kick: { sockets: true, peers: false } };

async function end(context: Context, now: Moment, note: CriuNote): Promise<void> {
  const { machine, notes } = context;
  if (note.own && (now.freeze === null || isOwn(context, now)))
    report(context, await thaw([now.target], howToThaw, machine));
  else notes.push(`${now.target} was frozen by somebody else, and stays so: netfreeze off ${now.target}`);
  removeCriuNote(machine.stateDirectory, now.namespace);
}

/** @throws Failure the operation's own */
function report(context: Context, operation: Operation): void {
  context.operations.push(operation);
  if (operation.failure) throw operation.failure;
}

/** Whether the freeze that stands is one that the hook has made, for this CRIU or an earlier one. */
function isOwn({ machine }: Context, { namespace, freeze: standing }: Moment): boolean {
  const note = readCriuNote(machine.stateDirectory, namespace);
  return note?.own === true && (note.since === standing?.since || note.by === standing?.by);
}

/** Whether nothing has been changed since an earlier action of the same restore. */
function stillAsNoted({ machine, call }: Context, { namespace, freeze: standing, generation }: Moment): boolean {
  const note = readCriuNote(machine.stateDirectory, namespace);
  const isNoted = note?.way === 'restore' && isSame(note.criu, call.criu) && note.generation === generation;
  return isNoted && standing !== null && standing.drift === null;
}

const isSame = (one: CriuNote['criu'], other: Caller): boolean => one.pid === other.pid && one.start === other.start;

type Proven = Moment & { freeze: NonNullable<Moment['freeze']> };

/** @throws Failure `not-frozen`, `drift` */
function proven(now: Moment): Proven {
  const { target, freeze: standing } = now;
  if (standing === null) {
    throw new Failure('not-frozen', Exit.notFrozen, `${target} is not frozen, or its lease has ended`, {
      suggestions: ['a dump that takes longer than its lease fails: give the hook a longer one with --lease'],
    });
  }
  if (standing.drift !== null) throw notHeld(now, standing.drift);
  return { ...now, freeze: standing };
}

const modeOf = ({ freeze: standing }: Moment, otherwise: Asked['mode'] = 'drop'): Asked['mode'] =>
  standing === null ? otherwise : standing.mode === 'steal' ? 'steal' : 'drop';

/** @throws Failure `no-process` where CRIU has not said which process it is about */
function targetOf({ call, request }: Context): string {
  if (request.target !== null) return request.target;
  if (call.init !== undefined) return `pid:${call.init}`;
  throw new Failure(
    'no-process',
    Exit.usage,
    `CRTOOLS_INIT_PID is not set at ${shown(call.action)}: there is nothing to freeze`,
    {
      suggestions: ['CRIU sets it for its action script; by hand, use `netfreeze on` and `netfreeze off`'],
    },
  );
}

/** CRIU's script runs in CRIU's own namespace. */
function sharesOurNamespace({ call }: Context): boolean {
  try {
    return call.init !== undefined && statSync(`/proc/${call.init}/ns/net`).ino === statSync('/proc/self/ns/net').ino;
  } catch {
    return false;
  }
}

function lockText({ lock, where }: FoundLock): string {
  if (lock === 'skip') return `CRIU puts no lock of its own beside it (${where})`;
  return `CRIU puts its own lock beside it: ${lock ?? 'which one is not said'} (${where})`;
}

const unannounced = (target: string) =>
  new Failure(
    'shares-criu-namespace',
    Exit.usage,
    `${target} is also CRIU's own network namespace: CRIU does not say there when it locks, nor when a dump has failed`,
    {
      suggestions: [
        `freeze around it: netfreeze run ${target} -- criu dump …`,
        'or run CRIU outside of that namespace, with --external net[INODE]:KEY',
      ],
    },
  );

const notHeld = ({ target }: Moment, why: string) =>
  new Failure('not-held', Exit.drift, `the freeze of ${target} has not held: ${why}`, {
    suggestions: ['the dump is no good: its connections may have gone on while it was made; try again'],
  });
