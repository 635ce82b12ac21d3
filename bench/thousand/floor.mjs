// The floor: the same transactions as netfreeze's from a bare loop, in one process that does nothing else. It opens a socket in
// each namespace, sends the batch that freezes, dumps and compares, sends the batch that thaws, and closes.
//
//   floor.mjs PARTS NAMES RULESET
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [parts, names, ruleset] = process.argv.slice(2);
const own = createRequire(import.meta.url)(parts);
const { NETLINK, comparable, confirm, deleteTable, flushSet, inside, libnftables, openNetlink } = own;
const { pin, readDump, recordingOf, send, transaction, wholeOf } = own;

const files = readFileSync(names, 'utf8')
  .trim()
  .split('\n')
  .map((name) => `/run/netns/${name}`);

const thawing = transaction([flushSet('inet', 'netfreeze', 'lease'), deleteTable('inet', 'netfreeze')]);
const { freezing, expected } = await compile(files[0]);

const moments = [performance.now()];
const lap = () => moments.push(performance.now());
const sockets = files.map((file) => inside(pin(file), () => openNetlink(NETLINK.NETFILTER)));
lap();
for (const socket of sockets) send(socket, freezing);
for (const socket of sockets) confirm(socket, freezing);
lap();
for (const socket of sockets) {
  if (!comparable(readDump(socket, 'netfreeze'), 'lease').equals(expected))
    throw new Error('it is not what was loaded');
}
lap();
for (const socket of sockets) {
  send(socket, thawing);
  confirm(socket, thawing);
}
lap();
for (const socket of sockets) socket.close();
lap();
process.stdout.write(JSON.stringify(moments.slice(1).map((moment, at) => moment - moments[at])));

/** What nft makes of the text, taken down once. */
async function compile(file) {
  const namespace = pin(file);
  const session = libnftables().open(namespace);
  await session.load(readFileSync(ruleset, 'utf8'));
  const socket = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
  const dump = readDump(socket, 'netfreeze');
  send(socket, thawing);
  confirm(socket, thawing);
  socket.close();
  session.close();
  return {
    freezing: transaction(wholeOf(recordingOf(dump, 'netfreeze'), 'lease')),
    expected: comparable(dump, 'lease'),
  };
}
