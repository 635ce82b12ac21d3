/** The test files that the machine runs: which ones, and as plain JavaScript, because compiling there takes long. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { handlebarsModule } from '../../../scripts/handlebars-module.cjs';
import { cache } from './image';

/** Which of npm's scripts runs a file: `test` or `test:faults`. */
type Script = (typeof scripts)[number];
const scripts = ['test', 'test:faults'] as const;

export interface Entry {
  file: string;
  script: Script;
  /** For NETFREEZE_TEST_ENGINES. */
  engines: string;
  /** Only the tests whose names hold one of these; all where there is none. */
  only: string[];
}

/** Where the machine sees the project. */
const project = '/project';

/**
 * Reads suite.txt: on each line a test file, the script that runs it, the engines that it runs on, and why it is there. An
 * indented line below it is a part of the names of the tests that are wanted. `#` begins a comment.
 * @throws when a line says something else
 */
export function parseSuite(text: string): Entry[] {
  const entries: Entry[] = [];
  for (const line of text.split('\n').filter((one) => one.trim() !== '' && !one.startsWith('#'))) {
    const last = entries.at(-1);
    if (/^\s/.test(line) && last !== undefined) {
      last.only.push(line.trim());
      continue;
    }
    const [file = '', named, engines = '', ...why] = line.trim().split(/\s+/);
    const script = scripts.find((one) => one === named);
    if (!script || !/^(replay|libnftables|nft|both)$/.test(engines) || why.length === 0) {
      throw new Error(
        `suite.txt wants a file, "test" or "test:faults", "replay", "libnftables", "nft" or "both", and a reason: ${line}`,
      );
    }
    entries.push({ file, script, engines: engines === 'both' ? 'libnftables,nft' : engines, only: [] });
  }
  return entries;
}

/**
 * Bundles each file of the suite, with all that it imports, into a folder of the cache that is named after its script; see
 * jest.config.cjs.
 */
export async function compileSuite(): Promise<void> {
  const folder = join(cache, 'suite');
  rmSync(folder, { recursive: true, force: true });
  const entries = parseSuite(readFileSync('test/vm/suite.txt', 'utf8'));
  const missing = entries.filter(({ file }) => !existsSync(file));
  if (missing.length > 0) throw new Error(`suite.txt names what is not there: ${missing.map(({ file }) => file)}`);
  await Promise.all(entries.map((entry) => compile(entry, folder)));
}

async function compile({ file, script, engines, only }: Entry, folder: string): Promise<void> {
  const first = [`process.env.NETFREEZE_TEST_ENGINES ??= '${engines}';`];
  if (only.length > 0) first.push(`require('./test/vm/rig/choose').choose(${JSON.stringify(only)});`);
  await build({
    stdin: {
      contents: [...first, `require('./${file}');`].join('\n'),
      resolveDir: process.cwd(),
      sourcefile: 'entry.js',
    },
    outfile: join(folder, script.replace(':', '-'), file.replace(/\.ts$/, '.js')),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    // Its binaries stand beside it.
    external: ['koffi'],
    supported: { 'dynamic-import': false },
    logLevel: 'warning',
    plugins: [templates, places],
  });
}

const templates: Plugin = {
  name: 'templates',
  setup({ onLoad }) {
    onLoad({ filter: /\.hbs$/ }, ({ path }) => ({
      contents: handlebarsModule(readFileSync(path, 'utf8')),
      loader: 'js',
      resolveDir: process.cwd(),
    }));
  },
};

/** A bundled file still looks for what stands beside its source, in the machine. */
const places: Plugin = {
  name: 'places',
  setup({ onLoad }) {
    onLoad({ filter: /\/test\/.*\.ts$/ }, ({ path }) => {
      const place = join(project, relative(process.cwd(), dirname(path)));
      return { contents: `const __dirname = '${place}';\n${readFileSync(path, 'utf8')}`, loader: 'ts' };
    });
  },
};
