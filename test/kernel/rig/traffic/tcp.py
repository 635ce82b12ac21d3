"""One end of a quiet TCP connection, for tests that look at the socket itself.

Argument: {"listen": [address, port]} or {"connect": [address, port]}; "socketIn": a namespace's file, in which the socket
is made while the process stays where it is; "options": [[level, name, value], ...]; "wait": false not to wait until it
is connected. Says {"ready"}. Commands: {"do": "send", "bytes"} answers {"sent"}; {"do": "arrival", "limit"} waits for
data and answers {"at"}, a monotonic time in milliseconds, or {"at": null}; {"do": "take"} reads all that is there and
answers {"received"}; {"do": "get"|"set", "level", "name", "value"} answers {"value"}; {"do": "info"} answers {"state",
"error"}; {"do": "pid"}; {"do": "shut"} ends the sending side; {"do": "close"}."""
import ctypes
import errno
import json
import os
import select
import socket
import sys
import time

from talk import config, say

TCP_INFO = 11


def make_socket(settings, family):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    elsewhere = settings.get("socketIn")
    if elsewhere:
        enter(os.open(elsewhere, os.O_RDONLY))
    made = socket.socket(family, socket.SOCK_STREAM)
    if elsewhere:
        enter(home)
    for level, name, value in settings.get("options", []):
        made.setsockopt(level, name, value)
    return made


def enter(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def accept_or_connect(settings):
    address, port = settings.get("listen") or settings["connect"]
    end = make_socket(settings, socket.AF_INET6 if ":" in address else socket.AF_INET)
    if "connect" in settings:
        if not settings.get("wait", True):
            end.setblocking(False)
            end.connect_ex((address, port))
            say({"ready": True})
            return end
        end.connect((address, port))
        say({"ready": True})
        return end
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    end.bind((address, port))
    end.listen(1)
    say({"ready": True})
    accepted, _ = end.accept()
    end.close()
    return accepted


def obey(end, command):
    do = command["do"]
    if do == "send":
        try:
            return {"sent": end.send(b"x" * command["bytes"])}
        except OSError as failure:
            return {"sent": errno.errorcode[failure.errno]}
    if do == "arrival":
        ready, _, _ = select.select([end], [], [], command["limit"] / 1000)
        return {"at": time.monotonic() * 1000 if ready else None}
    if do == "take":
        try:
            return {"received": len(end.recv(65536, socket.MSG_DONTWAIT))}
        except BlockingIOError:
            return {"received": None}
        except OSError as failure:
            return {"received": errno.errorcode[failure.errno]}
    if do == "set":
        end.setsockopt(command["level"], command["name"], command["value"])
    if do in ("get", "set"):
        return {"value": end.getsockopt(command["level"], command["name"])}
    if do == "info":
        error = end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return {"state": end.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 104)[0], "error": errno.errorcode.get(error)}
    if do == "shut":
        end.shutdown(socket.SHUT_WR)
    if do == "close":
        end.close()
    return {"pid": os.getpid()}


end = accept_or_connect(config())
for line in sys.stdin:
    say(obey(end, json.loads(line)))
