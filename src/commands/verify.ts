import { string as textArgument } from '@oclif/core/args';
import { verify } from '../freeze/inspect';
import { verifiedText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { targetNames, targetsFlag } from './targets';

export default class Verify extends NetfreezeCommand {
  static override summary = 'Compare what the kernel shows with what was frozen.';
  static override description =
    `Ends with 0 when they are the same, 10 when the freeze has drifted, 11 when nothing is frozen.`;
  static override examples = [{ description: 'Is it still frozen?', command: '<%= config.bin %> verify web' }];
  static override strict = false;
  static override args = {
    target: textArgument({ ignoreStdin: true, description: targetKinds }),
  };
  static override flags = { ...targetsFlag };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(Verify);
    const names = targetNames(argv, flags.targets, 'verify');
    requirePrivileges('look into network namespaces');
    this.present(
      await verify(names, thisMachine(this.progress)),
      flags.json,
      verifiedText,
      'frozen, as the kernel shows',
    );
  }
}
