// Turns a template's text into a JavaScript module at build time, so that the hot commands load Handlebars' small
// runtime and not its compiler. The options are the same as in src/ruleset/template.ts for templates given by path.
const Handlebars = require('handlebars');

const options = { strict: true, noEscape: true, knownHelpersOnly: true };

function handlebarsModule(source) {
  const precompiled = Handlebars.precompile(source, options);
  return `const { template } = require('handlebars/runtime');\nmodule.exports = template(${precompiled});\n`;
}

module.exports = { handlebarsModule };
