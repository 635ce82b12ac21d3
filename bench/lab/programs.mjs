// Starting programs: once, to their end, or those that are spoken to in JSON lines (traffic/*.py).
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { now } from './clock.mjs';

const folders = [join(import.meta.dirname, 'traffic'), join(import.meta.dirname, '../../test/kernel/rig/traffic')];
const env = {
  ...process.env,
  // The system's own programs first: a python3 of some version manager takes its time.
  PATH: ['/usr/sbin', '/usr/bin', '/sbin', '/bin', process.env.PATH].join(delimiter),
  PYTHONPATH: folders.join(delimiter),
};

/**
 * Runs a program to its end, whatever its exit status.
 * @param program its name or path
 * @param args its arguments
 * @param options `input` for its standard input, `env` beside the usual one
 * @returns what it printed, its exit status, and when it began and ended
 */
export async function run(program, args, { input = '', ...options } = {}) {
  const began = now();
  const child = spawn(program, args, { env: { ...env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'])
    child[name].setEncoding('utf8').on('data', (text) => (printed[name] += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let ended = 0;
  child.once('exit', () => (ended = now()));
  const exit = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { ...printed, exit, began, ended };
}

/** The same, but a program that fails is an error with what it said. */
export async function mustRun(program, args, options) {
  const outcome = await run(program, args, options);
  if (outcome.exit === 0) return outcome;
  throw new Error(`${program} ${args.join(' ')} ended with ${outcome.exit}\n${outcome.stderr}`);
}

/**
 * Starts one of the programs in traffic/ in a namespace and waits until it is ready.
 * @param namespace the namespace's file
 * @param name the program's, without `.py`
 * @param settings its argument
 * @returns `ask(command)` sends a command and waits for its answer, `end()` ends the program
 */
export async function start(namespace, name, settings = {}) {
  const program = join(folders[0], `${name}.py`);
  const args = [`--net=${namespace}`, 'python3', '-SB', program, JSON.stringify(settings)];
  const child = spawn('nsenter', args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  child.stdin.on('error', () => {});
  const closed = new Promise((resolve) => child.once('close', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const line = await lines.next();
    if (!line.done) return JSON.parse(line.value);
    await closed;
    throw new Error(`${name} ended without an answer\n${errors}`);
  };
  await answer();
  return {
    async ask(command) {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return await answer();
    },
    async end() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
