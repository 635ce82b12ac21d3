/**
 * What follows when the tables are gone: TCP is kicked, its timers are put back, the record is removed. Targets of one
 * thaw may talk to each other; so with several, all of this waits until the last of them is thawed.
 */
import { type Namespace, pin, release, sameNamespace } from '../../namespace/namespace';
import { withLocks } from '../../record/lock';
import { type FreezeRecord, readRecord, removeRecord } from '../../record/record';
import type { Kicked, KickPlan } from '../../tcp/kick';
import { armAgain } from '../armed';
import type { Opened } from '../group';
import type { Machine } from '../machine';
import { asFailure, type Operation } from '../report';
import { kick } from './kick';
import { releaseAfterThaw, timersOf } from './timers';

/** What follows the thaw of one target. */
export interface Thawed {
  kicked: Kicked | null;
  notes: string[];
}

export interface Sequel {
  /**
   * Does for a target what follows its thaw, or puts it off; its lock is held.
   * @param stays whether it is armed again, and its record stays
   */
  follow(target: Opened, plan: KickPlan | null, record: FreezeRecord | null, stays: boolean): Promise<Thawed>;
  /** Does what was put off, and reports it with the rest. */
  finish(operation: Operation): Promise<Operation>;
}

/** A target whose sequel was put off. */
interface Pending {
  name: string;
  namespace: Namespace;
  plan: KickPlan | null;
  hasTimers: boolean;
  stays: boolean;
}

/** @param several whether more than one target is thawed */
export function openSequel({ stateDirectory }: Machine, several: boolean): Sequel {
  const pending: Pending[] = [];

  /** @param record as it stands now */
  async function settle(namespace: Namespace, record: FreezeRecord | null, stays: boolean): Promise<string[]> {
    const notes = await releaseAfterThaw(namespace, timersOf(record));
    return [...notes, ...close(namespace, record, stays)];
  }

  const close = (namespace: Namespace, record: FreezeRecord | null, stays: boolean): string[] =>
    noting(() => (stays && record ? armAgain(record, stateDirectory) : removeRecord(stateDirectory, namespace)));

  async function finishOne({ name, namespace, hasTimers, stays }: Pending): Promise<string[]> {
    if (!hasTimers) return [];
    try {
      return await withLocks(stateDirectory, [{ name, device: namespace.device, inode: namespace.inode }], async () => {
        // Whoever has frozen it again since has taken the timers over.
        const record = readRecord(stateDirectory, namespace);
        return record?.phase === 'thawing' ? settle(namespace, record, stays) : [];
      });
    } catch (error) {
      return [`TCP's timers are put back by the next netfreeze command: ${asFailure(error).message}`];
    }
  }

  return {
    async follow({ name, site }, plan, record, stays) {
      if (!several) {
        const notes: string[] = [];
        const kicked = await kick(plan, notes);
        return { kicked, notes: [...notes, ...(await settle(site.namespace, record, stays))] };
      }
      const hasTimers = timersOf(record) !== null;
      const isIdle = plan === null || (plan.waiting.length === 0 && plan.peers === null);
      if (isIdle && !hasTimers) {
        const notes: string[] = [];
        const kicked = await kick(plan, notes);
        return { kicked, notes: [...notes, ...close(site.namespace, record, stays)] };
      }
      // The site is closed before the sequel; it has a descriptor of its own.
      const namespace = pin(`/proc/self/fd/${site.namespace.fd}`);
      pending.push({ name, namespace, plan: plan && { ...plan, namespace }, hasTimers, stays });
      return { kicked: null, notes: hasTimers ? [] : close(namespace, record, stays) };
    },
    async finish(operation) {
      const done: Array<Thawed & { namespace: Namespace }> = [];
      try {
        for (const { namespace, plan } of pending) {
          const notes: string[] = [];
          done.push({ namespace, kicked: await kick(plan, notes), notes });
        }
        for (const [at, one] of pending.entries()) done[at]?.notes.push(...(await finishOne(one)));
      } finally {
        for (const { namespace } of pending) release(namespace);
      }
      const targets = operation.targets.map((report) => {
        const own = done.find(({ namespace }) => report.namespace && sameNamespace(namespace, report.namespace));
        return own ? { ...report, kicked: own.kicked, notes: [...report.notes, ...own.notes] } : report;
      });
      return { ...operation, targets };
    },
  };
}

/** The record is the lesser thing: what becomes of it is said, and the thaw goes on. */
export function noting(action: () => void): string[] {
  try {
    action();
    return [];
  } catch (error) {
    return [asFailure(error).message];
  }
}
