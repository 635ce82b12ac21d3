/** Taking our tables away. */
import { NftRefusal } from '../../nftables/engine';
import { elements, familiesOfTable } from '../../nftables/kernel';
import { leaseSet, tableName } from '../../ruleset/acceptance';
import type { Site } from '../machine';

/**
 * Deletes our tables, in one transaction, and verifies that they are gone. The kernel takes a table's hooks away one after
 * the other, and each still drops until it is gone; so the lease is emptied first, which opens all directions at once.
 * A table of our name without a lease is somebody else's and stays (law 1).
 */
export async function removeTables(site: Site): Promise<void> {
  const families = ourFamilies(site);
  if (families.length === 0) return;
  const session = await site.session();
  const emptied = families.map((family) => `flush set ${family} ${tableName} ${leaseSet}\n`).join('');
  const deletions = families.map((family) => `delete table ${family} ${tableName}\n`).join('');
  try {
    await session.load(emptied + deletions);
  } catch (error) {
    // A signal can make nft miss the kernel's answer to what was done: the kernel is asked, not nft.
    if (!(error instanceof NftRefusal) || ourFamilies(site).length > 0) throw error;
  }
  const left = ourFamilies(site);
  if (left.length > 0)
    throw new Error(`table ${left.map((family) => `${family} ${tableName}`).join(', ')} still stands`);
}

/** @returns the families of our tables: those that have a lease */
export const ourFamilies = ({ netfilter }: Site): string[] =>
  familiesOfTable(netfilter, tableName).filter((family) => elements(netfilter, [family], tableName, leaseSet) !== null);
