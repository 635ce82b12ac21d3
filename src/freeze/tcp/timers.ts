/**
 * TCP's timers as a part of a freeze. What was raised stands in the record before it is raised, and stays there until it
 * has been put back: by the thaw, by the roll-back, by a freeze that does not hold timers, or by whichever of them comes
 * next after a crash.
 */
import type { Namespace } from '../../namespace/namespace';
import { Exit, Failure } from '../../platform/failure';
import { type FreezeRecord, writeRecord } from '../../record/record';
import { spareConnecting } from '../../tcp/connecting';
import { recovery } from '../../tcp/recovery';
import { type HeldTimers, holdTimers, readHeldTimers, restoreTimers, timersBeside } from '../../tcp/timers';
import type { Machine } from '../machine';
import { asFailure } from '../report';
import type { Work } from '../work';

/** How long a thaw waits for connections to go on before their timers are put back, in milliseconds. */
const patience = 1000;

/** @returns what is raised in a record's namespace, or null */
export const timersOf = (record: FreezeRecord | null): HeldTimers | null => readHeldTimers(record?.timers);

/**
 * Raises the timers of a target, and keeps in the record what they were. Where the freeze stands already as it was asked
 * for, it does so for sockets that have come since.
 * @throws Failure `timers-not-held`
 */
export function holdTimersOf(target: Work, machine: Machine): void {
  const { site, name } = target;
  const which = target.done ? 'record' : 'intent';
  const record = target[which];
  if (!record) return;
  const keep = (timers: HeldTimers) => {
    const kept = { ...record, timers };
    writeRecord(machine.stateDirectory, kept);
    target[which] = kept;
  };
  try {
    const { settings, sockets } = holdTimers(site.namespace, timersOf(target.record), keep);
    const own = sockets.length === 0 ? 'no socket has its own' : `and those of ${counted(sockets.length, 'socket')}`;
    const raised = settings.map((one) => `${one.name} ${one.saved} → ${one.raised}`).join(', ');
    target.notes.push(`timers are held: ${raised || 'no setting had to be raised'}; ${own}`);
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    throw new Failure('timers-not-held', Exit.unsupported, `${name}: TCP's timers could not be raised: ${cause}`, {
      suggestions: ['/proc/sys/net must be writable and the kernel have tcp_diag', 'freeze without --hold-timers'],
      cause,
    });
  }
}

/**
 * Puts the timers back that an earlier freeze holds and this one does not; the record still has them.
 * @param kept what stays raised
 * @returns notes; nothing is thrown
 */
export const releaseTimers = (
  namespace: Namespace,
  held: HeldTimers | null,
  kept: HeldTimers | null = null,
): string[] => (held ? restored(namespace, timersBeside(held, kept)) : []);

/**
 * Puts the timers back after a thaw. A connection that has waited longer than its own timers allow would be given up at
 * once; so it gets a moment to go on first.
 * @returns notes; nothing is thrown
 */
export async function releaseAfterThaw(namespace: Namespace, held: HeldTimers | null): Promise<string[]> {
  if (!held) return [];
  let notes: string[] = [];
  try {
    const waiting = await recovery(namespace, patience);
    if (waiting > 0) notes = [`${counted(waiting, 'connection')} had not gone on when the timers were put back`];
    spareConnecting(namespace, held);
  } catch (error) {
    notes = [`it is not known whether connections have gone on: ${asFailure(error).message}`];
  }
  return [...notes, ...restored(namespace, held)];
}

/**
 * Puts the timers back that a freeze has raised which is rolled back; those of an earlier one that stands again stay held.
 * @returns notes; nothing is thrown
 */
export async function undoTimers({ intent, record, site }: Work, standsAgain: boolean): Promise<string[]> {
  const held = timersOf(intent);
  return standsAgain ? releaseTimers(site.namespace, held, timersOf(record)) : releaseAfterThaw(site.namespace, held);
}

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

function restored(namespace: Namespace, held: HeldTimers): string[] {
  try {
    return restoreTimers(namespace, held);
  } catch (error) {
    return [`TCP's timers may not be as they were: ${asFailure(error).message}`];
  }
}
