/** Reading a TCP segment from a packet, as a packet socket gives it. */
import type { End } from '../netlink/sock-diag';

/** netinet/in.h */
const IPPROTO_TCP = 6;
const flagAck = 0x10;

/** A segment that carries an acknowledgement. */
export interface Acknowledgement {
  source: End;
  destination: End;
  /** The next byte that the sender of this segment waits for. */
  awaited: number;
}

/** @returns the segment in an IP packet; null for anything else: another protocol, a fragment, extension headers, cut short */
export function readAcknowledgement(packet: Buffer): Acknowledgement | null {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return readIpv4(packet);
  return version === 6 ? readIpv6(packet) : null;
}

function readIpv4(packet: Buffer): Acknowledgement | null {
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  if (header < 20 || packet.length < header + 20 || packet[9] !== IPPROTO_TCP) return null;
  const isFragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
  return isFragment ? null : readTcp(packet.subarray(header), packet.subarray(12, 16), packet.subarray(16, 20));
}

function readIpv6(packet: Buffer): Acknowledgement | null {
  if (packet.length < 60 || packet[6] !== IPPROTO_TCP) return null;
  return readTcp(packet.subarray(40), packet.subarray(8, 24), packet.subarray(24, 40));
}

function readTcp(segment: Buffer, source: Buffer, destination: Buffer): Acknowledgement | null {
  if (((segment[13] ?? 0) & flagAck) === 0) return null;
  return {
    source: { address: Buffer.from(source), port: segment.readUInt16BE(0) },
    destination: { address: Buffer.from(destination), port: segment.readUInt16BE(2) },
    awaited: segment.readUInt32BE(8),
  };
}
