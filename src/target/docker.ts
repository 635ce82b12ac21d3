/** `docker:NAME`: a container of docker, by its name or the beginning of its id. */
import { shown } from '../platform/text';
import { containerObjection, containerOnHost, parsed, runningContainer } from './container';
import { type Answer, get, hasSocket } from './docker-socket';
import type { EngineKind } from './kind';
import { ambiguous, engineFailed, engineForbids } from './refusals';

export const docker: EngineKind = {
  prefix: 'docker',
  engine: 'docker',
  advice: '`docker ps --all` shows the containers',
  objection: containerObjection,
  isHere() {
    try {
      return hasSocket();
    } catch {
      return false; // DOCKER_HOST is another machine's.
    }
  },
  async find(name) {
    const answer = await get(`/containers/${encodeURIComponent(name)}/json`);
    if (answer.status === 200) return runningContainer('docker', parsed('docker', answer.body));
    const why = reason(answer);
    if (answer.status === 404 && /no such container/i.test(why)) return null;
    if (/multiple ids/i.test(why)) throw ambiguous(`docker:${name}`, await idsThatBegin(name));
    throw unexpected(answer);
  },
  names: async () => (await list()).map(({ name }) => name),
  missing: (name) => `docker has no container named ${shown(name)}`,
  onHost: containerOnHost('docker'),
};

/** @returns every container's id and name, the stopped ones too; throws as find() does */
export async function list(): Promise<Array<{ id: string; name: string }>> {
  const answer = await get('/containers/json?all=1');
  if (answer.status !== 200) throw unexpected(answer);
  const containers = parsed('docker', answer.body);
  if (!Array.isArray(containers)) throw engineFailed('docker', 'its answer is no list');
  return containers.flatMap((entry: { Id?: unknown; Names?: unknown } | null) => {
    const [name] = Array.isArray(entry?.Names) ? entry.Names : [];
    if (typeof entry?.Id !== 'string' || typeof name !== 'string') return [];
    return [{ id: entry.Id, name: name.replace(/^\//, '') }];
  });
}

const idsThatBegin = async (name: string): Promise<string[]> =>
  (await list()).filter(({ id }) => id.startsWith(name)).map((container) => `docker:${container.name}`);

/** What docker says when it refuses. */
function reason({ body }: Answer): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}

function unexpected(answer: Answer) {
  const why = `it answered with status ${answer.status}: ${shown(reason(answer))}`;
  return answer.status === 401 || answer.status === 403 ? engineForbids('docker', why) : engineFailed('docker', why);
}
