/** Taking our tables away. */
import { commit, deleteTable, flushSet } from '../../nftables/batch';
import { elements, familiesOfTable } from '../../nftables/kernel';
import { leaseSet, tableName } from '../../ruleset/acceptance';
import type { Site } from '../machine';

/**
 * Deletes our tables, in one transaction that needs no nft, and verifies that they are gone. The kernel takes a table's hooks
 * away one after the other, and each still drops until it is gone; so the lease is emptied first, which opens all directions
 * at once.
 * A table of our name without a lease is somebody else's and stays (law 1).
 */
export function removeTables(site: Site): void {
  const families = ourFamilies(site);
  if (families.length === 0) return;
  commit(site.netfilter, [
    ...families.map((family) => flushSet(family, tableName, leaseSet)),
    ...families.map((family) => deleteTable(family, tableName)),
  ]);
  const left = familiesOfTable(site.netfilter, tableName).filter((family) => families.includes(family));
  if (left.length > 0)
    throw new Error(`table ${left.map((family) => `${family} ${tableName}`).join(', ')} still stands`);
}

/** Empties the lease, in one transaction: all directions open at once, and the tables stay. */
export function emptyLease(site: Site): void {
  const families = ourFamilies(site);
  if (families.length === 0) return;
  commit(
    site.netfilter,
    families.map((family) => flushSet(family, tableName, leaseSet)),
  );
}

/** @returns the families of our tables: those that have a lease */
export const ourFamilies = ({ netfilter }: Site): string[] =>
  familiesOfTable(netfilter, tableName).filter((family) => elements(netfilter, [family], tableName, leaseSet) !== null);
