/** What the text of a template that people bring may say: tables named netfreeze, and nothing else (law 1). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { acceptText } from '../../src/ruleset/acceptance';
import { loadTemplate, render } from '../../src/ruleset/template';
import { failureOf } from './failures';
import { endless } from './plans';
import { useScratchDirectory } from './scratch';

// The same texts in every run.
fc.configureGlobal({ seed: 1 });

const block = 'table inet netfreeze {\n\tchain prerouting { type filter hook prerouting priority -450; }\n}';

describe('accepted', () => {
  test.each<[what: string, text: string]>([
    ['nothing', ''],
    ['white space and comments', '\n\t # flush ruleset\n\n#\n'],
    ['a block', block],
    ['a block in every family', ['inet', 'netdev', 'arp', 'bridge'].map((f) => block.replace('inet', f)).join('\n')],
    ['"add" before a table', `add ${block}`],
    [
      'elements of our sets',
      'add element inet netfreeze lease { ipv4 timeout 30s, ipv6 }\nadd element arp netfreeze s{ 1 }',
    ],
    [
      'rules of our chains',
      'add rule inet netfreeze output meta nfproto @lease drop\nadd rule netdev netfreeze c accept',
    ],
    ['a rule with a set and quotes', 'add rule inet netfreeze c ip saddr { 10.0.0.1, 10.0.0.2 } drop comment "};#"'],
    ['a rule continued on the next line', 'add rule inet netfreeze c \\\n ip saddr 10.0.0.1 \\\n accept'],
    ['an empty block', 'table inet netfreeze { }'],
    ['a block without white space', 'table inet netfreeze{}'],
    [
      'flushes',
      'flush chain inet netfreeze prerouting\nflush set inet netfreeze lease\nflush set netdev netfreeze lease',
    ],
    ['semicolons between commands', `${block};flush chain inet netfreeze output ; ; flush set inet netfreeze lease;`],
    ['a comment behind a command', 'flush chain inet netfreeze output # delete table ip x'],
    ['a comment within a block', 'table inet netfreeze { # } delete table ip x "\n}'],
    ['a quoted brace within a block', 'table inet netfreeze { chain c { drop comment "}" ; } }'],
    ['a quoted comment sign within a block', 'table inet netfreeze { chain c { drop comment "#" ; } }'],
    ['a quoted command within a block', 'table inet netfreeze { chain c { drop comment "include" ; } }'],
    ['a command continued on the next line', 'flush chain \\\ninet netfreeze \\\n output'],
    ['a block continued on the next line', 'table inet netfreeze \\\n{ }'],
    ['a line continued within a block', 'table inet netfreeze { set s { type mark; elements = { 1, \\\n 2 } } }'],
    [
      'sets, counters and maps within a block',
      'table inet netfreeze { set s { type mark; elements = { 1, 2 } }\ncounter in {} }',
    ],
    ['a word that begins like include', 'table inet netfreeze { chain includes { }\n chain include-2 { } }'],
  ])('%s', (_, text) => {
    expect(acceptText(text)).toBeNull();
  });
});

const refused: Array<[what: string, text: string]> = [
  ['flush ruleset', 'flush ruleset'],
  ['flush ruleset of a family', 'flush ruleset inet'],
  ['flush table', 'flush table inet netfreeze'],
  ['delete table', 'delete table inet netfreeze'],
  ['delete another table', 'delete table inet other'],
  ['destroy table', 'destroy table inet other'],
  ['destroy our table', 'destroy table inet netfreeze'],
  ['create table', 'create table inet netfreeze { }'],
  ['another table', 'table inet other { }'],
  ['a table whose name begins like ours', 'table inet netfreeze2 { }'],
  ['a table whose name ends like ours', 'table inet my-netfreeze { }'],
  ['our name in other letters', 'table inet Netfreeze { }'],
  ['our name in quotes', 'table inet "netfreeze" { }'],
  ['our name by a variable', 'table inet $name { }'],
  ['a table without a family, which nft takes for ip', 'table netfreeze { }'],
  ['a table of the family ip', 'table ip netfreeze { }'],
  ['a table of the family ip6', 'table ip6 netfreeze { }'],
  ['a table without a block', 'add table inet netfreeze'],
  ['a rule of another table', 'add rule inet other output accept'],
  ['a chain of another table', 'add chain inet other c { type filter hook output priority 0; }'],
  ['an element of another table', 'add element inet other s { 1 }'],
  ['a rule without a family, which nft takes for ip', 'add rule netfreeze output accept'],
  ['a rule without a statement', 'add rule inet netfreeze output'],
  ['a rule of a chain by a variable', 'add rule inet netfreeze $chain accept'],
  ['a rule of a chain in quotes', 'add rule inet netfreeze "output" accept'],
  ['a rule of a family that no freeze has', 'add rule ip netfreeze output accept'],
  ['a rule and another command', 'add rule inet netfreeze output accept; delete table ip x'],
  ['a rule and another command on the next line', 'add rule inet netfreeze output accept\ndelete table ip x'],
  ['a rule and another command behind a comment', 'add rule inet netfreeze output accept # x\ndelete table ip x'],
  ['a rule and another command behind a set', 'add rule inet netfreeze output ip saddr { 1.1.1.1 }\ndelete table ip x'],
  ['a rule whose quotes hold a line end', 'add rule inet netfreeze output accept comment "\ndelete table ip x\n"'],
  ['a rule behind an include', 'include "x"; add rule inet netfreeze output accept'],
  ['a rule without "add"', 'rule inet netfreeze output accept'],
  ['an element without a family', 'add element netfreeze lease { ipv4 }'],
  ['an element of a set by a variable', 'add element inet netfreeze $set { ipv4 }'],
  ['an element without braces', 'add element inet netfreeze lease ipv4'],
  ['an element and more', 'add element inet netfreeze lease { ipv4 } accept'],
  ['an element and another block', 'add element inet netfreeze lease { ipv4 } { ipv6 }'],
  ['an element taken away', 'delete element inet netfreeze lease { ipv4 }'],
  ['a rule taken away', 'delete rule inet netfreeze output handle 4'],
  ['a chain taken away', 'delete chain inet netfreeze output'],
  ['a set outside of a block', 'add set inet netfreeze s { type mark; }'],
  ['a chain outside of a block', 'add chain inet netfreeze c { type filter hook input priority 0; }'],
  ['insert', 'insert rule inet other output accept'],
  ['replace', 'replace rule inet other output handle 1 accept'],
  ['reset', 'reset counters'],
  ['rename', 'rename chain inet other a b'],
  ['list', 'list ruleset'],
  ['monitor, which never ends', 'monitor'],
  ['describe', 'describe tcp dport'],
  ['import', 'import vm json'],
  ['flush chain of another table', 'flush chain inet other output'],
  ['flush set of another table', 'flush set inet other lease'],
  ['flush set by a variable', 'flush set inet netfreeze $lease'],
  ['flush of every chain', 'flush chain inet netfreeze'],
  ['flush map', 'flush map inet netfreeze lease'],
  ['flush meter', 'flush meter inet netfreeze lease'],
  ['flush with something behind it', 'flush chain inet netfreeze output accept'],
  ['flush with a block behind it', 'flush chain inet netfreeze output { }'],
  ['include', 'include "x"'],
  ['include of many', 'include "/etc/nftables.d/*"'],
  ['include within a table', 'table inet netfreeze { include "x"\n}'],
  ['include within a table, close to the brace', 'table inet netfreeze {include "x"\n}'],
  ['include within a table, close to its file', 'table inet netfreeze {\ninclude"x"\n}'],
  ['include within a table, behind a semicolon', 'table inet netfreeze { ;include "x"; }'],
  ['include within a chain', 'table inet netfreeze { chain c { include "x"\n} }'],
  ['include within a set', 'table inet netfreeze { set s { include "x"\n} }'],
  ['include behind a comment', 'table inet netfreeze { # include\ninclude "x"\n}'],
  ['include behind a continued line', 'table inet netfreeze { \\\ninclude "x"\n}'],
  ['include behind a quoted text', 'table inet netfreeze { comment "x";include "x"\n}'],
  ['define', 'define name = netfreeze'],
  ['redefine', 'redefine name = netfreeze'],
  ['undefine', 'undefine name'],
  ['a command behind a block', `${block} delete table ip x`],
  ['a command behind a block and a semicolon', 'table inet netfreeze{}; delete table ip x'],
  ['a command behind a block and a line end', `${block}\ndelete table ip x`],
  ['a second block on the same line', 'table inet netfreeze { } table ip x { }'],
  ['a second block close to the first', 'table inet netfreeze {}table inet netfreeze {}'],
  ['two blocks of one table', 'table inet netfreeze { } { }'],
  ['a command before a block', 'delete table ip x; table inet netfreeze { }'],
  ['a command behind a comment', '# comment\ndelete table ip x'],
  ['a command behind a comment with a backslash', '# comment \\\ndelete table ip x'],
  ['a command behind a quoted line end', 'table inet netfreeze { comment "\n"; }\ndelete table ip x'],
  ['a command behind a comment sign that is quoted', 'table inet netfreeze { comment "#" }\ndelete table ip x # "'],
  ['a command behind a quote that a comment holds', 'table inet netfreeze { # "\n}\ndelete table ip x\n# "'],
  ['a command behind a brace that is quoted', 'table inet netfreeze { comment "{" }\ndelete table ip x\n#}'],
  ['a command behind a brace in a comment', 'table inet netfreeze { # {\n}\ndelete table ip x\n#}'],
  [
    'a command behind what looks like an escaped quote',
    'table inet netfreeze { comment "\\" }\ndelete table ip x\n# "',
  ],
  ['a command in two lines', 'delete \\\ntable ip x'],
  ['a command cut by a comment', 'flush # x\nruleset'],
  ['a quote that is not closed', 'table inet netfreeze { comment "x }'],
  ['a quote that is not closed at the end', `${block}\n"`],
  ['a quote that opens a command', '"flush" ruleset'],
  ['a quoted line end between commands', '"\n"'],
  ['a quoted line end behind a command', 'flush chain inet netfreeze output "\n"'],
  ['a quoted command', 'flush chain inet netfreeze output "\ndelete table ip x\n"'],
  ['a brace that is not closed', 'table inet netfreeze { chain c { }'],
  ['a brace that was not opened', `${block} }`],
  ['braces in the wrong order', '} table inet netfreeze {'],
  ['a brace that hides in a comment', 'table inet netfreeze { # }'],
  ['a brace that hides in a quote', 'table inet netfreeze { comment "}"'],
  ['a backslash before something else', 'flush \\ruleset'],
  ['a backslash at the end', `${block}\\`],
  ['a backslash before a carriage return', 'table inet netfreeze \\\r\n{ }'],
  ['an unknown word', 'x'],
  ['a variable', '$x'],
  ['a NUL', '\0'],
  ['a NUL in a command', 'flush chain inet netfreeze output\0'],
  ['a NUL in a name', 'flush chain inet netfreeze out\0put'],
  ['a NUL in a block, where nft would stop reading', 'table inet netfreeze { \0 }'],
  ['a NUL in a comment', `${block}\n# \0\n`],
  ['a NUL in a quoted text', 'table inet netfreeze { comment "\0" }'],
  ['other white space in a command: no-break space', 'table inet netfreeze\u00a0{ }'],
  ['other white space in a command: em space', 'flush\u2003chain inet netfreeze output'],
  ['other white space in a command: line separator', 'flush chain inet netfreeze output\u2028flush ruleset'],
  ['other white space in a command: ideographic', 'table inet\u3000netfreeze { }'],
  ['other white space in a command: form feed', 'table inet\fnetfreeze { }'],
  ['other white space in a command: vertical tab', 'table inet\vnetfreeze { }'],
  ['other white space in a command: byte order mark', `\ufeff${block}`],
  ['letters that look like others', 'table inet netfrееze { }'],
  ['a zero-width space in a name', 'table inet netfreeze\u200b { }'],
];

describe('refused', () => {
  test.each(refused)('%s', (_, text) => {
    expect(acceptText(text)).toEqual(expect.any(String));
  });

  test.each(refused)('%s: between what is allowed', (_, text) => {
    expect(acceptText(`${block}\n${text}\n${block}\n`)).toEqual(expect.any(String));
  });

  const directory = useScratchDirectory();
  test('ends a rendering with exit 2 and says what is wrong', async () => {
    for (const [, text] of refused) {
      const file = join(directory(), 'mine.nft');
      writeFileSync(file, text);
      const objection = acceptText(text) ?? 'accepted';
      const failure = await failureOf(async () => render(await loadTemplate(file), endless));
      expect(failure).toMatchObject({ code: 'bad-template', exit: 2 });
      // Handlebars itself stops at a NUL, and says so.
      if (!text.includes('\0')) expect(failure.message).toContain(objection);
      expect(failure.suggestions).not.toHaveLength(0);
    }
  });

  test('names the command that is wrong, cut to what fits on a line', () => {
    expect(acceptText(`${block}\n  delete\ttable  ip x`)).toMatch(/, not "delete table ip x"$/);
    expect(acceptText(`add rule ip x y ${'accept '.repeat(99)}`)?.length).toBeLessThan(250);
  });

  test.each([
    ['table inet netfreeze {', 'a brace is not closed'],
    ['}', 'a brace is closed that was not opened'],
    ['"', 'a quotation mark is not closed'],
    ['\\', 'a backslash stands where nft knows none'],
    ['table inet netfreeze { include "x"\n}', '"include" has no place in a template'],
  ])('%j: %s', (text, why) => {
    expect(acceptText(text)).toBe(why);
  });
});

describe('whatever stands around it', () => {
  const space = fc.stringMatching(/^[ \t]{0,3}$/);
  const comment = fc.stringMatching(/^#[a-z {}";\\#]{0,12}$/);
  const quotedLine = fc.stringMatching(/^"[a-z {}#;\\]{0,10}"$/);
  const gap = fc.oneof(space, fc.constant(' \\\n'));
  const inner = fc.letrec<{ body: string; nest: string }>((tie) => ({
    nest: tie('body').map((body) => `{${body}}`),
    body: fc
      .array(
        fc.oneof(
          { depthSize: 'small', maxDepth: 3 },
          fc.constantFrom('\n', ';', ' ', 'accept', 'flush ruleset', 'delete table ip x', 'type filter', '\\\n'),
          quotedLine,
          comment.map((text) => `${text}\n`),
          tie('nest'),
        ),
        { maxLength: 5 },
      )
      .map((parts) => parts.join(' ')),
  })).body;
  const family = fc.constantFrom('inet', 'netdev', 'arp', 'bridge');
  const allowed = fc.oneof(
    fc
      .tuple(fc.constantFrom('', 'add '), family, gap, inner)
      .map(([add, f, s, b]) => `${add}table ${f} netfreeze${s}{${b}}`),
    fc
      .tuple(fc.constantFrom('chain', 'set'), family, gap, fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,8}$/))
      .map(([kind, f, s, name]) => `flush ${kind} ${f} ${s} netfreeze ${name}`),
  );
  const foreign = fc.oneof(
    fc.constantFrom('add rule inet x y drop', 'add element ip netfreeze s { 1 }', 'insert rule inet netfreeze c drop'),
    fc.constantFrom('flush ruleset', 'delete table ip x', 'add rule inet x y drop', 'include "x"', 'define a = 1'),
    inner.map((body) => `table ip x {${body}}`),
    fc.tuple(family, fc.stringMatching(/^[a-z]{1,10}$/)).map(([f, name]) => `table ${f} ${name} { }`),
  );
  const words = fc.array(fc.oneof(fc.constantFrom('accept', '@lease', 'ip saddr', '{ 1, 2 }', '\\\n'), quotedLine), {
    maxLength: 4,
  });
  const filling = fc.oneof(
    fc.tuple(family, gap, inner).map(([f, s, b]) => `add element ${f} netfreeze lease${s}{${b}}`),
    fc.tuple(family, gap, words).map(([f, s, w]) => `add rule ${f} netfreeze c ${s} drop ${w.join(' ')}`),
  );
  const separator = fc.oneof(
    fc.constantFrom('\n', ';', ';\n', '\n\n', ' ; '),
    comment.map((text) => `${text}\n`),
    fc.tuple(space, comment).map(([s, text]) => `;${s}${text}\n`),
  );
  const joined = (commands: string[], separators: string[]) =>
    commands.map((command, index) => `${command}${separators[index % separators.length]}`).join('');

  test('allowed commands are accepted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(allowed, filling)),
        fc.array(separator, { minLength: 1 }),
        (commands, separators) => {
          expect(acceptText(joined(commands, separators))).toBeNull();
        },
      ),
    );
  });

  test('one foreign command among them is refused', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(allowed, filling)),
        fc.array(separator, { minLength: 1 }),
        foreign,
        fc.nat(),
        (commands, separators, intruder, position) => {
          fc.pre(!/^table \w+ netfreeze /.test(intruder));
          const all = [...commands];
          all.splice(position % (commands.length + 1), 0, intruder);
          expect(acceptText(joined(all, separators))).toEqual(expect.any(String));
        },
      ),
    );
  });

  test('an include anywhere within a block is refused', () => {
    fc.assert(
      fc.property(inner, inner, fc.constantFrom('\n', ';', ' ', '{}', '""'), (before, after, edge) => {
        const text = `table inet netfreeze {${before}${edge}include "x"\n${after}}`;
        expect(acceptText(text)).toEqual(expect.any(String));
      }),
    );
  });

  // Said a second time, in another way: comments and quoted texts taken out first, then blocks from the inside out.
  const topLevel = (text: string): string[] => {
    let bare = text.replace(/"[^"]*"|#[^\n]*|\\\n/g, (found) => (found.startsWith('"') ? '"' : ' '));
    for (let before = ''; before !== bare; ) {
      before = bare;
      bare = bare.replace(/\{[^{}]*\}/g, '\u0001');
    }
    return bare
      .split(/[\n;]/)
      .map((command) =>
        command
          .trim()
          .replace(/\s*\u0001/g, ' {}')
          .replace(/\s+/g, ' '),
      )
      .filter((command) => command !== '');
  };
  const pieces = fc.array(
    fc.oneof(
      allowed,
      filling,
      foreign,
      separator,
      fc.constantFrom('{', '}', '"', '#', '\\', '\\\n', '\n', ';', ' ', 'table', 'inet', 'netfreeze', 'include', '\0'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 8 },
  );

  test('an accepted text says nothing at its top level but what is allowed', () => {
    const pattern =
      /^(?:(?:add )?table (?:inet|netdev|arp|bridge) netfreeze \{\}|flush (?:chain|set) (?:inet|netdev|arp|bridge) netfreeze [A-Za-z][\w-]*|add element (?:inet|netdev|arp|bridge) netfreeze [A-Za-z][\w-]* \{\}|add rule (?:inet|netdev|arp|bridge) netfreeze [A-Za-z][\w-]* .+)$/;
    fc.assert(
      fc.property(
        fc.oneof(
          pieces.map((list) => list.join('')),
          pieces.map((list) => list.join(' ')),
        ),
        (text) => {
          fc.pre(acceptText(text) === null);
          for (const command of topLevel(text)) expect(command).toMatch(pattern);
        },
      ),
      { numRuns: 1500, maxSkipsPerRun: 1000 },
    );
  });
});
