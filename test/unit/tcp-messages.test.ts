/** Segments that are read off the wire, and ICMP messages that quote one. */
import fc from 'fast-check';
import { readAcknowledgement } from '../../src/tcp/segment';
import { hostUnreachable } from '../../src/tcp/unreachable';

// The same bytes in every run.
fc.configureGlobal({ seed: 1 });

const bytes = (hex: string) => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const ipv4 = {
  family: 4 as const,
  source: { address: bytes('0a5b0102'), port: 7300 },
  destination: { address: bytes('0a5b0101'), port: 40_000 },
  sequence: 0xfedcba98,
};
const ipv6 = {
  family: 6 as const,
  source: { address: bytes('fd910001000000000000000000000002'), port: 7300 },
  destination: { address: bytes('fd910001000000000000000000000001'), port: 40_000 },
  sequence: 1,
};

/** RFC 1071: over all 16-bit words, the checksum's own with them, the sum is all ones. */
function sum(data: Buffer): number {
  let total = 0;
  for (let at = 0; at < data.length; at += 2) total += data.readUInt16BE(at);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

describe('host unreachable', () => {
  test('over IPv4: type 3, code 1, the IP header and eight bytes of TCP', () => {
    const message = hostUnreachable(ipv4);
    expect([message.length, message[0], message[1]]).toEqual([36, 3, 1]);
    expect(sum(message)).toBe(0xffff);
    expect(sum(message.subarray(8, 28))).toBe(0xffff);
    expect(message.subarray(20, 28)).toEqual(bytes('0a5b0102 0a5b0101'));
    expect(message.subarray(28)).toEqual(bytes('1c84 9c40 fedcba98'));
  });

  test('over IPv6: type 1, code 0, the IP header and all of the TCP header', () => {
    const message = hostUnreachable(ipv6);
    expect([message.length, message[0], message[1]]).toEqual([68, 1, 0]);
    expect(message.subarray(8, 16)).toEqual(bytes('60000000 0014 06 40'));
    expect(message.subarray(16, 32)).toEqual(ipv6.source.address);
    expect(message.subarray(32, 48)).toEqual(ipv6.destination.address);
    expect(message.subarray(48, 56)).toEqual(bytes('1c84 9c40 00000001'));
    expect(message[60]).toBe(0x50);
  });

  test('the checksum is right for every segment', () => {
    const octets = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((data) => Buffer.from(data));
    const end = fc.record({ address: octets, port: fc.nat(65_535) });
    const sequence = fc.nat({ max: 0xffffffff });
    fc.assert(
      fc.property(end, end, sequence, (source, destination, number) => {
        expect(sum(hostUnreachable({ family: 4, source, destination, sequence: number }))).toBe(0xffff);
      }),
    );
  });
});

describe('an acknowledgement', () => {
  const tcp = '1c84 9c40 00000001 fedcba98 5010 01f6 0000 0000';
  const overIpv4 = bytes(`45000028 00004000 40060000 0a5b0101 0a5b0102 ${tcp}`);
  const overIpv6 = bytes(
    `60000000 0014 06 40 ${'fd910001000000000000000000000001'} ${'fd910001000000000000000000000002'} ${tcp}`,
  );

  test('is read with its addresses, ports and the byte that is awaited', () => {
    expect(readAcknowledgement(overIpv4)).toEqual({
      source: { address: bytes('0a5b0101'), port: 7300 },
      destination: { address: bytes('0a5b0102'), port: 40_000 },
      awaited: 0xfedcba98,
    });
    expect(readAcknowledgement(overIpv6)).toMatchObject({
      source: { address: bytes('fd910001000000000000000000000001') },
      awaited: 0xfedcba98,
    });
  });

  test('behind IPv4 options', () => {
    const options = bytes(`4700002c 00004000 40060000 0a5b0101 0a5b0102 01010101 01010101 ${tcp}`);
    expect(readAcknowledgement(options)?.awaited).toBe(0xfedcba98);
  });

  test.each([
    ['another protocol', overIpv4, 9, 17],
    ['a later fragment', overIpv4, 7, 1],
    ['a first fragment', overIpv4, 6, 0x20],
    ['a header that is too short for one', overIpv4, 0, 0x41],
    ['no acknowledgement', overIpv4, 33, 0x02],
    ['another version', overIpv4, 0, 0x55],
    ['an extension header', overIpv6, 6, 44],
  ])('%s is none', (_, packet, at, value) => {
    const other = Buffer.from(packet);
    other[at] = value;
    expect(readAcknowledgement(other)).toBeNull();
  });

  test('what is cut short is none', () => {
    for (const packet of [overIpv4, overIpv6]) {
      for (let length = 0; length < packet.length; length += 1) {
        expect(readAcknowledgement(packet.subarray(0, length))).toBeNull();
      }
    }
  });

  test('nothing is read beyond the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (data) => {
        readAcknowledgement(Buffer.from(data));
      }),
    );
  });
});
