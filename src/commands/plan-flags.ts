/** The options that make a plan; `on`, `preview` and every other command that freezes have the same. */
import { option, string } from '@oclif/core/flags';
import { Exit, Failure } from '../platform/failure';
import { type Duration, parseDuration } from '../ruleset/duration';
import {
  type Asked,
  defaultHoldLimit,
  type Mode,
  modes,
  type Plan,
  parseAllowed,
  parseHoldLimit,
  parseMark,
} from '../ruleset/plan';
import { loadTemplate, type Template } from '../ruleset/template';

export const planFlags = {
  mode: option({
    description: 'what happens to packets: they are dropped, or held and given back in order',
    options: modes,
    default: 'drop',
  })(),
  template: string({ description: 'ruleset: a name, or a file (with a slash in its path)', helpValue: 'NAME|FILE' }),
  lease: string({ description: 'thaw by itself after this time: 500ms, 30s, 5m, 2h', helpValue: 'TIME' }),
  'hold-limit': string({
    description: `mode steal: how many packets each direction holds; ${defaultHoldLimit} unless told`,
    helpValue: 'PACKETS',
  }),
  loopback: option({
    description: 'what happens to traffic over loopback devices',
    options: ['freeze', 'keep'] as const,
    default: 'freeze',
  })(),
  allow: string({
    description: 'let traffic with this remote end pass',
    helpValue: 'ADDR[:PORT[/PROTO]]',
    multiple: true,
    multipleNonGreedy: true,
  }),
  'allow-mark': string({
    description: 'let packets with this mark pass',
    helpValue: 'MARK',
    multiple: true,
    multipleNonGreedy: true,
  }),
};

/** The flags as the parser gives them. */
export interface PlanFlags {
  mode: Mode;
  template?: string | undefined;
  lease?: string | undefined;
  'hold-limit'?: string | undefined;
  loopback: Plan['loopback'];
  allow?: string[] | undefined;
  'allow-mark'?: string[] | undefined;
}

/**
 * @returns the validated plan and its template
 * @throws Failure (usage) for each value that is none
 */
export async function planFrom(flags: PlanFlags): Promise<{ plan: Asked; template: Template }> {
  const template = await loadTemplate(flags.template ?? flags.mode);
  const plan = {
    mode: flags.mode,
    template: template.name,
    lease: leaseFrom(flags.lease),
    loopback: flags.loopback,
    allow: (flags.allow ?? []).flatMap(parseAllowed),
    holdLimit: holdLimitFrom(flags),
    marks: (flags['allow-mark'] ?? []).map(parseMark),
  };
  return { plan, template };
}

/** @returns a lease, or null where none is given */
export const leaseFrom = (text: string | undefined): Duration | null =>
  text === undefined ? null : parseDuration(text, '--lease');

function holdLimitFrom({ mode, 'hold-limit': text }: PlanFlags): number {
  if (text === undefined) return defaultHoldLimit;
  const limit = parseHoldLimit(text);
  if (mode === 'steal') return limit;
  throw new Failure('hold-limit-without-steal', Exit.usage, '--hold-limit is about packets that are held: mode steal', {
    suggestions: ['add --mode steal'],
  });
}
