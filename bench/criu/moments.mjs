// How a lock comes and goes, seen by datagrams that are tried in turn all the while; and what it leaves open.
import { existsSync, readFileSync } from 'node:fs';
import { now, sleep } from '../lab/clock.mjs';
import { readWatch } from './changes.mjs';
import { lockIn } from './log.mjs';
import { makeRouterSite } from './router.mjs';

// Milliseconds: what a watch sees before a lock begins and after it has ended.
const margin = 100;
const turnsOfAProbe = 100;

/**
 * Tries each lock once, and tells what it leaves open while it stands.
 * @returns those that work as `available`, with `left`: what passed of each way, of how many tries; the others as
 *   `refused`, with what the program `said`
 */
export async function tryOut(locks, where, say) {
  const outcome = { available: [], refused: [] };
  for (const lock of locks) {
    say(`${lock.name}: what it leaves open`);
    const site = await makeRouterSite(where);
    try {
      await expectOpen(site);
      const running = await lock.begin(site, { pause: true });
      await running.closed;
      const left = await site.turns.ask({ do: 'probe', turns: turnsOfAProbe });
      await running.open();
      outcome.available.push({ ...lock, left });
    } catch (error) {
      if (error.said === undefined) throw error;
      outcome.refused.push({ key: lock.key, name: lock.name, isOurs: lock.isOurs, said: error.said });
    } finally {
      await site.remove();
    }
  }
  return outcome;
}

/**
 * Locks and opens a site of its own, once.
 * @returns `closing` and `opening` (see changes.mjs); all other times in microseconds: `toClosed` and `firstToLast` of the
 *   closing, `took`, how long the locking command ran, and by CRIU's log `logToLock` and `logLock`
 */
export async function moment(lock, where) {
  const site = await makeRouterSite(where);
  try {
    await expectOpen(site);
    await site.turns.ask({ do: 'begin' });
    await sleep(margin);
    const running = await lock.begin(site, { pause: false });
    await running.closed;
    const took = now() - running.began;
    await sleep(margin);
    await running.open();
    await sleep(margin);
    const watched = await site.turns.ask({ do: 'end' });
    const { closing, opening, flips } = readWatch(watched);
    if (closing === null || opening === null)
      throw new Error(`${lock.name} did not close and open every way: ${JSON.stringify(watched.changes)}`);
    const logged = running.log && existsSync(running.log) ? lockIn(readFileSync(running.log, 'utf8')) : null;
    return {
      lock: lock.key,
      closing,
      opening,
      flips,
      late: watched.late,
      uncaptured: watched.uncaptured,
      turns: watched.turns,
      toClosed: closing.last - running.began,
      firstToLast: closing.last - closing.first,
      openingFirstToLast: opening.last - opening.first,
      took,
      logToLock: logged?.began ?? null,
      logLock: logged && logged.ended - logged.began,
    };
  } finally {
    await site.remove();
  }
}

/** A measurement of what closes means nothing where something was closed before. */
async function expectOpen({ turns }) {
  const { tried, passed } = await turns.ask({ do: 'probe', turns: 20 });
  const closed = Object.keys(passed).filter((name) => passed[name] !== tried);
  if (closed.length > 0) throw new Error(`closed before any lock: ${closed}`);
}
