/** A dry run: all but touching the target has been done; what is left is to say what would change. */
import { lineDifferences } from '../../ruleset/canonical';
import { durationText } from '../../ruleset/duration';
import type { Plan } from '../../ruleset/plan';
import { emptyReport, standingReport, type TargetReport } from '../report';
import type { Standing } from '../state/standing';
import { timersOf } from '../tcp/timers';
import { type FreezeRequest, stateOf, type Work } from '../work';

/** @returns what stands, and the lines that would go and come */
export async function reportDryRun(target: Work, { holdTimers, arms }: FreezeRequest): Promise<TargetReport> {
  const empty = emptyReport(target.name, target.site.namespace);
  const now = target.standing ? standingReport(empty, target.standing, target.record, stateOf(target.standing)) : empty;
  const lines = target.done
    ? ['nothing would change']
    : [
        ...(await lineDifferences(target.before?.state.listing ?? '', target.expected?.listing ?? '')),
        ...(arms ? [] : leaseLines(target.standing, target.plan.lease)),
        ...timersLines(timersOf(target.record) !== null, holdTimers),
      ];
  return { ...now, timings: target.timings, notes: target.notes, wouldChange: lines };
}

/** A listing's lease is no difference in its lines; a dry run says what becomes of it. */
function leaseLines(standing: Standing | null, lease: Plan['lease']): string[] {
  const now = standing?.lease;
  const before =
    now?.state === 'running' ? `thaws by itself in ${Math.round(now.expiresMs)}ms` : now && `lease ${now.state}`;
  const after = lease === null ? 'lease endless' : `thaws by itself in ${durationText(lease)}`;
  if (before === after) return [];
  return [...(before ? [`- ${before}`] : []), `+ ${after}`];
}

const timersLines = (held: boolean, hold: boolean): string[] => {
  if (held === hold) return [];
  return hold ? ["+ TCP's timers held"] : ["- TCP's timers held"];
};
