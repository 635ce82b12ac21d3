/** Waiting, always with an end. */
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Asks again and again until the answer is neither null nor false.
 * @param what is named when it does not come to pass
 */
export async function until<Answer>(
  what: string,
  limitMs: number,
  ask: () => Promise<Answer | null | false>,
): Promise<Answer> {
  const limit = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(20);
  }
}
