/** Netfreeze that a signal meets in the middle of its work. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Engine } from './describe';
import type { Lab } from './lab';
import { netfreezeProgram } from './netfreeze';

/**
 * Starts netfreeze on a lab's engine and sends its process group a signal after a time, as a terminal does.
 * @param afterMs milliseconds from its start; it may have ended by then
 * @returns its exit status, or the signal that ended it
 */
export async function signalled(
  lab: Lab,
  engine: Engine,
  args: string[],
  signal: NodeJS.Signals,
  afterMs: number,
): Promise<number | NodeJS.Signals | null> {
  const surroundings = { NETFREEZE_ENGINE: engine, NETFREEZE_STATE_DIR: lab.stateDir, NODE_EXTRA_CA_CERTS: undefined };
  const env = { ...process.env, ...surroundings };
  const child = spawn(netfreezeProgram, args, { env, detached: true, stdio: 'ignore' });
  const timer = setTimeout(() => {
    try {
      process.kill(-(child.pid ?? 0), signal);
    } catch {
      // It has ended already.
    }
  }, afterMs);
  const [status, endedBy] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return status ?? endedBy;
}

/** @returns how long one run of netfreeze takes here, in milliseconds */
export async function timeOf(lab: Lab, engine: Engine, args: string[]): Promise<number> {
  const began = performance.now();
  await signalled(lab, engine, args, 'SIGKILL', 30_000);
  return performance.now() - began;
}
