/** The TCP sockets of a namespace, read from messages as the kernel sends them. */
import fc from 'fast-check';
import { type Message, messages } from '../../src/netlink/message';
import { TCP, tcpSockets } from '../../src/netlink/sock-diag';
import type { NetlinkSocket, Request } from '../../src/netlink/socket';

// The same bytes in every run.
fc.configureGlobal({ seed: 1 });

/**
 * As Linux 6.18 sent them: a frozen loopback with 5 bytes outstanding and two window probes in vain; over IPv4, over IPv6, and an IPv6 socket
 * that speaks IPv4.
 */
const recorded = {
  ipv4: '0201040298421b597f0000010000000000000000000000007f000001000000000000000000000000000000004710000000000000c8020000000000000500000000000000f26d0300050008000000000008000f00000000000c00150001000000000000000600160052000000',
  ipv6: '0a01040284d81b590000000000000000000000000000000100000000000000000000000000000001000000004b10000000000000b8020000000000000500000000000000f56d0300050008000000000008000f00000000000c00150001000000000000000600160012000000',
  mapped:
    '0a010402cb841b5a00000000000000000000ffff7f00000100000000000000000000ffff7f000001000000004910000000000000c8020000000000000500000000000000f86d0300',
};

const answer = (payload: Buffer, type = 20): Message => ({ type, flags: 2, sequence: 1, payload });
const bytes = (hex: string) => Buffer.from(hex, 'hex');

/** Answers by family: 2 is IPv4, 10 is IPv6. */
function fake(answers: Record<number, Message[]>): NetlinkSocket & { asked: Buffer[] } {
  const asked: Buffer[] = [];
  const changes = () => {
    throw new Error('nothing is changed by reading');
  };
  return {
    fd: -1,
    asked,
    request: changes,
    batch: changes,
    transmit: changes,
    verdict: changes,
    post: changes,
    dump(request: Request) {
      const [sent] = [...messages(request(7))];
      if (!sent) throw new Error('no whole message was sent');
      expect(sent).toMatchObject({ type: 20, flags: 0x301, sequence: 7 });
      asked.push(sent.payload);
      return answers[sent.payload[0] ?? 0] ?? [];
    },
    close() {},
  };
}

const waiting = { state: TCP.ESTABLISHED, retries: 2, device: 0, outstanding: 5 };

test('both families are asked, for TCP and the wanted states', () => {
  const diag = fake({});
  expect(tcpSockets(diag, [TCP.ESTABLISHED, TCP.CLOSING])).toEqual([]);
  expect(diag.asked.map((payload) => [payload.length, payload[0], payload[1], payload.readUInt32LE(4)])).toEqual([
    [56, 2, 6, (1 << 1) | (1 << 11)],
    [56, 10, 6, (1 << 1) | (1 << 11)],
  ]);
});

test('what the kernel sent', () => {
  const diag = fake({
    2: [answer(bytes(recorded.ipv4))],
    10: [recorded.ipv6, recorded.mapped].map((hex) => answer(bytes(hex))),
  });
  expect(tcpSockets(diag, [TCP.ESTABLISHED])).toEqual([
    {
      family: 4,
      ...waiting,
      local: { address: Buffer.from([127, 0, 0, 1]), port: 38978 },
      remote: { address: Buffer.from([127, 0, 0, 1]), port: 7001 },
      cookie: '4167',
      inode: 224754,
    },
    {
      family: 6,
      ...waiting,
      local: { address: bytes('00000000000000000000000000000001'), port: 34008 },
      remote: { address: bytes('00000000000000000000000000000001'), port: 7001 },
      cookie: '4171',
      inode: 224757,
    },
    {
      family: 4,
      ...waiting,
      local: { address: Buffer.from([127, 0, 0, 1]), port: 52100 },
      remote: { address: Buffer.from([127, 0, 0, 1]), port: 7002 },
      cookie: '4169',
      inode: 224760,
    },
  ]);
});

test('a socket that is listed twice is one', () => {
  const one = answer(bytes(recorded.ipv4));
  expect(tcpSockets(fake({ 2: [one, one] }), [TCP.ESTABLISHED])).toHaveLength(1);
});

test('states without a peer, other messages and cut ones are passed by', () => {
  const listening = bytes(recorded.ipv4);
  listening[1] = 10;
  const odd = [answer(listening), answer(bytes(recorded.ipv4), 3), answer(bytes(recorded.ipv4).subarray(0, 71))];
  expect(tcpSockets(fake({ 2: odd, 10: [answer(Buffer.alloc(0))] }), [TCP.ESTABLISHED])).toEqual([]);
});

test('whatever comes is read within its bounds', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
      for (const socket of tcpSockets(fake({ 2: [answer(Buffer.from(data))] }), [TCP.ESTABLISHED])) {
        expect(Object.values(TCP)).toContain(socket.state);
        expect(socket.local.address.length).toBe(socket.family === 4 ? 4 : 16);
      }
    }),
  );
});
