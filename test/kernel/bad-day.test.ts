/** What an operator meets on a bad day: no state directory, another netfreeze at work, people who meddle. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { withLocks } from '../../src/record/lock';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { address, type Lab, type Place, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';

describeEngines('a bad day', (engine) => {
  const makeLab = useLabs(engine);

  test.each<[what: string, spoil: (lab: Lab) => unknown, mend: (lab: Lab) => unknown]>([
    ['that others may use', (lab) => chmodSync(lab.stateDir, 0o755), (lab) => chmodSync(lab.stateDir, 0o700)],
    [
      'on a disk that is read-only',
      async (lab) => {
        await onHost(lab, 'mount', '--bind', lab.stateDir, lab.stateDir);
        await onHost(lab, 'mount', '-o', 'remount,bind,ro', lab.stateDir);
      },
      (lab) => onHost(lab, 'umount', lab.stateDir),
    ],
  ])('off thaws with a state directory %s, and says so; on does not begin', async (_, spoil, mend) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await spoil(lab);
    try {
      const thawed = expectExit(await lab.netfreeze('off', lab.box), 0);
      expect(thawed.stdout).toMatch(/is thawed/);
      expect(thawed.stderr).toMatch(/without a lock/);
      expect(await gauge.open()).toEqual(gauge.all);
      expectExit(await lab.netfreeze('on', lab.box), 2, 4);
      expect(await lab.nft('box', 'list tables')).toBe('');
    } finally {
      await mend(lab);
    }
  });

  test('off of two targets, one of them busy: the other is thawed, and the busy one ends with 8', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('on', lab.box, lab.name('peer')), 0);
    const { device, inode } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).namespace;
    await withLocks(lab.stateDir, [{ name: lab.box, device, inode }], async () => {
      const outcome = expectExit(await lab.netfreeze('off', lab.box, lab.name('peer')), 8);
      expect(outcome.stderr).toMatch(/another netfreeze is at work/);
      expect(await lab.nft('peer', 'list tables')).toBe('');
      expect(await lab.nft('box', 'list tables')).toBe('table inet netfreeze\n');
    });
  });

  test('a lease that was renewed to another length is not the one that on asks for again', async () => {
    const lab = await makeLab();
    await lab.freeze();
    expectExit(await lab.netfreeze('renew', lab.box, '--lease', '1m'), 0);
    const again = only(expectExit(await lab.netfreeze('on', lab.box, '--json'), 0));
    expect(again).toMatchObject({ state: 'frozen', lease: null });
    expectExit(await lab.netfreeze('on', lab.box, '--lease', '1m'), 0);
    expectExit(await lab.netfreeze('renew', lab.box, '--lease', '2h'), 0);
    const shorter = only(expectExit(await lab.netfreeze('on', lab.box, '--lease', '1m', '--json'), 0));
    expect(shorter.lease?.expiresInMs).toBeLessThanOrEqual(60_000);
  });

  test('a redirect that comes after the freeze is drift', async () => {
    const lab = await makeLab('router');
    await lab.freeze();
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    const filter =
      'filter add dev toPeer parent ffff: protocol ip u32 match u32 0 0 action mirred egress redirect dev toFar';
    await lab.run('box', 'tc', ...'qdisc add dev toPeer ingress'.split(' '));
    await lab.run('box', 'tc', ...filter.split(' '));
    const verified = expectExit(await lab.netfreeze('verify', lab.box), 10);
    expect(verified.stderr).toMatch(/toPeer/);
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('drifted');
  });

  test("another family's table of our name that is not ours stays when ours goes", async () => {
    const lab = await makeLab();
    await lab.freeze();
    await lab.nft('box', 'add table ip netfreeze; add chain ip netfreeze theirs');
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(await lab.nft('box', 'list tables')).toBe('table ip netfreeze\n');
  });
});

describeOneEngine('neighbour discovery', (engine) => {
  const makeLab = useLabs(engine);

  test.each([20, 1000])('with %d bytes more than it needs is not forwarded, and no bulk leaves', async (extra) => {
    const lab = await makeLab('router');
    await countDiscovery(lab, 'far', address[6].peer);
    await countDiscovery(lab, 'peer', address[6].box);
    await sendDiscovery(lab, 'peer', address[6].far, extra);
    await sendDiscovery(lab, 'box', address[6].peer, extra);
    expect(await counted(lab, 'far')).toBe(100);
    expect(await counted(lab, 'peer')).toBeGreaterThanOrEqual(100);

    await lab.freeze();
    await lab.nft('far', 'reset counters');
    await lab.nft('peer', 'reset counters');
    await sendDiscovery(lab, 'peer', address[6].far, extra).catch(() => 'refused');
    await sendDiscovery(lab, 'box', address[6].peer, extra).catch(() => 'refused');
    expect(await counted(lab, 'far')).toBe(0);
    // What discovery itself sends is small; nothing larger passes.
    if (extra > 40) expect(await counted(lab, 'peer')).toBe(0);
  });
});

/** Counts solicitations and advertisements from a source that are longer than the shortest. */
async function countDiscovery(lab: Lab, place: Place, from: string): Promise<void> {
  await lab.nft(
    place,
    `add table ip6 count; add counter ip6 count seen; add chain ip6 count in { type filter hook prerouting priority -500; };
     add rule ip6 count in icmpv6 type 135-136 ip6 saddr ${from} ip6 length > 40 counter name seen`,
  );
}

const counted = async (lab: Lab, place: Place): Promise<number> =>
  Number(/packets (\d+)/.exec(await lab.nft(place, 'list counters'))?.[1]);

/** 50 solicitations and 50 advertisements with hop limit 255 and an option too long, over a raw socket. */
async function sendDiscovery(lab: Lab, from: Place, to: string, extra: number): Promise<void> {
  const program = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
for kind in [135, 136] * 50:
    s.sendto(bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, "${to}") + bytes(${extra}), ("${to}", 0))
`;
  await lab.run(from, 'python3', '-c', program);
}

const onHost = async (_: Lab, program: string, ...args: string[]): Promise<void> => {
  const [status] = await once(spawn(program, args, { stdio: 'ignore' }), 'exit');
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
};
