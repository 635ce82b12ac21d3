import { string } from '@oclif/core/flags';
import { findCaller } from '../checkpoint/criu/caller';
import { hook } from '../checkpoint/criu/hook';
import { withinLimit } from '../checkpoint/limit';
import type { Operation } from '../freeze/report';
import { Exit, Failure } from '../platform/failure';
import { harmless, shown } from '../platform/text';
import { resultJson } from '../presentation/json';
import { print, say } from '../presentation/output';
import { frozenText, thawedText } from '../presentation/report';
import { parseDuration } from '../ruleset/duration';
import { NetfreezeCommand, requirePrivileges, thisMachine } from './base';
import { planFlags, planFrom } from './plan-flags';

export default class CriuHook extends NetfreezeCommand {
  static override summary = "CRIU's action script: freeze while CRIU dumps or restores.";
  static override description =
    `CRIU starts it by the name netfreeze-criu-hook, without arguments, and says in the environment what it is about; NETFREEZE_HOOK_OPTIONS holds these options then.`;
  static override examples = [
    {
      description: 'A dump under a freeze',
      command: 'criu dump --tree 4711 --external net[4026532000]:web --action-script netfreeze-criu-hook',
    },
    {
      description: 'Nothing is lost',
      command: `NETFREEZE_HOOK_OPTIONS='--mode steal' criu dump --network-lock skip --action-script netfreeze-criu-hook ...`,
    },
  ];
  static override flags = {
    ...planFlags,
    lease: string({
      description: 'while CRIU is at work, the freeze ends by itself after this time',
      helpValue: 'TIME',
      default: '30s',
    }),
    stay: string({
      description: 'after a dump that ended the tasks the freeze stays this long; without end unless told',
      helpValue: 'TIME',
    }),
    limit: string({
      description: 'the longest that an action may take, since the tasks stand still meanwhile',
      helpValue: 'TIME',
      default: '10s',
    }),
    target: string({ description: 'freeze this instead of the process that CRIU names', helpValue: 'TARGET' }),
  };

  protected override async work(): Promise<void> {
    this.argv.unshift(...(process.env.NETFREEZE_HOOK_OPTIONS ?? '').split(/\s+/).filter((word) => word !== ''));
    const { flags } = await this.parse(CriuHook);
    const { plan, template } = await planFrom(flags);
    const limit = parseDuration(flags.limit, '--limit');
    const stay = flags.stay === undefined ? null : parseDuration(flags.stay, '--stay');
    const action = process.env.CRTOOLS_SCRIPT_ACTION;
    if (action === undefined) {
      throw new Failure(
        'not-criu',
        Exit.usage,
        'CRTOOLS_SCRIPT_ACTION is not set: it is CRIU that starts this command',
        {
          suggestions: ['criu dump --action-script netfreeze-criu-hook …', 'by hand: netfreeze on, netfreeze off'],
        },
      );
    }
    requirePrivileges('freeze a network namespace');
    const request = { plan, template, target: flags.target ?? null, stay };
    const { operations, notes } = await withinLimit(limit, shown(action), () =>
      hook({ action, ...about(), criu: findCaller() }, request, thisMachine()),
    );
    if (flags.json) return print(resultJson({ action, notes, targets: operations.flatMap(({ targets }) => targets) }));
    for (const operation of operations) this.tell(operation);
    for (const note of notes) say(`netfreeze: ${shown(action)}: ${harmless(note)}\n`);
  }

  private tell({ targets }: Operation): void {
    for (const target of targets) {
      print(target.state === 'frozen' ? frozenText(target) : thawedText(target));
      for (const note of target.notes) say(`netfreeze: ${shown(target.target)}: ${harmless(note)}\n`);
    }
  }
}

const about = () => ({ init: process.env.CRTOOLS_INIT_PID, images: process.env.CRTOOLS_IMAGE_DIR });
