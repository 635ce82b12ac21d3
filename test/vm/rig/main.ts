/**
 * The VM suite's program:
 *
 *   image                            builds the image, unless it is there
 *   prepare                          builds what is missing: the image, the snapshot
 *   run [--cold] [--limit SECONDS] [--results FOLDER] -- COMMAND
 *                                    runs a shell's command in the machine and ends with its status;
 *                                    125 where the machine fails, 124 where the command takes too long
 *   compile                          makes plain JavaScript of the test files that suite.txt lists
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureImage } from './image';
import { doJob } from './job';
import { ensureSnapshot } from './snapshot';
import { compileSuite } from './suite';

const note = (words: string) => process.stderr.write(`vm: ${words}\n`);

async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { cold: { type: 'boolean', default: false }, limit: { type: 'string' }, results: { type: 'string' } },
  });
  // An end by a signal is an end of the process like any other, which takes the machine with it.
  for (const [signal, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(signal, () => process.exit(128 + number));
  }
  const scratch = mkdtempSync(join(tmpdir(), 'nfz-vm-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  return doJob(
    ensureImage(),
    {
      command: positionals.join(' '),
      limitSeconds: Number(values.limit ?? 600),
      project: '.',
      results: values.results ?? scratch,
      cold: values.cold,
    },
    note,
  );
}

const commands: Record<string, (args: string[]) => Promise<number>> = {
  run,
  async image() {
    ensureImage();
    return 0;
  },
  async prepare() {
    const image = ensureImage();
    await ensureSnapshot(image).catch((error: Error) => note(`no snapshot, so every run boots: ${error.message}`));
    return 0;
  },
  async compile() {
    await compileSuite();
    return 0;
  },
};

const [word = '', ...rest] = process.argv.slice(2);
const command = commands[word];
if (command === undefined) {
  note(`no such command: ${word}`);
  process.exit(2);
}
command(rest).then(
  (status) => process.exit(status),
  (error: Error) => {
    note(error.message);
    process.exit(125);
  },
);
