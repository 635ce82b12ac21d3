/**
 * Both directions close in the same moment. The gauge tries all channels in turn from one thread (see
 * rig/traffic/gauge.py): a change in one moment is one flip in its whole sequence of tries, a change in two steps is many.
 */
import type { PlanFlags } from '../../src/commands/plan-flags';
import { bareFreezeInTwoSteps } from './rig/bare-freeze';
import { describeEngines, describeOneEngine } from './rig/describe';
import { openGauge, type Watched } from './rig/gauge';
import { inProcess } from './rig/in-process';
import { useLabs } from './rig/lab';
import { sleep } from './rig/wait';

/** Hundreds on the fast engine; on the other one enough to see that it does the same. */
const freezes = { replay: 200, libnftables: 200, nft: 10 } as const;

describeEngines('in many freezes and thaws', (engine) => {
  const makeLab = useLabs(engine, 'end');
  const closings: Watched[] = [];
  const openings: Watched[] = [];

  beforeAll(async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    expect(await gauge.open()).toEqual(gauge.all);
    const box = await inProcess(lab, engine);
    await gauge.begin();
    while (closings.length < freezes[engine]) {
      await gauge.turn();
      await box.freeze();
      closings.push(await gauge.turn());
      await box.thaw();
      openings.push(await gauge.turn());
    }
  }, 240_000);

  test('the gauge tried at full speed', () => {
    const tries = [...closings, ...openings].reduce((sum, watched) => sum + watched.tries, 0);
    expect(tries / (2 * freezes[engine])).toBeGreaterThan(1000);
    // The sequence of tries means something only where each datagram arrived, or not, before the next was sent.
    expect([...closings, ...openings].filter(({ late }) => late > 0)).toEqual([]);
  });

  test('there is no moment while on runs at which one direction is closed and another open', () => {
    expect(closings.filter((watched) => !isOneMoment(watched, 'open', 'closed'))).toEqual([]);
  });

  test('there is no moment while off runs at which one direction is open and another closed', () => {
    expect(openings.filter((watched) => !isOneMoment(watched, 'closed', 'open'))).toEqual([]);
  });
});

const isOneMoment = (watched: Watched, from: string, to: string) =>
  watched.flips === 1 && watched.firstState === from && watched.lastState === to;

describeOneEngine('while one freeze replaces another', (engine) => {
  const makeLab = useLabs(engine);

  test('nothing passes: 100 replacements by freezes with other options', async () => {
    const lab = await makeLab('router');
    const gauge = await openGauge(lab, 'router');
    expect(await gauge.open()).toEqual(gauge.all);
    const box = await inProcess(lab, engine);
    await box.freeze();
    const others: Array<Partial<PlanFlags>> = [
      { 'allow-mark': ['0x7'] },
      { loopback: 'keep', lease: '5m' },
      { allow: ['10.91.99.0/24', '[fd91:99::1]:443/tcp'] },
      {},
    ];
    await gauge.begin();
    for (let replacement = 0; replacement < 100; replacement += 1) {
      await box.freeze(others[replacement % others.length]);
    }
    const watched = await gauge.end();
    expect(watched.open).toEqual(Object.fromEntries(gauge.all.map((channel) => [channel, 0])));
    expect(watched.tries).toBeGreaterThan(50_000);
  }, 120_000);
});

describeOneEngine('the gauge', (engine) => {
  const makeLab = useLabs(engine);

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
