/** What was already behind the hooks when `on` began: datagrams that wait for a neighbour, a qdisc's backlog. */
import { bareFreeze } from './rig/bare-freeze';
import { describeEngines, describeKernel } from './rig/describe';
import { openGauge } from './rig/gauge';
import { address, families, type Lab, unanswered, useLabs } from './rig/lab';
import { type Sniffed, send, sniffer } from './rig/packets';
import { together } from './rig/together';
import { sleep } from './rig/wait';

/** Datagrams sent to each address that nobody answers for. */
const waiting = 50;

describeKernel('without netfreeze, or with a freeze that does not settle', () => {
  const makeLab = useLabs('replay');

  test.each([
    ['no freeze', async () => {}],
    ['a freeze by hand', (lab: Lab) => lab.nft('box', bareFreeze)],
  ])('%s: what waited for a neighbour leaves as soon as it answers', async (_name, freeze) => {
    const lab = await makeLab('router');
    const wire = await sniffBothSides(lab, 1000);
    await sendToNobody(lab);
    await freeze(lab);
    await answer(lab);
    await sleep(1500);
    for (const seen of await wire()) expect(late(seen)).toEqual({ udp4: waiting, udp6: waiting });
  });

  test('a freeze by hand: what stands in a qdisc leaves', async () => {
    const lab = await makeLab();
    const wire = await sniffer(lab, 'peer', 1000);
    await fillQdisc(lab, 40);
    await lab.nft('box', bareFreeze);
    await wire.take();
    await sleep(500);
    expect((await wire.take()).counts.udp4).toBeGreaterThan(5);
  });
});

describeEngines('when on has returned', (engine) => {
  const makeLab = useLabs(engine, 'end');

  together({
    'no datagram that waited for ARP or neighbour discovery leaves, of our own or forwarded': async () => {
      const lab = await makeLab('router');
      const wire = await sniffBothSides(lab, 1000);
      await sendToNobody(lab);
      await lab.freeze();
      await answer(lab);
      // Longer than the kernel goes on asking for a neighbour.
      await sleep(3500);
      for (const seen of await wire()) expect(late(seen)).toEqual({});
      await lab.thaw();
      await sendToNobody(lab);
      await sleep(100);
      for (const seen of await wire()) expect(late(seen)).toEqual({ udp4: waiting, udp6: waiting });
    },

    'a qdisc backlog that can drain has drained': async () => {
      const lab = await makeLab();
      const wire = await sniffer(lab, 'peer', 1000);
      await fillQdisc(lab, 40);
      await lab.freeze();
      const returned = Date.now() / 1000;
      expect(await lab.run('box', 'tc', '-s', 'qdisc', 'show', 'dev', 'toPeer')).toContain('backlog 0b 0p');
      await sleep(1000);
      const seen = await wire.take();
      // All of the backlog has left while `on` was waiting for it, and nothing after that.
      expect(seen.counts.udp4).toBe(40);
      expect(seen.packets.filter(({ kind, at }) => kind === 'udp4' && at > returned)).toEqual([]);
    },

    'with a backlog that does not drain in 3 s, on exits 6 and has rolled back': async () => {
      const lab = await makeLab();
      await fillQdisc(lab, 150, endless);
      const gauge = await openGauge(lab);
      const outcome = await lab.netfreeze('on', lab.box);
      expect(outcome).toMatchObject({ exit: 6 });
      expect(outcome.stderr).toMatch(/toPeer/);
      expect(await lab.nft('box', 'list tables')).not.toContain('netfreeze');
      await lab.run('box', 'tc', 'qdisc', 'del', 'dev', 'toPeer', 'root');
      expect(await gauge.open()).toEqual(gauge.all);
    },

    'the freeze that stood before a failed one still stands': async () => {
      const lab = await makeLab();
      const gauge = await openGauge(lab);
      await lab.freeze('--allow-mark', '0x7');
      // What is marked may fill a qdisc in spite of the freeze.
      await fillQdisc(lab, 150, { ...endless, mark: 7 });
      expect(await lab.netfreeze('on', lab.box)).toMatchObject({ exit: 6 });
      expect(await lab.nft('box', 'list ruleset')).toContain('0x00000007');
      expect(await gauge.open()).toEqual([]);
      expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 0 });
    },
  });
});

/** Datagrams from the box to the peer's side, and from the peer through the box to the far side. */
async function sendToNobody(lab: Lab): Promise<void> {
  const job = (family: 4 | 6, from: string, to: string) => ({ kind: 'udp', family, from, to, count: waiting }) as const;
  await Promise.all([
    send(
      lab,
      'box',
      families.map((family) => job(family, address[family].box, unanswered[family].peer)),
    ),
    send(
      lab,
      'peer',
      families.map((family) => job(family, address[family].peer, unanswered[family].far)),
    ),
  ]);
}

/** From now on somebody answers for these addresses. */
async function answer(lab: Lab): Promise<void> {
  for (const place of ['peer', 'far'] as const) {
    await lab.ip(place, 'addr', 'add', `${unanswered[4][place]}/24`, 'dev', 'eth0');
    await lab.ip(place, 'addr', 'add', `${unanswered[6][place]}/64`, 'dev', 'eth0', 'nodad');
  }
}

async function sniffBothSides(lab: Lab, keep: number): Promise<() => Promise<Sniffed[]>> {
  const sniffers = [await sniffer(lab, 'peer', keep), await sniffer(lab, 'far', keep)];
  return () => Promise.all(sniffers.map((one) => one.take()));
}

/** Datagrams only: what keeps the neighbourhood alive may be seen. */
function late({ counts }: Sniffed): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([kind]) => kind.startsWith('udp')));
}

/** So slow that 150 datagrams are not gone before the slowest machine has looked at them. */
const endless = { rate: '25kbit' };

/** A qdisc that lets 25 kB a second leave, unless told otherwise, and so many datagrams of 1,000 bytes in it. */
async function fillQdisc(
  lab: Lab,
  count: number,
  { rate = '200kbit', mark }: { rate?: string; mark?: number } = {},
): Promise<void> {
  await lab.run('box', 'ping', '-c1', '-W1', address[4].peer).catch(() => {});
  const shape = `qdisc add dev toPeer root tbf rate ${rate} burst 5kb limit 400000`.split(' ');
  await lab.run('box', 'tc', ...shape);
  const job = { kind: 'udp', family: 4, from: address[4].box, to: address[4].peer, size: 960, count } as const;
  await send(lab, 'box', [mark === undefined ? job : { ...job, mark }]);
}
