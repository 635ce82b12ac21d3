/** `off --this-unit`: what one run of a systemd unit has frozen, and nothing else. systemd itself is in test/vm/units.test.ts. */
import { rmSync } from 'node:fs';
import { describeOneEngine } from './rig/describe';
import { openGauge } from './rig/gauge';
import { type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { run } from './rig/program';

describeOneEngine('off --this-unit', (engine) => {
  const makeLab = useLabs(engine);
  const inRun = (lab: Lab, invocation: string, ...args: string[]) =>
    lab.netfreezeIn({ env: { INVOCATION_ID: invocation } }, ...args);

  test('thaws what the run has frozen, whatever the name stands for by now', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    expectExit(await inRun(lab, 'a1', 'on', lab.box), 0);
    // Somebody else's namespace has the name now, and a freeze; the first one lives on in a program.
    await lab.resident('box');
    await run('ip', ['netns', 'del', lab.box]);
    await lab.addNamespace(lab.box);
    await lab.freeze();
    const outcome = expectExit(await inRun(lab, 'a1', 'off', '--this-unit', '--json', '--', lab.box), 0);
    expect(only(outcome)).toMatchObject({ target: `netns:${lab.box}`, state: 'thawed', verified: true });
    expect(await gauge.open()).toEqual(gauge.all);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('leaves alone what has the name of a namespace that is gone', async () => {
    const lab = await makeLab();
    for (const invocation of ['f1', 'f2']) {
      expectExit(await inRun(lab, invocation, 'on', lab.box), 0);
      await run('ip', ['netns', 'del', lab.box]);
      await lab.addNamespace(lab.box);
    }
    // By hand, by nobody's run, and by another one's.
    await lab.freeze('--reason', 'quarantine');
    expectExit(await inRun(lab, 'f1', 'off', '--this-unit', '--', lab.box), 0);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expectExit(await inRun(lab, 'f3', 'on', lab.box), 0);
    for (const invocation of ['f1', 'f4']) {
      expectExit(await inRun(lab, invocation, 'off', '--this-unit', '--', lab.box), 0);
      expectExit(await lab.netfreeze('verify', lab.box), 0);
    }
  });

  test('without a target leaves the freeze of anybody else alone', async () => {
    const lab = await makeLab();
    await lab.freeze();
    expectExit(await inRun(lab, 'b1', 'on', lab.name('peer')), 0);
    for (const invocation of ['b2', 'B1', 'b']) {
      const outcome = expectExit(await inRun(lab, invocation, 'off', '--this-unit'), 0);
      expect([outcome.stdout, outcome.stderr]).toEqual(['', '']);
    }
    expectExit(await lab.netfreeze('verify', lab.box, lab.name('peer')), 0);
    // A start that has failed has left what stood before, and its record.
    expectExit(await inRun(lab, 'b2', 'on', lab.box, '--loopback', 'keep', '--allow', '10.0.0.1'), 0);
    expectExit(await inRun(lab, 'b1', 'off', '--this-unit'), 0);
    expectExit(await lab.netfreeze('verify', lab.name('peer')), 11);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expectExit(await inRun(lab, 'b2', 'off', '--this-unit'), 0);
    expectExit(await lab.netfreeze('verify', lab.box), 11);
  });

  test('with a target thaws that when the records are lost, and is content when there is nothing of that name', async () => {
    const lab = await makeLab();
    expectExit(await inRun(lab, 'c1', 'on', lab.box), 0);
    rmSync(lab.stateDir, { recursive: true });
    const thawed = expectExit(await inRun(lab, 'c1', 'off', '--this-unit', lab.box), 0);
    expect(thawed.stderr).toMatch(/there was no record of this freeze/);
    expectExit(await lab.netfreeze('verify', lab.box), 11);
    await run('ip', ['netns', 'del', lab.box]);
    expectExit(await lab.netfreeze('off', lab.box), 3);
    const gone = expectExit(await inRun(lab, 'c1', 'off', '--this-unit', lab.box), 0);
    expect(gone.stdout).toBe('nothing is frozen\n');
    // What can be no name at all is a fault in the unit's settings.
    expectExit(await inRun(lab, 'c1', 'off', '--this-unit', 'a/b'), 2);
  });

  test('a freeze that stood already in the same way is nobody’s run', async () => {
    const lab = await makeLab();
    await lab.freeze();
    expectExit(await inRun(lab, 'd1', 'on', lab.box), 0);
    expectExit(await inRun(lab, 'd1', 'off', '--this-unit'), 0);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    // By name neither: there is a record, and it is not the run's.
    expectExit(await inRun(lab, 'd1', 'off', '--this-unit', lab.box), 0);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('is for units', async () => {
    const lab = await makeLab();
    const outcome = await lab.netfreezeIn({ env: { INVOCATION_ID: undefined } }, 'off', '--this-unit', lab.box);
    expect(expectExit(outcome, 2).stderr).toMatch(/INVOCATION_ID is not set/);
    expectExit(await inRun(lab, 'e1', 'off', '--this-unit', '--all'), 2);
  });
});
