/** CRIU beside a freeze: its own lock comes and goes in the same namespace, and the freeze stays what it was. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines, describeKernel } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit } from '../kernel/rig/netfreeze';
import { run } from '../kernel/rig/program';

describeKernel('CRIU', () => {
  test('says that this kernel has what it needs', async () => {
    expect(await run('criu', ['check'])).toContain('Looks good');
  });
});

describeEngines("CRIU's lock", (engine) => {
  const makeLab = useLabs(engine);

  test.each(['nftables', 'iptables'])('(%s) comes and goes beside a freeze, which stays verified', async (lock) => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    const before = await ours(lab);
    const program = await startProgram(lab);
    try {
      const tables = await dump(lab, program.pid, lock, '--leave-running');
      // At the end of the dump the lock was there, beside us.
      expect(tables).toMatch(lock === 'nftables' ? /table inet CRIU-\d+/ : /table ip filter/);
      expect(tables).toContain('table inet netfreeze');
    } finally {
      program.kill();
    }
    expect(await lab.nft('box', 'list tables')).not.toContain('CRIU');
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expect(await ours(lab)).toBe(before);
    expect(await gauge.open()).toEqual([]);
    await lab.thaw();
    expect(await gauge.open()).toEqual(gauge.all);
  });

  test('that a dump has left in place outlasts the thaw: it is not ours', async () => {
    const lab = await makeLab();
    const gauge = await openGauge(lab);
    await lab.freeze();
    const program = await startProgram(lab);
    await dump(lab, program.pid, 'nftables');
    await program.ended;
    const left = await lab.nft('box', 'list tables');
    expect(left).toMatch(/table inet CRIU-\d+/);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    await lab.thaw();
    expect(await lab.nft('box', 'list tables')).toBe(left.replace('table inet netfreeze\n', ''));
    // Closed still, but by CRIU.
    expect(await gauge.open()).toEqual([]);
  });
});

/** A program in the box that CRIU can dump: a session of its own, and nothing open that belongs to others. */
async function startProgram(lab: Lab) {
  const child = spawn('nsenter', [`--net=${lab.file('box')}`, 'sleep', '1000'], { detached: true, stdio: 'ignore' });
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  return { pid: child.pid ?? 0, ended, kill: () => child.kill('SIGKILL') };
}

/**
 * Dumps a program from outside its network namespace, as runtimes do, so that CRIU locks all of it.
 * @returns the namespace's tables at the moment before CRIU unlocks, or when the dump is done
 */
async function dump(lab: Lab, pid: number, lock: string, ...options: string[]): Promise<string> {
  const images = join(lab.stateDir, 'images');
  const seen = join(lab.stateDir, 'tables');
  const script = join(lab.stateDir, 'action.sh');
  mkdirSync(images);
  writeFileSync(
    script,
    `#!/bin/sh
case $CRTOOLS_SCRIPT_ACTION in
network-unlock | post-dump) [ -s ${seen} ] || nsenter --net=${lab.file('box')} nft list tables >${seen} ;;
esac
`,
  );
  chmodSync(script, 0o755);
  const log = join(images, 'dump.log');
  const settings = [
    '--tree',
    `${pid}`,
    '--images-dir',
    images,
    '--log-file',
    'dump.log',
    '-v4',
    '--network-lock',
    lock,
  ];
  const external = `net[${statSync(lab.file('box')).ino}]:box`;
  await run('criu', ['dump', ...settings, '--external', external, '--action-script', script, ...options]).catch(
    (error: unknown) => {
      throw new Error(`criu dump failed, its log ends with:\n${readFileSync(log, 'utf8').slice(-2000)}`, {
        cause: error,
      });
    },
  );
  return readFileSync(seen, 'utf8');
}

/** Our table to the letter, with handles. */
const ours = (lab: Lab) => lab.nft('box', '-s', '-a', 'list table inet netfreeze');
