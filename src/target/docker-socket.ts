/** One question to docker's daemon: HTTP over its socket. */
import { statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Exit, Failure } from '../platform/failure';
import { errnoOf } from '../platform/libc';
import { shown } from '../platform/text';
import { engineFailed, engineForbids } from './refusals';

/** Where docker listens unless DOCKER_HOST says otherwise. */
const defaultSocket = '/var/run/docker.sock';

/** What an answer may take, in milliseconds; a daemon that works takes a few. */
const patience = 5_000;

/** More than any answer of use has, in bytes. */
const largestAnswer = 16 * 1024 * 1024;

/** @returns whether a socket is where docker's should be */
export function hasSocket(): boolean {
  try {
    return statSync(socketPath()).isSocket();
  } catch {
    return false;
  }
}

/** @throws Failure `bad-docker-host` when DOCKER_HOST is no socket of this machine */
function socketPath(): string {
  const host = process.env.DOCKER_HOST ?? '';
  if (host === '') return defaultSocket;
  if (host.startsWith('unix:///')) return host.slice('unix://'.length);
  throw new Failure(
    'bad-docker-host',
    Exit.usage,
    `DOCKER_HOST is ${shown(host)}, which is no socket of this machine`,
    {
      suggestions: ["only this machine's containers can be frozen: unset DOCKER_HOST, or set it to unix:///FILE"],
    },
  );
}

/** An answer: HTTP's status, and the body as it came. */
export interface Answer {
  status: number;
  body: string;
}

/**
 * @param path of the question, its parts encoded
 * @throws Failure `no-engine` without a socket, `not-permitted`, `engine-failed` for a daemon that does not answer
 */
export async function get(path: string): Promise<Answer> {
  const socket = socketPath();
  // Late: most targets need no HTTP.
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, path, headers: { Host: 'docker', Connection: 'close' }, agent: false });
    const timer = setTimeout(() => call.destroy(new Late()), patience);
    const settle = (end: () => void) => {
      clearTimeout(timer);
      end();
    };
    call.on('error', (error) => settle(() => reject(refusal(socket, error))));
    call.on('response', (response) =>
      read(response).then(
        (body) => settle(() => resolve({ status: response.statusCode ?? 0, body })),
        (error) => {
          call.destroy();
          settle(() => reject(refusal(socket, error)));
        },
      ),
    );
    call.end();
  });
}

/** The daemon took the question, or not even that, and did not answer. */
class Late extends Error {}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > largestAnswer) throw engineFailed('docker', 'it answered more than netfreeze reads');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusal(socket: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof Late) return engineFailed('docker', `no answer within ${patience / 1000} s on ${shown(socket)}`);
  switch (errnoOf(error)) {
    case 'ENOENT':
    case 'ENOTSOCK':
      return noSocket(socket, error);
    case 'EACCES':
    case 'EPERM':
      return engineForbids('docker', `${shown(socket)} may not be opened by this user`, error);
    case 'ECONNREFUSED':
      return engineFailed('docker', `nobody listens on ${shown(socket)}`, error);
    default:
      return engineFailed('docker', `${shown(socket)}: ${error instanceof Error ? error.message : error}`, error);
  }
}

const noSocket = (socket: string, cause: unknown) =>
  new Failure('no-engine', Exit.unsupported, `docker is not installed, or does not run: there is no socket ${socket}`, {
    suggestions: ['start it, or set DOCKER_HOST to its socket: unix:///FILE'],
    cause,
  });
