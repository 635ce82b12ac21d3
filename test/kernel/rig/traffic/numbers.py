"""Numbered datagrams: one end sends them at a pace, the other says which came, and in which order.

Argument: {"listen": [address, port]}, or {"send": [address, port], "perSecond": 5000, "count"?}.
Says {"ready"}. A sender answers {"do": "begin"} and {"do": "stop"} with {"sent", "refused"}, where refused counts errors by
name; with "count" it stops by itself, and {"do": "wait"} answers when it has. A listener answers {"do": "take"} with
{"received", "missing", "overtaken", "twice", "last"}: missing are the numbers below the largest that have not come;
overtaken are those that came after a larger one."""
import errno
import selectors
import socket
import threading
import time

from talk import Lines, config, say

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33


class Sender(threading.Thread):
    def __init__(self, settings):
        super().__init__(daemon=True)
        address, port = settings["send"]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, settings.get("buffer", 64 << 20))
        self.socket.connect((address, port))
        self.every = 1 / settings.get("perSecond", 5000)
        self.count = settings.get("count")
        self.sent = 0
        self.refused = {}
        self.going = True

    def run(self):
        due = time.monotonic()
        while self.going and (self.count is None or self.sent < self.count):
            now = time.monotonic()
            if due > now:
                time.sleep(due - now)
            due = max(due, now - 0.01) + self.every
            try:
                self.socket.send(b"%d" % self.sent + b" " * 40)
                self.sent += 1
            except OSError as failure:
                name = errno.errorcode.get(failure.errno, str(failure.errno))
                self.refused[name] = self.refused.get(name, 0) + 1

    def told(self):
        return {"sent": self.sent, "refused": self.refused}


class Listener:
    def __init__(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((address, port))
        self.socket.setblocking(False)
        self.seen = set()
        self.last = -1
        self.overtaken = 0
        self.twice = 0

    def read(self):
        try:
            while True:
                number = int(self.socket.recv(100).split()[0])
                if number in self.seen:
                    self.twice += 1
                elif number < self.last:
                    self.overtaken += 1
                self.seen.add(number)
                self.last = max(self.last, number)
        except BlockingIOError:
            pass

    def told(self):
        received = len(self.seen)
        missing = self.last + 1 - received
        return {"received": received, "missing": missing, "overtaken": self.overtaken, "twice": self.twice, "last": self.last}


def main():
    settings = config()
    waiting = selectors.DefaultSelector()
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ)
    sender = Sender(settings) if "send" in settings else None
    listener = Listener(*settings["listen"]) if "listen" in settings else None
    if listener:
        waiting.register(listener.socket, selectors.EVENT_READ)
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select():
            if listener and key.fileobj is listener.socket:
                listener.read()
                continue
            for command in lines.read():
                if command["do"] == "begin":
                    sender.start()
                if command["do"] == "stop":
                    sender.going = False
                    sender.join()
                if command["do"] == "wait":
                    sender.join()
                if listener:
                    listener.read()
                say((sender or listener).told())


main()
