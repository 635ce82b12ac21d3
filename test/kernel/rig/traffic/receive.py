"""Counts, by kind, what reaches the programs of a namespace: sockets, past every hook.

Argument: {"device"}. Says {"ready"}; {"do": "take"} answers the counts since the last take, with what the kernel's own
counters say was delivered, and was put together from fragments."""
import selectors
import socket
import struct

import wire
from talk import Lines, config, say


def main():
    device = config()["device"]
    sockets = dict(everything(device))
    counts = dict.fromkeys(sockets, 0)
    before = delivered()
    waiting = selectors.DefaultSelector()
    for kind, one in sockets.items():
        waiting.register(one, selectors.EVENT_READ, kind)
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ, None)
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select():
            if key.data is not None:
                counts[key.data] += drain(key.data, key.fileobj)
                continue
            for _ in lines.read():
                for kind, one in sockets.items():
                    counts[kind] += drain(kind, one)
                now = delivered()
                say({"counts": counts, "kernel": {name: now[name] - before[name] for name in now}})
                counts, before = dict.fromkeys(sockets, 0), now


def everything(device):
    index = socket.if_nametoindex(device)
    for family in (4, 6):
        domain = wire.FAMILY[family]
        everywhere = "0.0.0.0" if family == 4 else "::"
        yield "udp%d" % family, bound(domain, everywhere, wire.UDP_PORT)
        yield "fragment%d" % family, bound(domain, everywhere, wire.FRAGMENT_PORT)
        group = bound(domain, everywhere, wire.MULTICAST_PORT)
        address = socket.inet_pton(domain, wire.GROUP[family])
        if family == 4:
            request = address + socket.inet_aton("0.0.0.0") + index.to_bytes(4, "little")
            group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        else:
            request = address + struct.pack("@I", index)
            group.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        yield "multicast%d" % family, group
        yield "raw%d" % family, unblocked(socket.socket(domain, socket.SOCK_RAW, wire.RAW_PROTOCOL))
        protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        yield "icmp%d" % family, unblocked(socket.socket(domain, socket.SOCK_RAW, protocol))


def bound(domain, address, port):
    made = socket.socket(domain, socket.SOCK_DGRAM)
    if domain == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, port))
    return unblocked(made)


def unblocked(made):
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 32 << 20)
    return made


def drain(kind, one):
    count = 0
    try:
        while True:
            data = one.recv(4096)
            if not kind.startswith("icmp"):
                count += 1
            elif is_our_echo_request(kind, data):
                count += 1
    except BlockingIOError:
        return count


def is_our_echo_request(kind, data):
    # A raw socket sees every ICMP message, replies and neighbour discovery among them; ICMP comes with its IP header.
    start, request = (20, 8) if kind == "icmp4" else (0, 128)
    return data[start] == request and data[start + 4 : start + 6] == wire.ECHO_ID.to_bytes(2, "big")


def delivered():
    with open("/proc/net/snmp") as file:
        rows = [line.split() for line in file if line.startswith("Ip:")]
    ip = dict(zip(rows[0], rows[1]))
    with open("/proc/net/snmp6") as file:
        ip6 = dict(line.split() for line in file)
    return {
        "delivered4": int(ip["InDelivers"]),
        "pieces4": int(ip["ReasmReqds"]),
        "pieces6": int(ip6["Ip6ReasmReqds"]),
        # Neighbour discovery is delivered as well, so IPv6 as a whole says nothing.
        "udp6": int(ip6["Udp6InDatagrams"]) + int(ip6["Udp6NoPorts"]),
    }


main()
