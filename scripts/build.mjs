// Builds dist/: the bundle of the commands, the bundle of the help, the JSON layer as a library, and its types.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { build } from 'esbuild';

const require = createRequire(import.meta.url);
const { handlebarsModule } = require('./handlebars-module.cjs');

const templates = {
  name: 'templates',
  setup({ onLoad }) {
    onLoad({ filter: /\.hbs$/ }, ({ path }) => ({
      contents: handlebarsModule(readFileSync(path, 'utf8')),
      loader: 'js',
      resolveDir: process.cwd(),
    }));
  },
};

/** The commands run without oclif's Command, which loads its whole configuration; see src/commands/light-command.ts. */
const lightCommand = {
  name: 'light-command',
  setup({ onResolve }) {
    onResolve({ filter: /^@oclif\/core\/command$/ }, () => ({ path: resolve('src/commands/light-command.ts') }));
  },
};

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  logLevel: 'warning',
  // koffi loads its binary from its own package; typescript and ts-node are oclif's, for development only.
  external: ['koffi', 'typescript', 'ts-node'],
};

rmSync('dist', { recursive: true, force: true });
await Promise.all([
  build({
    ...common,
    entryPoints: ['src/run.ts'],
    outfile: 'dist/run.cjs',
    minify: true,
    keepNames: true,
    plugins: [templates, lightCommand],
  }),
  build({ ...common, entryPoints: ['src/help.ts'], outfile: 'dist/help.cjs', plugins: [templates] }),
  build({ ...common, entryPoints: ['src/nftables/json.ts'], outfile: 'dist/nftables-json.cjs' }),
  build({ ...common, format: 'esm', entryPoints: ['src/nftables/json.ts'], outfile: 'dist/nftables-json.mjs' }),
]);
// bin/netfreeze tells by this hash whether V8's cached code belongs to this bundle.
const bundled = readFileSync('dist/run.cjs');
writeFileSync('dist/run.cjs', `/*${createHash('sha256').update(bundled).digest('hex').slice(0, 16)}*/${bundled}`);
execFileSync('npx', ['tsc', '--project', 'tsconfig.types.json'], { stdio: 'inherit' });
