/**
 * Mode steal: the queues are bound and their keeper runs before the first packet is queued. A freeze that replaces another
 * takes its socket over, so that what is held stays held.
 */

import { endKeepers, findHold, ownerOf, queuesOf } from '../../hold/hold';
import { forgetWord, type Keeper, startKeeper } from '../../hold/keeper';
import { bindQueues, type QueueSocket } from '../../hold/queue';
import { Exit, Failure } from '../../platform/failure';
import { isErrno } from '../../platform/libc';
import { startOf } from '../../platform/process';
import { type FreezeRecord, type HoldRecord, monotonicMs, stateName, wordFile } from '../../record/record';
import type { Opened } from '../group';
import type { Machine, Site } from '../machine';
import type { Lease, Standing } from '../state/standing';
import type { Work } from '../work';
import { numbersIn } from './queues';

/** Binds the queues, or takes over those of the freeze that stands, and starts the keeper. */
export function hold(target: Work, { stateDirectory }: Machine): void {
  if (target.done || target.plan.mode !== 'steal') return;
  const { site, name, plan } = target;
  const state = stateName(site.namespace);
  const word = wordFile(stateDirectory, site.namespace);
  // Without a freeze that stands, a keeper was left behind, and what its queues have counted is no business of this one.
  const earlier = target.before && findHold(site.namespace, state, plan.queues, target.record?.hold?.keeper);
  if (earlier && !earlier.socket) throw socketForbidden(name);
  if (!earlier) {
    // A keeper that is not bound to the queues keeps nothing: it was left behind.
    endKeepers(state);
    forgetWord(word);
  }
  earlier?.socket?.drain();
  earlier?.socket?.limit(plan.queues, plan.holdLimit);
  const socket = earlier?.socket ?? bind(target);
  try {
    const keeper = startKeeper({
      target: name,
      state,
      namespace: site.namespace,
      anchor: target.file,
      numbers: plan.queues,
      socket,
      leaseMs: plan.lease,
      wordFile: word,
    });
    target.holding = { socket, keeper, earlier: earlier?.keeper ?? null };
    if (!keeper.isApart) target.notes.push(notApart);
  } catch (error) {
    restoreLimit(earlier?.socket, target);
    socket.close();
    throw error;
  }
}

/** The queues hold as much again as the freeze that stood before has asked for. */
function restoreLimit(socket: QueueSocket | null | undefined, { plan, record }: Work): void {
  if (record?.hold) socket?.limit(plan.queues, record.hold.limit);
}

/** Under systemd a unit's processes are ended with it, by their cgroup. */
const notApart =
  'its keeper could not be given a cgroup of its own: it ends, and what it holds is lost, with the unit or session that this runs in';

function bind({ site, name, plan }: Work): QueueSocket {
  try {
    return bindQueues(site.namespace, plan.queues, plan.holdLimit);
  } catch (cause) {
    if (!isErrno(cause, 'EBUSY', 'EPERM')) throw cause;
    const { in: incoming, out } = plan.queues;
    throw new Failure(
      'queue-taken',
      Exit.verificationFailed,
      `${name}: queue ${incoming} or ${out} was taken by another program meanwhile: ${cause}`,
      { suggestions: ['try again: other numbers are chosen'], cause },
    );
  }
}

/** A lease that has ended is none that a keeper could wait for. */
type InForce = Exclude<Lease, { state: 'ended' }>;

/** @returns the milliseconds that are left of it; null: it has no end */
const leftOf = (lease: InForce): number | null => (lease.state === 'endless' ? null : lease.untilMs - monotonicMs());

/** A keeper on its way to another one's place. */
interface Handover {
  keeper: Keeper;
  /** The new one is told when the lease that is in force ends, and every other goes. */
  finish(lease: InForce): Promise<void>;
  /** The old one stays. */
  undo(): void;
}

/**
 * Starts a keeper that takes the place of the one that keeps a frozen target's packets, for a lease of another length.
 * @throws Failure `socket-forbidden`
 */
export function handOver(
  { site, name, file }: Opened,
  record: FreezeRecord | null,
  leaseMs: number | null,
  { stateDirectory }: Machine,
): Handover | null {
  const numbers = numbersIn(site);
  const state = stateName(site.namespace);
  const earlier = numbers && findHold(site.namespace, state, numbers, record?.hold?.keeper);
  if (!earlier) return null;
  if (!earlier.socket) throw socketForbidden(name);
  const { socket } = earlier;
  socket.drain();
  const keeper = startKeeper({
    target: name,
    state,
    namespace: site.namespace,
    anchor: file,
    numbers,
    socket,
    leaseMs,
    wordFile: wordFile(stateDirectory, site.namespace),
  });
  return {
    keeper: { pid: keeper.pid, start: keeper.start },
    async finish(lease) {
      await keeper.tell(leftOf(lease));
      // Also one that a renewal has left behind which was killed.
      endKeepers(state, keeper);
      socket.close();
    },
    undo() {
      keeper.end();
      socket.close();
    },
  };
}

/** @returns how the hold is not what it must be, in words; null when the packets are in our keeper's hands */
export function holdObjection({ site, holding, plan }: Work): string | null {
  if (!holding) return null;
  const queues = queuesOf(site.namespace, plan.queues);
  if (startOf(holding.keeper.pid) !== holding.keeper.start) return 'the keeper of the queues has ended';
  if (ownerOf(queues) !== holding.socket.port) return 'the queues are not bound to the keeper’s socket';
  return null;
}

const socketForbidden = (name: string) =>
  new Failure('socket-forbidden', Exit.unsupported, `${name}: the kernel lets nobody take over what is held`, {
    suggestions: ['kernel.yama.ptrace_scope 3 forbids it', `thaw first: netfreeze off ${name}`],
  });

/**
 * What a record says of a hold.
 * @param left what has left the queues that are taken over; null: new ones
 */
export function holdRecord({ holding, plan, record }: Work, left: HoldRecord['left']): HoldRecord | null {
  if (plan.mode !== 'steal') return null;
  const known = holding ? { pid: holding.keeper.pid, start: holding.keeper.start } : (record?.hold?.keeper ?? null);
  return { queues: plan.queues, limit: plan.holdLimit, keeper: known, thaw: null, left };
}

/** All targets are proven: the keeper is told when the freeze ends, and an earlier one goes. */
export async function settleHold({ holding, standing, site }: Work): Promise<void> {
  if (!holding) return;
  // It was in force when it was proven.
  if (standing && standing.lease.state !== 'ended') await holding.keeper.tell(leftOf(standing.lease));
  if (holding.earlier) endKeepers(stateName(site.namespace), holding.keeper);
  holding.socket.close();
}

/** The freeze is undone: what it has started goes, and what stood before keeps its keeper. */
export function undoHold(target: Work): void {
  const { holding } = target;
  if (!holding) return;
  if (holding.earlier) restoreLimit(holding.socket, target);
  holding.keeper.end();
  holding.socket.close();
  target.holding = null;
}

/**
 * Looks whether what is held is still in our hands.
 * @returns in words what is wrong; null when nothing is, or the freeze holds nothing
 */
export function holdDrift(site: Site, standing: Standing, record: FreezeRecord | null): string | null {
  if (standing.freezing?.mode !== 'steal') return null;
  const numbers = numbersIn(site, record?.hold?.keeper);
  if (!numbers) return 'nothing of its queues is left';
  const queues = queuesOf(site.namespace, numbers);
  const found = findHold(site.namespace, stateName(site.namespace), numbers, record?.hold?.keeper);
  found?.close();
  if (found) return null;
  if (!queues.in && !queues.out) return 'its keeper is gone: packets are dropped, and what was held is lost';
  return `its queues ${numbers.in} and ${numbers.out} are bound to another program, which can let packets pass`;
}
