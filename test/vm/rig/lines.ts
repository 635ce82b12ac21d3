/** Sockets that speak in lines: QEMU's monitor and the guest's agent. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Connects as soon as somebody listens.
 * @param abandoned asked between tries; true ends them with an error
 */
export async function connectTo(path: string, abandoned: () => boolean): Promise<Socket> {
  for (;;) {
    const socket = connect(path);
    const connected = await new Promise<boolean>((settle) => {
      socket.once('connect', () => settle(true));
      socket.once('error', () => settle(false));
    });
    if (connected) {
      // Who ends it is seen by the process that ends, not here.
      socket.on('error', () => {});
      return socket;
    }
    if (abandoned()) throw new Error(`nobody listens at ${path}`);
    await sleep(10);
  }
}

/** Waits for the end of a socket, whatever ends it: `once` of Node would fail where it breaks. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((settle) => {
    socket.once('close', () => settle());
  });
}

/** Calls back with each whole line. */
export function onLine(socket: Socket, said: (line: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(said);
  });
}
