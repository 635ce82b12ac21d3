"""The packet queues (NFQUEUE) of the namespace that we are in. A release of what they hold is told nowhere, but it can be
seen."""
import os

import parcels


class Queues:
    def __init__(self):
        self.file = None
        # The last look that saw everything held, or None.
        self.held_at = None

    def guard(self):
        """Begins to look, if there is anything held."""
        try:
            self.file = os.open("/proc/self/net/netfilter/nfnetlink_queue", os.O_RDONLY)
        except FileNotFoundError:
            return
        self.held = self.held_now()
        if not any(self.held.values()):
            self.leave()

    def are_guarded(self):
        return self.file is not None

    def look(self):
        at = parcels.now()
        held = self.held_now()
        # Each for itself: what comes in when one is released is answered, and the answers are held in the other.
        if any(held.get(queue, 0) < self.held[queue] for queue in self.held):
            self.leave()
        else:
            self.held, self.held_at = held, at

    def held_now(self):
        """@returns how many packets each queue holds"""
        # Columns: the queue's number, its owner, queue_total (seq_show in net/netfilter/nfnetlink_queue.c).
        lines = [line.split() for line in os.pread(self.file, 1 << 16, 0).splitlines()]
        return {line[0]: int(line[2]) for line in lines}

    def leave(self):
        os.close(self.file)
        self.file = None
