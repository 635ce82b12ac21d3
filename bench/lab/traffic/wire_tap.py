"""Captures the numbered datagrams that come in on a device, to be counted beside their receivers."""
import socket
import struct
import time

import wire
from datagram_ways import NUMBER
from frames import classify
from places import enter

ETH_P_ALL = 3  # linux/if_ether.h
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23  # linux/if_packet.h
ROOM = 256 << 20  # bytes; nothing is read while the time counts
# Where a datagram's data begins in its frame.
DATA = {"udp4": 14 + 20 + 8, "udp6": 14 + 40 + 8}


class WireTap:
    def __init__(self, namespace, device, ports):
        """`ports`: names of what is captured, by the port that it goes to."""
        enter(namespace)
        self.ports = ports
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, wire.SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, ROOM)
        self.socket.bind((device, 0))
        self.socket.setblocking(False)

    def begin(self):
        for _ in self.frames():
            pass
        self.statistics()

    def take(self, since):
        """@returns [number, microseconds of CLOCK_MONOTONIC] of those from `since` on, by name, and how many found no room"""
        numbers = {name: [] for name in self.ports.values()}
        # The kernel's stamp counts from 1970.
        since_boot = time.time_ns() - time.monotonic_ns()
        for frame, control in self.frames():
            packet = classify(frame)
            name = self.ports.get(packet.get("port"))
            if name is None or packet["kind"] not in DATA:
                continue
            number = NUMBER.unpack_from(frame, DATA[packet["kind"]])[0]
            if number >= since:
                seconds, nanoseconds = struct.unpack("@qq", control[0][2])
                numbers[name].append((number, (seconds * 1_000_000_000 + nanoseconds - since_boot) // 1000))
        return numbers, self.statistics()

    def frames(self):
        try:
            while True:
                yield self.socket.recvmsg(128, 64)[:2]
        except BlockingIOError:
            return

    def statistics(self):
        """Reading them also begins them anew (struct tpacket_stats)."""
        return struct.unpack("@II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
