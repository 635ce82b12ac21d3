/** The targets of a command: its arguments, and the lines of a file. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { string } from '@oclif/core/flags';
import { Exit, Failure } from '../platform/failure';
import { quoted } from '../platform/text';
import { say } from '../presentation/output';
import { targetKinds } from './base';

export const targetsFlag = {
  targets: string({
    description: 'more targets, one a line; - for standard input',
    helpValue: 'FILE',
  }),
};

/** The largest list that is read, in bytes: room for 10,000 of the longest names. */
const largestList = 4 * 1024 * 1024;

/**
 * @param file what --targets names
 * @returns the targets' names among the arguments, and in the file
 * @throws Failure `no-target` when there is none, `bad-targets-file`
 */
export function targetNames(argv: unknown[], file: string | undefined, command: string): string[] {
  const names = [...argv.map(String), ...(file === undefined ? [] : namesIn(file))];
  if (names.length > 0) return names;
  const where = file === undefined ? 'no target is given' : `no target is given: ${place(file)} holds none`;
  throw new Failure('no-target', Exit.usage, where, {
    suggestions: [`netfreeze ${command} web`, `targets: ${targetKinds}; or patterns of names: 'web-*'`],
  });
}

/** @returns the names in a list: one a line; blank lines, and those that begin with #, are passed by */
function namesIn(file: string): string[] {
  const text = read(file);
  if (text.includes('\0')) throw bad(file, 'it is no text');
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function read(file: string): string {
  if (file === '-') return readAll(0, file);
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (cause) {
    throw bad(file, `it cannot be read: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  try {
    return readAll(fd, file);
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number, file: string): string {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    if (fd === 0 && isTerminal()) say('netfreeze: targets are read from the terminal, one a line; Ctrl-D ends them\n');
    for (;;) {
      const chunk = Buffer.alloc(64 * 1024);
      const got = readSync(fd, chunk, 0, chunk.length, null);
      if (got === 0) break;
      chunks.push(chunk.subarray(0, got));
      length += got;
      if (length > largestList) break;
    }
  } catch (cause) {
    throw bad(file, `it cannot be read: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  if (length > largestList) throw bad(file, `it has more than ${largestList} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

const isTerminal = (): boolean =>
  fstatSync(0).isCharacterDevice() && (require('node:tty') as typeof import('node:tty')).isatty(0);

const place = (file: string): string => (file === '-' ? 'standard input' : quoted(file));

const bad = (file: string, why: string, cause?: unknown) =>
  new Failure('bad-targets-file', Exit.usage, `--targets ${place(file)}: ${why}`, {
    suggestions: ['give a text file with one target a line, or - and the list on standard input'],
    cause,
  });
