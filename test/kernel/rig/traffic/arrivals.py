"""When datagrams arrive.

Argument: {"listen": [address, port]}. Says {"ready"}; answers {"do": "take"} with {"at"}: for each datagram since the last
answer two times of day in milliseconds: when the kernel says that it came, and when it was read here. A packet that was
held comes late for its first time; one that waits for this program is late for its second."""
import selectors
import socket
import struct
import time

from talk import Lines, config, say

SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33


def read(listener, times):
    while True:
        try:
            _, extra, _, _ = listener.recvmsg(64, 128)
        except BlockingIOError:
            return
        now = time.time() * 1000
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", data[:16])
                times.append([seconds * 1000 + nanoseconds / 1e6, now])


def main():
    address, port = config()["listen"]
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    listener.bind((address, port))
    listener.setblocking(False)
    waiting = selectors.DefaultSelector()
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ)
    waiting.register(listener, selectors.EVENT_READ)
    times = []
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                read(listener, times)
                continue
            for _ in lines.read():
                read(listener, times)
                say({"at": times})
                times = []


main()
