"""What a lock of input and output may leave open: what is forwarded, what the kernel itself answers, frames of packet
sockets. Each is tried like the datagrams of datagram_ways.py."""
import socket
import struct

import wire
from datagram_ways import NUMBER, Datagrams
from places import enter

ETH_P_ARP = 0x0806  # linux/if_ether.h
ETH_P_EXPERIMENT = 0x88B5  # for local experiments (IEEE 802): no stack answers it
BROADCAST = b"\xff" * 6


def doors(settings):
    addresses = settings["addresses"]
    of = lambda place, version: addresses[place][str(version)]
    ways = []
    for version in (4, 6):
        ways.append(Datagrams("forwarded%d" % version, settings["peer"], settings["far"], of("far", version)))
        ways.append(Echo("echo%d" % version, settings["peer"], version, of("box", version)))
    ways.append(Frames("frames", settings))
    ways.append(Arp("arp", settings, of("peer", 4), of("box", 4)))
    return ways


class Way:
    """One socket that sends, one that receives; `number_of` finds a try's number in what came, or None."""

    def send(self, number):
        self.newest = number
        try:
            self.here.send(self.packet(number))
        except OSError:
            pass

    def take(self):
        numbers = []
        try:
            while True:
                numbers.append(self.number_of(self.there.recv(256)))
        except BlockingIOError:
            return [number for number in numbers if number is not None]


class Echo(Way):
    """Echo requests that the box's kernel answers."""

    def __init__(self, name, here, version, address):
        self.name, self.version = name, version
        enter(here)
        protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
        self.here = self.there = socket.socket(wire.FAMILY[version], socket.SOCK_RAW, protocol)
        self.here.connect((address, 0))
        self.here.setblocking(False)

    def packet(self, number):
        return wire.echo_request(self.version, number, 32)

    def number_of(self, data):
        # A raw socket of IPv4 shows the IP header too.
        answer = data[20:] if self.version == 4 else data
        is_ours = answer[0] == (0 if self.version == 4 else 129) and answer[8:12] == b"nfz!"
        return NUMBER.unpack_from(answer, 12)[0] if is_ours else None


class Frames(Way):
    """Frames that a packet socket in the box sends past IP."""

    def __init__(self, name, settings):
        self.name = name
        enter(settings["peer"])
        self.there = packet_socket(settings["device"], ETH_P_EXPERIMENT)
        to = self.there.getsockname()[4]
        enter(settings["box"])
        self.here = packet_socket(settings["boxDevice"], 0)
        self.head = to + self.here.getsockname()[4] + struct.pack("!H", ETH_P_EXPERIMENT)

    def packet(self, number):
        return (self.head + NUMBER.pack(number)).ljust(60, b"\0")

    def number_of(self, data):
        return NUMBER.unpack_from(data, 14)[0]


class Arp(Way):
    """ARP requests that the box's kernel answers. An ARP packet has no room for a number: an answer is to the last one."""

    def __init__(self, name, settings, own, asked):
        self.name = name
        enter(settings["peer"])
        self.here = self.there = packet_socket(settings["device"], ETH_P_ARP)
        mac = self.here.getsockname()[4]
        self.asked = socket.inet_aton(asked)
        head = BROADCAST + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
        self.request = head + mac + socket.inet_aton(own) + bytes(6) + self.asked

    def packet(self, _):
        return self.request

    def number_of(self, data):
        is_answer = data[20:22] == b"\0\2" and data[28:32] == self.asked
        return self.newest if is_answer else None


def packet_socket(device, protocol):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    made.bind((device, protocol))
    made.setblocking(False)
    return made
