"""Watches a namespace from outside of its traffic: what leaves on its wire, when its nftables rules come and go, and when
its packet queues release.

Argument: {"wire": [namespace file of the other end, device], "rules": namespace file}. Says {"ready"}. All times are
microseconds of CLOCK_MONOTONIC.
{"do": "window", "from", "to"}: answers {"packets", "resets"} that left between the two.
{"do": "guard"}: looks at the packet queues, if they hold anything, again and again until they release.
{"do": "after", "at"}: answers {"packet", "addition", "removal", "held"}: the first packet from then on, the first news of a
rule that came and of one that went, and the last look that saw everything held; or null."""
import selectors

from places import enter
from prompt import be_prompt
from queues import Queues
from rules import Rules
from talk import Lines, config, say
from tap import Tap

BETWEEN_LOOKS = 0.0001  # seconds


def main():
    be_prompt()
    settings = config()
    namespace, device = settings["wire"]
    enter(namespace)
    tap = Tap(device)
    enter(settings["rules"])
    rules, queues = Rules(), Queues()
    lines = Lines()
    waiting = selectors.DefaultSelector()
    for one in (tap.socket, rules.socket, lines.fd):
        waiting.register(one, selectors.EVENT_READ)
    say({"ready": True})
    while not lines.ended:
        ready = [key.fileobj for key, _ in waiting.select(BETWEEN_LOOKS if queues.are_guarded() else None)]
        if queues.are_guarded():
            queues.look()
        # The rules first: their only stamp is the moment at which we read.
        rules.read()
        tap.read()
        if lines.fd in ready:
            for command in lines.read():
                say(answer(command, tap, rules, queues))


def answer(command, tap, rules, queues):
    if command["do"] == "window":
        return tap.between(command["from"], command["to"])
    if command["do"] == "guard":
        queues.guard()
        return {}
    since = command["at"]
    return {
        "packet": tap.first(since),
        "addition": rules.first("addition", since),
        "removal": rules.first("removal", since),
        "held": queues.held_at,
    }


main()
