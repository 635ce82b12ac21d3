/** What this machine, kernel, nftables and user can do: each thing is tried, in a scratch namespace, and not guessed. */
import { release as kernelRelease } from 'node:os';
import { cookieOf, makeScratch } from '../namespace/namespace';
import { chooseEngine } from '../nftables/choose';
import type { Engine } from '../nftables/engine';
import { missingCapabilities } from '../platform/capabilities';
import { Exit, Failure } from '../platform/failure';
import { nativeCalls } from '../platform/libc';
import { prepareStateDirectory } from '../record/state-directory';
import { parseDuration } from '../ruleset/duration';
import { defaultHoldLimit, type Plan } from '../ruleset/plan';
import { defaultNumbers } from '../ruleset/queue-numbers';
import { loadTemplate, render } from '../ruleset/template';
import { type Machine, openSite } from './machine';
import { asFailure } from './report';
import { rehearse } from './steps/rehearse';

/** One thing that was tried. */
export interface Check {
  name: string;
  /** `missing`: no freeze without it; `limited`: a freeze works, but not all that it could. */
  result: 'ok' | 'limited' | 'missing';
  /** What was found. */
  found: string;
  /** What to do; empty when all is well. */
  todo: string[];
}

/** @returns every check, and as a failure what keeps this machine from freezing anything */
export async function examine(machine: Machine): Promise<{ checks: Check[]; failure: Failure | null }> {
  const mine = rights();
  const checks: Check[] = [
    { name: 'kernel', result: 'ok', found: `Linux ${kernelRelease()}, Node ${process.versions.node}`, todo: [] },
    mine,
  ];
  // Everything below needs these rights: without them it would say the same seven times.
  if (mine.result !== 'ok') return { checks, failure: verdict(checks, false) };
  checks.push(
    await check('native calls', 'missing', async () => `koffi ${nativeCalls().version}`),
    await check('state directory', 'missing', async () => {
      prepareStateDirectory(machine.stateDirectory);
      return machine.stateDirectory;
    }),
    await check('scratch namespace', 'missing', async () =>
      scratch((_, cookie) => (cookie ? 'can be made' : OLD_KERNEL)),
    ),
  );
  const engines = [
    await engineCheck('libnftables', () => chooseEngine('libnftables')),
    await engineCheck('nft program', () => chooseEngine('nft')),
  ];
  checks.push(...engines, await closingCheck(machine), await holdingCheck(machine));
  const usable = engines.some(({ result }) => result === 'ok');
  return { checks, failure: verdict(checks, usable) };
}

const OLD_KERNEL =
  'can be made; the kernel is older than 5.14, so that a record may be taken for that of an earlier namespace';

function rights(): Check {
  const missing = missingCapabilities('CAP_SYS_ADMIN', 'CAP_NET_ADMIN');
  if (missing.length === 0) {
    return { name: 'rights', result: 'ok', found: 'may enter namespaces and change their nftables', todo: [] };
  }
  return { name: 'rights', result: 'missing', found: `without ${missing.join(' and ')}`, todo: ['run it as root'] };
}

/** Runs one trial; what it throws is what was found. */
async function check(name: string, without: 'limited' | 'missing', trial: () => Promise<string>): Promise<Check> {
  try {
    return { name, result: 'ok', found: await trial(), todo: [] };
  } catch (error) {
    const { message, suggestions } = asFailure(error);
    return { name, result: without, found: message.split('\n')[0] ?? message, todo: [...suggestions] };
  }
}

/** Rehearses the drop template with a lease: sets with timeouts, counters, both hooks, and a listing that can be read. */
function engineCheck(name: string, load: () => Promise<Engine>): Promise<Check> {
  return check(name, 'limited', async () => {
    const engine = await load();
    const machine = { engine: async () => engine, stateDirectory: '', replays: false };
    const template = await loadTemplate('drop');
    const plan: Plan = { ...emptyPlan, lease: parseDuration('30s', '--lease') };
    await rehearse(render(template, plan), template, plan, machine);
    return `${await version(engine)}; rehearsed a freeze`;
  });
}

/** Closing a flowtable's device takes a netdev chain; seldom needed, so that its lack is no obstacle. */
function closingCheck(machine: Machine): Promise<Check> {
  return check('flowtables', 'limited', async () => {
    const template = await loadTemplate('drop');
    const plan: Plan = { ...emptyPlan, devices: [{ name: 'standin', chain: 'ingress_1' }] };
    await rehearse(render(template, plan), template, plan, machine);
    return 'can be closed at their devices';
  });
}

/** Mode steal takes NFQUEUE, by nft's own expression or by iptables'. */
function holdingCheck(machine: Machine): Promise<Check> {
  return check('mode steal', 'limited', async () => {
    const template = await loadTemplate('steal');
    const plan: Plan = { ...emptyPlan, mode: 'steal', template: 'steal' };
    const { recording } = await rehearse(render(template, plan), template, plan, machine);
    const way = recording ? "iptables' NFQUEUE (this kernel lacks nft's queue)" : "nft's queue";
    return `packets can be held, by ${way}`;
  });
}

const emptyPlan: Plan = {
  mode: 'drop',
  template: 'drop',
  lease: null,
  loopback: 'freeze',
  allow: [],
  marks: [],
  devices: [],
  queues: defaultNumbers,
  holdLimit: defaultHoldLimit,
};

/** nft says its version in every listing. */
function version(engine: Engine): Promise<string> {
  return scratch(async (namespace) => {
    const session = engine.open(namespace);
    try {
      await session.load('table inet netfreeze { }\n');
      const [text = ''] = await session.listJson([{ family: 'inet', name: 'netfreeze' }]);
      return `version ${/"version": "([^"]*)"/.exec(text)?.[1] ?? 'unknown'}`;
    } finally {
      session.close();
    }
  });
}

async function scratch(
  trial: (namespace: ReturnType<typeof makeScratch>, cookie: string | null) => string | Promise<string>,
): Promise<string> {
  const namespace = makeScratch();
  const site = openSite(namespace, 'the scratch namespace', {
    engine: () => Promise.reject(new Error('unused')),
    replays: true,
  });
  try {
    return await trial(namespace, cookieOf(namespace));
  } finally {
    site.close();
  }
}

function verdict(checks: Check[], usable: boolean): Failure | null {
  const missing = checks.filter(({ result }) => result === 'missing');
  if (missing.some(({ name }) => name === 'rights')) {
    return new Failure('not-permitted', Exit.notPermitted, 'this user may not freeze anything here', {
      suggestions: ['run it as root, for example with sudo'],
    });
  }
  if (missing.length === 0 && usable) return null;
  const names = missing.map(({ name }) => name).concat(usable ? [] : ['libnftables or nft']);
  return new Failure('cannot-freeze', Exit.unsupported, `this machine cannot freeze anything: ${names.join(', ')}`, {
    suggestions: ['see what to do beside each line above'],
  });
}
