/** An exemption is a hole of exactly the size that was asked for: what it names passes, and nothing else. */
import { describeEngines, describeOneEngine } from './rig/describe';
import { gaugeOf, openGauge } from './rig/gauge';
import { address, type Family, families, type Lab, type Place, useLabs } from './rig/lab';
import { connect } from './rig/streams';
import { patience } from './rig/wait';

const bracketed = (family: Family, text: string) => (family === 4 ? text : `[${text}]`);

describeEngines('an exemption', (engine) => {
  const makeLab = useLabs(engine);

  test('--allow ADDR:PORT/tcp passes connections to that port, and nothing else', async () => {
    const lab = await makeLab();
    const second = { 4: '10.91.1.3', 6: 'fd91:1::3' } as const;
    await lab.ip('peer', 'addr', 'add', `${second[4]}/24`, 'dev', 'eth0');
    await lab.ip('peer', 'addr', 'add', `${second[6]}/64`, 'dev', 'eth0', 'nodad');
    await lab.freeze(
      ...families.flatMap((family) => ['--allow', `${bracketed(family, address[family].peer)}:7300/tcp`]),
    );
    const gauge = await openGauge(lab);
    expect(await gauge.open()).toEqual([]);
    // The remote end is named: what comes from its port passes, not what comes to the same port of ours.
    await lab.start('box', 'listen', { on: bothPorts(families.map((family) => address[family].box)) });
    for (const family of families) {
      const { peer, box } = address[family];
      const back = [
        { address: box, port: 7301, from: [peer, 7300] as [string, number] },
        { address: box, port: 7300 },
      ];
      expect(await outcomes(lab, 'peer', back)).toEqual(['connected', 'timeout']);
    }
    await lab.start('peer', 'listen', {
      on: bothPorts(families.flatMap((family) => [address[family].peer, second[family]])),
    });
    for (const family of families) {
      const { peer } = address[family];
      const out = [
        { address: peer, port: 7300 },
        { address: peer, port: 7301 },
        { address: second[family], port: 7300 },
      ];
      expect(await outcomes(lab, 'box', out)).toEqual(['connected', 'timeout', 'timeout']);
    }
    await lab.freeze();
    const closed = families.map((family) => ({ address: address[family].peer, port: 7300 }));
    expect(await outcomes(lab, 'box', closed)).toEqual(['timeout', 'timeout']);
  });

  test('--allow ADDR:PORT without a protocol passes tcp and udp, not the rest', async () => {
    const lab = await makeLab();
    await lab.start('peer', 'listen', { on: [[address[4].peer, 7300]] });
    await lab.freeze('--allow', `${address[4].peer}:7300`);
    expect(await outcomes(lab, 'box', [{ address: address[4].peer, port: 7300 }])).toEqual(['connected']);
    expect(await pings(lab, address[4].peer)).toBe(false);
    const listing = await lab.nft('box', 'list table inet netfreeze');
    expect(listing).toMatch(/udp dport 7300/);
  });

  test('--allow NET passes everything to and from that network, in its family', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    await lab.freeze('--allow', '10.91.1.0/24');
    // Forwarded packets pass prerouting only: there, what comes from the network's side passes.
    expect((await gauge.open()).filter((name) => !name.startsWith('through'))).toEqual(['out4', 'in4']);
    expect(await pings(lab, address[4].peer)).toBe(true);
    expect(await pings(lab, address[4].far)).toBe(false);
    expect(await pings(lab, address[6].peer)).toBe(false);
    await lab.freeze('--allow', 'fd91:1::/64');
    expect((await gauge.open()).filter((name) => !name.startsWith('through'))).toEqual(['out6', 'in6']);
    expect(await pings(lab, address[6].peer)).toBe(true);
    expect(await pings(lab, address[4].peer)).toBe(false);
  });

  test('--allow-mark passes what carries the mark, and nothing else', async () => {
    const lab = await makeLab();
    const channels = families.flatMap((family) => [
      { name: `marked${family}`, from: 'box', to: 'peer', address: address[family].peer, mark: 7 } as const,
      { name: `other${family}`, from: 'box', to: 'peer', address: address[family].peer, mark: 8 } as const,
      { name: `out${family}`, from: 'box', to: 'peer', address: address[family].peer } as const,
      // A mark does not leave its namespace.
      { name: `in${family}`, from: 'peer', to: 'box', address: address[family].box, mark: 7 } as const,
    ]);
    const gauge = await gaugeOf(lab, channels);
    expect(await gauge.open()).toEqual(gauge.all);
    await lab.freeze('--allow-mark', '0x7');
    expect(await gauge.open()).toEqual(['marked4', 'marked6']);
    await lab.freeze();
    expect(await gauge.open()).toEqual([]);
  });
});

describeOneEngine('an exemption, or another option, that means nothing', (engine) => {
  const makeLab = useLabs(engine);

  test.each([
    ['--allow', 'web.example'],
    ['--allow', '10.91.1.2:70000/tcp'],
    ['--allow', '10.91.1.2:80/icmp'],
    ['--allow', '10.91.1.2/33'],
    ['--allow', 'fd91::1:80; flush ruleset'],
    ['--allow', '[fd91::1'],
    ['--allow-mark', '0x1ffffffff'],
    ['--allow-mark', 'accept'],
    ['--lease', '0s'],
    ['--lease', 'soon'],
    ['--loopback', 'perhaps'],
    ['--mode', 'melt'],
  ])('%s %s is wrong usage, and nothing is frozen', async (flag, value) => {
    const lab = await makeLab();
    expect(await lab.netfreeze('on', lab.box, flag, value)).toMatchObject({ exit: 2 });
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});

/** Two ports of each address. */
const bothPorts = (addresses: string[]) => addresses.flatMap((one) => [7300, 7301].map((port) => [one, port]));

async function outcomes(lab: Lab, from: Place, to: Parameters<typeof connect>[2]): Promise<string[]> {
  return (await connect(lab, from, to, 400 * patience)).map(({ outcome }) => outcome);
}

async function pings(lab: Lab, to: string): Promise<boolean> {
  return lab.run('box', 'ping', '-c2', '-i0.05', '-W0.3', to).then(
    () => true,
    () => false,
  );
}
