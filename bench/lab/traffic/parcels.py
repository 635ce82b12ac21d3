"""What the programs of the lab send: parcels, each with its number and the moment it was handed over, so that a receiver
can tell how far behind it is."""
import struct
import time

HEADER = struct.Struct("!QQ")


def now():
    """Microseconds of CLOCK_MONOTONIC: the same clock for every program of the lab."""
    return time.monotonic_ns() // 1000


def parcel(number, at, size):
    return HEADER.pack(number, at).ljust(size, b".")


def read(data, offset=0):
    """@returns number and moment of the parcel that begins there"""
    return HEADER.unpack_from(data, offset)
