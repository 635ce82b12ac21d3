"""Accepts TCP connections on several addresses and keeps them open. Argument: {"on": [[address, port], ...]}.
Says {"ready"}; {"do": "take"} answers {"accepted"} since the last take."""
import selectors
import socket

from talk import Lines, config, say


def main():
    waiting = selectors.DefaultSelector()
    for address, port in config()["on"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=512)
        listener.setblocking(False)
        waiting.register(listener, selectors.EVENT_READ, "listener")
    lines = Lines()
    waiting.register(lines.fd, selectors.EVENT_READ, "lines")
    kept, accepted = [], 0
    say({"ready": True})
    while not lines.ended:
        for key, _ in waiting.select():
            if key.data == "listener":
                try:
                    kept.append(key.fileobj.accept())
                    accepted += 1
                except OSError:
                    # Reset before it was accepted.
                    pass
                continue
            for _ in lines.read():
                say({"accepted": accepted})
                accepted = 0


main()
