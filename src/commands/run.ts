import { string as textArgument } from '@oclif/core/args';
import { boolean, option, string } from '@oclif/core/flags';
import { runUnderFreeze } from '../checkpoint/run';
import { thisRunner } from '../freeze/runner';
import { Exit, Failure } from '../platform/failure';
import { failureJson } from '../presentation/json';
import { say } from '../presentation/output';
import { runJson, tellEnd, tellStart } from '../presentation/run';
import { tellFailure } from '../presentation/tell';
import { parseDuration } from '../ruleset/duration';
import { NetfreezeCommand, requirePrivileges, targetKinds, thisMachine } from './base';
import { freezeFlags, freezeRequest } from './freeze-flags';
import { targetNames, targetsFlag } from './targets';

/** The lease of a run that names none; it is renewed every third of it. */
const usualLease = '30s';

export default class Run extends NetfreezeCommand {
  static override summary = 'Freeze targets, run a command, thaw; roll back if it fails.';
  static override description =
    `The command starts when the freeze is proven. When it has ended, it is proven that the freeze held all the time; if it did not, or the command fails, everything is rolled back and the exit status tells.

The command's standard output is its own; netfreeze says what it has to say on standard error.`;
  static override examples = [
    {
      description: 'Checkpoint a container, which goes on afterwards',
      command: '<%= config.bin %> run podman:db -- podman container checkpoint --leave-running db',
    },
    {
      description: 'The source of a migration: it stays frozen until it is thawed or removed',
      command: '<%= config.bin %> run db --stay-frozen -- criu dump --tree 4711 --images-dir /var/tmp/db',
    },
    {
      description: 'Hold packets instead of dropping them, for a minute at the most',
      command: '<%= config.bin %> run web --mode steal --timeout 1m -- ./snapshot.sh',
    },
  ];
  static override strict = false;
  static override args = {
    target: textArgument({
      ignoreStdin: true,
      description: `${targetKinds}; what stands after -- is the command`,
    }),
  };
  static override flags = {
    ...freezeFlags,
    ...targetsFlag,
    lease: string({
      description: `how long the freeze outlasts a netfreeze that is killed; ${usualLease} unless told`,
      helpValue: 'TIME',
    }),
    'allow-host': boolean({ description: "allow the host's own namespace" }),
    'stay-frozen': boolean({ description: 'after success leave it frozen: for --lease, else without an end' }),
    timeout: string({ description: 'stop the command after this time, and roll back', helpValue: 'TIME' }),
    'on-death': option({
      description: 'what becomes of the freeze when netfreeze is killed',
      options: ['thaw', 'stay'] as const,
      default: 'thaw',
    })(),
    'no-kick': boolean({ description: 'let TCP wait for its own timers' }),
    'kick-peers': boolean({ description: 'make peers that send to it go on at once too, by ICMP messages' }),
  };

  /** What stands after the first `--`, which oclif's parser would mix with the targets. */
  private words: string[] = [];

  protected override async work(): Promise<void> {
    const end = this.argv.indexOf('--');
    this.words = end < 0 ? [] : this.argv.splice(end).slice(1);
    const { argv, flags } = await this.parse(Run);
    const names = targetNames(argv, flags.targets, 'run');
    if (this.words.length === 0) {
      throw new Failure('no-command', Exit.usage, 'no command is given', {
        suggestions: [`netfreeze run ${names[0]} -- COMMAND`],
      });
    }
    if (flags.lease && flags['on-death'] === 'stay') {
      throw new Failure('lease-or-stay', Exit.usage, '--lease and --on-death stay exclude each other', {
        suggestions: ['leave out --lease: a freeze that stays has no end'],
      });
    }
    if (flags['no-kick'] && flags['kick-peers']) {
      throw new Failure('kick-or-not', Exit.usage, '--no-kick and --kick-peers exclude each other');
    }
    const lease = flags['on-death'] === 'stay' ? undefined : (flags.lease ?? usualLease);
    const freeze = { ...(await freezeRequest({ ...flags, lease })), run: thisRunner() };
    const request = {
      freeze,
      kick: { sockets: !flags['no-kick'], peers: flags['kick-peers'] ?? false },
      stay: flags['stay-frozen'] ? (flags.lease ? ('same' as const) : ('endless' as const)) : null,
      timeoutMs: flags.timeout === undefined ? null : parseDuration(flags.timeout, '--timeout'),
    };
    requirePrivileges('freeze a network namespace');
    const outcome = await runUnderFreeze(names, this.words, request, thisMachine(), (frozen, notes) => {
      if (!flags.json) tellStart(frozen, notes);
    });
    if (flags.json) say(runJson(outcome));
    else tellEnd(outcome);
    if (outcome.failure) process.exitCode = outcome.failure.exit;
  }

  /** Standard output is the command's, also where it does not come to it. */
  protected override end(failure: Failure): void {
    if (this.argv.includes('--json')) say(failureJson(failure));
    else tellFailure(failure);
    process.exitCode = failure.exit;
  }
}
