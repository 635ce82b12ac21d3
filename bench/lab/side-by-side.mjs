// Several trials at the same time, each at a site of its own.
import { now, sleepUntil } from './clock.mjs';
import { makeSite } from './site.mjs';
import { trial } from './trial.mjs';

// Microseconds: how long the connections run before they are frozen, and how far apart the freezes are. netfreeze needs a
// tenth of a second of processor time at either end; two at once would delay what is measured.
const warmUp = 1_500_000;
const apart = 400_000;
const madeAtOnce = 3;

/**
 * Runs trials side by side: all stay frozen at the same time, none is frozen or thawed while another is.
 * @param plans for each trial `way`, `seconds`, and what makeSite needs
 * @returns their readings, in the plans' order
 */
export async function sideBySide(plans) {
  const sites = [];
  try {
    for (let index = 0; index < plans.length; index += madeAtOnce) {
      const made = plans.slice(index, index + madeAtOnce).map((plan) => siteFor(plan));
      for (const outcome of await Promise.allSettled(made)) {
        if (outcome.status === 'rejected') throw outcome.reason;
        sites.push(outcome.value);
      }
    }
    const begins = now() + warmUp;
    const trials = plans.map(async ({ way, seconds }, index) => {
      await sleepUntil(begins + index * apart);
      return trial(way, sites[index], seconds);
    });
    const outcomes = await Promise.allSettled(trials);
    const failed = outcomes.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
    return outcomes.map(({ value }) => value);
  } finally {
    await Promise.allSettled(sites.map((site) => site.remove()));
  }
}

async function siteFor(plan) {
  const site = await makeSite(plan);
  try {
    await plan.way.prepare?.(site);
    return site;
  } catch (error) {
    await site.remove();
    throw error;
  }
}
