/** Names of targets, as people write them: what can be none is refused, and what is missing is told without any privilege. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { netnsDirectory } from '../../src/namespace/discover';
import { failureText } from '../../src/presentation/failure';
import { netns } from '../../src/target/netns';
import { path } from '../../src/target/path';
import { pid } from '../../src/target/pid';
import { checkName, resolve } from '../../src/target/target';
import { dangerous, failureOf, hostileTexts } from './failures';
import { useScratchDirectory } from './scratch';

// The same names in every run.
fc.configureGlobal({ seed: 1 });

/** A process id that Linux gives to nobody while fewer than 4 million processes run. */
const nobody = 4_194_304;

// What engines make of a name is another test's.
const { PATH, DOCKER_HOST } = process.env;
beforeAll(() => {
  Object.assign(process.env, { PATH: '/netfreeze-no-such-directory', DOCKER_HOST: 'unix:///netfreeze-no-such-socket' });
});
afterAll(() => {
  Object.assign(process.env, { PATH, DOCKER_HOST: DOCKER_HOST ?? '' });
});

describe('a name that can be one', () => {
  test.each([
    'web',
    'netns:web',
    'a b',
    'контейнер',
    '容器',
    '💥',
    "it's",
    'a"b',
    '..web',
    'x'.repeat(255),
    `pid:${nobody}`,
    'pid:1',
    '1234',
    'path:/run/netns/web',
    'path:/proc/1/ns/net',
    'path:./web',
    'path:/a b/c:d',
    `path:/${'x'.repeat(4000)}`,
    'podman:db',
    'docker:my_app-db.1',
    'docker:0f3c',
    'unit:nginx',
    'unit:nginx.service',
    'unit:getty@tty1',
    'unit:systemd-nspawn@a\\x2db.service',
    'unit:machine-web.scope',
  ])('%j', (text) => {
    expect(() => checkName(text)).not.toThrow();
  });
});

describe('a name that can be none', () => {
  test.each<[text: string, why: string]>([
    ['', 'the name is empty'],
    ['netns:', 'the name is empty'],
    ['path:', 'the path is empty'],
    ['.', 'that is a directory'],
    ['..', 'that is a directory'],
    ['netns:..', 'that is a directory'],
    ['a/b', 'a name has no slash'],
    ['../../etc/passwd', 'a name has no slash'],
    ['/run/netns/web', 'a name has no slash'],
    ['netns:/run/netns/web', 'a name has no slash'],
    ['web\n', 'a name has no control characters'],
    ['\u001b[2J', 'a name has no control characters'],
    ['\0', 'a name has no control characters'],
    ['\x7f', 'a name has no control characters'],
    ['path:/run/netns/web\n', 'a path has no control characters'],
    ['path:/\0', 'a path has no control characters'],
    ['x'.repeat(256), 'a name has at most 255 bytes'],
    ['x'.repeat(300), 'a name has at most 255 bytes'],
    ['ж'.repeat(128), 'a name has at most 255 bytes'],
    [`path:/${'x'.repeat(4096)}`, 'a path has fewer than 4096 bytes'],
    ['podman:', 'the name is empty'],
    ['podman:-f', "a container's name has"],
    ['podman:--help', "a container's name has"],
    ['docker:a/b', "a container's name has"],
    ['docker:../info', "a container's name has"],
    ['docker:a b', "a container's name has"],
    ['docker:db?all=1', "a container's name has"],
    ['docker:db\n', "a container's name has"],
    ['docker:\u001b[2J', "a container's name has"],
    [`docker:${'x'.repeat(256)}`, "a container's name has at most 255"],
    ['unit:', 'the name is empty'],
    ['unit:-H', "a unit's name has"],
    ['unit:--version', "a unit's name has"],
    ['unit:a b', "a unit's name has"],
    ['unit:a/b', "a unit's name has"],
    ['unit:db\n', "a unit's name has"],
    ['unit:@x', "a unit's name has"],
    ['unit:getty@', 'a template needs an instance'],
    ['unit:getty@.service', 'a template needs an instance'],
    ['unit:docker.socket', 'only services and scopes'],
    ['unit:system.slice', 'only services and scopes'],
    [`unit:${'x'.repeat(255)}`, "a unit's name has fewer"],
    ['pid:', 'a process id is a whole number'],
    ['pid:0', 'a process id is a whole number'],
    ['pid:-1', 'a process id is a whole number'],
    ['pid:1.5', 'a process id is a whole number'],
    ['pid:0x1', 'a process id is a whole number'],
    ['pid:01', 'a process id is a whole number'],
    ['pid: 1', 'a process id is a whole number'],
    ['pid:1\n', 'a process id is a whole number'],
    ['pid:self', 'a process id is a whole number'],
    ['pid:1/../2', 'a process id is a whole number'],
    ['pid:4194305', 'a process id is a whole number'],
    ['pid:99999999', 'a process id is a whole number'],
    ['pid:١', 'a process id is a whole number'],
    ['nosuch:web', 'there is no kind of target nosuch'],
    ['Netns:web', 'there is no kind of target Netns'],
    [':web', 'there is no kind of target'],
    ['10.0.0.1:80', 'there is no kind of target 10.0.0.1'],
    ['constructor:web', 'there is no kind of target constructor'],
    ['\u001b[2J:web', 'there is no kind of target "\\u001b[2J"'],
  ])('%j', async (text, why) => {
    for (const action of [checkName, resolve]) {
      const failure = await failureOf(() => action(text));
      expect(failure).toMatchObject({ code: 'bad-target', exit: 2 });
      expect(failure.message).toContain(`is not a target: ${why}`);
      expect(failureText(failure)).not.toMatch(dangerous);
    }
  });

  test('a path without its kind: the kind is suggested', async () => {
    const { suggestions } = await failureOf(() => checkName('/run/netns/web'));
    expect(suggestions).toEqual(['for a file, write path:/run/netns/web']);
  });

  test('an unknown kind: the kinds are listed, and the way to a namespace of that name', async () => {
    const { suggestions } = await failureOf(() => checkName('podmen:db'));
    expect(suggestions).toEqual([
      expect.stringMatching(/^kinds: .*netns.*pid.*path.*podman.*docker.*unit/),
      'for a namespace of that name, write netns:podmen:db',
    ]);
  });

  test('a very long one is cut in the message', async () => {
    const { message } = await failureOf(() => checkName('x'.repeat(100_000)));
    expect(message.length).toBeLessThan(200);
  });
});

describe('a name that nothing has', () => {
  const missing = (name: string) => failureOf(() => resolve(name));

  test.each(['netfreeze-no-such-namespace', 'netns:netfreeze-no-such-namespace'])('a namespace: %s', async (name) => {
    const failure = await missing(name);
    expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
    // Where systemd runs it is asked for a bare name as well, and knows nothing either.
    expect(failure.message).toMatch(/^there is no network namespace named netfreeze-no-such-namespace(, and |$)/);
  });

  test('a process', async () => {
    const failure = await missing(`pid:${nobody}`);
    expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
    expect(failure.message).toBe(`there is no process ${nobody}, or it has just ended`);
  });

  test('a bare number that is neither a namespace nor a process', async () => {
    expect(await missing(String(nobody))).toMatchObject({ code: 'no-such-target', exit: 3 });
  });

  test('a bare number that is a process only: the process is suggested, not taken', async () => {
    const failure = await missing(String(process.pid));
    expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
    expect(failure.suggestions).toEqual([`did you mean the process: pid:${process.pid}`]);
  });

  test.each(hostileTexts)('whatever it is, nothing is done: %j', async (text) => {
    for (const name of [text, `netns:${text}`, `path:/netfreeze-no-such-directory/${text}`, `pid:${text}`]) {
      const failure = await missing(name);
      expect([2, 3]).toContain(failure.exit);
      expect(failureText(failure)).not.toMatch(dangerous);
    }
  });

  test('every text is a refusal of usage, or of what is not there', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'neptisda:/.\\ \n0') })),
        async (text) => {
          for (const name of [`netns:x${text}x`, `path:/netfreeze-no-such-directory/x${text}x`, `none:${text}`]) {
            fc.pre(!text.includes('..'));
            const failure = await missing(name);
            expect([2, 3]).toContain(failure.exit);
            expect(failureText(failure)).not.toMatch(dangerous);
          }
        },
      ),
    );
  });
});

describe('a file that is no network namespace', () => {
  const directory = useScratchDirectory();

  test('is told from one that is not there', async () => {
    const file = join(directory(), 'plain');
    writeFileSync(file, '');
    mkdirSync(join(directory(), 'folder'));
    symlinkSync(file, join(directory(), 'link'));
    symlinkSync('nowhere', join(directory(), 'broken'));
    for (const name of ['plain', 'folder', 'link']) {
      const failure = await failureOf(() => resolve(`path:${join(directory(), name)}`));
      expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
      expect(failure.message).toBe(`${join(directory(), name)} is not a network namespace`);
    }
    for (const name of ['missing', 'broken', 'plain/below']) {
      const failure = await failureOf(() => resolve(`path:${join(directory(), name)}`));
      expect(failure).toMatchObject({ code: 'no-such-target', exit: 3 });
      expect(failure.message).toBe(`there is no file ${join(directory(), name)}`);
    }
  });

  test.each(['/dev/null', '/proc/self/ns/mnt', '/proc/self/ns/pid', '/proc/self/status', '/'])('%s', async (file) => {
    expect(await failureOf(() => resolve(`path:${file}`))).toMatchObject({ code: 'no-such-target', exit: 3 });
  });
});

describe('the file behind a name', () => {
  test('is found in one place for each kind', () => {
    expect(netns.file('web')).toBe(`${netnsDirectory}/web`);
    expect(pid.file('4711')).toBe('/proc/4711/ns/net');
    expect(path.file('/run/../run/netns/web')).toBe('/run/netns/web');
    expect(path.file('web')).toBe(join(process.cwd(), 'web'));
  });

  test('of a namespace is never outside of its directory', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'./a\\ ~$') }), (name) => {
        if (netns.objection(name) !== null) return;
        expect(path.file(netns.file(name))).toBe(`${netnsDirectory}/${name}`);
      }),
    );
  });

  test('of a process is never another’s', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789./ ') }), (name) => {
        if (pid.objection(name) === null) expect(pid.file(name)).toMatch(/^\/proc\/[1-9][0-9]{0,6}\/ns\/net$/);
      }),
    );
  });
});
