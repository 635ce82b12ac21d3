/** What the kernel tells of nf_tables' changes: each transaction with its tables, and who made it. */
import { inside, type Namespace } from '../namespace/namespace';
import { find, type Message, textOf, uint32 } from '../netlink/message';
import { listenTo } from '../netlink/news';
import { NETLINK } from '../netlink/socket';
import { isErrno } from '../platform/libc';
import {
  families,
  NFNL_SUBSYS_NFTABLES,
  NFNLGRP_NFTABLES,
  NFT_MSG,
  NFTA_GEN,
  NFTA_OF_TABLE,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** One transaction that was committed. */
export interface Transaction {
  /** The tables that it has touched. */
  tables: Set<string>;
  /** Whether it has done nothing but add and delete elements of sets. */
  onlyElements: boolean;
  /** Whether it concerns what packets meet before the IP families' hooks: chains of devices, or flowtables. */
  waysPast: boolean;
  /** Who made it: the process's name and id, as the machine's first process namespace counts. */
  by: { name: string; pid: number };
}

export interface Watch {
  /** @returns the transactions since it was last asked; null: the kernel has told more than could be kept */
  transactions(): Transaction[] | null;
  close(): void;
}

/** Watches a namespace from now on. */
export function watchTables(namespace: Namespace): Watch {
  const news = inside(namespace, () => listenTo(NETLINK.NETFILTER, NFNLGRP_NFTABLES));
  let pending: Message[] = [];
  return {
    transactions() {
      try {
        pending.push(...news.told());
      } catch (error) {
        if (!isErrno(error, 'ENOBUFS')) throw error;
        pending = [];
        return null;
      }
      const { done, rest } = takeApart(pending);
      pending = rest;
      return done;
    },
    close: () => news.close(),
  };
}

/**
 * The kernel tells the changes of a transaction first, and at its end the new generation, with who has made it
 * (net/netfilter/nf_tables_api.c, nf_tables_commit).
 * @returns the transactions that are told to their end, and what is told of the next
 */
export function takeApart(told: Message[]): { done: Transaction[]; rest: Message[] } {
  const done: Transaction[] = [];
  let rest: Message[] = [];
  for (const message of told) {
    if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) continue;
    if (kindOf(message) !== NFT_MSG.NEWGEN) {
      rest.push(message);
      continue;
    }
    const { payload } = message;
    done.push({
      tables: new Set(rest.map((one) => textOf(find(one.payload, NFTA_OF_TABLE, sizeofNfgenmsg)))),
      onlyElements: rest.every((one) => elementKinds.includes(kindOf(one))),
      waysPast: rest.some((one) => families[one.payload[0] ?? 0] === 'netdev' || flowtableKinds.includes(kindOf(one))),
      by: {
        name: textOf(find(payload, NFTA_GEN.PROC_NAME, sizeofNfgenmsg)),
        pid: uint32(find(payload, NFTA_GEN.PROC_PID, sizeofNfgenmsg)) ?? 0,
      },
    });
    rest = [];
  }
  return { done, rest };
}

const kindOf = ({ type }: Message): number => type & 0xff;
const flowtableKinds: number[] = [NFT_MSG.NEWFLOWTABLE, NFT_MSG.DELFLOWTABLE];
const elementKinds: number[] = [NFT_MSG.NEWSETELEM, NFT_MSG.DELSETELEM];
