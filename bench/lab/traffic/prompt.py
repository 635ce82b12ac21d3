"""For programs that take the time: woken at once, whatever else the machine does."""
import os


def be_prompt():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        # Not allowed everywhere; the times are noisier then.
        pass
