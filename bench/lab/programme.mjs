// What is measured, in which order, and how often.
import { sideBySide } from './side-by-side.mjs';
import { makeSite } from './site.mjs';
import { leadOf } from './trial.mjs';
import { thawAnyway } from './ways.mjs';

/** Lengths of freeze in seconds. Those with a table are repeated; the others only fill the picture. */
export const lengths = [
  { seconds: 1, rounds: 3, hasTable: true },
  { seconds: 2, rounds: 1, hasTable: false },
  { seconds: 3, rounds: 3, hasTable: true },
  { seconds: 5, rounds: 1, hasTable: false },
  { seconds: 10, rounds: 3, hasTable: true },
  { seconds: 20, rounds: 1, hasTable: false },
  { seconds: 30, rounds: 2, hasTable: true },
];

const connections = { 'stream-out': 2, 'stream-in': 2, 'trickle-out': 1, 'trickle-in': 1, reset: 1 };

/** With these, TCP on both sides gives up after three retransmissions: in about three seconds. */
const impatient = { 'ipv4/tcp_retries2': 3 };

/**
 * Tries each way once where nothing happens.
 * @returns those that work, each with its `lead` (see trial.mjs), and those `refused` by the netfreeze at hand, each with
 *   what it `said`
 */
export async function tryOut(ways, where) {
  const site = await makeSite(where);
  const outcome = { available: [], refused: [] };
  try {
    for (const way of ways) {
      try {
        await way.prepare?.(site);
        outcome.available.push({ ...way, lead: await leadOf(way, site) });
      } catch (error) {
        if (error.said === undefined) throw error;
        outcome.refused.push({ way, said: error.said });
        await thawAnyway(site);
      }
    }
  } finally {
    await site.remove();
  }
  return outcome;
}

/**
 * Freezes for each length, all ways side by side, as many rounds as it says.
 * @param ways those to compare, as tryOut returns them
 * @param wanted what is in `lengths`, or a part of it
 * @param where what makeSite needs: `prefix`, `folder`
 * @param say is told what is going on
 * @returns the trials' readings, each with its nominal `seconds`
 */
export async function measureLengths(ways, wanted, where, say) {
  const readings = [];
  let turn = 0;
  for (const { seconds, rounds } of wanted) {
    for (let round = 0; round < rounds; round += 1) {
      say(`${seconds} s, round ${round + 1} of ${rounds}: ${ways.length} ways side by side`);
      const plans = turned(ways, turn).map((way) => ({ ...where, way, seconds, connections }));
      readings.push(...(await sideBySide(plans)));
      turn += 1;
    }
  }
  return readings;
}

/**
 * Freezes once, all ways side by side, where TCP gives up early on both sides.
 * @returns the trials' readings
 */
export function measureTimers(ways, seconds, where, say) {
  say(`${seconds} s with tcp_retries2=3: ${ways.length} ways side by side`);
  const setting = { ...where, seconds, connections: { 'stream-out': 3, 'stream-in': 3 } };
  return sideBySide(ways.map((way) => ({ ...setting, way, sysctls: { box: impatient, peer: impatient } })));
}

/** No way is always the first to be frozen and thawed. */
const turned = (ways, by) => ways.map((_, index) => ways[(index + by) % ways.length]);
