"""One end of a TCP connection that carries parcels one way."""
import errno
import socket
import struct

import parcels


class OneWay:
    def __init__(self, connection, kind, sends):
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.size, self.sends = connection, kind.size, sends
        self.sent, self.received = 0, 0
        # What did not fit into the socket, or the part of a parcel that has come so far.
        self.rest = b""
        self.refused = {}
        self.ended = None
        # When the newest parcel that was received had been handed over.
        self.newest = 0
        # Moments at which a whole parcel was handed over, or had arrived, each with the (newest) parcel's number.
        self.log = []

    def tick(self, at):
        """Hands over the next parcel, if the socket takes it."""
        if self.ended is not None:
            return
        data = self.rest or parcels.parcel(self.sent, at, self.size)
        try:
            taken = self.socket.send(data)
        except OSError as failure:
            self.refuse(failure, at)
            return
        self.rest = data[taken:]
        if not self.rest:
            self.log.append((at, self.sent))
            self.sent += 1

    def refuse(self, failure, at):
        name = errno.errorcode[failure.errno]
        self.refused[name] = self.refused.get(name, 0) + 1
        if failure.errno != errno.EAGAIN:
            self.end(name, at)

    def read(self, at):
        """@param at when the data was known to be there"""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as failure:
            self.end(errno.errorcode[failure.errno], at)
            return
        if not data:
            self.end("FIN", at)
            return
        self.rest += data
        whole = len(self.rest) // self.size
        if whole > 0:
            self.receive(whole, at)

    def receive(self, whole, at):
        self.received += whole
        number, self.newest = parcels.read(self.rest, (whole - 1) * self.size)
        if number != self.received - 1:
            self.end("WRONG", at)
        self.rest = self.rest[whole * self.size :]
        self.log.append((at, number))

    def begin_log(self):
        # The last parcel handed over stays: until it has arrived, nothing has caught up.
        self.log = self.log[-1:] if self.sends else []
        self.newest = 0

    def end(self, how, at):
        if self.ended is None:
            self.ended = {"how": how, "at": at}

    def reset(self):
        """Closes it so that a RST goes out."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def state(self):
        return {"sends": self.sends, "log": self.log, "ended": self.ended}
