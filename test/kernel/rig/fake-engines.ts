/**
 * Engines that only answer: a docker that listens on a socket, a podman in a folder for PATH. What they say of a
 * container is what the real ones say (docker 20.10, podman 4.3), less what nobody reads.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';

/** What a fake engine knows of a container. */
export interface FakeContainer {
  name: string;
  /** 64 hexadecimal digits; made of the name unless given. */
  id?: string;
  /** 0: it does not run. */
  pid: number;
  status?: string;
  startedAt?: string;
  /** A file that is its namespace. */
  sandbox?: string;
}

export const idOf = ({ id, name }: FakeContainer): string =>
  id ?? Buffer.from(name).toString('hex').padEnd(64, '0').slice(0, 64);

const inspected = (container: FakeContainer, slash: string) => ({
  Id: idOf(container),
  Created: '2026-11-24T13:00:00.000000000Z',
  Path: '/bin/sleep',
  State: {
    Status: container.status ?? (container.pid > 0 ? 'running' : 'exited'),
    Running: container.pid > 0,
    Pid: container.pid,
    StartedAt: container.startedAt ?? '2026-11-24T13:00:01.000000000Z',
  },
  Name: `${slash}${container.name}`,
  NetworkSettings: { SandboxKey: container.sandbox ?? '' },
});

/** A docker that listens. */
export interface FakeDocker {
  socket: string;
  /** What DOCKER_HOST has to be. */
  host: string;
  /** The paths that it was asked for. */
  asked: string[];
  /** What it knows; may be changed, or be a function that is asked each time. */
  containers: FakeContainer[] | (() => FakeContainer[]);
  close(): Promise<void>;
}

/** Starts a docker that knows these containers. */
export async function fakeDocker(folder: string, containers: FakeDocker['containers']): Promise<FakeDocker> {
  const socket = join(folder, 'docker.sock');
  const known = () => (typeof docker.containers === 'function' ? docker.containers() : docker.containers);
  const server = createServer(({ url = '' }, response) => {
    docker.asked.push(url);
    const say = (status: number, body: object) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    if (url.startsWith('/containers/json')) {
      say(
        200,
        known().map((one) => ({ Id: idOf(one), Names: [`/${one.name}`], State: one.pid > 0 ? 'running' : 'exited' })),
      );
      return;
    }
    const name = decodeURIComponent(/^\/containers\/([^/]+)\/json$/.exec(url)?.[1] ?? '');
    const found = known().filter((one) => one.name === name || idOf(one).startsWith(name));
    const [container] = found;
    if (found.length > 1) say(400, { message: `Multiple IDs found with provided prefix: ${name}` });
    else if (container) say(200, inspected(container, '/'));
    else say(404, { message: `No such container: ${name}` });
  });
  const docker: FakeDocker = { socket, host: `unix://${socket}`, asked: [], containers, close: () => closed(server) };
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return docker;
}

/** Ends a server, and the conversations that it has not finished. */
export function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * Makes a podman in a folder of its own; each line of `asked` there is one call of it.
 * @returns the folder, for PATH
 */
export function fakePodman(folder: string, containers: FakeContainer[]): string {
  const bin = join(folder, 'podman-bin');
  mkdirSync(bin, { recursive: true });
  const answers = containers.map((container) => {
    const file = join(bin, `${container.name}.json`);
    writeFileSync(file, JSON.stringify([inspected(container, '')]));
    return `container:inspect:--:${container.name}) exec /bin/cat '${file}' ;;`;
  });
  const list = containers.map((container) => `${idOf(container)} ${container.name}`).join('\n');
  writeFileSync(join(bin, 'list'), list === '' ? '' : `${list}\n`);
  return fakeProgram(
    bin,
    'podman',
    `echo "$* \${CONTAINER_HOST-unset}" >>'${bin}/asked'
case "$1:$2:$3:$4" in
${answers.join('\n')}
container:inspect:*) echo '[]'; echo "Error: inspecting object: no such container $4" >&2; exit 125 ;;
ps:*) exec /bin/cat '${bin}/list' ;;
*) echo "Error: unknown: $*" >&2; exit 125 ;;
esac`,
  );
}

/** Makes a program of that name. @returns its folder */
export function fakeProgram(folder: string, name: string, script: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return folder;
}
