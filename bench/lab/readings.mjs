// What the notes of a trial come to. Pure: notes in, numbers out.

/** Microseconds that a parcel may be on its way without being late. */
const onItsWay = 2000;

/**
 * @param raw what trial.mjs has gathered; all moments in microseconds of one clock
 * @returns `thawedAt`; `length` of the freeze; `offTook`, the whole of the thawing command; `connections` with, for each,
 *   kind, direction (`out`: the frozen namespace sends), IP version, `first` and `caughtUp` (microseconds since the thaw,
 *   or null), how it `ended` if it did, and `survived`; `lost` datagrams by direction and version; what the box `received`, and `saw` when it sent
 */
export function read(raw) {
  const thawedAt = thawOf(raw);
  return {
    thawedAt,
    length: thawedAt - raw.closed,
    offTook: raw.thaw.ended - raw.thaw.began,
    offWentOn: raw.thaw.ended - thawedAt,
    connections: pairs(raw.connections).map((pair) => ofConnection(pair, thawedAt)),
    lost: lost(raw.datagrams),
    received: raw.counts.box.received,
    saw: raw.counts.box,
    held: raw.thaw.report?.held ?? null,
  };
}

/**
 * The moment of the thaw: the last look that saw all packets held, where packets were held; else when the first packet of
 * either direction passed, or the kernel told that rules were taken away, whichever came first. The kernel tells a little
 * after it is so.
 */
function thawOf({ thaw, after, connections }) {
  if (thaw.at !== undefined) return thaw.at;
  const arrived = Object.values(connections.box).flatMap(({ sends, log }) => (sends ? [] : log.map(([at]) => at)));
  const moments = [after.held, after.packet, after.removal, ...arrived.filter((at) => at >= thaw.began)];
  return Math.min(...moments.filter((moment) => moment !== null));
}

/** Both ends of each connection, except of those that were there to be closed. */
function pairs({ box, peer }) {
  return Object.entries(box).flatMap(([name, atBox]) => {
    const [kind, version] = name.split('/');
    if (kind === 'reset') return [];
    const [use, direction] = kind.split('-');
    const atPeer = peer[name];
    const [sender, receiver] = atBox.sends ? [atBox, atPeer] : [atPeer, atBox];
    return [{ kind: use, direction, version: Number(version), sender, receiver }];
  });
}

function ofConnection({ sender, receiver, ...about }, thawedAt) {
  const arrivals = receiver.log.filter(([at]) => at >= thawedAt);
  const first = arrivals[0]?.[0] ?? null;
  const caughtUp = caughtUpAt(sender.log, arrivals);
  return {
    ...about,
    first: first === null ? null : first - thawedAt,
    caughtUp: caughtUp === null ? null : caughtUp - thawedAt,
    ended: sender.ended?.how ?? receiver.ended?.how ?? null,
    survived: sender.ended === null && receiver.ended === null && first !== null,
  };
}

/**
 * When the receiver had all that had been handed over to the sender's kernel by then.
 * @param handedOver pairs in order: when a parcel had been handed over, and its number
 * @param arrivals pairs in order: when something arrived, and the number of the newest parcel in it
 * @returns the moment, or null if it did not come
 */
export function caughtUpAt(handedOver, arrivals) {
  let next = 0;
  for (const [at, newest] of arrivals) {
    while (next < handedOver.length && handedOver[next][1] <= newest) next += 1;
    if (next === handedOver.length || handedOver[next][0] > at - onItsWay) return at;
  }
  return null;
}

function lost({ box, peer }) {
  const versions = Object.keys(box);
  const of = (sender, receiver) =>
    Object.fromEntries(versions.map((version) => [version, sender[version].sent - receiver[version].received]));
  return { in: of(peer, box), out: of(box, peer) };
}
