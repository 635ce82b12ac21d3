/** What the VM suite computes before there is a machine: keys of what is kept, and the list of what it runs. */
import { existsSync, readFileSync } from 'node:fs';
import { chosen } from '../vm/rig/choose';
import { keyOf } from '../vm/rig/key';
import { parseSuite } from '../vm/rig/suite';

describe('the key of what is kept', () => {
  const parts = { builder: 'mkfs', node: Buffer.from([0, 1, 2]) };

  test('is the same for the same parts in any order', () => {
    expect(keyOf(parts)).toMatch(/^[0-9a-f]{16}$/);
    expect(keyOf({ node: parts.node, builder: parts.builder })).toBe(keyOf(parts));
  });

  test.each<[change: string, other: Record<string, string | Buffer>]>([
    ['a part changes', { ...parts, builder: 'mke2fs' }],
    ['a part has another name', { build: 'mkfs', node: parts.node }],
    ['a part is added, though an empty one', { ...parts, extra: '' }],
    ['a byte moves from one part to the next', { builder: 'mkf', node: Buffer.from('s\0\x01\x02') }],
  ])('is another one when %s', (_change, other) => {
    expect(keyOf(other)).not.toBe(keyOf(parts));
  });
});

describe('the list of what the machine runs', () => {
  test('has a file, its script, its engines and a reason on each line', () => {
    const text =
      '# FILE SCRIPT ENGINES WHY\n\ntest/a.test.ts test both because of x\n  the first\n  one more\ntest/b.test.ts test:faults nft  y\n';
    expect(parseSuite(text)).toEqual([
      { file: 'test/a.test.ts', script: 'test', engines: 'libnftables,nft', only: ['the first', 'one more'] },
      { file: 'test/b.test.ts', script: 'test:faults', engines: 'nft', only: [] },
    ]);
  });

  test.each([
    'test/a.test.ts',
    'test/a.test.ts test both',
    'test/a.test.ts both because of x',
    'test/a.test.ts test iptables because',
  ])('refuses %j', (line) => {
    expect(() => parseSuite(line)).toThrow(/suite\.txt wants/);
  });

  test('names files that are there', () => {
    const files = parseSuite(readFileSync('test/vm/suite.txt', 'utf8')).map(({ file }) => file);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
    expect(new Set(files).size).toBe(files.length);
  });
});

test('of a file that is there in part, only the tests that are asked for are registered', () => {
  const registered: string[] = [];
  const register = (name: string) => registered.push(name);
  const each = () => register;
  const all = Object.assign(register, { each, skip: Object.assign(register, { each }) }) as unknown as jest.It;
  const test = chosen(all, ['flow', 'redirect'], () => {});
  test('a flow stops', () => {});
  test('nothing else', () => {});
  test.each([1, 2])('a redirect %d', () => {});
  test.each([1, 2])('another %d', () => {});
  test.skip('a flow that this kernel lacks', () => {});
  test.skip.each([1])('a redirect that it lacks %d', () => {});
  test.skip('something that it lacks', () => {});
  expect(registered).toEqual([
    'a flow stops',
    'a redirect %d',
    'a flow that this kernel lacks',
    'a redirect that it lacks %d',
  ]);
});
