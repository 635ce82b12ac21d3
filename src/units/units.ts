/** Installing and removing the systemd units: files that are compared first, then written all at once. */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';
import { shown } from '../platform/text';
import { isUntouched, type Program, rendered } from './render';

/** The files of templates/systemd, by the names that systemd knows them by. */
export const unitNames = ['netfreeze@.service', 'netfreeze-while@.target'] as const;

/** Where an administrator's units live (systemd.unit(5)). */
const systemUnits = '/etc/systemd/system';

/** What became of a file. */
export interface UnitFile {
  file: string;
  state: 'installed' | 'unchanged' | 'removed' | 'absent' | 'kept';
}

/** @returns where units go: the machine's own, or the place for packages below a prefix such as /usr */
export const unitDirectory = (prefix: string | null): string =>
  prefix === null ? systemUnits : join(prefix, 'lib/systemd/system');

/**
 * Writes the units. What is there already, as it should be, is left alone; what netfreeze has written before is replaced.
 * @param root the package's directory, where the templates are
 * @throws Failure `unit-changed` before anything is written, `unfit-program`, `units-not-written`
 */
export function installUnits(prefix: string | null, program: Program, root: string): UnitFile[] {
  const directory = unitDirectory(prefix);
  const wanted = unitNames.map((name) => {
    const text = rendered(readFileSync(join(root, 'templates/systemd', name), 'utf8'), program);
    const file = join(directory, name);
    return { file, text, there: read(file) };
  });
  const changed = wanted.filter(({ there }) => there !== null && !isUntouched(there)).map(({ file }) => file);
  if (changed.length > 0) throw unitChanged(changed);
  const due = wanted.filter(({ text, there }) => text !== there);
  if (due.length > 0) makeDirectory(prefix, directory);
  writeAll(due);
  return wanted.map((unit) => ({ file: unit.file, state: due.includes(unit) ? 'installed' : 'unchanged' }));
}

/**
 * Removes the units, but none that was changed.
 * @throws Failure `units-not-written`
 */
export function removeUnits(prefix: string | null): UnitFile[] {
  return unitNames.map((name) => {
    const file = join(unitDirectory(prefix), name);
    const there = read(file);
    if (there === null) return { file, state: 'absent' };
    if (!isUntouched(there)) return { file, state: 'kept' };
    attempt(file, 'removed', () => rmSync(file));
    return { file, state: 'removed' };
  });
}

function read(file: string): string | null {
  return attempt(file, 'read', () => {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
      throw error;
    }
  });
}

/** Below a prefix what is missing is made; the prefix itself is a typing mistake where it is missing. */
function makeDirectory(prefix: string | null, directory: string): void {
  attempt(prefix ?? directory, 'used', () => statSync(prefix ?? directory));
  const folders = prefix === null ? [] : ['lib', 'lib/systemd', 'lib/systemd/system'].map((name) => join(prefix, name));
  for (const folder of folders) {
    attempt(folder, 'made', () => {
      try {
        mkdirSync(folder);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    });
  }
}

/** Each file is written beside its place first, so that a full disk leaves all as it was, and a reader finds whole files. */
function writeAll(units: Array<{ file: string; text: string }>): void {
  const drafts: Array<{ draft: string; file: string }> = [];
  try {
    for (const { file, text } of units) {
      const draft = `${file}.${process.pid}.new`;
      drafts.push({ draft, file });
      attempt(file, 'written', () => writeFileSync(draft, text, { mode: 0o644, flush: true, flag: 'wx' }));
    }
    for (const { draft, file } of drafts) attempt(file, 'written', () => renameSync(draft, file));
  } finally {
    for (const { draft } of drafts) rmSync(draft, { force: true });
  }
}

function attempt<Result>(file: string, what: string, action: () => Result): Result {
  try {
    return action();
  } catch (cause) {
    const permission = isErrno(cause, 'EACCES', 'EPERM', 'EROFS');
    const missing = isErrno(cause, 'ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP');
    const exit = permission ? Exit.notPermitted : missing ? Exit.usage : Exit.unexpected;
    const message = `${shown(file)} cannot be ${what}: ${cause instanceof Error ? cause.message : cause}`;
    throw new Failure('units-not-written', exit, message, {
      suggestions: permission
        ? ['run it as root, or name a place that you may write with --prefix']
        : ['--prefix names a directory that is there, such as /usr/local'],
      cause,
    });
  }
}

const unitChanged = (files: string[]) =>
  new Failure(
    'unit-changed',
    Exit.usage,
    `${files.map(shown).join(' and ')}: changed by hand, or not netfreeze's; nothing was written`,
    {
      suggestions: [
        'keep what you changed in a drop-in: systemctl edit netfreeze@.service',
        'then remove the file, and install again',
      ],
    },
  );
