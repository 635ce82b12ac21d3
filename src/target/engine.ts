/** From a name that an engine keeps to a pinned namespace: ask, pin, and ask again whether it still is the same. */
import { statSync } from 'node:fs';
import { type Namespace, PinError, pin, release, sameNamespace } from '../namespace/namespace';
import { controlGroups } from '../namespace/processes';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import type { EngineKind, Running } from './kind';
import { engineFailed, engineForbids, nearNames } from './refusals';

/** How often a target that is restarted meanwhile is asked for anew. */
const attempts = 3;

/** What a name of an engine has turned out to be. */
export interface Lodging {
  /** The name in full, `docker:db`. */
  name: string;
  namespace: Namespace;
  file: string;
  /** What a person should know about where else what runs there is. */
  notes: string[];
}

/**
 * Pins the namespace of what runs under a name now.
 * @returns null when there is nothing of that name
 * @throws Failure as EngineKind's find(), and `target-restarts`
 */
export async function lodge(kind: EngineKind, name: string): Promise<Lodging | null> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const running = await kind.find(name);
    if (running === null) return null;
    const file = `/proc/${running.pid}/ns/net`;
    const namespace = pinProcess(kind, running, file);
    if (namespace === null) continue;
    try {
      // A process id may have been used again by the time that it was pinned: then the engine names another one now.
      const now = await kind.find(name);
      if (now?.pid === running.pid && now.run === running.run) {
        requireEvidence(kind, running, namespace);
        return { name: `${kind.prefix}:${running.name}`, namespace, file, notes: running.notes };
      }
    } catch (error) {
      release(namespace);
      throw error;
    }
    release(namespace);
  }
  throw new Failure(
    'target-restarts',
    Exit.noTarget,
    `${kind.prefix}:${shown(name)} was restarted while it was looked at, ${attempts} times`,
    { suggestions: ['wait until it stays up, and try again'] },
  );
}

/** @returns a failure for a name that the engine does not know, with those that it could have been */
export async function unknown(kind: EngineKind, name: string): Promise<Failure> {
  const names = await kind.names().catch((): string[] => []);
  return new Failure('no-such-target', Exit.noTarget, kind.missing(name), {
    suggestions: nearNames(
      name,
      names.map((known) => `${kind.prefix}:${known}`),
      kind.advice,
    ),
  });
}

/** @returns null when the process has ended meanwhile */
function pinProcess(kind: EngineKind, { name }: Running, file: string): Namespace | null {
  try {
    return pin(file);
  } catch (cause) {
    if (!(cause instanceof PinError)) throw cause;
    if (cause.reason === 'ENOENT' || cause.reason === 'ESRCH') return null;
    throw engineForbids(kind.engine, `cannot open the namespace of ${shown(name)}: ${cause.message}`, cause);
  }
}

/** The daemon may be another machine's, reached through a socket: its process ids mean nothing here. */
function requireEvidence(kind: EngineKind, { name, pid, evidence }: Running, namespace: Namespace): void {
  if (evidence === null || controlGroups(pid).some((path) => holds(path, evidence.cgroup))) return;
  if (isNamespace(evidence.sandbox, namespace)) return;
  throw engineFailed(
    kind.engine,
    `process ${pid} of this machine is not ${shown(name)}: ${kind.engine} runs on another machine or in another process namespace`,
  );
}

/** Engines put something before and after an id in a control group's name, never another digit. */
function holds(path: string, id: string): boolean {
  return path.split('/').some((part) => part.split(/[^0-9a-f]/).includes(id));
}

function isNamespace(file: string, namespace: Namespace): boolean {
  try {
    const { dev, ino } = statSync(file);
    return sameNamespace(namespace, { device: dev, inode: ino });
  } catch {
    return false;
  }
}
