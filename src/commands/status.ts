import { string as textArgument } from '@oclif/core/args';
import { status } from '../freeze/inspect';
import { operationJson } from '../presentation/json';
import { print } from '../presentation/output';
import { statusText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';

export default class Status extends NetfreezeCommand {
  static override summary =
    'Show what is frozen, since when, by whom and why, what was stopped, and whether it has drifted.';
  static override description =
    'Without a target it looks at every network namespace of the machine, and asks the kernel, not the records.';
  static override examples = [
    { description: 'All frozen namespaces of this machine', command: '<%= config.bin %> status' },
    { description: 'One namespace, for a program', command: '<%= config.bin %> status web --json' },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({ ignoreStdin: true, description: targetKinds }),
  };
  static override flags = {};

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(Status);
    requirePrivileges('look into network namespaces');
    const operation = await status(argv.map(String), thisMachine());
    if (flags.json) print(operationJson(operation));
    else if (!operation.failure || operation.targets.some(({ error }) => !error)) {
      print(statusText(operation.targets.filter(({ error }) => !error)));
    }
    this.complain(operation);
  }
}
