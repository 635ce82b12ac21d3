/**
 * The face of nftables: one session per namespace, three verbs. Text goes in, since nft's text parser fails loudly and
 * its JSON parser does not (FACTS); JSON comes out, to be compared.
 */

import type { Namespace } from '../namespace/namespace';
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
