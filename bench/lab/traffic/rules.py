"""News from nf_tables in the namespace that we are in: rules that come, and rules that go, or what switches them."""
import socket
import struct

import parcels

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


class Rules:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))
        self.socket.setblocking(False)
        self.changes = []

    def read(self):
        try:
            while True:
                at = parcels.now()
                self.note(self.socket.recv(1 << 16), at)
        except BlockingIOError:
            return

    def note(self, messages, at):
        while len(messages) >= 16:
            length, kind = struct.unpack_from("@IH", messages)
            if kind >> 8 == NFNL_SUBSYS_NFTABLES and kind & 0xFF in CHANGES:
                self.changes.append((at, CHANGES[kind & 0xFF]))
            messages = messages[(length + 3) & ~3 :]

    def first(self, kind, since):
        return next((at for at, one in self.changes if one == kind and at >= since), None)
