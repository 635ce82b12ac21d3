"""Writes down what arrives on a device, by kind, as a packet socket sees it: before every hook of this namespace.

Argument: {"device", "keep"?: how many packets to write down one by one}. Says {"ready"}; {"do": "take"} answers
{"counts", "packets": [{"at": seconds since 1970 by the kernel's own stamp, "kind", "flags"?, "port"?}]} since the last take."""
import selectors
import socket
import struct

import wire
from talk import Lines, config, say

ETH_P_ALL = 3
PACKET_IGNORE_OUTGOING = 23  # linux/if_packet.h
SOL_PACKET = 263


def main():
    settings = config()
    keep = settings.get("keep", 0)
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    tap.setsockopt(socket.SOL_SOCKET, wire.SO_TIMESTAMPNS, 1)
    tap.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 128 << 20)
    tap.bind((settings["device"], 0))
    tap.setblocking(False)
    waiting = selectors.DefaultSelector()
    waiting.register(tap, selectors.EVENT_READ)
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ)
    counts, packets = {}, []
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select():
            drain(tap, counts, packets, keep)
            if key.fileobj is tap:
                continue
            for _ in lines.read():
                say({"counts": counts, "packets": packets})
                counts, packets = {}, []


def drain(tap, counts, packets, keep):
    try:
        while True:
            data, control, _, _ = tap.recvmsg(128, 64)
            packet = classify(data)
            counts[packet["kind"]] = counts.get(packet["kind"], 0) + 1
            if len(packets) < keep:
                seconds, nanoseconds = struct.unpack("@qq", control[0][2])
                packet["at"] = seconds + nanoseconds / 1e9
                packets.append(packet)
    except BlockingIOError:
        return


def classify(frame):
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0806:
        return {"kind": "arp"}
    if kind == 0x0800:
        header = (frame[14] & 15) * 4
        if int.from_bytes(frame[20:22], "big") & 0x3FFF:
            return {"kind": "fragment4"}
        return inside(4, frame[23], frame[14 + header :])
    if kind == 0x86DD:
        if frame[20] == 44:
            return {"kind": "fragment6"}
        # MLD reports stand behind a hop-by-hop header.
        if frame[20] == 0:
            return inside(6, frame[54], frame[62:])
        return inside(6, frame[20], frame[54:])
    return {"kind": "ether%04x" % kind}


def inside(family, protocol, data):
    if protocol == socket.IPPROTO_TCP:
        flags = [name for bit, name in ((1, "FIN"), (2, "SYN"), (4, "RST"), (16, "ACK")) if data[13] & bit]
        return {"kind": "tcp%d" % family, "flags": flags, "port": int.from_bytes(data[2:4], "big")}
    if protocol == socket.IPPROTO_UDP:
        return {"kind": "udp%d" % family, "port": int.from_bytes(data[2:4], "big")}
    if protocol == socket.IPPROTO_ICMP:
        return {"kind": "icmp4"}
    if protocol == socket.IPPROTO_ICMPV6:
        # Neighbour solicitation and advertisement, and nothing else of ICMPv6, are what a freeze lets by.
        return {"kind": "nd" if data[0] in (135, 136) else "icmp6", "type": data[0]}
    return {"kind": "protocol%d-%d" % (protocol, family)}


main()
