/**
 * Raw transactions of nf_tables, for the few changes that can't wait for nft's text: to empty a set between two verdicts,
 * and to load what nft can't say on this kernel.
 */
import { message, NLM_F, stringAttribute } from '../netlink/message';
import type { NetlinkSocket, Request } from '../netlink/socket';
import { NFNL_MSG_BATCH, NFNL_SUBSYS_NFTABLES, NFT_MSG, NFTA_SET_ELEM_LIST, NFTA_TABLE, nfgenmsg } from './nf-tables-h';

/** One change of a transaction. */
export interface Change {
  /** One of NFT_MSG. */
  type: number;
  family: string;
  /** NLM_F flags beside those that every change has. */
  flags: number;
  attributes: Buffer[];
}

/** A transaction as bytes, made once and sent to any number of namespaces. */
export interface Transaction {
  datagram: Buffer;
  /** The numbers of its first message and of its last change. */
  first: number;
  last: number;
}

/**
 * Numbers that no request of a socket comes to. Each transaction has its own, so that an answer that nobody has read is not
 * taken for one to the next.
 */
let nextNumber = 0x40000000;

/** @returns the changes as one transaction */
export function transaction(changes: Change[]): Transaction {
  const first = nextNumber;
  const last = first + changes.length;
  nextNumber = last + 2;
  const parts = [
    boundary(NFNL_MSG_BATCH.BEGIN)(first),
    // The last change alone is acknowledged; whatever is refused is answered unasked.
    ...changes.map((change, at) => (at === changes.length - 1 ? request : quiet)(change)(first + 1 + at)),
    boundary(NFNL_MSG_BATCH.END)(last + 1),
  ];
  return { datagram: Buffer.concat(parts), first, last };
}

/** Sends a transaction: when this returns the kernel has made it, or refused it, which confirm() tells. */
export const send = (netfilter: NetlinkSocket, { datagram }: Transaction): void => netfilter.transmit(datagram);

/**
 * Reads what the kernel answered to a transaction that was sent.
 * @throws SystemError with what it answered to the first change that it refused
 */
export const confirm = (netfilter: NetlinkSocket, { first, last }: Transaction): void => netfilter.verdict(first, last);

/**
 * Makes changes as one transaction: all or nothing, in force when this returns.
 * @throws SystemError with what the kernel answered to the first change that it refused
 */
export function commit(netfilter: NetlinkSocket, changes: Change[]): void {
  const made = transaction(changes);
  send(netfilter, made);
  confirm(netfilter, made);
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

const quiet =
  ({ type, family, flags, attributes }: Change): Request =>
  (sequence) =>
    message((NFNL_SUBSYS_NFTABLES << 8) | type, flags, sequence, nfgenmsg(family), ...attributes);

const request = (change: Change): Request => quiet({ ...change, flags: change.flags | NLM_F.ACK });

/** struct nfgenmsg whose resource, in network order, is the subsystem that the batch is for. */
const boundary =
  (type: number): Request =>
  (sequence) =>
    message(type, 0, sequence, Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]));

/** @returns the change that takes a table away with all that is in it */
export const deleteTable = (family: string, table: string): Change => ({
  type: NFT_MSG.DELTABLE,
  family,
  flags: 0,
  attributes: [stringAttribute(NFTA_TABLE.NAME, table)],
});

/** Stands where the end would: nothing at all. */
const noChange: Request = () => Buffer.alloc(0);
