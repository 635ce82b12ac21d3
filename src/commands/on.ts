import { string as textArgument } from '@oclif/core/args';
import { boolean, string } from '@oclif/core/flags';
import { freeze } from '../freeze/freeze';
import { Exit, Failure } from '../platform/failure';
import { dryRunText, frozenText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { planFlags, planFrom } from './plan-flags';

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
    ...planFlags,
    reason: string({ description: 'why, for those who look at the freeze later', helpValue: 'TEXT' }),
    'hold-timers': boolean({ description: 'keep TCP connections from timing out during the freeze' }),
    'allow-host': boolean({ description: "allow the host's own namespace; needs --lease" }),
    'dry-run': boolean({ description: 'resolve, render and rehearse, and show what would change; touch nothing' }),
  };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(On);
    const names = targetNames(argv, 'on');
    const { plan, template } = await planFrom(flags);
    if (flags['allow-host'] && plan.lease === null) {
      throw new Failure('no-lease', Exit.usage, '--allow-host needs --lease, so that the host thaws by itself', {
        suggestions: ['add --lease 30s'],
      });
    }
    requirePrivileges('freeze a network namespace');
    const request = {
      plan,
      template,
      reason: reasonFrom(flags.reason),
      allowHost: flags['allow-host'] ?? false,
      holdTimers: flags['hold-timers'] ?? false,
      dryRun: flags['dry-run'] ?? false,
    };
    const operation = await freeze(names, request, thisMachine());
    this.present(operation, flags.json, request.dryRun ? dryRunText : frozenText);
  }
}

/** The longest reason that a record keeps, in characters. */
const longestReason = 500;

function reasonFrom(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text.length <= longestReason) return text;
  throw new Failure('bad-reason', Exit.usage, `--reason has more than ${longestReason} characters`);
}

/**
 * @returns the targets' names among the arguments
 * @throws Failure `no-target` when there is none
 */
export function targetNames(argv: unknown[], command: string): string[] {
  const names = argv.map(String);
  if (names.length > 0) return names;
  throw new Failure('no-target', Exit.usage, 'no target is given', {
    suggestions: [`netfreeze ${command} web`, `targets: ${targetKinds}`],
  });
}
