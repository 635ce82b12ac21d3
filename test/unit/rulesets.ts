/** A freeze as nft lists it and the kernel shows it, made by hand, to be changed by tests. */
import type { NftDocument } from '../../src/nftables/json';
import { parseDocument } from '../../src/nftables/json';
import type { Hook } from '../../src/nftables/kernel';

type Value = Record<string, unknown>;
/** An object of a listing: one member, whose name is its kind. */
export type Listed = Record<string, Value>;

export const comment = 'netfreeze/1 drop mine';
const ours = { family: 'inet', table: 'netfreeze' };

export const table = (members: Value = {}): Listed => ({
  table: { family: 'inet', name: 'netfreeze', handle: 1, ...members },
});
export const leaseSet = (members: Value = {}): Listed => ({
  set: { ...ours, name: 'lease', type: 'nf_proto', handle: 4, flags: ['timeout'], elem: ['ipv4', 'ipv6'], ...members },
});
export const set = (members: Value = {}): Listed => ({
  set: { ...ours, name: 'friends', type: 'ipv4_addr', handle: 5, elem: ['10.0.0.1', '10.0.0.2'], ...members },
});
export const counter = (name: string, packets = 0): Listed => ({
  counter: { ...ours, name, handle: 2, packets, bytes: packets * 64 },
});
export const chain = (name: string, members: Value = {}): Listed => ({
  chain: {
    ...ours,
    name,
    handle: 6,
    type: 'filter',
    hook: name,
    prio: -450,
    policy: 'accept',
    ...members,
  },
});
export const rule = (chainName: string, expr: unknown[], members: Value = {}): Listed => ({
  rule: { ...ours, chain: chainName, handle: 8, ...members, expr },
});

export const onLease = { match: { op: '==', left: { meta: { key: 'nfproto' } }, right: '@lease' } };
export const fromFriend = {
  match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: '10.0.0.7' },
};
export const accept = { accept: null };
export const drop = { drop: null };
export const freezingRule = (chainName: string, members: Value = {}): Listed =>
  rule(chainName, [onLease, { counter: chainName === 'output' ? 'out' : 'in' }, drop], { comment, ...members });

/** The kernel's hook numbers (linux/netfilter.h). */
const numbers: Record<string, number> = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 };

export const hook = (name: string, members: Partial<Hook> = {}): Hook => ({
  family: 'inet',
  table: 'netfreeze',
  chain: name,
  type: 'filter',
  hook: numbers[name] ?? 0,
  priority: -450,
  policy: 1,
  devices: [],
  ...members,
});

export const wholeHooks: readonly Hook[] = [hook('output'), hook('prerouting')];

/** A whole freeze: the table, its counters, its lease, and two chains with a freezing rule each. */
export const wholeFreeze: readonly Listed[] = [
  table(),
  counter('in'),
  counter('out'),
  leaseSet(),
  chain('prerouting'),
  chain('output'),
  rule('prerouting', [fromFriend, accept]),
  freezingRule('prerouting'),
  freezingRule('output'),
];

/** @returns the objects as a listing that went through the reader of nft's JSON */
export const listed = (...objects: readonly Listed[]): NftDocument =>
  parseDocument(JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6', json_schema_version: 1 } }, ...objects] }));

/** @returns the whole freeze with other objects in place of those that `replace` changes; null takes one away */
export const wholeFreezeBut = (replace: (object: Listed) => Listed | Listed[] | null): NftDocument =>
  listed(...wholeFreeze.flatMap<Listed>((object) => replace(structuredClone(object)) ?? []));

/** @returns whether an object is of that kind, and of that name (of a rule: in that chain) */
export function is(object: Listed, kind: string, name?: string): boolean {
  const value = object[kind];
  return value !== undefined && (name === undefined || value.name === name || value.chain === name);
}
