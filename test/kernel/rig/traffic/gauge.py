"""Tells which directions of a lab are open, at full speed, from one thread.

A channel is a socket in one namespace that sends to a socket in another. On a veth pair the kernel delivers a datagram
before sendto() returns, so one thread that sends and then looks knows at once whether the channel is open. Because the
same thread tries all channels in turn, being scheduled away delays all of them alike: a change that closes every
channel in one moment shows as one single flip in the whole sequence of tries, whatever the scheduler does. A change in
several steps shows as a channel that is closed followed by another that is still open: more flips.

Argument: {"channels": [{"name", "from": namespace file, "to": namespace file, "address", "mark"?}]}. Says {"ready"}.
{"do": "probe"}: a few datagrams on each channel, answers {"arrived": {name: count}} of PROBES.
{"do": "begin"}: start trying all channels in turn without a pause.
{"do": "end"}: stop; answers {"tries", "open": {name: count}, "closed": {name: count}, "flips", "late", "firstState", "lastState"}.
{"do": "turn"}: the same answer, but goes on at once, so that no moment is unwatched."""
import collections
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

from places import enter
from talk import config, say

PROBES = 5
PATIENCE = 0.05  # seconds; an open channel answers at once


def main():
    channels = [Channel(channel) for channel in config()["channels"]]
    commands = collections.deque()
    arrived = threading.Semaphore(0)
    threading.Thread(target=listen, args=(commands, arrived), daemon=True).start()
    say({"ready": True})
    while True:
        arrived.acquire()
        command = commands.popleft()
        if command["do"] == "probe":
            say({"arrived": probe(channels)})
        elif command["do"] == "begin":
            say({"begun": True})
            watch(channels, commands, arrived)


def listen(commands, arrived):
    for line in sys.stdin:
        commands.append(json.loads(line))
        arrived.release()
    os.kill(os.getpid(), signal.SIGTERM)


class Channel:
    def __init__(self, settings):
        self.name = settings["name"]
        family = socket.AF_INET6 if ":" in settings["address"] else socket.AF_INET
        enter(settings["to"])
        self.there = socket.socket(family, socket.SOCK_DGRAM)
        self.there.bind((settings["address"], 0))
        self.there.setblocking(False)
        enter(settings["from"])
        self.here = socket.socket(family, socket.SOCK_DGRAM)
        if "mark" in settings:
            self.here.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, settings["mark"])
        self.here.connect((settings["address"], self.there.getsockname()[1]))
        self.here.setblocking(False)
        self.sequence = 0

    def send(self):
        self.sequence += 1
        try:
            self.here.send(struct.pack("!Q", self.sequence))
        except OSError:
            # EPERM is the freeze's answer in the output hook; an ICMP error of an earlier try is no answer to this one.
            pass

    def take(self):
        try:
            return struct.unpack("!Q", self.there.recv(16))[0]
        except BlockingIOError:
            return None


def probe(channels):
    begun = {channel.name: channel.sequence for channel in channels}
    for _ in range(PROBES):
        for channel in channels:
            channel.send()
    counts = dict.fromkeys((channel.name for channel in channels), 0)
    # The first datagram may have to wait for a neighbour's answer.
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and min(counts.values()) < PROBES:
        for channel in channels:
            got = channel.take()
            while got is not None:
                # What an earlier try sent and somebody held until now is no answer to this one.
                counts[channel.name] += got > begun[channel.name]
                got = channel.take()
    return counts


def watch(channels, commands, arrived):
    # Kept from one time to the next: a change between two tries is a flip even where no try came before it.
    state = None
    while True:
        tries, flips, late = 0, 0, 0
        first = state
        opened = dict.fromkeys((channel.name for channel in channels), 0)
        closed = dict(opened)
        ending = False
        while not ending:
            # The last round begins after the command has come: what it is about is seen even if we slept until then.
            ending = len(commands) > 0
            for channel in channels:
                channel.send()
                got = channel.take()
                while got is not None and got != channel.sequence:
                    late += 1
                    got = channel.take()
                now = got is not None
                if now:
                    opened[channel.name] += 1
                else:
                    closed[channel.name] += 1
                if now is not state:
                    if state is None:
                        first = now
                    else:
                        flips += 1
                    state = now
                tries += 1
        arrived.acquire()
        command = commands.popleft()
        say(
            {
                "tries": tries,
                "open": opened,
                "closed": closed,
                "flips": flips,
                "late": late,
                "firstState": "open" if first else "closed",
                "lastState": "open" if state else "closed",
            }
        )
        if command["do"] == "end":
            return


main()
