/** A freeze that a command ran under, and that is to stand when that command's netfreeze has gone. */
import { amendRecord, readRecord } from '../record/record';
import { type Attempt, onEach } from './group';
import { holdingSignals } from './interruption';
import type { Machine } from './machine';
import { type NewLease, renewOne } from './renew';
import type { Operation } from './report';

/** Renews the leases, and leaves the freezes to whoever thaws them. */
export const keepStanding = (attempts: Attempt[], lease: NewLease, machine: Machine): Promise<Operation> =>
  holdingSignals(() =>
    onEach(attempts, machine, async (target) => {
      const report = await renewOne(target, lease, machine);
      const record = readRecord(machine.stateDirectory, target.site.namespace);
      if (record) amendRecord(machine.stateDirectory, record, { run: null });
      return { ...report, notes: [] };
    }),
  );
