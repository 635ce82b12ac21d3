/**
 * CRIU's action script, started as CRIU starts it, by a stand-in: on the test machine's kernel CRIU itself may not work.
 * What a real one does with it is in test/vm/checkpoint.test.ts.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { describeEngines, describeOneEngine, type Engine, programPath } from './rig/describe';
import { openGauge } from './rig/gauge';
import { keepersOf } from './rig/keeper';
import { type Lab, useLabs } from './rig/lab';
import { expectExit, netfreezeProgram, only } from './rig/netfreeze';
import { stateIn } from './rig/state';
import { patience, sleep } from './rig/wait';

const hookProgram = resolve(netfreezeProgram, '../netfreeze-criu-hook');
const skip = ['dump', '--network-lock', 'skip'];
const locking = ['dump', '--no-default-config'];

interface Act {
  exit: number;
  said: string;
}

/** A process whose name and arguments are CRIU's, and which starts the hook for one action after the other. */
interface StandIn {
  act(action: string): Promise<Act>;
  end(): Promise<void>;
}

const script = `#!/bin/sh
while read -r CRTOOLS_SCRIPT_ACTION; do
  export CRTOOLS_SCRIPT_ACTION
  "$HOOK" 2>&1 <&-
  echo "=$?"
done
`;

interface Making {
  args?: string[];
  options?: string;
  /** Of which CRIU says that it dumps or restores them. */
  init: number | undefined;
  inBox?: boolean;
  env?: NodeJS.ProcessEnv;
}

function useStandIns(engine: Engine): (lab: Lab, making: Making) => StandIn {
  const running: StandIn[] = [];
  afterEach(async () => {
    for (const one of running.splice(0)) await one.end();
  });
  return (lab, { args = skip, options = '', init, inBox = false, env = {} }) => {
    const program = join(lab.stateDir, 'criu');
    writeFileSync(program, script);
    chmodSync(program, 0o755);
    const words = [...(inBox ? ['nsenter', `--net=${lab.file('box')}`] : []), program, ...args];
    const child = execa(words[0] as string, words.slice(1), {
      reject: false,
      buffer: false,
      env: {
        ...{ HOOK: hookProgram, PATH: programPath, NODE_EXTRA_CA_CERTS: undefined, NETFREEZE_ENGINE: engine },
        ...{ NETFREEZE_STATE_DIR: join(lab.stateDir, 'state'), NETFREEZE_HOOK_OPTIONS: `--limit 60s ${options}` },
        ...(init === undefined ? {} : { CRTOOLS_INIT_PID: `${init}` }),
        ...env,
      },
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const standIn: StandIn = {
      async act(action) {
        child.stdin.write(`${action}\n`);
        const said: string[] = [];
        for (;;) {
          const { value, done } = await lines.next();
          if (done) throw new Error(`the stand-in has ended: ${said.join('\n')}`);
          if (value.startsWith('=')) return { exit: Number(value.slice(1)), said: said.join('\n') };
          said.push(value);
        }
      },
      async end() {
        child.kill('SIGKILL');
        await child;
      },
    };
    running.push(standIn);
    return standIn;
  };
}

/** Fails with what the hook has said unless it ended so. */
function expectEnd(act: Act, exit: number): string {
  if (act.exit !== exit) throw new Error(`exit ${act.exit} instead of ${exit}:\n${act.said}`);
  return act.said;
}

const inState = (lab: Lab, ...args: string[]) =>
  lab.netfreezeIn({ env: { NETFREEZE_STATE_DIR: join(lab.stateDir, 'state') } }, ...args);

async function expectNothingLeft(lab: Lab): Promise<void> {
  expect(await lab.nft('box', 'list ruleset')).toBe('');
  expect(await keepersOf(lab)).toEqual([]);
  expect(stateIn({ stateDir: join(lab.stateDir, 'state') })).toEqual([]);
}

describeEngines('while CRIU dumps', (engine) => {
  const makeLab = useLabs(engine);
  const startCriu = useStandIns(engine);

  test('it is frozen from network-lock to network-unlock, and nothing is left', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const criu = startCriu(lab, { init: await lab.resident('box'), args: [...skip, '-R'] });
    expectEnd(await criu.act('pre-dump'), 0);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(expectEnd(await criu.act('network-lock'), 0)).toMatch(
      /CRIU puts no lock of its own beside it \(CRIU's arguments\)/,
    );
    expect(await gauge.open()).toEqual([]);
    expect(only(await inState(lab, 'status', lab.box, '--json')).lease?.expiresInMs).toBeLessThanOrEqual(30_000);
    expect(expectEnd(await criu.act('post-dump'), 0)).toMatch(/has held to the end of the dump/);
    expect(await gauge.open()).toEqual([]);
    expectEnd(await criu.act('network-unlock'), 0);
    expect(await gauge.open()).toEqual(gauge.all);
    await expectNothingLeft(lab);
  });

  test('that ends the tasks, the freeze stays, and the restore ends it', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const init = await lab.resident('box');
    const dump = startCriu(lab, { init, options: '--mode steal' });
    expectEnd(await dump.act('network-lock'), 0);
    expectEnd(await dump.act('post-dump'), 0);
    await dump.end();
    const kept = only(expectExit(await inState(lab, 'status', lab.box, '--json'), 0));
    expect(kept).toMatchObject({ state: 'frozen', verified: true, mode: 'steal', lease: null });

    // The image is that of a dump without a lock: images/inventory.proto, field 11.
    const images = join(lab.stateDir, 'images');
    mkdirSync(images);
    writeFileSync(join(images, 'inventory.img'), Buffer.from([...Array(12).fill(0), 0x58, 0x02]));
    const restore = startCriu(lab, { init, args: ['restore'], env: { CRTOOLS_IMAGE_DIR: images } });
    expectEnd(await restore.act('setup-namespaces'), 0);
    // CRIU's own packets pass now, and it is said.
    expect(await lab.nft('box', 'list ruleset')).toContain('mark 0x0000c114 accept');
    expect(only(await inState(lab, 'status', lab.box, '--json')).notes).toEqual([
      expect.stringMatching(/^CRIU's mark 0xC114 passes/),
    ]);
    expectEnd(await restore.act('post-setup-namespaces'), 0);
    expectEnd(await restore.act('network-unlock'), 0);
    expect(await gauge.open()).toEqual([]);
    expectEnd(await restore.act('pre-resume'), 0);
    expect(await gauge.open()).toEqual(gauge.all);
    expectEnd(await restore.act('post-resume'), 0);
    await expectNothingLeft(lab);
  });

  test('a freeze that somebody else has made is proven, and left as it is', async () => {
    const lab = await makeLab();
    expectExit(await inState(lab, 'on', lab.box), 0);
    const before = await lab.nft('box', 'list ruleset');
    const criu = startCriu(lab, { init: await lab.resident('box') });
    expect(expectEnd(await criu.act('network-lock'), 0)).toMatch(/is frozen already \(drop\)/);
    expectEnd(await criu.act('post-dump'), 0);
    expect(expectEnd(await criu.act('network-unlock'), 0)).toMatch(/was frozen by somebody else, and stays so/);
    expect(await lab.nft('box', 'list ruleset')).toBe(before);
    expectExit(await inState(lab, 'verify', lab.box), 0);
  });
});

describeOneEngine('while CRIU dumps', (engine) => {
  const makeLab = useLabs(engine);
  const startCriu = useStandIns(engine);

  test.each([
    [
      'nftables was changed, and changed back',
      'add table inet x; delete table inet x',
      /has been changed meanwhile/,
      10,
    ],
    ['the table was deleted', 'delete table inet netfreeze', /is not frozen, or its lease has ended/, 11],
    ['a rule was added', 'insert rule inet netfreeze output accept', /no longer shows what was frozen/, 10],
    ['the lease was emptied', 'flush set inet netfreeze lease', /is not frozen, or its lease has ended/, 11],
  ])('a dump fails when %s', async (_, change, message, exit) => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box') });
    expectEnd(await criu.act('network-lock'), 0);
    await lab.nft('box', change);
    expect(expectEnd(await criu.act('post-dump'), exit)).toMatch(message);
    expectEnd(await criu.act('network-unlock'), 0);
    await expectNothingLeft(lab);
  });

  test('a dump fails that has taken longer than its lease', async () => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box'), options: '--lease 1s' });
    expectEnd(await criu.act('network-lock'), 0);
    await sleep(1200);
    expect(expectEnd(await criu.act('post-dump'), 11)).toMatch(/give the hook a longer one with --lease/);
    expectEnd(await criu.act('network-unlock'), 0);
    await expectNothingLeft(lab);
  });

  test("CRIU's own lock beside it is told of, and does no harm to mode drop", async () => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box'), args: locking });
    expect(expectEnd(await criu.act('network-lock'), 0)).toMatch(/CRIU puts its own lock beside it/);
    await lab.nft(
      'box',
      'add table inet CRIU-7; add chain inet CRIU-7 output { type filter hook output priority 0; policy drop; }',
    );
    expect(expectEnd(await criu.act('post-dump'), 0)).toMatch(/stands beside it \(table inet CRIU-7\)/);
    expectEnd(await criu.act('network-unlock'), 0);
    expect(await lab.nft('box', 'list tables')).toBe('table inet CRIU-7\n');
  });

  test('mode steal beside a lock of its own is refused before anything is touched', async () => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box'), args: locking, options: '--mode steal' });
    expect(expectEnd(await criu.act('network-lock'), 2)).toMatch(/--network-lock skip/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    // Nor beside a freeze in that mode that somebody else has made.
    expectExit(await inState(lab, 'on', lab.box, '--mode', 'steal'), 0);
    const other = startCriu(lab, { init: await lab.resident('box'), args: locking });
    expectEnd(await other.act('network-lock'), 2);
  });

  test('tasks in the namespace that CRIU itself is in are dumped only where that is frozen already', async () => {
    const lab = await makeLab();
    const init = await lab.resident('box');
    const refused = startCriu(lab, { init, inBox: true });
    expect(expectEnd(await refused.act('pre-dump'), 2)).toMatch(/netfreeze run pid:\d+ -- criu dump/);
    expectExit(await inState(lab, 'on', lab.box), 0);
    const criu = startCriu(lab, { init, inBox: true });
    expectEnd(await criu.act('pre-dump'), 0);
    expectEnd(await criu.act('post-dump'), 0);
    await lab.nft('box', 'add table inet x; delete table inet x');
    expectEnd(await criu.act('post-dump'), 10);
  });

  test('the freeze of a dump whose CRIU was killed is taken over by the next', async () => {
    const lab = await makeLab();
    const init = await lab.resident('box');
    const killed = startCriu(lab, { init });
    expectEnd(await killed.act('network-lock'), 0);
    await killed.end();
    const next = startCriu(lab, { init });
    expectEnd(await next.act('network-lock'), 0);
    expectEnd(await next.act('post-dump'), 0);
    expectEnd(await next.act('network-unlock'), 0);
    await expectNothingLeft(lab);
  });

  test('a ruleset that came with the image is no obstacle, nor is the freeze in it', async () => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box'), args: ['restore'] });
    // The freeze of the dump, as CRIU keeps it: as nft lists it.
    await lab.freeze('--lease', '5m');
    const image = await lab.nft('box', 'list ruleset');
    await lab.thaw();
    expectEnd(await criu.act('setup-namespaces'), 0);
    await lab.nft('box', image);
    expectExit(await inState(lab, 'verify', lab.box), 10);
    expectEnd(await criu.act('post-setup-namespaces'), 0);
    expectExit(await inState(lab, 'verify', lab.box), 0);
    expectEnd(await criu.act('pre-resume'), 0);
    await expectNothingLeft(lab);
  });

  test('what has come with the image alone is thawed as well, and its mode is taken over', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'drop', '--lease', '5m');
    const criu = startCriu(lab, { init: await lab.resident('box'), args: ['restore'], options: '--mode steal' });
    // Another state directory: there is no record here.
    expect(expectEnd(await criu.act('setup-namespaces'), 0)).toMatch(/is frozen \(drop/);
    expectEnd(await criu.act('pre-resume'), 0);
    await expectNothingLeft(lab);
  });

  test('actions that it does not know, and those without a note, are none of its business', async () => {
    const lab = await makeLab();
    const criu = startCriu(lab, { init: await lab.resident('box') });
    for (const action of ['network-unlock', 'pre-resume', 'post-resume', 'query-ext-files', 'something-new']) {
      expect(await criu.act(action)).toEqual({ exit: 0, said: '' });
    }
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('without a process, without an action, with options that are none: wrong usage, and what to do', async () => {
    const lab = await makeLab();
    expect(expectEnd(await startCriu(lab, { init: undefined }).act('network-lock'), 2)).toMatch(
      /CRTOOLS_INIT_PID is not set/,
    );
    const mistyped = startCriu(lab, { init: await lab.resident('box'), options: '--moed steal' });
    expect(expectEnd(await mistyped.act('network-lock'), 2)).toMatch(/--moed/);
    expect(expectExit(await lab.netfreeze('criu-hook'), 2).stderr).toMatch(/it is CRIU that starts this command/);
  });
});

describeOneEngine('the limit of an action', () => {
  // Only a program can be made slow.
  const engine = 'nft';
  const makeLab = useLabs(engine);
  const startCriu = useStandIns(engine);

  /** An nft that is slow, or that never ends, in front of the real one. */
  function slowNft(lab: Lab, does: string): NodeJS.ProcessEnv {
    const folder = join(lab.stateDir, 'slow');
    mkdirSync(folder);
    writeFileSync(join(folder, 'nft'), `#!/bin/sh\n${does}\nPATH=${programPath} exec nft "$@"\n`);
    chmodSync(join(folder, 'nft'), 0o755);
    return { PATH: `${folder}:${programPath}` };
  }

  test('is kept, and what was begun is undone', async () => {
    const lab = await makeLab();
    const env = { ...slowNft(lab, 'sleep 0.3'), NETFREEZE_HOOK_OPTIONS: '--limit 700ms' };
    const criu = startCriu(lab, { init: await lab.resident('box'), env });
    expect(expectEnd(await criu.act('network-lock'), 6)).toMatch(/took longer than 700ms and was undone/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('is kept when a program never ends, and the next action thaws', async () => {
    const lab = await makeLab();
    const once = join(lab.stateDir, 'once');
    // It hangs when the freeze has been loaded: at the first listing of the target.
    const hang = `case "$*" in *list*) [ -e ${once} ] || { : >${once}; exec sleep 1000; } ;; esac`;
    const env = { ...slowNft(lab, hang), NETFREEZE_HOOK_OPTIONS: '--limit 1s' };
    const criu = startCriu(lab, { init: await lab.resident('box'), env });
    const began = performance.now();
    const act = await criu.act('network-lock');
    expect(act.exit).not.toBe(0);
    expect(performance.now() - began).toBeLessThan(12_000 * patience);
    expectEnd(await criu.act('network-unlock'), 0);
    await expectNothingLeft(lab);
  });
});
