"""Which ways into and out of a namespace are open, told by one thread that tries them in turn at full speed.

On a veth pair the kernel delivers a datagram before send() returns, so who sends and then looks knows at once whether it
passed; and because one thread tries all ways, being scheduled away delays all of them alike. It takes no precedence over
the kernel's own threads, which deliver where this one is too busy. Each try carries the number of its turn. A packet socket on the peer's device captures what came out, and is counted beside the receivers.

Argument: {"box", "peer", "far": namespace files, "addresses": {"box", "peer", "far": {"4", "6"}}, "device": of the peer,
"boxDevice": the other end}. Says {"ready"}. All times are microseconds of CLOCK_MONOTONIC.
{"do": "probe", "turns"}: tries all ways, the side doors of doors.py too; answers {"tried", "passed": {name: count}}.
{"do": "begin", "kill"?: {"pid", "when": "first"|"all"}}: tries datagrams in and out in turn from now on; kills the process
as soon as one way, or all of them, are closed.
{"do": "wait", "open": boolean}: answers {"reached": true} when all ways are that, or false when the end comes first.
{"do": "end"}: answers {"ways": names, "turns", "late", "changes": [[at, turn, way, open]], "captured": {name: [[turn, at]]},
"uncaptured", "killed": at or null}: each change of a way's state in order, and which turns' datagrams were seen on the wire
after the first change; `late` are those that came later than their own try, `uncaptured` those that the capture had no room for."""
import os
import select
import signal
import time

import parcels
from datagram_ways import Datagrams
from doors import doors
from talk import Lines, config, say
from wire_tap import WireTap

FAMILIES = (4, 6)
PATIENCE = 10.0  # seconds for neighbours to be found


class Watch:
    def __init__(self, ways, tap, kill):
        self.ways, self.tap, self.kill = ways, tap, kill
        self.turn, self.late = 0, 0
        # At first each must be open: whoever begins has seen to that.
        self.states = [True] * len(ways)
        self.changes = []
        self.killed = None

    def take_turn(self):
        self.turn += 1
        for index, way in enumerate(self.ways):
            passed, late = way.attempt(self.turn)
            self.late += late
            if passed is not self.states[index]:
                self.states[index] = passed
                self.changes.append((parcels.now(), self.turn, index, passed))
                self.strike()

    def strike(self):
        if self.kill is None or self.killed is not None:
            return
        closed = self.states.count(False)
        if closed == len(self.states) or (closed > 0 and self.kill["when"] == "first"):
            os.kill(self.kill["pid"], signal.SIGKILL)
            self.killed = parcels.now()

    def are(self, opened):
        return all(state is opened for state in self.states)

    def told(self):
        since = self.changes[0][1] if self.changes else self.turn
        captured, uncaptured = self.tap.take(since)
        return {
            "ways": [way.name for way in self.ways],
            "turns": self.turn,
            "late": self.late,
            "changes": self.changes,
            "captured": captured,
            "uncaptured": uncaptured,
            "killed": self.killed,
        }


def watch(ways, tap, kill, lines):
    """Until the end is asked for."""
    tap.begin()
    now = Watch(ways, tap, kill)
    poll = select.poll()
    poll.register(lines.fd, select.POLLIN)
    waits_for = None
    while not lines.ended:
        now.take_turn()
        if waits_for is not None and now.are(waits_for):
            waits_for = None
            say({"reached": True})
        for command in lines.read() if poll.poll(0) else []:
            if command["do"] == "wait":
                waits_for = command["open"]
            if command["do"] == "end":
                if waits_for is not None:
                    say({"reached": False})
                return say(now.told())


def probe(ways, turns):
    passed = dict.fromkeys((way.name for way in ways), 0)
    for _ in range(turns):
        for way in ways:
            passed[way.name] += way.attempt(way.number + 1)[0]
    return {"tried": turns, "passed": passed}


def find_neighbours(ways):
    limit = time.monotonic() + PATIENCE
    while not all([way.attempt(0)[0] for way in ways]) and time.monotonic() < limit:
        time.sleep(0.02)


def main():
    settings = config()
    places, addresses = settings, settings["addresses"]
    ways = []
    for version in FAMILIES:
        to = {place: addresses[place][str(version)] for place in addresses}
        ways.append(Datagrams("out%d" % version, places["box"], places["peer"], to["peer"]))
        ways.append(Datagrams("in%d" % version, places["peer"], places["box"], to["box"]))
    ports = {way.port: way.name for way in ways if way.name.startswith("out")}
    tap = WireTap(places["peer"], settings["device"], ports)
    others = doors(settings)
    find_neighbours(ways + others)
    lines = Lines()
    poll = select.poll()
    poll.register(lines.fd, select.POLLIN)
    say({"ready": True})
    while not lines.ended:
        poll.poll()
        for command in lines.read():
            if command["do"] == "probe":
                say(probe(ways + others, command["turns"]))
            if command["do"] == "begin":
                say({})
                watch(ways, tap, command.get("kill"), lines)


main()
