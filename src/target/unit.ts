/**
 * `unit:NAME`: a service or a scope of systemd, or a machine of systemd-nspawn by its own name. The kernel says which
 * processes a unit has and which namespaces they are in; systemd says only which control group is the unit's.
 */
import { hostRole, type NamespaceId, sameNamespace } from '../namespace/namespace';
import { controlGroups, namespaceOf, parentOf, processes } from '../namespace/processes';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import type { EngineKind, Running } from './kind';
import { ask, isBooted } from './program';
import { ambiguous, engineFailed, engineForbids, listed, notRunning } from './refusals';

/** systemd's unit-name.h: UNIT_NAME_MAX */
const longestName = 255;

/** The kinds of units that have processes of their own. */
const withProcesses = /\.(service|scope)$/;
const withoutProcesses = /\.(socket|target|timer|mount|automount|swap|path|slice|device|busname|snapshot)$/;

export const unit: EngineKind = {
  prefix: 'unit',
  engine: 'systemd',
  advice: '`systemctl list-units --type=service,scope` shows the units, `machinectl` the machines',
  objection(name) {
    if (name === '') return 'the name is empty';
    if (name.length >= longestName) return `a unit's name has fewer than ${longestName} characters`;
    if (!/^[a-zA-Z0-9:_.\\][a-zA-Z0-9:_.\\@-]*$/.test(name)) {
      return "a unit's name has letters, digits and : _ . \\ @ -, all else as `systemd-escape` writes it";
    }
    if (withoutProcesses.test(name)) return 'only services and scopes have processes';
    if (/^[^@]*@(\.\w+)?$/.test(name)) return 'a template needs an instance: name@INSTANCE';
    return null;
  },
  isHere: isBooted,
  async find(name) {
    if (!isBooted()) throw notBooted();
    const units = await show(unitsNamed(name));
    const active = units.filter(({ group }) => group !== '');
    if (active.length > 1) {
      throw ambiguous(
        `unit:${name}`,
        active.map(({ id }) => `unit:${id}`),
      );
    }
    const [found] = active;
    if (found) return runningUnit(found);
    const [service] = units;
    if (!service || service.load === 'not-found') return null;
    throw notRunning(`unit:${service.id}`, service.state, `systemctl start ${service.id}`);
  },
  async names() {
    const answer = await ask('systemctl', [
      ...['list-units', '--type=service,scope', '--state=active'],
      ...['--plain', '--no-legend', '--no-pager', '--full'],
    ]);
    const names = answer.stdout.split('\n').flatMap((line) => line.split(' ')[0] || []);
    return names.map((name) => name.replace(/\.service$/, ''));
  },
  missing: (name) => `systemd has no service and no machine named ${shown(name)}`,
  onHost: {
    what: "a unit on the host's network",
    advice:
      'give it a network of its own: PrivateNetwork=, NetworkNamespacePath= or JoinsNamespaceOf= in the unit, or a private network for the machine',
  },
};

const notBooted = () =>
  new Failure('no-engine', Exit.unsupported, 'systemd does not run on this machine', {
    suggestions: ['name the namespace otherwise: pid:N or path:FILE'],
  });

/** The service of that name; without a suffix also the machine of that name, as its unit is called. */
function unitsNamed(name: string): string[] {
  if (withProcesses.test(name)) return [name];
  const service = `${name}.service`;
  if (!/^[a-zA-Z0-9_.-]+$/.test(name)) return [service];
  // As systemd escapes the name of a machine in the name of its unit.
  const escaped = name.replaceAll('-', '\\x2d').replace(/^\./, '\\x2e');
  return [service, `systemd-nspawn@${escaped}.service`, `machine-${escaped}.scope`];
}

/** What systemd says of a unit. */
interface Shown {
  id: string;
  load: string;
  state: string;
  mainPid: number;
  /** Empty: it has no processes. */
  group: string;
  invocation: string;
}

async function show(names: string[]): Promise<Shown[]> {
  const properties = 'Id,LoadState,ActiveState,SubState,MainPID,ControlGroup,InvocationID';
  const { exit, stdout, stderr } = await ask('systemctl', ['show', `--property=${properties}`, '--no-pager'], names);
  if (exit !== 0) {
    const why = `systemctl ended with ${exit}: ${shown(stderr.split('\n').at(-1) ?? '')}`;
    throw /denied|not permitted/i.test(stderr) ? engineForbids('systemd', why) : engineFailed('systemd', why);
  }
  const units = stdout.trim().split('\n\n').map(toShown);
  if (units.length !== names.length) throw engineFailed('systemd', 'its answer is not about the units asked for');
  return units;
}

function toShown(block: string): Shown {
  const values = new Map(block.split('\n').map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
  const value = (key: string) => values.get(key) ?? '';
  const state = `${value('ActiveState')}/${value('SubState')}`;
  return {
    id: value('Id'),
    load: value('LoadState'),
    state,
    mainPid: Number(value('MainPID') || 0),
    group: value('ControlGroup'),
    invocation: value('InvocationID'),
  };
}

/**
 * Where a unit's main process is, unless that is the host's namespace: systemd-nspawn itself, or a wrapper, stays there.
 * Any user may make namespaces inside user namespaces of theirs (network_namespaces(7)): that must not hide the unit.
 */
function runningUnit({ id, state, mainPid, group, invocation }: Shown): Running {
  const members = processesIn(group);
  const all = [mainPid, ...members].filter((pid) => members.includes(pid));
  const [first] = all;
  if (first === undefined) throw noProcess(id, state);
  const own = distinct(all.filter((pid) => !isOnHost(pid)));
  const hasOwn = first === mainPid && own[0] === mainPid;
  const leader = hasOwn || own.length < 2 ? own[0] : leaderAmong(members, mainPid);
  if (leader === undefined && own.length > 1) throw severalNamespaces(id, own);
  const pid = leader ?? first;
  const others = distinct(hasOwn ? all : [pid, ...own]).filter((other) => !sameAs(pid, other));
  return { name: id, pid, run: `${invocation} ${pid}`, evidence: null, notes: elsewhere(others) };
}

/**
 * What the main process has started, where all of that is in one namespace: a machine's first process. In a scope, which
 * has no main process, what was started from outside it.
 */
function leaderAmong(members: number[], mainPid: number): number | undefined {
  const isFirst = (parent: number | null) => (mainPid > 0 ? parent === mainPid : !members.includes(parent ?? 0));
  const started = distinct(members.filter((pid) => !isOnHost(pid) && isFirst(parentOf(pid))));
  return started.length === 1 ? started[0] : undefined;
}

function sameAs(pid: number, other: number): boolean {
  const [one, another] = [namespaceOf(pid), namespaceOf(other)];
  return one !== null && another !== null && sameNamespace(one, another);
}

/** How many are named; a user can make any number of them. */
const named = 5;

function elsewhere(pids: number[]): string[] {
  if (pids.length === 0) return [];
  const names = pids.slice(0, named).map((pid) => `pid:${pid}`);
  if (pids.length > named) names.push(`${pids.length - named} more`);
  return [`processes of it are in other namespaces too: ${listed(names, 'and')}`];
}

const processesIn = (group: string): number[] =>
  processes().filter((pid) => {
    const [own = ''] = controlGroups(pid);
    return own === group || own.startsWith(`${group}/`);
  });

function isOnHost(pid: number): boolean {
  const id = namespaceOf(pid);
  return id === null || hostRole(id) !== null;
}

/** The first process of each namespace. */
function distinct(pids: number[]): number[] {
  const seen: NamespaceId[] = [];
  return pids.filter((pid) => {
    const id = namespaceOf(pid);
    if (id === null || seen.some((other) => sameNamespace(other, id))) return false;
    seen.push(id);
    return true;
  });
}

const noProcess = (id: string, state: string) =>
  new Failure('not-running', Exit.noTarget, `unit:${shown(id)} has no process (${shown(state)})`, {
    suggestions: ['name its namespace otherwise: netns:NAME or path:FILE'],
  });

const severalNamespaces = (id: string, pids: number[]) =>
  new Failure(
    'ambiguous-target',
    Exit.noTarget,
    `the processes of unit:${shown(id)} are in ${pids.length} network namespaces, those of ${listed(pids.map(String), 'and')}`,
    { suggestions: pids.map((pid) => `pid:${pid}`) },
  );
