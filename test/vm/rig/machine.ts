/** A running machine: its process, its two ports, its console, and its certain end. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectTo, onLine } from './lines';
import { type Monitor, openMonitor } from './monitor';
import { consoleOf, type Devices, devices } from './qemu';

export interface Machine {
  /** What the job says. */
  output: Socket;
  tell(line: string): void;
  /**
   * Waits for the agent's next line.
   * @throws when it is not said in time, or the machine ends
   */
  hear(limitMs: number): Promise<string>;
  monitor(): Promise<Monitor>;
  /** The last lines of its console, where a kernel says why it died. */
  lastWords(): string;
  /** Ends it at once and removes its files. What it has said can still be read. */
  end(): Promise<void>;
}

/** Starts QEMU with the given hardware; it ends with this process at the latest. */
export async function startMachine(
  hardware: readonly string[],
  parts: Omit<Devices, 'folder'>,
  incoming = false,
): Promise<Machine> {
  const folder = mkdtempSync(join(tmpdir(), 'nfz-vm-'));
  const settings = [...hardware, ...devices({ ...parts, folder }), ...(incoming ? ['-incoming', 'defer'] : [])];
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...settings], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  let ended: string | null = null;
  const end = new Promise<string>((settle) => {
    qemu.once('exit', (status, signal) => settle(`QEMU ended with ${status ?? signal}`));
    qemu.once('error', (error) => settle(`QEMU could not be started: ${error.message}`));
  }).then((how) => {
    ended = how;
    return how;
  });
  const kill = () => {
    qemu.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', kill);

  const machine = {
    lastWords: () => lastLines(consoleOf(folder), 40),
    async end() {
      kill();
      await end;
      process.off('exit', kill);
    },
  };
  try {
    const connected = (name: string) => connectTo(join(folder, name), () => ended !== null);
    const output = await connected('output');
    const control = await connected('control');
    const heard: string[] = [];
    let wake = () => {};
    onLine(control, (line) => {
      heard.push(line);
      wake();
    });
    return {
      ...machine,
      output,
      tell: (line) => control.write(`${line}\n`),
      async hear(limitMs) {
        const limit = Date.now() + limitMs;
        for (;;) {
          const line = heard.shift();
          if (line !== undefined) return line;
          if (ended !== null) throw new Error(ended);
          const left = limit - Date.now();
          if (left <= 0) throw new Error(`no answer from the machine in ${limitMs / 1000} s`);
          await new Promise<void>((settle) => {
            const timer = setTimeout(settle, left);
            wake = () => {
              clearTimeout(timer);
              settle();
            };
            void end.then(wake);
          });
        }
      },
      monitor: async () => openMonitor(await connected('qmp')),
    };
  } catch (error) {
    await machine.end();
    throw new Error(ended ?? String(error));
  }
}

function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split(/\r?\n/).slice(-count).join('\n');
  } catch {
    return '';
  }
}
