/**
 * A freeze that is watched while a command runs under it, so that it can be said at the end that it held all the time: what
 * stands is compared at the beginning and at the end, and between the two every change of its table is noticed, also one
 * that was undone again.
 */
import { sameNamespace } from '../namespace/namespace';
import { type Transaction, type Watch, watchTables } from '../nftables/watch';
import { startOf } from '../platform/process';
import { harmless } from '../platform/text';
import { monotonicMs, type Runner, readRecord } from '../record/record';
import { tableName } from '../ruleset/acceptance';
import type { Target } from '../target/target';
import { type Machine, openSite } from './machine';
import { forOperation, type Pinned, pinAgain } from './pinned';
import { renewTargets } from './renew';
import { asFailure, type Operation } from './report';
import { driftOf } from './state/drift';
import { hasEnded, readStanding } from './state/standing';

export interface Vigil {
  /** @returns why the freeze does not hold, or has not held for a moment, as far as is quickly seen; null */
  objection(): string | null;
  /** Extends all leases by their own length. */
  renew(): Promise<Operation>;
  /**
   * Compares all that stands with what was frozen.
   * @returns why the freeze does not hold, or has not held at any moment since the vigil began; null: it has
   */
  prove(): Promise<string | null>;
  /** @returns the tables of CRIU's own lock that have come and gone meanwhile */
  criuLocks(): string[];
  close(): void;
}

/** What is watched of one target. */
interface Watched {
  target: Target;
  watch: Watch;
  keeper: Runner | null;
  /** When its lease ends, by monotonicMs(); null: it does not. */
  untilMs: number | null;
}

/**
 * Begins to watch targets that were just frozen. What happened before is not noticed, so it is proven once more.
 * @param frozen what the freeze has reported
 */
export function openVigil(targets: Pinned, frozen: Operation, machine: Machine): Vigil {
  const watched: Watched[] = targets.map((target) => ({
    target,
    watch: watchTables(target.namespace),
    ...remember(target, frozen, machine),
  }));
  const criu = new Set<string>();
  let broken: string | null = null;
  /** While a change of our own is under way, what is seen waits until it is known to be ours. */
  let isChanging = false;

  /** Looks at what has been told; changes of our own are let pass by. */
  function hear(own: (name: string) => number = () => 0): void {
    for (const one of watched) {
      const told = one.watch.transactions();
      // Each change is told, so what was not heard was one, and nobody knows of what.
      if (told === null) broken ??= `${one.target.name}: nftables was changed more often than could be followed`;
      const ours = (told ?? []).filter(({ tables }) => tables.has(tableName));
      for (const table of (told ?? []).flatMap(({ tables }) => [...tables])) if (isCriuLock(table)) criu.add(table);
      const foreign = ours.filter(({ onlyElements }, at) => !onlyElements || at >= own(one.target.name));
      const past = (told ?? []).find((one) => one.waysPast && !one.tables.has(tableName));
      if (past) broken ??= `${one.target.name}: packets were given ways past the freeze meanwhile, by ${makerOf(past)}`;
      if (foreign[0]) broken ??= `${one.target.name}: its table was changed meanwhile, by ${makerOf(foreign[0])}`;
    }
  }

  const lapsed = (): string | null => {
    const ended = watched.find(({ untilMs }) => untilMs !== null && monotonicMs() > untilMs);
    return ended ? `${ended.target.name}: its lease has ended meanwhile` : null;
  };

  const stopped = (): string | null => {
    for (const { target, keeper } of watched) {
      if (keeper && startOf(keeper.pid) !== keeper.start) return `${target.name}: its keeper has ended meanwhile`;
    }
    return lapsed();
  };

  return {
    objection() {
      // A renewal that hangs renews nothing.
      if (isChanging) broken ??= lapsed();
      if (isChanging) return broken;
      hear();
      broken ??= stopped();
      return broken;
    },
    async renew() {
      hear();
      isChanging = true;
      let operation: Operation;
      try {
        operation = await renewTargets(forOperation(targets), null, machine);
      } finally {
        isChanging = false;
      }
      const renewed = operation.targets.filter(({ changed }) => changed).map(({ target }) => target);
      // Its elements are deleted and added in one transaction.
      hear((name) => (renewed.includes(name) ? 1 : 0));
      for (const one of watched) {
        if (renewed.includes(one.target.name)) Object.assign(one, remember(one.target, operation, machine));
      }
      return operation;
    },
    async prove() {
      hear();
      for (const one of watched) broken ??= await compare(one, machine);
      hear();
      broken ??= stopped();
      return broken;
    },
    criuLocks: () => [...criu],
    close() {
      for (const { watch } of watched) watch.close();
    },
  };
}

const isCriuLock = (table: string): boolean => table.startsWith('CRIU-');

const makerOf = ({ by }: Transaction): string => `${harmless(by.name) || 'a process'} (process ${by.pid})`;

/** What a moment of the freeze tells, to see later whether it still is the same. */
function remember({ namespace }: Target, { targets }: Operation, machine: Machine) {
  const report = targets.find((one) => one.namespace && sameNamespace(one.namespace, namespace));
  const record = readRecord(machine.stateDirectory, namespace);
  return {
    keeper: record?.hold?.keeper ?? null,
    untilMs: record ? record.leaseUntilMs : report?.lease ? monotonicMs() + report.lease.expiresInMs : null,
  };
}

/** @returns how what stands differs from what was frozen; null when it does not */
async function compare({ target }: Watched, machine: Machine): Promise<string | null> {
  const { name } = target;
  const site = openSite(pinAgain(target.namespace), name, machine);
  try {
    const standing = readStanding(site);
    if (!standing) return `${name}: no freeze stands in it any more`;
    const record = readRecord(machine.stateDirectory, target.namespace);
    const drift = await driftOf(site, standing, record);
    if (drift) return `${name}: ${drift}`;
    if (hasEnded(site, standing)) return `${name}: its lease has ended meanwhile`;
    if (record && record.phase !== 'frozen') return `${name}: another netfreeze has begun to change it`;
    return null;
  } catch (error) {
    return `${name}: it could not be compared at the end: ${asFailure(error).message}`;
  } finally {
    site.close();
  }
}
