/**
 * What a template that a user brings may hold. Its text is looked at before anything is loaded: it may declare, flush
 * and fill tables named netfreeze and nothing else, so that no command of it can reach another table (law 1). Its
 * rehearsal is looked at after: only what can be compared, and what ends with the lease.
 */
import type { NftDocument, NftObject } from '../nftables/json';
import type { Hook } from '../nftables/kernel';
import type { QueueRule } from '../nftables/queue-rules';
import { quoted } from '../platform/text';
import { freezingComment, type Mode } from './plan';
import type { QueueNumbers } from './queue-numbers';

export const tableName = 'netfreeze';
/** The set whose elements are the freeze; see the design, section Ruleset. */
export const leaseSet = 'lease';

/** linux/netfilter.h: NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT; defragmentation stands at -400. */
const needed = { prerouting: 0, output: 3 } as const;
const defragmentation = -400;
/** A flowtable's devices are closed at this priority or an earlier one. */
export const closingPriority = -500;
/** linux/netfilter.h: NF_ACCEPT */
const policyAccept = 1;
/** Statements whose state comes from packets, so that no two readings are alike. */
const changing = ['limit', 'quota', 'ct count', 'last', 'meter', 'set', 'map', 'synproxy'];
/** What ends a packet's way through a chain before its last rule. */
const leaving = ['accept', 'return', 'goto'];
/** What else a rule may say; all other statements change packets, send them elsewhere, or log them. */
const harmless = ['match', 'counter', 'accept', 'continue', 'return', 'jump', 'goto'];
/** The verdict of each mode; on a kernel without nft's queue the statement is iptables' NFQUEUE, which nft lists as xt. */
const stopping: Record<Mode, readonly string[]> = { drop: ['drop'], steal: ['queue', 'xt'] };
const families = 'inet|netdev|arp|bridge';

/**
 * Looks at a rendered template's commands.
 * @returns what is wrong with it, or null
 */
export function acceptText(text: string): string | null {
  let commands: string[];
  try {
    commands = topLevelCommands(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const name = '[A-Za-z][A-Za-z0-9_-]*';
  const allowed = [
    new RegExp(`^(add )?table (${families}) ${tableName} ?\\{\\}$`),
    new RegExp(`^flush (chain|set) (${families}) ${tableName} ${name}$`),
    new RegExp(`^add element (${families}) ${tableName} ${name} ?\\{\\}$`),
    new RegExp(`^add rule (${families}) ${tableName} ${name} .+$`),
  ];
  const foreign = commands.find((command) => !allowed.some((pattern) => pattern.test(command)));
  if (foreign === undefined) return null;
  const shown = foreign.length > 60 ? `${foreign.slice(0, 60)}…` : foreign;
  return `it may only declare "table FAMILY ${tableName} { … }", flush its chains and sets, and add elements and rules to them, not ${quoted(shown)}`;
}

/**
 * Cuts nft text into its top-level commands as nft's scanner does: comments, quoted strings (which know no escapes),
 * braces, and line ends or semicolons between commands. What stands in braces is left out.
 */
function topLevelCommands(text: string): string[] {
  const commands: string[] = [];
  let command = '';
  let depth = 0;
  const tokens = /#[^\n]*|"[^"]*"|\\\n|\s+|[{};]|[^\s"#{};\\]+|./gs;
  const end = () => {
    if (command.trim() !== '') commands.push(command.trim().replace(/\s+/g, ' '));
    command = '';
  };
  // nft's scanner is C and reads bytes: it ends at a NUL, and knows no other white space than ASCII's.
  const odd = /[^\t\n\x20-\x7e]/.exec(text)?.[0];
  if (odd !== undefined) throw new Error(`the character ${quoted(odd)} has no place in it, only printable ASCII has`);
  for (const [token] of text.matchAll(tokens)) {
    if (token.startsWith('"') && token.includes('\n'))
      throw new Error('a quoted text goes on behind the end of its line');
    if (token === '"') throw new Error('a quotation mark is not closed');
    if (token === '\\') throw new Error('a backslash stands where nft knows none');
    if (token === '\\\n' || token.startsWith('#')) {
      // nft glues a continued line on, and sees no comment.
      if (token.startsWith('\\') && depth === 0) command += ' ';
    } else if (token === '{') {
      if (depth === 0) command += '{';
      depth += 1;
    } else if (token === '}') {
      depth -= 1;
      if (depth < 0) throw new Error('a brace is closed that was not opened');
      if (depth === 0) command += '}';
    } else if (depth > 0) {
      if (token === 'include') throw new Error('"include" has no place in a template');
    } else if (token === ';' || token.includes('\n')) {
      end();
    } else command += token;
  }
  if (depth !== 0) throw new Error('a brace is not closed');
  end();
  return commands;
}

/**
 * Looks at where a template for mode steal sends packets.
 * @param rules the table's queues, as the kernel shows them
 * @returns what is wrong with it, or null
 */
export function acceptQueues(rules: QueueRule[], numbers: QueueNumbers): string | null {
  const wanted: Record<string, number> = { prerouting: numbers.in, output: numbers.out };
  const silent = Object.keys(wanted).find((chain) => !rules.some((rule) => rule.chain === chain));
  if (silent !== undefined) return `its chain "${silent}" queues nothing`;
  for (const { chain, number, total, flags } of rules) {
    if (flags !== 0) return `a rule in chain "${chain}" queues with flags: what is not held must not pass`;
    if (number < 0) return `a rule in chain "${chain}" lets the packet choose its queue`;
    if (total !== 1) return `a rule in chain "${chain}" spreads packets over several queues: their order would be lost`;
    const { [chain]: expected = numbers.in } = wanted;
    if (number !== expected)
      return `a rule in chain "${chain}" queues to ${number}, not to {{queueIn}} or {{queueOut}}`;
  }
  return null;
}

/**
 * Looks at what the kernel made of a template in the scratch namespace.
 * @param document the tables as nft lists them
 * @param hooks the base chains as the kernel shows them
 * @param devices those that must be closed, for their flowtables
 * @returns what is wrong with it, or null
 */
export function acceptRehearsal(
  document: NftDocument,
  hooks: Hook[],
  mode: Mode,
  template: string,
  devices: readonly string[] = [],
): string | null {
  for (const [chain, hook] of Object.entries(needed)) {
    const found = hooks.find((candidate) => candidate.family === 'inet' && candidate.chain === chain);
    if (found?.hook !== hook) return `it has no chain "${chain}" on the hook ${chain} in table inet ${tableName}`;
    if (found.priority >= defragmentation)
      return `its chain "${chain}" must come before defragmentation (priority below -400)`;
  }
  const wrong = hooks.find(({ type, policy }) => type !== 'filter' || policy !== policyAccept);
  if (wrong) return `its chain "${wrong.chain}" must be of type filter with policy accept: a lease's end must open it`;
  for (const table of document.nftables.filter((object) => 'table' in object)) {
    const { family, flags } = (table as { table: { family: string; flags?: unknown } }).table;
    if (JSON.stringify(flags ?? []).includes('dormant'))
      return `table ${family} ${tableName} is dormant: it stops nothing`;
    const lease = document.nftables.find((object) => isNamed(object, 'set', family, leaseSet));
    if (!lease) return `table ${family} ${tableName} has no set "${leaseSet}"`;
    if (JSON.stringify((lease as unknown as { set: { flags?: unknown } }).set.flags ?? []).includes('interval'))
      return `its set "${leaseSet}" in table ${family} may not have the flag interval`;
    const wanting = family === 'inet' ? wantingLease(lease) : null;
    if (wanting) return wanting;
  }
  const open = devices.find((device) => !hooks.some((hook) => closes(hook, device)));
  if (open !== undefined) return `it leaves the device ${quoted(open)} open, whose flowtable passes its chains by`;
  return rulesObjection(document, hooks, mode, freezingComment(mode, template));
}

/** linux/netfilter.h: NF_NETDEV_INGRESS; a flowtable's own hook comes later than -500, or shortcuts.ts refuses it. */
const closes = ({ family, hook, priority, devices }: Hook, device: string): boolean =>
  family === 'netdev' && hook === 0 && priority <= closingPriority && devices.includes(device);

/** In table inet the lease is of both families: a freeze of one of them would be half a freeze. */
function wantingLease(object: NftObject): string | null {
  const { type, elem } = (object as unknown as { set: { type?: unknown; elem?: unknown } }).set;
  if (type !== 'nf_proto') return `its set "${leaseSet}" in table inet must be of type nf_proto`;
  const elements = Array.isArray(elem) ? elem : [];
  const values = elements.map((element) => (element as { elem?: { val?: unknown } }).elem?.val ?? element);
  const missing = ['ipv4', 'ipv6'].filter((family) => !values.includes(family));
  // Without elements the lease has ended; that is for whoever asks to judge.
  return missing.length === 1 ? `its set "${leaseSet}" lacks ${missing[0]}` : null;
}

function rulesObjection(document: NftDocument, hooks: Hook[], mode: Mode, comment: string): string | null {
  for (const object of document.nftables) {
    const [kind = '', value] = Object.entries(object)[0] ?? [];
    if (
      ['limit', 'quota', 'flowtable', 'map', 'ct helper', 'ct timeout', 'ct expectation', 'synproxy'].includes(kind)
    ) {
      return `a ${kind} has no place in a freeze`;
    }
    if (kind === 'set' && JSON.stringify((value as { flags?: unknown }).flags ?? []).includes('dynamic')) {
      return `the set "${(value as { name: string }).name}" is filled by packets and can't be compared`;
    }
    if (kind === 'set' && isTimed(value as { name?: string; flags?: unknown })) {
      return `the set "${(value as { name: string }).name}" has elements that end by themselves`;
    }
    if (kind !== 'rule') continue;
    const { chain, expr, comment: ruleComment } = value as { chain: string; expr: object[]; comment?: string };
    const statements = expr.map((statement) => Object.keys(statement)[0] ?? '');
    const stateful = statements.find((statement) => changing.includes(statement));
    if (stateful) return `a rule in chain "${chain}" has a "${stateful}", which can't be compared`;
    if (statements.includes('vmap')) return `a rule in chain "${chain}" has a verdict map, which hides what it stops`;
    if (JSON.stringify(expr).includes('"numgen"'))
      return `a rule in chain "${chain}" counts packets to choose among them`;
    const other = statements.find((statement) => !harmless.includes(statement) && !stopping[mode].includes(statement));
    if (other !== undefined) return `a rule in chain "${chain}" has a "${other}", which has no place in a freeze`;
    const stops = statements.find((statement) => stopping[mode].includes(statement));
    if (stops && !expr.some(asksLease)) {
      return `a rule in chain "${chain}" says ${stops} without asking "@${leaseSet}": it would not end with the lease`;
    }
    if (statements.some((statement) => leaving.includes(statement)) && !statements.includes('match')) {
      return `a rule in chain "${chain}" lets every packet pass`;
    }
    if (stops && ruleComment !== comment)
      return `the freezing rule in chain "${chain}" must have the comment {{comment}}`;
  }
  const open = hooks.find(
    ({ family, chain }) => !document.nftables.some((object) => freezes(object, family, chain, mode, comment)),
  );
  return open ? `its chain "${open.chain}" in table ${open.family} ${tableName} has no freezing rule` : null;
}

const isTimed = ({ name, flags }: { name?: string; flags?: unknown }): boolean =>
  name !== leaseSet && JSON.stringify(flags ?? []).includes('timeout');

function freezes(object: NftObject, family: string, chain: string, mode: Mode, comment: string): boolean {
  if (!('rule' in object)) return false;
  const rule = object.rule as { family?: string; chain?: string; comment?: string; expr?: object[] };
  if (rule.family !== family || rule.chain !== chain || rule.comment !== comment) return false;
  const statements = rule.expr?.map((statement) => Object.keys(statement)[0] ?? '') ?? [];
  // The lease is the one thing that a freezing rule asks: another match would let packets pass.
  const asks = statements.filter((statement) => statement === 'match').length;
  return asks === 1 && statements.some((statement) => stopping[mode].includes(statement));
}

/** `meta nfproto @lease`, or another key of the set in a table of another family; `!=` would freeze at the lease's end. */
function asksLease(statement: object): boolean {
  const match = (statement as { match?: { op?: string; right?: unknown } }).match;
  return match?.right === `@${leaseSet}` && (match.op === '==' || match.op === 'in');
}

function isNamed(object: NftObject, kind: string, family: string, name: string): boolean {
  const value = (object as Record<string, unknown>)[kind] as { family?: string; name?: string } | undefined;
  return value?.family === family && value.name === name;
}
