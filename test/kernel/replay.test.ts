/** What the replay makes is what nft makes: a table that nft has loaded is taken down, and made again elsewhere. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bears, coversLease, imprintOf } from '../../src/freeze/state/imprint';
import { inside, type Namespace, pin, release } from '../../src/namespace/namespace';
import { NETLINK, type NetlinkSocket, openNetlink } from '../../src/netlink/socket';
import { type Change, commit } from '../../src/nftables/batch';
import { type Dump, readDump } from '../../src/nftables/dump';
import { elements } from '../../src/nftables/kernel';
import { type ElementTime, recordingOf, wholeOf } from '../../src/nftables/replay';
import { describeOneEngine } from './rig/describe';
import { type Lab, type Place, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';

const golden = join(__dirname, '../unit/golden');
/** Every golden ruleset that each nft can load. */
const rulesets = readdirSync(golden).filter((file) => file.endsWith('.nft') && !file.startsWith('steal'));

/** What a template that people bring may have besides. */
const ownThings = `
table inet netfreeze {
	counter in { }
	counter out { }
	set lease { type nf_proto; flags timeout; }
	set friends { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8, 192.0.2.7 }; }
	set open { type inet_proto . inet_service; comment "both"; elements = { tcp . 22, udp . 53 }; }
	chain friends { }
	chain prerouting { type filter hook prerouting priority -450; policy accept; }
	chain output { type filter hook output priority -460; policy accept; }
}
add element inet netfreeze lease { ipv4 timeout 90s, ipv6 timeout 90s }
add rule inet netfreeze friends meta l4proto . th dport @open counter accept
add rule inet netfreeze prerouting ip saddr @friends jump friends
add rule inet netfreeze prerouting ct mark 0x00000001 ip6 daddr fd00::/8 tcp flags & (syn | ack) == syn accept
add rule inet netfreeze prerouting meta nfproto @lease counter name "in" drop comment "netfreeze/1 drop mine"
add rule inet netfreeze output meta nfproto @lease counter name "out" drop comment "netfreeze/1 drop mine"
`;

describeOneEngine('replay', (engine) => {
  const makeLab = useLabs(engine);
  const opened: Array<{ namespace: Namespace; netfilter: NetlinkSocket }> = [];

  afterEach(() => {
    for (const { namespace, netfilter } of opened.splice(0)) {
      netfilter.close();
      release(namespace);
    }
  });

  function open(lab: Lab, place: Place): NetlinkSocket {
    const namespace = pin(lab.file(place));
    const netfilter = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
    opened.push({ namespace, netfilter });
    return netfilter;
  }

  /** A lab whose two namespaces have the devices that golden rulesets bind. */
  async function labWithDevices(): Promise<Lab> {
    const lab = await makeLab();
    for (const place of ['peer', 'box'] as const) {
      const devices = ['eth1', 'eth0.100', 'wan@0_x-y', 'wan0', 'lan0'];
      for (const device of devices) await lab.ip(place, 'link', 'add', device, 'type', 'bridge');
    }
    return lab;
  }

  const dumpOf = (from: NetlinkSocket): Dump => readDump(from, 'netfreeze') as Dump;

  const taken = (from: NetlinkSocket, lease?: ElementTime | null): Change[] =>
    wholeOf(recordingOf(dumpOf(from), 'netfreeze'), 'lease', lease);

  async function expectSame(lab: Lab): Promise<void> {
    const [theirs, ours] = [await lab.nft('peer', '-s', 'list ruleset'), await lab.nft('box', '-s', 'list ruleset')];
    expect(theirs).toContain('table inet netfreeze');
    expect(ours).toBe(theirs);
    expect(comparable(await lab.nft('box', '-j', 'list ruleset'))).toEqual(
      comparable(await lab.nft('peer', '-j', 'list ruleset')),
    );
  }

  test('each golden ruleset, and one of everything else, is listed the same to the letter; made twice it stays so', async () => {
    const lab = await labWithDevices();
    const [peer, box] = [open(lab, 'peer'), open(lab, 'box')];
    const texts = [...rulesets.map((file) => readFileSync(join(golden, file), 'utf8')), ownThings];
    expect(texts.length).toBeGreaterThan(9);
    for (const text of texts) {
      await lab.nft('peer', text);
      const changes = taken(peer);
      commit(box, changes);
      await expectSame(lab);
      commit(box, changes);
      await expectSame(lab);
      // These two namespaces are the test's own.
      for (const place of ['peer', 'box'] as const) await lab.nft(place, 'flush ruleset');
    }
  });

  test('it replaces what stands, also where that was changed', async () => {
    const lab = await makeLab();
    const [peer, box] = [open(lab, 'peer'), open(lab, 'box')];
    for (const place of ['peer', 'box'] as const) await lab.nft(place, ownThings);
    await lab.nft(
      'box',
      `insert rule inet netfreeze output accept; flush chain inet netfreeze prerouting;
       delete element inet netfreeze lease { ipv6 }; add element inet netfreeze friends { 203.0.113.0/24 }`,
    );
    commit(box, taken(peer));
    await expectSame(lab);
  });

  test('a lease is given what is left of it, and its time in full', async () => {
    const lab = await makeLab();
    const [peer, box] = [open(lab, 'peer'), open(lab, 'box')];
    await lab.nft('peer', ownThings);
    commit(box, taken(peer, { timeoutMs: 50_000, expiresMs: 20_000 }));
    const found = elements(box, ['inet'], 'netfreeze', 'lease') ?? [];
    expect(found.map(({ timeoutMs }) => timeoutMs)).toEqual([50_000, 50_000]);
    for (const { expiresMs } of found) {
      expect(expiresMs).toBeLessThanOrEqual(20_000);
      expect(expiresMs).toBeGreaterThan(10_000);
    }
    commit(box, taken(peer, null));
    const endless = elements(box, ['inet'], 'netfreeze', 'lease') ?? [];
    expect(endless.map(({ timeoutMs }) => timeoutMs)).toEqual([null, null]);
  });

  test.each([
    ['drop', []],
    ['drop with a lease', ['--lease', '5m']],
    [
      'drop with exemptions',
      ['--loopback', 'keep', '--allow-mark', '7', '--allow', '192.0.2.7:443/tcp', '--allow', 'fd00::/8'],
    ],
    ['steal', ['--mode', 'steal', '--lease', '5m']],
    ['a template of one’s own', ['--template', 'FILE', '--lease', '5m']],
    ['a template that can’t be replayed', ['--template', 'ANONYMOUS']],
  ] as const)('what `on` makes is what each nft makes: %s', async (_, options) => {
    const lab = await makeLab();
    const own = readFileSync(join(__dirname, '../../templates/drop.nft.hbs'), 'utf8');
    const anonymous = `${own}add rule inet netfreeze output tcp dport { 22, 443 } accept\n`;
    writeFileSync(join(lab.stateDir, 'mine.nft.hbs'), own);
    writeFileSync(join(lab.stateDir, 'anonymous.nft.hbs'), anonymous);
    const args = options.map((word) =>
      word
        .replace('FILE', join(lab.stateDir, 'mine.nft.hbs'))
        .replace('ANONYMOUS', join(lab.stateDir, 'anonymous.nft.hbs')),
    );
    const shown: string[] = [];
    for (const engine of ['replay', 'libnftables', 'nft'] as const) {
      expectExit(await lab.netfreezeIn({ engine }, 'on', lab.box, ...args), 0);
      const listing = await lab.nft('box', '-s', 'list ruleset');
      expect(listing).toContain('table inet netfreeze');
      shown.push(listing);
      // Whoever made it, each of them proves it.
      for (const judge of ['replay', 'libnftables', 'nft'] as const) {
        expectExit(await lab.netfreezeIn({ engine: judge }, 'verify', lab.box), 0);
      }
      expectExit(await lab.netfreezeIn({ engine }, 'off', lab.box), 0);
    }
    expect(shown[1]).toBe(shown[0]);
    expect(shown[2]).toBe(shown[0]);
  });

  test('an imprint is the same for whatever was counted and made again, and another for whatever was changed', async () => {
    const lab = await makeLab();
    const box = open(lab, 'box');
    await lab.nft('box', ownThings);
    const imprint = imprintOf(dumpOf(box));
    if (imprint === null) throw new Error('no imprint');
    const bearsIt = () => bears(dumpOf(box), imprint);
    expect(bearsIt()).toBe(true);
    await lab.nft('box', 'reset counters; flush set inet netfreeze lease');
    expect(bearsIt()).toBe(true);
    expect(coversLease(dumpOf(box), imprint)).toBe(false);
    commit(box, taken(box));
    expect(bearsIt()).toBe(true);
    const changes = [
      ['insert rule inet netfreeze output accept', 'delete rule inet netfreeze output handle HANDLE'],
      [
        'add element inet netfreeze friends { 203.0.113.0/24 }',
        'delete element inet netfreeze friends { 203.0.113.0/24 }',
      ],
      ['add chain inet netfreeze more', 'delete chain inet netfreeze more'],
      ['add counter inet netfreeze more', 'delete counter inet netfreeze more'],
      ['add set inet netfreeze more { type ipv4_addr; }', 'delete set inet netfreeze more'],
      ['add chain inet netfreeze output { policy drop; }', 'add chain inet netfreeze output { policy accept; }'],
      ['add table inet netfreeze { flags dormant; }', 'add table inet netfreeze'],
      ['add table ip netfreeze', 'delete table ip netfreeze'],
    ] as const;
    for (const [change, back] of changes) {
      await lab.nft('box', change);
      expect([change, bearsIt()]).toEqual([change, false]);
      const handle = /accept # handle ([0-9]+)/.exec(
        await lab.nft('box', '-a', 'list chain inet netfreeze output'),
      )?.[1];
      await lab.nft('box', back.replace('HANDLE', handle ?? ''));
      expect([back, bearsIt()]).toEqual([back, true]);
    }
  });

  test('all of it or nothing: where the kernel refuses one change, what stood stands', async () => {
    const lab = await makeLab();
    const [peer, box] = [open(lab, 'peer'), open(lab, 'box')];
    await lab.nft('peer', ownThings);
    await lab.nft('box', 'add table inet netfreeze { set lease { type ipv4_addr; }; }');
    const before = await lab.nft('box', 'list ruleset');
    expect(() => commit(box, taken(peer))).toThrow(/EEXIST/);
    expect(await lab.nft('box', 'list ruleset')).toBe(before);
  });
});

/**
 * nft's JSON without what differs between any two namespaces: handles, how much is left of a time, and how many packets
 * of the namespace's own (neighbour discovery, group reports) a counter has met.
 */
function comparable(text: string): unknown {
  const differing = ['handle', 'expires', 'packets', 'bytes'];
  return JSON.parse(text, (key, value) => (differing.includes(key) ? undefined : value));
}
