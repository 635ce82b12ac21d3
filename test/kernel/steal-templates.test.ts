/** Templates of one's own for mode steal: one that holds works, and one that would let a packet go is refused untouched. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stateName } from '../../src/record/record';
import { describeEngines, programPath } from './rig/describe';
import { keepersNamed } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { send } from './rig/packets';
import { stateIn } from './rig/state';

const steal = readFileSync(join(__dirname, '../../templates/steal.nft.hbs'), 'utf8');
const at = address[4];
const job = { kind: 'udp', family: 4, from: at.peer, to: at.box } as const;

/** Asked of the kernel, in a namespace that is gone with the question. */
const loads = (script: string): boolean =>
  spawnSync('unshare', ['--net', 'nft', script], { env: { PATH: programPath } }).status === 0;
const hasQueue = loads('add table inet t; add chain inet t c; add rule inet t c queue to 7');

describeEngines('a template of one’s own for mode steal', (engine) => {
  const makeLab = useLabs(engine);

  /** Freezes the box by the template that comes with netfreeze, changed. */
  const on = (lab: Lab, change: (text: string) => string) => {
    const file = join(lab.stateDir, '..', `${lab.box}.nft.hbs`);
    const text = change(steal);
    if (text === steal) throw new Error('the template was not changed');
    writeFileSync(file, text);
    return lab.netfreeze('on', lab.box, '--mode', 'steal', '--template', file);
  };

  test('works with an exemption and a set of its own, and is thawed like any other', async () => {
    const lab = await makeLab();
    await lab.nft(
      'box',
      `add table inet count; add counter inet count seen; add chain inet count in { type filter hook input priority 100; };
       add rule inet count in meta l4proto udp counter name seen drop`,
    );
    const counted = async () => Number(/packets (\d+)/.exec(await lab.nft('box', 'list counter inet count seen'))?.[1]);
    expectExit(
      await on(lab, (text) =>
        text
          .replace(
            '\tcounter out { }\n',
            '$&\tset open { type inet_service; flags interval; elements = { 7900-7999 } }\n',
          )
          .replace('# Incoming', 'add rule inet netfreeze prerouting udp dport @open accept\n$&'),
      ),
      0,
    );
    await send(lab, 'peer', [{ ...job, count: 10, port: 7950 }]);
    await send(lab, 'peer', [{ ...job, count: 7, port: 8000 }]);
    expect(await counted()).toBe(10);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const { template, held } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    expect({ template, held: held?.in }).toEqual({ template: lab.box, held: { held: 7, released: 0, lost: 0 } });
    expect((await lab.thaw()).stdout).toMatch(/given back: 7 in .*nothing lost/);
    expect(await counted()).toBe(17);
    await expectUntouched(lab, 'table inet count');
  });

  const refused: Array<[what: string, change: (text: string) => string]> = [
    ['another number', (text) => text.replace('queue to {{queueIn}}', 'queue to 7')],
    ["the other direction's number", (text) => text.replace('queue to {{queueIn}}', 'queue to {{queueOut}}')],
    ['bypass', (text) => text.replace('queue to {{queueOut}}', 'queue flags bypass to {{queueOut}}')],
    ['fanout', (text) => text.replace('queue to {{queueIn}}', 'queue flags fanout to {{queueIn}}-{{queueOut}}')],
    ['a range of queues', (text) => text.replace('queue to {{queueIn}}', 'queue to {{queueIn}}-{{queueOut}}')],
    ['a queue by the hash of a packet', (text) => text.replace('{{queueIn}}', 'symhash mod 2 offset {{queueIn}}')],
    ['a queue without asking the lease', (text) => text.replace('output meta nfproto @lease', 'output')],
    ['one direction that drops', (text) => text.replace('queue to {{queueIn}}', 'drop')],
    ['one direction that is open', (text) => text.replace(/^add rule inet netfreeze output meta nfproto.*$/m, '')],
    ['a mark of its own', (text) => text.replace('# Outgoing.', 'add rule inet netfreeze output meta mark set 7\n$&')],
    ['half of the lease', (text) => text.replace(', ipv6{{timeout}}', '')],
  ];

  test('is refused with 2, and the target untouched, where it lets packets go', async () => {
    const lab = await makeLab();
    for (const [what, change] of refused) {
      const outcome = await on(lab, change);
      expect({ what, exit: outcome.exit, stderr: outcome.stderr }).toMatchObject({ what, exit: 2 });
      expect(outcome.stderr).toMatch(/the template nfz-|mend the template/);
      await expectUntouched(lab, '');
    }
  });

  test('with an anonymous set works, or is refused by its name where the kernel lacks nft’s queue', async () => {
    const lab = await makeLab();
    const outcome = await on(lab, (text) =>
      text.replace('# Outgoing.', 'add rule inet netfreeze output ip daddr { 192.0.2.1, 192.0.2.7 } accept\n$&'),
    );
    if (hasQueue) {
      expectExit(outcome, 0);
      await lab.thaw();
    } else {
      expect(expectExit(outcome, 5).stderr).toMatch(/the anonymous set __set0/);
    }
    await expectUntouched(lab, '');
  });
});

/** Nothing of netfreeze stands in the box, keeps it, or is written down of it. */
async function expectUntouched(lab: Lab, tables: string): Promise<void> {
  expect((await lab.nft('box', 'list tables')).trim()).toBe(tables);
  expect(await lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue')).toBe('');
  const { dev, ino } = statSync(lab.file('box'));
  expect(keepersNamed(stateName({ device: dev, inode: ino }))).toEqual([]);
  expect(stateIn(lab)).toEqual([]);
}
