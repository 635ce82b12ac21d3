// Builds dist/: the bundle of the commands, the bundle of the help, the JSON layer as a library, and its types.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

/**
 * The commands run without oclif's Command, which loads its whole configuration (src/commands/light-command.ts), and
 * its parser without what it would only need for help, colours, its own error handler, and reading arguments from
 * standard input, which no command of ours does. What stands here instead is never called, or does nothing with colour;
 * help has a bundle of its own, with all of oclif.
 */
const plainOclif = {
  'errors/index.js': { './handle': '' },
  'flags.js': { './help': '' },
  'parser/index.js': { './help': '' },
  'parser/parse.js': { 'node:readline': '' },
  'util/fs.js': { 'node:fs/promises': '' },
  'logger.js': { debug: 'module.exports = () => () => {};' },
};
const plainOclifFiles = {
  'ux/theme': 'exports.colorize = (_, text) => text;',
  screen: 'exports.stdtermwidth = exports.errtermwidth = 80;',
};
const lightOclif = {
  name: 'light-oclif',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@oclif\/core\/command$/ }, () => ({ path: resolve('src/commands/light-command.ts') }));
    onResolve({ filter: /./ }, ({ path, importer }) => {
      const [, file] = /@oclif\/core\/lib\/(.*)$/.exec(importer) ?? [];
      if (file === undefined) return undefined;
      const named = Object.keys(plainOclifFiles).find((name) => path.endsWith(`../${name}`));
      const contents = plainOclif[file]?.[path] ?? plainOclifFiles[named];
      return contents === undefined ? undefined : { path: `${file} ${path}`, namespace: 'plain', pluginData: contents };
    });
    onLoad({ filter: /.*/, namespace: 'plain' }, ({ pluginData }) => ({ contents: pluginData, loader: 'js' }));
  },
};

/** Large libraries that few commands need stand beside the commands' bundle, so that it is read and compiled without them. */
const onDemand = ['execa', 'handlebars', 'diff'];
const besides = {
  name: 'besides',
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(${onDemand.join('|')})$`) }, ({ path }) => ({
      path: `./${path}.cjs`,
      external: true,
    }));
  },
};

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  logLevel: 'warning',
  // koffi's binaries stay in their packages; typescript and ts-node are oclif's, for development only.
  external: ['@koromix/*', 'typescript', 'ts-node'],
};

rmSync('dist', { recursive: true, force: true });
await Promise.all([
  build({
    ...common,
    entryPoints: ['src/run.ts'],
    outfile: 'dist/run.cjs',
    minify: true,
    // bin/netfreeze runs the bundle as a script, which has no import().
    supported: { 'dynamic-import': false },
    plugins: [templates, lightOclif, besides],
  }),
  ...onDemand.map((library) =>
    build({
      ...common,
      minify: true,
      stdin: { contents: `module.exports = require('${library}');`, resolveDir: '.' },
      outfile: `dist/${library}.cjs`,
    }),
  ),
  build({ ...common, entryPoints: ['src/help.ts'], outfile: 'dist/help.cjs', plugins: [templates] }),
  build({ ...common, entryPoints: ['src/nftables/json.ts'], outfile: 'dist/nftables-json.cjs' }),
  build({ ...common, format: 'esm', entryPoints: ['src/nftables/json.ts'], outfile: 'dist/nftables-json.mjs' }),
]);
// Programs of their own, which lie beside the bundle.
cpSync('src/hold/keeper.sh', 'dist/keeper.sh');
cpSync('src/checkpoint/guard.sh', 'dist/guard.sh');
// bin/netfreeze tells by this hash whether V8's cached code belongs to this bundle.
const bundled = readFileSync('dist/run.cjs');
writeFileSync('dist/run.cjs', `/*${createHash('sha256').update(bundled).digest('hex').slice(0, 16)}*/${bundled}`);
execFileSync('npx', ['tsc', '--project', 'tsconfig.types.json'], { stdio: 'inherit' });
