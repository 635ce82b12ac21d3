/** `podman:NAME`: a container of podman, by its name or the beginning of its id. Each user has containers of their own. */
import { shown } from '../platform/text';
import { containerObjection, containerOnHost, parsed, runningContainer } from './container';
import type { EngineKind } from './kind';
import { type Answer, ask, isInstalled, notInstalled } from './program';
import { ambiguous, engineFailed, engineForbids } from './refusals';

export const podman: EngineKind = {
  prefix: 'podman',
  engine: 'podman',
  advice: "`podman ps --all` shows the containers; for another user's, write pid:N",
  objection: containerObjection,
  isHere: () => isInstalled('podman'),
  async find(name) {
    if (!isInstalled('podman')) throw notInstalled('podman');
    const answer = await ask('podman', ['container', 'inspect'], [name]);
    if (answer.exit !== 0) {
      if (/no such container/i.test(answer.stderr)) return null;
      if (/more than one (result|container)/i.test(answer.stderr)) {
        throw ambiguous(`podman:${name}`, await idsThatBegin(name));
      }
      throw unexpected(answer);
    }
    const [container] = [parsed('podman', answer.stdout)].flat();
    const { state, evidence, ...running } = runningContainer('podman', container);
    // Podman can do without control groups, and then says so.
    return { ...running, evidence: state.CgroupPath ? evidence : null };
  },
  names: async () => (await list()).map(({ name }) => name),
  missing: (name) => `podman has no container named ${shown(name)}`,
  onHost: containerOnHost('podman'),
};

/** @returns every container's id and name, the stopped ones and those of pods too; throws as find() does */
export async function list(): Promise<Array<{ id: string; name: string }>> {
  const answer = await ask('podman', ['ps', '--all', '--no-trunc', '--format', '{{.ID}} {{.Names}}']);
  if (answer.exit !== 0) throw unexpected(answer);
  return answer.stdout.split('\n').flatMap((line) => {
    const [id = '', name = ''] = line.split(/[ ,]/);
    return name === '' ? [] : [{ id, name }];
  });
}

const idsThatBegin = async (name: string): Promise<string[]> =>
  (await list()).filter(({ id }) => id.startsWith(name)).map((container) => `podman:${container.name}`);

function unexpected({ exit, stderr }: Answer) {
  const why = `it ended with ${exit}: ${shown(stderr.split('\n').at(-1) ?? '')}`;
  return /permission denied|operation not permitted/i.test(stderr)
    ? engineForbids('podman', why)
    : engineFailed('podman', why);
}
