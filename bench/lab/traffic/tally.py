"""Counts what one end has received, tried to send, and been refused."""
import echoes


class Tally:
    """Over connections and datagram sockets, from `begin` on."""

    def __init__(self, connections, datagrams):
        self.connections, self.datagrams = connections, datagrams
        self.begin()

    def begin(self):
        self.began = self.so_far()

    def since(self):
        return {name: less(count, self.began[name]) for name, count in self.so_far().items()}

    def so_far(self):
        groups = {"tcp": self.connections.values(), "udp": self.datagrams.values()}
        refused = {kind: refusals(group) for kind, group in groups.items()}
        tried = {kind: sum(one.sent for one in group) + sum(refused[kind].values()) for kind, group in groups.items()}
        received = {kind: sum(one.received for one in group) for kind, group in groups.items()}
        return {
            "received": {**received, "echo": echoes.handled()},
            "tried": tried,
            "refusedTcp": refused["tcp"],
            "refusedUdp": refused["udp"],
        }


def refusals(senders):
    sums = {}
    for sender in senders:
        for name, count in sender.refused.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def less(now, before):
    return {name: count - before.get(name, 0) for name, count in now.items()}
