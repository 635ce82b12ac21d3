/** A bound on this process's own time, which holds whatever it waits for: whoever has started it is waiting as well. */
import { Interrupted } from '../freeze/interruption';
import { Exit, Failure } from '../platform/failure';
import { alarm } from '../platform/libc';
import { type Duration, durationText } from '../ruleset/duration';

/** How long the way back may take, in seconds. */
const graceSeconds = 5;

/**
 * Runs `work` within a time. When that is over a transaction is asked to go back, between two of its steps; if this process
 * is still there 5 s later, because it waits in a system call or for another program, the kernel ends it with SIGALRM.
 * @throws Failure `over-limit` where the work was undone in time
 */
export async function withinLimit<Result>(limit: Duration, what: string, work: () => Promise<Result>): Promise<Result> {
  alarm(Math.ceil(limit / 1000) + graceSeconds);
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    // Transactions hold this signal back (freeze/interruption.ts) and look for it between their steps.
    if (process.listenerCount('SIGTERM') > 0) process.emit('SIGTERM', 'SIGTERM');
  }, limit);
  try {
    return await work();
  } catch (error) {
    if (!isOver || !(error instanceof Interrupted)) throw error;
    throw new Failure(
      'over-limit',
      Exit.verificationFailed,
      `${what} took longer than ${durationText(limit)} and was undone`,
      {
        suggestions: ['give it more time with --limit; the tasks stand still meanwhile'],
        cause: error,
      },
    );
  } finally {
    clearTimeout(timer);
    alarm(0);
  }
}
