/** Arm: all of a freeze is staged but the elements of its lease, and traffic flows until they come. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inside, pin, release } from '../../src/namespace/namespace';
import { NETLINK, openNetlink } from '../../src/netlink/socket';
import { generation } from '../../src/nftables/kernel';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { keepersOf } from './rig/keeper';
import { type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { stateIn } from './rig/state';
import { sleep } from './rig/wait';

const state = async (lab: Lab) => only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
const tables = (lab: Lab) => lab.nft('box', 'list tables');
const ours = 'table inet netfreeze\n';

/** nf_tables' generation in the box: it grows by one with every transaction. */
function generationIn(lab: Lab): number {
  const namespace = pin(lab.file('box'));
  const netfilter = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
  try {
    return generation(netfilter);
  } finally {
    netfilter.close();
    release(namespace);
  }
}

function recordOf(lab: Lab): { phase: string; armed: string | null } {
  const [file = ''] = stateIn(lab).filter((name) => name.endsWith('.json'));
  return JSON.parse(readFileSync(join(lab.stateDir, file), 'utf8'));
}

describeEngines('armed', (engine) => {
  const makeLab = useLabs(engine);

  test.each([['drop'], ['steal']])(
    'in mode %s traffic flows, stops with on, and flows with off, which leaves it armed',
    async (mode) => {
      const lab = await makeLab();
      const gauge = await openGauge(lab);
      const options = ['--mode', mode, '--reason', 'ready'];
      expect(expectExit(await lab.netfreeze('arm', lab.box, ...options), 0).stdout).toMatch(/ is armed \(/);
      expect(await gauge.open()).toEqual(gauge.all);
      expect(await state(lab)).toMatchObject({ state: 'thawed', armed: true, mode, lease: null });
      expect((await lab.netfreeze('status', lab.box)).stdout).toContain('armed, not frozen');
      for (let turn = 0; turn < 2; turn += 1) {
        await lab.freeze('--mode', mode, '--lease', '5m');
        expect(await gauge.open()).toEqual([]);
        expect(await state(lab)).toMatchObject({ state: 'frozen', verified: true });
        expectExit(await lab.netfreeze('verify', lab.box), 0);
        expectExit(await lab.netfreeze('renew', lab.box), 0);
        expect((await lab.thaw()).stdout).toContain('and armed');
        expect(await gauge.open()).toEqual(gauge.all);
        expect(await state(lab)).toMatchObject({ state: 'thawed', armed: true, mode });
        expect(recordOf(lab)).toMatchObject({ phase: 'armed' });
        expect(await keepersOf(lab)).toEqual([]);
      }
      // The next freeze counts from nothing.
      await lab.freeze('--mode', mode);
      const { counters } = await state(lab);
      expect(counters.in.packets + counters.out.packets).toBeLessThan(5);
      expectExit(await lab.netfreeze('off', '--disarm', lab.box), 0);
      expect(await tables(lab)).toBe('');
      expect(stateIn(lab)).toEqual([]);
      expect(await gauge.open()).toEqual(gauge.all);
    },
  );

  test('and not frozen: verify and renew end with 11, off changes nothing, and off --disarm takes all away', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    const before = generationIn(lab);
    for (const command of ['verify', 'renew']) {
      expect(expectExit(await lab.netfreeze(command, lab.box), 11).stderr).toContain('it is armed, and traffic flows');
    }
    expect((await lab.thaw()).stdout).toContain('is not frozen, and armed');
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    expect(generationIn(lab)).toBe(before);
    expectExit(await lab.netfreeze('off', '--disarm', lab.box), 0);
    expect(await tables(lab)).toBe('');
    expect(stateIn(lab)).toEqual([]);
    expectExit(await lab.netfreeze('off', '--disarm', lab.box), 0);
  });

  test('thaws by itself when its lease ends, and is armed then', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    await lab.freeze('--lease', '300ms');
    await sleep(600);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await state(lab)).toMatchObject({ state: 'thawed', armed: true });
    await lab.freeze('--lease', '5m');
    expect(await gauge.open()).toEqual([]);
    expect((await lab.thaw()).stdout).toContain('and armed');
  });

  test('what is frozen can’t be armed: 2; what is armed otherwise is armed anew, and on otherwise ends it', async () => {
    const lab = await makeLab();
    await lab.freeze();
    expect(expectExit(await lab.netfreeze('arm', lab.box), 2).stderr).toContain('thaw it first');
    await lab.thaw();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    expectExit(await lab.netfreeze('arm', lab.box, '--allow-mark', '7'), 0);
    expect(await lab.nft('box', 'list table inet netfreeze')).toContain('0x00000007');
    const outcome = await lab.freeze();
    expect(outcome.stderr).toContain('another ruleset was armed');
    expect(await lab.nft('box', 'list table inet netfreeze')).not.toContain('0x00000007');
    expect((await lab.thaw()).stdout).not.toContain('armed');
    expect(await tables(lab)).toBe('');
  });

  test('that was changed is loaded whole, and armed again after the thaw; so is a freeze that was replaced', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    for (const change of ['insert rule inet netfreeze output accept', 'delete table inet netfreeze']) {
      expectExit(await lab.netfreeze('arm', lab.box), 0);
      await lab.nft('box', change);
      await lab.freeze();
      expect(await gauge.open()).toEqual([]);
      await lab.freeze('--lease', '5m');
      expect((await lab.thaw()).stdout).toContain('and armed');
      expect(await state(lab)).toMatchObject({ armed: true });
    }
  });

  test('a freeze of what was armed that has drifted is thawed for good', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    await lab.freeze();
    await lab.nft('box', 'insert rule inet netfreeze output accept');
    const outcome = await lab.thaw();
    expect(outcome.stderr).toMatch(/it had drifted[\s\S]*no longer armed/);
    expect(await tables(lab)).toBe('');
    expect(stateIn(lab)).toEqual([]);
  });

  test('a command runs under it, and leaves it armed, also when it fails', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    expectExit(await lab.netfreeze('run', lab.box, '--', 'true'), 0);
    expect(await state(lab)).toMatchObject({ armed: true });
    expectExit(await lab.netfreeze('run', lab.box, '--', 'false'), 1);
    expect(await state(lab)).toMatchObject({ armed: true });
  });

  test('the record is lost: on and off work from the kernel', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    for (const file of stateIn(lab)) rmSync(join(lab.stateDir, file));
    await lab.freeze();
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expect(await tables(lab)).toBe('');
  });

  test('several: all are armed, or none', async () => {
    const [one, other] = [await makeLab(), await makeLab()];
    await other.nft('box', 'add table inet netfreeze');
    const { stderr } = expectExit(await one.netfreeze('arm', one.box, other.box), 10);
    expect(stderr).toContain(other.box);
    expect(await tables(one)).toBe('');
    expect(stateIn(one)).toEqual([]);
    await other.nft('box', 'delete table inet netfreeze');
    expectExit(await one.netfreeze('arm', one.box, other.box), 0);
    expect([await tables(one), await tables(other)]).toEqual([ours, ours]);
    expectExit(await one.netfreeze('on', one.box, other.box), 0);
    expectExit(await one.netfreeze('off', one.box, other.box), 0);
    expect(await state(one)).toMatchObject({ armed: true });
    // One of those that are to be frozen refuses: the others are armed as before.
    const third = await makeLab();
    await third.nft('box', 'add table inet netfreeze');
    expectExit(await one.netfreeze('on', one.box, other.box, third.box), 10);
    for (const box of [one.box, other.box]) {
      const [report] = expectExit(await one.netfreeze('status', box, '--json'), 0).report.targets;
      expect(report).toMatchObject({ state: 'thawed', armed: true });
    }
    expectExit(await one.netfreeze('off', '--disarm', one.box, other.box), 0);
    expect([await tables(one), await tables(other)]).toEqual(['', '']);
  });

  test('a dry run shows what would be armed, and touches nothing', async () => {
    const lab = await makeLab();
    const { stdout } = expectExit(await lab.netfreeze('arm', lab.box, '--dry-run'), 0);
    expect(stdout).toContain('+   set lease {');
    expect(stdout).not.toContain('+ lease');
    expect(await tables(lab)).toBe('');
    expect(stateIn(lab)).toEqual([]);
  });
});

describeOneEngine('an armed freeze', (engine) => {
  const makeLab = useLabs(engine);

  test('is one message, and takes neither nft nor its library', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('arm', lab.box), 0);
    const before = generationIn(lab);
    // Whoever tried to compile a ruleset would fail.
    const library = (
      await lab.run('box', 'sh', '-c', 'readlink -f $(ldconfig -p | sed -n "s/.*libnftables.so.1 .*=> //p")')
    ).trim();
    const hide = `mount --bind /dev/null ${library} && mount --bind /dev/null $(readlink -f $(command -v nft)) && exec "$@"`;
    const through = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', hide, 'sh'];
    expectExit(await lab.netfreezeIn({ through }, 'on', lab.box, '--lease', '5m'), 0);
    expect(generationIn(lab)).toBe(before + 1);
    expectExit(await lab.netfreezeIn({ through }, 'verify', lab.box), 0);
    expectExit(await lab.netfreezeIn({ through }, 'off', lab.box), 0);
    expect(generationIn(lab)).toBe(before + 2);
    expect(await state(lab)).toMatchObject({ armed: true });
  });

  test('that can’t be proven goes back to armed', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    for (const mode of ['drop', 'steal']) {
      expectExit(await lab.netfreeze('arm', lab.box, '--mode', mode), 0);
      // What waits in a queue can't be waited for: 6.
      await lab.run('box', 'ping', '-c1', '-W1', '10.91.1.2');
      await lab.run('box', 'tc', ...'qdisc add dev toPeer root tbf rate 8kbit burst 2kb limit 400000'.split(' '));
      await lab.traffic('box', 'send', {
        jobs: [{ kind: 'udp', family: 4, from: '10.91.1.1', to: '10.91.1.2', size: 960, count: 30 }],
      });
      expectExit(await lab.netfreeze('on', lab.box, '--mode', mode), 6);
      await lab.run('box', 'tc', 'qdisc', 'del', 'dev', 'toPeer', 'root');
      expect(await state(lab)).toMatchObject({ state: 'thawed', armed: true, mode });
      expect(await gauge.open()).toEqual(gauge.all);
      expect(await keepersOf(lab)).toEqual([]);
      expectExit(await lab.netfreeze('off', '--disarm', lab.box), 0);
    }
    expect(stateIn(lab)).toEqual([]);
  });

  test('a template that fills its lease in another way is armed by the replay, and refused where nft must load it', async () => {
    const lab = await makeLab();
    const own = readFileSync(join(__dirname, '../../templates/drop.nft.hbs'), 'utf8')
      .replace(
        'set lease { type nf_proto; flags timeout; }',
        'set lease { type nf_proto; flags timeout; elements = { ipv4{{timeout}}, ipv6{{timeout}} } }',
      )
      .replace(/^flush set inet netfreeze lease\nadd element inet netfreeze lease .*\n/m, '');
    const file = join(lab.stateDir, 'mine.nft.hbs');
    writeFileSync(file, own);
    expectExit(await lab.netfreeze('arm', lab.box, '--template', file), 0);
    expectExit(await lab.netfreeze('off', '--disarm', lab.box), 0);
    const refused = await lab.netfreezeIn({ engine: 'libnftables' }, 'arm', lab.box, '--template', file);
    expect(expectExit(refused, 2).stderr).toContain('it can’t be armed');
    expect(await tables(lab)).toBe('');
  });
});
