// The tables of the lab's page, from the trials' readings. Pure.
import { count, medianTime, span, time } from './statistics.mjs';

/**
 * @param heads the columns' heads; the first column is text, the others are numbers
 * @param rows cells as text
 * @returns lines of Markdown
 */
export function table(heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(heads), `|${heads.map((_, index) => (index === 0 ? '---' : '--:')).join('|')}|`, ...rows.map(line)];
}

/** All that the question asked, in one table, after freezes of one length. */
export function answerTable(ways, seconds, readings, timers) {
  const rows = ways.map((way) => {
    const trials = of(readings, way, seconds);
    const resumes = (direction) =>
      time(
        medianTime(chosen(readings, way, seconds, { kind: 'stream', direction, version: 4 }).map(({ first }) => first)),
      );
    return [
      way.name,
      span(trials.map(({ received }) => received.tcp + received.udp + received.echo)),
      span(trials.map(({ frozen }) => frozen.packets)),
      span(trials.map(({ frozen }) => frozen.resets)),
      span(trials.map(({ lost }) => sum(lost.in) + sum(lost.out))),
      refusals(trials, 'refusedUdp', 'udp'),
      resumes('out'),
      resumes('in'),
      survivors(way, timers, 'out'),
    ];
  });
  const heads = ['got in', 'got out', 'RST that reached the peer', 'UDP lost', 'a UDP sender saw'];
  return table(
    ['', ...heads, 'it sends: resumes after', 'it receives: resumes after', 'live on with short timers'],
    rows,
  );
}

/**
 * Time to resume: for each way and length the first byte, and when it had caught up.
 * @param about which connections: `kind`, `direction`, `version`
 */
export function resumeTable(ways, lengths, readings, about) {
  const cell = (way, seconds) => {
    const these = chosen(readings, way, seconds, about);
    return `${time(medianTime(these.map(({ first }) => first)))} / ${time(medianTime(these.map(({ caughtUp }) => caughtUp)))}`;
  };
  return table(
    ['', ...lengths.map((seconds) => `${seconds} s`)],
    ways.map((way) => [way.name, ...lengths.map((seconds) => cell(way, seconds))]),
  );
}

/** Rows of resumeTable that tell something else over IPv6 than over IPv4. */
export function differingOverIpv6(ways, lengths, readings, about) {
  return ways.filter((way) =>
    lengths.some((seconds) => {
      const [four, six] = [4, 6].map((version) =>
        medianTime(chosen(readings, way, seconds, { ...about, version }).map(({ first }) => first)),
      );
      return differs(four, six);
    }),
  );
}

/** Connections that carried nothing new after the thaw, a line for each. */
export function silentOnes(ways, readings) {
  return readings.flatMap(({ way, seconds, connections }) =>
    connections
      .filter(({ first }) => first === null)
      .map(({ kind, direction, version, ended }) => {
        const { name } = ways.find(({ key }) => key === way);
        const sender = direction === 'out' ? 'from the frozen namespace' : 'from the peer';
        return `- ${name}, ${seconds} s: a ${kind} ${sender} over IPv${version} ${ended ? `ended with ${ended}` : 'stayed silent'}`;
      }),
  );
}

/** What passed during a freeze of one length, and what came of what was sent. */
export function passageTable(ways, seconds, readings) {
  const rows = ways.map((way) => {
    const trials = of(readings, way, seconds);
    return [
      way.name,
      span(trials.map(({ received }) => received.tcp + received.udp)),
      span(trials.map(({ received }) => received.echo)),
      span(trials.map(({ frozen }) => frozen.packets)),
      span(trials.map(({ frozen }) => frozen.resets)),
      span(trials.map(({ thawed }) => thawed.resets)),
      span(trials.map(({ lost }) => sum(lost.in))),
      span(trials.map(({ lost }) => sum(lost.out))),
      refusals(trials, 'refusedUdp', 'udp'),
      refusals(trials, 'refusedTcp', 'tcp'),
    ];
  });
  const heads = [
    'in: messages that a program got',
    'in: echo requests that the kernel answered',
    'out: packets on the wire',
    'RST during the freeze',
    'RST after it',
    'UDP lost, in',
    'UDP lost, out',
    'a UDP sender saw',
    'a TCP sender saw',
  ];
  return table(['', ...heads], rows);
}

/** What became of held packets by netfreeze's own account, for a way that holds. */
export function ledgerTable(way, lengths, readings) {
  const cells = (direction, seconds) =>
    ['released', 'lost'].map((what) => span(of(readings, way, seconds).map(({ held }) => held[direction][what])));
  return table(
    ['', 'in: released', 'in: lost', 'out: released', 'out: lost'],
    lengths.map((seconds) => [`${seconds} s`, ...cells('in', seconds), ...cells('out', seconds)]),
  );
}

/** Which connections survived. */
export function survivalTable(ways, timers) {
  return table(
    ['', 'the namespace sends: its own timers count', "the peer sends: the peer's timers count"],
    ways.map((way) => [way.name, survivors(way, timers, 'out'), survivors(way, timers, 'in')]),
  );
}

/** How long the command that thaws takes, and how much of that is after the thaw. */
export function commandTable(ways, readings) {
  const rows = ways.map((way) => {
    const own = readings.filter((reading) => reading.way === way.key);
    const toThaw = own.map(({ offTook, offWentOn }) => offTook - offWentOn);
    return [
      way.name,
      time(medianTime(toThaw)),
      time(medianTime(own.map(({ offWentOn }) => offWentOn))),
      count(own.length),
    ];
  });
  return table(['', 'from its start to the thaw', 'from the thaw to its end', 'runs'], rows);
}

const of = (readings, way, seconds) => readings.filter((one) => one.way === way.key && one.seconds === seconds);

const chosen = (readings, way, seconds, about) =>
  of(readings, way, seconds)
    .flatMap(({ connections }) => connections)
    .filter((one) => Object.entries(about).every(([key, value]) => one[key] === value));

function survivors(way, timers, direction) {
  const own = timers.filter((reading) => reading.way === way.key).flatMap(({ connections }) => connections);
  const these = own.filter((one) => one.direction === direction);
  return `${these.filter(({ survived }) => survived).length} of ${these.length}`;
}

/** More than twice as long, and by more than the noise of a busy machine. */
function differs(one, other) {
  const [less, more] = [Math.min(one, other), Math.max(one, other)];
  return more > 2 * less && more - less > 20_000;
}

const sum = (counts) => Object.values(counts).reduce((one, other) => one + other, 0);

const meaning = { EAGAIN: 'would block' };

/** Which errors a sender saw, and in how many of a hundred tries. */
function refusals(trials, which, kind) {
  const tried = trials.reduce((whole, { saw }) => whole + saw.tried[kind], 0);
  const counts = {};
  for (const { saw } of trials) {
    for (const [name, number] of Object.entries(saw[which])) counts[name] = (counts[name] ?? 0) + number;
  }
  const told = Object.entries(counts).filter(([, number]) => number > 0);
  if (told.length === 0) return 'nothing';
  return told.map(([name, number]) => `${meaning[name] ?? name}, ${share(number, tried)}`).join('; ');
}

const share = (part, whole) => (part === whole ? 'always' : `${((100 * part) / whole).toFixed(0)} %`);
