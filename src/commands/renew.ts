import { string as textArgument } from '@oclif/core/args';
import { string } from '@oclif/core/flags';
import { renew } from '../freeze/renew';
import { renewedText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { leaseFrom } from './plan-flags';
import { targetNames, targetsFlag } from './targets';

export default class Renew extends NetfreezeCommand {
  static override summary = 'Extend the lease of a freeze, from now.';
  static override description = `A lease that has ended stays ended: then it ends with 11 and freezes nothing again.`;
  static override examples = [
    { description: 'As long again as it was given', command: '<%= config.bin %> renew web' },
    { description: 'Another minute', command: '<%= config.bin %> renew web --lease 1m' },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({ ignoreStdin: true, description: targetKinds }),
  };
  static override flags = {
    ...targetsFlag,
    lease: string({ description: 'the new length; the one that it has, unless told', helpValue: 'TIME' }),
  };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(Renew);
    const names = targetNames(argv, flags.targets, 'renew');
    const lease = leaseFrom(flags.lease);
    requirePrivileges('renew a lease');
    this.present(await renew(names, lease, thisMachine(this.progress)), flags.json, renewedText, 'renewed');
  }
}
