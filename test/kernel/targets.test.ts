/** How a target is named, and what happens to names that mean nothing, two things, or harm. */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { useLabs } from './rig/lab';
import { scratchDirectory } from './rig/leftovers';
import { expectExit, netfreeze, only } from './rig/netfreeze';
import { run } from './rig/program';

describeEngines('a target', (engine) => {
  const makeLab = useLabs(engine);

  test('is the same namespace by every kind of name', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const pid = await lab.resident('box');
    const link = join(lab.stateDir, 'link');
    symlinkSync(lab.file('box'), link);
    const names = [
      lab.box,
      `netns:${lab.box}`,
      `pid:${pid}`,
      `path:${lab.file('box')}`,
      `path:/proc/${pid}/ns/net`,
      `path:${link}`,
    ];
    const seen = [];
    for (const name of names) {
      const frozen = only(expectExit(await lab.netfreeze('on', name, '--json'), 0));
      expect(frozen).toMatchObject({
        target: expect.stringContaining(name),
        state: 'frozen',
        verified: true,
        mode: 'drop',
        template: 'drop',
        lease: null,
      });
      expect(await gauge.open()).toEqual([]);
      seen.push(frozen.namespace);
      // Frozen under one name, thawed under another.
      expectExit(await lab.netfreeze('off', names[(names.indexOf(name) + 1) % names.length] ?? name), 0);
      expect(await gauge.open()).toEqual(gauge.all);
    }
    expect(new Set(seen.map((namespace) => JSON.stringify(namespace))).size).toBe(1);
    expect(JSON.stringify(seen[0])).toBe(await identity(lab.file('box')));
  });

  test('lives as long as its freeze needs it: status finds it by the kernel, without a name', async () => {
    const lab = await makeLab();
    await lab.freeze('--reason', 'quiet; $(please)');
    const { inode } = only(await lab.netfreeze('status', lab.box, '--json')).namespace;
    const all = expectExit(await lab.netfreeze('status', '--json'), 0).report.targets;
    expect(all.filter(({ namespace, state }) => namespace.inode === inode && state === 'frozen')).toHaveLength(1);
    expect((await lab.netfreeze('status', lab.box)).stdout).toContain('quiet; $(please)');
  });
});

describeOneEngine('the name of a target', (engine) => {
  const makeLab = useLabs(engine);

  test('that nobody has: exit 3, with the near ones', async () => {
    const lab = await makeLab();
    const near = `${lab.box.slice(0, -1)}y`;
    const outcome = expectExit(await lab.netfreeze('on', near), 3);
    expect(outcome.stderr).toContain(lab.box);
    const { report } = await lab.netfreeze('on', near, '--json');
    expect(report.error ?? report.targets[0]?.error).toMatchObject({ exit: 3 });
  });

  test('that is a namespace and a process: exit 3, with both', async () => {
    const lab = await makeLab();
    const pid = await lab.resident('peer');
    await lab.addNamespace(`${pid}`);
    const outcome = expectExit(await lab.netfreeze('on', `${pid}`), 3);
    expect(outcome.stderr).toContain(`netns:${pid}`);
    expect(outcome.stderr).toContain(`pid:${pid}`);
    expect(await lab.nft('peer', 'list ruleset')).toBe('');
    expectExit(await lab.netfreeze('on', `netns:${pid}`), 0);
    expect(await lab.nft('peer', 'list ruleset')).toBe('');
    expectExit(await lab.netfreeze('off', `netns:${pid}`), 0);
  });

  test.each([
    'nfz box with spaces',
    'nfz-мережа',
    'nfz-網路',
    'nfz-"quoted"',
    "nfz-it's",
    'nfz-$(id)',
    'nfz-;',
    'nfz:colon',
    'nfz%41',
  ])('may be strange where a namespace really has it: %s', async (name) => {
    const lab = await makeLab();
    await lab.addNamespace(name);
    expectExit(await lab.netfreeze('on', `netns:${name}`), 0);
    expect(await run('ip', ['netns', 'exec', name, 'nft', 'list tables'])).toContain('inet netfreeze');
    expectExit(await lab.netfreeze('verify', `netns:${name}`), 0);
    expectExit(await lab.netfreeze('off', `netns:${name}`), 0);
    expect(await run('ip', ['netns', 'exec', name, 'nft', 'list ruleset'])).toBe('');
  });

  const harmful = [
    '',
    ' ',
    '.',
    '..',
    '../',
    '../../etc/passwd',
    '/etc/passwd',
    'a/b',
    'web\nother',
    'web\u001b[31m',
    'a'.repeat(300),
    '"; nft flush ruleset; "',
    '$(touch /nfz)',
    '-1',
    '--',
    'мережа',
    '0x10',
    '99999999999999999999',
    'netns:',
    'netns:../x',
    'pid:',
    'pid:0',
    'pid:-1',
    'pid:1.5',
    'pid:1e3',
    'pid:abc',
    'pid:99999999999',
    'path:',
    'path:relative',
    'path:/no/such/file',
    'path:/proc/self/ns/mnt',
    'path:/dev/null',
    'unheard-of:web',
  ];

  test.each(harmful.map((name) => [JSON.stringify(name.length > 40 ? `${name.slice(0, 37)}...` : name), name]))(
    'that means nothing: %s is 2 or 3, and is not printed raw',
    async (_shown, name) => {
      const outcome = expectExit(await netfreeze({ engine, stateDir: scratchDirectory('state') }, ['on', name]), 2, 3);
      expect(outcome.stdout).toBe('');
      expect(outcome.stderr).not.toBe('');
      expect(outcome.stderr).not.toContain('\u001b[31m');
    },
  );

  test('that is a plain file, a directory or a hard link to nothing: exit 2 or 3', async () => {
    const lab = await makeLab();
    const [plain, other, folder] = ['plain', 'other', 'folder'].map((name) => join(lab.stateDir, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(plain, '');
    linkSync(plain, other);
    mkdirSync(folder);
    for (const file of [plain, other, folder]) expectExit(await lab.netfreeze('on', `path:${file}`), 2, 3);
  });

  test("that is the machine's own namespace: exit 2, and nothing is loaded there", async () => {
    const lab = await makeLab();
    for (const name of [`pid:${process.pid}`, 'path:/proc/self/ns/net', 'pid:1']) {
      // The first process may be hidden even from root, where the machine is a container itself.
      const refused = name === 'pid:1' ? [2, 4] : [2];
      expectExit(await lab.netfreeze('on', name, '--lease', '1s', '--dry-run'), ...refused);
      expectExit(await lab.netfreeze('on', name), ...refused);
      // Allowed, but without the lease that would give it back: with --dry-run, so that a fault here does no harm.
      expectExit(await lab.netfreeze('on', name, '--allow-host', '--dry-run'), ...refused);
    }
  });

  test('that is missing: exit 2', async () => {
    const lab = await makeLab();
    expect(await lab.netfreeze('on')).toMatchObject({ exit: 2 });
    expect(await lab.netfreeze('on', '--all')).toMatchObject({ exit: 2 });
    expect(await lab.netfreeze('freeze-everything')).toMatchObject({ exit: 2 });
    expect(await lab.netfreeze('on', lab.box, '--no-such-flag')).toMatchObject({ exit: 2 });
  });
});

/** Device and inode of a namespace's file, as the report has them. */
async function identity(file: string): Promise<string> {
  const [device, inode] = (await run('stat', ['-L', '-c', '%d %i', file])).trim().split(' ').map(Number);
  return JSON.stringify({ device, inode });
}
