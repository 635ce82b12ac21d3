/** Groups: patterns and lists in the place of names, and a thousand targets in one operation. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeze } from '../../src/freeze/freeze';
import type { Machine } from '../../src/freeze/machine';
import { inside, pin, release } from '../../src/namespace/namespace';
import { NETLINK, openNetlink } from '../../src/netlink/socket';
import { familiesOfTable } from '../../src/nftables/kernel';
import { libnftables } from '../../src/nftables/libnftables';
import { type Crowd, makeCrowd } from './rig/crowd';
import { describeOneEngine } from './rig/describe';
import { requestOf } from './rig/in-process';
import { type Lab, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';
import { stateIn } from './rig/state';

describeOneEngine('names of many', (engine) => {
  const makeLab = useLabs(engine);
  const tables = (lab: Lab) => lab.nft('box', 'list tables');
  const frozen = 'table inet netfreeze\n';

  /** Three labs with one beginning of their own, and the pattern of two of them. */
  async function three(): Promise<{ labs: [Lab, Lab, Lab]; pattern: string }> {
    const labs: [Lab, Lab, Lab] = [await makeLab(), await makeLab(), await makeLab()];
    const [one, other] = labs;
    return { labs, pattern: `{${one.box.slice(0, -3)},${other.box.slice(0, -3)}}b?x` };
  }

  test('a pattern is all that it matches, and nothing else', async () => {
    const { labs, pattern } = await three();
    const [one, other, third] = labs;
    const { report } = expectExit(await one.netfreeze('on', pattern, '--json'), 0);
    expect(report.targets.map(({ target }) => target)).toEqual([one, other].map(({ box }) => `netns:${box}`).sort());
    expect(report).toMatchObject({ skewMs: expect.any(Number) });
    expect([await tables(one), await tables(other), await tables(third)]).toEqual([frozen, frozen, '']);
    for (const command of ['verify', 'renew', 'status', 'off'])
      expectExit(await one.netfreeze(command, `netns:${pattern}`), 0);
    expect([await tables(one), await tables(other)]).toEqual(['', '']);
  });

  test('a command runs under the freeze of all that a pattern matches', async () => {
    const { labs, pattern } = await three();
    const [one, other] = labs;
    const look = [one, other].map(({ box }) => `ip netns exec ${box} nft list tables`).join('; ');
    const outcome = expectExit(await one.netfreeze('run', pattern, '--', 'sh', '-c', look), 0);
    expect(outcome.stdout).toBe(frozen.repeat(2));
    expect([await tables(one), await tables(other)]).toEqual(['', '']);
  });

  test('off thaws all but the one that it can’t', async () => {
    const { labs, pattern } = await three();
    const [one, other] = labs;
    await one.freeze();
    await other.nft('box', 'add table inet netfreeze');
    const outcome = expectExit(await one.netfreeze('off', pattern), 10);
    expect(outcome.stderr).toContain(other.box);
    expect(await tables(one)).toBe('');
  });

  test('a pattern that matches nothing: 3, and nothing that was named beside it is touched', async () => {
    const lab = await makeLab();
    const outcome = expectExit(await lab.netfreeze('on', lab.box, 'nfz-nobody-*'), 3);
    expect(outcome.stderr).toContain('nothing matches nfz-nobody-*');
    expect(await tables(lab)).toBe('');
  });

  test('a name with a star in it is that name, where there is one', async () => {
    const lab = await makeLab();
    const odd = `${lab.box}-[1]`;
    await lab.addNamespace(odd);
    await lab.addNamespace(`${lab.box}-1`);
    const { report } = expectExit(await lab.netfreeze('on', odd, '--json'), 0);
    expect(report.targets.map(({ target }) => target)).toEqual([`netns:${odd}`]);
    expectExit(await lab.netfreeze('off', odd), 0);
  });

  test('targets come from a file, and from standard input, beside arguments', async () => {
    const { labs } = await three();
    const [one, other, third] = labs;
    const list = join(one.stateDir, 'list');
    writeFileSync(list, `# the first two\n\n  ${one.box}  \n${other.box.slice(0, -1)}[x]\n`);
    expectExit(await one.netfreeze('on', '--targets', list), 0);
    expect([await tables(one), await tables(other), await tables(third)]).toEqual([frozen, frozen, '']);
    const through = ['sh', '-c', `exec "$@" <"$0"`, list];
    expectExit(await one.netfreezeIn({ through }, 'verify', '--targets', '-'), 0);
    expectExit(await one.netfreezeIn({ through }, 'verify', '--targets', '-', third.box), 11);
    expectExit(await one.netfreezeIn({ through }, 'off', '--targets', '-'), 0);
    expect([await tables(one), await tables(other)]).toEqual(['', '']);
  });

  test.each<[what: string, content: string | Buffer | null, words: RegExp]>([
    ['that is not there', null, /ENOENT/],
    ['that is no text', Buffer.from('web\0db'), /it is no text/],
    ['that is too long', Buffer.alloc(4 * 1024 * 1024 + 1, 10), /it has more than/],
    ['without a target', '# nobody\n\n', /holds none/],
  ])('a file %s: 2', async (_, content, words) => {
    const lab = await makeLab();
    const list = join(lab.stateDir, 'list');
    if (content !== null) writeFileSync(list, content);
    expect(expectExit(await lab.netfreeze('on', '--targets', list), 2).stderr).toMatch(words);
  });
});

describeOneEngine('a thousand targets', (engine) => {
  const makeLab = useLabs(engine, 'end');
  let lab: Lab;
  let crowd: Crowd;
  /** The one of them that something happens to. */
  let victim: string;

  beforeAll(async () => {
    lab = await makeLab();
    crowd = await makeCrowd(1000);
    victim = crowd.names[700] ?? '';
  }, 120_000);
  afterAll(() => crowd.remove(), 120_000);

  const pattern = () => `${crowd.names[0]?.slice(0, -4)}*`;

  /** The names of those that have a table of ours. */
  const withTable = () => crowd.names.filter((name) => hasTable(`/run/netns/${name}`));

  function hasTable(file: string): boolean {
    const namespace = pin(file);
    const netfilter = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
    try {
      return familiesOfTable(netfilter, 'netfreeze').length > 0;
    } finally {
      netfilter.close();
      release(namespace);
    }
  }

  const inVictim = (script: string) => execFileSync('ip', ['netns', 'exec', victim, 'nft', script]);

  /** Freezes all of them in this process; `meanwhile` is called when all have been loaded, and none is proven. */
  async function freezeAll(meanwhile: () => void) {
    const engineOf = libnftables();
    let done = false;
    const machine: Machine = {
      stateDirectory: lab.stateDir,
      engine: async () => engineOf,
      replays: true,
      progress(step, count, of) {
        if (done || step !== 'frozen' || count < of) return;
        done = true;
        meanwhile();
      },
    };
    return freeze(crowd.names, await requestOf(), machine);
  }

  test('are frozen, proven, renewed and thawed by one command each, and it is said in a few lines', async () => {
    const frozen = expectExit(await lab.netfreeze('on', pattern(), '--lease', '5m'), 0);
    expect(frozen.stdout).toMatch(/^1000 targets frozen \(in [0-9.]+ m?s, skew [0-9.]+ m?s\)\n$/);
    expect(frozen.stderr).toBe('');
    expect(withTable()).toHaveLength(1000);
    expect(expectExit(await lab.netfreeze('verify', pattern()), 0).stdout).toMatch(/^1000 targets frozen, as /);
    expect(expectExit(await lab.netfreeze('renew', pattern()), 0).stdout).toMatch(/^1000 targets renewed /);
    const again = expectExit(await lab.netfreeze('on', pattern(), '--lease', '5m', '--json'), 0).report;
    expect(again.targets).toHaveLength(1000);
    expect(again.targets.filter(({ state, verified }) => state === 'frozen' && verified)).toHaveLength(1000);
    expect(expectExit(await lab.netfreeze('off', pattern()), 0).stdout).toMatch(/^1000 targets thawed /);
    expect(withTable()).toEqual([]);
    expect(stateIn(lab)).toEqual([]);
  }, 120_000);

  test('of which one has another’s table: none is frozen, and the report names the one', async () => {
    inVictim('add table inet netfreeze');
    const outcome = expectExit(await lab.netfreeze('on', pattern()), 10);
    const lines = outcome.stderr.trimEnd().split('\n');
    expect(lines[0]).toContain(`netns:${victim} has a table named netfreeze`);
    expect(lines.slice(1)).toEqual(['netfreeze: 999 targets: another target failed; it was not touched']);
    expect(withTable()).toEqual([victim]);
    inVictim('delete table inet netfreeze');
    expect(stateIn(lab)).toEqual([]);
  }, 120_000);

  test('of which one has its rules changed at the last moment: the others are as before', async () => {
    const { targets, failure } = await freezeAll(() => inVictim('insert rule inet netfreeze output accept'));
    expect(failure).toMatchObject({ code: 'not-verified', exit: 6 });
    expect(failure?.message).toContain(victim);
    expect(targets.filter(({ error }) => error?.code === 'not-verified')).toHaveLength(1);
    expect(targets.filter(({ error }) => error?.code === 'rolled-back')).toHaveLength(999);
    expect(withTable()).toEqual([]);
    expect(stateIn(lab)).toEqual([]);
  }, 120_000);

  test('of which one vanishes in the middle: the others are as before', async () => {
    const { targets, failure } = await freezeAll(() => execFileSync('ip', ['netns', 'del', victim]));
    expect(failure).toMatchObject({ code: 'target-gone', exit: 3 });
    expect(failure?.message).toContain(victim);
    expect(targets.filter(({ error }) => error?.code === 'rolled-back')).toHaveLength(999);
    execFileSync('ip', ['netns', 'add', victim]);
    expect(withTable()).toEqual([]);
    expect(stateIn(lab)).toEqual([]);
  }, 120_000);
});
