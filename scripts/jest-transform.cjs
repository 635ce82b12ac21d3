// TypeScript and ESM to CommonJS for jest, with the same compiler as the build; no type check (npm run typecheck does it).
const { transformSync } = require('esbuild');
const { handlebarsModule } = require('./handlebars-module.cjs');

module.exports = {
  process(source, file) {
    if (file.endsWith('.hbs')) return { code: handlebarsModule(source) };
    const loader = file.endsWith('.ts') ? 'ts' : 'js';
    const { code, map } = transformSync(source, {
      loader,
      format: 'cjs',
      target: 'node20',
      sourcefile: file,
      sourcemap: true,
      supported: { 'dynamic-import': false },
    });
    return { code, map };
  },
};
