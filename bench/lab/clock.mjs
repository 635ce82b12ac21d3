// The clock of the lab: microseconds of CLOCK_MONOTONIC, which its Python programs read as well.
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/** @returns microseconds since the machine started */
export const now = () => Number(process.hrtime.bigint() / 1000n);

/** Waits until a moment of this clock; one that is over is no wait. */
export const sleepUntil = (moment) => sleep(Math.max(0, (moment - now()) / 1000));
