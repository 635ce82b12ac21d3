/** The hold on a namespace: the queues that hold its packets, whoever keeps them, and the way to decide about them. */
import type { Namespace } from '../namespace/namespace';
import { Failure } from '../platform/failure';
import { endKeeper, findKeepers, type Keeper, type StartedKeeper, signalKeeper, takeSocket } from './keeper';
import { type QueueNumbers, type QueueSocket, type QueueState, readQueues } from './queue';

/** A hold that a freeze has made or taken over. */
export interface Holding {
  socket: QueueSocket;
  keeper: StartedKeeper;
  /** The keeper of the freeze that stood before; it goes when this freeze is done. */
  earlier: Keeper | null;
}

/** A hold that somebody keeps. */
export interface Hold {
  keeper: Keeper;
  /** The netlink port of the socket that the queues are bound to. */
  port: number;
  /** The keeper's socket; null where the kernel lets nobody take it, so that the keeper is asked by signals. */
  socket: QueueSocket | null;
  /** Decides about all packets that are held now, those that came in first; each direction in its order. */
  decide(verdict: 'accept' | 'drop'): void;
  /**
   * Decides about what is held now in turns, a little of each direction, so that neither waits for all of the other.
   * @param betweenTurns is called after each turn
   */
  decideInTurns(verdict: 'accept' | 'drop', queues: BothQueues, betweenTurns: () => void): void;
  /** Tells the keeper that a thaw is under way: it gives back what is still held 0.2 s after it was last told. */
  beginThaw(): void;
  /** Lets go of the socket; the keeper goes on. */
  close(): void;
}

/**
 * Finds the hold on a namespace.
 * @param state what record and lock of the namespace are called
 * @param known the keeper that a record names
 * @returns null when no keeper of ours is bound to both queues
 */
export function findHold(
  namespace: Namespace,
  state: string,
  numbers: QueueNumbers,
  known: Keeper | null = null,
): Hold | null {
  const port = ownerOf(queuesOf(namespace, numbers));
  if (port === null) return null;
  const by = (keepers: Keeper[]) => holdBy(keepers, namespace, port, numbers);
  return by(findKeepers(state, known)) ?? (known && by(findKeepers(state)));
}

/** The two queues of a freeze, null where no socket is bound. */
export interface BothQueues {
  in: QueueState | null;
  out: QueueState | null;
}

/** @returns what the kernel shows of the two queues */
export function queuesOf(namespace: Namespace, numbers: QueueNumbers): BothQueues {
  const queues = readQueues(namespace);
  const find = (wanted: number) => queues.find(({ number }) => number === wanted) ?? null;
  return { in: find(numbers.in), out: find(numbers.out) };
}

/** @returns the port of the socket that is bound to both queues; null when there is none, or two */
export const ownerOf = ({ in: incoming, out }: BothQueues): number | null =>
  incoming && out && incoming.owner === out.owner ? incoming.owner : null;

/**
 * Ends every keeper of a namespace.
 * @param but one that stays
 * @returns how many there were
 */
export function endKeepers(state: string, but: Keeper | null = null): number {
  const keepers = findKeepers(state).filter(({ pid }) => pid !== but?.pid);
  for (const keeper of keepers) endKeeper(keeper);
  return keepers.length;
}

function holdBy(keepers: Keeper[], namespace: Namespace, port: number, numbers: QueueNumbers): Hold | null {
  for (const keeper of keepers) {
    try {
      const socket = takeSocket(keeper, port, namespace);
      if (!socket) continue;
      return {
        keeper,
        port,
        socket,
        decide: (verdict) => socket.decide(verdict, numbers),
        decideInTurns: (verdict, queues, betweenTurns) => inTurns(socket, verdict, numbers, queues, betweenTurns),
        beginThaw: () => signalKeeper(keeper, 'SIGHUP'),
        close: () => socket.close(),
      };
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'socket-forbidden') throw error;
      return bySignals(keeper, port);
    }
  }
  return null;
}

const bySignals = (keeper: Keeper, port: number): Hold => ({
  keeper,
  port,
  socket: null,
  decide: (verdict) => signalKeeper(keeper, verdict === 'accept' ? 'SIGUSR1' : 'SIGUSR2'),
  // All at once: a signal says no more.
  decideInTurns() {},
  beginThaw: () => signalKeeper(keeper, 'SIGHUP'),
  close() {},
});

/**
 * How many packets of a direction are decided about before it is the other's turn: few at first, so that the first packet of
 * each goes on at once, then more. A large packet can take a tenth of a millisecond, with all that it sets in motion.
 */
const turns = { first: 4, most: 64 };

/** Ids are given one after the other, so that those that are held end with the queue's sequence. */
export function inTurns(
  socket: QueueSocket,
  verdict: 'accept' | 'drop',
  numbers: QueueNumbers,
  { in: incoming, out }: BothQueues,
  betweenTurns: () => void = () => {},
): void {
  const most = Math.max(incoming?.held ?? 0, out?.held ?? 0);
  for (let turn = turns.first, done = turn; done < most; turn = Math.min(2 * turn, turns.most), done += turn) {
    const upTo = (queue: QueueState | null) => (queue ? queue.sequence - Math.max(0, queue.held - done) : 0);
    socket.decide(verdict, numbers, { in: upTo(incoming), out: upTo(out) });
    betweenTurns();
  }
}
