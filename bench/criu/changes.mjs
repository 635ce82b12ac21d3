// What a watch of turns.py comes to. Pure.
//
// All ways are tried in turn, so each try has its place in one sequence: turn * ways + way.

/**
 * @param watched what turns.py answers to the end
 * @returns `closing` and `opening`, null where there was none: the moments of the way that changed `first` and of the one
 *   that changed `last` (microseconds); `tried` and `passed` in between, by all ways and by each one's name as
 *   `passedBy`; `captured`, how many of those that passed out were seen on the wire; `names` of the ways in the order in
 *   which they changed; and `flips`, how often each way changed, at the most: 2 if it was closed and opened once
 */
export function readWatch(watched) {
  const changes = watched.changes.map(([at, turn, way, open]) => ({
    at,
    way,
    open,
    place: turn * watched.ways.length + way,
  }));
  const ofWays = watched.ways.map((_, way) => changes.filter((change) => change.way === way));
  const closed = ofWays.map(longestClosed);
  return {
    closing: span(
      watched,
      changes,
      closed.map((period) => period?.from),
    ),
    opening: span(
      watched,
      changes,
      closed.map((period) => period?.to),
    ),
    flips: Math.max(...ofWays.map((own) => own.length)),
  };
}

/**
 * @param at a moment in microseconds
 * @returns how many ways were closed by then, and stayed so until the watch ended: a datagram that was only late is no lock
 */
export function closedBy(watched, at) {
  const isClosed = (_, way) => {
    const last = watched.changes.filter(([, , changed]) => changed === way).at(-1);
    return last !== undefined && last[0] <= at && !last[3];
  };
  return watched.ways.filter(isClosed).length;
}

/** A try whose datagram was late looks like a moment in which its way was closed. */
function longestClosed(own) {
  const periods = own.flatMap((from, index) => (from.open ? [] : [{ from, to: own[index + 1] }]));
  const length = ({ from, to }) => (to?.place ?? Infinity) - from.place;
  return periods.toSorted((one, other) => length(other) - length(one))[0];
}

function span(watched, changes, moments) {
  const { ways } = watched;
  if (moments.includes(undefined)) return null;
  const inOrder = moments.toSorted((one, other) => one.place - other.place);
  const [first, last] = [inOrder[0], inOrder.at(-1)];
  const passedBy = Object.fromEntries(
    ways.map((name, way) => [name, passes(ways.length, way, changes, first.place, last.place)]),
  );
  return {
    first: first.at,
    last: last.at,
    tried: Math.max(0, last.place - first.place - 1),
    passed: sum(Object.values(passedBy)),
    passedBy,
    captured: captured(watched, first, last),
    names: inOrder.map(({ way }) => ways[way]),
  };
}

/** How many tries of a way, strictly between two places, passed. */
function passes(width, way, changes, after, before) {
  let [open, begins, count] = [true, after + 1, 0];
  const tries = (from, to) => Math.max(0, Math.ceil((to - way) / width) - Math.ceil((from - way) / width));
  for (const change of changes.filter((one) => one.way === way && one.place < before)) {
    if (open) count += tries(Math.max(begins, after + 1), change.place);
    open = change.open;
    // The try that showed the change is the first of the new state.
    begins = change.place;
  }
  return open ? count + tries(Math.max(begins, after + 1), before) : count;
}

/** What was held and went on later has not passed in between. */
function captured(watched, first, last) {
  const counts = Object.entries(watched.captured).map(([name, frames]) => {
    const way = watched.ways.indexOf(name);
    return frames.filter(([turn, at]) => {
      const place = turn * watched.ways.length + way;
      return place > first.place && place < last.place && at <= last.at;
    }).length;
  });
  return sum(counts);
}

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
