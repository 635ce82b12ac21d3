/** Renewing a lease: its elements are deleted and added in one transaction, so that a lease that has ended stays ended. */
import { commit } from '../nftables/batch';
import { NftRefusal } from '../nftables/engine';
import { renewal } from '../nftables/replay';
import { Exit, Failure } from '../platform/failure';
import { SystemError } from '../platform/libc';
import { amendRecord, readRecord } from '../record/record';
import { leaseSet, tableName } from '../ruleset/acceptance';
import { type Duration, durationText, remaining } from '../ruleset/duration';
import { type Attempt, type Opened, onEach, resolveAll } from './group';
import { handOver } from './held/hold';
import { ledgersOf } from './held/ledgers';
import { holdingSignals } from './interruption';
import type { Machine } from './machine';
import { emptyReport, type Operation, standingReport, type TargetReport } from './report';
import { driftOf, foreignTable } from './state/drift';
import {
  generationOf,
  hasEnded,
  hasLease,
  isOurs,
  leaseUntil,
  readBack,
  readStanding,
  type Standing,
} from './state/standing';

/**
 * Extends the leases of frozen targets; one that fails does not keep the others from being renewed.
 * @param lease the new length, from now; null: the length that each has
 */
export async function renew(names: string[], lease: Duration | null, machine: Machine): Promise<Operation> {
  return renewTargets(await resolveAll(names), lease, machine);
}

/**
 * The same for targets that are resolved; their namespaces are released at the end.
 * @param lease as for renew; `endless`: it is left without an end
 */
export const renewTargets = (attempts: Attempt[], lease: NewLease, machine: Machine): Promise<Operation> =>
  holdingSignals(() => onEach(attempts, machine, (target) => renewOne(target, lease, machine)));

/** null: as long as it was. */
export type NewLease = Duration | 'endless' | null;

/** Renews one lease; its lock is held. */
export async function renewOne(target: Opened, asked: NewLease, machine: Machine): Promise<TargetReport> {
  const { site, name } = target;
  const record = readRecord(machine.stateDirectory, site.namespace);
  const standing = readStanding(site);
  if (!standing) throw notFrozen(name, 'no freeze stands in it');
  if (!isOurs(standing, record)) throw foreignTable(name);
  if (record?.phase === 'armed' && standing.lease.state === 'ended')
    throw notFrozen(name, 'it is armed, and traffic flows');
  if (record && record.phase !== 'frozen')
    throw drifted(name, `a ${record.phase} was interrupted before it was finished`);
  const drift = await driftOf(site, standing, record);
  if (drift) throw drifted(name, drift);
  if (standing.lease.state === 'ended') throw notFrozen(name, 'its lease has ended and traffic flows');
  const empty = emptyReport(name, site.namespace);
  if (standing.lease.state === 'endless' && (asked === null || asked === 'endless')) {
    return {
      ...standingReport(empty, standing, record, 'frozen'),
      notes: ['it has no lease to extend: it is endless'],
    };
  }
  const same = remaining(standing.lease.state === 'running' ? standing.lease.timeoutMs : 0);
  const length = asked === 'endless' ? null : (asked ?? same);
  if (hasEnded(site, standing)) throw notFrozen(name, 'its lease has just ended');
  // A keeper that tries too early opens nothing, so the new one comes before the kernel is told, and the old one goes after.
  const handover = standing.freezing?.mode === 'steal' ? handOver(target, record, length, machine) : null;
  let renewed: Standing | null;
  try {
    if (machine.replays) retime(target, standing, length);
    else await load(target, length);
    renewed = readStanding(site);
  } catch (error) {
    handover?.undo();
    throw error;
  }
  if (!renewed || renewed.lease.state === 'ended') {
    // Who kept what is held gives it back: it was told of that end.
    handover?.undo();
    throw notFrozen(name, 'its lease has just ended');
  }
  await handover?.finish(renewed.lease);
  // Also where it is not what was asked for: when it ends is what the record must know.
  if (record) {
    amendRecord(machine.stateDirectory, record, {
      leaseMs: length,
      leaseUntilMs: leaseUntil(renewed),
      generation: generationOf(site),
      hold: record.hold && handover ? { ...record.hold, keeper: handover.keeper } : record.hold,
    });
  }
  if (!hasLease(renewed, length)) {
    throw new Failure('not-verified', Exit.verificationFailed, `${name}: the kernel does not show the renewed lease`);
  }
  const held = ledgersOf(site, renewed, machine, record);
  return { ...standingReport(empty, renewed, record, 'frozen'), held, verified: true, changed: true };
}

/** @param elements such as `inet ipv4` */
function renewingText(elements: string[], length: Duration | null): string {
  const parts = elements.map((element) => element.split(' '));
  const time = length === null ? '' : ` timeout ${durationText(length)}`;
  const set = (family = '') => `element ${family} ${tableName} ${leaseSet}`;
  return [
    ...parts.map(([family, key]) => `delete ${set(family)} { ${key} }`),
    ...parts.map(([family, key]) => `add ${set(family)} { ${key}${time} }`),
    '',
  ].join('\n');
}

/** One transaction of the kernel's own messages. */
function retime({ site, name }: Opened, { dump }: Standing, length: Duration | null): void {
  try {
    commit(site.netfilter, renewal(dump, tableName, leaseSet, length));
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw refused(site, name, 'the kernel', cause.message, cause);
  }
}

async function load({ site, name }: Opened, length: Duration | null): Promise<void> {
  const { lease } = await readBack(site, { listing: false });
  if (lease.length === 0) throw notFrozen(name, 'its lease has just ended');
  const text = renewingText(lease, length);
  try {
    const session = await site.session();
    await session.load(text);
  } catch (cause) {
    if (!(cause instanceof NftRefusal)) throw cause;
    throw refused(site, name, 'nft', cause.answer.trim(), cause);
  }
}

function refused(site: Opened['site'], name: string, who: string, answer: string, cause: unknown): Failure {
  // The kernel says ENOENT when the elements have gone meanwhile: the lease has ended.
  if (readStanding(site)?.lease.state === 'ended') return notFrozen(name, 'its lease has just ended');
  return new Failure('renew-refused', Exit.verificationFailed, `${who} refused to renew ${name}: ${answer}`, {
    suggestions: ['the freeze stands until its lease ends; try again'],
    cause,
  });
}

const notFrozen = (name: string, why: string) =>
  new Failure('not-frozen', Exit.notFrozen, `${name} is not frozen: ${why}`, {
    suggestions: [`freeze it: netfreeze on ${name}`],
  });

const drifted = (name: string, what: string) =>
  new Failure('drift', Exit.drift, `${name}: ${what}`, {
    suggestions: [`\`netfreeze verify ${name}\` shows the difference; \`netfreeze on ${name}\` repairs it`],
  });
