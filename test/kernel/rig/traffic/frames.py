"""Tells what an Ethernet frame is, from its first bytes."""
import socket


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
