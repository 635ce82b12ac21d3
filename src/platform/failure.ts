/**
 * How every failure that a user can cause or mend travels: a machine-readable code, the exit status of the contract,
 * a message that says what was tried and what was answered, and what to do next.
 */

/** Exit statuses of the command line; their meanings are part of the contract. */
export const Exit = {
  done: 0,
  unexpected: 1,
  usage: 2,
  noTarget: 3,
  notPermitted: 4,
  unsupported: 5,
  verificationFailed: 6,
  rollbackFailed: 7,
  busy: 8,
  checkpointFailed: 9,
  drift: 10,
  notFrozen: 11,
} as const;

/** A failure with a name, an exit status and advice. Thrown by every room, shown only by the presentation. */
export class Failure extends Error {
  readonly code: string;
  /** One of Exit, or 128 and a signal's number. */
  readonly exit: number;
  readonly suggestions: readonly string[];

  /**
   * @param code short and stable, for programs: `no-such-target`
   * @param exit the process's exit status when this failure ends it
   * @param message what was tried, on what, and what the kernel or nft answered
   * @param options `suggestions`: what the user can do; `cause`: the failure below
   */
  constructor(
    code: string,
    exit: number,
    message: string,
    options: { suggestions?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Failure';
    this.code = code;
    this.exit = exit;
    this.suggestions = options.suggestions ?? [];
  }
}
