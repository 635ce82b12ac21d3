/** The units' text: a template with this machine's netfreeze filled in, stamped so that a change by hand shows. */
import { createHash } from 'node:crypto';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';

/** What a unit starts. */
export interface Program {
  /** Node's program. */
  node: string;
  /** netfreeze's own, bin/netfreeze of the package. */
  netfreeze: string;
}

/**
 * @param template a file of templates/systemd
 * @returns the unit's text, with its stamp
 * @throws Failure `unfit-program` where a unit could not start such a program
 */
export function rendered(template: string, program: Program): string {
  const { node, netfreeze } = program;
  for (const path of [node, netfreeze]) refuseUnfit(path);
  // Only arguments are searched for variables; the program's own path is taken as it is.
  const command = `${quotedWord(node)} ${quotedWord(netfreeze.replaceAll('$', '$$$$'))}`;
  const home = [node, netfreeze].some(isAtHome) ? 'read-only' : 'yes';
  const values: Record<string, string> = { NETFREEZE: command, HOME: home };
  return stamped(template.replace(/@([A-Z]+)@/g, (whole, name: string) => values[name] ?? whole));
}

/** @returns whether a file is as netfreeze has written it, of whatever version */
export function isUntouched(text: string): boolean {
  const [, sum, rest = ''] = /^# Made by netfreeze; ([0-9a-f]{64})\n([\s\S]*)$/.exec(text) ?? [];
  return sum === sumOf(rest);
}

const stamped = (text: string): string => `# Made by netfreeze; ${sumOf(text)}\n${text}`;

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** systemd.syntax(7): in quotation marks a backslash begins an escape, and a percent sign a specifier anywhere. */
const quotedWord = (path: string): string =>
  /^[\w@./:+,-]+$/.test(path) ? path : `"${path.replace(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`;

/** Below these a unit with ProtectHome=yes finds nothing (systemd.exec(5)). */
const isAtHome = (path: string): boolean => /^\/(home|root|run\/user)\//.test(path);

function refuseUnfit(path: string): void {
  const why = !path.startsWith('/')
    ? 'is not an absolute path'
    : /[\0-\x1f\x7f]/.test(path)
      ? 'has control characters in its path'
      : /^\/(var\/)?tmp\//.test(path)
        ? 'is in a directory for temporary files, of which units have their own'
        : null;
  if (why === null) return;
  throw new Failure('unfit-program', Exit.usage, `units can't start ${shown(path)}: it ${why}`, {
    suggestions: ['install netfreeze in a lasting place, for example /usr/local/lib, and call it there'],
  });
}
