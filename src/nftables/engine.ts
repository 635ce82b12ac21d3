/**
 * The face of nftables: one session per namespace, three verbs. Text goes in, since nft's text parser fails loudly and
 * its JSON parser does not (FACTS); JSON comes out, to be compared.
 */

import type { Namespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { type NftDocument, parseDocument } from './json';

/** A table as nft names it. */
export interface TableName {
  family: string;
  name: string;
}

/** nft at work in one namespace. */
export interface Session {
  /** Loads a text as one transaction: all of it or nothing. Throws NftRefusal. */
  load(text: string): Promise<void>;
  /** @returns these tables as JSON text, one document for each */
  listJson(tables: TableName[]): Promise<string[]>;
  /** @returns these tables in nft's language, without counts and times left */
  listText(tables: TableName[]): Promise<string>;
  close(): void;
}

/** A way to nft: the library in this process, or the program. */
export interface Engine {
  readonly name: 'libnftables' | 'nft';
  /** Opens a session in a pinned namespace. */
  open(namespace: Namespace): Session;
}

/** nft said no: what it answered, and the text with numbered lines, as its messages count them. */
export class NftRefusal extends Error {
  readonly answer: string;
  readonly numberedText: string;

  constructor(answer: string, text: string) {
    super(answer.split('\n').slice(0, 3).join(' ').trim() || 'nft failed without a word');
    this.name = 'NftRefusal';
    this.answer = answer;
    this.numberedText = text
      .split('\n')
      .map((line, index) => `${String(index + 1).padStart(4)}  ${line}`)
      .join('\n');
  }
}

/** Lists tables and parses what nft printed. */
export async function listTables(session: Session, tables: TableName[]): Promise<NftDocument> {
  const documents = (await session.listJson(tables)).map(parseDocument);
  return { nftables: documents.flatMap((document) => document.nftables) };
}

/**
 * Chooses the engine: libnftables in this process, or the nft program where the library can't be loaded.
 * @param forced NETFREEZE_ENGINE: `libnftables` or `nft`
 * @throws Failure `no-nftables` when there is neither, `bad-engine` for another name
 */
export async function chooseEngine(forced = process.env.NETFREEZE_ENGINE): Promise<Engine> {
  switch (forced ?? '') {
    case 'libnftables':
      return (await import('./libnftables')).libnftables();
    case 'nft':
      return (await import('./nft-program')).nftProgram();
    case '':
      return firstOf(
        async () => (await import('./libnftables')).libnftables(),
        async () => (await import('./nft-program')).nftProgram(),
      );
    default:
      throw new Failure('bad-engine', Exit.usage, `NETFREEZE_ENGINE is "${forced}"`, {
        suggestions: ['set it to libnftables or nft, or leave it unset'],
      });
  }
}

async function firstOf(library: () => Promise<Engine>, program: () => Promise<Engine>): Promise<Engine> {
  try {
    return await library();
  } catch (libraryError) {
    try {
      return await program();
    } catch (programError) {
      throw new Failure('no-nftables', Exit.unsupported, 'neither libnftables nor the nft program can be used here', {
        suggestions: ['install nftables 1.0.1 or newer: apt-get install nftables, or dnf install nftables'],
        cause: new AggregateError([libraryError, programError], `${libraryError}; ${programError}`),
      });
    }
  }
}
