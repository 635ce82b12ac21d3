/**
 * What a run makes outside of its own process, written down before it is made, so that the next run can remove what a
 * killed one left behind. Each run has one folder, named after its process.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'nfz-';
const folder = join(tmpdir(), `${prefix}${process.pid}`);
const ledger = 'namespaces';

/** @returns a new directory that goes with the run, or with the next one's sweep */
export function scratchDirectory(name: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return mkdtempSync(join(folder, `${name}-`));
}

/** Writes down that namespaces of these names are about to be made. */
export function noteNamespaces(names: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  // Names may hold anything, newlines too.
  appendFileSync(join(folder, ledger), names.map((name) => `${JSON.stringify(name)}\n`).join(''));
}

/** Removes the run's own folder; its namespaces are gone by then. */
export function removeFolder(): void {
  rmSync(folder, { recursive: true, force: true });
}

let swept = false;

/**
 * Once in a run: removes what runs that are dead left behind.
 * @param removeNamespace called with each name that a dead run wrote down
 */
export async function sweep(removeNamespace: (name: string) => Promise<unknown>): Promise<void> {
  if (swept) return;
  swept = true;
  for (const entry of readdirSync(tmpdir())) {
    const pid = Number(/^nfz-(\d+)$/.exec(entry)?.[1]);
    if (!pid || isAlive(pid)) continue;
    for (const name of namesIn(join(tmpdir(), entry, ledger))) await removeNamespace(name);
    rmSync(join(tmpdir(), entry), { recursive: true, force: true });
  }
}

function namesIn(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as string);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
