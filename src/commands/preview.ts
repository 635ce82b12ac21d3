import { string as textArgument } from '@oclif/core/args';
import { preview } from '../freeze/preview';
import { resultJson } from '../presentation/json';
import { print, say } from '../presentation/output';
import { NetfreezeCommand, targetKinds, thisMachine } from './base';
import { planFlags, planFrom } from './plan-flags';

export default class Preview extends NetfreezeCommand {
  static override summary = 'Print the ruleset that `on` would load, and touch nothing.';
  static override description =
    `Needs no privileges and no target. Where the target exists and may be looked into, devices with flowtables are closed in the ruleset as \`on\` would close them.`;
  static override examples = [
    { description: 'What would be loaded', command: '<%= config.bin %> preview web --lease 30s' },
    { description: 'Let nft check it', command: '<%= config.bin %> preview > f.nft && nft -c -f f.nft' },
  ];
  static override args = {
    target: textArgument({ ignoreStdin: true, description: targetKinds }),
  };
  static override flags = planFlags;

  protected override async work(): Promise<void> {
    const { args, flags } = await this.parse(Preview);
    const { plan, template } = await planFrom(flags);
    const { text, notes } = await preview(args.target ?? null, plan, template, thisMachine());
    print(flags.json ? resultJson({ target: args.target ?? null, ruleset: text, notes }) : text);
    if (!flags.json) for (const note of notes) say(`netfreeze: ${note}\n`);
  }
}
