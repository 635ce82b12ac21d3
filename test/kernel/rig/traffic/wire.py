"""What the senders and receivers agree on: ports, groups, the payload, and headers made by hand."""
import socket
import struct

UDP_PORT = 7001
FRAGMENT_PORT = 7002
MULTICAST_PORT = 7003
GROUP = {4: "239.91.1.1", 6: "ff05::91"}
# For experiments (RFC 3692): no stack answers it.
RAW_PROTOCOL = 253
ECHO_ID = 0x6E66

IPV6_HDRINCL = 36  # linux/in6.h
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def payload(sequence, size):
    return struct.pack("!4sQ", b"nfz!", sequence).ljust(size, b".")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(family, sequence, size):
    body = payload(sequence, size)
    kind = 8 if family == 4 else 128
    header = struct.pack("!BBHHH", kind, 0, 0, ECHO_ID, sequence & 0xFFFF)
    # The kernel fills in the checksum of ICMPv6, not of ICMP.
    total = checksum(header + body) if family == 4 else 0
    return struct.pack("!BBHHH", kind, 0, total, ECHO_ID, sequence & 0xFFFF) + body


def whole_packet(family, source, to, sequence, size, offset=0):
    """An IP packet with a header of our own; with an offset (in units of 8 bytes) the last fragment of one."""
    body = payload(sequence, size)
    if family == 4:
        header = struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(body),
            sequence & 0xFFFF,
            offset,
            64,
            RAW_PROTOCOL,
            0,
            socket.inet_pton(socket.AF_INET, source),
            socket.inet_pton(socket.AF_INET, to),
        )
        return header + body
    following = RAW_PROTOCOL
    if offset:
        body = struct.pack("!BBHI", RAW_PROTOCOL, 0, offset << 3, sequence & 0xFFFFFFFF) + body
        following = 44
    header = struct.pack(
        "!IHBB16s16s",
        6 << 28,
        len(body),
        following,
        64,
        socket.inet_pton(socket.AF_INET6, source),
        socket.inet_pton(socket.AF_INET6, to),
    )
    return header + body
