/**
 * Raw transactions of nf_tables, for the few changes that can't wait for nft's text: to empty a set between two verdicts,
 * and to load what nft can't say on this kernel.
 */
import { message, NLM_F, stringAttribute } from '../netlink/message';
import type { NetlinkSocket, Request } from '../netlink/socket';
import { NFNL_MSG_BATCH, NFNL_SUBSYS_NFTABLES, NFT_MSG, NFTA_SET_ELEM_LIST, nfgenmsg } from './nf-tables-h';

/** One change of a transaction. */
export interface Change {
  /** One of NFT_MSG. */
  type: number;
  family: string;
  /** NLM_F flags beside those that every change has. */
  flags: number;
  attributes: Buffer[];
}

/**
 * Makes changes as one transaction: all or nothing, in force when this returns.
 * @throws SystemError with what the kernel answered to the first change that it refused
 */
export function commit(netfilter: NetlinkSocket, changes: Change[]): void {
  netfilter.batch([boundary(NFNL_MSG_BATCH.BEGIN), ...changes.map(request), boundary(NFNL_MSG_BATCH.END)]);
}

/**
 * Tries changes without making them: a transaction without its end is judged and undone (nft's `--check` does so).
 * @throws SystemError as commit() does
 */
export function rehearseChanges(netfilter: NetlinkSocket, changes: Change[]): void {
  netfilter.batch([boundary(NFNL_MSG_BATCH.BEGIN), ...changes.map(request), noChange]);
}

/** @returns the change that empties a set */
export const flushSet = (family: string, table: string, set: string): Change => ({
  type: NFT_MSG.DELSETELEM,
  family,
  flags: 0,
  attributes: [stringAttribute(NFTA_SET_ELEM_LIST.TABLE, table), stringAttribute(NFTA_SET_ELEM_LIST.SET, set)],
});

const request =
  ({ type, family, flags, attributes }: Change): Request =>
  (sequence) =>
    message((NFNL_SUBSYS_NFTABLES << 8) | type, flags | NLM_F.ACK, sequence, nfgenmsg(family), ...attributes);

/** struct nfgenmsg whose resource, in network order, is the subsystem that the batch is for. */
const boundary =
  (type: number): Request =>
  (sequence) =>
    message(type, 0, sequence, Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]));

/** Stands where the end would: nothing at all. */
const noChange: Request = () => Buffer.alloc(0);
