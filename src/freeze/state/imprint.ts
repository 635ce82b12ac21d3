/**
 * The imprint of a freeze: the bytes that the kernel dumps for it, whatever it has counted. Where a dump has the same
 * imprint, what stands is what was rehearsed, and nobody has to be asked for a listing. Where it has not, nft's listing
 * tells whether it is another freeze: another nft may have loaded the same rules with other bytes.
 */
import { comparable, type Dump, NotReplayable } from '../../nftables/dump';
import { elementsIn } from '../../nftables/kernel';
import { leaseSet } from '../../ruleset/acceptance';
import type { Imprint } from '../../ruleset/canonical';

/** @returns the imprint of what stands; null where no two dumps of it are alike (an anonymous set, an element that counts) */
export function imprintOf(dump: Dump): Imprint | null {
  try {
    return { bytes: comparable(dump, leaseSet).toString('base64'), lease: leaseKeys(dump) };
  } catch (error) {
    if (error instanceof NotReplayable) return null;
    throw error;
  }
}

/** @returns whether a dump shows a freeze of that imprint, with all elements of its lease */
export function bears(dump: Dump, imprint: Imprint | null | undefined): boolean {
  const actual = imprint ? imprintOf(dump) : null;
  return actual !== null && actual.bytes === imprint?.bytes;
}

/** @returns whether every element of the lease is there: each family is frozen */
export function coversLease(dump: Dump, { lease }: Imprint): boolean {
  const keys = leaseKeys(dump);
  return lease.every((key) => keys.includes(key));
}

const leaseKeys = (dump: Dump): string[] => (elementsIn(dump, leaseSet) ?? []).map(({ key }) => key).sort();
