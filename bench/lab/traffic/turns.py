"""Which ways into and out of a namespace are open, told by one thread that tries them in turn at full speed.

On a veth pair the kernel delivers a datagram before send() returns, so who sends and then looks knows at once whether it
passed; and because one thread tries all ways, being scheduled away delays all of them alike; what happens meanwhile it
does not see. It leaves the kernel's own threads their turn, which deliver where this one is too busy: on a slow machine that
comes late, but then it is the kernel that was late, and not the way that was closed. Each try carries the number of its turn. A packet socket on the peer's device
captures what came out, and is counted beside the receivers.

Argument: {"box", "peer", "far": namespace files, "addresses": {"box", "peer", "far": {"4", "6"}}, "device": of the peer,
"boxDevice": the other end, "patience": microseconds after which what comes has not passed; 0 where delivery is at once}.
Says {"ready"}. All times are microseconds of CLOCK_MONOTONIC.
{"do": "probe", "turns"}: tries all ways, the side doors of doors.py too; answers {"tried", "passed": {name: count}}.
{"do": "begin", "kill"?: {"pid", "when": "first"|"all"}}: tries datagrams in and out in turn from now on; kills the process
as soon as one way, or all of them, seem to be closed: what is late seems so too, and who asks sees by the changes that
came after whether it was.
{"do": "end"}: answers {"ways": names, "turns", "late", "changes": [[at, turn, way, open]], "captured": {name: [[turn, at]]},
"uncaptured", "killed": at or null}: each change of a way's state in order, and which turns' datagrams were seen on the wire
after the first change; `late` are those that came after the patience was over, `uncaptured` those that the capture had no
room for."""
import array
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
FOR_NEIGHBOURS = 10.0  # seconds
AFTER_A_PROBE = 0.05


class Tries:
    """What was tried one way: when, and what came of it."""

    def __init__(self, way, patience):
        self.way, self.patience = way, patience
        # By turn. There is no turn 0; at first each way is open: whoever begins has seen to that.
        self.times, self.arrived = array.array("q", [parcels.now()]), bytearray([1])
        self.newest, self.late = 0, 0

    def attempt(self):
        self.times.append(parcels.now())
        self.arrived.append(0)
        self.way.send(len(self.times) - 1)
        self.take()

    def take(self):
        for number in self.way.take():
            # A later try's moment is as good as now's, and costs nothing.
            if self.times[-1] - self.times[number] <= self.patience:
                self.arrived[number] = 1
                self.newest = max(self.newest, number)
            else:
                self.late += 1

    def is_closed(self):
        missing = self.newest + 1
        return missing < len(self.times) and parcels.now() - self.times[missing] >= self.patience


class Watch:
    def __init__(self, ways, tap, settings):
        self.tries = [Tries(way, settings["patience"]) for way in ways]
        self.tap, self.kill = tap, settings.get("kill")
        self.killed = None

    def take_turn(self):
        for tries in self.tries:
            tries.attempt()
            if self.kill is not None and self.killed is None:
                self.strike()

    def strike(self):
        closed = sum(tries.is_closed() for tries in self.tries)
        if closed == len(self.tries) or (closed > 0 and self.kill["when"] == "first"):
            os.kill(self.kill["pid"], signal.SIGKILL)
            self.killed = parcels.now()

    def finish(self):
        time.sleep(AFTER_A_PROBE)
        for tries in self.tries:
            tries.take()
        turns = len(self.tries[0].times)
        changes = []
        for turn in range(1, turns):
            for index, tries in enumerate(self.tries):
                if tries.arrived[turn] != tries.arrived[turn - 1]:
                    changes.append((tries.times[turn], turn, index, bool(tries.arrived[turn])))
        captured, uncaptured = self.tap.take(changes[0][1] if changes else turns)
        return {
            "ways": [tries.way.name for tries in self.tries],
            "turns": turns - 1,
            "late": sum(tries.late for tries in self.tries),
            "changes": changes,
            "captured": captured,
            "uncaptured": uncaptured,
            "killed": self.killed,
        }


def watch(ways, tap, settings, lines):
    """Until the end is asked for, or whoever asks is gone."""
    tap.begin()
    for way in ways:
        way.take()
    now = Watch(ways, tap, settings)
    poll = select.poll()
    poll.register(lines.fd, select.POLLIN)
    while not lines.ended:
        now.take_turn()
        if poll.poll(0) and any([command["do"] == "end" for command in lines.read()]):
            say(now.finish())
            return


def probe(ways, turns):
    """Each datagram is given the time that delivery may take where the kernel is busy."""
    passed = dict.fromkeys((way.name for way in ways), 0)
    begun = parcels.now()

    def take():
        for way in ways:
            # What an earlier try sent and somebody held until now is no answer to this one.
            passed[way.name] += sum(number >= begun for number in way.take())

    for turn in range(turns):
        for way in ways:
            way.send(begun + turn)
        take()
    limit = time.monotonic() + AFTER_A_PROBE
    while time.monotonic() < limit and min(passed.values()) < turns:
        take()
        time.sleep(0.001)
    return {"tried": turns, "passed": passed}


def find_neighbours(ways):
    limit = time.monotonic() + FOR_NEIGHBOURS
    while min(probe(ways, 1)["passed"].values()) == 0 and time.monotonic() < limit:
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
    if settings["patience"] == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
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
                watch(ways, tap, {"patience": settings["patience"], **command}, lines)


main()
