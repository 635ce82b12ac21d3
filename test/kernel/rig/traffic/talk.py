"""How the traffic programs speak: one JSON object as the argument, JSON lines on standard input and output.

Every program ends by itself: when standard input ends, when its work is done, or after LIFE seconds, which are more where a test has more patience (wait.ts)."""
import json
import os
import signal
import sys

LIFE = int(300 * max(1, float(os.environ.get("NETFREEZE_TEST_PATIENCE", 1)) / 8))


def config():
    """The program's argument; also starts the clock after which the program is killed."""
    signal.alarm(LIFE)
    return json.loads(sys.argv[1])


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Lines:
    """Whole lines from standard input without blocking, for programs that wait in a selector."""

    def __init__(self):
        self.fd = sys.stdin.fileno()
        os.set_blocking(self.fd, False)
        self.rest = b""
        self.ended = False

    def read(self):
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        if not data:
            self.ended = True
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line]
