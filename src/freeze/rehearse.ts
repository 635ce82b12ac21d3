/**
 * The rehearsal: the text is loaded into a scratch namespace and read back. What the kernel makes of it there is what
 * the target must show; a kernel without a needed feature, a bad template and an exhausted limit all show here.
 */
import { makeScratch, type Namespace } from '../namespace/namespace';
import { makeStandIn } from '../netlink/route';
import { listTables, NftRefusal } from '../nftables/engine';
import { NftJsonError } from '../nftables/json';
import { elements, familiesOfTable, hooks } from '../nftables/kernel';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import { acceptRehearsal, leaseSet, tableName } from '../ruleset/acceptance';
import type { Expectation } from '../ruleset/canonical';
import type { Plan } from '../ruleset/plan';
import type { Template } from '../ruleset/template';
import { type Machine, openSite, type Site } from './machine';
import { readBack, readStanding } from './standing';

/**
 * Loads a rendered ruleset into a scratch namespace and reads it back.
 * @returns what the target must show
 * @throws Failure `rehearsal-failed` (this kernel or nftables cannot do it), `bad-template`, `not-permitted`
 */
export async function rehearse(text: string, template: Template, plan: Plan, machine: Machine): Promise<Expectation> {
  const scratch = openScratch(machine);
  try {
    for (const name of boundDevices(text)) makeStandIn(scratch.route, name);
    await load(scratch, text, template);
    if (!template.builtin) await examine(scratch, template, plan);
    return await readBack(scratch, { listing: true });
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
  if (timed?.some(({ timeoutMs }) => timeoutMs !== plan.lease)) {
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
