/** The systemd units: what is filled in, and how files come and go. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isUntouched, rendered } from '../../src/units/render';
import { installUnits, removeUnits, unitDirectory, unitNames } from '../../src/units/units';
import { failureOf } from './failures';
import { useScratchDirectory } from './scratch';

const root = join(__dirname, '../..');
const program = { node: '/usr/bin/node', netfreeze: '/usr/lib/node_modules/netfreeze/bin/netfreeze' };

describe('a rendered unit', () => {
  const template = 'ExecStart=@NETFREEZE@ on\nProtectHome=@HOME@\nPrivate@devices\n';
  const lines = (node: string, netfreeze: string) => rendered(template, { node, netfreeze }).split('\n').slice(1);

  test('starts the program by its absolute path, and knows that nobody has changed it', () => {
    const text = rendered(template, program);
    expect(text).toContain(`\nExecStart=${program.node} ${program.netfreeze} on\nProtectHome=yes\nPrivate@devices\n`);
    expect(isUntouched(text)).toBe(true);
    expect(isUntouched(text.replace('yes', 'no'))).toBe(false);
    expect(isUntouched(`${text}# more\n`)).toBe(false);
    expect(isUntouched(template)).toBe(false);
  });

  test.each([
    ['/opt/a b/node', '/opt/a b/nf', 'ExecStart="/opt/a b/node" "/opt/a b/nf" on'],
    ['/opt/50%/node', '/opt/%i/nf', 'ExecStart="/opt/50%%/node" "/opt/%%i/nf" on'],
    ['/opt/"q"\\/node', '/opt/\\x20/nf', 'ExecStart="/opt/\\"q\\"\\\\/node" "/opt/\\\\x20/nf" on'],
    // The program's path is taken as it is, its arguments are searched for variables.
    ['/opt/$HOME/node', '/opt/$HOME/nf', 'ExecStart="/opt/$HOME/node" "/opt/$$HOME/nf" on'],
    ["/opt/'/node", '/opt/;/nf', 'ExecStart="/opt/\'/node" "/opt/;/nf" on'],
  ])('with the paths %s and %s', (node, netfreeze, line) => {
    expect(lines(node, netfreeze)[0]).toBe(line);
  });

  test.each(['/home/me/node', '/root/node', '/run/user/0/node'])('sees home directories where %s is', (node) => {
    expect(lines(node, program.netfreeze)[1]).toBe('ProtectHome=read-only');
  });

  test.each(['bin/netfreeze', '/tmp/netfreeze', '/var/tmp/x/netfreeze', '/opt/a\nExecStart=/bin/sh', '/opt/\u007f'])(
    'is refused for %j',
    async (netfreeze) => {
      const failure = await failureOf(() => rendered(template, { ...program, netfreeze }));
      expect(failure).toMatchObject({ code: 'unfit-program', exit: 2 });
      expect(failure.message).not.toContain('\n');
    },
  );
});

describe('units below a prefix', () => {
  const prefix = useScratchDirectory();
  const place = (name: string) => join(prefix(), 'lib/systemd/system', name);
  const [service, target] = unitNames.map((name) => () => place(name)) as [() => string, () => string];
  const states = (units: Array<{ state: string }>) => units.map(({ state }) => state);
  const install = (netfreeze = program.netfreeze) => installUnits(prefix(), { ...program, netfreeze }, root);

  test('are all that stands in templates/systemd, with everything filled in', () => {
    expect([...unitNames].sort()).toEqual(readdirSync(join(root, 'templates/systemd')).sort());
    expect(states(install())).toEqual(['installed', 'installed']);
    for (const name of unitNames) {
      const text = readFileSync(place(name), 'utf8');
      expect(isUntouched(text)).toBe(true);
      expect(text).not.toMatch(/@[A-Z]+@/);
    }
    expect(readFileSync(service(), 'utf8')).toContain(`ExecStart=${program.node} ${program.netfreeze} on `);
  });

  test('are left alone the second time, and replaced by those of another netfreeze', () => {
    install();
    expect(states(install())).toEqual(['unchanged', 'unchanged']);
    // The target starts nothing.
    expect(states(install('/opt/netfreeze/bin/netfreeze'))).toEqual(['installed', 'unchanged']);
    expect(readFileSync(service(), 'utf8')).toContain('/opt/netfreeze/bin/netfreeze on ');
    expect(readdirSync(unitDirectory(prefix())).sort()).toEqual([...unitNames].sort());
  });

  test('are not written when one was changed by hand, or is of somebody else', async () => {
    install();
    writeFileSync(target(), '[Unit]\n');
    const before = readFileSync(service(), 'utf8');
    const failure = await failureOf(() => install('/opt/netfreeze/bin/netfreeze'));
    expect(failure).toMatchObject({ code: 'unit-changed', exit: 2 });
    expect(failure.message).toContain(target());
    expect(failure.message).not.toContain(service());
    expect(readFileSync(service(), 'utf8')).toBe(before);
    expect(readFileSync(target(), 'utf8')).toBe('[Unit]\n');
  });

  test('are written whole or not at all', async () => {
    // The second file's draft can't be written: the first one must not have come into its place either.
    mkdirSync(unitDirectory(prefix()), { recursive: true });
    const other = `${target()}.${process.pid}.new`;
    symlinkSync('/nowhere', other);
    expect(await failureOf(() => install())).toMatchObject({ code: 'units-not-written' });
    expect(readdirSync(unitDirectory(prefix()))).toEqual([]);
  });

  test('are removed, but not one that was changed', () => {
    install();
    writeFileSync(target(), `${readFileSync(target(), 'utf8')}# mine\n`);
    expect(states(removeUnits(prefix()))).toEqual(['removed', 'kept']);
    expect(existsSync(service())).toBe(false);
    expect(existsSync(target())).toBe(true);
    expect(states(removeUnits(prefix()))).toEqual(['absent', 'kept']);
  });

  test('need a prefix that is there, and may be written', async () => {
    const missing = join(prefix(), 'nothing');
    expect(await failureOf(() => installUnits(missing, program, root))).toMatchObject({
      code: 'units-not-written',
      exit: 2,
      message: expect.stringContaining(missing),
    });
    // Nobody may make a directory there, root included.
    expect(await failureOf(() => installUnits('/sys', program, root))).toMatchObject({
      code: 'units-not-written',
      exit: 4,
    });
    writeFileSync(join(prefix(), 'lib'), '');
    expect(await failureOf(() => install())).toMatchObject({ code: 'units-not-written', exit: 2 });
  });
});
