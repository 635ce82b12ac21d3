"""One end of a TCP connection that carries a known pattern both ways and checks every byte that comes.

Argument: {"listen": [address, port]} or {"connect": [address, port]}, "everyMs", "chunk".
"folder": commands come and answers go through files in it ("ask", "answer"), so that this process is tied to no other
one, and CRIU can dump it. Says {"ready"} (listening, or connected). Commands: {"do": "progress"} answers {"sent",
"received", "wrong", "ended"}; {"do": "pause"} stops sending; {"do": "close", "how": "fin"|"rst"} closes the socket."""
import errno
import json
import os
import selectors
import socket
import struct
import time

from talk import Lines, config, say

# A prime length, so that no chunk, segment or window is a whole number of patterns: a lost, doubled or moved piece shows.
PERIOD = 65521
PATTERN = bytes((i * i * 31 + (i >> 5) * 7 + 11) & 0xFF for i in range(PERIOD)) * 3


class End:
    def __init__(self, settings):
        self.every = settings.get("everyMs", 5) / 1000
        self.chunk = settings.get("chunk", 200)
        self.socket = None
        self.sent = 0
        self.received = 0
        self.wrong = None
        self.ended = None
        self.paused = False
        self.next = time.monotonic()

    def take(self, connection):
        self.socket = connection
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self):
        if self.paused or self.socket is None or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + self.every
        start = self.sent % PERIOD
        try:
            self.sent += self.socket.send(PATTERN[start : start + self.chunk])
        except BlockingIOError:
            pass
        except OSError as failure:
            self.end(errno.errorcode[failure.errno])

    def read(self):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as failure:
            self.end(errno.errorcode[failure.errno])
            return
        if not data:
            self.end("FIN")
            return
        start = self.received % PERIOD
        if self.wrong is None and PATTERN[start : start + len(data)] != data:
            self.wrong = self.received
        self.received += len(data)

    def end(self, how):
        if self.ended is None:
            self.ended = how
        self.paused = True

    def close(self, how):
        if how == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.socket = None

    def progress(self):
        return {"sent": self.sent, "received": self.received, "wrong": self.wrong, "ended": self.ended}


class Letters:
    """What Lines and say() are, through files that nobody keeps open."""

    ended = False

    def __init__(self, folder):
        self.ask = os.path.join(folder, "ask")
        self.answer = os.path.join(folder, "answer")

    def read(self):
        try:
            with open(self.ask) as file:
                command = json.load(file)
            os.unlink(self.ask)
        except FileNotFoundError:
            return []
        return [command]

    def say(self, answer):
        with open(self.answer + ".new", "w") as file:
            json.dump(answer, file)
        os.rename(self.answer + ".new", self.answer)


def main():
    settings = config()
    end = End(settings)
    waiting = selectors.DefaultSelector()
    letters = Letters(settings["folder"]) if "folder" in settings else None
    lines = letters or Lines()
    answer = letters.say if letters else say
    if letters is None:
        waiting.register(lines.fd, selectors.EVENT_READ, "lines")
    listener = None
    if "listen" in settings:
        address, port = settings["listen"]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family)
        waiting.register(listener, selectors.EVENT_READ, "listener")
    else:
        end.take(socket.create_connection(tuple(settings["connect"]), timeout=10))
        waiting.register(end.socket, selectors.EVENT_READ, "data")
    answer({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select(timeout=end.every):
            if key.data == "listener":
                end.take(listener.accept()[0])
                waiting.unregister(listener)
                waiting.register(end.socket, selectors.EVENT_READ, "data")
            elif key.data == "data":
                end.read()
                if end.ended is not None:
                    waiting.unregister(end.socket)
            else:
                for command in lines.read():
                    answer(obey(command, end, waiting))
        if letters:
            for command in letters.read():
                answer(obey(command, end, waiting))
        end.write()


def obey(command, end, waiting):
    if command["do"] == "pause":
        end.paused = True
    if command["do"] == "close":
        if end.ended is None:
            waiting.unregister(end.socket)
        end.close(command["how"])
    return end.progress()


main()
