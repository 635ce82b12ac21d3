// What mode steal costs the kernel and the machine: the time in which 1,000 held packets are let go on, and a keeper's memory.
//
//   hold.mjs NAMESPACE FOLDER [ROUNDS]
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { buildSync } from 'esbuild';

const [namespace, , rounds = '21'] = process.argv.slice(2);
const packets = 1000;
const targets = { ms: 5, kib: 3 * 1024 };

// The very code that `netfreeze off` runs, without the start of a process around it.
const [bundle] = buildSync({
  stdin: {
    contents: `export { findHold, queuesOf } from './src/hold/hold'; export { pin } from './src/namespace/namespace';
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
const { findHold, queuesOf, pin, stateName } = module.exports;

execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
const pinned = pin(`/run/netns/${namespace}`);
const numbers = { in: 61450, out: 61451 };
const times = [];
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
}
print();

function netfreeze(...args) {
  return execFileSync(process.execPath, ['bin/netfreeze', ...args], { encoding: 'utf8' });
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
  const sorted = times.toSorted((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  const reached = (isReached) => (isReached ? 'reached' : 'NOT reached');
  const lines = [
    '## Mode steal',
    '',
    `Letting ${packets} held packets go on, by one message to the kernel, which has done it when the call returns; ${rounds} rounds.`,
    '',
    '| | min | median | max |',
    '|---|--:|--:|--:|',
    `| verdict on ${packets} packets, ms | ${[sorted[0], median, sorted.at(-1)].map((ms) => ms.toFixed(2)).join(' | ')} |`,
    '',
    `A keeper takes ${memory.share} KiB, counted with the \`sleep\` that it waits for and with its share of the pages that other`,
    `processes use too (resident: ${memory.resident} KiB by itself, ${memory.withSleep} KiB with the \`sleep\`).`,
    '',
    `Target: ${packets} packets are let go on in less than ${targets.ms} ms: ${reached(median < targets.ms)}.`,
    '',
    `Target: a keeper takes less than ${targets.kib} KiB: ${reached(memory.share < targets.kib)}.`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
