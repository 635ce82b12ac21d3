"""The kinds of TCP connections. Each carries parcels one way; the port that the peer listens on tells its kind."""
from typing import NamedTuple


class Kind(NamedTuple):
    name: str
    port: int
    # Whose parcels it carries; "nobody" for one that is only there to be closed.
    sender: str
    size: int
    every: int  # microseconds


KINDS = [
    # A program that always has something to send: the send buffer is full soon after an answer fails to come.
    Kind("stream-out", 7101, "box", 12_000, 60_000),
    Kind("stream-in", 7102, "peer", 12_000, 60_000),
    # A program that writes little and often, and does not fill its buffer for long.
    Kind("trickle-out", 7103, "box", 64, 60_000),
    Kind("trickle-in", 7104, "peer", 64, 60_000),
    Kind("reset", 7105, "nobody", 64, 0),
]

BY_PORT = {kind.port: kind for kind in KINDS}
