"""Attaches a program that lets every packet pass. Argument: {"device", "mode": "skb"|"drv"|"link"|"tcx"}; tcx is a
program at the ingress of tc without a discipline, the others are XDP's.

Says {"attached"} or {"refused": errno name}, and goes on until standard input ends: a program that is attached by link
is detached with it, the others stay until the device is gone."""
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

from talk import config, say

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28  # linux/bpf.h
BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP = 3, 6
BPF_XDP, BPF_TCX_INGRESS = 37, 46
XDP_FLAGS = {"skb": 2, "drv": 4}  # linux/if_link.h
RTM_SETLINK, IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS = 19, 43, 1, 3
NLM_F_REQUEST_ACK, NLA_F_NESTED = 5, 0x8000

libc = ctypes.CDLL(None, use_errno=True)


def main():
    settings = config()
    index = socket.if_nametoindex(settings["device"])
    try:
        is_tcx = settings["mode"] == "tcx"
        program = load(BPF_PROG_TYPE_SCHED_CLS if is_tcx else BPF_PROG_TYPE_XDP)
        if settings["mode"] in ("link", "tcx"):
            place = BPF_TCX_INGRESS if is_tcx else BPF_XDP
            bpf(BPF_LINK_CREATE, struct.pack("@IIII", program, index, place, 0))
        else:
            attach(index, program, XDP_FLAGS[settings["mode"]])
    except OSError as failure:
        say({"refused": errno.errorcode[failure.errno]})
        return
    say({"attached": True})
    sys.stdin.read()


def load(kind):
    """XDP_PASS: r0 = 2; exit. To tc 2 is a drop: nothing is sent while it is attached."""
    code = ctypes.create_string_buffer(bytes.fromhex("b700000002000000" "9500000000000000"))
    license_text = ctypes.create_string_buffer(b"GPL")
    return bpf(
        BPF_PROG_LOAD,
        struct.pack(
            "@IIQQIIQII",
            kind,
            2,
            ctypes.addressof(code),
            ctypes.addressof(license_text),
            0,
            0,
            0,
            0,
            0,
        ),
    )


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(BPF_SYSCALL, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def attach(index, program, flags):
    inner = struct.pack("@HHi", 8, IFLA_XDP_FD, program) + struct.pack("@HHI", 8, IFLA_XDP_FLAGS, flags)
    attribute = struct.pack("@HH", 4 + len(inner), IFLA_XDP | NLA_F_NESTED) + inner
    body = struct.pack("@BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + attribute
    message = struct.pack("@IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST_ACK, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(message)
        status = struct.unpack("@i", route.recv(4096)[16:20])[0]
    if status != 0:
        raise OSError(-status, os.strerror(-status))


main()
