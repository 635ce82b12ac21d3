/** A freeze that failed: every target goes back to what stood before, and each says what became of it. */
import { Failure } from '../../platform/failure';
import { type FreezeRecord, removeRecord, writeRecord } from '../../record/record';
import { undoHold } from '../held/hold';
import type { Machine } from '../machine';
import { asFailure } from '../report';
import { readStanding } from '../state/standing';
import { undoTimers } from '../tcp/timers';
import type { Work } from '../work';
import { rollBack } from './rollback';

/** Brings every target back to what stood before, the last one first, and says for each what became of it. */
export async function undo(work: Work[], failure: Failure, machine: Machine): Promise<void> {
  // A signal, or a fault of our own, is nobody's failure and everybody's.
  const isAnothers = work.some((target) => target.failure === failure);
  for (const target of [...work].reverse()) {
    try {
      let became = 'it was not touched';
      if (target.begun) {
        became = await rollBack(target.site, target.name, target.before, machine, target.holding?.socket);
        undoHold(target);
        // An earlier freeze whose end has come meanwhile does not stand again, and neither does its record.
        const standsAgain = readStanding(target.site) !== null;
        target.notes.push(...(await undoTimers(target, standsAgain)));
        restoreRecord(standsAgain ? withLeft(target) : null, target, machine);
      }
      target.failure = consequence(target, failure, isAnothers, became);
    } catch (error) {
      target.failure = asFailure(error);
    }
    try {
      target.standing = readStanding(target.site);
    } catch (error) {
      target.failure ??= asFailure(error);
    }
  }
}

/** The record of the freeze that stands again, with what had left its queues when the keeper's word was taken from it. */
function withLeft({ record, intent }: Work): FreezeRecord | null {
  const left = intent?.hold?.left;
  return record?.hold && left ? { ...record, hold: { ...record.hold, left } } : record;
}

/** A record that can't be written back is better gone than wrong: the freeze is then judged from the kernel. */
function restoreRecord(record: FreezeRecord | null, { site }: Work, { stateDirectory }: Machine): void {
  try {
    if (record) writeRecord(stateDirectory, record);
    else removeRecord(stateDirectory, site.namespace);
  } catch {
    removeRecord(stateDirectory, site.namespace);
  }
}

/** The failure of a target that was undone: its own, or that another one's was its end too. */
function consequence(target: Work, failure: Failure, isAnothers: boolean, became: string): Failure {
  const { failure: own } = target;
  if (!own && !isAnothers) return failure;
  if (!own) {
    return new Failure('rolled-back', failure.exit, `${target.name}: another target failed; ${became}`);
  }
  const { code, exit, message, suggestions } = own;
  const said = target.begun ? `${message}\nRolled back: ${became}.` : message;
  return new Failure(code, exit, said, { suggestions, cause: own });
}
