import { string as textArgument } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { type ThawRequest, thaw, thawEverything, thawUnit } from '../freeze/thaw';
import { Exit, Failure } from '../platform/failure';
import { unitRun } from '../platform/systemd';
import { print } from '../presentation/output';
import { thawedText } from '../presentation/report';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { targetNames, targetsFlag } from './targets';

export default class Off extends NetfreezeCommand {
  static override summary = 'Thaw one or many targets.';
  static override description =
    `Takes the ruleset away and verifies that it is gone. Packets that were held go on, in order. What is not frozen stays as it is.`;
  static override examples = [
    { description: 'Thaw a namespace', command: '<%= config.bin %> off web' },
    { description: 'The source of a migration: drop what was held', command: '<%= config.bin %> off web --discard' },
    { description: 'Thaw all that is frozen on this machine', command: '<%= config.bin %> off --all' },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({ ignoreStdin: true, description: targetKinds }),
  };
  static override flags = {
    ...targetsFlag,
    all: boolean({ description: 'all that is frozen, as the kernel shows it' }),
    'this-unit': boolean({ description: 'what this run of the systemd unit has frozen, by whatever name' }),
    disarm: boolean({ description: 'take away what is armed as well' }),
    discard: boolean({ description: 'mode steal: drop what is held instead of giving it back' }),
    'no-kick': boolean({ description: 'let TCP wait for its own timers' }),
    'kick-peers': boolean({ description: 'make peers that send to it go on at once too, by ICMP messages' }),
  };

  protected override async work(): Promise<void> {
    const { argv, flags } = await this.parse(Off);
    if (flags.all && (argv.length > 0 || flags.targets !== undefined || flags['this-unit'])) {
      throw new Failure('all-and-target', Exit.usage, '--all excludes targets and --this-unit');
    }
    if (flags['no-kick'] && flags['kick-peers']) {
      throw new Failure('kick-or-not', Exit.usage, '--no-kick and --kick-peers exclude each other');
    }
    if (flags.discard && flags['kick-peers']) {
      throw new Failure(
        'kick-or-not',
        Exit.usage,
        '--discard and --kick-peers exclude each other: what is discarded is to be forgotten',
      );
    }
    const request = {
      discard: flags.discard ?? false,
      disarm: flags.disarm ?? false,
      kick: { sockets: !flags['no-kick'], peers: flags['kick-peers'] ?? false },
    };
    const names =
      flags.all || (flags['this-unit'] && flags.targets === undefined)
        ? argv.map(String)
        : targetNames(argv, flags.targets, 'off');
    requirePrivileges('thaw a network namespace');
    const operation = await this.thawing(flags, names, request);
    this.present(operation, flags.json, thawedText, 'thawed');
    const hasAsked = flags.all || names.length > 0;
    if (hasAsked && operation.targets.length === 0 && !flags.json) print('nothing is frozen\n');
  }

  private thawing(flags: { all?: boolean; 'this-unit'?: boolean }, names: string[], request: ThawRequest) {
    if (flags.all) return thawEverything(request, thisMachine(this.progress));
    if (!flags['this-unit']) return thaw(names, request, thisMachine(this.progress));
    const run = unitRun();
    if (run !== null) return thawUnit(names, run, request, thisMachine(this.progress));
    throw new Failure(
      'no-unit',
      Exit.usage,
      '--this-unit is for the processes of a systemd unit: INVOCATION_ID is not set',
      {
        suggestions: ['give the target: netfreeze off web'],
      },
    );
  }
}
