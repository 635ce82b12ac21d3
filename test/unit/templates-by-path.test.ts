/** Templates that people bring: found by path, filled in strictly, and looked at before they are loaded. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failureText } from '../../src/presentation/failure';
import type { TemplateValues } from '../../src/ruleset/plan';
import { builtinTemplates, loadTemplate, render } from '../../src/ruleset/template';
import { dangerous, failureOf, hostileTexts } from './failures';
import { endless, plans } from './plans';
import { useScratchDirectory } from './scratch';

const directory = useScratchDirectory();

function file(text: string | Buffer, name = 'mine.nft.hbs'): string {
  const path = join(directory(), name);
  writeFileSync(path, text);
  return path;
}

const rendered = async (text: string, plan = endless): Promise<string> => render(await loadTemplate(file(text)), plan);
const refusal = (text: string) => failureOf(() => rendered(text));

/** A line within a table, where a value can stand and the text is accepted whatever it is. */
const inTable = (line: string) => `table inet netfreeze {\n${line}\n}\n`;

describe('finding a template', () => {
  test('by the names that come with netfreeze', async () => {
    for (const name of builtinTemplates) {
      expect(await loadTemplate(name)).toMatchObject({ name, builtin: true });
    }
  });

  test.each(['', 'nosuch', 'drop ', 'Drop', 'constructor', '__proto__', 'toString', 'mine.nft.hbs', '..'])(
    'a name that is none of them: %j',
    async (name) => {
      const { code, exit, suggestions } = await failureOf(() => loadTemplate(name));
      expect({ code, exit }).toEqual({ code: 'no-such-template', exit: 2 });
      expect(suggestions.join()).toContain('drop');
    },
  );

  test.each([
    ['mine.nft.hbs', 'mine'],
    ['mine.nft', 'mine'],
    ['mine', 'mine'],
    ['A-b_9.nft.hbs', 'A-b_9'],
    [`${'x'.repeat(32)}.nft`, 'x'.repeat(32)],
    ['drop.nft.hbs', 'drop'],
  ])('by path: %s is called %s', async (base, name) => {
    expect(await loadTemplate(file('', base))).toMatchObject({ name, builtin: false });
  });

  test('through a link', async () => {
    symlinkSync(file(inTable('')), join(directory(), 'link.nft'));
    expect(await loadTemplate(join(directory(), 'link.nft'))).toMatchObject({ name: 'link' });
  });

  test.each(['nosuch.nft.hbs', 'nosuch/mine.nft.hbs', 'mine.nft.hbs/x.nft'])(
    'a file that is not there: %s',
    async (base) => {
      file('');
      const failure = await failureOf(() => loadTemplate(join(directory(), base)));
      expect(failure).toMatchObject({ code: 'no-such-template', exit: 2 });
      expect(failure.message).toContain(base);
    },
  );

  test('a directory is no template', async () => {
    mkdirSync(join(directory(), 'folder'));
    expect(await failureOf(() => loadTemplate(join(directory(), 'folder')))).toMatchObject({ exit: 2 });
  });

  test.each([
    'mine.hbs',
    'mine.nft.hbs.nft',
    '.nft.hbs',
    '.nft',
    '1st.nft',
    '-mine.nft',
    '_mine.nft',
    'a.b.nft',
    'a b.nft',
    'a"b.nft',
    "a'b.nft",
    'a{{comment}}.nft',
    'a\nb.nft',
    'a\u001b[2J.nft',
    'a\u202eb.nft',
    'übel.nft',
    'шаблон.nft',
    `${'x'.repeat(33)}.nft`,
  ])('a name that cannot stand in a rule’s comment: %j', async (base) => {
    file('', base);
    const failure = await failureOf(() => loadTemplate(join(directory(), base)));
    expect(failure).toMatchObject({ code: 'bad-template', exit: 2 });
    expect(failureText(failure)).not.toMatch(dangerous);
  });

  test.each(hostileTexts.filter((text) => !text.includes('..')))(
    'a path that means harm does none: %j',
    async (text) => {
      for (const path of [join(directory(), 'x', text), `${join(directory(), 'x', text)}/mine.nft`]) {
        const failure = await failureOf(() => loadTemplate(path));
        expect(failure.exit).toBe(2);
        expect(failureText(failure)).not.toMatch(dangerous);
      }
    },
  );

  test('a file that is larger than any template', async () => {
    await expect(loadTemplate(file('#'.repeat(64 * 1024)))).resolves.toMatchObject({ name: 'mine' });
    const failure = await failureOf(() => loadTemplate(file('#'.repeat(64 * 1024 + 1))));
    expect(failure).toMatchObject({ code: 'bad-template', exit: 2 });
    expect(failure.message).toContain('65536');
  });
});

describe('filling a template in', () => {
  test('each value as it is: nothing is escaped, nothing is added', async () => {
    const plan = plans.everything ?? endless;
    const text = await rendered(
      inTable(
        [
          '# {{comment}}|{{timeout}}|{{#if keepLoopback}}keep{{/if}}',
          '# {{#each marks}}{{this}};{{/each}}',
          '# {{#each allow}}{{family}} {{address}}{{#if protocol}} {{protocol}} {{port}}{{/if}};{{/each}}',
          '# {{#if closesDevices}}{{#each devices}}{{name}} {{chain}} {{../comment}};{{/each}}{{/if}}',
        ].join('\n'),
      ),
      plan,
    );
    expect(text.split('\n').slice(1, -2)).toEqual([
      '# netfreeze/1 drop mine| timeout 2h|keep',
      '# 0x0000c114;',
      '# ip 10.0.0.7;ip6 fd00::/64;ip 192.0.2.9 tcp 22;ip6 2001:db8::9 tcp 22;ip6 2001:db8::9 udp 22;',
      '# lan0 ingress_1 netfreeze/1 drop mine;wan0 ingress_2 netfreeze/1 drop mine;',
    ]);
  });

  test('the comment carries the template’s own name', async () => {
    const template = await loadTemplate(file('# {{comment}}\n', 'other.nft'));
    expect(render(template, endless)).toBe('# netfreeze/1 drop other\n');
  });

  test('a text without a last newline gets one', async () => {
    expect(await rendered('# x')).toBe('# x\n');
    expect(await rendered('')).toBe('\n');
  });

  test.each<[what: string, text: string]>([
    ['a value that does not exist', '# {{nosuch}}'],
    ['one in a condition', '# {{#if keepLopback}}x{{/if}}'],
    ['one in a negated condition', '# {{#unless sealed}}x{{/unless}}'],
    ['one in a loop', '# {{#each allowed}}x{{/each}}'],
    ['one as a block', '# {{#nosuch}}x{{/nosuch}}'],
    ['one as a negated block', '# {{^nosuch}}x{{/nosuch}}'],
    ['one of the language’s own', '# {{constructor}}'],
    ['another of the language’s own', '# {{__proto__}}'],
    ['a member of a value that has none', '# {{comment.length}}'],
    ['a helper that does not exist', '# {{shell "id"}}'],
    ['a partial', '# {{> other}}'],
    ['a block that is not closed', '# {{#if keepLoopback}}'],
    ['a block that was not opened', '# {{/if}}'],
    ['braces that are not closed', '# {{comment'],
  ])('is strict: %s', async (_, text) => {
    const failure = await refusal(inTable(text));
    expect(failure).toMatchObject({ code: 'bad-template', exit: 2 });
    expect(failure.message).toContain('mine.nft.hbs');
  });

  test('is logic-less: a template writes nothing to standard output, which holds the result and nothing else', async () => {
    const spies = (['log', 'info', 'warn', 'error'] as const).map((method) =>
      jest.spyOn(console, method).mockImplementation(() => {}),
    );
    await rendered(inTable('# {{log "x"}}')).catch(() => null);
    await rendered(inTable('# {{constructor}}')).catch(() => null);
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });

  test('what is filled in is looked at, not what stands in the file', async () => {
    const values = { comment: '"\n}\nflush ruleset\n' } as TemplateValues;
    expect((await loadTemplate(file(inTable('# {{comment}}')))).fill(values)).toContain('\nflush ruleset\n');
    // The plan's types make such a value impossible; a template that does without them is refused.
    expect(await refusal(`flush ruleset\n${inTable('')}`)).toMatchObject({ code: 'bad-template', exit: 2 });
  });
});
