/**
 * What oclif's Command is to our commands when they run, and no more: the arguments, and oclif's own parser on the same
 * flags. The build puts it in the place of `@oclif/core/command` for runs of a command; its help, its configuration
 * and its plugins are loaded by the other bundle, for `help` and `--help`.
 */
import type { ArgInput, FlagInput } from '@oclif/core/interfaces';
import { parse } from '@oclif/core/parser';

interface Definition {
  flags?: FlagInput;
  baseFlags?: FlagInput;
  args?: ArgInput;
  strict?: boolean;
}

export abstract class Command {
  static strict = true;

  constructor(protected readonly argv: string[]) {}

  abstract run(): Promise<void>;

  /** Parses the arguments by a command's definition; throws oclif's parse errors. */
  protected parse({ flags, baseFlags, args, strict }: Definition) {
    return parse(this.argv, { flags: { ...baseFlags, ...flags }, args: args ?? {}, strict: strict !== false });
  }
}
