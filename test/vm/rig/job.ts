/** A job for the machine: a shell command, what it says as it says it, and its exit status. See image/guest/agent. */
import type { Image } from './image';
import { closed } from './lines';
import { Lockup, type Machine, startMachine } from './machine';
import { hardware } from './qemu';
import { bootLimitMs, findSnapshot } from './snapshot';

export interface Job {
  command: string;
  limitSeconds: number;
  /** Folders of this machine: seen as `/project`, where what the job writes does not last, and as `/results`. */
  project: string;
  results: string;
  /** Boots the machine even where there is a snapshot. */
  cold: boolean;
}

/** A machine from a snapshot answers within a second, or never. */
const resumeLimitMs = 20_000;

/** For the machine to say that the job's time was over, before it is taken for dead. */
const graceMs = 30_000;

/**
 * Does a job in a machine of its own.
 * @param note is told what takes time, and what went wrong on the way
 * @returns the job's exit status; 124 where its time was over
 * @throws when the machine does not boot, locks up (Lockup), dies, or never answers, with what it said on its console
 */
export async function doJob(image: Image, job: Job, note: (words: string) => void): Promise<number> {
  const machine = (job.cold ? null : await resumed(image, job, note)) ?? (await booted(image, job));
  const said = closed(machine.output);
  machine.output.pipe(process.stdout, { end: false });
  let status: number | null = null;
  try {
    status = Number((await machine.hear(job.limitSeconds * 1000 + graceMs)).slice('EXIT '.length));
    const report = machine.firstReport();
    if (report !== '') note(`a CPU of the machine stood still for a while, and went on; its kernel said:\n${report}`);
  } catch (error) {
    throw dead(machine, error as Error);
  } finally {
    await machine.end();
    await said;
  }
  // As timeout(1) in the machine says it.
  if (status === 124 || status === 137) note(`the job was ended after ${job.limitSeconds} s`);
  return status;
}

/**
 * Makes a second attempt where the machine of the first one locks up: that happens about once in 60 runs of the suite,
 * and whether the emulator or its kernel is to blame is not known. Nothing else is attempted again.
 * @param attempt does the job in a fresh machine
 * @param note is told of the lockup, with the kernel's report
 * @returns what the attempt that counts returned
 * @throws what an attempt throws: a Lockup only from the second one
 */
export async function onceMoreAfterLockup(
  attempt: () => Promise<number>,
  note: (words: string) => void,
): Promise<number> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof Lockup)) throw error;
    note(error.message);
    note('after this lockup all is run once more, in a fresh machine; only the results of this second run count');
  }
  try {
    const status = await attempt();
    note('this was the second run: the machine of the first one locked up, as said above');
    return status;
  } catch (error) {
    if (error instanceof Lockup) error.message = `for the second time, ${error.message}`;
    throw error;
  }
}

/** @returns a machine that has begun, or null when there is none in a snapshot that comes to life */
async function resumed(image: Image, job: Job, note: (words: string) => void): Promise<Machine | null> {
  const snapshot = findSnapshot(image);
  if (snapshot === null) return null;
  const began = performance.now();
  try {
    const machine = await snapshot.resume(job.project, job.results, resumeLimitMs);
    await begin(machine, job, resumeLimitMs);
    note(`resumed in ${Math.round(performance.now() - began)} ms`);
    return machine;
  } catch (error) {
    snapshot.discard();
    note(`the snapshot did not come to life, so the machine is booted: ${(error as Error).message}`);
    return null;
  }
}

async function booted(image: Image, job: Job): Promise<Machine> {
  const disk = { file: `${image.folder}/disk.img`, format: 'raw', keep: false } as const;
  const machine = await startMachine(hardware(image), { disk, memory: null, ...job });
  try {
    await machine.hear(bootLimitMs);
    await begin(machine, job, resumeLimitMs);
    return machine;
  } catch (error) {
    const last = dead(machine, error as Error);
    await machine.end();
    throw last;
  }
}

async function begin(machine: Machine, job: Job, limitMs: number): Promise<void> {
  const command = Buffer.from(job.command).toString('base64');
  machine.tell(`RUN ${Math.round(Date.now() / 1000)} ${job.limitSeconds} ${command}`);
  await machine.hear(limitMs);
}

/** Adds to an error what the machine has said. @returns the same error */
function dead(machine: Machine, error: Error): Error {
  const report = machine.firstReport();
  if (report !== '') error.message += `; its kernel's first report:\n${report}\n`;
  error.message += `; its console ends with:\n${machine.lastWords() || '(nothing)'}`;
  return error;
}
