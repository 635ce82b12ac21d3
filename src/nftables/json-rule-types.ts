/** What a rule consists of in libnftables' JSON: statements and expressions, after libnftables-json(5) and nftables' src/json.c. */

/**
 * An integer; a bigint where a double cannot hold it. libnftables prints 64-bit values as signed ones: what is beyond
 * 2^63-1 comes out negative (measured with 1.0.6: `@th,0,64 0xffffffffffffffff` prints -1), see `unsigned64`.
 */
export type Integer = number | bigint;

/** One of the words that are known, or any other that a later nft says. */
export type Open<Words extends string> = Words | (string & Record<never, never>);

/** One flag is printed as a string by some versions and statements, as an array by others: read it with `flagsOf`. */
export type Flags<Words extends string = string> = Open<Words> | Open<Words>[];

declare const unknownKind: unique symbol;

/** An expression of a kind that this layer does not know. It is kept as it is. */
export interface UnknownExpression {
  readonly [unknownKind]: 'expression';
}

/** A statement of a kind that this layer does not know. It is kept as it is. */
export interface UnknownStatement {
  readonly [unknownKind]: 'statement';
}

/** A string may be a value (`"10.0.0.1"`, `"eth0"`), a named set (`"@lease"`) or the wildcard `"*"`. An array is a list. */
export type Expression =
  | string
  | Integer
  | boolean
  | Expression[]
  | { concat: Expression[] }
  /** An anonymous set; in a map each item is a pair `[key, value]`. */
  | { set: Expression }
  | MapExpression
  | { prefix: Prefix }
  | { range: Expression[] }
  | { payload: NamedPayload | RawPayload }
  | { exthdr: ExtensionHeader }
  | { 'tcp option': HeaderField | RawPayload }
  | { 'ip option': HeaderField }
  | { 'sctp chunk': HeaderField }
  | { 'dccp option': { type: Integer } }
  | { meta: Key }
  | { rt: RoutingKey }
  | { ct: CtKey }
  | { numgen: NumberGenerator }
  | { jhash: Hash & { expr: Expression } }
  | { symhash: Hash }
  | { fib: Fib }
  | { socket: Key }
  | { osf: Fingerprint }
  | { ipsec: IpsecKey }
  | { tunnel: Key }
  /** Two operands; from nft 1.1 on a chain of equal operators is one list. */
  | { '|': Expression[] }
  | { '^': Expression[] }
  | { '&': Expression[] }
  | { '<<': Expression[] }
  | { '>>': Expression[] }
  | { elem: SetElement }
  | Verdict
  | { queue: null }
  | UnknownExpression;

export interface MapExpression {
  map: Lookup;
}

/** A key and the map in which it is looked up: `"@name"` or an anonymous `{ set: [[key, value], …] }`. */
export interface Lookup {
  key: Expression;
  data: Expression;
}

export interface Prefix {
  addr: Expression;
  len: Integer;
}

export interface NamedPayload {
  protocol: string;
  field: string;
  /** The tunnel whose inner packet is meant: `vxlan`; nft 1.1 and later. */
  tunnel?: string;
}

/** Bits: both numbers. In a TCP option `base` is the option's number. */
export interface RawPayload {
  base: Open<'ll' | 'nh' | 'th' | 'ih'> | Integer;
  offset: Integer;
  len: Integer;
}

/** Without a field: whether the header is there. */
export interface HeaderField {
  name: string;
  field?: string;
}

export interface ExtensionHeader extends HeaderField {
  offset?: Integer;
}

export interface Key {
  key: string;
}

export interface RoutingKey extends Key {
  family?: Open<'ip' | 'ip6'>;
}

export interface Fingerprint extends Key {
  ttl?: Open<'loose' | 'skip'>;
}

export interface Fib {
  result: string;
  /** Bits that nft has no word for are a number. */
  flags?: string | (string | Integer)[];
}

export interface CtKey {
  key: string;
  family?: Open<'ip' | 'ip6'>;
  dir?: Open<'original' | 'reply'>;
}

export interface NumberGenerator {
  mode: Open<'inc' | 'random'>;
  mod: Integer;
  offset?: Integer;
}

export interface Hash {
  mod: Integer;
  offset?: Integer;
  seed?: Integer;
}

export interface IpsecKey {
  key: string;
  dir: Open<'in' | 'out'>;
  spnum?: Integer;
  family?: Open<'ip' | 'ip6'>;
}

/** An element with more to it than its value. Times are in seconds, cut: 500 ms reads 0. */
export interface SetElement {
  val: Expression;
  timeout?: Integer;
  expires?: Integer;
  comment?: string;
  counter?: CounterValues | null;
  limit?: LimitValues;
  quota?: QuotaValues;
  last?: LastUse | null;
  'ct count'?: CtCount;
}

export type Verdict =
  | { accept: null }
  | { drop: null }
  | { continue: null }
  | { return: null }
  | { break: null }
  | { jump: Target }
  | { goto: Target };

export interface Target {
  target: string;
}

/** A string stands for a statement that this nft could not say in JSON: it is the statement's text (nft 1.0.6: `last`). */
export type Statement =
  | string
  | Verdict
  | { match: Match }
  | { vmap: Lookup }
  /** A string names a counter; null in stateless output. The same for the objects below. */
  | { counter: string | null | CounterValues | MapExpression }
  | { quota: string | QuotaValues | MapExpression }
  | { limit: string | LimitValues | MapExpression }
  | { last: LastUse | null }
  | { mangle: Mangle }
  | { flow: Flow }
  | { fwd: Forward }
  | { notrack: null }
  | { dup: Duplicate | null }
  | { snat: Nat | null }
  | { dnat: Nat | null }
  | { masquerade: Nat | null }
  | { redirect: Nat | null }
  | { reject: Reject | null }
  | { set: SetUpdate }
  | {
      map: {
        op: Open<'add' | 'update' | 'delete'>;
        elem: Expression;
        data: Expression;
        map: string;
        stmt?: Statement[];
      };
    }
  | { log: Log | null }
  | { meter: Meter }
  /** `{ queue: null }` where nft prints neither number nor flags: read it with `queueOf`. */
  | { queue: Queue | null }
  | { 'ct count': CtCount }
  | { 'ct helper': Expression }
  | { 'ct timeout': Expression }
  | { 'ct expectation': Expression }
  | { tproxy: TransparentProxy }
  | { synproxy: string | null | SynproxyValues | MapExpression }
  /** A TCP option that is stripped. */
  | { reset: Expression }
  | { secmark: Expression }
  | { tunnel: Expression }
  /** What iptables-nft made. nft prints its kind and name and cannot load it again. */
  | { xt: Xtables | null }
  | UnknownStatement;

export interface Match {
  op: Open<'==' | '!=' | '<' | '>' | '<=' | '>=' | 'in'>;
  left: Expression;
  right: Expression;
}

export interface CounterValues {
  packets?: Integer;
  bytes?: Integer;
}

export interface QuotaValues {
  val: Integer;
  val_unit?: string;
  used?: Integer;
  used_unit?: string;
  inv?: boolean;
}

export interface LimitValues {
  rate: Integer;
  per: string;
  burst?: Integer;
  rate_unit?: string;
  burst_unit?: string;
  inv?: boolean;
}

export interface Nat {
  family?: Open<'ip' | 'ip6'>;
  addr?: Expression;
  port?: Expression;
  flags?: Flags<'random' | 'fully-random' | 'persistent' | 'netmap'>;
  type_flags?: Flags<'interval' | 'prefix' | 'concat'>;
}

export interface Log {
  prefix?: string;
  group?: Integer;
  snaplen?: Integer;
  'queue-threshold'?: Integer;
  level?: string;
  flags?: Flags;
}

export interface Queue {
  /** One number, a range, or an expression that chooses. */
  num?: Expression;
  flags?: Flags<'bypass' | 'fanout'>;
}

export interface SynproxyValues {
  mss?: Integer;
  wscale?: Integer;
  flags?: Flags<'timestamp' | 'sack-perm'>;
}

/** Milliseconds since the rule was last passed. */
export interface LastUse {
  used: Integer;
}

export interface Mangle {
  key: Expression;
  value: Expression;
}

export interface Flow {
  op: Open<'add'>;
  /** `@name` */
  flowtable: string;
}

export interface Forward {
  dev?: Expression;
  family?: Open<'ip' | 'ip6'>;
  addr?: Expression;
}

export interface Duplicate {
  addr?: Expression;
  dev?: Expression;
}

export interface Reject {
  type?: Open<'tcp reset' | 'icmpx' | 'icmp' | 'icmpv6'>;
  expr?: Expression;
}

export interface SetUpdate {
  op: Open<'add' | 'update' | 'delete'>;
  elem: Expression;
  /** `@name` */
  set: string;
  stmt?: Statement[];
}

export interface MapUpdate {
  op: Open<'add' | 'update' | 'delete'>;
  elem: Expression;
  data: Expression;
  /** `@name` */
  map: string;
  stmt?: Statement[];
}

export interface Meter {
  key: Expression;
  stmt: Statement;
  name?: string;
  size?: Integer;
}

export interface CtCount {
  val: Integer;
  inv?: boolean;
}

export interface TransparentProxy {
  family?: Open<'ip' | 'ip6'>;
  addr?: Expression;
  port?: Expression;
}

export interface Xtables {
  type: Open<'match' | 'target' | 'watcher'>;
  name: string;
}
