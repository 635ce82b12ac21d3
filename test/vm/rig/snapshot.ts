/** A machine that has booted and waits for its job, kept as files: its memory, its disk, and the state of the rest. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Image } from './image';
import { keyOf } from './key';
import { type Machine, startMachine } from './machine';
import { hardware } from './qemu';

/** A cold boot takes about 10 s, and several times as long on a busy machine. */
export const bootLimitMs = 120_000;

/** Until systemd has ended what it does after the last unit. */
const settleMs = 1500;

export interface Snapshot {
  /**
   * Starts the machine where it was.
   * @throws when it does not run in time
   */
  resume(project: string, results: string, limitMs: number): Promise<Machine>;
  /** Removes it: it did not come to life. */
  discard(): void;
}

/**
 * Boots the machine and takes a snapshot, unless there is one of this image, this hardware and this QEMU.
 * @throws when the machine does not boot, or this QEMU can't save it
 */
export async function ensureSnapshot(image: Image): Promise<void> {
  const folder = folderOf(image);
  if (existsSync(folder)) return;
  for (const name of readdirSync(image.folder).filter((entry) => /^(snapshot|draft)-/.test(entry))) {
    rmSync(join(image.folder, name), { recursive: true, force: true });
  }
  await take(image, folder);
}

/** @returns the snapshot that fits, or null where there is none */
export function findSnapshot(image: Image): Snapshot | null {
  const folder = folderOf(image);
  if (!existsSync(folder)) return null;
  const { memory, disk, state } = filesOf(folder);
  return {
    async resume(project, results, limitMs) {
      const files = {
        memory: { file: memory, keep: false },
        disk: { file: disk, format: 'qcow2', keep: false },
      } as const;
      const machine = await startMachine(hardware(image), { ...files, project, results }, true);
      try {
        const late = sleep(limitMs, null, { ref: false }).then(() => {
          throw new Error(`it does not run after ${limitMs / 1000} s`);
        });
        await Promise.race([late, machine.monitor().then((monitor) => monitor.load(state))]);
        return machine;
      } catch (error) {
        await machine.end();
        throw error;
      }
    },
    discard: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function folderOf(image: Image): string {
  const version = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
  return join(image.folder, `snapshot-${keyOf({ hardware: JSON.stringify(hardware(image)), version })}`);
}

async function take(image: Image, folder: string): Promise<void> {
  const draft = mkdtempSync(join(image.folder, 'draft-'));
  const { memory, disk, state } = filesOf(draft);
  try {
    // Named from where it will stand, so that the project's folder may move.
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', '../disk.img', '-F', 'raw', disk]);
    // The shares are nobody's yet: a machine that has mounted them can't be saved.
    const nowhere = mkdtempSync(join(tmpdir(), 'nfz-vm-'));
    const files = { memory: { file: memory, keep: true }, disk: { file: disk, format: 'qcow2', keep: true } } as const;
    const machine = await startMachine(hardware(image), { ...files, project: nowhere, results: nowhere });
    try {
      await machine.hear(bootLimitMs);
      await sleep(settleMs);
      const monitor = await machine.monitor();
      await monitor.ask('stop');
      await monitor.save(state);
      await monitor.quit();
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${machine.lastWords()}`);
    } finally {
      await machine.end();
      rmSync(nowhere, { recursive: true, force: true });
    }
    // A folder of that name is a whole snapshot.
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

const filesOf = (folder: string) => ({
  memory: join(folder, 'memory'),
  disk: join(folder, 'disk.qcow2'),
  state: join(folder, 'state'),
});
