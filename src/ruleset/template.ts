/** Templates: nft text with validated values filled in. Logic-less and strict: a name that is not given is an error. */
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import drop from '../../templates/drop.nft.hbs';
import steal from '../../templates/steal.nft.hbs';
import { Exit, Failure } from '../platform/failure';
import { quoted } from '../platform/text';
import { acceptText } from './acceptance';
import { type Plan, type TemplateValues, templateValues } from './plan';

/** A template that can be filled in. */
export interface Template {
  /** What the freezing rules' comment calls it. */
  name: string;
  /** Whether it comes with netfreeze; what a user brings is looked at more closely, and its faults are the user's. */
  builtin: boolean;
  fill(values: TemplateValues): string;
}

const builtin: Record<string, (values: TemplateValues) => string> = { drop, steal };

/** The names of the templates that come with netfreeze. */
export const builtinTemplates: readonly string[] = Object.keys(builtin);

/** A template file larger than this is a mistake. */
const largestTemplate = 64 * 1024;

/**
 * Finds a template: by name among those that come with netfreeze, by path (anything with a slash) in a file.
 * @throws Failure `no-such-template`, `bad-template`
 */
export async function loadTemplate(nameOrFile: string): Promise<Template> {
  const known = Object.hasOwn(builtin, nameOrFile) ? builtin[nameOrFile] : undefined;
  if (known) return { name: nameOrFile, builtin: true, fill: known };
  if (nameOrFile.includes('/')) return compileFile(nameOrFile);
  throw new Failure('no-such-template', Exit.usage, `there is no template ${quoted(nameOrFile)}`, {
    suggestions: [
      `templates: ${builtinTemplates.join(', ')}`,
      'for a file, give its path with a slash: ./mine.nft.hbs',
    ],
  });
}

async function compileFile(path: string): Promise<Template> {
  const name = basename(path).replace(/\.nft(\.hbs)?$/, '');
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,31}$/.test(name)) {
    throw bad(path, 'its name, less .nft.hbs, must be a letter followed by letters, digits, _ or -');
  }
  const source = readTemplate(path);
  // The compiler is large and needed for nothing else; what comes with netfreeze is compiled by the build.
  const { default: Handlebars } = await import('handlebars');
  const unknown = await unknownName(source, path);
  if (unknown !== null) throw bad(path, `it names ${quoted(unknown)}, which is no value`);
  const fill = Handlebars.compile<TemplateValues>(source, { strict: true, noEscape: true, knownHelpersOnly: true });
  return {
    name,
    builtin: false,
    fill(values) {
      try {
        return fill(values);
      } catch (cause) {
        throw bad(path, cause instanceof Error ? cause.message : String(cause), cause);
      }
    },
  };
}

/** What a template may name; conditions on other names would be false without a word, strict or not. */
const names = new Set<string>([
  ...['comment', 'timeout', 'keepLoopback', 'marks', 'allow', 'closesDevices', 'devices', 'queueIn', 'queueOut'],
  ...['family', 'address', 'protocol', 'port', 'name', 'chain'],
  ...['if', 'unless', 'each', 'else', '@index', '@first', '@last'],
]);

/** Looks at every name in a template. @returns one that is no value, or null */
async function unknownName(source: string, path: string): Promise<string | null> {
  const { default: Handlebars } = await import('handlebars');
  let unknown: string | null = null;
  class Names extends Handlebars.Visitor {
    override PathExpression(expression: hbs.AST.PathExpression): void {
      const name = `${expression.data ? '@' : ''}${expression.parts.join('.')}`;
      // No parts: `this`, or `..`.
      if (expression.parts.length > 0 && !names.has(name)) unknown ??= name;
    }
    override PartialStatement(): void {
      unknown ??= '> (a partial)';
    }
    override DecoratorBlock(): void {
      unknown ??= '#* (a decorator)';
    }
    override Decorator(): void {
      unknown ??= '* (a decorator)';
    }
    override PartialBlockStatement(): void {
      unknown ??= '#> (a partial)';
    }
  }
  try {
    new Names().accept(Handlebars.parse(source));
  } catch (cause) {
    throw bad(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
  return unknown;
}

function readTemplate(path: string): string {
  try {
    const { size } = statSync(path);
    // A device or a FIFO could be read for ever.
    if (statSync(path).isFile() && size <= largestTemplate) return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Failure('no-such-template', Exit.usage, `the template ${quoted(path)} cannot be read: ${cause}`, {
      cause,
    });
  }
  throw bad(path, `it is no plain file of at most ${largestTemplate} bytes`);
}

const bad = (path: string, why: string, cause?: unknown) =>
  new Failure('bad-template', Exit.usage, `the template ${quoted(path)} cannot be used: ${why}`, {
    suggestions: ['netfreeze-template(5) and templates/drop.nft.hbs show what a template needs'],
    cause,
  });

/**
 * Renders a plan: exactly what is loaded, and what `preview` prints.
 * @returns nft text that ends with a newline
 * @throws Failure `bad-template` when a template names a value that does not exist or does more than a freeze may
 */
export function render(template: Template, plan: Plan): string {
  const text = template.fill(templateValues({ ...plan, template: template.name }));
  if (!template.builtin) {
    const objection = acceptText(text);
    if (objection) throw bad(template.name, objection);
  }
  return text.endsWith('\n') ? text : `${text}\n`;
}
