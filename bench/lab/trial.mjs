// One freeze and thaw of a site, and what was read while it went on.
import { now, sleep, sleepUntil } from './clock.mjs';
import { read } from './readings.mjs';
import { both } from './site.mjs';

// Microseconds. What was on its way when the freeze came into force has arrived by then.
const inFlight = 20_000;
// Milliseconds.
const betweenLooks = 200;
const untilAllHasArrived = 300;

/**
 * Freezes a site one way, thaws it, and waits until its connections are themselves again.
 * @param way see ways.mjs; its `lead` (see leadOf) makes all ways stay frozen equally long
 * @param site see site.mjs; it is of no use for a second trial
 * @param seconds how long it stays frozen, from the moment when the freeze came into force to the thaw
 * @returns see readings.mjs
 */
export async function trial(way, site, seconds) {
  const freeze = await timed(() => way.freeze(site));
  const closed = freeze.at ?? (await site.watch.ask({ do: 'after', at: freeze.began })).addition ?? freeze.ended;
  await sleepUntil(freeze.ended + inFlight);
  await both(site, { do: 'count' });
  await sleepUntil(closed + (seconds * 1e6) / 3);
  await site.box.ask({ do: 'reset' });
  await sleepUntil(closed + seconds * 1e6 - way.lead - inFlight);
  const counts = await both(site, { do: 'counts' });
  await site.watch.ask({ do: 'guard' });
  await sleepUntil(closed + seconds * 1e6 - way.lead);
  const thaw = await timed(() => way.thaw(site));
  await untilCaughtUp(site, thaw.ended + (seconds + 8) * 1e6);
  await both(site, { do: 'stop' });
  await sleep(untilAllHasArrived);
  const reading = read({
    closed,
    thaw,
    counts,
    connections: await both(site, { do: 'connections' }),
    datagrams: await both(site, { do: 'datagrams' }),
    after: await site.watch.ask({ do: 'after', at: thaw.began }),
  });
  return {
    way: way.key,
    seconds,
    ...reading,
    frozen: await site.watch.ask({ do: 'window', from: freeze.ended, to: reading.thawedAt }),
    thawed: await site.watch.ask({ do: 'window', from: reading.thawedAt, to: now() }),
  };
}

/**
 * Freezes and thaws a site in which nothing happens, twice: the first run of a command takes longer.
 * @returns microseconds from the start of the thawing command to the moment when traffic flows
 */
export async function leadOf(way, site) {
  let lead = 0;
  for (let turn = 0; turn < 2; turn += 1) {
    await way.freeze(site);
    const thaw = await timed(() => way.thaw(site));
    const { removal } = await site.watch.ask({ do: 'after', at: thaw.began });
    lead = (thaw.at ?? removal ?? thaw.ended) - thaw.began;
  }
  return lead;
}

async function timed(action) {
  const began = now();
  const outcome = await action();
  return { ...outcome, began, ended: now() };
}

async function untilCaughtUp(site, limit) {
  while (now() < limit) {
    await sleep(betweenLooks);
    const { box, peer } = await both(site, { do: 'behind' });
    // Who waits for the dead waits for ever.
    const isWaiting = (one, other) => one.behind.some((name) => !other.ended.includes(name));
    if (!isWaiting(box, peer) && !isWaiting(peer, box)) return;
  }
}
