/** A running machine: its process, its two ports, its console, and its certain end. */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchConsole } from './console';
import { connectTo, onLine } from './lines';
import { type Monitor, openMonitor } from './monitor';
import { consoleOf, type Devices, devices } from './qemu';

export interface Machine {
  /** What the job says. */
  output: Socket;
  tell(line: string): void;
  /**
   * Waits for the agent's next line.
   * @throws Lockup as soon as the machine's kernel reports one that lasts; another error when the line is not said in
   *   time, the kernel panics, or the machine ends
   */
  hear(limitMs: number): Promise<string>;
  monitor(): Promise<Monitor>;
  /** What its kernel first said of a CPU that stood still, with the stacks; '' where it said nothing of the kind. */
  firstReport(): string;
  /** The last lines of its console, where a kernel says why it died. */
  lastWords(): string;
  /** Ends it at once and removes its files. What it has said can still be read. */
  end(): Promise<void>;
}

/** A machine whose own kernel reports that it stands still: its CPUs, not the job, do not go on. */
export class Lockup extends Error {}

/** How often the console is looked at. */
const lookMs = 1000;

/** In which the kernel has said all that follows a report's first line. */
const stacksMs = 2000;

/** The stacks of two CPUs, and half of what was said before. */
const lastLines = 200;

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

  const watch = watchConsole();
  const more = follow(consoleOf(folder));
  let wake = () => {};
  let failure: Error | null = null;
  const look = () => {
    watch.take(more());
    const [lockup, panic] = [watch.lockup(), watch.panic()];
    if (lockup !== null) failure = new Lockup(`the machine has locked up, as its kernel says: ${lockup}`);
    else if (panic !== null) failure = new Error(`the machine's kernel has panicked: ${panic}`);
    if (failure !== null) wake();
  };
  const looking = setInterval(look, lookMs);

  const machine = {
    firstReport() {
      look();
      return watch.firstReport().join('\n');
    },
    lastWords: () => tail(consoleOf(folder), lastLines),
    async end() {
      clearInterval(looking);
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
          if (ended !== null) {
            look();
            throw failure ?? new Error(ended);
          }
          if (failure !== null) {
            // The stacks follow.
            await Promise.race([sleep(stacksMs), end]);
            throw failure;
          }
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

/** @returns what gives the text that was added to a file since it was asked last; the file need not be there yet */
function follow(file: string): () => string {
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.alloc(65_536);
  let read = 0;
  return () => {
    let text = '';
    try {
      const opened = openSync(file, 'r');
      try {
        for (let size = -1; size !== 0; ) {
          size = readSync(opened, buffer, 0, buffer.length, read);
          read += size;
          text += decoder.write(buffer.subarray(0, size));
        }
      } finally {
        closeSync(opened);
      }
    } catch {
      // QEMU has not made it yet, or it has been removed with the machine.
    }
    return text;
  };
}

function tail(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split(/\r?\n/).slice(-count).join('\n');
  } catch {
    return '';
  }
}
