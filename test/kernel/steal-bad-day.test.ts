/** What an operator meets on a bad day while packets are held: hooks and links that go, and a thaw that died. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { keeperOf, keepersOf } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { send } from './rig/packets';
import { stateIn } from './rig/state';
import { until } from './rig/wait';

const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

/** CRIU's lock as FACTS tells it: a table of its own, closed in both directions but for its mark. */
const lockLike = [
  'add table inet CRIU-4711',
  'add chain inet CRIU-4711 output { type filter hook output priority 0; policy drop; }',
  'add rule inet CRIU-4711 output meta mark 0xc114 accept',
  'add chain inet CRIU-4711 input { type filter hook input priority 0; policy drop; }',
  'add rule inet CRIU-4711 input meta mark 0xc114 accept',
];

describeEngines('while packets are held', (engine) => {
  const makeLab = useLabs(engine);
  const held = async (lab: Lab) => only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held;

  test("another program's tables and rules may come, and its rules and elements go: nothing is lost", async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft(
      'box',
      `add table inet theirs; add chain inet theirs in { type filter hook input priority 0; };
       add set inet theirs some { type ipv4_addr; }; add element inet theirs some { 10.0.0.7 };
       add rule inet theirs in counter; flush set inet theirs some; flush chain inet theirs in`,
    );
    expect((await held(lab))?.in).toEqual({ held: 10, released: 0, lost: 0 });
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect((await lab.thaw()).stdout).toMatch(/given back: 10 in .*nothing lost/);
  });

  test("another program's hook that goes throws away what is held: it is counted as lost, and the freeze stands", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.nft('box', 'add table inet theirs; add chain inet theirs in { type filter hook input priority 0; }');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft('box', 'delete table inet theirs');
    expect((await held(lab))?.in).toEqual({ held: 0, released: 0, lost: 10 });
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const after = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0)).held;
    expect(after?.in.lost).toBe(10);
    expect(after?.in.held).toBe(0);
  });

  test("CRIU's own lock may come; when it goes, what is held goes with it", async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    for (const command of lockLike) await lab.nft('box', command);
    expect((await held(lab))?.in).toEqual({ held: 10, released: 0, lost: 0 });
    await lab.nft('box', 'delete table inet CRIU-4711');
    expect((await held(lab))?.in).toEqual({ held: 0, released: 0, lost: 10 });
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('a link that goes down takes its packets with it: counted as lost', async () => {
    const lab = await makeLab('router');
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    const at = address[4];
    await send(lab, 'far', [{ ...job, from: at.far, to: at.boxToFar, count: 7 }]);
    await lab.ip('box', 'link', 'set', 'toPeer', 'down');
    expect((await held(lab))?.in).toEqual({ held: 7, released: 0, lost: 10 });
    await lab.ip('box', 'link', 'set', 'toPeer', 'up');
    const after = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0)).held;
    expect(after?.in.lost).toBe(10);
    expect(after?.in.released).toBeGreaterThanOrEqual(7);
  });

  test('our own table deleted by hand: drift, then gone; off says what it knows', async () => {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    await lab.nft('box', 'delete table inet netfreeze');
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('drifted');
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(await keepersOf(lab)).toEqual([]);
    expect(stateIn(lab)).toEqual([]);
  });
});

describeOneEngine('a thaw that was killed', (engine) => {
  const makeLab = useLabs(engine);

  /** A thaw that was killed when it had given back ten packets; ten more have come since. */
  async function afterDeadThaw(): Promise<Lab> {
    const lab = await makeLab();
    await lab.freeze('--mode', 'steal');
    await send(lab, 'peer', [job]);
    // What the thaw had done by then: its record, and its first verdicts, which the keeper gives here.
    const [file = ''] = readdirSync(lab.stateDir).filter((name) => name.endsWith('.json'));
    const record = JSON.parse(readFileSync(join(lab.stateDir, file), 'utf8'));
    const nothing = { gone: 0, released: 0 };
    const left = { in: nothing, out: nothing };
    const thawing = { ...record, phase: 'thawing', hold: { ...record.hold, thaw: 'release', left } };
    writeFileSync(join(lab.stateDir, file), JSON.stringify(thawing));
    process.kill(await keeperOf(lab), 'SIGUSR1');
    await until('the packets go on', 2000, async () => {
      const now = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      return now.held?.in.released === 10 && now.held.in.lost === 0;
    });
    await send(lab, 'peer', [job]);
    return lab;
  }

  test.each<[what: string, next: string[][], said: RegExp]>([
    ['the next thaw', [], /given back: 20 in .*nothing lost/],
    ['a freeze in its place, and its thaw', [['on', '--mode', 'steal']], /given back: 20 in .*nothing lost/],
    [
      'a freeze that is renewed and replaced',
      [
        ['on', '--mode', 'steal'],
        ['renew', '--lease', '5m'],
        ['on', '--mode', 'steal', '--lease', '9m'],
      ],
      /given back: 20 in .*nothing lost/,
    ],
    ['a thaw that discards', [['off', '--discard']], /given back: 10 in .*LOST: 10 in/],
  ])('what it has given back is not counted as lost: %s', async (_, commands, said) => {
    const lab = await afterDeadThaw();
    let last = '';
    const off = commands.some(([word]) => word === 'off') ? [] : [['off']];
    for (const [word = '', ...options] of [...commands, ...off]) {
      last = expectExit(await lab.netfreeze(word, lab.box, ...options), 0).stdout;
    }
    expect(last).toMatch(said);
  });
});
