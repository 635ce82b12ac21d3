// Many namespaces at once: freeze, proof and thaw of 1, 10, 100 and 1,000, against shell loops, the changes of CRIU's lock, and a
// bare loop that sends the same transactions; their skew and memory; what an armed freeze takes, and what the rules cost traffic.
// All that is compared runs in one go, turn by turn.
//
//   thousand.mjs NAMESPACE FOLDER [SIZES]     SIZES as 1,10,100,1000
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { count, median } from './lab/statistics.mjs';
import { measureArmed } from './thousand/armed.mjs';
import { makeNamespaces } from './thousand/namespaces.mjs';
import { netfreeze, program } from './thousand/netfreeze.mjs';
import { bundleParts } from './thousand/parts.mjs';
import { picture } from './thousand/picture.mjs';
import { measureTraffic } from './thousand/traffic.mjs';
import { waysWith } from './thousand/ways.mjs';

const [namespace, folder, given = '1,10,100,1000'] = process.argv.slice(2);
const sizes = given.split(',').map(Number);
const largest = Math.max(...sizes);
const rounds = { quick: 5, slow: 1 };
const targets = { exec: 100, xargs: 30, floor: 2, skewMs: 100, mib: 150, armedUs: 100 };

// The records are written to memory, as on a machine whose /run is: a disk would be measured instead.
const state = execFileSync('mktemp', ['-d', '/dev/shm/nfz-bench.XXXXXX'], { encoding: 'utf8' }).trim();
process.env.NETFREEZE_STATE_DIR = state;
const ruleset = join(folder, 'many.nft');
writeFileSync(ruleset, netfreeze('preview'));
const parts = bundleParts();
const made = makeNamespaces(`${namespace}-many`, largest, folder);
try {
  const ways = waysWith(ruleset, parts);
  for (const way of ways) Object.assign(way, { times: new Map(sizes.map((size) => [size, []])), inside: new Map() });
  for (const size of sizes) measure(ways, size);
  const crowd = measureCrowd(made.list(largest));
  const armed = measureArmed(`${namespace}-many-0001`, parts, 2000);
  const traffic = await measureTraffic(`${namespace}-traffic`, 5);
  print(ways, crowd, armed, traffic);
  const series = ways.map(({ key, name, times }) => ({
    key,
    name,
    points: sizes.map((size) => ({ size, ms: median(times.get(size)) / size })),
  }));
  if (given === '1,10,100,1000') writeFileSync('docs/thousand.svg', picture(series));
} finally {
  made.remove();
  execFileSync('rm', ['-rf', state]);
}

/** Every way in turn, as often as it has time for. The first run of a command keeps V8's code, and is not counted. */
function measure(ways, size) {
  const list = made.list(size);
  for (let round = 0; round <= rounds.quick; round += 1) {
    process.stderr.write(`${size} namespaces: round ${round} of ${rounds.quick}\n`);
    for (const way of ways) {
      const isLong = way.isSlow && size >= 100;
      if (isLong && (round === 0 || round > rounds.slow)) continue;
      const began = performance.now();
      const said = way.run(list);
      if (round === 0) continue;
      way.times.get(size).push(performance.now() - began);
      if (Array.isArray(said)) way.inside.set(size, [...(way.inside.get(size) ?? []), said]);
    }
  }
}

/** The skew and the memory of one `on` of all of them. */
function measureCrowd(list) {
  const skews = [];
  const memory = [];
  const script =
    'import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)';
  for (let round = 0; round < 5; round += 1) {
    const said = execFileSync('python3', ['-c', script, program, 'on', '--json', '--targets', list], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    const [json, kib] = said.trim().split('\n');
    skews.push(JSON.parse(json).skewMs ?? 0);
    memory.push(Number(kib) / 1024);
    netfreeze('off', '--targets', list);
  }
  return { skews, memory };
}

function print(ways, { skews, memory }, armed, traffic) {
  const of = (key) => ways.find((way) => way.key === key);
  const whole = (key) => median(of(key).times.get(largest));
  const floor = of('floor');
  const [open, freeze, proof, thaw, close] = floor.inside
    .get(largest)[0]
    .map((_, at) => median(floor.inside.get(largest).map((one) => one[at])));
  const floorMs = open + freeze + proof + thaw + close;
  const row = (cells) => `| ${cells.join(' | ')} |`;
  const perTarget = ({ times }, size) => (median(times.get(size)) / size).toFixed(2);
  const judged = (what, value, unit, wanted, isReached) =>
    `Target: ${what} ${wanted}: ${value}${unit}, ${isReached ? 'reached' : 'NOT reached'}.`;
  const factor = (slow, quick) => whole(slow) / whole(quick);
  const growth = sizes.includes(10) ? whole('two') / largest / (median(of('two').times.get(10)) / 10) : 0;
  const [bare] = traffic;
  const lines = [
    '## Many at once',
    '',
    `Freeze, proof and thaw of ${sizes.map(count).join(', ')} namespaces, milliseconds per namespace, from the start to the exit of all`,
    `programs: medians of ${rounds.quick} turns; of the shell's ways from 100 namespaces on one turn. State and records in memory (tmpfs).`,
    'By hand nothing is rehearsed, compared, settled or recorded. CRIU’s changes are its sequence of five and the deletion, run by',
    'nft; CRIU itself does them one namespace at a time as well. The bare loop opens a socket in each namespace, sends the same two',
    'transactions, and compares a dump; it looks at nothing else, and writes nothing.',
    '',
    '![Milliseconds per namespace over their number](thousand.svg)',
    '',
    row(['', ...sizes.map(count), `${count(largest)} together`]),
    row(['---', ...sizes.map(() => '--:'), '--:']),
    ...ways.map((way) =>
      row([
        way.name,
        ...sizes.map((size) => perTarget(way, size)),
        `${(median(way.times.get(largest)) / 1000).toFixed(2)} s`,
      ]),
    ),
    '',
    `The bare loop without the start of Node: ${floorMs.toFixed(0)} ms (open ${open.toFixed(0)}, freeze ${freeze.toFixed(0)}, proof ${proof.toFixed(0)}, thaw ${thaw.toFixed(0)}, close ${close.toFixed(0)}).`,
    'What one namespace costs falls with their number, since the start of the program and the rehearsal are shared; from 100 on it is',
    'what a namespace takes by itself: to find and open it, its devices and queues, the transaction, the proof, the record.',
    '',
    judged(
      'freeze, proof and thaw against the `ip netns exec` loop, times',
      factor('exec', 'two').toFixed(0),
      '',
      `at least ${targets.exec}`,
      factor('exec', 'two') >= targets.exec,
    ),
    '',
    judged(
      'against `xargs -P4`, times',
      factor('xargs', 'two').toFixed(0),
      '',
      `at least ${targets.xargs}`,
      factor('xargs', 'two') >= targets.xargs,
    ),
    '',
    judged(
      'against the bare loop, both with the start of Node, times',
      (1 / factor('floor', 'two')).toFixed(1),
      '',
      `at most ${targets.floor}`,
      1 / factor('floor', 'two') <= targets.floor,
    ),
    '',
    judged(
      `skew of ${count(largest)}, median of ${skews.length} (the largest: ${Math.max(...skews).toFixed(0)} ms)`,
      median(skews).toFixed(0),
      ' ms',
      `under ${targets.skewMs} ms`,
      median(skews) < targets.skewMs,
    ),
    '',
    judged(
      `memory of \`on\` of ${count(largest)}, largest`,
      Math.max(...memory).toFixed(0),
      ' MiB',
      `under ${targets.mib} MiB`,
      Math.max(...memory) < targets.mib,
    ),
    '',
    judged(
      `a namespace among ${count(largest)} costs no more than among 10, times`,
      growth.toFixed(2),
      '',
      'at most 1',
      growth <= 1,
    ),
    '',
    `An armed freeze in a process that is running, ${count(armed.length)} of them, from the call to the kernel's answer: median ${median(armed).toFixed(1)} µs, the slowest twentieth above ${percentile(armed, 0.95).toFixed(1)} µs.`,
    '',
    judged(
      'an armed freeze, median',
      median(armed).toFixed(1),
      ' µs',
      `under ${targets.armedUs} µs`,
      median(armed) < targets.armedUs,
    ),
    '',
    'What the rules cost traffic that passes them: iperf3 between two namespaces over a veth, medians of 5 turns of 2 s; UDP',
    'datagrams of 64 bytes, as many as came.',
    '',
    row(['', 'TCP, Gbit/s', 'of no table', 'UDP datagrams/s', 'of no table']),
    row(['---', '--:', '--:', '--:', '--:']),
    ...traffic.map(({ name, tcp, udp }) =>
      row([
        name,
        (tcp / 1e9).toFixed(2),
        (tcp / bare.tcp).toFixed(2),
        count(Math.round(udp)),
        (udp / bare.udp).toFixed(2),
      ]),
    ),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** @returns the value that so much of all values lies below */
function percentile(values, part) {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length * part)];
}
