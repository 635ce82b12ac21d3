"""What comes in on a device, with the kernel's own stamp; ARP and neighbour discovery are left out."""
import socket
import struct
import time

import wire
from frames import classify

ETH_P_ALL = 3  # linux/if_ether.h
PACKET_IGNORE_OUTGOING, SOL_PACKET = 23, 263  # linux/if_packet.h
NEIGHBOURHOOD = ("arp", "nd")


class Tap:
    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, wire.SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((device, 0))
        self.socket.setblocking(False)
        self.packets = []

    def read(self):
        # The kernel's stamp counts from 1970.
        since_boot = time.time_ns() - time.monotonic_ns()
        try:
            while True:
                frame, control, _, _ = self.socket.recvmsg(128, 64)
                packet = classify(frame)
                if packet["kind"] in NEIGHBOURHOOD:
                    continue
                seconds, nanoseconds = struct.unpack("@qq", control[0][2])
                at = (seconds * 1_000_000_000 + nanoseconds - since_boot) // 1000
                self.packets.append((at, "RST" in packet.get("flags", ())))
        except BlockingIOError:
            return

    def between(self, begin, end):
        resets = [reset for at, reset in self.packets if begin <= at < end]
        return {"packets": len(resets), "resets": sum(resets)}

    def first(self, since):
        return next((at for at, _ in self.packets if at >= since), None)
