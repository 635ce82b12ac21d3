"""A lock of the network made the way CRIU makes its own: a table, a chain for what goes out, its rule, a chain for what
comes in, its rule, each in a transaction of its own, through libnftables.

No argument ({}). Says {"ready"}. {"do": "lock"} and {"do": "unlock"} answer {"at": [microseconds of CLOCK_MONOTONIC
after each transaction]}."""
import ctypes
import json
import os
import sys
import time

from talk import config, say

SOCCR_MARK = 0xC114  # CRIU's own packets carry it
TABLE = "inet CRIU-%d" % os.getpid()


def main():
    config()
    run = open_nftables()
    say({"ready": True})
    for line in sys.stdin:
        locks = json.loads(line)["do"] == "lock"
        moments = []
        for change in lock() if locks else ["delete table " + TABLE]:
            run(change)
            moments.append(time.monotonic_ns() // 1000)
        say({"at": moments})


def lock():
    yield "create table " + TABLE
    for hook in ("output", "input"):
        yield "add chain %s %s { type filter hook %s priority 0; policy drop; }" % (TABLE, hook, hook)
        yield "add rule %s %s meta mark %#x accept" % (TABLE, hook, SOCCR_MARK)


def open_nftables():
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    library.nft_ctx_buffer_error(context)

    def run(change):
        if library.nft_run_cmd_from_buffer(context, change.encode()) != 0:
            raise RuntimeError(library.nft_ctx_get_error_buffer(context).decode())

    return run


main()
