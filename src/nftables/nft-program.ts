/** The nft program, started in the namespace by nsenter, which gets the pinned namespace as an open descriptor. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Namespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { type Engine, NftRefusal, type Session, type TableName } from './engine';

/** What a program may take before it is given up, in milliseconds; nft waits for nothing but the kernel. */
const patience = 30_000;

/**
 * @returns the engine that starts nft for each transaction
 * @throws Failure `no-nft-program` when nft or nsenter is not installed, or too old to print JSON
 */
export async function nftProgram(): Promise<Engine> {
  for (const [program, packageName] of [
    ['nft', 'nftables'],
    ['nsenter', 'util-linux'],
  ] as const) {
    const { failed, shortMessage } = await start(program, ['--version'], []);
    if (!failed) continue;
    throw new Failure('no-nft-program', Exit.unsupported, `the ${program} program cannot be started: ${shortMessage}`, {
      suggestions: [`install it: apt-get install ${packageName}`],
    });
  }
  return { name: 'nft', open: openSession };
}

function openSession(namespace: Namespace): Session {
  const list = ({ family, name }: TableName, option: string) =>
    run(namespace, [option, '--numeric-priority', 'list', 'table', family, name], `list table ${family} ${name}`);
  return {
    async load(text) {
      const file = unlinkedFile(text);
      try {
        // /proc/self/fd/4 in nft is the same file: standard input is a socket under Node, which nft can't reopen (FACTS).
        await run(namespace, ['--file', '/proc/self/fd/4'], text, file);
      } finally {
        closeSync(file);
      }
    },
    async listJson(tables) {
      const texts: string[] = [];
      for (const table of tables) texts.push(await list(table, '--json'));
      return texts;
    },
    async listText(tables) {
      let text = '';
      for (const table of tables) text += `${await list(table, '--stateless')}\n`;
      return text;
    },
    close() {
      // Nothing is kept open between two commands.
    },
  };
}

async function run(namespace: Namespace, args: string[], text: string, file?: number): Promise<string> {
  const descriptors = file === undefined ? [namespace.fd] : [namespace.fd, file];
  const result = await start('nsenter', ['--net=/proc/self/fd/3', 'nft', ...args], descriptors);
  if (result.failed) throw new NftRefusal(result.stderr.trim() || (result.shortMessage ?? ''), text);
  return result.stdout;
}

/** How often a program is started that a signal for us has killed before it was in a session of its own. */
const starts = 5;

/**
 * Starts a program in a session of its own: Ctrl-C at the terminal is for us, who finish or undo what was begun. Until
 * it is in that session a signal to our group kills it, before it has done anything; then it is started again.
 * @param descriptors what it gets as descriptors 3, 4, …
 */
async function start(program: string, args: string[], descriptors: number[]) {
  for (let attempt = 1; ; attempt += 1) {
    const result = await execa(program, args, {
      // execa hands descriptors over as they are; its types know that only for the first three.
      stdio: ['ignore', 'pipe', 'pipe', ...descriptors] as ['ignore', 'pipe', 'pipe'],
      timeout: patience,
      detached: true,
      reject: false,
      env: { LC_ALL: 'C' },
    });
    const wasForUs = !result.timedOut && ['SIGINT', 'SIGTERM', 'SIGHUP'].includes(result.signal ?? '');
    if (!wasForUs || attempt === starts) return result;
  }
}

/** A file that only its descriptor names: nobody else can read or change what nft is about to load. */
function unlinkedFile(text: string): number {
  const directory = mkdtempSync(join(tmpdir(), 'netfreeze-'));
  try {
    const path = join(directory, 'ruleset.nft');
    const writer = openSync(path, 'wx', 0o600);
    writeFileSync(writer, text);
    closeSync(writer);
    return openSync(path, 'r');
  } finally {
    rmSync(directory, { recursive: true });
  }
}
