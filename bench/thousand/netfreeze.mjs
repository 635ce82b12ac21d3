// netfreeze as a user runs it.
import { execFileSync } from 'node:child_process';

export const program = 'bin/netfreeze';

/** Runs it to its end. @returns what it has printed */
export const netfreeze = (...args) =>
  execFileSync(program, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'pipe'] });
