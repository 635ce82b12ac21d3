"""Keeps a file open. Argument: {"file"}. Says {"ready"}."""
from talk import Lines, config, say

file = open(config()["file"])
say({"ready": True})
lines = Lines()
import select

while not lines.ended:
    select.select([lines.fd], [], [])
    lines.read()
