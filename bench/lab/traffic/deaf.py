"""The filter of 2006: one BPF instruction on a socket, which lets nothing in."""
import ctypes
import socket
import struct

import parcels

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
BPF_RET_K = 0x06  # linux/bpf_common.h: BPF_RET | BPF_K


def attach(sockets):
    """@returns the moments before the first socket and after the last"""
    instruction = ctypes.create_string_buffer(struct.pack("@HBBI", BPF_RET_K, 0, 0, 0))
    program = struct.pack("@HxxxxxxQ", 1, ctypes.addressof(instruction))  # struct sock_fprog
    return to_each(sockets, SO_ATTACH_FILTER, program)


def detach(sockets):
    """@returns the moments before the first socket and after the last"""
    return to_each(sockets, SO_DETACH_FILTER, 0)


def to_each(sockets, option, value):
    began = parcels.now()
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, option, value)
    return [began, parcels.now()]
