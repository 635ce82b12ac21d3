/**
 * The rehearsal: the text is loaded into a scratch namespace and read back. What the kernel makes of it there is what
 * the target must show; a kernel without a needed feature, a bad template and an exhausted limit all show here.
 */
import { bindQueues } from '../../hold/queue';
import { makeScratch, type Namespace } from '../../namespace/namespace';
import { makeStandIn } from '../../netlink/route';
import { commit, type Transaction, transaction } from '../../nftables/batch';
import { NotReplayable, readDump } from '../../nftables/dump';
import { listTables, NftRefusal } from '../../nftables/engine';
import { NftJsonError } from '../../nftables/json';
import { elements, familiesOfTable, hooks } from '../../nftables/kernel';
import { queueRules } from '../../nftables/queue-rules';
import { type QueueSupport, queueSupport } from '../../nftables/queue-support';
import { type Recording, recordingOf, wholeOf, withQueues } from '../../nftables/replay';
import { Exit, Failure } from '../../platform/failure';
import { isErrno, SystemError } from '../../platform/libc';
import { acceptQueues, acceptRehearsal, leaseSet, tableName } from '../../ruleset/acceptance';
import type { Expectation } from '../../ruleset/canonical';
import type { Plan } from '../../ruleset/plan';
import { defaultNumbers } from '../../ruleset/queue-numbers';
import { withoutQueues } from '../../ruleset/queue-text';
import type { Template } from '../../ruleset/template';
import { type Machine, openSite, type Site } from '../machine';
import { imprintOf } from '../state/imprint';
import { isLength, readBack, readStanding } from '../state/standing';

/** What a rehearsal tells. */
export interface Rehearsal {
  /** What the target must show. */
  expected: Expectation;
  /** What is replayed into each target; null: the text is loaded by nft, since what it makes can't be replayed. */
  recording: Transaction | null;
  /** What nft loads in that case. */
  text: string;
}

/**
 * Loads a rendered ruleset into a scratch namespace and reads it back.
 * @throws Failure `rehearsal-failed`, `no-queue` (this kernel or nftables cannot do it), `bad-template`, `not-permitted`
 */
export async function rehearse(
  text: string,
  template: Template,
  plan: Plan,
  machine: Machine,
  { arms } = { arms: false },
): Promise<Rehearsal> {
  const scratch = openScratch(machine);
  try {
    const support = plan.mode === 'steal' ? supportOfQueues(scratch) : 'queue';
    for (const name of boundDevices(text)) makeStandIn(scratch.route, name);
    if (support === 'xt') return await rehearseRaw(scratch, text, template, plan, machine, arms);
    await load(scratch, text, template);
    if (!template.builtin) await examine(scratch, template, plan);
    const recording = recordingIn(scratch, machine, arms);
    const loads = arms && !recording ? withoutLease(text, template) : text;
    return { expected: await expectation(scratch, machine), recording, text: loads };
  } catch (cause) {
    if (cause instanceof NftRefusal) throw failed(`nft could not list the rehearsal: ${cause.message}`, cause);
    if (cause instanceof NftJsonError) {
      throw failed(`nft's listing of the rehearsal cannot be read: ${cause.message}`, cause);
    }
    throw cause;
  } finally {
    scratch.close();
  }
}

/**
 * A kernel without nft's queue: nft compiles the text with marks in the queues' place, what the kernel made of that is taken
 * down, iptables' NFQUEUE is put where the marks are, and that is loaded into a second scratch namespace and read back.
 */
async function rehearseRaw(
  compiled: Site,
  text: string,
  template: Template,
  plan: Plan,
  machine: Machine,
  arms: boolean,
): Promise<Rehearsal> {
  if (!template.builtin && /\bmark\s+set\b/.test(text)) throw badTemplate(template, 'it sets a mark');
  await load(compiled, withoutQueues(text), template);
  const recording = recordingWithQueues(compiled, plan, template);
  const whole = wholeOf(recording, leaseSet);
  const scratch = openScratch(machine);
  try {
    for (const name of boundDevices(text)) makeStandIn(scratch.route, name);
    try {
      commit(scratch.netfilter, whole);
    } catch (cause) {
      if (!(cause instanceof SystemError)) throw cause;
      throw failed(`the kernel refused the ruleset with iptables' NFQUEUE in the rehearsal: ${cause.message}`, cause);
    }
    if (!template.builtin) await examine(scratch, template, plan);
    return {
      expected: await expectation(scratch, machine),
      recording: transaction(arms ? wholeOf(recording, leaseSet, 'none') : whole),
      text,
    };
  } finally {
    scratch.close();
  }
}

/** What arms: the text without the lines that fill the lease. */
function withoutLease(text: string, template: Template): string {
  const line = new RegExp(`^add element \\w+ ${tableName} ${leaseSet} \\{[^}]*\\}\\n`, 'gm');
  const left = text.replace(line, '');
  if (left !== text && !new RegExp(`\\bset ${leaseSet} \\{[^}]*\\belements\\b`).test(left)) return left;
  throw badTemplate(
    template,
    'it can’t be armed: its lease is filled otherwise than by `add element` in a line of its own',
  );
}

/** What the target must show: by nft's listing for people, and by the kernel's dump where that is the same each time. */
async function expectation(scratch: Site, { replays }: Machine): Promise<Expectation> {
  const listed = await readBack(scratch, { listing: true });
  const dump = replays ? readDump(scratch.netfilter, tableName) : null;
  const imprint = dump && imprintOf(dump);
  return imprint ? { ...listed, imprint } : listed;
}

/** @returns what nft has made of a text, to be replayed; null where that can't be */
function recordingIn({ netfilter }: Site, { replays }: Machine, arms: boolean): Transaction | null {
  const dump = replays ? readDump(netfilter, tableName) : null;
  try {
    return dump && transaction(wholeOf(recordingOf(dump, tableName), leaseSet, arms ? 'none' : undefined));
  } catch (cause) {
    if (cause instanceof NotReplayable) return null;
    throw cause;
  }
}

function recordingWithQueues({ netfilter }: Site, { queues }: Plan, template: Template): Recording {
  const dump = readDump(netfilter, tableName);
  const foreign = dump?.tables.find(({ family }) => family !== 'inet')?.family;
  try {
    if (foreign !== undefined) throw new NotReplayable(`the table of family ${foreign}`);
    if (dump === null) throw new NotReplayable('no table');
    return withQueues(recordingOf(dump, tableName), Object.values(queues));
  } catch (cause) {
    if (!(cause instanceof NotReplayable)) throw cause;
    throw new Failure(
      'not-replayable',
      Exit.unsupported,
      `this kernel lacks nft's queue, and the template ${template.name} has what iptables' NFQUEUE can't be loaded with: ${cause.message}`,
      { suggestions: ['load the module nft_queue, or write the template with named sets in table inet only'], cause },
    );
  }
}

/**
 * Tries both ways to NFQUEUE, and to bind one.
 * @throws Failure `no-queue` on a kernel with neither
 */
function supportOfQueues({ netfilter, namespace }: Site): QueueSupport {
  const support = queueSupport(netfilter);
  if (support === null) throw noQueue("neither nft's queue (nft_queue) nor iptables' NFQUEUE (xt_NFQUEUE)");
  try {
    bindQueues(namespace, defaultNumbers, 1).close();
  } catch (cause) {
    if (!isErrno(cause, 'EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) throw cause;
    throw noQueue(
      `no queues for user space (nfnetlink_queue): ${cause instanceof Error ? cause.message : cause}`,
      cause,
    );
  }
  return support;
}

const noQueue = (what: string, cause?: unknown) =>
  new Failure('no-queue', Exit.unsupported, `this kernel cannot hold packets: it has ${what}`, {
    suggestions: [
      'load what holds them: modprobe -a nfnetlink_queue nft_queue (or xt_NFQUEUE)',
      'or freeze with --mode drop',
    ],
    cause,
  });

/** The devices that a ruleset binds chains to; each needs one of its name to be rehearsed with. */
function boundDevices(text: string): string[] {
  const single = [...text.matchAll(/\bdevice "?([A-Za-z0-9_.@-]{1,15})"?/g)].map(([, name]) => name ?? '');
  const several = [...text.matchAll(/\bdevices = \{([^}]*)\}/g)].flatMap(([, names]) => (names ?? '').split(','));
  const names = [...single, ...several.map((name) => name.trim().replaceAll('"', ''))];
  return [...new Set(names)].filter((name) => name !== '' && name !== 'lo');
}

function openScratch(machine: Machine): Site {
  let namespace: Namespace;
  try {
    namespace = makeScratch();
  } catch (cause) {
    if (isErrno(cause, 'EPERM')) throw cause;
    throw failed(`the kernel gives no scratch namespace: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  return openSite(namespace, 'the scratch namespace', machine);
}

async function load(scratch: Site, text: string, template: Template): Promise<void> {
  try {
    const session = await scratch.session();
    await session.load(text);
  } catch (cause) {
    if (!(cause instanceof NftRefusal)) throw cause;
    const said = `nft refused the ruleset in the rehearsal: ${cause.message}`;
    const numbered = `${cause.answer.trim()}\nThe ruleset, with numbered lines:\n${cause.numberedText}`;
    if (template.builtin) throw failed(said, cause, numbered);
    throw new Failure('bad-template', Exit.usage, `${said}\n${numbered}`, {
      suggestions: [`mend the template ${template.name}; \`netfreeze preview\` shows what it renders to`],
      cause,
    });
  }
}

/** What a user's template made must be comparable, ours alone, and end with its lease. */
async function examine(scratch: Site, template: Template, plan: Plan): Promise<void> {
  if (readStanding(scratch)?.isFlagged)
    throw badTemplate(template, 'its table has flags: dormant, it would stop nothing');
  const session = await scratch.session();
  const tables = familiesOfTable(scratch.netfilter, tableName).map((family) => ({ family, name: tableName }));
  const document = await listTables(session, tables);
  const timed = elements(
    scratch.netfilter,
    tables.map(({ family }) => family),
    tableName,
    leaseSet,
  );
  if (timed?.some(({ timeoutMs }) => !isLength(timeoutMs, plan.lease))) {
    throw badTemplate(
      template,
      'an element of its lease has another time than {{timeout}}: it would not end with the lease',
    );
  }
  const objection = acceptRehearsal(
    document,
    hooks(scratch.netfilter, tableName),
    plan.mode,
    template.name,
    plan.devices.map(({ name }) => name),
  );
  if (objection) throw badTemplate(template, objection);
  if (plan.mode !== 'steal') return;
  const queueing = queueRules(scratch.netfilter).filter(({ table }) => table === tableName);
  const misled = acceptQueues(queueing, plan.queues);
  if (misled) throw badTemplate(template, misled);
}

const badTemplate = ({ name }: Template, objection: string) =>
  new Failure('bad-template', Exit.usage, `the template ${name} cannot be used: ${objection}`, {
    suggestions: ['netfreeze-template(5) and templates/drop.nft.hbs show what a template needs'],
  });

const failed = (message: string, cause: unknown, detail = '') =>
  new Failure('rehearsal-failed', Exit.unsupported, detail ? `${message}\n${detail}` : message, {
    suggestions: ['`netfreeze doctor` says what this kernel and this nftables lack; no namespace was touched'],
    cause,
  });
