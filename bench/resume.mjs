// How soon a TCP connection goes on after a thaw: steal, drop with kick and plain drop in the same run, each in namespaces of
// its own (see lab/), with streams in both directions over IPv4 and IPv6.
//
//   resume.mjs NAMESPACE FOLDER
//
// NAMESPACE only begins the names of the namespaces that this makes.
import { tryOut } from './lab/programme.mjs';
import { sideBySide } from './lab/side-by-side.mjs';
import { median, medianTime, time } from './lab/statistics.mjs';
import { table } from './lab/tables.mjs';
import { ways } from './lab/ways.mjs';

const [namespace, folder] = process.argv.slice(2);
const where = { prefix: `${namespace}-pair`, folder };
const lengths = [10, 30];
const freezes = 5;
/** Over each family. */
const each = 2;

/** In milliseconds. */
const targets = [
  { way: ways.steal, direction: 'out', ms: 5 },
  { way: ways.steal, direction: 'in', ms: 5 },
  { way: ways.kick, direction: 'out', ms: 50 },
];
const told = { out: 'the namespace sends', in: 'the namespace receives' };

const { available, refused } = await tryOut([ways.steal, ways.kick, ways.plain], where);
const readings = [];
for (const seconds of lengths) {
  process.stderr.write(`${seconds} s: ${freezes} freezes of each way, side by side\n`);
  // Turn by turn, so that a machine that gets slower or faster meanwhile does so for all.
  const plans = Array.from({ length: freezes }, () => available).flat();
  readings.push(
    ...(await sideBySide(
      plans.map((way) => ({
        ...where,
        way,
        seconds,
        connections: { 'stream-out': each, 'stream-in': each },
        onlyConnections: true,
      })),
    )),
  );
}
print();

function print() {
  const rows = lengths.flatMap((seconds) =>
    available.flatMap((way) => ['out', 'in'].map((direction) => row(way, seconds, direction))),
  );
  const heads = ['', 'min', 'median', 'max', 'caught up, median', 'since the call of `off`, median'];
  const lines = [
    '## Time to resume after a thaw',
    '',
    `First new byte at the receiver after freezes of ${lengths.join(' and ')} s, ${2 * each * freezes} connections each: ${each} over IPv4 and ${each} over IPv6 in`,
    `each of ${freezes} freezes. It counts from the thaw in the kernel: for steal the last look that saw all packets held, for drop the`,
    'first packet that passed or the news that the rules were gone, whichever was first. The last column counts from the start of',
    "the whole command instead. Caught up: the receiver had all that had been handed over to the sender's kernel by then. The",
    'lab (docs/lab.md) says more of how this is measured.',
    '',
    ...table(heads, rows),
    '',
    ...refused.map(({ way, said }) => `Not available in this run: ${way.name} (${said}).\n`),
    ...lengths.flatMap((seconds) => targets.map((target) => verdict(target, seconds))),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function row(way, seconds, direction) {
  const these = chosen(way, seconds, direction);
  const first = these.map((one) => one.first ?? Infinity);
  return [
    `${way.name}, ${seconds} s, ${told[direction]}`,
    time(Math.min(...first)),
    time(median(first)),
    time(Math.max(...first)),
    time(medianTime(these.map(({ caughtUp }) => caughtUp))),
    time(medianTime(these.map((one) => (one.first === null ? null : one.first + one.toThaw)))),
  ];
}

function verdict({ way, direction, ms }, seconds) {
  const first = chosen(way, seconds, direction).map((one) => one.first);
  const isReached = first.length > 0 && medianTime(first) < ms * 1000;
  const what = `${way.name}, ${seconds} s, ${told[direction]}: first byte in under ${ms} ms, median`;
  return `Target: ${what}: ${isReached ? 'reached' : 'NOT reached'}.`;
}

/** Connections of one way, length and direction, each with the time from the call of `off` to the thaw. */
function chosen(way, seconds, direction) {
  return readings
    .filter((reading) => reading.way === way.key && reading.seconds === seconds)
    .flatMap(({ connections, offTook, offWentOn }) =>
      connections.map((one) => ({ ...one, toThaw: offTook - offWentOn })),
    )
    .filter((one) => one.direction === direction);
}
