/** The ledger: what became of the packets of one direction, counted by the kernel (law 7). */
import type { Word } from './keeper';
import type { QueueState } from './queue';

/** Packets of one direction. Each that met the freezing rule is in one of the three. */
export interface Ledger {
  held: number;
  released: number;
  lost: number;
}

/** What became of the packets of both directions. */
export interface Ledgers {
  in: Ledger;
  out: Ledger;
}

/** What is known of one direction. */
export interface Evidence {
  /** How many packets met the freezing rule, by the ruleset's own counter. */
  met: number;
  /** The queue; null when no socket is bound to it any more. */
  queue: QueueState | null;
  /** Packets that were let go on by whoever reads this, or dropped by `--discard`. */
  released: number;
}

/**
 * @returns the ledger of one direction. What left the queue without having been released was thrown away by the kernel:
 *   a hook was removed, a link went down. What met the rule and never came to the queue found nobody listening.
 */
export function ledgerOf({ met, queue, released }: Evidence): Ledger {
  if (!queue) return { held: 0, released, lost: Math.max(0, met - released) };
  const queued = queue.sequence - queue.userDropped;
  const gone = Math.max(0, queued - queue.held - released);
  const unheard = Math.max(0, met - queue.sequence - queue.dropped);
  return { held: queue.held, released, lost: queue.dropped + queue.userDropped + gone + unheard };
}

/** @returns what a keeper released in one direction at the end of the lease, by its word */
export const releasedBy = (word: Word | null, direction: 'in' | 'out'): number =>
  word?.what === 'released' ? word[direction] : 0;

/** @returns whether nothing was lost in either direction */
export const nothingLost = (ledgers: Ledgers): boolean => ledgers.in.lost + ledgers.out.lost === 0;
