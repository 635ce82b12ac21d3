import { string as textArgument } from '@oclif/core/args';
import { arming } from '../freeze/armed';
import { freeze } from '../freeze/freeze';
import { armedText, dryRunText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { freezeFlags, freezeRequest } from './freeze-flags';
import { targetNames, targetsFlag } from './targets';

const { lease: _lease, 'hold-timers': _timers, ...flags } = freezeFlags;

export default class Arm extends NetfreezeCommand {
  static override summary = 'Stage a freeze, so that `on` with the same options is one tiny message to the kernel.';
  static override description =
    `Everything of the freeze is loaded and proven but the elements of its lease: traffic flows. \`off\` of a freeze that was made so leaves it armed; \`off --disarm\` takes all away.`;
  static override examples = [
    {
      description: 'Stage it, freeze, thaw',
      command: '<%= config.bin %> arm web && <%= config.bin %> on web --lease 30s',
    },
    { description: 'Take what is armed away', command: '<%= config.bin %> off --disarm web' },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({ ignoreStdin: true, description: `${targetKinds}; several are one operation` }),
  };
  static override flags = { ...flags, ...targetsFlag };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(Arm);
    const names = targetNames(argv, flags.targets, 'arm');
    const request = arming(await freezeRequest(flags));
    requirePrivileges('arm a network namespace');
    const operation = await freeze(names, request, thisMachine(this.progress));
    if (request.dryRun) this.present(operation, flags.json, dryRunText);
    else this.present(operation, flags.json, armedText, 'armed');
  }
}
