/** Runs one command: the entry of the bundle that `bin/netfreeze` starts for everything but help. */

import { closest } from 'fastest-levenshtein';
import { COMMANDS } from './commands';
import { Exit, Failure } from './platform/failure';
import { shown } from './platform/text';
import { failureText } from './presentation/failure';
import { failureJson } from './presentation/json';
import { print, say } from './presentation/output';

/** @returns whether the first argument names a command */
export const isCommand = (name: string | undefined): name is keyof typeof COMMANDS =>
  name !== undefined && Object.hasOwn(COMMANDS, name);

/**
 * Runs the command that the first argument names; the exit status is set on the process.
 * @param argv the arguments after the program's name
 */
export async function run([name, ...argv]: string[]): Promise<void> {
  if (!isCommand(name)) {
    const nearest = closest(name ?? '', Object.keys(COMMANDS));
    const failure = new Failure('no-such-command', Exit.usage, `there is no command ${shown(name ?? '')}`, {
      suggestions: [`did you mean: netfreeze ${nearest}`, 'netfreeze --help lists the commands'],
    });
    if (argv.includes('--json')) print(failureJson(failure));
    say(failureText(failure));
    process.exitCode = failure.exit;
    return;
  }
  // Two types of Command meet here: this bundle's light one takes no configuration.
  const Light = COMMANDS[name] as unknown as new (argv: string[]) => { run(): Promise<void> };
  await new Light(argv).run();
}
