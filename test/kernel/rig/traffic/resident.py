"""A process that does nothing but live in a namespace. {"do": "pid"} answers {"pid"}."""
import os
import sys

from talk import config, say

config()
say({"ready": True})
for _ in sys.stdin:
    say({"pid": os.getpid()})
