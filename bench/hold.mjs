// What mode steal costs the kernel and the machine: the time in which 1,000 held packets are let go on, how long after the end
// of a lease that happens, and a keeper's memory.
//
//   hold.mjs NAMESPACE FOLDER [ROUNDS]
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { buildSync } from 'esbuild';

const [namespace, , rounds = '21'] = process.argv.slice(2);
const packets = 1000;
const targets = { ms: 5, lateMs: 100, kib: 3 * 1024 };
const lease = '700ms';

// The very code that `netfreeze off` runs, without the start of a process around it.
const [bundle] = buildSync({
  stdin: {
    contents: `export { findHold, queuesOf } from './src/hold/hold'; export { inside, pin } from './src/namespace/namespace';
      export { NETLINK, openNetlink } from './src/netlink/socket'; export { elements } from './src/nftables/kernel';
      export { stateName } from './src/record/record';`,
    resolveDir: resolve('.'),
  },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['koffi'],
  write: false,
}).outputFiles;
const module = { exports: {} };
new Function('require', 'module', '__dirname', bundle.text)(
  createRequire(resolve('package.json')),
  module,
  resolve('dist'),
);
const { NETLINK, elements, findHold, inside, openNetlink, pin, queuesOf, stateName } = module.exports;

execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
const pinned = pin(`/run/netns/${namespace}`);
const numbers = { in: 61450, out: 61451 };
const netfilter = inside(pinned, () => openNetlink(NETLINK.NETFILTER));
const times = [];
const delays = [];
let memory = null;
for (let round = 1; round <= Number(rounds); round += 1) {
  process.stderr.write(`round ${round} of ${rounds}\n`);
  netfreeze('on', namespace, '--mode', 'steal');
  send();
  const hold = findHold(pinned, stateName(pinned), numbers);
  const held = queuesOf(pinned, numbers).out?.held;
  if (held !== packets) throw new Error(`${held} packets are held, not ${packets}`);
  memory ??= memoryOf(hold.keeper.pid);
  const began = performance.now();
  hold.decide('accept');
  times.push(performance.now() - began);
  if (queuesOf(pinned, numbers).out?.held !== 0) throw new Error('the verdict did not come to all of them');
  hold.close();
  netfreeze('off', namespace);
  delays.push(await afterLease());
}
netfilter.close();
print();

/** @returns how long after the end of a lease its packets went on, in milliseconds; the kernel ends it at one of its ticks */
async function afterLease() {
  netfreeze('on', namespace, '--mode', 'steal', '--lease', lease);
  send();
  const held = () => queuesOf(pinned, numbers).out?.held;
  const [element] = elements(netfilter, ['inet'], 'netfreeze', 'lease');
  const ends = performance.now() + element.expiresMs;
  if (held() !== packets) throw new Error('the lease was too short for what was to be held');
  while (held() > 0) await new Promise((done) => setTimeout(done, 1));
  const delay = performance.now() - ends;
  netfreeze('off', namespace);
  return delay;
}

function netfreeze(...args) {
  return execFileSync(process.execPath, ['bin/netfreeze', ...args], { encoding: 'utf8', stdio: 'pipe' });
}

/** Packets to the namespace itself are held as they leave; a socket sends no more than its buffer takes, so there are five. */
function send() {
  const script = `for socket in 1 2 3 4 5; do
    exec 3<>/dev/udp/127.0.0.1/9
    for number in {1..${packets / 5}}; do echo "$number" >&3; done
  done`;
  execFileSync('ip', ['netns', 'exec', namespace, 'bash', '-c', script]);
}

/** The keeper and the `sleep` that it waits for, in KiB: what is theirs alone, with their share of what others use too. */
function memoryOf(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  const of = (one, field) =>
    Number(new RegExp(`^${field}:\\s+([0-9]+)`, 'm').exec(readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))[1]);
  const sum = (field) => [pid, ...children].reduce((total, one) => total + of(one, field), 0);
  return { share: sum('Pss'), resident: of(pid, 'Rss'), withSleep: sum('Rss') };
}

function print() {
  const sorted = (values) => values.toSorted((one, other) => one - other);
  const median = (values) => sorted(values)[Math.floor(values.length / 2)];
  const cells = (values, digits) =>
    [sorted(values)[0], median(values), sorted(values).at(-1)].map((ms) => ms.toFixed(digits)).join(' | ');
  const reached = (isReached) => (isReached ? 'reached' : 'NOT reached');
  const lines = [
    '## Mode steal',
    '',
    `Letting ${packets} held packets go on, by one message to the kernel, which has done it when the call returns; ${rounds} rounds.`,
    '',
    '| | min | median | max |',
    '|---|--:|--:|--:|',
    `| verdict on ${packets} packets, ms | ${cells(times, 2)} |`,
    `| from the end of a lease of ${lease} until its keeper has let the last of them go, ms | ${cells(delays, 0)} |`,
    '',
    `A keeper takes ${memory.share} KiB, counted with the \`sleep\` that it waits for and with its share of the pages that other`,
    `processes use too (resident: ${memory.resident} KiB by itself, ${memory.withSleep} KiB with the \`sleep\`).`,
    '',
    `Target: ${packets} packets are let go on in less than ${targets.ms} ms, median: ${reached(median(times) < targets.ms)}.`,
    '',
    `Target: at the end of a lease packets go on within ${targets.lateMs} ms, always: ${reached(Math.max(...delays) < targets.lateMs)}.`,
    '',
    `Target: a keeper takes less than ${targets.kib} KiB: ${reached(memory.share < targets.kib)}.`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
