/** The kernel's interface to nf_tables: numbers as its headers name them, and no logic. */

/** linux/netfilter/nfnetlink.h */
export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_MSG_BATCH = { BEGIN: 0x10, END: 0x11 } as const;
export const NFNLGRP_NFTABLES = 7;

/** linux/netfilter/nf_tables.h */
export const NFT_MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  NEWRULE: 6,
  GETRULE: 7,
  DELRULE: 8,
  NEWSET: 9,
  GETSET: 10,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  NEWGEN: 15,
  GETGEN: 16,
  NEWOBJ: 18,
  GETOBJ: 19,
  GETOBJ_RESET: 21,
  NEWFLOWTABLE: 22,
  GETFLOWTABLE: 23,
  DELFLOWTABLE: 24,
} as const;
export const NFTA_TABLE = { NAME: 1, FLAGS: 2, USE: 3, HANDLE: 4 } as const;
export const NFTA_CHAIN = {
  TABLE: 1,
  HANDLE: 2,
  NAME: 3,
  HOOK: 4,
  POLICY: 5,
  USE: 6,
  TYPE: 7,
  COUNTERS: 8,
  ID: 11,
} as const;
export const NFTA_HOOK = { HOOKNUM: 1, PRIORITY: 2, DEV: 3, DEVS: 4 } as const;
export const NFTA_RULE = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4, POSITION: 6, USERDATA: 7 } as const;
export const NFTA_EXPR = { NAME: 1, DATA: 2 } as const;
export const NFTA_LIST_ELEM = 1;
export const NFTA_SET = { TABLE: 1, NAME: 2, FLAGS: 3, ID: 10, HANDLE: 16, TYPE: 19, COUNT: 20 } as const;
export const NFT_SET_ANONYMOUS = 0x1;
export const NFTA_SET_ELEM_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
export const NFTA_SET_ELEM = { KEY: 1, TIMEOUT: 4, EXPIRATION: 5, EXPR: 7, EXPRESSIONS: 11 } as const;
export const NFTA_DATA_VALUE = 1;
export const NFTA_OBJ = { TABLE: 1, NAME: 2, TYPE: 3, DATA: 4, USE: 5, HANDLE: 6, PAD: 7 } as const;
export const NFT_OBJECT_COUNTER = 1;
export const NFTA_COUNTER = { BYTES: 1, PACKETS: 2 } as const;
export const NFTA_FLOWTABLE = { TABLE: 1, NAME: 2, HOOK: 3 } as const;
export const NFTA_FLOWTABLE_HOOK = { PRIORITY: 2, DEVS: 3 } as const;
export const NFTA_GEN = { ID: 1, PROC_PID: 2, PROC_NAME: 3 } as const;
/** The name of its table, in a message about anything that is in one. */
export const NFTA_OF_TABLE = 1;
export const NFTA_IMMEDIATE = { DREG: 1, DATA: 2 } as const;
export const NFTA_META = { DREG: 1, KEY: 2, SREG: 3 } as const;
export const NFT_META_MARK = 3;
export const NFTA_QUEUE = { NUM: 1, TOTAL: 2, FLAGS: 3 } as const;
/** linux/netfilter/nf_tables_compat.h */
export const NFTA_TARGET = { NAME: 1, REV: 2, INFO: 3 } as const;

/** libnftnl's user data: type 0 is a rule's comment (udata.h). */
export const NFTNL_UDATA_RULE_COMMENT = 0;

/** linux/netfilter.h; nft's names for them. */
export const families: Record<number, string> = { 1: 'inet', 2: 'ip', 3: 'arp', 5: 'netdev', 7: 'bridge', 10: 'ip6' };

/** linux/netfilter/nfnetlink.h: struct nfgenmsg */
export const sizeofNfgenmsg = 4;

/** @returns a struct nfgenmsg: family by nft's name for it, version 0, resource 0 */
export const nfgenmsg = (family = ''): Buffer => Buffer.from([numberOf.get(family) ?? 0, 0, 0, 0]);

const numberOf = new Map(Object.entries(families).map(([number, name]) => [name, Number(number)]));
