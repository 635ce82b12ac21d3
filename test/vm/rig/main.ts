/**
 * The VM suite's program:
 *
 *   image                            builds the image, unless it is there
 *   prepare                          builds what is missing: the image, the snapshot
 *   run [--cold] [--again] [--limit SECONDS] [--results FOLDER] -- COMMAND
 *                                    runs a shell's command in the machine and ends with its status;
 *                                    125 where the machine fails, 124 where the command takes too long;
 *                                    --again: once more, in a fresh machine, where the first one locks up
 *   compile                          makes plain JavaScript of the test files that suite.txt lists
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureImage } from './image';
import { doJob, onceMoreAfterLockup } from './job';
import { ensureSnapshot } from './snapshot';
import { compileSuite } from './suite';

const note = (words: string) => process.stderr.write(`vm: ${words}\n`);

async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      cold: { type: 'boolean', default: false },
      again: { type: 'boolean', default: false },
      limit: { type: 'string' },
      results: { type: 'string' },
    },
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
  const image = ensureImage();
  const attempt = async () => {
    // Each attempt has a folder of its own, so that one that does not count leaves no results.
    const results = mkdtempSync(join(scratch, 'results-'));
    const status = await doJob(
      image,
      {
        command: positionals.join(' '),
        limitSeconds: Number(values.limit ?? 600),
        project: '.',
        results,
        cold: values.cold,
      },
      note,
    );
    if (values.results !== undefined) cpSync(results, values.results, { recursive: true });
    return status;
  };
  return values.again ? onceMoreAfterLockup(attempt, note) : attempt();
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
