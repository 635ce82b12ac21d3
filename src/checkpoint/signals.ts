/** Signals for netfreeze while a command runs: they do not end it, but are passed on, and the run is rolled back. */
import { type Signal, signals } from '../freeze/interruption';

export interface Signals {
  /** @returns the first signal that has come; null */
  came(): Signal | null;
  /** Calls for each signal that comes from now on. */
  listen(listener: (signal: Signal) => void): void;
}

/** Runs `work` with signals kept from ending this process; until its end, so that they break no roll-back. */
export async function listeningForSignals<Result>(work: (signals: Signals) => Promise<Result>): Promise<Result> {
  let first: Signal | null = null;
  let listener: (signal: Signal) => void = () => {};
  const hear = (signal: Signal) => {
    first ??= signal;
    listener(signal);
  };
  for (const signal of signals) process.on(signal, hear);
  try {
    return await work({
      came: () => first,
      listen(next) {
        listener = next;
      },
    });
  } finally {
    for (const signal of signals) process.off(signal, hear);
  }
}
