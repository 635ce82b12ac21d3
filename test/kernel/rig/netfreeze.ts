/** Running the product as a user does: the program, its arguments, what it prints and how it exits. */
import { resolve } from 'node:path';
import { execa } from 'execa';
import type { Engine } from './describe';
import { patience } from './wait';

/** The checkout's own netfreeze, or another one that NETFREEZE_TEST_PROGRAM names, such as an installed package's. */
export const netfreezeProgram = process.env.NETFREEZE_TEST_PROGRAM ?? resolve(__dirname, '../../../bin/netfreeze');

/** What one run of netfreeze came to. */
export interface Outcome {
  command: string;
  exit: number;
  stdout: string;
  stderr: string;
  /** Standard output as the report of the contract; only after a run with `--json`. */
  report: Report;
}

export interface Report {
  schema: string;
  targets: TargetReport[];
  error?: ReportedError;
}

export interface TargetReport {
  target: string;
  namespace: { device: number; inode: number };
  state: 'frozen' | 'thawed' | 'absent' | 'drifted' | 'failed';
  mode: string;
  template: string;
  lease: { expiresInMs: number } | null;
  verified: boolean;
  counters: { in: Count; out: Count };
  held: { in: Ledger; out: Ledger } | null;
  kicked: { sockets: number; corked: number; unreachable: number; peers: number } | null;
  notes: string[];
  otherNames?: string[];
  error?: ReportedError;
}

interface Ledger {
  held: number;
  released: number;
  lost: number;
}

interface Count {
  packets: number;
  bytes: number;
}

interface ReportedError {
  code: string;
  exit: number;
  message: string;
  suggestions: string[];
}

export interface Surroundings {
  engine: Engine;
  stateDir: string;
  /** A program and arguments that start netfreeze instead of this process: `setpriv ...`, `unshare ...`. */
  through?: readonly string[];
  env?: NodeJS.ProcessEnv;
}

/** Runs netfreeze to its end, whatever its exit code. */
export async function netfreeze(surroundings: Surroundings, args: readonly string[]): Promise<Outcome> {
  const [program = netfreezeProgram, ...before] = [...(surroundings.through ?? []), netfreezeProgram];
  const result = await execa(program, [...before, ...args], {
    reject: false,
    timeout: 60_000 * patience,
    stdin: 'ignore',
    stripFinalNewline: false,
    env: {
      NETFREEZE_ENGINE: surroundings.engine,
      NETFREEZE_STATE_DIR: surroundings.stateDir,
      // Read at every start of Node, 75 ms each time, where a machine sets it.
      NODE_EXTRA_CA_CERTS: undefined,
      ...surroundings.env,
    },
  });
  const command = `netfreeze ${args.join(' ')}`;
  if (result.exitCode === undefined) throw new Error(`${command}: ${result.shortMessage}`, { cause: result });
  const { exitCode: exit, stdout, stderr } = result;
  const outcome = { command, exit, stdout, stderr };
  return Object.defineProperty(outcome as Outcome, 'report', { get: () => reportOf(outcome) });
}

function reportOf(outcome: Told): Report {
  try {
    return JSON.parse(outcome.stdout) as Report;
  } catch {
    throw new Error(`${told(outcome)}\nstandard output is no JSON`);
  }
}

/** Fails with all that netfreeze said unless it ended with one of these exit codes. */
export function expectExit(outcome: Outcome, ...wanted: number[]): Outcome {
  if (!wanted.includes(outcome.exit)) throw new Error(`${told(outcome)}\nwanted exit ${wanted.join(' or ')}`);
  return outcome;
}

/** The one target of a report. */
export function only(outcome: Outcome): TargetReport {
  const [target, ...more] = outcome.report.targets;
  if (target === undefined || more.length > 0) throw new Error(`${told(outcome)}\nis not about one target`);
  return target;
}

type Told = Omit<Outcome, 'report'>;

const told = ({ command, exit, stdout, stderr }: Told) =>
  `${command}\nexit ${exit}\nstdout: ${stdout.trimEnd()}\nstderr: ${stderr.trimEnd()}`;
