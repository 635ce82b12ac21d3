/** What a freeze is at one moment, so that it can be asked later whether it has held since. */
import type { NamespaceId } from '../../namespace/namespace';
import { allChains } from '../../nftables/kernel';
import { readRecord } from '../../record/record';
import { resolve } from '../../target/target';
import { type Machine, openSite } from '../machine';
import { asFailure } from '../report';
import { driftOf } from './drift';
import { generationOf, hasEnded, type Lease, readStanding } from './standing';

export interface Moment {
  /** The target's name in full. */
  target: string;
  namespace: NamespaceId;
  /** Of a freeze that is in force, perhaps not as it should be; null: none stands, or its lease has ended. */
  freeze: {
    mode: string;
    lease: Lease;
    /** When it was asked for, as its record says; null without a record. */
    since: string | null;
    /** The netfreeze that has made it, as its record says. */
    by: number | null;
    /** Whether a command runs under it, whose netfreeze renews it. */
    isRun: boolean;
    /** nf_tables' generation when netfreeze last had done something to it; null without a record. */
    generation: number | null;
    /** How it differs from what was frozen; null: it does not. */
    drift: string | null;
  } | null;
  /** nf_tables' generation. */
  generation: number;
  /** Locks of CRIU's that stand in the namespace, as far as nf_tables shows them. */
  criuLocks: string[];
}

/**
 * Looks at one target and changes nothing.
 * @throws Failure `no-such-target` and what else keeps it from being looked at
 */
export async function momentOf(name: string, machine: Machine): Promise<Moment> {
  const target = await resolve(name);
  const site = openSite(target.namespace, target.name, machine);
  try {
    const record = readRecord(machine.stateDirectory, target.namespace);
    const generation = generationOf(site);
    const standing = readStanding(site);
    const { device, inode } = target.namespace;
    const about = { target: target.name, namespace: { device, inode }, generation, criuLocks: criuLocks(site) };
    if (standing === null || standing.lease.state === 'ended') return { ...about, freeze: null };
    const unfinished = record && record.phase !== 'frozen' ? `a ${record.phase} was not finished` : null;
    const drift = await driftOf(site, standing, record).catch((error: unknown) => asFailure(error).message);
    if (hasEnded(site, standing)) return { ...about, freeze: null };
    const { freezing, lease } = standing;
    const mode = freezing?.mode ?? record?.mode ?? 'drop';
    return {
      ...about,
      freeze: {
        mode,
        lease,
        since: record?.since ?? null,
        by: record?.by.pid ?? null,
        isRun: record?.run != null,
        generation: record?.generation ?? null,
        drift: drift ?? unfinished,
      },
    };
  } finally {
    site.close();
  }
}

/** CRIU's nftables lock is a table of its own, its iptables lock a chain of its own (criu/net.c). */
const criuLocks = ({ netfilter }: Parameters<typeof generationOf>[0]): string[] => {
  const found = allChains(netfilter).flatMap(({ family, table, chain }) => {
    if (/^CRIU(-|$)/.test(table)) return [`table ${family} ${table}`];
    return chain === 'CRIU' ? [`chain CRIU in table ${family} ${table}`] : [];
  });
  return [...new Set(found)];
};
