/**
 * What one action of CRIU's leaves for the next, which is another process (checkpoint/criu/hook.ts): a note beside the
 * freeze's record. It says which CRIU it is about and whether the freeze is the hook's own: only that one is thawed by it.
 * It goes with the freeze, whoever thaws it.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NamespaceId } from '../namespace/namespace';
import { stateName } from './record';
import { prepareStateDirectory, stateFailure } from './state-directory';

export interface CriuNote {
  way: 'dump' | 'restore';
  criu: { pid: number; start: number | null };
  /** Whether the hook has made the freeze, or is about to. */
  own: boolean;
  /** The process that wrote this: the one that has made the freeze, where it did not come to note more. */
  by: number;
  /** The freeze's `since`, by which it is recognised; null: not frozen yet, or frozen without a record. */
  since: string | null;
  /** nf_tables' generation when the freeze stood; null before. */
  generation: number | null;
}

const noteFile = (directory: string, id: NamespaceId): string => join(directory, `criu-${stateName(id)}.json`);

/**
 * Writes it whole, or not at all.
 * @throws Failure `state-directory`
 */
export function writeCriuNote(directory: string, id: NamespaceId, note: Omit<CriuNote, 'by'>): void {
  prepareStateDirectory(directory);
  const file = noteFile(directory, id);
  try {
    writeFileSync(`${file}.new`, JSON.stringify({ ...note, by: process.pid }), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw stateFailure(file, `it cannot be written: ${cause}`, cause);
  }
}

/** @returns null where there is none that this program could have written */
export function readCriuNote(directory: string, id: NamespaceId): CriuNote | null {
  try {
    const note = JSON.parse(readFileSync(noteFile(directory, id), 'utf8')) as Partial<CriuNote> | null;
    const isNote =
      (note?.way === 'dump' || note?.way === 'restore') &&
      typeof note.own === 'boolean' &&
      typeof note.criu?.pid === 'number';
    return isNote ? (note as CriuNote) : null;
  } catch {
    return null;
  }
}

export function removeCriuNote(directory: string, id: NamespaceId): void {
  const file = noteFile(directory, id);
  if (existsSync(file)) rmSync(file, { force: true });
}
