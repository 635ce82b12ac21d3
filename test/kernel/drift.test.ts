/** What netfreeze does when the kernel does not show what it loaded, because somebody else has changed it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { aloneWith } from './rig/alone';
import { describeEngines } from './rig/describe';
import { openGauge } from './rig/gauge';
import { type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';

const foreign =
  'add table inet netfreeze; add chain inet netfreeze theirs; add rule inet netfreeze theirs counter accept';

describeEngines('drift', (engine) => {
  const makeLab = useLabs(engine);

  test('a table of our name that is not ours: exit 10, and it is not touched by any command', async () => {
    const lab = await makeLab();
    await lab.nft('box', foreign);
    const before = await lab.nft('box', '-a', 'list ruleset');
    for (const command of [['on'], ['on', '--dry-run'], ['off'], ['verify'], ['renew', '--lease', '5s']]) {
      const [word = '', ...options] = command;
      const outcome = await lab.netfreeze(word, lab.box, ...options);
      expect(outcome).toMatchObject({ exit: 10 });
      expect(outcome.stderr).toContain('netfreeze');
    }
    expectExit(await lab.netfreeze('status', lab.box), 0);
    expectExit(await lab.netfreezeIn({ through: aloneWith(lab) }, 'off', '--all'), 0, 10);
    expect(await lab.nft('box', '-a', 'list ruleset')).toBe(before);
  });

  test('a rule deleted behind its back: verify exits 10, status says drifted, off thaws and says so', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await deleteDropRule(lab, 'output');
    const verified = await lab.netfreeze('verify', lab.box);
    expect(verified).toMatchObject({ exit: 10 });
    // The difference is shown, not only that there is one.
    expect(verified.stdout + verified.stderr).toMatch(/output/);
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('drifted');
    const thawed = expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(thawed.stdout + thawed.stderr).toMatch(/drift/i);
    expect(await gauge.open()).toEqual(gauge.all);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('a rule added in front that lets packets pass: verify exits 10, on makes it whole again', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await lab.nft('box', 'insert rule inet netfreeze output accept');
    expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 10 });
    await lab.freeze();
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('the lease emptied behind its back is drift of an endless freeze', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await lab.nft('box', 'flush set inet netfreeze lease');
    expect(await gauge.open()).toEqual(gauge.all);
    expect((await lab.netfreeze('verify', lab.box)).exit).not.toBe(0);
    await lab.freeze();
    expect(await gauge.open()).toEqual([]);
  });

  test('a hook that is missing: verify exits 10, and the box can be frozen again', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await lab.nft('box', 'flush chain inet netfreeze output; delete chain inet netfreeze output');
    const verified = await lab.netfreeze('verify', lab.box);
    expect(verified).toMatchObject({ exit: 10 });
    expect(verified.stdout + verified.stderr).toMatch(/output/);
    const again = expectExit(await lab.netfreeze('on', lab.box), 0, 2, 10);
    if (again.exit !== 0) {
      expect(again.stderr).toMatch(/netfreeze off|thaw/);
      await lab.thaw();
      await lab.freeze();
    }
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('a table that was deleted: verify does not say frozen, off is done', async () => {
    const lab = await makeLab();
    await lab.freeze();
    await lab.nft('box', 'delete table inet netfreeze');
    expectExit(await lab.netfreeze('verify', lab.box), 10, 11);
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).not.toBe('frozen');
    await lab.thaw();
  });

  test('without its record a freeze is known by the kernel alone, and thawed', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    const elsewhere = { stateDir: join(lab.stateDir, 'other') };
    expect(only(await lab.netfreezeIn(elsewhere, 'status', lab.box, '--json')).state).toBe('frozen');
    expectExit(await lab.netfreezeIn(elsewhere, 'off', lab.box), 0);
    expect(await gauge.open()).toEqual(gauge.all);
    // The record that was left says otherwise; the kernel is the truth.
    expect(only(await lab.netfreeze('status', lab.box, '--json')).state).not.toBe('frozen');
  });

  test('a replacement with another priority exits 2, and the freeze that stood still stands', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    const listing = await lab.nft('box', '-s', 'list ruleset');
    const text = readFileSync(resolve(__dirname, '../../templates/drop.nft.hbs'), 'utf8');
    const file = join(lab.stateDir, 'own.nft.hbs');
    writeFileSync(file, text.replaceAll('priority -450', 'priority -460'));
    const refused = await lab.netfreeze('on', lab.box, '--template', file);
    expect(refused).toMatchObject({ exit: 2 });
    expect(refused.stderr).toMatch(/thaw|netfreeze off/);
    expect(await lab.nft('box', '-s', 'list ruleset')).toBe(listing);
    expect(await gauge.open()).toEqual([]);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('a namespace that is gone: off exits 0 or 3, and status does not list it as frozen', async () => {
    const lab = await makeLab();
    await lab.freeze();
    await lab.ip('peer', 'link', 'del', 'eth0');
    await lab.run('peer', 'ip', 'netns', 'del', lab.box);
    expectExit(await lab.netfreeze('off', lab.box), 0, 3);
    const { report } = expectExit(await lab.netfreeze('status', '--json'), 0);
    expect(report.targets.filter(({ target, state }) => target.includes(lab.box) && state === 'frozen')).toEqual([]);
  });

  test('made dormant: verify exits 10, on refuses, off takes it away', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    await lab.nft('box', 'add table inet netfreeze { flags dormant; }');
    for (let round = 0; round < 3; round += 1) {
      const verified = await lab.netfreeze('verify', lab.box);
      expect(verified).toMatchObject({ exit: 10 });
      expect(verified.stderr).toMatch(/dormant/);
    }
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('drifted');
    expect(await lab.netfreeze('on', lab.box)).toMatchObject({ exit: 10 });
    const thawed = expectExit(await lab.netfreeze('off', lab.box), 0);
    expect(thawed.stderr).toMatch(/dormant/);
    expect(await lab.nft('box', 'list tables')).toBe('');
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('a table that somebody put in the place of ours is not deleted, though there is a record', async () => {
    const lab = await makeLab();
    await lab.freeze();
    await lab.nft('box', `delete table inet netfreeze; ${foreign}`);
    const before = await lab.nft('box', '-a', 'list ruleset');
    for (const command of ['off', 'on', 'verify']) {
      const outcome = await lab.netfreeze(command, lab.box);
      expect(outcome).toMatchObject({ exit: 10 });
      expect(outcome.stderr).toMatch(/did not make/);
    }
    expect(await lab.nft('box', '-a', 'list ruleset')).toBe(before);
  });

  test('a template that is dormant is refused before the target is touched', async () => {
    const lab = await makeLab();
    const text = readFileSync(resolve('templates/drop.nft.hbs'), 'utf8');
    const file = join(lab.stateDir, 'sleeping.nft.hbs');
    writeFileSync(file, text.replace('table inet netfreeze {', 'table inet netfreeze {\n\tflags dormant;'));
    const outcome = await lab.netfreeze('on', lab.box, '--template', file);
    expect(outcome).toMatchObject({ exit: 2 });
    expect(outcome.stderr).toMatch(/dormant/);
    expect(await lab.nft('box', 'list tables')).toBe('');
  });

  test('a dry run says what becomes of the lease', async () => {
    const lab = await makeLab();
    await lab.freeze();
    const longer = expectExit(await lab.netfreeze('on', lab.box, '--lease', '30s', '--dry-run'), 0);
    expect(longer.stdout).toMatch(/- lease endless\n\s*\+ thaws by itself in 30s/);
  });
});

async function deleteDropRule(lab: Lab, chain: string): Promise<void> {
  const listing = await lab.nft('box', '-a', `list chain inet netfreeze ${chain}`);
  const handle = /drop .*# handle (\d+)/.exec(listing)?.[1];
  if (handle === undefined) throw new Error(`no rule that drops in:\n${listing}`);
  await lab.nft('box', `delete rule inet netfreeze ${chain} handle ${handle}`);
}
