/**
 * Holding the timers: while a namespace is frozen nothing comes back, and TCP gives connections up when they have waited
 * long enough. What decides how long is raised for the time of the freeze, and put back after it.
 */
import type { Namespace } from '../namespace/namespace';
import { type Change, isChange, without } from './change';
import { planOwnTimers, raiseOwnTimers, restoreOwnTimers, type SocketChanges } from './own-timers';
import { planSettings, raiseSettings, restoreSettings } from './settings';

/** What is changed in a namespace, as the record keeps it. */
export interface HeldTimers {
  settings: Change[];
  sockets: SocketChanges[];
}

/**
 * Raises the timers of a namespace.
 * @param before what an earlier freeze that still stands has raised; null: none has
 * @param keep writes down what is about to be changed, before it is changed: whoever comes after a crash restores from that.
 *   It is called twice, since the sockets' own timers can be told only when the settings are raised
 * @returns all that is changed
 */
export function holdTimers(
  namespace: Namespace,
  before: HeldTimers | null,
  keep: (held: HeldTimers) => void,
): HeldTimers {
  const first = { settings: planSettings(namespace, before?.settings ?? []), sockets: before?.sockets ?? [] };
  keep(first);
  raiseSettings(namespace, first.settings);
  const held = { ...first, sockets: planOwnTimers(namespace, first.sockets) };
  keep(held);
  raiseOwnTimers(namespace, held.sockets);
  return held;
}

/**
 * Puts back what was raised and is as it was made; what somebody has changed meanwhile stays.
 * @returns what was not put back, in words; never throws for one of them
 */
export function restoreTimers(namespace: Namespace, { settings, sockets }: HeldTimers): string[] {
  // The sockets first: while the settings are raised, no timer of theirs ends them.
  const unreachable = restoreOwnTimers(namespace, sockets);
  const said = restoreSettings(namespace, settings);
  if (unreachable === 0) return said;
  return [...said, `timers that stay raised, since who holds their sockets can't be reached: ${unreachable}`];
}

/** @returns what is in `held` and not in `others`: what a freeze has raised beside an earlier one */
export function timersBeside(held: HeldTimers, others: HeldTimers | null): HeldTimers {
  return {
    settings: without(held.settings, others?.settings ?? []),
    sockets: held.sockets.map(({ cookie, options }) => ({
      cookie,
      options: without(options, others?.sockets.find((other) => other.cookie === cookie)?.options ?? []),
    })),
  };
}

/** @returns what a record says, or null when it says nothing that netfreeze could have written */
export function readHeldTimers(value: unknown): HeldTimers | null {
  const { settings, sockets } = (value ?? {}) as Record<string, unknown>;
  const isChanges = (list: unknown): list is Change[] => Array.isArray(list) && list.every(isChange);
  const isSocket = (one: Partial<SocketChanges> | null) => typeof one?.cookie === 'string' && isChanges(one.options);
  if (!isChanges(settings) || !Array.isArray(sockets) || !sockets.every(isSocket)) return null;
  return { settings, sockets };
}
