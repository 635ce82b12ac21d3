/** The checks of statements and expressions; their types and sources stand in json-rule-types.ts. */
import {
  anything,
  boolean,
  byType,
  type Check,
  comment,
  fault,
  flags,
  integer,
  list,
  name,
  nothing,
  oneOfKinds,
  plainText,
  setName,
  shape,
  string,
  whole,
} from './json-checks';
import type * as Rule from './json-rule-types';

/** An expression; kinds that are not known pass. */
export const expression: Check = byType({
  string: (value, walk) => (String(value).startsWith('@') ? setName : plainText)(value, walk),
  integer,
  boolean: anything,
  array: (value, walk) => expressions(value, walk),
  object: oneOfKinds('expression', () => EXPRESSIONS),
});

/** A statement; kinds that are not known pass, and so does one that nft could print only as text. */
const statement: Check = byType({
  string: (value, walk) => {
    if (walk.strict) throw fault(walk, `expected an object, got ${JSON.stringify(value)}`);
  },
  object: oneOfKinds('statement', () => STATEMENTS),
});

export const statements = list(statement);

const expressions = list(expression);

const textOrNumber = byType({ string: plainText, integer });

/** Two or more: a range, or what an operator joins. */
const operands = byType({
  array: (value, walk) => {
    const { length } = value as unknown[];
    if (length < 2) throw fault(walk, `expected an array of two or more, got one of ${length}`);
    expressions(value, walk);
  },
});

/** One of two shapes, told apart by a member that only the second one has. */
function eitherBy(key: string, first: Check, second: Check): Check {
  return byType({ object: (value, walk) => (Object.hasOwn(value as object, key) ? second : first)(value, walk) });
}

function nullOr(check: Check): Check {
  return byType({ null: anything, object: check });
}

const members = <T extends object>(...checks: Parameters<typeof shape<T>>) => whole(shape<T>(...checks));

const key = members<Rule.Key>({ key: string }, {});
const lookup = members<Rule.Lookup>({ key: expression, data: expression }, {});
const headerField = members<Rule.HeaderField>({ name: string }, { field: string });
const namedPayload = members<Rule.NamedPayload>({ protocol: string, field: string }, { tunnel: string });
const rawPayload = members<Rule.RawPayload>({ base: textOrNumber, offset: integer, len: integer }, {});
const hash = shape<Rule.Hash>({ mod: integer }, { offset: integer, seed: integer });
const target = members<Rule.Target>({ target: name }, {});
const ctCount = members<Rule.CtCount>({ val: integer }, { inv: boolean });
const last = nullOr(members<Rule.LastUse>({ used: integer }, {}));
const counter = members<Rule.CounterValues>({}, { packets: integer, bytes: integer });
const synproxy = members<Rule.SynproxyValues>({}, { mss: integer, wscale: integer, flags });
const quota = members<Rule.QuotaValues>(
  { val: integer },
  { val_unit: string, used: integer, used_unit: string, inv: boolean },
);
const limit = members<Rule.LimitValues>(
  { rate: integer, per: string },
  { burst: integer, rate_unit: string, burst_unit: string, inv: boolean },
);
const nat = nullOr(
  members<Rule.Nat>({}, { family: string, addr: expression, port: expression, flags, type_flags: flags }),
);

const VERDICTS: [string, Check][] = [
  ['accept', nothing],
  ['drop', nothing],
  ['continue', nothing],
  ['return', nothing],
  ['break', nothing],
  ['jump', target],
  ['goto', target],
];

const EXPRESSIONS: ReadonlyMap<string, Check> = new Map([
  ...VERDICTS,
  ['queue', nothing],
  ['concat', expressions],
  ['set', expression],
  ['map', lookup],
  ['prefix', members<Rule.Prefix>({ addr: expression, len: integer }, {})],
  ['range', operands],
  ['payload', eitherBy('base', namedPayload, rawPayload)],
  ['exthdr', members<Rule.ExtensionHeader>({ name: string }, { field: string, offset: integer })],
  ['tcp option', eitherBy('base', headerField, rawPayload)],
  ['ip option', headerField],
  ['sctp chunk', headerField],
  ['dccp option', members<{ type: Rule.Integer }>({ type: integer }, {})],
  ['meta', key],
  ['rt', members<Rule.RoutingKey>({ key: string }, { family: string })],
  ['ct', members<Rule.CtKey>({ key: string }, { family: string, dir: string })],
  ['numgen', members<Rule.NumberGenerator>({ mode: string, mod: integer }, { offset: integer })],
  ['jhash', whole({ ...hash, required: new Map([...hash.required, ['expr', expression]]) })],
  ['symhash', whole(hash)],
  ['fib', members<Rule.Fib>({ result: string }, { flags: byType({ string: plainText, array: list(textOrNumber) }) })],
  ['socket', key],
  ['osf', members<Rule.Fingerprint>({ key: string }, { ttl: string })],
  ['ipsec', members<Rule.IpsecKey>({ key: string, dir: string }, { spnum: integer, family: string })],
  ['tunnel', key],
  ['|', operands],
  ['^', operands],
  ['&', operands],
  ['<<', operands],
  ['>>', operands],
  [
    'elem',
    members<Rule.SetElement>(
      { val: expression },
      {
        timeout: integer,
        expires: integer,
        comment,
        counter: nullOr(counter),
        limit,
        quota,
        last,
        'ct count': ctCount,
      },
    ),
  ],
]);

const STATEMENTS: ReadonlyMap<string, Check> = new Map([
  ...VERDICTS,
  ['match', members<Rule.Match>({ op: string, left: expression, right: expression }, {})],
  ['vmap', lookup],
  ['counter', nameOr(counter)],
  ['quota', nameOr(quota)],
  ['limit', nameOr(limit)],
  ['synproxy', nameOr(synproxy)],
  ['last', last],
  ['mangle', members<Rule.Mangle>({ key: expression, value: expression }, {})],
  ['flow', members<Rule.Flow>({ op: string, flowtable: setName }, {})],
  ['fwd', members<Rule.Forward>({}, { dev: expression, family: string, addr: expression })],
  ['notrack', nothing],
  ['dup', nullOr(members<Rule.Duplicate>({}, { addr: expression, dev: expression }))],
  ['snat', nat],
  ['dnat', nat],
  ['masquerade', nat],
  ['redirect', nat],
  ['reject', nullOr(members<Rule.Reject>({}, { type: string, expr: expression }))],
  ['set', members<Rule.SetUpdate>({ op: string, elem: expression, set: setName }, { stmt: statements })],
  [
    'map',
    members<Rule.MapUpdate>({ op: string, elem: expression, data: expression, map: setName }, { stmt: statements }),
  ],
  [
    'log',
    nullOr(
      members<Rule.Log>(
        {},
        { prefix: string, group: integer, snaplen: integer, 'queue-threshold': integer, level: string, flags },
      ),
    ),
  ],
  ['meter', members<Rule.Meter>({ key: expression, stmt: statement }, { name, size: integer })],
  ['queue', nullOr(members<Rule.Queue>({}, { num: expression, flags }))],
  ['ct count', ctCount],
  ['ct helper', expression],
  ['ct timeout', expression],
  ['ct expectation', expression],
  ['tproxy', members<Rule.TransparentProxy>({}, { family: string, addr: expression, port: expression })],
  ['reset', expression],
  ['secmark', expression],
  ['tunnel', expression],
  ['xt', nullOr(notBuilt(members<Rule.Xtables>({ type: string, name: string }, {})))],
]);

/** A named object, values of the rule's own, or a map from which the object is chosen. */
function nameOr(values: Check): Check {
  return byType({ string: name, null: anything, object: eitherBy('map', values, expression) });
}

/** What nft prints and cannot load again. */
function notBuilt(check: Check): Check {
  return (value, walk) => {
    if (walk.strict) throw fault(walk, 'expected a statement that nft can load, got one of xtables');
    check(value, walk);
  };
}
