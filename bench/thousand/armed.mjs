// An armed freeze in a process that is running already: one message, from the call to the kernel's answer.
import { netfreeze } from './netfreeze.mjs';
import { load } from './parts.mjs';

/** @returns microseconds of each of the freezes */
export function measureArmed(namespace, parts, count) {
  const { NETLINK, confirm, elementsIn, filling, flushSet, inside, openNetlink, pin, readDump, send, transaction } =
    load(parts);
  netfreeze('arm', namespace);
  try {
    const socket = inside(pin(`/run/netns/${namespace}`), () => openNetlink(NETLINK.NETFILTER));
    const keys = ['inet 02', 'inet 0a'];
    const thawing = transaction([flushSet('inet', 'netfreeze', 'lease')]);
    const times = [];
    const make = (changes) => {
      send(socket, changes);
      confirm(socket, changes);
    };
    for (let turn = 0; turn < count; turn += 1) {
      const freezing = transaction(filling(keys, 'netfreeze', 'lease', 30_000));
      const began = performance.now();
      make(freezing);
      times.push((performance.now() - began) * 1000);
      if (turn === 0 && elementsIn(readDump(socket, 'netfreeze'), 'lease').length !== 2)
        throw new Error('it is not frozen');
      make(thawing);
    }
    socket.close();
    return times;
  } finally {
    netfreeze('off', '--disarm', namespace);
  }
}
