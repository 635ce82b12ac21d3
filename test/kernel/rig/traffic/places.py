"""Moving from one network namespace to another: sockets belong to the one that they were made in."""
import ctypes

CLONE_NEWNET = 0x40000000  # linux/sched.h
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    with open(namespace) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + namespace)
