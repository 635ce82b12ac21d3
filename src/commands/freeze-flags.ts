/** The options of `on`, which every command that freezes has. */
import { boolean, string } from '@oclif/core/flags';
import type { FreezeRequest } from '../freeze/work';
import { Exit, Failure } from '../platform/failure';
import { type PlanFlags, planFlags, planFrom } from './plan-flags';

export const freezeFlags = {
  ...planFlags,
  reason: string({ description: 'why, for those who look at the freeze later', helpValue: 'TEXT' }),
  'hold-timers': boolean({ description: 'keep TCP connections from timing out during the freeze' }),
  'dry-run': boolean({ description: 'resolve, render and rehearse, and show what would change; touch nothing' }),
};

/** The flags as the parser gives them. */
interface FreezeFlags extends PlanFlags {
  reason?: string | undefined;
  'hold-timers'?: boolean | undefined;
  'allow-host'?: boolean | undefined;
  'dry-run'?: boolean | undefined;
}

/**
 * @returns the freeze that is asked for
 * @throws Failure (usage) for each value that is none
 */
export async function freezeRequest(flags: FreezeFlags): Promise<FreezeRequest> {
  const { plan, template } = await planFrom(flags);
  if (flags['allow-host'] && plan.lease === null) {
    throw new Failure('no-lease', Exit.usage, '--allow-host needs --lease, so that the host thaws by itself', {
      suggestions: ['add --lease 30s'],
    });
  }
  return {
    plan,
    template,
    reason: reasonFrom(flags.reason),
    allowHost: flags['allow-host'] ?? false,
    holdTimers: flags['hold-timers'] ?? false,
    run: null,
    dryRun: flags['dry-run'] ?? false,
    arms: false,
  };
}

/** The longest reason that a record keeps, in characters. */
const longestReason = 500;

function reasonFrom(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text.length <= longestReason) return text;
  throw new Failure('bad-reason', Exit.usage, `--reason has more than ${longestReason} characters`);
}
