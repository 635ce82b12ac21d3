/**
 * libnftables' JSON as types: what `nft -j` prints is read and checked, what it is to carry out is built and checked.
 * Exported to others as `netfreeze/nftables-json`; it needs nothing but the language. The schema is the one of
 * libnftables-json(5) and of nftables' src/json.c and src/parser_json.c, 1.0.6 to 1.1.6.
 */
import { document } from './json-schema';
import { readJson, writeJson } from './json-text';
import type { NftDocument } from './json-types';

export { buildCommands } from './json-build';
export { NftJsonError } from './json-error';
export {
  chainsOf,
  commentsOf,
  countersOf,
  devicesOf,
  elementsOf,
  flagsOf,
  type PlainElement,
  queueOf,
  rulesOf,
  setsOf,
  tables,
  unsigned64,
} from './json-find';
export type * from './json-rule-types';
export type * from './json-types';

/**
 * Reads a listing of nft, or a document of commands.
 * @param text all that nft printed: one JSON document
 * @returns the document as it stands there: nothing is added, renamed or left out, and what this layer does not know
 * (objects, members, statements, expressions) is kept. Integers that a double cannot hold are bigints. Where nft's
 * versions differ, `flagsOf`, `devicesOf`, `queueOf`, `elementsOf` and `unsigned64` read them alike.
 * @throws NftJsonError with the path of a member that is missing or of another type than nft's; with an empty path if
 * the text is no JSON, or is cut (nft before 1.1.0 does that to a table with flags)
 */
export function parseDocument(text: string): NftDocument {
  const value = readJson(text);
  document(value, { strict: false, path: [] });
  return value as NftDocument;
}

/**
 * Writes a document back, losslessly: what `parseDocument` read from nft comes out the same, to the letter. It is not
 * for giving commands to nft: `buildCommands` is, which refuses what nft would misread.
 * @throws NftJsonError for a value that JSON cannot hold (undefined, a function, NaN) or a nesting too deep
 */
export function stringifyDocument(doc: NftDocument): string {
  return writeJson(doc);
}
