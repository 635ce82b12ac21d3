/**
 * ICMP "host unreachable" and its like in ICMPv6, as answers to a TCP segment. A Linux sender that gets one for the
 * oldest segment that it waits for takes back one step of its timer's backoff (RFC 6069), and sends again when the
 * shorter time is over already.
 */
import type { End } from '../netlink/sock-diag';

/** netinet/ip_icmp.h */
const ICMP_DEST_UNREACH = 3;
const ICMP_HOST_UNREACH = 1;
/** netinet/icmp6.h */
const ICMP6_DST_UNREACH = 1;
const ICMP6_DST_UNREACH_NOROUTE = 0;
/** netinet/in.h */
const IPPROTO_TCP = 6;

/** The segment that is said not to have arrived. */
export interface Segment {
  family: 4 | 6;
  source: End;
  destination: End;
  /** Sequence number of its first byte. */
  sequence: number;
}

/** @returns the message, ready for a raw socket; in ICMPv6 without its checksum, which the kernel fills in (RFC 3542) */
export const hostUnreachable = (segment: Segment): Buffer =>
  segment.family === 4 ? icmpMessage(segment) : icmp6Message(segment);

/** RFC 792: a header of 8 bytes, the IP header, and the first 8 bytes behind it. */
function icmpMessage(segment: Segment): Buffer {
  const header = Buffer.from([ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, 0, 0, 0, 0, 0]);
  const message = Buffer.concat([header, ipv4Header(segment), tcpHeader(segment).subarray(0, 8)]);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** RFC 4443: as much of the packet as fits; all of its TCP header. */
function icmp6Message(segment: Segment): Buffer {
  const header = Buffer.from([ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ipv6Header(segment), tcpHeader(segment)]);
}

const tcpHeaderLength = 20;

function ipv4Header({ source, destination }: Segment): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(header.length + tcpHeaderLength, 2);
  header[8] = 64;
  header[9] = IPPROTO_TCP;
  source.address.copy(header, 12);
  destination.address.copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return header;
}

function ipv6Header({ source, destination }: Segment): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(tcpHeaderLength, 4);
  header[6] = IPPROTO_TCP;
  header[7] = 64;
  source.address.copy(header, 8);
  destination.address.copy(header, 24);
  return header;
}

function tcpHeader({ source, destination, sequence }: Segment): Buffer {
  const header = Buffer.alloc(tcpHeaderLength);
  header.writeUInt16BE(source.port, 0);
  header.writeUInt16BE(destination.port, 2);
  header.writeUInt32BE(sequence, 4);
  header[12] = (tcpHeaderLength / 4) << 4;
  header[13] = 0x10; // ACK
  return header;
}

/** RFC 1071, over an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
