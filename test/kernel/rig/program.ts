/** Starting programs: once, with their output, or as traffic programs that are spoken to in JSON lines. */
import { createInterface } from 'node:readline';
import { execa, type ResultPromise } from 'execa';
import { programPath } from './describe';
import { patience } from './wait';

const traffic = `${__dirname}/traffic`;
const env = { PATH: programPath };

/** Runs a program to its end and returns its output; throws with its errors when it fails. */
export async function run(program: string, args: readonly string[], options: { input?: string } = {}): Promise<string> {
  const { stdout } = await execa(program, args, {
    env,
    timeout: 30_000 * patience,
    stripFinalNewline: false,
    ...options,
  });
  return stdout;
}

/** A traffic program that goes on until it is ended. */
export interface Running {
  /** Sends a command and waits for its answer. */
  ask<Answer>(command: { do: string; [key: string]: unknown }): Promise<Answer>;
  end(): Promise<void>;
}

/** Runs a traffic program in a namespace to its end. @returns its only answer */
export async function runTraffic<Answer>(namespace: string, program: string, settings: object): Promise<Answer> {
  return JSON.parse(await run('nsenter', inNamespace(namespace, program, settings))) as Answer;
}

/**
 * Starts a traffic program in a namespace and waits until it has said that it is ready.
 * @param namespace the namespace's file
 */
export async function startTraffic(namespace: string, program: string, settings: object): Promise<Running> {
  const child = execa('nsenter', inNamespace(namespace, program, settings), { env, buffer: { stdout: false } });
  const said = answers(child, program);
  const running = {
    async ask<Answer>(command: object): Promise<Answer> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return (await said()) as Answer;
    },
    async end(): Promise<void> {
      child.kill('SIGKILL');
      await child.catch(() => {});
    },
  };
  await said();
  return running;
}

/** The lines that a program says, one for each call; fails with its errors when it ends instead. */
function answers(child: ResultPromise<{ buffer: { stdout: false } }>, program: string): () => Promise<unknown> {
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = child.catch((error: unknown) => error);
  return async () => {
    const line = await lines.next();
    if (line.done !== true) return JSON.parse(line.value);
    throw new Error(`${program} ended without an answer`, { cause: await ended });
  };
}

/** Without site packages and byte code: the start is fast, and nothing is written beside the programs. */
function inNamespace(namespace: string, program: string, settings: object): string[] {
  return [`--net=${namespace}`, 'python3', '-SB', `${traffic}/${program}.py`, JSON.stringify(settings)];
}
