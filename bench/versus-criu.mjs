// CRIU's own lock beside netfreeze: the moment with one direction open, what a kill leaves, time to lock, time to resume.
//
//   versus-criu.mjs NAMESPACE FOLDER [SIZE]
//
// Measured where CRIU can dump: on this machine, if its CRIU and its kernel agree (NETFREEZE_BENCH_CRIU names another one),
// and in the machine of the VM suite, which is made if it is not there. NAMESPACE only begins names. SIZE: see criu/measure.mjs.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { introduction, section } from './criu/page.mjs';

const [namespace, folder, size] = process.argv.slice(2);
const criu = process.env.NETFREEZE_BENCH_CRIU ?? 'criu';
const limitSeconds = 3600;

const lines = [...introduction(), '', ...onThisMachine(), ...inTheMachine()];
process.stdout.write(`${lines.join('\n').trimEnd()}\n`);

function onThisMachine() {
  const result = join(folder, 'criu.json');
  const args = ['bench/criu/measure.mjs', `${namespace}-criu`, folder, result, criu, size ?? 'USUAL'];
  tell(process.execPath, args);
  return section('This machine', JSON.parse(readFileSync(result, 'utf8')));
}

/** Where it can't be had, the page says so. */
function inTheMachine() {
  const title = "The VM suite's machine";
  const results = join(folder, 'machine');
  const result = join(results, 'criu.json');
  mkdirSync(results);
  const job = [
    'mkdir /run/bench && export NETFREEZE_STATE_DIR=/run/bench/state',
    `exec node bench/criu/measure.mjs nfz-bench /run/bench /results/criu.json criu ${size ?? 'SLOW'}`,
  ];
  try {
    tell('bash', ['scripts/test-vm.sh', '--only-image']);
    tell(process.execPath, [
      '.cache/vm/rig.cjs',
      'run',
      '--limit',
      `${limitSeconds}`,
      '--results',
      results,
      '--',
      job.join('\n'),
    ]);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    // What it had measured by then counts.
    if (!existsSync(result))
      return [`### ${title}`, '', 'Not measured: the machine could not be had (see test/vm/README.md).'];
  }
  return [
    ...section(`${title}, emulated`, JSON.parse(readFileSync(result, 'utf8'))),
    'Emulation makes this machine 10 to 20 times slower than a real one: only what stands beside each other compares.',
  ];
}

/** Runs a program that has something to say while it is at it. */
function tell(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`${program} ${args[0]} ended with ${status}`, { cause: error });
}
