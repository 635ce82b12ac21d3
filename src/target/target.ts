/** From what a person names to a pinned namespace: the list of kinds, and the rules for a bare name. */
import { statSync } from 'node:fs';
import { type Namespace, PinError, pin, sameNamespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import { findBare } from './bare';
import { docker } from './docker';
import { type Lodging, lodge, unknown } from './engine';
import type { EngineKind, FileKind, HostRemark } from './kind';
import { netns } from './netns';
import { path } from './path';
import { isPattern, matching, noMatch } from './pattern';
import { pid } from './pid';
import { podman } from './podman';
import { nearNames } from './refusals';
import { sharersOf } from './sharers';
import { unit } from './unit';

const fileKinds: readonly FileKind[] = [netns, pid, path];
/** In the order in which they are preferred where two name the same namespace. */
const engineKinds: readonly EngineKind[] = [podman, docker, unit];
const kinds = [...fileKinds, ...engineKinds];

/** A target whose namespace is pinned. */
export interface Target {
  /** The name in full, `netns:web`. */
  name: string;
  namespace: Namespace;
  /** The file by which it was found. */
  file: string;
  /** What is to be said where it turns out to be in the host's namespace; null: nothing in particular. */
  onHost: HostRemark | null;
  /** What a person should know about how it was found. */
  notes: string[];
  /** @returns whether the name still stands for the pinned namespace */
  stillThere(): boolean;
  /** @returns the other names in full of containers and units in its namespace, as far as its kind knows of such */
  others(): Promise<string[]>;
}

/**
 * Resolves a name and pins the namespace behind it. For a file nothing is started and nobody is asked.
 * @throws Failure `bad-target` (usage), `no-such-target`, `ambiguous-target`, `not-permitted`; for what an engine names
 *   also `not-running`, `target-restarts`, `no-engine`, `engine-failed`, `bad-docker-host`
 */
export async function resolve(text: string): Promise<Target> {
  const { kind, name, isBare } = choose(text);
  if ('find' in kind) {
    const lodging = await lodge(kind, name);
    if (lodging === null) throw await unknown(kind, name);
    return engineTarget(kind, lodging, []);
  }
  const file = kind.file(name);
  if (isBare && !exists(file)) {
    const missing = { message: kind.missing(name), names: kind.names(), advice: kind.advice };
    const found = await findBare(engineKinds, name, missing);
    return engineTarget(found.kind, found.lodging, found.notes);
  }
  return fileTarget(`${kind.prefix}:${name}`, pinFile(kind, name, file), file);
}

/**
 * What a name stands for: itself, or, where it is a pattern and no target is called so, all that it matches.
 * @returns names for resolve(), sorted
 * @throws Failure `no-such-target` when nothing matches; for what an engine names also as EngineKind's find()
 */
export async function expand(text: string): Promise<string[]> {
  if (!isPattern(text)) return [text];
  const colon = text.indexOf(':');
  const prefix = colon < 0 ? null : text.slice(0, colon);
  const name = text.slice(colon + 1);
  const engine = engineKinds.find((kind) => kind.prefix === prefix);
  if (engine) return matchesOf(text, name, [engine]);
  // Processes and files have no list.
  if (prefix !== null && prefix !== netns.prefix) return [text];
  if (netns.objection(name) === null && exists(netns.file(name))) return [text];
  const found = matching(name, netns.names());
  if (found.length > 0) return found.map((one) => `${netns.prefix}:${one}`);
  const here = prefix === null ? engineKinds.filter((kind) => kind.isHere()) : [];
  return matchesOf(text, name, here);
}

/** Asks the engines for all names that they have. */
async function matchesOf(text: string, pattern: string, engines: readonly EngineKind[]): Promise<string[]> {
  const names = await Promise.all(engines.map((kind) => kind.names()));
  const found = engines.flatMap((kind, at) =>
    matching(pattern, names[at] ?? []).map((name) => `${kind.prefix}:${name}`),
  );
  if (found.length > 0) return found;
  const [first] = engines;
  const isNamed = first !== undefined && text.startsWith(`${first.prefix}:`);
  throw noMatch(text, isNamed ? [first.advice] : [netns.advice, ...engines.map(({ advice }) => advice)]);
}

/** @returns a target that nobody has to be asked about */
export function fileTarget(name: string, namespace: Namespace, file: string): Target {
  const stillThere = () => isBehind({ namespace, file });
  return { name, namespace, file, onHost: null, notes: [], stillThere, others: async () => [] };
}

const engineTarget = (kind: EngineKind, lodging: Lodging, notes: string[]): Target => ({
  ...lodging,
  onHost: kind.onHost,
  notes: [...lodging.notes, ...notes],
  stillThere: () => isBehind(lodging),
  async others() {
    const [names = []] = await sharersOf([lodging.namespace]);
    return names.filter((name) => name !== lodging.name);
  },
});

/** An engine's process that is still in the namespace is what the name stands for, whatever has become of the name. */
function isBehind({ file, namespace }: Pick<Lodging, 'file' | 'namespace'>): boolean {
  try {
    const { dev, ino } = statSync(file);
    return sameNamespace(namespace, { device: dev, inode: ino });
  } catch {
    return false;
  }
}

/**
 * Reads a target's name without looking whether it exists.
 * @throws Failure `bad-target` when it can be no name at all
 */
export function checkName(text: string): void {
  split(text);
}

/** Takes `kind:name` apart; a name without a kind is first of all one that `ip netns` knows. */
function split(text: string): { kind: FileKind | EngineKind; name: string; isBare: boolean } {
  const colon = text.indexOf(':');
  const prefix = colon < 0 ? null : text.slice(0, colon);
  const kind = prefix === null ? netns : kinds.find((candidate) => candidate.prefix === prefix);
  if (!kind) {
    throw badTarget(text, `there is no kind of target ${shown(prefix ?? '')}`, [
      `kinds: ${kinds.map((known) => known.prefix).join(', ')}`,
      `for a namespace of that name, write ${shown(`netns:${text}`)}`,
    ]);
  }
  const name = text.slice(colon + 1);
  const objection = kind.objection(name);
  if (objection) {
    const hint = kind === netns && name.startsWith('/') ? [`for a file, write ${shown(`path:${name}`)}`] : [];
    throw badTarget(text, objection, hint);
  }
  return { kind, name, isBare: prefix === null };
}

/** A bare number may be the name of a namespace or a process: what can mean both is not guessed. */
function choose(text: string): ReturnType<typeof split> {
  const { kind, name, isBare } = split(text);
  if (!isBare || pid.objection(name) !== null) return { kind, name, isBare };
  const isName = exists(netns.file(name));
  const isProcess = exists(pid.file(name));
  if (isName && isProcess) {
    throw new Failure('ambiguous-target', Exit.noTarget, `${shown(text)} could be a namespace or a process`, {
      suggestions: [`netns:${name}`, `pid:${name}`],
    });
  }
  if (!isName && isProcess) {
    throw new Failure('no-such-target', Exit.noTarget, `there is no namespace named ${shown(name)}`, {
      suggestions: [`did you mean the process: pid:${name}`],
    });
  }
  return { kind, name, isBare };
}

function exists(file: string): boolean {
  try {
    statSync(file);
    return true;
  } catch {
    return false;
  }
}

function pinFile(kind: FileKind, name: string, file: string): Namespace {
  try {
    return pin(file);
  } catch (cause) {
    if (!(cause instanceof PinError)) throw cause;
    if (cause.reason === 'EACCES' || cause.reason === 'EPERM') {
      throw new Failure(
        'not-permitted',
        Exit.notPermitted,
        `cannot open ${kind.prefix}:${shown(name)}: ${cause.message}`,
        {
          suggestions: [
            process.geteuid?.() === 0
              ? 'the process it belongs to has rights that this one lacks (see capabilities(7))'
              : 'run it as root, for example with sudo',
          ],
          cause,
        },
      );
    }
    const why = cause.reason === 'not-a-namespace' ? `${shown(file)} is not a network namespace` : kind.missing(name);
    throw new Failure('no-such-target', Exit.noTarget, why, {
      suggestions: nearNames(name, kind.names(), kind.advice),
      cause,
    });
  }
}

const badTarget = (text: string, why: string, suggestions: string[]) =>
  new Failure('bad-target', Exit.usage, `${shown(text)} is not a target: ${why}`, { suggestions });
