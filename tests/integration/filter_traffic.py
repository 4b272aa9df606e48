#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traffic for filter.bats and firewall.bats.

  frames OUT             every frame that a guest must not send, and some that it may: "number kind hex" lines
  send IFACE FRAMES      sends them
  serve PORT...          TCP and UDP, both families; each is answered with the address that it came from
  ask tcp|udp ADDR PORT  prints the answer; fails without one
  hold ADDR PORT N       opens N connections at once; prints how many came about, holds them until stdin ends
  talk ADDR PORT         says the lines of stdin over one connection to an echo, and prints what comes back, or "silence"
  burst ADDR PORT N      sends N datagrams
  ping ADDR N [SIZE [FROM]]  prints how many echoes came back of N, 20 a second, SIZE bytes each; fails if none did
"""
import os
import select
import socket
import struct
import sys
import time

OWN, GATEWAY, FOREIGN = "02:00:00:00:00:0a", "ee:ee:ee:ee:ee:ee", "02:00:00:00:00:0b"
WAIT = float(os.environ.get("WAIT", "0.5"))


def frames4():
    from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, fragment
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.packet import Raw
    own, other, world = "10.77.0.10", "10.77.0.11", "192.0.2.1"
    e = Ether(src=OWN, dst=GATEWAY)
    u = UDP(sport=1000, dport=2000) / Raw(b"x")
    dhcp = UDP(sport=67, dport=68) / Raw(b"x" * 300)

    def ip(k, src=own, dst=world, **more):
        return IP(id=k, src=src, dst=dst, ttl=9, **more)

    early = [
        Ether(src=FOREIGN, dst=GATEWAY) / ip(1) / u,
        e / ip(2, other) / u,
        e / ip(3, "192.0.2.2") / u,
        e / ip(4, world, "192.0.2.2") / u,
        e / ip(5, "127.0.0.1") / u,
        e / ip(6, "169.254.1.1") / u,
        Ether(src=OWN, dst="ff:ff:ff:ff:ff:ff") / ip(7, "0.0.0.0", "255.255.255.255") / UDP(sport=68, dport=67),
        e / ip(8, "255.255.255.255") / u,
        e / ip(9, "224.0.0.1") / u,
        Ether(src=OWN, dst="ff:ff:ff:ff:ff:ff") / ip(10, dst="255.255.255.255") / dhcp,
        e / ip(11, dst=other) / dhcp,
        e / ip(12, dst="192.0.2.2") / ICMP(type=5, code=1, gw=own) / IP(src=own, dst=world) / u,
        e / ip(13, dst="192.0.2.2") / ICMP(type=9),
        e / ip(14) / IP(src=other, dst=world) / u,
        e / ip(15, proto=41) / Raw(b"\x60" + b"\0" * 60),
        [e / f for f in fragment(ip(16, other) / UDP(dport=9) / Raw(b"x" * 1200), 600)],
        [e / f for f in fragment(ip(17, dst=other) / dhcp, 160)],
        e / Dot1Q(vlan=0, prio=3) / ip(18, other) / u,
        e / ip(19, dst="224.0.0.251") / UDP(sport=5353, dport=5353),
        e / ip(20, dst="224.0.0.252") / UDP(sport=5355, dport=5355),
        e / ip(21, dst="255.255.255.255") / UDP(sport=137, dport=137),
        e / ip(22, dst="224.0.0.22", proto=2) / Raw(b"\x22\0\0\0\0\0\0\0"),
        e / ip(23, dst="127.0.0.1") / u,
        e / ip(24, dst="169.254.169.254") / TCP(dport=80),
        e / ip(25, "10.77.0.12") / TCP(dport=80, flags="R"),
        e / ip(26, dst="192.0.2.2") / ICMP(type=10),
        e / ip(27, dst="192.0.2.2", options=[IPOption_LSRR(routers=["10.77.0.12"])]) / u,
    ]
    late = [e / ip(40, dst="192.0.2.255") / u, e / ip(41, dst="192.0.2.2") / u, e / ip(42, dst="10.77.0.12") / u,
            e / ip(43, dst="192.0.2.2", proto=47) / Raw(b"\0" * 8), e / ip(44, dst="10.77.0.12", proto=47) / Raw(b"\0" * 8)]
    fine = [e / ip(90) / u, e / ip(91, dst="192.0.2.2") / ICMP(type=8), e / ip(92, dst="169.254.1.1") / ICMP(type=8)]
    return (early, 1, "early"), (late, 40, "late"), (fine, 90, "fine")


def frames6():
    from scapy.layers import inet6 as v6
    from scapy.layers.inet import UDP
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.packet import Raw
    own, link, other, world = "fd77::a", "fe80::a", "fd77::b", "fd00::1"
    e = Ether(src=OWN, dst=GATEWAY)
    u = UDP(sport=1000, dport=2000) / Raw(b"x")
    tll, sll = v6.ICMPv6NDOptDstLLAddr, v6.ICMPv6NDOptSrcLLAddr

    def ip(k, src=own, dst=world, hlim=255, **more):
        return v6.IPv6(fl=k, src=src, dst=dst, hlim=hlim, **more)

    ra = v6.ICMPv6ND_RA(routerlifetime=1800) / v6.ICMPv6NDOptPrefixInfo(prefix="fd66::", prefixlen=64)
    long_ra = ra / Raw(b"\x0e\x20" + b"\0" * 254)
    early = [
        Ether(src=FOREIGN, dst=GATEWAY) / ip(1) / u,
        e / ip(2, other) / u,
        e / ip(3, "fe80::1", "fd00::2") / u,
        e / ip(4, "fd00::2") / u,
        e / ip(5, "::", "fe80::1") / v6.ICMPv6ND_NS(tgt="fe80::1"),
        e / ip(6, link, "ff02::1") / ra,
        e / ip(7, link, "ff02::1") / v6.IPv6ExtHdrDestOpt() / ra,
        [e / f for f in v6.fragment6(ip(8, link, "ff02::1") / v6.IPv6ExtHdrFragment(id=8) / long_ra, 200)],
        e / ip(9, link, "fd00::2") / v6.ICMPv6ND_Redirect(tgt=link, dst=world),
        e / ip(10, link, "fe80::1") / v6.ICMPv6ND_NA(tgt=other, R=0, O=1) / tll(lladdr=OWN),
        e / ip(11, link, "fe80::1") / v6.ICMPv6ND_NA(tgt=own, R=0, O=1) / tll(lladdr=FOREIGN),
        e / ip(12, link, "ff02::1") / v6.ICMPv6ND_NA(tgt="fe80::1", R=1, O=1) / tll(lladdr=OWN),
        e / ip(13, link, "fe80::1") / v6.ICMPv6ND_NS(tgt="fe80::1") / sll(lladdr=FOREIGN),
        e / ip(14, link, "fe80::1") / v6.ICMPv6ND_NS(tgt="fe80::1") / sll(lladdr=OWN) / sll(lladdr=FOREIGN),
        e / ip(15, link, "ff02::2") / v6.ICMPv6ND_RS(),
        e / ip(16, link, "ff02::16", 1) / v6.IPv6ExtHdrHopByHop(options=[v6.RouterAlert()]) / v6.ICMPv6MLReport2(),
        e / ip(17, link, "fe80::1") / UDP(sport=547, dport=546),
        e / ip(18, dst=other) / UDP(sport=547, dport=546),
        e / ip(19, link, "ff02::fb") / UDP(sport=5353, dport=5353),
        e / ip(20, "2002:a4d:b::1") / u,
        e / ip(21) / v6.IPv6(src=other, dst=world) / u,
        e / Dot1Q(vlan=0) / ip(22, other) / u,
        e / ip(23, link, "fe80::1") / u,
        e / ip(24, "fe80::b", "fe80::1") / v6.ICMPv6EchoRequest(),
        e / ip(25, other) / v6.IPv6ExtHdrDestOpt() / u,
        [e / f for f in v6.fragment6(ip(26, other) / v6.IPv6ExtHdrFragment(id=26) / UDP(dport=9) / Raw(b"x" * 900), 500)],
        e / ip(27, "fd88:0:0:d::1") / u,
    ]
    late = [e / ip(40, dst="fd00::2") / u, e / ip(41, dst="fd77::c") / u]
    fine = [e / ip(90) / u, e / ip(91, dst="fd00::2") / v6.ICMPv6EchoRequest(),
            e / ip(92, link, "fe80::1") / v6.ICMPv6ND_NS(tgt="fe80::1") / sll(lladdr=OWN),
            e / ip(93, link, "fe80::1") / v6.ICMPv6ND_NA(tgt=own, R=0, S=1) / tll(lladdr=OWN),
            e / ip(94, link, "ff02::1:ff00:1") / v6.ICMPv6ND_NS(tgt="fe80::1") / sll(lladdr=OWN),
            e / ip(95, "fe80::ff:fe00:a", "fe80::1") / v6.ICMPv6ND_NS(tgt="fe80::1") / sll(lladdr=OWN)]
    return (early, 101, "early"), (late, 140, "late"), (fine, 190, "fine")


def frames_arp():
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    own, other = "10.77.0.10", "10.77.0.11"
    e = Ether(src=OWN, dst="ff:ff:ff:ff:ff:ff")

    def arp(k, psrc=own, hwsrc=OWN, op=1):
        return ARP(op=op, hwsrc=hwsrc, psrc=psrc, pdst=f"10.99.0.{k}")

    bad = [e / arp(1, other), e / arp(2, hwsrc=FOREIGN), e / arp(3, "169.254.1.1", op=2), e / arp(4, other, op=2),
           e / arp(5, "192.0.2.2", op=2), e / Dot1Q(vlan=0) / arp(6, other), e / arp(7, "0.0.0.0"),
           Ether(src=OWN, dst=GATEWAY) / arp(8, other, FOREIGN, 2)]
    return (bad, 201, "arp"), ([e / arp(90), e / arp(91, op=2)], 290, "fine")


def frames(out):
    with open(out, "w", encoding="ascii") as f:
        for group in (*frames4(), *frames6(), *frames_arp()):
            for k, packets in enumerate(group[0]):
                for p in packets if isinstance(packets, list) else [packets]:
                    f.write(f"{group[1] + k} {group[2]} {bytes(p).hex()}\n")


def send(iface, path):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s, open(path, encoding="ascii") as f:
        s.bind((iface, 0))
        for line in f:
            s.send(bytes.fromhex(line.split()[2]))


def serve(*ports):
    poll = select.poll()
    socks = {}
    for port in ports:
        for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
            s = socket.socket(socket.AF_INET6, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            s.bind(("::", int(port)))
            if kind == socket.SOCK_STREAM:
                s.listen(1024)
            socks[s.fileno()] = s
            poll.register(s, select.POLLIN)
    kept = []
    while True:
        for fd, _ in poll.poll():
            s = socks[fd]
            if s.type == socket.SOCK_DGRAM:
                peer = s.recvfrom(64)[1]
                s.sendto(peer[0].removeprefix("::ffff:").encode(), peer)
            else:
                c, peer = s.accept()
                try:
                    c.send(peer[0].removeprefix("::ffff:").encode())
                except OSError:
                    pass
                kept.append(c)


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def ask(protocol, addr, port):
    s = socket.socket(family(addr), socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(WAIT)
    try:
        s.connect((addr, int(port)))
        if protocol == "udp":
            s.send(b"?")
        answer = s.recv(64).decode()
    except OSError as e:
        sys.exit(f"no answer: {e}")
    print(answer)


def hold(addr, port, n):
    held = []
    for _ in range(int(n)):
        s = socket.socket(family(addr))
        s.setblocking(False)
        try:
            s.connect((addr, int(port)))
        except BlockingIOError:
            pass
        held.append(s)
    time.sleep(2 * WAIT)
    poll = select.poll()
    for s in held:
        poll.register(s, select.POLLOUT)
    print(sum(1 for _, event in poll.poll(0) if event == select.POLLOUT), flush=True)
    sys.stdin.read()


def talk(addr, port):
    s = socket.create_connection((addr, int(port)), 10 * WAIT)
    s.settimeout(2 * WAIT)
    for line in sys.stdin:
        s.send(line.encode())
        try:
            print(s.recv(1024).decode(), end="", flush=True)
        except OSError:
            print("silence", flush=True)


def burst(addr, port, n):
    with socket.socket(family(addr), socket.SOCK_DGRAM) as s:
        s.connect((addr, int(port)))
        for _ in range(int(n)):
            try:
                s.send(b"x" * 100)
            except OSError:
                pass


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ping(addr, n, size="8", source=None):
    is6 = ":" in addr
    ident = os.getpid() & 0xffff
    s = socket.socket(family(addr), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if is6 else socket.IPPROTO_ICMP)
    if source:
        s.bind((source, 0))
    to = socket.getaddrinfo(addr, 0)[0][4]
    came = set()

    def listen(until):
        while (left := until - time.monotonic()) > 0:
            if select.select([s], [], [], left)[0]:
                p = s.recv(2048)
                p = p if is6 else p[(p[0] & 15) * 4:]
                kind, _, _, whose, number = struct.unpack("!BBHHH", p[:8])
                if kind == (129 if is6 else 0) and whose == ident:
                    came.add(number)
                    if len(came) == int(n):
                        return

    for k in range(int(n)):
        p = struct.pack("!BBHHH", 128 if is6 else 8, 0, 0, ident, k) + bytes(int(size) - 8)
        if not is6:
            p = p[:2] + struct.pack("!H", checksum(p)) + p[4:]
        s.sendto(p, to)
        listen(time.monotonic() + 0.05)
    listen(time.monotonic() + 2 * WAIT)
    print(len(came))
    sys.exit(not came)


if __name__ == "__main__":
    {"frames": frames, "send": send, "serve": serve, "ask": ask, "hold": hold,
     "talk": talk, "burst": burst, "ping": ping}[sys.argv[1]](*sys.argv[2:])
