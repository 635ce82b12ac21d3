/** The manual says what the commands are: every option, exit status and variable, no other, in pages that lint clean. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../../src/commands';
import { NetfreezeCommand } from '../../src/commands/base';
import { Exit } from '../../src/platform/failure';
import { type Plan, templateValues } from '../../src/ruleset/plan';
import { builtinTemplates, loadTemplate, render } from '../../src/ruleset/template';
import { failureOf } from './failures';
import { endless, plans } from './plans';
import { useScratchDirectory } from './scratch';

const root = join(__dirname, '../..');
const pages = ['netfreeze.8', 'netfreeze-template.5'] as const;
const pathOf = (page: string): string => join(root, 'man', page);
const [manual = '', templateManual = ''] = pages.map((page) => readFileSync(pathOf(page), 'utf8'));

const commands = Object.entries(COMMANDS).map(([name, { flags, baseFlags }]) => ({
  name,
  own: flags as Record<string, { options?: readonly string[] }>,
  all: sorted([...Object.keys(flags), ...Object.keys(baseFlags)]),
}));
/** Options of other programs, in recipes. */
const foreign = [
  'tcp-established',
  'leave-running',
  'checkpoint',
  'net',
  'name',
  'namespace',
  'cert',
  'key',
  'cacert',
  'external',
  'inherit-fd',
];
/** What bin/netfreeze answers itself. */
const general = ['help', 'version'];

describe('netfreeze(8)', () => {
  test('the synopsis has every command, each with all of its options and no other', () => {
    const forms = section(manual, 'SYNOPSIS').split(/^\.Nm$/m);
    for (const { name, all } of commands) {
      const own = forms.filter((form) => form.startsWith(`\n.Cm ${name}\n`));
      expect({ name, options: sorted(own.flatMap(longOptions)) }).toEqual({ name, options: all });
    }
    const named = forms.flatMap((form) => /^\n\.Cm ([\w-]+)/.exec(form)?.[1] ?? []);
    expect(sorted(named)).toEqual(sorted([...Object.keys(COMMANDS), 'help']));
  });

  test.each(commands)('$name has a section with its options', ({ name, own }) => {
    const text = subsection(section(manual, 'COMMANDS'), name);
    expect(longOptions(text)).toEqual(expect.arrayContaining(Object.keys(own)));
    for (const { options } of Object.values(own)) {
      for (const value of options ?? []) expect(manual).toMatch(new RegExp(`\\bCm ${value}\\b`));
    }
  });

  test('there is no section for what is no command', () => {
    const titles = [...section(manual, 'COMMANDS').matchAll(/^\.Ss (.*)$/gm)].map(([, title]) => title);
    expect(sorted(titles as string[])).toEqual(sorted([...Object.keys(COMMANDS), 'help']));
  });

  test('the options that all commands share are told of before the commands', () => {
    const [preface = ''] = section(manual, 'COMMANDS').split('\n.Ss ');
    expect(longOptions(preface)).toEqual(expect.arrayContaining(Object.keys(NetfreezeCommand.baseFlags)));
  });

  test('every template that comes with netfreeze is named', () => {
    for (const name of builtinTemplates) expect(manual).toContain(`templates/${name}.nft.hbs`);
  });

  test('the exit statuses are those of the contract', () => {
    const listed = [...section(manual, 'EXIT STATUS').matchAll(/^\.It (\S+)$/gm)].map(([, status]) => status);
    expect(listed).toEqual([...Object.values(Exit).map(String), '128+n']);
  });

  test('the environment variables are those that the program reads', () => {
    const listed = [...section(manual, 'ENVIRONMENT').matchAll(/^\.It Ev (\w+)$/gm)].map(([, name]) => name as string);
    const read = sources(join(root, 'src')).flatMap((text) =>
      [...text.matchAll(/process\.env\.(\w+)/g)].map(([, name]) => name as string),
    );
    expect(sorted(listed)).toEqual(sorted(read));
  });
});

describe('netfreeze-template(5)', () => {
  test('the values are those that a template gets', () => {
    const listed = [...subsection(templateManual, 'Values').matchAll(/^\.It Li (\w+)$/gm)].map(([, name]) => name);
    expect(listed).toEqual(Object.keys(templateValues(endless)));
  });

  const directory = useScratchDirectory();
  const example = async () => {
    const file = join(directory(), 'mgmt.nft.hbs');
    writeFileSync(file, displays(section(templateManual, 'EXAMPLES'))[0] ?? '');
    return loadTemplate(file);
  };
  const withoutDevices = (plan: Plan): Plan => ({ ...plan, devices: [] });

  test('the example can be rendered, in words that a template may use', async () => {
    const template = await example();
    for (const plan of Object.values(plans).map(withoutDevices)) {
      expect(render(template, plan)).toContain(`drop comment "netfreeze/1 ${plan.mode} mgmt"\n`);
    }
  });

  test('the example is refused where flowtables would have to be closed', async () => {
    const template = await example();
    const plan = { ...endless, devices: [{ name: 'eth0', chain: 'ingress_1' }] };
    expect(await failureOf(() => render(template, plan))).toMatchObject({ code: 'bad-template', exit: 2 });
  });
});

describe.each(pages)('%s', (page) => {
  const text = readFileSync(pathOf(page), 'utf8');

  test('names no option that no command has', () => {
    const known = [...general, ...foreign, ...commands.flatMap(({ all }) => all)];
    expect(longOptions(text).filter((name) => !known.includes(name))).toEqual([]);
  });

  test('refers to no section that it does not have', () => {
    const titles = [...text.matchAll(/^\.S[hs] (.*)$/gm)].map(([, title]) => title);
    for (const [, title] of text.matchAll(/^\.Sx (.*?)(?: [.,;])?$/gm)) expect(titles).toContain(title);
  });

  test('lints clean and fits on 80 columns', () => {
    const lint = mandoc('-T', 'lint', '-W', 'style', pathOf(page));
    if (lint === null) return;
    // Whether the pages of other packages are installed says nothing about this one.
    const faults = lint.split('\n').filter((line) => line !== '' && !line.includes('referenced manual not found'));
    expect(faults).toEqual([]);
    const lines = mandoc('-T', 'utf8', pathOf(page))?.replace(/.\x08/gu, '').split('\n') ?? [];
    expect(lines.filter((line) => [...line].length > 80)).toEqual([]);
  });
});

/** @returns what mandoc prints; null where it is not installed, which is a failure where nothing may be left out */
function mandoc(...args: string[]): string | null {
  const { stdout, error } = spawnSync('mandoc', args, { encoding: 'utf8' });
  if (!error) return stdout;
  if (process.env.CI === 'true') throw error;
  process.stderr.write('not tested: mandoc, which lints the manual, is not installed\n');
  return null;
}

/** The text of one section, less its title. */
function section(page: string, title: string): string {
  const [, text] = page.split(new RegExp(`^\\.Sh ${title}$`, 'm'));
  return (text ?? '').split(/^\.Sh /m)[0] ?? '';
}

function subsection(text: string, title: string): string {
  const [, own] = text.split(new RegExp(`^\\.Ss ${title}$`, 'm'));
  return (own ?? '').split(/^\.S[hs] /m)[0] ?? '';
}

/** Long options, in mdoc's `Fl -name` and, in examples, as they are typed; each once. */
function longOptions(text: string): string[] {
  return [
    ...new Set([...text.matchAll(/(?:\bFl -|\\-\\-|(?<=\s)--)([a-z][a-z-]*)/g)].map(([, name]) => name as string)),
  ];
}

/** Literal displays as a reader sees them. */
function displays(text: string): string[] {
  return [...text.matchAll(/^\.Bd -literal.*\n([\s\S]*?)^\.Ed$/gm)].map(([, body = '']) =>
    body.replaceAll('\\-', '-').replaceAll('\\(aq', "'").replaceAll('\\e', '\\'),
  );
}

/** The source files below a directory. */
function sources(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(directory, name), 'utf8'));
}

function sorted(names: string[]): string[] {
  return [...new Set(names)].sort();
}
