// How long whole processes of netfreeze take, from start to exit, against `node -e 0` and against a script that does the
// same with `ip netns exec` and `nft`. All that is compared runs in one go, turn by turn: before each measured run comes one of
// bare Node, so that a machine that gets slower or faster meanwhile does so for both.
//
//   process.mjs NAMESPACE FOLDER [ROUNDS]
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from './lab/statistics.mjs';

const [namespace, folder, rounds = '21'] = process.argv.slice(2);
const target = 2.5;

const ruleset = join(folder, 'ruleset.nft');
const netfreeze = (...args) => ({ program: 'bin/netfreeze', args });
const withNft = (command) => ({ ...command, engine: 'nft' });
const shell = (script) => ({ program: 'sh', args: ['-ec', script] });
const nft = `ip netns exec ${namespace} nft`;

const bare = { program: 'node', args: ['-e', '0'] };
const on = netfreeze('on', namespace);
const off = netfreeze('off', namespace);

/** One round, in this order: each step needs the state that the one before it has left. */
const steps = [
  { name: '`netfreeze on`', ...on, isTarget: true },
  { name: '`netfreeze off`', ...off },
  { name: '`netfreeze on`, nft program', ...withNft(on) },
  { name: '`netfreeze off`, nft program', ...withNft(off) },
  { name: 'by hand: load, list', ...shell(`${nft} -f ${ruleset}; ${nft} list table inet netfreeze`) },
  { name: 'by hand: delete', ...shell(`${nft} delete table inet netfreeze`) },
  { name: '`netfreeze preview`', ...netfreeze('preview', namespace) },
  { name: '`netfreeze on --dry-run`', ...netfreeze('on', namespace, '--dry-run') },
  { isPreparation: true, ...netfreeze('on', namespace, '--lease', '10m') },
  { name: '`netfreeze status`', ...netfreeze('status', namespace) },
  { name: '`netfreeze verify`', ...netfreeze('verify', namespace) },
  { name: '`netfreeze renew`', ...netfreeze('renew', namespace, '--lease', '10m') },
  { isPreparation: true, ...off },
  { name: '`netfreeze run -- true`', ...netfreeze('run', namespace, '--', 'true') },
];
const measured = steps.filter((step) => !step.isPreparation);

writeFileSync(ruleset, run(netfreeze('preview', namespace)).stdout);
// The first run of a command keeps V8's code, the second one is the first to find it.
for (let warming = 0; warming < 2; warming += 1) for (const step of steps) run(step);

for (const step of measured) Object.assign(step, { times: [], bareTimes: [] });
for (let round = 1; round <= Number(rounds); round += 1) {
  process.stderr.write(`round ${round} of ${rounds}\n`);
  for (const step of steps) {
    if (step.isPreparation) {
      run(step);
    } else {
      step.bareTimes.push(run(bare).ms);
      step.times.push(run(step).ms);
    }
  }
}
print();

/** Runs a program to its end. What it took includes its start and its exit. */
function run({ program, args, engine = 'replay' }) {
  const env = { ...process.env, NETFREEZE_ENGINE: engine };
  const began = performance.now();
  const { status, error, stdout, stderr } = spawnSync(program, args, { env, encoding: 'utf8' });
  const ms = performance.now() - began;
  if (status === 0) return { ms, stdout };
  throw new Error(`${program} ${args.join(' ')} ended with ${status}\n${stderr}`, { cause: error });
}

function print() {
  const allBare = measured.flatMap(({ bareTimes }) => bareTimes);
  const rows = [
    row('`node -e 0`', allBare, '', ''),
    ...measured.map(({ name, times, bareTimes }) => {
      const { ofMedians, ofPairs } = ratios(times, bareTimes);
      return row(name, times, ofMedians.toFixed(2), ofPairs.toFixed(2));
    }),
  ];
  const lines = [
    '## Whole processes',
    '',
    `Milliseconds from start to exit, ${rounds} runs each (bare Node: ${allBare.length}). The ratios are to the runs of bare Node`,
    'directly before: the ratio of the medians, and the median of the ratios of each pair. "By hand" is `ip netns exec`',
    'with `nft`, which loads the text of `netfreeze preview` and lists the table, or deletes it; it rehearses, compares and',
    'records nothing. netfreeze uses libnftables in its own process unless the row says otherwise.',
    '',
    '| | min | median | max | ratio of medians | median of ratios |',
    '|---|--:|--:|--:|--:|--:|',
    ...rows,
    '',
    ...measured.filter(({ isTarget }) => isTarget).map(verdict),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function row(name, times, ...rest) {
  const numbers = [Math.min(...times), median(times), Math.max(...times)].map((ms) => ms.toFixed(1));
  return `| ${[name, ...numbers, ...rest].join(' | ')} |`;
}

/** Reached only if both ways of comparing say so. */
function verdict({ name, times, bareTimes }) {
  const { ofMedians, ofPairs } = ratios(times, bareTimes);
  const isReached = Math.max(ofMedians, ofPairs) <= target;
  return `Target: ${name} takes at most ${target} times as long as bare Node: ${isReached ? 'reached' : 'NOT reached'}.`;
}

function ratios(times, bareTimes) {
  return {
    ofMedians: median(times) / median(bareTimes),
    ofPairs: median(times.map((ms, index) => ms / bareTimes[index])),
  };
}
