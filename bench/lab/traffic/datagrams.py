"""One end of a pair of UDP sockets that send parcels to each other."""
import errno
import socket

import parcels
import wire

PORT = 7100
SIZE = 64
EVERY = 40_000  # microseconds
# So many at a time: while a flood is read, connections wait for their turn.
AT_A_TIME = 32


class Datagrams:
    def __init__(self, version, own, other):
        made = socket.socket(wire.FAMILY[version], socket.SOCK_DGRAM)
        made.bind((own, PORT))
        made.connect((other, PORT))
        made.setblocking(False)
        # A flood after a thaw is to show what the network lost, not how slow the reader is.
        made.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 64 << 20)
        self.socket = made
        self.ended = None
        self.sent, self.received = 0, 0
        self.refused = {}

    def tick(self, at):
        try:
            self.socket.send(parcels.parcel(self.sent, at, SIZE))
            self.sent += 1
        except OSError as failure:
            name = errno.errorcode[failure.errno]
            self.refused[name] = self.refused.get(name, 0) + 1

    def read(self, _at):
        try:
            for _ in range(AT_A_TIME):
                self.socket.recv(SIZE)
                self.received += 1
        except OSError:
            # Nothing more, or the answer to a datagram that was sent: `sent` counts it.
            return
