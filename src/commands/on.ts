import { string as textArgument } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { freeze } from '../freeze/freeze';
import { dryRunText, frozenText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { freezeFlags, freezeRequest } from './freeze-flags';
import { targetNames, targetsFlag } from './targets';

export default class On extends NetfreezeCommand {
  static override summary = 'Freeze the network of one or many targets, all of them or none.';
  static override description =
    `The ruleset is rehearsed in a scratch namespace, loaded in one atomic transaction for both directions, read back and compared. What can't be proven is rolled back.`;
  static override examples = [
    { description: 'Freeze a namespace made by ip netns', command: '<%= config.bin %> on web' },
    { description: 'Freeze a process for 30 s at the most', command: '<%= config.bin %> on pid:4711 --lease 30s' },
    { description: 'See what would change', command: '<%= config.bin %> on web --dry-run' },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({
      ignoreStdin: true,
      description: `${targetKinds}; several are one operation`,
    }),
  };
  static override flags = {
    ...freezeFlags,
    ...targetsFlag,
    'allow-host': boolean({ description: "allow the host's own namespace; needs --lease" }),
  };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(On);
    const names = targetNames(argv, flags.targets, 'on');
    const request = await freezeRequest(flags);
    requirePrivileges('freeze a network namespace');
    const operation = await freeze(names, request, thisMachine(this.progress));
    if (request.dryRun) this.present(operation, flags.json, dryRunText);
    else this.present(operation, flags.json, frozenText, 'frozen');
  }
}
