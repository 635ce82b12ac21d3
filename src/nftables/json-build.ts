/**
 * Commands for nft, refused here if nft would take them for something else without a word. Measured with nft 1.0.6, the
 * same code stands in 1.1.6: a chain whose `type`, `hook` or `prio` is missing, misspelt or of another JSON type becomes
 * a plain chain without a hook, status 0, and nothing is filtered.
 */
import { type Check, fault, inside, list, type Walk } from './json-checks';
import { describe, NftJsonError, type PathKey } from './json-error';
import { command } from './json-schema';
import { writeJson } from './json-text';
import type { Command } from './json-types';

/**
 * Builds the text of commands for `nft -j` or libnftables, in their order.
 * @param commands each with all that nft needs to carry it out; integers beyond 2^53 as bigints
 * @returns `{"nftables": […]}`
 * @throws NftJsonError, with the path of the member, for what nft would misread or not read back: a member or statement
 * that is not known, a base chain with only some of type, hook and prio or with none of the kernel's hooks, a name other
 * than `[A-Za-z][A-Za-z0-9_-]*`, quotes or control characters in a string, a comment above 128 bytes, an integer that is
 * negative (but for a priority) or above 2^63-1, a table's flags (libnftables before 1.1.0 passes them over: load text)
 *
 * Not refused, as nothing but words is lost: comments of tables, chains, sets and maps, which 1.0.6 drops from JSON.
 */
export function buildCommands(commands: readonly Command[]): string {
  const walk: Walk = { strict: true, path: [] };
  inside(walk, 'nftables', list(strictCommand), commands);
  return writeJson({ nftables: commands });
}

const strictCommand: Check = (value, walk) => {
  command(value, walk);
  const [verb, kind, members] = parts(value as Command);
  const at: Walk = { strict: true, path: [...walk.path, verb, kind] };
  if (ONLY.has(verb) && ONLY.get(verb) !== kind) throw fault(at, `expected a ${ONLY.get(verb)} to ${verb}`);
  if (members === null || !(kind in IDENTITY)) {
    if (!['list', 'reset', 'flush'].includes(verb)) throw fault(at, `expected one object to ${verb}, got several`);
    return;
  }
  for (const key of needs(verb, kind, members)) {
    if (!Object.hasOwn(members, key)) throw new NftJsonError('expected a value, got nothing', [...at.path, key]);
  }
  if (kind === 'table' && 'flags' in members) {
    throw new NftJsonError('expected no flags: libnftables before 1.1.0 passes them over', [...at.path, 'flags']);
  }
  if (kind === 'rule' && Array.isArray(members.expr) && members.expr.length === 0) {
    throw new NftJsonError('expected at least one statement, got none', [...at.path, 'expr']);
  }
  if (kind === 'chain') checkChain(members, at.path);
};

function parts(value: Command): [verb: string, kind: string, members: Record<string, unknown> | null] {
  const [[verb, operand] = ['', {}]] = Object.entries(value);
  const [[kind, members] = ['', null]] = Object.entries(operand as Record<string, Record<string, unknown> | null>);
  return [verb, kind, members];
}

/** The verbs that take one kind of object. */
const ONLY: ReadonlyMap<string, string> = new Map([
  ['insert', 'rule'],
  ['replace', 'rule'],
  ['rename', 'chain'],
]);

const NAMED = ['family', 'table', 'name'];

/** What makes out an object of each kind. */
const IDENTITY: Record<string, readonly string[]> = {
  table: ['family', 'name'],
  chain: NAMED,
  rule: ['family', 'table', 'chain'],
  set: NAMED,
  map: NAMED,
  element: NAMED,
  flowtable: NAMED,
  counter: NAMED,
  quota: NAMED,
  limit: NAMED,
  'ct helper': NAMED,
  'ct timeout': NAMED,
  'ct expectation': NAMED,
  synproxy: NAMED,
  secmark: NAMED,
};

/** What `add` and `create` need besides. */
const CONTENT: Record<string, readonly string[]> = {
  rule: ['expr'],
  set: ['type'],
  map: ['type', 'map'],
  element: ['elem'],
  flowtable: ['hook', 'prio'],
  quota: ['bytes'],
  limit: ['rate'],
  'ct helper': ['type', 'protocol'],
  'ct timeout': ['protocol'],
  'ct expectation': ['protocol', 'dport', 'timeout', 'size'],
  synproxy: ['mss', 'wscale'],
  secmark: ['context'],
};

function needs(verb: string, kind: string, members: Record<string, unknown>): readonly string[] {
  const identity = IDENTITY[kind] ?? [];
  switch (verb) {
    case 'add':
    case 'create':
      return [...identity, ...(CONTENT[kind] ?? [])];
    case 'insert':
      return [...identity, 'expr'];
    case 'replace':
      return [...identity, 'handle', 'expr'];
    case 'rename':
      return [...identity, 'newname'];
    case 'delete':
    case 'destroy':
      if (kind === 'rule') return [...identity, 'handle'];
      if (kind === 'element') return [...identity, 'elem'];
      return 'handle' in members ? identity.filter((key) => key !== 'name') : identity;
    default:
      return identity;
  }
}

const HOOK_MEMBERS = ['type', 'hook', 'prio'];

/** hooknum2str of nftables' src/rule.c: which hooks a family has. */
const HOOKS: Record<string, readonly string[]> = {
  ip: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  ip6: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  inet: ['ingress', 'prerouting', 'input', 'forward', 'output', 'postrouting'],
  arp: ['input', 'output'],
  bridge: ['prerouting', 'input', 'forward', 'output', 'postrouting'],
  netdev: ['ingress', 'egress'],
};

function checkChain(chain: Record<string, unknown>, path: readonly PathKey[]): void {
  const missing = HOOK_MEMBERS.filter((key) => !Object.hasOwn(chain, key));
  const present = [...HOOK_MEMBERS, 'policy', 'dev'].filter((key) => Object.hasOwn(chain, key));
  const [lacking] = missing;
  if (present.length === 0) return;
  if (lacking !== undefined) {
    throw new NftJsonError(
      `expected a chain with type, hook and prio or with none of them and no policy, got ${present.join(', ')} only: ` +
        'nft would make a chain without a hook of it and say nothing',
      [...path, lacking],
    );
  }
  const { type, hook, policy, dev, family } = chain;
  const onDevice = hook === 'ingress' || hook === 'egress';
  expectOneOf(['filter', 'nat', 'route'], type, [...path, 'type']);
  expectOneOf(HOOKS[String(family)] ?? [], hook, [...path, 'hook']);
  if (policy !== undefined) expectOneOf(['accept', 'drop'], policy, [...path, 'policy']);
  if (onDevice !== (dev !== undefined)) {
    const expected = onDevice ? 'a device for this hook, got nothing' : 'no device for this hook, got one';
    throw new NftJsonError(`expected ${expected}`, [...path, 'dev']);
  }
}

function expectOneOf(words: readonly string[], value: unknown, path: readonly PathKey[]): void {
  if (!words.some((word) => word === value)) {
    throw new NftJsonError(`expected one of ${words.join(', ')}, got ${describe(value)}`, path);
  }
}
