/** `netfreeze units` where systemd does not run: files only. With systemd: test/vm/units.test.ts. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeOneEngine } from './rig/describe';
import { useLabs } from './rig/lab';
import { expectExit, type Outcome } from './rig/netfreeze';

const names = ['netfreeze-while@.target', 'netfreeze@.service'];
/** A machine whose units are in a folder of the lab, and on which systemd does not run. */
const script = `mount --bind "$0" /etc/systemd/system
if [ -d /run/systemd/system ]; then mount -t tmpfs none /run/systemd; fi
exec "$@"`;

describeOneEngine('netfreeze units', (engine) => {
  const makeLab = useLabs(engine);

  async function folder() {
    const lab = await makeLab();
    const place = join(lab.stateDir, 'units');
    mkdirSync(place);
    // A unit can't start what lies in /tmp, as a checkout may.
    const program = ['--program', '/usr/lib/netfreeze/bin/netfreeze'];
    const through = ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', script, place];
    return { lab, place, program, units: (...args: string[]) => lab.netfreezeIn({ through }, 'units', ...args) };
  }
  const states = (outcome: Outcome) =>
    (outcome.report as unknown as { units: Array<{ state: string }> }).units.map(({ state }) => state);

  test('installs, says where, says that systemd does not run; and removes', async () => {
    const { place, program, units } = await folder();
    const installed = expectExit(await units('install', ...program), 0);
    expect(installed.stdout).toContain('/etc/systemd/system/netfreeze@.service: installed\n');
    expect(installed.stderr).toMatch(/systemd does not run here/);
    expect(readdirSync(place).sort()).toEqual(names);
    expect(readFileSync(join(place, 'netfreeze@.service'), 'utf8')).toContain(
      `ExecStart=${process.execPath} /usr/lib/`,
    );
    expect(states(expectExit(await units('install', ...program, '--json'), 0))).toEqual(['unchanged', 'unchanged']);

    writeFileSync(join(place, 'netfreeze@.service'), '[Service]\n');
    expect(expectExit(await units('install', ...program), 2).stderr).toMatch(/changed by hand.*\n.*systemctl edit/);
    const removed = expectExit(await units('remove', '--json'), 0);
    expect(states(removed)).toEqual(['kept', 'removed']);
    expect(readdirSync(place)).toEqual(['netfreeze@.service']);
  });

  test('installs for a package below a prefix, and nothing else', async () => {
    const { lab, place, program } = await folder();
    const args = ['--prefix', place, ...program];
    const outcome = expectExit(await lab.netfreeze('units', 'install', ...args, '--json'), 0);
    expect(outcome.report).toMatchObject({ schema: 'netfreeze/1', notes: [] });
    expect(readdirSync(join(place, 'lib/systemd/system')).sort()).toEqual(names);
    expectExit(await lab.netfreeze('units', 'remove', '--prefix', place), 0);
    expect(readdirSync(join(place, 'lib/systemd/system'))).toEqual([]);
  });

  test('may be refused to who is not root: exit 4, and what to do', async () => {
    const { lab, program } = await folder();
    const through = ['setpriv', '--reuid=65534', '--clear-groups'];
    // A checkout in a closed folder can't be read by others at all.
    if ((await lab.netfreezeIn({ through }, 'preview')).exit !== 0) return;
    const outcome = expectExit(await lab.netfreezeIn({ through }, 'units', 'install', ...program), 4);
    expect(outcome.stderr).toMatch(/cannot be written.*EACCES[\s\S]*run it as root/);
  });

  test('wants to be told what to do, and a program that units can start', async () => {
    const { lab } = await folder();
    expect(expectExit(await lab.netfreeze('units'), 2).stderr).toMatch(/netfreeze units install/);
    expect(expectExit(await lab.netfreeze('units', 'enable'), 2).stderr).toMatch(/units can't enable/);
    const args = ['units', 'install', '--prefix', lab.stateDir, '--program', '/tmp/x/netfreeze'];
    expect(expectExit(await lab.netfreeze(...args), 2).stderr).toMatch(/temporary files/);
  });
});
