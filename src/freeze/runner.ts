/** The netfreeze that runs a command under a freeze: by process id and start, as the record names it. */
import { startOf } from '../platform/process';
import type { FreezeRecord, Runner } from '../record/record';

/** @returns this process */
export const thisRunner = (): Runner => ({ pid: process.pid, start: startOf(process.pid) ?? 0 });

/** @returns whether there was a run and it has ended without thawing */
export const hasDied = (run: Runner | null): boolean => run !== null && startOf(run.pid) !== run.start;

/** @returns what `status` says of a freeze that a command runs under, or ran */
export function runNotes({ run }: FreezeRecord): string[] {
  if (run === null) return [];
  return hasDied(run)
    ? [`the \`netfreeze run\` that made it has ended without thawing it (process ${run.pid})`]
    : [`a command runs under it (netfreeze run, process ${run.pid})`];
}
