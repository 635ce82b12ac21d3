/** Several targets are one operation; several netfreeze processes never mix. */
import { aloneWith } from './rig/alone';
import { describeEngines } from './rig/describe';
import { openGauge } from './rig/gauge';
import { useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';

describeEngines('several targets', (engine) => {
  const makeLab = useLabs(engine);

  test('are frozen and thawed together', async () => {
    const [one, other] = [await makeLab(), await makeLab()];
    const { report } = expectExit(await one.netfreeze('on', one.box, other.box, '--json'), 0);
    expect(report.targets).toMatchObject([
      { target: expect.stringContaining(one.box), state: 'frozen' },
      { target: expect.stringContaining(other.box), state: 'frozen' },
    ]);
    for (const lab of [one, other]) expect(await (await openGauge(lab)).open()).toEqual([]);
    expectExit(await one.netfreeze('verify', one.box, other.box), 0);
    expectExit(await one.netfreeze('off', one.box, other.box), 0);
    for (const lab of [one, other]) expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('of which one does not exist: exit 3, and none is frozen', async () => {
    const [one, other] = [await makeLab(), await makeLab()];
    const outcome = await one.netfreeze('on', one.box, other.box, 'nfz-nobody', '--json');
    expectExit(outcome, 3);
    for (const lab of [one, other]) expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('of which one refuses: its exit code, an error of its own, and the others are what they were', async () => {
    const [one, other, third] = [await makeLab(), await makeLab(), await makeLab()];
    expectExit(await one.netfreeze('on', third.box, '--allow-mark', '0x7'), 0);
    const frozen = await third.nft('box', '-s', 'list ruleset');
    await other.nft('box', 'add table inet netfreeze');
    const outcome = expectExit(await one.netfreeze('on', one.box, third.box, other.box, '--json'), 10);
    expect(outcome.report.targets.find(({ target }) => target.endsWith(other.box))?.error).toMatchObject({ exit: 10 });
    expect(await one.nft('box', 'list ruleset')).toBe('');
    expect(await other.nft('box', 'list ruleset')).toBe('table inet netfreeze {\n}\n');
    expect(await third.nft('box', '-s', 'list ruleset')).toBe(frozen);
  });

  test('of which one has a backlog that does not drain: exit 6, all rolled back', async () => {
    const [one, other] = [await makeLab(), await makeLab()];
    await other.run('box', 'ping', '-c1', '-W1', '10.91.1.2');
    await other.run('box', 'tc', ...'qdisc add dev toPeer root tbf rate 8kbit burst 2kb limit 400000'.split(' '));
    await other.traffic('box', 'send', {
      jobs: [{ kind: 'udp', family: 4, from: '10.91.1.1', to: '10.91.1.2', size: 960, count: 30 }],
    });
    expectExit(await one.netfreeze('on', one.box, other.box), 6);
    for (const lab of [one, other]) expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('named twice, by two names: one freeze', async () => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('on', lab.box, `netns:${lab.box}`), 0);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expectExit(await lab.netfreeze('off', lab.box, `path:${lab.file('box')}`), 0);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('off --all thaws every frozen one, whoever froze it, and touches nothing that is not ours', async () => {
    const [one, other, third] = [await makeLab(), await makeLab(), await makeLab()];
    expectExit(await one.netfreeze('on', one.box, '--allow-mark', '0x7'), 0);
    // Another state directory, so without a record here: known by the kernel alone.
    await other.freeze();
    await third.nft('box', 'add table inet theirs');
    expectExit(await one.netfreezeIn({ through: aloneWith(one, other, third) }, 'off', '--all'), 0);
    expect(await one.nft('box', 'list ruleset')).toBe('');
    expect(await other.nft('box', 'list ruleset')).toBe('');
    expect(await third.nft('box', 'list ruleset')).toContain('theirs');
  });
});

describeEngines('netfreeze processes at the same time', (engine) => {
  const makeLab = useLabs(engine);

  test('on one target: each is done or told that another is at work, and the end is a whole state', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    const words = ['on', 'off', 'on', 'off', 'on', 'off', 'on', 'off'];
    const outcomes = await Promise.all(words.map((word) => lab.netfreeze(word, lab.box)));
    for (const outcome of outcomes) expectExit(outcome, 0, 8);
    expect(outcomes.some(({ exit }) => exit === 0)).toBe(true);

    const { state } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
    const frozen = state === 'frozen';
    expect(['frozen', 'absent', 'thawed']).toContain(state);
    expect(await gauge.open()).toEqual(frozen ? [] : gauge.all);
    expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: frozen ? 0 : 11 });
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('on one target with different options: the freeze is one of them, never a mixture', async () => {
    const lab = await makeLab();
    const options = ['0x1', '0x2', '0x3', '0x4', '0x5', '0x6', '0x7', '0x8'];
    const outcomes = await Promise.all(options.map((mark) => lab.netfreeze('on', lab.box, '--allow-mark', mark)));
    for (const outcome of outcomes) expectExit(outcome, 0, 8);
    const marks = (await lab.nft('box', 'list table inet netfreeze')).match(/mark 0x0000000\d/g) ?? [];
    expect(marks).toHaveLength(2);
    expect(new Set(marks).size).toBe(1);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('on different targets they do not hinder one another', async () => {
    const labs = [await makeLab(), await makeLab(), await makeLab(), await makeLab()];
    const first = labs[0];
    if (first === undefined) throw new Error('no lab');
    // One state directory, as on a real machine.
    const frozen = await Promise.all(labs.map((lab) => first.netfreeze('on', lab.box)));
    for (const outcome of frozen) expectExit(outcome, 0);
    for (const lab of labs) expect(await (await openGauge(lab)).open()).toEqual([]);
    const thawed = await Promise.all(labs.map((lab) => first.netfreeze('off', lab.box)));
    for (const outcome of thawed) expectExit(outcome, 0);
    for (const lab of labs) expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});
