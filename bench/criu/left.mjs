// What is left in a namespace when whoever locks it is killed (SIGKILL) in the middle of it.
import { now, sleep, sleepUntil } from '../lab/clock.mjs';
import { mustRun } from '../lab/programs.mjs';
import { closedBy } from './changes.mjs';
import { thaw } from './locks.mjs';
import { makeRouterSite } from './router.mjs';

// Seconds after the kill.
export const looks = [1, 35, 60];
const turnsOfALook = 20;

/** How often one kill is tried, until it comes where it should. */
const attempts = 5;

// Milliseconds: what a watch sees after a kill, to tell what is closed from what was late.
const margin = 100;

/**
 * Kills each lock's program, in sites of their own that stand until the last look.
 * @param locks those that work
 * @param spans microseconds for which each lock's program is at work, by key
 * @param kills `first`: how often as soon as one way is closed; `all`: as soon as all are; `spread`: how often in moments
 *   spread evenly over the program's work
 * @returns `discarded`, how many kills came when nothing was closed that should have been, and were done again; and `kills`,
 *   for each: `lock`, `when`, `killedAt` (microseconds after the start), how many ways were `closed` by then, whether
 *   the command of `netfreeze run` still ran at the first look (`commandRuns`); `looks`: for each, when it was due and when its
 *   tries were over, in `seconds` and `after` the kill, which ways were open and the `tables`; and `tablesAfterOff`,
 *   netfreeze's only
 */
export async function killed(locks, spans, kills, where, say) {
  const plans = locks.flatMap((lock) => [
    ...Array.from({ length: kills.first }, () => ({ lock, when: 'first' })),
    ...Array.from({ length: kills.all }, () => ({ lock, when: 'all' })),
    ...Array.from({ length: kills.spread }, (_, index) => ({
      lock,
      when: 'spread',
      delay: ((index + 0.5) / kills.spread) * spans[lock.key],
    })),
  ]);
  const ends = [];
  let discarded = 0;
  for (const [index, plan] of plans.entries()) {
    say(`kill ${index + 1} of ${plans.length}: ${plan.lock.name}`);
    try {
      const struck = await strike(plan, where);
      discarded += struck.discarded;
      // The looks are due while others are killed.
      if (struck.kill !== null) ends.push(follow(struck.kill, struck.site));
    } catch (error) {
      ends.push(Promise.reject(error));
      break;
    }
  }
  say('the last looks at what is left');
  const outcomes = await Promise.allSettled(ends);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed) throw failed.reason;
  return { kills: outcomes.map(({ value }) => value), discarded };
}

/** Kills until it comes where it should; `kill` is null if it never did. */
async function strike(plan, where) {
  for (let discarded = 0; discarded < attempts; discarded += 1) {
    const site = await makeRouterSite(where);
    try {
      const kill = await killOne(plan, site);
      if (kill.isInPlace) return { kill, site, discarded };
    } catch (error) {
      await site.remove();
      throw error;
    }
    await site.remove();
  }
  return { kill: null, discarded: attempts };
}

async function killOne({ lock, when, delay }, site) {
  const running = await beginToKill(lock, site, when);
  if (delay !== undefined) {
    await sleepUntil(running.began + delay);
    try {
      process.kill(running.pid, 'SIGKILL');
    } catch {
      // It was faster than that; nothing has been killed then.
    }
  }
  await running.ended;
  const ended = now();
  await sleep(margin);
  const watched = await site.turns.ask({ do: 'end' });
  const at = watched.killed ?? ended;
  const closed = closedBy(watched, at);
  return {
    lock: lock.key,
    isOurs: lock.isOurs,
    when,
    at,
    killedAt: at - running.began,
    closed,
    isInPlace: when === 'spread' || (watched.killed !== null && closed >= (when === 'all' ? watched.ways.length : 1)),
    isRunning: running.isRunning,
  };
}

async function follow({ isRunning, isInPlace: _, ...kill }, site) {
  try {
    const seen = [];
    let commandRuns = null;
    for (const seconds of looks) {
      await sleepUntil(kill.at + seconds * 1e6);
      commandRuns ??= isRunning?.() ?? null;
      seen.push(await look(site, seconds, kill.at));
    }
    if (!kill.isOurs) return { ...kill, commandRuns, looks: seen };
    await thaw(site);
    return { ...kill, commandRuns, looks: seen, tablesAfterOff: await tables(site) };
  } finally {
    await site.remove();
  }
}

/** The program that tries is told whom to kill before there is anything to see. */
async function beginToKill(lock, site, when) {
  if (when === 'spread') {
    await site.turns.ask({ do: 'begin' });
    return lock.begin(site, { killable: true });
  }
  const running = await lock.begin(site, { killable: true });
  await site.turns.ask({ do: 'begin', kill: { pid: running.pid, when } });
  return running;
}

async function look(site, seconds, since) {
  const { tried, passed } = await site.turns.ask({ do: 'probe', turns: turnsOfALook });
  const after = (now() - since) / 1e6;
  const open = ['out4', 'in4', 'out6', 'in6'].filter((name) => passed[name] > 0);
  return { seconds, after, open, tried, passed, tables: await tables(site) };
}

/** @returns the names of the box's nftables tables, without the number in CRIU's; those of iptables are among them */
async function tables(site) {
  const { stdout } = await mustRun('nsenter', [`--net=${site.pair.file.box}`, 'nft', 'list', 'tables']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^table /, '').replace(/CRIU-[0-9a-f-]+$/, 'CRIU-…'));
}
