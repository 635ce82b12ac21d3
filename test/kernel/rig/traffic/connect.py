"""Tries TCP connections, all at the same time, and says what came of each.

Argument: {"to": [{"address", "port", "from"?: [address, port], "mark"?, "times"?}], "timeoutMs"}.
Answer: {"attempts": [{"address", "port", "outcome": connected|refused|unreachable|timeout|<errno>, "ms"}]}."""
import errno
import selectors
import socket
import time

from talk import config, say

OUTCOME = {
    0: "connected",
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "timeout",
}


def main():
    settings = config()
    began = time.monotonic()
    waiting = selectors.DefaultSelector()
    attempts = []
    for to in settings["to"]:
        for _ in range(to.get("times", 1)):
            attempt = {"address": to["address"], "port": to["port"], "outcome": "timeout"}
            attempts.append(attempt)
            made = open_socket(to)
            status = made.connect_ex((to["address"], to["port"]))
            if status == errno.EINPROGRESS:
                waiting.register(made, selectors.EVENT_WRITE, attempt)
            else:
                settle(attempt, status, began)
    limit = began + settings["timeoutMs"] / 1000
    while waiting.get_map() and time.monotonic() < limit:
        for key, _ in waiting.select(timeout=limit - time.monotonic()):
            settle(key.data, key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), began)
            waiting.unregister(key.fileobj)
    for attempt in attempts:
        attempt.setdefault("ms", round((time.monotonic() - began) * 1000))
    say({"attempts": attempts})


def open_socket(to):
    made = socket.socket(socket.AF_INET6 if ":" in to["address"] else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    if "from" in to:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(tuple(to["from"]))
    if "mark" in to:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, to["mark"])
    return made


def settle(attempt, status, began):
    attempt["outcome"] = OUTCOME.get(status, errno.errorcode.get(status, str(status)))
    attempt["ms"] = round((time.monotonic() - began) * 1000)


main()
