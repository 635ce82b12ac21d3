"""Writes down what arrives on a device, by kind, as a packet socket sees it: before every hook of this namespace.

Argument: {"device", "keep"?: how many packets to write down one by one}. Says {"ready"}; {"do": "take"} answers
{"counts", "packets": [{"at": seconds since 1970 by the kernel's own stamp, "kind", "flags"?, "port"?}]} since the last take."""
import selectors
import socket
import struct

import wire
from frames import classify
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


main()
