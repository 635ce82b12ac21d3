/** While the command runs: the freeze is watched and its lease renewed, signals are passed on, its time is kept. */
import type { Signal } from '../freeze/interruption';
import { asFailure } from '../freeze/report';
import type { Vigil } from '../freeze/vigil';
import { Exit, type Failure } from '../platform/failure';
import type { Command, Ending } from './command';
import type { Signals } from './signals';

/** Why a command was stopped before its end. */
export type Stop =
  | { why: 'interrupted'; signal: Signal }
  | { why: 'timeout'; afterMs: number }
  | { why: 'not-held'; objection: string }
  | { why: 'fault'; failure: Failure };

/** What happened from the freeze to the end of the command. */
export interface Course {
  /** null: it was not started. */
  ending: Ending | null;
  stopped: Stop | null;
  /** Why the freeze has not held; null: it has. */
  objection: string | null;
  tookMs: number;
  criuLocks: string[];
}

/** How often the freeze is looked at, in milliseconds. */
const lookMs = 250;
/**
 * How long a command that was told to end may take for it, in milliseconds, before it is killed; less where nothing freezes
 * any more.
 */
const graceMs = { frozen: 10_000, open: 1000 };

/**
 * Waits for the command's end and proves that the freeze held until then.
 * @param times `leaseMs`: the lease that is to be renewed, null: none; `timeoutMs`: null: no limit
 * @throws Failure `not-started`
 */
export async function attend(
  command: Command,
  vigil: Vigil,
  signals: Signals,
  { leaseMs, timeoutMs }: { leaseMs: number | null; timeoutMs: number | null },
): Promise<Course> {
  const began = performance.now();
  const timers: NodeJS.Timeout[] = [];
  let stopped: Stop | null = null;
  /** Whether it was told once that nothing freezes any more. */
  let isOpen = false;
  let renewing: Promise<void> | null = null;

  const stop = (reason: Stop, signal: Signal) => {
    command.signal(signal);
    const opens = reason.why === 'not-held';
    if (stopped === null || opens) {
      timers.push(setTimeout(() => command.kill(), opens ? graceMs.open : graceMs.frozen));
    }
    isOpen ||= opens;
    stopped ??= reason;
  };
  const look = () => {
    const objection = quickly(vigil);
    if (objection !== null && !isOpen) stop({ why: 'not-held', objection }, 'SIGTERM');
  };
  const renew = async () => {
    const { failure } = await vigil.renew();
    // Another netfreeze at work, say: it is tried again, and the lease's end is seen by the look.
    if (failure && !isOpen && [Exit.drift, Exit.notFrozen].includes(failure.exit as 10 | 11)) {
      stop({ why: 'not-held', objection: failure.message }, 'SIGTERM');
    }
  };

  signals.listen((signal) => stop({ why: 'interrupted', signal }, signal));
  timers.push(setInterval(look, lookMs));
  if (timeoutMs !== null) {
    timers.push(setTimeout(() => stop({ why: 'timeout', afterMs: timeoutMs }, 'SIGTERM'), timeoutMs));
  }
  if (leaseMs !== null) {
    const next = () => {
      renewing ??= renew()
        .catch((error) => stop({ why: 'fault', failure: asFailure(error) }, 'SIGTERM'))
        .finally(() => {
          renewing = null;
        });
    };
    timers.push(setInterval(next, leaseMs / 3));
  }
  try {
    const ending = await command.ended;
    const tookMs = performance.now() - began;
    await renewing;
    const objection = await vigil.prove();
    if (stopped !== null || objection !== null || ending.status !== 0) command.kill();
    return { ending, stopped, objection, tookMs, criuLocks: vigil.criuLocks() };
  } finally {
    signals.listen(() => {});
    for (const timer of timers) clearTimeout(timer);
    command.over();
  }
}

function quickly(vigil: Vigil): string | null {
  try {
    return vigil.objection();
  } catch (error) {
    return `it can't be watched any more: ${asFailure(error).message}`;
  }
}
