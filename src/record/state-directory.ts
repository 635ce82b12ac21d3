/** The state directory: root's alone, and refused when it is not. */
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';

/** @returns where records and locks live: NETFREEZE_STATE_DIR, or /run/netfreeze */
export const stateDirectory = (): string => process.env.NETFREEZE_STATE_DIR || '/run/netfreeze';

/**
 * Makes the state directory when it is not there, and looks at it when it is: a directory, no link, ours, closed to others.
 * @throws Failure `state-directory`
 */
export function prepareStateDirectory(directory: string): void {
  try {
    // Not recursive: Node's way of making parents turns forever where the kernel says ENOENT to mkdir, as below /proc.
    if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST')) throw stateFailure(directory, `it cannot be made: ${text(cause)}`, cause);
  }
  const { mode, uid, isDirectory } = look(directory);
  if (!isDirectory) throw stateFailure(directory, 'it is a link or no directory');
  if (uid !== process.geteuid?.()) throw stateFailure(directory, `it belongs to user ${uid}`);
  if ((mode & 0o077) !== 0) throw stateFailure(directory, `others may use it (mode ${(mode & 0o777).toString(8)})`);
}

function look(directory: string): { mode: number; uid: number; isDirectory: boolean } {
  try {
    const found = lstatSync(directory);
    return { mode: found.mode, uid: found.uid, isDirectory: found.isDirectory() };
  } catch (cause) {
    throw stateFailure(directory, `it cannot be looked at: ${text(cause)}`, cause);
  }
}

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** What a failing write to the state directory says. */
export function stateFailure(place: string, why: string, cause?: unknown): Failure {
  const permission = isErrno(cause, 'EACCES', 'EPERM', 'EROFS');
  // A directory that is no state directory is the user's choice; a full disk is nobody's.
  const unfit = cause === undefined || isErrno(cause, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG');
  const exit = permission ? Exit.notPermitted : unfit ? Exit.usage : Exit.unexpected;
  return new Failure('state-directory', exit, `${place}: ${why}`, {
    suggestions: [
      'the state directory must be writable, belong to you and have mode 0700; NETFREEZE_STATE_DIR names another',
    ],
    cause,
  });
}
