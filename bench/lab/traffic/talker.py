"""All that the programs of one namespace send and receive: TCP connections of each kind (kinds.py), UDP both ways, and
echo requests from the peer, over IPv4 and IPv6. One thread, one selector; all times are microseconds of CLOCK_MONOTONIC.

Argument: {"role": "box"|"peer", "own": {"4", "6"}, "other": {"4", "6"}, "connections": {kind: of each family},
"onlyConnections": whether datagrams and echo requests are left out}. The box connects; the peer must be ready by then.
Says {"ready"}. Commands:
{"do": "begin"}: sends from now on. {"do": "stop"}: sends no more.
{"do": "attach"}, {"do": "detach"}: the filter of deaf.py on every socket; answers {"at": [begun, ended]}.
{"do": "reset"}: closes the connections that are there for it, so that each sends a RST.
{"do": "count"}: begins to count anew. {"do": "counts"}: answers what tally.py has counted since, and begins the
connections' logs anew.
{"do": "behind"}: answers {"behind", "ended"}: names of connections that have not just received what was just handed
over, and of those that are dead at this end.
{"do": "connections"}: answers the connections by their names, see OneWay.state.
{"do": "datagrams"}: answers {"4": {"sent", "received"}, "6": ...} since the beginning."""
import select
import socket

import datagrams
import deaf
import echoes
import parcels
import wire
from kinds import BY_PORT, KINDS
from one_way import OneWay
from prompt import be_prompt
from tally import Tally
from talk import Lines, config, say

JUST_NOW = 200_000  # microseconds


class Talker:
    def __init__(self, settings):
        self.role, self.number_of = settings["role"], settings["connections"]
        self.poll = select.epoll()
        self.readers, self.listeners = {}, {}
        self.connections, self.datagrams = {}, {}
        self.timers = []
        for version in (4, 6):
            own, other = settings["own"][str(version)], settings["other"][str(version)]
            self.open_connections(version, own, other)
            if not settings["onlyConnections"]:
                self.open_datagrams(version, own, other)
        self.tally = Tally(self.connections, self.datagrams)

    def open_datagrams(self, version, own, other):
        self.datagrams[version] = self.watch(datagrams.Datagrams(version, own, other))
        self.timers.append(Timer(datagrams.EVERY, [self.datagrams[version]]))
        if self.role == "peer":
            self.timers.append(Timer(echoes.EVERY, [self.watch(echoes.Echoes(version, other))]))

    def open_connections(self, version, own, other):
        for kind in KINDS:
            if self.role == "peer":
                self.listen(version, own, kind)
            else:
                self.connect(version, other, kind)

    def watch(self, reader):
        self.readers[reader.socket.fileno()] = reader
        self.poll.register(reader.socket, select.EPOLLIN)
        return reader

    def listen(self, version, own, kind):
        listener = socket.create_server((own, kind.port), family=wire.FAMILY[version], backlog=512)
        self.listeners[listener.fileno()] = (listener, version)
        self.poll.register(listener, select.EPOLLIN)

    def connect(self, version, other, kind):
        for _ in range(self.number_of[kind.name]):
            made = socket.create_connection((other, kind.port), timeout=10)
            self.take(made, version, kind, made.getsockname()[1])

    def accept(self, listener, version):
        made, client = listener.accept()
        self.take(made, version, BY_PORT[listener.getsockname()[1]], client[1])

    def take(self, made, version, kind, client_port):
        connection = OneWay(made, kind, sends=kind.sender == self.role)
        # Both ends call it the same.
        self.connections["%s/%d/%d" % (kind.name, version, client_port)] = self.watch(connection)
        if connection.sends:
            self.timers.append(Timer(kind.every, [connection]))

    def read(self, descriptors, at):
        for descriptor in descriptors:
            if descriptor in self.listeners:
                self.accept(*self.listeners[descriptor])
            elif descriptor in self.readers:
                self.readers[descriptor].read(at)
                self.leave(descriptor)

    def leave(self, descriptor):
        """An ended connection would wake us for ever."""
        if self.readers[descriptor].ended is not None:
            self.poll.unregister(descriptor)
            del self.readers[descriptor]

    def sockets(self):
        yield from (reader.socket for reader in self.readers.values())
        yield from (listener for listener, _ in self.listeners.values())

    def reset(self):
        for name in [name for name in self.connections if name.startswith("reset/")]:
            connection = self.connections.pop(name)
            self.poll.unregister(connection.socket)
            del self.readers[connection.socket.fileno()]
            connection.reset()

    def behind(self):
        now = parcels.now()
        behind, ended = [], []
        for name, one in self.connections.items():
            if one.ended is not None:
                ended.append(name)
            elif not one.sends and not name.startswith("reset/") and now - one.newest > JUST_NOW:
                behind.append(name)
        return {"behind": behind, "ended": ended}

    def counts(self):
        for connection in self.connections.values():
            connection.begin_log()
        return self.tally.since()

    def obey(self, command):
        do = command["do"]
        if do in ("begin", "stop"):
            for timer in self.timers:
                timer.runs = do == "begin"
        if do in ("attach", "detach"):
            return {"at": getattr(deaf, do)(list(self.sockets()))}
        if do == "reset":
            self.reset()
        if do == "count":
            self.tally.begin()
        if do == "counts":
            return self.counts()
        if do == "behind":
            return self.behind()
        if do == "connections":
            return {name: connection.state() for name, connection in self.connections.items()}
        if do == "datagrams":
            return {version: {"sent": one.sent, "received": one.received} for version, one in self.datagrams.items()}
        return {}


class Timer:
    began = parcels.now()

    def __init__(self, every, senders):
        self.every, self.senders = every, senders
        # All tick together: a program that wakes for each of its connections has no time for anything else.
        self.due = self.began + ((parcels.now() - self.began) // every + 1) * every
        self.runs = False

    def tick(self):
        now = parcels.now()
        if now < self.due:
            return
        # A tick that was missed is left out, not made up for.
        self.due += ((now - self.due) // self.every + 1) * self.every
        if self.runs:
            for sender in self.senders:
                sender.tick(now)


def until_due(timers):
    """@returns seconds to wait at the most, or None without timers"""
    return max(0, min(timer.due for timer in timers) - parcels.now()) / 1e6 if timers else None


def main():
    be_prompt()
    talker = Talker(config())
    lines = Lines()
    talker.poll.register(lines.fd, select.EPOLLIN)
    say({"ready": True})
    while not lines.ended:
        descriptors = [descriptor for descriptor, _ in talker.poll.poll(until_due(talker.timers))]
        talker.read(descriptors, parcels.now())
        for timer in talker.timers:
            timer.tick()
        if lines.fd in descriptors:
            for command in lines.read():
                say(talker.obey(command))


main()
