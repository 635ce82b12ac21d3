/** The checks of a document, its objects and commands; their types and sources stand in json-types.ts. */
import {
  anything,
  boolean,
  byType,
  type Check,
  comment,
  fault,
  flags,
  inside,
  integer,
  list,
  name,
  oneOfKinds,
  part,
  plainText,
  priority,
  type Shape,
  shape,
  string,
  whole,
} from './json-checks';
import { describe } from './json-error';
import { expression, statements } from './json-rule-schema';
import type * as Nft from './json-types';

const FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev'] satisfies Nft.Family[];

const family = byType({
  string: (value, walk) => {
    if (!FAMILIES.includes(String(value))) {
      throw fault(walk, `expected one of ${FAMILIES.join(', ')}, got ${describe(value)}`);
    }
  },
});

const strings = byType({ string: plainText, array: list(string) });
const protocol = byType({ string: plainText, integer });
const setType = byType({
  string: plainText,
  array: list(string),
  object: whole(shape<{ typeof: unknown[] }>({ typeof: expression }, {})),
});
const timeoutPolicy = byType({
  null: anything,
  object: (value, walk) => {
    for (const [state, seconds] of Object.entries(value as object)) inside(walk, state, integer, seconds);
  },
});

const identity = { family, table: name, name };
const named = { handle: integer, comment };
const set = {
  handle: integer,
  type: setType,
  policy: string,
  flags,
  elem: expression,
  timeout: integer,
  'gc-interval': integer,
  size: integer,
  'auto-merge': boolean,
  comment,
  stmt: statements,
};
const setShape = shape<Nft.NftSet>(identity, set);

const KINDS: { readonly [Kind in keyof Nft.Kinds]: Shape } = {
  table: shape<Nft.Table>({ family, name }, { handle: integer, comment, flags }),
  chain: shape<Nft.Chain>(identity, {
    handle: integer,
    newname: name,
    type: string,
    hook: string,
    prio: priority,
    policy: string,
    dev: strings,
    comment,
  }),
  rule: shape<Nft.Rule>(
    { family, table: name, chain: name },
    { handle: integer, index: integer, comment, expr: statements },
  ),
  set: setShape,
  map: shape<Nft.NftMap>(identity, { ...set, map: setType }),
  element: shape<Nft.Elements>(identity, { elem: expression }),
  flowtable: shape<Nft.Flowtable>(identity, { handle: integer, hook: string, prio: priority, dev: strings, flags }),
  counter: shape<Nft.Counter>(identity, { ...named, packets: integer, bytes: integer }),
  quota: shape<Nft.Quota>(identity, { ...named, bytes: integer, used: integer, inv: boolean }),
  limit: shape<Nft.Limit>(identity, {
    ...named,
    rate: integer,
    per: string,
    burst: integer,
    rate_unit: string,
    burst_unit: string,
    unit: string,
    inv: boolean,
  }),
  'ct helper': shape<Nft.CtHelper>(identity, { ...named, type: string, protocol, l3proto: string }),
  'ct timeout': shape<Nft.CtTimeout>(identity, { ...named, protocol, l3proto: string, policy: timeoutPolicy }),
  'ct expectation': shape<Nft.CtExpectation>(identity, {
    ...named,
    protocol,
    l3proto: string,
    dport: integer,
    timeout: integer,
    size: integer,
  }),
  synproxy: shape<Nft.Synproxy>(identity, { ...named, mss: integer, wscale: integer, flags }),
  secmark: shape<Nft.Secmark>(identity, { ...named, context: string }),
};

const PLURALS: { readonly [Kind in Nft.PluralKind | 'ruleset']: true } = {
  tables: true,
  chains: true,
  rules: true,
  sets: true,
  maps: true,
  meters: true,
  flowtables: true,
  counters: true,
  quotas: true,
  limits: true,
  'ct helpers': true,
  'ct timeouts': true,
  'ct expectations': true,
  synproxys: true,
  secmarks: true,
  ruleset: true,
};

const scope = byType({ null: anything, object: whole(shape<Nft.Scope>({}, { family, table: name })) });

/** The objects of a command. What each command needs is the business of who builds it: a `delete` may name a handle only. */
const OPERANDS: ReadonlyMap<string, Check> = new Map([
  ...Object.entries(KINDS).map(([kind, members]): [string, Check] => [kind, part(members)]),
  ...Object.keys(PLURALS).map((kind): [string, Check] => [kind, scope]),
]);

const operand = byType({ object: oneOfKinds('kind of object', () => OPERANDS) });

const VERBS = ['add', 'create', 'insert', 'replace', 'delete', 'destroy', 'list', 'reset', 'flush', 'rename'];

const COMMANDS: ReadonlyMap<string, Check> = new Map(VERBS.map((verb): [string, Check] => [verb, operand]));

/** A command by itself. */
export const command: Check = byType({ object: oneOfKinds('command', () => COMMANDS) });

const OBJECTS: ReadonlyMap<string, Check> = new Map([
  ...COMMANDS,
  ...Object.entries(KINDS).map(([kind, members]): [string, Check] => [kind, whole(members)]),
  ['meter', whole(setShape)],
  ['metainfo', whole(shape<Nft.Metainfo>({}, { version: string, release_name: string, json_schema_version: integer }))],
]);

/** A listing, or a list of commands; kinds of objects that are not known pass. */
export const document: Check = whole(
  shape<{ nftables: unknown[] }>({ nftables: list(byType({ object: oneOfKinds('object', () => OBJECTS) })) }, {}),
);
