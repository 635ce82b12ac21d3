/** Waiting, always with an end. */
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * How many times longer everything may take than on a real machine. NETFREEZE_TEST_PATIENCE says it for an emulated one;
 * test/vm/README.md.
 */
export const patience = Number(process.env.NETFREEZE_TEST_PATIENCE ?? 1);

/**
 * Asks again and again until the answer is neither null nor false.
 * @param what is named when it does not come to pass
 * @param limitMs on a real machine; a slow one is given more
 */
export async function until<Answer>(
  what: string,
  limitMs: number,
  ask: () => Promise<Answer | null | false>,
): Promise<Answer> {
  const limit = performance.now() + limitMs * patience;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > limit) throw new Error(`not within ${limitMs * patience} ms: ${what}`);
    await sleep(20);
  }
}
