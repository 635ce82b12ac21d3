// The section "Beside CRIU's own lock" of the benchmarks' page, from what measure.mjs has read. Pure.
import { count, median, medianTime, time } from '../lab/statistics.mjs';
import { table } from '../lab/tables.mjs';

const told = { out: 'the namespace sends', in: 'the namespace receives' };

/** @returns lines of Markdown that say what is measured, whatever came of it */
export const introduction = () => [
  "## Beside CRIU's own lock",
  '',
  'CRIU closes the network itself while it dumps a program from outside its network namespace, by one of two locks',
  '(`--network-lock`). Here it dumps a `sleep`, and goes on with it afterwards (`--leave-running`), beside netfreeze, which',
  'freezes the same kind of namespace. A namespace of its own is made for each lock, each kill and each freeze. One thread',
  'tries datagrams out and in, over IPv4 and IPv6, in turn and without a pause; each carries the number of its turn, so that',
  'what passed is counted by its receiver, and what went out by a capture on the other end of the wire as well.',
];

/**
 * @param title of the machine
 * @param reading see measure.mjs; a run that was cut off has fewer parts
 * @returns lines of Markdown
 */
export function section(title, reading) {
  const { machine, available, refused } = reading;
  const theirs = available.filter(({ isOurs }) => !isOurs);
  const missing = refused.map(({ name, said }) => `Not measured: ${name} (it said: ${said}).`);
  const heading = `### ${title}: CRIU ${machine.criu}, Linux ${machine.kernel}`;
  if (theirs.length === 0) return [heading, '', ...spaced(missing)];
  return [
    heading,
    '',
    `${machine.system}, nft ${machine.nft}; load when it began: ${machine.load}.`,
    '',
    ...spaced(missing),
    ...momentPart(reading),
    ...doorsPart(reading),
    ...killPart(reading),
    ...resumePart(reading),
    ...betterPart(reading),
  ];
}

const cutOff = (what) => [`Not measured: ${what}; the run was cut off before that.`, ''];

const spaced = (lines) => lines.flatMap((line) => [line, '']);

function momentPart({ available, moments }) {
  const n = moments.length / available.length;
  const rows = (which, locks) =>
    locks.map(({ key, name }) => {
      const spans = moments.filter(({ lock }) => lock === key).map((one) => one[which]);
      const lengths = spans.map(({ first, last }) => last - first);
      const wrong = which === 'closing' ? ({ passed }) => passed : ({ tried, passed }) => tried - passed;
      return [
        name,
        oneMoment(spans, wrong),
        time(median(lengths)),
        time(Math.max(...lengths)),
        `${count(sum(spans.map(wrong)))} of ${count(sum(spans.map(({ tried }) => tried)))}`,
      ];
    });
  const letting = available.filter(({ key }) => key !== 'steal');
  const took = available.map(({ key, name }) => {
    const own = moments.filter(({ lock }) => lock === key);
    return [name, time(median(own.map(({ toClosed }) => toClosed))), time(median(own.map((one) => one.took)))];
  });
  return [
    `**The moment of the lock**, ${n} locks each. In one moment: how many closed all four ways between one try and the next.`,
    'First to last: from the first of them closed to the last, no finer than a turn of tries. On a machine that is busy with',
    'other things the thread that tries may sleep through a moment: then it counts too few tries, and too long a time.',
    '',
    ...table(
      ['', 'in one moment', 'first to last, median', 'max', 'tries in between that passed'],
      rows('closing', available),
    ),
    '',
    ...leaks({ available, moments }),
    'The same when it is opened, by tries in between that were stopped; mode steal is left out, as what it has held goes on too.',
    '',
    ...table(
      ['', 'in one moment', 'first to last, median', 'max', 'tries in between that were stopped'],
      rows('opening', letting),
    ),
    '',
    '**Time to lock**, medians of the same. The command of netfreeze ends when the freeze is proven; that of CRIU when all is',
    'dumped and opened again.',
    '',
    ...table(['', 'from the start of the command until all is closed', 'the whole command'], took),
    '',
    ...logged({ available, moments }),
  ];
}

/** Where nothing was wrong in between, there may be a turn's rest of tries that followed. */
const oneMoment = (spans, wrong) => `${spans.filter((one) => wrong(one) === 0).length} of ${spans.length}`;

/** What passed, by direction, and what the capture says of it. */
function leaks({ available, moments }) {
  const lines = available.flatMap(({ key, name }) => {
    const closings = moments.filter(({ lock }) => lock === key).map(({ closing }) => closing);
    if (sum(closings.map(({ passed }) => passed)) === 0) return [];
    const by = (way) => sum(closings.map(({ passedBy }) => passedBy[way]));
    const [out, into] = [by('out4') + by('out6'), by('in4') + by('in6')];
    return [
      `- ${name}: ${count(into)} came in (${count(by('in4'))} over IPv4, ${count(by('in6'))} over IPv6) and ${count(out)} went out` +
        ` (${count(by('out4'))}, ${count(by('out6'))}), of which the capture saw ${count(sum(closings.map(({ captured }) => captured)))}.`,
    ];
  });
  const uncaptured = sum(moments.map((one) => one.uncaptured));
  if (uncaptured > 0) lines.push(`- The capture had no room for ${count(uncaptured)} frames.`);
  return lines.length === 0 ? [] : [...lines, ''];
}

function logged({ available, moments }) {
  const lines = available.flatMap(({ key, name }) => {
    const logs = moments.filter(({ lock, logLock }) => lock === key && logLock !== null);
    if (logs.length === 0) return [];
    const [toLock, lock] = ['logToLock', 'logLock'].map((what) => time(median(logs.map((one) => one[what]))));
    return [`- ${name}, by CRIU's own log: it begins ${toLock} after CRIU's start, and takes ${lock} (medians).`];
  });
  return lines.length === 0 ? [] : [...lines, ''];
}

function doorsPart({ available }) {
  const [{ left }] = available;
  const names = ['in', 'out', 'forwarded', 'echo'];
  const rows = available.map(({ name, left: { passed } }) => [
    name,
    ...names.map((way) => count(passed[`${way}4`] + passed[`${way}6`])),
    count(passed.arp),
    count(passed.frames),
  ]);
  const heads = [
    'datagrams in',
    'out',
    'forwarded',
    'echo requests answered',
    'ARP requests answered',
    'frames of a packet socket',
  ];
  return [
    `**What stays open while it stands**: how many of ${2 * left.tried} tries passed (${left.tried} over each of IPv4 and IPv6; of ${left.tried}`,
    'for ARP and frames).',
    '',
    ...table(['', ...heads], rows),
    '',
  ];
}

const whens = {
  first: 'as soon as one way was closed',
  all: 'as soon as all were closed',
  spread: 'at moments spread evenly',
};

function killPart({ kills, discarded, available }) {
  if (kills.length === 0) return cutOff('what `kill -9` leaves');
  const names = Object.fromEntries(available.map(({ key, name }) => [key, name]));
  names.run = 'netfreeze run';
  const groups = Object.keys(names).flatMap((lock) =>
    Object.keys(whens).map((when) => ({
      lock,
      when,
      own: kills.filter((one) => one.lock === lock && one.when === when),
    })),
  );
  const filled = groups.filter(({ own }) => own.length > 0);
  const seconds = kills[0].looks.map((look) => look.seconds);
  const rows = filled.map(({ lock, when, own }) => [
    `${names[lock]}, ${whens[when]}`,
    count(own.length),
    ...seconds.map((_, index) => states(inTime(own, index).map(({ open }) => open.length))),
    withTables(inTime(own, -1)),
  ]);
  const heads = ['kills', ...seconds.map((one) => `after ${one} s`), `with tables left after ${seconds.at(-1)} s`];
  return [
    '**What `kill -9` leaves**: the program that locks is killed, and nothing is done about it. netfreeze freezes with a lease of',
    `30 s. Open: all four ways pass; closed: none does; half: some do. ${timeliness(kills)}`,
    '',
    ...table(['', ...heads], rows),
    '',
    ...again(discarded),
    ...leftovers({ kills, names }),
  ];
}

/** Seconds: a look that comes later tells of another time than its column says. */
const tolerated = 5;

const isInTime = ({ after, seconds }) => after - seconds <= tolerated;

/** The looks of these kills, of one column, that came in time. */
const inTime = (kills, index) => kills.map(({ looks }) => looks.at(index)).filter(isInTime);

function timeliness(kills) {
  const all = kills.flatMap(({ looks }) => looks);
  const counted = `${count(all.filter(isInTime).length)} of ${count(all.length)} looks came in time`;
  return `${counted}, within ${tolerated} s of what it says; the others are left out.`;
}

function withTables(looks) {
  if (looks.length === 0) return 'no look in time';
  return String(looks.filter(({ tables }) => tables.length > 0).length);
}

function again(discarded) {
  if (discarded === 0) return [];
  return [
    `- ${count(discarded)} kills came before what they were to wait for was closed, as a datagram was late. They do not count, and were done`,
    '  again, up to four times: where a row has fewer kills than others, or is missing, none came where it should.',
  ];
}

function states(openWays) {
  if (openWays.length === 0) return 'no look in time';
  const named = { open: openWays.filter((one) => one === 4), closed: openWays.filter((one) => one === 0) };
  named.half = openWays.filter((one) => one > 0 && one < 4);
  const parts = Object.entries(named).flatMap(([word, those]) => (those.length > 0 ? [`${those.length} ${word}`] : []));
  return parts.join(', ');
}

function leftovers({ kills, names }) {
  const lines = Object.entries(names).flatMap(([lock, name]) => {
    const own = kills.filter((one) => one.lock === lock);
    const tables = [...new Set(inTime(own, -1).flatMap(({ tables }) => tables))].toSorted();
    if (tables.length === 0) return [];
    return [`- ${name} left ${tables.map((one) => `\`${one}\``).join(', ')}.`];
  });
  const ours = kills.filter(({ isOurs }) => isOurs);
  const tidied = ours.filter(({ tablesAfterOff }) => tablesAfterOff.length === 0).length;
  lines.push(`- \`netfreeze off\` then left no table in ${tidied} of ${ours.length} of netfreeze's.`);
  const runs = kills.filter(({ commandRuns, looks }) => commandRuns !== null && isInTime(looks[0]));
  if (runs.length > 0) {
    const still = runs.filter(({ commandRuns }) => commandRuns).length;
    lines.push(`- A second after the kill of \`netfreeze run\` its command still ran in ${still} of ${runs.length}.`);
  }
  return [...lines, ''];
}

function resumePart({ machine, ways, resumes, each, together }) {
  if (resumes.length === 0) return cutOff('time to resume');
  const lengths = [...new Set(resumes.map(({ seconds }) => seconds))];
  const n = resumes.length / ways.length / lengths.length;
  const rows = lengths.flatMap((seconds) =>
    ways.map(({ key, name }) => {
      const cells = ['out', 'in'].map((direction) => time(firstByte(resumes, key, seconds, direction)));
      return [`${name}, ${seconds} s`, ...cells, time(toFlow(resumes, key, seconds))];
    }),
  );
  const heads = [told.out, told.in, 'from the call to the opening'];
  return [
    `**Time to resume**: first new byte of a TCP stream at its receiver after it was closed for so long; medians of ${2 * each * n}`,
    `connections in each direction, in ${n} freezes. They belong to another program of the namespace than the one that is dumped,`,
    'so only the lock is compared. It counts from the opening; the last column is from the call that opens to the opening: for',
    'CRIU from the end of an action script that had kept it waiting, for netfreeze from the start of `off`.',
    together
      ? `All ways of a round are opened, and their connections resume, at the same time on the ${machine.cores} cores of this machine.`
      : 'One way is opened after the other.',
    '',
    ...table(['', ...heads], rows),
    '',
  ];
}

function firstByte(resumes, key, seconds, direction) {
  const own = resumes
    .filter((one) => one.way === key && one.seconds === seconds)
    .flatMap(({ connections }) => connections);
  return medianTime(own.filter((one) => one.direction === direction).map(({ first }) => first));
}

function toFlow(resumes, key, seconds) {
  const own = resumes.filter((one) => one.way === key && one.seconds === seconds);
  return median(own.map(({ offTook, offWentOn }) => offTook - offWentOn));
}

/** Where CRIU's faster lock did better than any row of netfreeze's in the same table. */
function betterPart({ available, moments, ways, resumes }) {
  const theirs = available.filter(({ isOurs }) => !isOurs).map(({ key }) => key);
  const won = [...momentContests({ available, moments }), ...resumeContests({ ways, resumes })].flatMap(
    ({ what, of, rows, tell = time }) => {
      const best = Math.min(...theirs.map(of));
      const beaten = rows.filter(({ key }) => !theirs.includes(key) && best < of(key) && tell(best) !== tell(of(key)));
      const against = beaten.map(({ key, name }) => `${tell(of(key))} with ${name}`);
      return beaten.length === 0 ? [] : [`- ${what}: ${tell(best)} against ${against.join(', ')}.`];
    },
  );
  const heading = '**Where CRIU is better**, by the numbers of the tables above (its faster lock):';
  return won.length === 0 ? [] : [heading, '', ...won, ''];
}

function momentContests({ available, moments }) {
  const of = (read, one) => (key) => read(moments.filter(({ lock }) => lock === key).map(one));
  const length = ({ first, last }) => last - first;
  const doors = (key) => sum(Object.values(available.find((one) => one.key === key).left.passed));
  const max = (numbers) => Math.max(...numbers);
  // As in its table.
  const letting = available.filter(({ key }) => key !== 'steal');
  return [
    { what: 'closing, first to last, median', of: of(median, (one) => length(one.closing)), rows: available },
    {
      what: 'tries that passed while it closed',
      of: of(sum, (one) => one.closing.passed),
      rows: available,
      tell: count,
    },
    {
      what: 'tries that were stopped while it opened',
      of: of(sum, (one) => one.opening.tried - one.opening.passed),
      rows: letting,
      tell: count,
    },
    { what: 'tries that passed while it stood', of: doors, rows: available, tell: count },
    { what: 'closing, first to last, max', of: of(max, (one) => length(one.closing)), rows: available },
    { what: 'opening, first to last, median', of: of(median, (one) => length(one.opening)), rows: letting },
    { what: 'opening, first to last, max', of: of(max, (one) => length(one.opening)), rows: letting },
    {
      what: 'from the start of its command until all is closed',
      of: of(median, (one) => one.toClosed),
      rows: available,
    },
    { what: 'the whole command', of: of(median, (one) => one.took), rows: available },
  ];
}

function resumeContests({ ways, resumes }) {
  return [...new Set(resumes.map(({ seconds }) => seconds))].flatMap((seconds) => [
    ...['out', 'in'].map((direction) => ({
      what: `first byte after ${seconds} s, ${told[direction]}`,
      of: (key) => firstByte(resumes, key, seconds, direction),
      rows: ways,
    })),
    {
      what: `from the call that opens to the opening, after ${seconds} s`,
      of: (key) => toFlow(resumes, key, seconds),
      rows: ways,
    },
  ]);
}

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
