/**
 * Both directions close in the same moment. The gauge tries all channels in turn from one thread (see
 * rig/traffic/gauge.py): a change in one moment is one flip in its whole sequence of tries, a change in two steps is many.
 */
import { bareFreezeInTwoSteps } from './rig/bare-freeze';
import { describeKernel, describeOneEngine, engines } from './rig/describe';
import { openGauge } from './rig/gauge';
import { useLabs } from './rig/lab';
import { sleep } from './rig/wait';

/** Hundreds on the fast engine; on the other one enough to see that it does the same. */
const freezes = { libnftables: 200, nft: 10 } as const;

for (const engine of engines) {
  describeKernel(`while on runs [${engine}]`, () => {
    const makeLab = useLabs(engine);

    test(`there is no moment at which one direction is closed and another open (${freezes[engine]} freezes)`, async () => {
      const lab = await makeLab('router');
      const gauge = await openGauge(lab, 'router');
      expect(await gauge.open()).toEqual(gauge.all);
      await gauge.begin();
      let tries = 0;
      for (let freeze = 0; freeze < freezes[engine]; freeze += 1) {
        await gauge.turn();
        await lab.freeze();
        const closing = await gauge.turn();
        expect({ freeze, ...closing }).toMatchObject({ flips: 1, late: 0, firstState: 'open', lastState: 'closed' });
        await lab.thaw();
        const opening = await gauge.turn();
        expect({ freeze, ...opening }).toMatchObject({ late: 0, firstState: 'closed', lastState: 'open' });
        tries += closing.tries;
      }
      await gauge.end();
      // At full speed: the finer the tries, the shorter the moment that would be seen.
      expect(tries / freezes[engine]).toBeGreaterThan(1000);
    }, 240_000);
  });
}

describeOneEngine('while one freeze replaces another', (engine) => {
  const makeLab = useLabs(engine);

  test('nothing passes: 100 replacements by freezes with other options', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    expect(await gauge.open()).toEqual(gauge.all);
    await lab.freeze();
    const others = [
      ['--allow-mark', '0x7'],
      ['--loopback', 'keep', '--lease', '5m'],
      ['--allow', '10.91.99.0/24', '--allow', '[fd91:99::1]:443/tcp'],
      [],
    ];
    await gauge.begin();
    for (let replacement = 0; replacement < 100; replacement += 1) {
      await lab.freeze(...(others[replacement % others.length] ?? []));
    }
    const watched = await gauge.end();
    expect(watched.open).toEqual(Object.fromEntries(gauge.all.map((channel) => [channel, 0])));
    expect(watched.tries).toBeGreaterThan(100_000);
  }, 120_000);
});

describeKernel('the gauge', () => {
  const makeLab = useLabs('libnftables');

  test('tells a freeze in two transactions from one, every time', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    await gauge.open();
    for (let freeze = 0; freeze < 10; freeze += 1) {
      await gauge.begin();
      await sleep(5);
      for (const step of bareFreezeInTwoSteps) await lab.nft('box', step);
      expect((await gauge.end()).flips).toBeGreaterThan(1);
      await lab.nft('box', 'delete table inet bare');
    }
  });
});
