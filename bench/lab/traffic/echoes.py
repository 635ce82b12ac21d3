"""Echo requests to the other end, which its kernel answers itself: no program and no socket there has a part in it."""
import socket

import wire

SIZE = 24
EVERY = 120_000  # microseconds


class Echoes:
    def __init__(self, version, other):
        protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
        self.socket = socket.socket(wire.FAMILY[version], socket.SOCK_RAW, protocol)
        self.socket.setblocking(False)
        self.ended = None
        self.version, self.other = version, (other, 0)
        self.sent = 0

    def tick(self, _at):
        self.sent += 1
        try:
            self.socket.sendto(wire.echo_request(self.version, self.sent, SIZE), self.other)
        except OSError:
            # Only what the other end's kernel handles is counted.
            pass

    def read(self, _at):
        try:
            while True:
                self.socket.recv(4096)
        except OSError:
            return


def handled():
    """@returns how many echo requests this namespace's kernel has taken in"""
    with open("/proc/net/snmp") as file:
        names, counts = [line.split() for line in file if line.startswith("Icmp:")]
    with open("/proc/net/snmp6") as file:
        counts6 = dict(line.split() for line in file)
    return int(dict(zip(names, counts))["InEchos"]) + int(counts6["Icmp6InEchos"])
