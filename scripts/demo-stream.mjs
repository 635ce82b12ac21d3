// One end of the demo's TCP stream. It sends the numbers 1, 2, 3 … a line each, and takes nothing but the same numbers in
// the same order from the other end: a byte that is lost, doubled or out of its place is noticed.
//
//   demo-stream.mjs listen|connect ADDRESS PORT FILE
//
// FILE always holds one line: lines received, lines sent, and `live`, `done` or what went wrong.
// SIGTERM ends the sending; when both ends have done so, all that was sent has arrived or is reported as wrong.
import { renameSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const [role, address, port, file] = process.argv.slice(2);
let sent = 0;
let received = 0;
let state = 'live';

function report() {
  // Written beside and renamed: a reader never sees half a line.
  writeFileSync(`${file}.new`, `${received} ${sent} ${state}\n`);
  renameSync(`${file}.new`, file);
}

function finish(outcome) {
  if (state === 'live') state = outcome;
  report();
  process.exit(state === 'done' ? 0 : 1);
}

function speak(socket) {
  let rest = '';
  let heardEnd = false;
  socket.setNoDelay(true);
  socket.setEncoding('latin1');
  const sending = setInterval(() => {
    sent += 1;
    socket.write(`${sent}\n`);
  }, 20);
  socket.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line !== String(received + 1)) finish(`line ${received + 1} came as ${JSON.stringify(line.slice(0, 20))}`);
      received += 1;
    }
  });
  socket.on('end', () => {
    heardEnd = true;
    clearInterval(sending);
    socket.end();
  });
  socket.on('error', (error) => finish(error.message));
  socket.on('close', () => finish(heardEnd && rest === '' ? 'done' : 'the connection broke'));
  process.on('SIGTERM', () => {
    clearInterval(sending);
    socket.end();
  });
  report();
  setInterval(report, 50);
}

// If the demo is killed, its stream does not stay for ever.
setTimeout(() => finish('nobody stopped it'), 300_000).unref();
const at = { host: address, port: Number(port) };
if (role === 'listen') {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close();
    speak(socket);
  });
  // From now on FILE is there, and a connection can be made.
  server.listen(at, report);
} else {
  const socket = connect({ ...at, allowHalfOpen: true }, () => speak(socket));
  socket.on('error', (error) => finish(error.message));
}
