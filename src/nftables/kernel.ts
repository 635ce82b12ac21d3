/**
 * What the kernel itself shows of nf_tables, read as netlink dumps: the facts that nft's JSON cuts, leaves out or
 * prints differently from version to version (hooks with their devices, times to the millisecond, the generation).
 */
import { attributes, find, int32, message, NLM_F, stringAttribute, textOf, uint32, uint64 } from '../netlink/message';
import type { NetlinkSocket, Request } from '../netlink/socket';
import { isErrno } from '../platform/libc';
import { type Dump, isCounter, type Part, setName } from './dump';
import {
  families,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG,
  NFTA_CHAIN,
  NFTA_COUNTER,
  NFTA_DATA_VALUE,
  NFTA_EXPR,
  NFTA_FLOWTABLE,
  NFTA_FLOWTABLE_HOOK,
  NFTA_GEN,
  NFTA_HOOK,
  NFTA_OBJ,
  NFTA_RULE,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_TABLE,
  NFTNL_UDATA_RULE_COMMENT,
  nfgenmsg,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** A base chain as the kernel has registered it. */
export interface Hook {
  family: string;
  table: string;
  chain: string;
  type: string;
  /** The hook's number in its family (linux/netfilter.h: prerouting is 0, output 3; of netdev ingress is 0). */
  hook: number;
  priority: number;
  /** 0 is drop, 1 accept. */
  policy: number;
  devices: string[];
}

/** An element of a set with times in milliseconds; null: none, it stays for good. */
export interface TimedElement {
  key: string;
  timeoutMs: number | null;
  expiresMs: number | null;
}

export interface Count {
  packets: number;
  bytes: number;
}

/** A flowtable: flows in it pass its devices without meeting any hook of the IP families. */
export interface Flowtable {
  table: string;
  name: string;
  priority: number;
  devices: string[];
}

/** @returns nf_tables' generation: it grows with every change to any table of the namespace */
export function generation(netfilter: NetlinkSocket): number {
  const [answer] = netfilter.dump((sequence) => message(type(NFT_MSG.GETGEN), 0, sequence, nfgenmsg()));
  return (answer && uint32(find(answer.payload, NFTA_GEN.ID, sizeofNfgenmsg))) ?? 0;
}

/** A table by family, in nft's words, with its flags (linux/netfilter/nf_tables.h: 1 is dormant, 2 owner). */
export interface TableInFamily {
  family: string;
  flags: number;
}

/** @returns the tables of that name, sorted by family. nft before 1.1.0 prints flags as garbage; here they are exact. */
export function tablesNamed(netfilter: NetlinkSocket, name: string): TableInFamily[] {
  return dump(netfilter, NFT_MSG.GETTABLE)
    .filter(({ payload }) => textOf(find(payload, NFTA_TABLE.NAME, sizeofNfgenmsg)) === name)
    .map(({ payload }) => ({
      family: familyOf(payload),
      flags: uint32(find(payload, NFTA_TABLE.FLAGS, sizeofNfgenmsg)) ?? 0,
    }))
    .sort((a, b) => byText(a.family, b.family));
}

/** @returns the families in which a table of that name stands, in nft's words, sorted */
export const familiesOfTable = (netfilter: NetlinkSocket, name: string): string[] =>
  tablesNamed(netfilter, name).map(({ family }) => family);

/** @returns every chain of the namespace, base or not, with its table */
export const allChains = (netfilter: NetlinkSocket): Array<{ family: string; table: string; chain: string }> =>
  dump(netfilter, NFT_MSG.GETCHAIN).map(({ payload }) => ({
    family: familyOf(payload),
    table: textOf(find(payload, NFTA_CHAIN.TABLE, sizeofNfgenmsg)),
    chain: textOf(find(payload, NFTA_CHAIN.NAME, sizeofNfgenmsg)),
  }));

/** @returns the base chains of the tables of that name, sorted by family and name */
export function hooks(netfilter: NetlinkSocket, table: string): Hook[] {
  const found: Hook[] = [];
  for (const { payload } of dump(netfilter, NFT_MSG.GETCHAIN)) {
    const hook = find(payload, NFTA_CHAIN.HOOK, sizeofNfgenmsg);
    if (!hook || textOf(find(payload, NFTA_CHAIN.TABLE, sizeofNfgenmsg)) !== table) continue;
    found.push({
      family: familyOf(payload),
      table,
      chain: textOf(find(payload, NFTA_CHAIN.NAME, sizeofNfgenmsg)),
      type: textOf(find(payload, NFTA_CHAIN.TYPE, sizeofNfgenmsg)),
      hook: uint32(find(hook, NFTA_HOOK.HOOKNUM)) ?? -1,
      priority: int32(find(hook, NFTA_HOOK.PRIORITY)) ?? 0,
      policy: uint32(find(payload, NFTA_CHAIN.POLICY, sizeofNfgenmsg)) ?? -1,
      devices: devicesOf(hook, NFTA_HOOK.DEV, NFTA_HOOK.DEVS),
    });
  }
  return found.sort((a, b) => byText(`${a.family} ${a.chain}`, `${b.family} ${b.chain}`));
}

/**
 * @param families of the tables of that name, as familiesOfTable() gives them
 * @returns the elements of one set in each of these tables; null where no table has such a set
 */
export function elements(
  netfilter: NetlinkSocket,
  families: string[],
  table: string,
  set: string,
): TimedElement[] | null {
  let found: TimedElement[] | null = null;
  for (const family of families) {
    const request: Request = (sequence) =>
      message(
        type(NFT_MSG.GETSETELEM),
        NLM_F.DUMP,
        sequence,
        nfgenmsg(family),
        stringAttribute(NFTA_SET_ELEM_LIST.TABLE, table),
        stringAttribute(NFTA_SET_ELEM_LIST.SET, set),
      );
    const answers = orNull(() => netfilter.dump(request));
    if (answers !== null) found ??= [];
    for (const { payload } of answers ?? []) {
      const list = find(payload, NFTA_SET_ELEM_LIST.ELEMENTS, sizeofNfgenmsg);
      for (const { data } of list ? attributes(list) : []) found?.push(timedElement(family, data));
    }
  }
  return found;
}

function timedElement(family: string, item: Buffer): TimedElement {
  const key = find(item, NFTA_SET_ELEM.KEY);
  return {
    key: `${family} ${(key && find(key, NFTA_DATA_VALUE))?.toString('hex') ?? ''}`,
    timeoutMs: milliseconds(find(item, NFTA_SET_ELEM.TIMEOUT)),
    expiresMs: milliseconds(find(item, NFTA_SET_ELEM.EXPIRATION)),
  };
}

/** @returns the elements of one set in each of the tables; null where no table has such a set */
export function elementsIn(
  { sets, elements: found }: Pick<Dump, 'sets' | 'elements'>,
  set: string,
): TimedElement[] | null {
  if (!sets.some(({ payload }) => setName(payload) === set)) return null;
  return found
    .filter((one) => one.set === set)
    .flatMap(({ family, items }) => items.map((item) => timedElement(family, item)));
}

/** @returns the named counters, those of several families added up */
export function countersIn(objects: Part[]): Map<string, Count> {
  const found = new Map<string, Count>();
  for (const { payload } of objects.filter((object) => isCounter(object.payload))) {
    const data = find(payload, NFTA_OBJ.DATA, sizeofNfgenmsg);
    const name = textOf(find(payload, NFTA_OBJ.NAME, sizeofNfgenmsg));
    const before = found.get(name) ?? { packets: 0, bytes: 0 };
    found.set(name, {
      packets: before.packets + Number((data && uint64(find(data, NFTA_COUNTER.PACKETS))) ?? 0n),
      bytes: before.bytes + Number((data && uint64(find(data, NFTA_COUNTER.BYTES))) ?? 0n),
    });
  }
  return found;
}

/** Sets the named counters of a table to nothing. */
export function resetCounters(netfilter: NetlinkSocket, family: string, table: string): void {
  const filter = stringAttribute(NFTA_OBJ.TABLE, table);
  netfilter.dump((sequence) => message(type(NFT_MSG.GETOBJ_RESET), NLM_F.DUMP, sequence, nfgenmsg(family), filter));
}

/** @returns the comments of rules, in their order */
export const commentsIn = (rules: Part[]): string[] =>
  rules.flatMap(({ payload }) => commentIn(find(payload, NFTA_RULE.USERDATA, sizeofNfgenmsg)) ?? []);

/** @returns the flags of a table (linux/netfilter/nf_tables.h: 1 is dormant, 2 owner), which nft before 1.1.0 prints as garbage */
export const flagsOf = ({ payload }: Part): number => uint32(find(payload, NFTA_TABLE.FLAGS, sizeofNfgenmsg)) ?? 0;

/** @returns the flowtables of the namespace; none on a kernel without them */
export function flowtables(netfilter: NetlinkSocket): Flowtable[] {
  return (orNull(() => dump(netfilter, NFT_MSG.GETFLOWTABLE)) ?? []).map(({ payload }) => {
    const hook = find(payload, NFTA_FLOWTABLE.HOOK, sizeofNfgenmsg) ?? Buffer.alloc(0);
    return {
      table: `${familyOf(payload)} ${textOf(find(payload, NFTA_FLOWTABLE.TABLE, sizeofNfgenmsg))}`,
      name: textOf(find(payload, NFTA_FLOWTABLE.NAME, sizeofNfgenmsg)),
      priority: int32(find(hook, NFTA_FLOWTABLE_HOOK.PRIORITY)) ?? 0,
      devices: devicesOf(hook, -1, NFTA_FLOWTABLE_HOOK.DEVS),
    };
  });
}

/** @returns `family table chain` of every netdev rule that sends packets elsewhere (nft's `fwd` and `dup`) */
export function forwardingRules(netfilter: NetlinkSocket): string[] {
  const found = new Set<string>();
  for (const { payload } of dump(netfilter, NFT_MSG.GETRULE, 'netdev')) {
    const list = find(payload, NFTA_RULE.EXPRESSIONS, sizeofNfgenmsg);
    const names = list ? [...attributes(list)].map(({ data }) => textOf(find(data, NFTA_EXPR.NAME))) : [];
    if (!names.includes('fwd') && !names.includes('dup')) continue;
    const [table, chain] = [NFTA_RULE.TABLE, NFTA_RULE.CHAIN].map((name) =>
      textOf(find(payload, name, sizeofNfgenmsg)),
    );
    found.add(`netdev ${table} ${chain}`);
  }
  return [...found];
}

/** By code units: a locale's order costs 8 ms when it is first asked for, and would not be the same everywhere. */
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const type = (name: number): number => (NFNL_SUBSYS_NFTABLES << 8) | name;

const dump = (netfilter: NetlinkSocket, name: number, family?: string) =>
  netfilter.dump((sequence) => message(type(name), NLM_F.DUMP, sequence, nfgenmsg(family)));

const familyOf = (payload: Buffer): string => families[payload[0] ?? 0] ?? `family ${payload[0]}`;

function devicesOf(hook: Buffer, single: number, several: number): string[] {
  const list = find(hook, several);
  const names = list ? [...attributes(list)].map(({ data }) => textOf(data)) : [];
  const one = textOf(find(hook, single));
  return [...new Set(one === '' ? names : [one, ...names])].sort();
}

/** Set times travel as milliseconds, big-endian 64 bits. */
function milliseconds(data: Buffer | undefined): number | null {
  const value = uint64(data);
  return value === undefined ? null : Number(value);
}

/** libnftnl's user data: one byte type, one byte length, value. */
function commentIn(userdata: Buffer | undefined): string | undefined {
  for (let at = 0; userdata && at + 2 <= userdata.length; at += 2 + (userdata[at + 1] ?? 0)) {
    if (userdata[at] === NFTNL_UDATA_RULE_COMMENT)
      return textOf(userdata.subarray(at + 2, at + 2 + (userdata[at + 1] ?? 0)));
  }
  return undefined;
}

/** What is not there, or what this kernel does not know, is null. */
function orNull<Item>(list: () => Item[]): Item[] | null {
  try {
    return list();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EOPNOTSUPP', 'EINVAL')) return null;
    throw error;
  }
}
