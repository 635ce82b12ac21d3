"""Writes down what leaves a namespace on its wire, and when its nftables rules come and go.

Argument: {"wire": [namespace file of the other end, device], "rules": namespace file}. Says {"ready"}. All times are
microseconds of CLOCK_MONOTONIC. ARP and neighbour discovery are left out.
{"do": "mark"}: forget all so far.
{"do": "window", "from", "to"}: answers {"packets", "resets"} that left between the two.
{"do": "guard"}: looks at the namespace's packet queues (NFQUEUE), if it has any, again and again until they release.
{"do": "after", "at"}: answers {"packet", "addition", "removal", "held"}: the first packet from then on, the first news of a
rule that came and of one that went (or of what switches it), and the last look that saw everything held; or null."""
import os
import selectors
import socket
import struct
import time

import wire
from frames import classify
from places import enter
from prompt import be_prompt
from talk import Lines, config, say

ETH_P_ALL = 3  # linux/if_ether.h
PACKET_IGNORE_OUTGOING, SOL_PACKET = 23, 263  # linux/if_packet.h
NETLINK_NETFILTER = 12  # linux/netlink.h
NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
NFNL_SUBSYS_NFTABLES = 10
# linux/netfilter/nf_tables.h
NFT_MSG_DELTABLE, NFT_MSG_NEWRULE, NFT_MSG_DELRULE, NFT_MSG_DELSETELEM = 2, 6, 8, 14
CHANGES = {
    NFT_MSG_NEWRULE: "addition",
    NFT_MSG_DELTABLE: "removal",
    NFT_MSG_DELRULE: "removal",
    NFT_MSG_DELSETELEM: "removal",
}
NEIGHBOURHOOD = ("arp", "nd")
BETWEEN_LOOKS = 0.0001  # seconds


class Watch:
    def __init__(self, settings):
        namespace, device = settings["wire"]
        enter(namespace)
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.tap.setsockopt(socket.SOL_SOCKET, wire.SO_TIMESTAMPNS, 1)
        self.tap.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 64 << 20)
        self.tap.bind((device, 0))
        self.tap.setblocking(False)
        enter(settings["rules"])
        self.rules = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.rules.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
        self.rules.setblocking(False)
        self.queues = Queues()
        self.mark()

    def mark(self):
        self.packets, self.changes = [], []

    def read(self):
        # The rules first: their only stamp is the moment at which we read.
        self.read_rules()
        self.read_wire()

    def read_rules(self):
        try:
            while True:
                at = time.monotonic_ns() // 1000
                data = self.rules.recv(1 << 16)
                while len(data) >= 16:
                    length, kind = struct.unpack_from("@IH", data)
                    if kind >> 8 == NFNL_SUBSYS_NFTABLES and kind & 0xFF in CHANGES:
                        self.changes.append((at, CHANGES[kind & 0xFF]))
                    data = data[(length + 3) & ~3 :]
        except BlockingIOError:
            return

    def read_wire(self):
        # The kernel's stamp counts from 1970.
        since_boot = time.time_ns() - time.monotonic_ns()
        try:
            while True:
                frame, control, _, _ = self.tap.recvmsg(128, 64)
                packet = classify(frame)
                if packet["kind"] in NEIGHBOURHOOD:
                    continue
                seconds, nanoseconds = struct.unpack("@qq", control[0][2])
                at = (seconds * 1_000_000_000 + nanoseconds - since_boot) // 1000
                self.packets.append((at, "RST" in packet.get("flags", ())))
        except BlockingIOError:
            return

    def answer(self, command):
        if command["do"] == "mark":
            self.mark()
            return {}
        if command["do"] == "guard":
            self.queues.guard()
            return {}
        if command["do"] == "window":
            inside = [reset for at, reset in self.packets if command["from"] <= at < command["to"]]
            return {"packets": len(inside), "resets": sum(inside)}
        return {
            "packet": next((at for at, _ in self.packets if at >= command["at"]), None),
            "addition": self.change("addition", command["at"]),
            "removal": self.change("removal", command["at"]),
            "held": self.queues.held_at,
        }

    def change(self, kind, since):
        return next((at for at, one in self.changes if one == kind and at >= since), None)


class Queues:
    """The packet queues of the namespace that we are in: a release of held packets is told nowhere, but can be seen."""

    def __init__(self):
        self.file = None
        self.held_at = None

    def guard(self):
        try:
            self.file = os.open("/proc/self/net/netfilter/nfnetlink_queue", os.O_RDONLY)
        except FileNotFoundError:
            return
        self.held = self.held_now()
        if self.held == 0:
            self.file = None

    def look(self):
        at = time.monotonic_ns() // 1000
        held = self.held_now()
        if held < self.held:
            self.file = None
            return
        self.held, self.held_at = held, at

    def held_now(self):
        # The third column is queue_total (seq_show in net/netfilter/nfnetlink_queue.c).
        lines = os.pread(self.file, 1 << 16, 0).splitlines()
        return sum(int(line.split()[2]) for line in lines)


def main():
    be_prompt()
    watch = Watch(config())
    waiting = selectors.DefaultSelector()
    waiting.register(watch.tap, selectors.EVENT_READ)
    waiting.register(watch.rules, selectors.EVENT_READ)
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ)
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select(None if watch.queues.file is None else BETWEEN_LOOKS):
            watch.read()
            if key.fileobj == lines.fd:
                for command in lines.read():
                    say(watch.answer(command))
        if watch.queues.file is not None:
            watch.queues.look()


main()
