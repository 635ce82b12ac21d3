/** What an operation says about each target; the JSON of the contract. */
import type { Ledgers } from '../hold/ledger';
import type { NamespaceId } from '../namespace/namespace';
import type { Count } from '../nftables/kernel';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import type { FreezeRecord } from '../record/record';
import type { Kicked } from '../tcp/kick';
import type { Lease, Standing } from './state/standing';

export type State = 'frozen' | 'thawed' | 'absent' | 'drifted' | 'failed';

/** How long each step took, in milliseconds. */
export interface Timings {
  renderMs: number;
  rehearseMs: number;
  applyMs: number;
  verifyMs: number;
}

export interface TargetReport {
  target: string;
  namespace: NamespaceId | null;
  state: State;
  mode: string | null;
  template: string | null;
  /** null: endless, or no freeze. */
  lease: { expiresInMs: number } | null;
  /** Whether the kernel's state was read back and compared, and was as expected. */
  verified: boolean;
  counters: { in: Count; out: Count } | null;
  /** Mode steal: what became of the packets, per direction. */
  held: Ledgers | null;
  /** Whom a thaw has made to send at once; null where it was not asked to, or had nothing to thaw. */
  kicked: Kicked | null;
  /** null where nothing was loaded. */
  timings: Timings | null;
  /** Whether this operation changed anything in the namespace. */
  changed: boolean;
  since: string | null;
  by: { user: string; uid: number; pid: number } | null;
  reason: string | null;
  /** What a person should know and a program need not act on. */
  notes: string[];
  /** Only of `status`, where there are any: other names of the same namespace, in full. */
  otherNames?: string[];
  /** Only where all but the lease's elements is staged, and nothing is stopped. */
  armed?: true;
  /** Only of a dry run: the lines that would go (-) and come (+). */
  wouldChange?: string[];
  /** Only where the target failed. */
  error?: ReportedError;
}

/** A failure in a report. */
export interface ReportedError {
  code: string;
  exit: number;
  message: string;
  suggestions: string[];
}

/** The outcome of one operation on its targets: `failure` decides the exit status. */
export interface Operation {
  targets: TargetReport[];
  failure: Failure | null;
  /** Milliseconds between the first and the last target's change, where several were changed. */
  skewMs?: number;
}

/** @param moments performance.now() of each target's change @returns what an operation says of their skew */
export function skewOf(moments: number[]): Pick<Operation, 'skewMs'> {
  if (moments.length < 2) return {};
  return { skewMs: Math.max(...moments) - Math.min(...moments) };
}

/** @returns a failure as a report says it */
export const reportedError = ({ code, exit, message, suggestions }: Failure): ReportedError => ({
  code,
  exit,
  message,
  suggestions: [...suggestions],
});

/** @returns a failure for whatever was thrown; what nobody foresaw is a fault of netfreeze */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (isErrno(error, 'EPERM')) {
    return new Failure('not-permitted', Exit.notPermitted, `the kernel refused: ${message}`, {
      suggestions: ['run it as root, for example with sudo'],
      cause: error,
    });
  }
  return new Failure('unexpected', Exit.unexpected, message, {
    suggestions: ['this is a fault of netfreeze: please report it with the output of `netfreeze doctor`'],
    cause: error,
  });
}

/** @returns a report that says nothing yet but what the target is */
export function emptyReport(target: string, namespace: NamespaceId | null): TargetReport {
  return {
    target,
    namespace: namespace && { device: namespace.device, inode: namespace.inode },
    state: 'absent',
    mode: null,
    template: null,
    lease: null,
    verified: false,
    counters: null,
    held: null,
    kicked: null,
    timings: null,
    changed: false,
    since: null,
    by: null,
    reason: null,
    notes: [],
  };
}

/** @returns what the kernel and the record say about a freeze that stands */
export function standingReport(
  report: TargetReport,
  standing: Standing,
  record: FreezeRecord | null,
  state: State,
): TargetReport {
  return {
    ...report,
    state,
    mode: standing.freezing?.mode ?? record?.mode ?? null,
    template: standing.freezing?.template ?? record?.template ?? null,
    lease: leaseReport(standing.lease),
    counters: standing.counters,
    since: record?.since ?? null,
    by: record?.by ?? null,
    reason: record?.reason ?? null,
  };
}

const leaseReport = (lease: Lease): { expiresInMs: number } | null =>
  lease.state === 'running' ? { expiresInMs: lease.expiresMs } : null;
