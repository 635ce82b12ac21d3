/** The objects, commands and documents of libnftables' JSON, after libnftables-json(5) and nftables' src/json.c (1.0.6 to 1.1.6). */
import type { Expression, Flags, Integer, Open, Statement } from './json-rule-types';

/** What `nft -j list …` prints and `nft -j -f` reads. */
export interface NftDocument {
  nftables: NftObject[];
}

/** One object with one member, whose name is its kind: `'chain' in object` tells them apart. */
export type NftObject = { metainfo: Metainfo } | ListedObject | Command | UnknownObject;

declare const unknownKind: unique symbol;

/** An object of a kind that this layer does not know. It is kept as it is. */
export interface UnknownObject {
  readonly [unknownKind]: 'object';
}

export type ListedObject = AddedObject | { meter: NftSet };

/** The objects that `add`, `create` and, by name or handle, `delete` and `destroy` take. */
export type AddedObject = { [Kind in keyof Kinds]: Record<Kind, Kinds[Kind]> }[keyof Kinds];

/** Each kind of object and what stands in it. */
export interface Kinds {
  table: Table;
  chain: Chain;
  rule: Rule;
  set: NftSet;
  map: NftMap;
  element: Elements;
  flowtable: Flowtable;
  counter: Counter;
  quota: Quota;
  limit: Limit;
  'ct helper': CtHelper;
  'ct timeout': CtTimeout;
  'ct expectation': CtExpectation;
  synproxy: Synproxy;
  secmark: Secmark;
}

export type Family = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev';

export interface Metainfo {
  version?: string;
  release_name?: string;
  json_schema_version?: Integer;
}

export interface Table {
  family: Family;
  name: string;
  handle?: Integer;
  /** Missing in output before 1.0.8. */
  comment?: string;
  /** Cut or garbage in output before 1.1.0, passed over in input before 1.1.0. */
  flags?: Flags<'dormant' | 'owner' | 'persist'>;
}

/** With `type`, `hook` and `prio` a base chain; without all three a chain that is jumped to. */
export interface Chain {
  family: Family;
  table: string;
  name: string;
  handle?: Integer;
  /** Only in the command `rename`. */
  newname?: string;
  type?: Open<'filter' | 'nat' | 'route'>;
  hook?: Open<'ingress' | 'egress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'>;
  prio?: Integer;
  policy?: Open<'accept' | 'drop'>;
  /** Missing in output of 1.0.6, there as a string or an array later: read it with `devicesOf`. */
  dev?: string | string[];
  comment?: string;
}

export interface Rule {
  family: Family;
  table: string;
  chain: string;
  handle?: Integer;
  /** Only in the commands `add` and `insert`. */
  index?: Integer;
  comment?: string;
  expr?: Statement[];
}

/** `ipv4_addr`, a concatenation as an array, or, from nft 1.1 on, the expression whose type it is. */
export type SetType = string | string[] | { typeof: Expression };

export interface NftSet {
  family: Family;
  table: string;
  name: string;
  handle?: Integer;
  type?: SetType;
  policy?: Open<'performance' | 'memory'>;
  flags?: Flags<'constant' | 'interval' | 'timeout' | 'dynamic'>;
  elem?: Expression;
  /** Seconds, cut. */
  timeout?: Integer;
  'gc-interval'?: Integer;
  size?: Integer;
  'auto-merge'?: boolean;
  comment?: string;
  stmt?: Statement[];
}

/** Each element is a pair `[key, value]`. */
export interface NftMap extends NftSet {
  /** What a key leads to: a type, `verdict`, or a kind of object such as `counter`. */
  map?: SetType;
}

export interface Elements {
  family: Family;
  table: string;
  name: string;
  elem?: Expression;
}

export interface Flowtable {
  family: Family;
  table: string;
  name: string;
  handle?: Integer;
  hook?: Open<'ingress'>;
  prio?: Integer;
  /** A string for one device, an array for several: read it with `devicesOf`. */
  dev?: string | string[];
  flags?: Flags;
}

/** What the named objects below have in common. */
interface Named {
  family: Family;
  table: string;
  name: string;
  handle?: Integer;
  comment?: string;
}

export interface Counter extends Named {
  packets?: Integer;
  bytes?: Integer;
}

export interface Quota extends Named {
  bytes?: Integer;
  used?: Integer;
  inv?: boolean;
}

export interface Limit extends Named {
  rate?: Integer;
  per?: string;
  burst?: Integer;
  rate_unit?: string;
  burst_unit?: string;
  unit?: Open<'packets' | 'bytes'>;
  inv?: boolean;
}

/** A protocol that the machine's /etc/protocols does not name is a number. */
type Protocol = string | Integer;

export interface CtHelper extends Named {
  type?: string;
  protocol?: Protocol;
  l3proto?: string;
}

export interface CtTimeout extends Named {
  protocol?: Protocol;
  l3proto?: string;
  /** Seconds for each state; null when all are the kernel's defaults. */
  policy?: Record<string, Integer> | null;
}

export interface CtExpectation extends Named {
  protocol?: Protocol;
  l3proto?: string;
  dport?: Integer;
  timeout?: Integer;
  size?: Integer;
}

export interface Synproxy extends Named {
  mss?: Integer;
  wscale?: Integer;
  flags?: Flags<'timestamp' | 'sack-perm'>;
}

export interface Secmark extends Named {
  context?: string;
}

/** An object by its family and as much more as the command needs: table, and name or handle. */
export type Reference<T extends { family: Family }> = Pick<T, 'family'> & Partial<T>;

type ReferencedObject = { [Kind in keyof Kinds]: Record<Kind, Reference<Kinds[Kind]>> }[keyof Kinds];

/** All objects of a kind: `{ tables: null }`, `{ chains: { family: 'inet' } }`. */
type Several = { [Kind in PluralKind | 'ruleset']: Record<Kind, Scope | null> }[PluralKind | 'ruleset'];

export type PluralKind =
  | 'tables'
  | 'chains'
  | 'rules'
  | 'sets'
  | 'maps'
  | 'meters'
  | 'flowtables'
  | 'counters'
  | 'quotas'
  | 'limits'
  | 'ct helpers'
  | 'ct timeouts'
  | 'ct expectations'
  | 'synproxys'
  | 'secmarks';

export interface Scope {
  family?: Family;
  table?: string;
}

/** What nft does; `destroy`, a `delete` of what may be missing, needs nft 1.0.7 and kernel 6.3. */
export type Command =
  | { add: AddedObject }
  | { create: AddedObject }
  | { insert: { rule: Rule } }
  | { replace: { rule: Rule } }
  | { delete: ReferencedObject }
  | { destroy: ReferencedObject }
  | { list: ReferencedObject | Several }
  | { reset: ReferencedObject | Several }
  | { flush: ReferencedObject | Several }
  | { rename: { chain: Chain } };
