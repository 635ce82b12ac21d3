/** The whole of oclif, for help and version: the entry of the second bundle. */
import { flush, handle, run } from '@oclif/core';

export { COMMANDS } from './commands';

/**
 * @param argv the arguments after the program's name
 * @param root the package's directory, where oclif reads its configuration
 */
export async function help(argv: string[], root: string): Promise<void> {
  try {
    await run(argv, { root });
    await flush();
  } catch (error) {
    await handle(error as Error);
  }
}
