"""Binds NFQUEUE numbers, as another program does, and keeps them until it ends.

Argument: {"numbers": [7]}. Says {"ready"}."""
import socket
import struct

from talk import Lines, config, say

NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG = 3, 2


def bind(netlink, number):
    # nfgenmsg, then NFQA_CFG_CMD: bind; NFQA_CFG_PARAMS: copy mode META.
    body = struct.pack(">BBH", 0, 0, number) + struct.pack("=HHBBH", 8, 1, 1, 0, 0) + struct.pack("=HHIB3x", 9, 2, 0, 1)
    header = struct.pack("=IHHII", 16 + len(body), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, 5, 1, 0)
    netlink.send(header + body)
    error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        raise OSError(-error, "queue %d cannot be bound" % number)


def main():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    netlink.connect((0, 0))
    for number in config()["numbers"]:
        bind(netlink, number)
    say({"ready": True})
    lines = Lines()
    import select

    while not lines.ended:
        select.select([lines.fd], [], [])
        for _ in lines.read():
            say({})


main()
