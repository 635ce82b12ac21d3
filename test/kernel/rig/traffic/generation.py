"""Says nf_tables' generation id in this namespace: it grows with every transaction. Answer: {"generation"}."""
import socket
import struct

from talk import config, say

NETLINK_NETFILTER = 12
NFT_MSG_GETGEN = (10 << 8) | 16  # nfnetlink's subsystem nftables; linux/netfilter/nf_tables.h
NFTA_GEN_ID = 1

config()
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netfilter:
    netfilter.send(struct.pack("@IHHIIBBH", 20, NFT_MSG_GETGEN, 1, 1, 0, 0, 0, 0))
    answer = netfilter.recv(4096)
attributes = answer[20:]
while attributes:
    length, kind = struct.unpack("@HH", attributes[:4])
    if kind & 0x3FFF == NFTA_GEN_ID:
        say({"generation": int.from_bytes(attributes[4:8], "big")})
        break
    attributes = attributes[(length + 3) & ~3 :]
