// What is left in a namespace when whoever locks it is killed (SIGKILL) in the middle of it.
import { now, sleepUntil } from '../lab/clock.mjs';
import { mustRun } from '../lab/programs.mjs';
import { readWatch } from './changes.mjs';
import { thaw } from './locks.mjs';
import { makeRouterSite } from './router.mjs';

// Seconds after the kill.
export const looks = [1, 35, 60];
const turnsOfALook = 20;

/**
 * Kills each lock's program, in sites of their own that stand until the last look.
 * @param locks those that work
 * @param spans microseconds for which each lock's program is at work, by key
 * @param kills `first`: how often as soon as one way is closed; `all`: as soon as all are; `spread`: how often in moments
 *   spread evenly over the program's work
 * @returns for each kill: `lock`, `when`, `killedAt` (microseconds after the start), whether all was `closedBefore`, whether
 *   the command of `netfreeze run` still ran at the first look (`commandRuns`); `looks`: for each, which ways were open and the
 *   `tables`; and `tablesAfterOff`, netfreeze's only
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
  for (const [index, plan] of plans.entries()) {
    say(`kill ${index + 1} of ${plans.length}: ${plan.lock.name}`);
    const site = await makeRouterSite(where);
    try {
      const kill = await killOne(plan, site);
      // The looks are due while others are killed.
      ends.push(follow(kill, site));
    } catch (error) {
      ends.push(Promise.reject(error));
      await site.remove();
      break;
    }
  }
  say('the last looks at what is left');
  const outcomes = await Promise.allSettled(ends);
  const failed = outcomes.find(({ status }) => status === 'rejected');
  if (failed) throw failed.reason;
  return outcomes.map(({ value }) => value);
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
  const watched = await site.turns.ask({ do: 'end' });
  const at = watched.killed ?? now();
  return {
    lock: lock.key,
    isOurs: lock.isOurs,
    when,
    at,
    killedAt: at - running.began,
    closedBefore: readWatch(watched).closing !== null,
    isRunning: running.isRunning,
  };
}

async function follow({ isRunning, ...kill }, site) {
  try {
    const seen = [];
    let commandRuns = null;
    for (const seconds of looks) {
      await sleepUntil(kill.at + seconds * 1e6);
      commandRuns ??= isRunning?.() ?? null;
      const after = (now() - kill.at) / 1e6;
      seen.push({ after, ...(await look(site, seconds)) });
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

async function look(site, seconds) {
  const { tried, passed } = await site.turns.ask({ do: 'probe', turns: turnsOfALook });
  const open = ['out4', 'in4', 'out6', 'in6'].filter((name) => passed[name] > 0);
  return { seconds, open, tried, passed, tables: await tables(site) };
}

/** @returns the names of the box's nftables tables, without the number in CRIU's; those of iptables are among them */
async function tables(site) {
  const { stdout } = await mustRun('nsenter', [`--net=${site.pair.file.box}`, 'nft', 'list', 'tables']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^table /, '').replace(/CRIU-[0-9a-f-]+$/, 'CRIU-…'));
}
