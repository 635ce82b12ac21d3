import { stateName } from '../../src/record/record';
import { describeEngines, describeOneEngine } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { keepersNamed } from '../kernel/rig/keeper';
import { address, useLabs } from '../kernel/rig/lab';
import { expectExit, only } from '../kernel/rig/netfreeze';
import { sendNumbers } from '../kernel/rig/numbers';
import { signalled, timeOf } from '../kernel/rig/signalled';
import { stateIn } from '../kernel/rig/state';
import { sleep, until } from '../kernel/rig/wait';

describeEngines('netfreeze is interrupted', (engine) => {
  const makeLab = useLabs(engine);

  test('Ctrl-C and SIGTERM at any moment: what is left is brought to order, and no roll-back breaks', async () => {
    const lab = await makeLab();
    for (let round = 0; round < 24; round += 1) {
      const signal = round % 2 === 0 ? 'SIGINT' : 'SIGTERM';
      const command = round % 3 === 2 ? 'off' : 'on';
      const status = await signalled(lab, engine, [command, lab.box], signal, round * 6);
      // Ended before it began, undone, or done: never a failed roll-back, never a fault.
      expect([0, 130, 143, signal]).toContain(status);
      if (round % 4 === 3) {
        expectExit(await lab.netfreeze('off', lab.box), 0);
        expect(await lab.nft('box', 'list tables')).toBe('');
      } else {
        await lab.freeze();
        expectExit(await lab.netfreeze('verify', lab.box), 0);
      }
    }
  });
});

describeOneEngine('netfreeze is killed', (engine) => {
  const makeLab = useLabs(engine);

  test('at 200 moments of a steal, its renewal and its thaw: frozen or thawed, as record and kernel say, and nothing is left', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const { namespace } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    const state = stateName(namespace);
    const on = ['on', lab.box, '--mode', 'steal'];
    const commands = [on, ['off', lab.box], [...on, '--lease', '10m'], ['renew', lab.box, '--lease', '5m']];
    const took: number[] = [];
    for (const command of [on, ...commands]) took.push(await timeOf(lab, engine, command));
    let killed = 0;
    for (let round = 0; killed < 200 && round < 800; round += 1) {
      const which = round % commands.length;
      // Each command at forty moments of its life, from its start to shortly before its end.
      const moment = (took[which + 1] ?? 0) * (((round * 7) % 40) / 42);
      if ((await signalled(lab, engine, commands[which] ?? on, 'SIGKILL', moment)) === 'SIGKILL') killed += 1;
      const now = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      const open = await gauge.open();
      // In force or not, in both directions: nothing between, and never called frozen what is open.
      if (now.state === 'frozen' || now.state === 'failed') expect(open).toEqual([]);
      else if (now.state === 'drifted') expect(open).toEqual([]);
      else expect(open).toEqual(gauge.all);
      expect(keepersNamed(state).length).toBeLessThanOrEqual(3);
      if (round % 5 !== 4) continue;
      if (round % 2 === 0) expectExit(await lab.netfreeze(...on), 0);
      if (round % 2 === 0) expectExit(await lab.netfreeze('verify', lab.box), 0);
      expectExit(await lab.netfreeze('off', lab.box), 0);
      expect(await lab.nft('box', 'list ruleset')).toBe('');
      expect(keepersNamed(state)).toEqual([]);
      expect(stateIn(lab)).toEqual([]);
    }
    expect(killed).toBeGreaterThanOrEqual(200);
    expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(keepersNamed(state)).toEqual([]);
    expect(await lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue')).toBe('');
    expect(await gauge.open()).toEqual(gauge.all);
  }, 600_000);

  test('in the middle of a thaw at 30 moments: not one datagram is lost', async () => {
    const lab = await makeLab();
    const flow = await sendNumbers(lab, {
      from: 'peer',
      to: 'box',
      address: address[4].box,
      port: 7501,
      perSecond: 1000,
    });
    await lab.freeze('--mode', 'steal');
    const took = await timeOf(lab, engine, ['status', lab.box]);
    for (let round = 0; round < 30; round += 1) {
      await signalled(lab, engine, ['off', lab.box], 'SIGKILL', took * (0.5 + (round % 30) / 20));
      // The keeper gives back what a dead thaw has left, or the freeze stands still: either way nothing goes.
      await sleep(300);
      expectExit(await lab.netfreeze('on', lab.box, '--mode', 'steal'), 0);
    }
    expectExit(await lab.netfreeze('off', lab.box), 0);
    const { sent } = await flow.stop();
    await until('every datagram comes', 5000, async () => (await flow.heard()).received >= sent);
    expect(await flow.heard()).toMatchObject({ received: sent, missing: 0, twice: 0 });
  }, 600_000);
});
