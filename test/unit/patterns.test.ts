/** Patterns in the place of names. */
import fc from 'fast-check';
import { isPattern, matching, noMatch } from '../../src/target/pattern';
import { checkName } from '../../src/target/target';

fc.configureGlobal({ seed: 1 });

test.each([
  ['web', false],
  ['netns:web-1', false],
  ['web-*', true],
  ['web-?', true],
  ['web-[12]', true],
  ['{web,db}', true],
  ['podman:web-*', true],
])('%s is a pattern: %s', (name, expected) => {
  expect(isPattern(name)).toBe(expected);
});

const names = ['web-2', 'web-1', 'db', '.hidden', 'web', '#odd', '!odd', 'web-10'];
test.each<[pattern: string, found: string[]]>([
  ['web-*', ['web-1', 'web-10', 'web-2']],
  ['web-?', ['web-1', 'web-2']],
  ['web-[13-9]', ['web-1']],
  ['{web,db}', ['db', 'web']],
  ['web-{1..2}', ['web-1', 'web-2']],
  ['*', [...names].sort()],
  ['?odd', ['!odd', '#odd']],
  ['!odd*', ['!odd']],
  ['#odd*', ['#odd']],
  ['nobody*', []],
  ['Web*', []],
])('%s matches %j', (pattern, found) => {
  expect(matching(pattern, names)).toEqual(found);
});

test('each name once, whatever is matched against whatever', () => {
  expect(matching('a*', ['ab', 'ab'])).toEqual(['ab']);
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), fc.array(fc.string({ maxLength: 20 })), (pattern, all) => {
      const found = matching(pattern, all);
      expect(found.every((name) => all.includes(name))).toBe(true);
      expect(new Set(found).size).toBe(found.length);
    }),
  );
});

test('nothing that matches is a failure that says what was looked for', () => {
  expect(noMatch('web-*', ['look'])).toMatchObject({ exit: 3, message: 'nothing matches web-*' });
  expect(noMatch('podman:*', ['look'], 2).message).toBe('nothing that runs matches podman:*; 2 that do are stopped');
  expect(noMatch('a\x1b*', ['look']).message).not.toContain('\x1b');
});

test('a pattern of a kind that has no list is a name, and refused as one', () => {
  expect(() => checkName('pid:47*')).toThrow(/pid:47\*/);
});
