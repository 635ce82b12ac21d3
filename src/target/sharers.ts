/**
 * Who is in a namespace, by the names that people use. The kernel says which processes are in it and which control
 * groups these are in; an engine is asked only for the names of the containers whose ids were found there.
 */
import { type NamespaceId, sameNamespace } from '../namespace/namespace';
import { controlGroups, namespaceOf, processes } from '../namespace/processes';

/** A container by its id, or a unit by its name. */
interface Sharer {
  kind: 'podman' | 'docker' | 'unit';
  id: string;
}

/**
 * @returns for each namespace the names in full of the containers and units that are in it, sorted, containers first. A
 *   container whose engine does not tell its name has the beginning of its id
 */
export async function sharersOf(namespaces: readonly NamespaceId[]): Promise<string[][]> {
  const sharers = inside(namespaces);
  const all = sharers.flat();
  const [podman, docker] = await Promise.all([
    all.some(({ kind }) => kind === 'podman') ? namesById('podman') : new Map<string, string>(),
    all.some(({ kind }) => kind === 'docker') ? namesById('docker') : new Map<string, string>(),
  ]);
  const nameOf = ({ kind, id }: Sharer) => {
    if (kind === 'unit') return `unit:${id}`;
    return `${kind}:${(kind === 'podman' ? podman : docker).get(id) ?? id.slice(0, 12)}`;
  };
  const rank = (name: string) => (name.startsWith('unit:') ? 1 : 0);
  return sharers.map((some) => [...new Set(some.map(nameOf))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)));
}

function inside(namespaces: readonly NamespaceId[]): Sharer[][] {
  const found = namespaces.map((): Sharer[] => []);
  for (const pid of processes()) {
    const id = namespaceOf(pid);
    const at = id === null ? -1 : namespaces.findIndex((namespace) => sameNamespace(namespace, id));
    const sharer = at < 0 ? null : sharerOf(controlGroups(pid));
    if (sharer) found[at]?.push(sharer);
  }
  return found;
}

/** Units that hold whatever somebody has started, and name nothing in particular. */
const unspecific = /^(session-[^.]*\.scope|user@[^.]*\.service|init\.scope)$/;

/**
 * As the engines name control groups, under systemd or without: `libpod-ID.scope`, `libpod-payload-ID`, `docker-ID.scope`,
 * `docker/ID`.
 * @param groups the paths of one process, systemd's own hierarchy first
 */
export function sharerOf(groups: string[]): Sharer | null {
  for (const path of groups) {
    const [, engine, id] = /\/(libpod|docker)(?:-payload)?[-/]([0-9a-f]{64})(?:\.scope)?(?:\/|$)/.exec(path) ?? [];
    if (engine && id) return { kind: engine === 'docker' ? 'docker' : 'podman', id };
  }
  const [path = ''] = groups;
  const unit = path.split('/').find((part) => /\.(service|scope)$/.test(part));
  return unit === undefined || unspecific.test(unit) ? null : { kind: 'unit', id: unit };
}

async function namesById(engine: 'podman' | 'docker'): Promise<Map<string, string>> {
  try {
    const { list } = engine === 'podman' ? await import('./podman') : await import('./docker');
    return new Map((await list()).map(({ id, name }) => [id, name]));
  } catch {
    return new Map();
  }
}
