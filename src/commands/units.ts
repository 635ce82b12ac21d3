import { join } from 'node:path';
import { string as textArgument } from '@oclif/core/args';
import { string } from '@oclif/core/flags';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import { resultJson } from '../presentation/json';
import { print, say } from '../presentation/output';
import { activeUnits, isRunning, reload } from '../units/systemctl';
import { installUnits, removeUnits, type UnitFile } from '../units/units';
import { NetfreezeCommand } from './base';

export default class Units extends NetfreezeCommand {
  static override summary = 'Install or remove the systemd units.';
  static override description =
    `netfreeze@TARGET.service freezes while it is active; netfreeze-while@TARGET.target is for units that need a frozen target. The units start this netfreeze, by its absolute path. Files that were changed by hand are neither replaced nor removed, and /etc/netfreeze is not touched.`;
  static override examples = [
    { description: 'Install, then freeze a namespace', command: '<%= config.bin %> units install' },
    { description: 'For a package', command: '<%= config.bin %> units install --prefix debian/netfreeze/usr' },
    { description: 'Remove what was installed', command: '<%= config.bin %> units remove' },
  ];
  static override args = {
    action: textArgument({ ignoreStdin: true, description: 'install or remove' }),
  };
  static override flags = {
    prefix: string({
      description: 'into DIR/lib/systemd/system, and nothing but files; /etc/systemd/system unless told',
      helpValue: 'DIR',
    }),
    program: string({ description: 'what the units start, if not this netfreeze', helpValue: 'FILE' }),
  };

  protected override async work(): Promise<void> {
    const { args, flags } = await this.parse(Units);
    const prefix = flags.prefix ?? null;
    const isLive = prefix === null && isRunning();
    const { units, notes } =
      args.action === 'remove' ? remove(prefix, isLive) : install(args.action, prefix, flags.program, isLive);
    if (flags.json) print(resultJson({ units, notes }));
    else for (const { file, state } of units) print(`${shown(file)}: ${state}\n`);
    if (!flags.json) for (const note of notes) say(`netfreeze: ${note}\n`);
  }
}

interface Outcome {
  units: UnitFile[];
  notes: string[];
}

function install(
  action: string | undefined,
  prefix: string | null,
  program: string | undefined,
  isLive: boolean,
): Outcome {
  if (action !== 'install') throw noAction(action);
  const root = join(__dirname, '..');
  const units = installUnits(
    prefix,
    { node: process.execPath, netfreeze: program ?? join(root, 'bin/netfreeze') },
    root,
  );
  return { units, notes: tellSystemd(units, prefix, isLive) };
}

/** Units that are active are stopped by a person, who knows whether what they have frozen may be thawed. */
function remove(prefix: string | null, isLive: boolean): Outcome {
  const active = isLive ? activeUnits() : [];
  if (active.length > 0) {
    throw new Failure('units-active', Exit.usage, `nothing was removed: ${active.map(shown).join(', ')} not stopped`, {
      suggestions: [`stop them, which thaws: systemctl stop ${active.map(shown).join(' ')}`],
    });
  }
  const units = removeUnits(prefix);
  const kept = units.filter(({ state }) => state === 'kept');
  const notes = kept.map(({ file }) => `${shown(file)} was changed by hand, or is not netfreeze's, and was left`);
  return { units, notes: [...notes, ...tellSystemd(units, prefix, isLive)] };
}

function tellSystemd(units: UnitFile[], prefix: string | null, isLive: boolean): string[] {
  if (prefix !== null || !units.some(({ state }) => state === 'installed' || state === 'removed')) return [];
  if (isLive) reload();
  return isLive ? [] : ['systemd does not run here: it will find the units when it is started'];
}

const noAction = (action: string | undefined) =>
  new Failure(
    'no-action',
    Exit.usage,
    action === undefined ? 'nothing is said to be done' : `units can't ${shown(action)}`,
    {
      suggestions: ['netfreeze units install', 'netfreeze units remove'],
    },
  );
