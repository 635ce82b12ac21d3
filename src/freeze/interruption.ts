/**
 * Signals during a transaction: they wait until what was begun is finished or undone. Between two steps they are asked
 * for, and end the transaction as a failure does: with a roll-back.
 */
import { constants } from 'node:os';
import { Failure } from '../platform/failure';

export const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type Signal = (typeof signals)[number];

/** A transaction was ended by a signal and undone; the process ends as if the signal had ended it: 128 + its number. */
export class Interrupted extends Failure {
  constructor(readonly signal: Signal) {
    super('interrupted', 128 + constants.signals[signal], `interrupted by ${signal}`);
  }
}

/** Asked between two steps of a transaction. */
export interface Interruptions {
  /** @throws Interrupted when a signal has come */
  check(): Promise<void>;
}

/**
 * Runs a transaction with signals held back.
 * @param transaction gets the means to ask whether one has come
 */
export async function holdingSignals<Result>(
  transaction: (interruptions: Interruptions) => Promise<Result>,
): Promise<Result> {
  let came: Signal | undefined;
  const note = (signal: Signal) => {
    came ??= signal;
  };
  for (const signal of signals) process.on(signal, note);
  const check = async () => {
    // A signal's handler runs on the event loop, so it must get a turn.
    await new Promise((turn) => setImmediate(turn));
    if (came) throw new Interrupted(came);
  };
  try {
    return await transaction({ check });
  } finally {
    for (const signal of signals) process.off(signal, note);
  }
}
