"""Sends packets of many kinds, as fast as it can or at a given pace, and says how many it sent and what refused them.

Argument: {"jobs": [{"kind", "family", "from", "to", "count", "size"?, "port"?, "everyUs"?, "mark"?, "device"?}]}
Kinds: udp, icmp, raw, fragment (a datagram in three pieces), tail (last pieces alone), multicast."""
import errno
import socket
import time

import wire
from talk import config, say


def main():
    # One packet of each job in turn: every kind is on the wire during the whole run.
    jobs = [Job(job) for job in config()["jobs"]]
    going = list(jobs)
    while going:
        going = [job for job in going if job.step()]
    say({"jobs": [job.result() for job in jobs]})


class Job:
    def __init__(self, job):
        self.job = job
        self.sequence = 0
        self.sent = 0
        self.refused = {}
        self.pause = job.get("everyUs", 0) / 1e6
        self.make, self.socket, self.address = prepare(job)

    def step(self):
        """One packet; false when it was the last."""
        if self.pause:
            time.sleep(self.pause)
        try:
            self.socket.sendto(self.make(self.sequence), self.address)
            self.sent += 1
        except OSError as failure:
            # A full queue is no answer of a freeze, but is told all the same.
            name = errno.errorcode.get(failure.errno, str(failure.errno))
            self.refused[name] = self.refused.get(name, 0) + 1
        self.sequence += 1
        return self.sequence < self.job["count"]

    def result(self):
        return {
            "kind": self.job["kind"],
            "family": self.job["family"],
            "attempted": self.sequence,
            "sent": self.sent,
            "refused": self.refused,
        }


def prepare(job):
    """How to make the packet of a sequence number, the socket, and the address to send to."""
    kind, family, to, size = job["kind"], job["family"], job["to"], job.get("size", 64)
    domain = wire.FAMILY[family]
    if kind == "icmp":
        protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
        made = socket.socket(domain, socket.SOCK_RAW, protocol)
        make, port = (lambda n: wire.echo_request(family, n, size)), 0
    elif kind in ("raw", "tail"):
        made = socket.socket(domain, socket.SOCK_RAW, socket.IPPROTO_RAW)
        if family == 6:
            made.setsockopt(socket.IPPROTO_IPV6, wire.IPV6_HDRINCL, 1)
        offset = 100 if kind == "tail" else 0
        make, port = (lambda n: wire.whole_packet(family, job["from"], to, n, size, offset)), 0
    else:
        made = socket.socket(domain, socket.SOCK_DGRAM)
        made.bind((job["from"], 0))
        port = job.get("port", {"udp": wire.UDP_PORT, "fragment": wire.FRAGMENT_PORT}.get(kind, wire.MULTICAST_PORT))
        if kind == "fragment":
            size = 3000
        if kind == "multicast":
            to = wire.GROUP[family]
            send_multicast_through(made, family, job["device"])
        make = lambda n: wire.payload(n, size)
    made.setsockopt(socket.SOL_SOCKET, wire.SO_SNDBUFFORCE, 32 << 20)
    if "mark" in job:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, job["mark"])
    return make, made, (to, port)


def send_multicast_through(made, family, device):
    index = socket.if_nametoindex(device)
    # No copy for our own namespace: its receivers count what comes from outside.
    if family == 4:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        request = socket.inet_aton("0.0.0.0") * 2 + index.to_bytes(4, "little")
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)


main()
