/** QEMU's monitor (QMP): one command at a time, each with its answer. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { closed, onLine } from './lines';

type Answer = { return: Record<string, unknown> } | { error: { desc: string } };

export interface Monitor {
  /** @throws with QEMU's words when it refuses */
  ask(command: string, settings?: object): Promise<Record<string, unknown>>;
  /** Writes the machine's state, but not its memory, to a file; the machine has to stand still. */
  save(file: string): Promise<void>;
  /** Ends QEMU in order: its disk is whole. */
  quit(): Promise<void>;
  /** Reads it again, into a machine that was started with `-incoming defer`, and lets it run. */
  load(file: string): Promise<void>;
}

export async function openMonitor(socket: Socket): Promise<Monitor> {
  const waiting: ((answer: Answer) => void)[] = [];
  const ended = closed(socket).then(() => {
    for (const answer of waiting.splice(0)) answer({ error: { desc: 'it has ended' } });
  });
  onLine(socket, (line) => {
    const message = JSON.parse(line) as object;
    // The rest is a greeting and events.
    if ('return' in message || 'error' in message) waiting.shift()?.(message as Answer);
  });
  const ask: Monitor['ask'] = async (command, settings = {}) => {
    socket.write(`${JSON.stringify({ execute: command, arguments: settings })}\n`);
    const answer = await new Promise<Answer>((settle) => {
      waiting.push(settle);
    });
    if ('error' in answer) throw new Error(`QEMU, asked to ${command}: ${answer.error.desc}`);
    return answer.return;
  };
  await ask('qmp_capabilities');
  // The memory is a file already.
  const leaveMemory = () =>
    ask('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] });
  return {
    ask,
    async save(file) {
      await leaveMemory();
      await ask('migrate', { uri: `exec:cat >'${file}'` });
      for (;;) {
        const { status } = await ask('query-migrate');
        if (status === 'completed') return;
        if (status === 'failed') throw new Error('QEMU could not save the machine');
        await sleep(20);
      }
    },
    async quit() {
      await ask('quit').catch(() => {});
      await ended;
    },
    async load(file) {
      await leaveMemory();
      await ask('migrate-incoming', { uri: `exec:cat '${file}'` });
      for (;;) {
        const { status, running } = await ask('query-status');
        if (running === true) return;
        if (status === 'paused') await ask('cont');
        await sleep(10);
      }
    },
  };
}
