/**
 * What one action of CRIU's leaves for the next, which is another process: a note beside the freeze's record, in the state
 * directory. It says which CRIU it is about and whether the freeze is the hook's own: only that one is thawed by it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Moment } from '../../freeze/moment';
import { stateName } from '../../record/record';
import { prepareStateDirectory, stateFailure } from '../../record/state-directory';

export interface Note {
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

type Id = Moment['namespace'];

const noteFile = (directory: string, id: Id): string => join(directory, `criu-${stateName(id)}.json`);

/**
 * Writes it whole, or not at all.
 * @throws Failure `state-directory`
 */
export function writeNote(directory: string, id: Id, note: Omit<Note, 'by'>): void {
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
export function readNote(directory: string, id: Id): Note | null {
  try {
    const note = JSON.parse(readFileSync(noteFile(directory, id), 'utf8')) as Partial<Note> | null;
    const isNote =
      (note?.way === 'dump' || note?.way === 'restore') &&
      typeof note.own === 'boolean' &&
      typeof note.criu?.pid === 'number';
    return isNote ? (note as Note) : null;
  } catch {
    return null;
  }
}

export const removeNote = (directory: string, id: Id): void => rmSync(noteFile(directory, id), { force: true });
