#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Archives for images.bats: one well-made tree with everything in it, and many that mean harm.

usage: images_archives.py KIND [CANARY] > FILE      images_archives.py --list
"""
import gzip
import io
import struct
import sys
import tarfile


class Archive:
    """A tar on standard output; `init` adds what makes a directory a root file system."""

    def __init__(self, out, init=True):
        self.tar = tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)
        if init:
            self.dir("sbin")
            self.file("sbin/init", b"#!/bin/sh\n", mode=0o755)

    def entry(self, name, kind, data=None, **fields):
        info = tarfile.TarInfo("x")
        info.name = name
        info.type = kind
        info.mode = 0o644
        info.mtime = 1000000000
        for key, value in fields.items():
            setattr(info, key, value)
        if data is not None:
            info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)

    def file(self, name, data=b"x", **fields):
        self.entry(name, tarfile.REGTYPE, data, **fields)

    def dir(self, name, **fields):
        fields.setdefault("mode", 0o755)
        self.entry(name, tarfile.DIRTYPE, **fields)

    def symlink(self, name, target, **fields):
        self.entry(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)

    def hardlink(self, name, target):
        self.entry(name, tarfile.LNKTYPE, linkname=target)


def binary(value):
    """Bytes as a pax header value."""
    return value.decode("utf-8", "surrogateescape")


def rich(a, _):
    cap = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *e) for e in
        [(1, 7, 0xFFFFFFFF), (2, 5, 33), (4, 5, 0xFFFFFFFF), (16, 5, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)])
    a.dir("./", mode=0o751, uid=3, gid=4)
    # A merged /usr: the second layer writes through the link of the first.
    a.dir("usr")
    a.dir("usr/lib")
    a.symlink("lib", "usr/lib")
    a.file("lib/through-link", b"merged")
    a.file("usr/bin/suid", mode=0o6755, uid=0, gid=42)
    a.file("/absolute", b"absolute name")
    a.file("owned", uid=65535, gid=65534, mode=0o604)
    a.dir("sticky", mode=0o1777, uid=1000, gid=1000)
    a.file("linked-1", b"hard", mode=0o600)
    a.hardlink("linked-2", "linked-1")
    a.hardlink("linked-3", "/linked-1")
    a.symlink("dangling", "/nowhere/at/all", uid=7, gid=8)
    a.file("capable", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": binary(cap)})
    a.file("attributed", pax_headers={"SCHILY.xattr.user.note": "hello",
                                      "SCHILY.xattr.trusted.overlay.opaque": "y",
                                      "SCHILY.xattr.security.selinux": "system_u"})
    a.dir("listed", mode=0o750, pax_headers={
        "SCHILY.acl.access": "user::rwx,user:33:r-x:33,group::r-x,mask::r-x,other::---"})
    a.dir("listed-raw", mode=0o750, pax_headers={
        "SCHILY.xattr.system.posix_acl_access": binary(acl)})
    a.entry("pipe", tarfile.FIFOTYPE, mode=0o640, uid=5, gid=6)
    a.entry("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0)
    a.entry("dev/kmem", tarfile.CHRTYPE, devmajor=1, devminor=2)
    a.file("caf\u00e9", b"precomposed")
    a.file("cafe\u0301", b"combining")
    a.file("new\nline", b"name with a control character")
    a.file("replaced", b"first")
    a.hardlink("keeps", "replaced")
    a.file("replaced", b"second")
    a.file("etc/os-release", b'ID=testos\nVERSION_ID="1.2"\nPRETTY_NAME="Test OS \x07"\nID=testos\n')


def sparse(a, _):
    # GNU's pax sparse format 1.0: the map comes before the data.
    body = b"1\n1073737728\n4096\n"
    body += b"\0" * (512 - len(body)) + b"e" * 4096
    a.file("hole", body, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                      "GNU.sparse.name": "hole", "GNU.sparse.realsize": "1073741824"})


def sparse_huge(a, _):
    body = b"0\n" + b"\0" * 510
    a.file("hole", body, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                      "GNU.sparse.name": "hole",
                                      "GNU.sparse.realsize": "9223372036854775807"})


def symlink_write(a, canary):
    a.symlink("escape", canary)
    a.file("escape/file", b"overwritten")


def symlink_up(a, canary):
    a.symlink("up", "../../../../../../../../../.." + canary)
    a.file("up/file", b"overwritten")


def symlink_chain(a, canary):
    a.symlink("one", "/")
    a.symlink("two", "one/one/one" + canary)
    a.file("two/file", b"overwritten")


def symlink_file(a, canary):
    a.symlink("alias", canary + "/file")
    a.file("alias", b"overwritten")


def symlink_proc(a, canary):
    a.symlink("root", "/proc/self/root/proc/1/root" + canary)
    a.file("root/file", b"overwritten")


def chmod_link(a, canary):
    a.symlink("d", canary)
    a.dir("d", mode=0o777, uid=1, gid=1)


def names(*list_of):
    def make(a, canary):
        for name in list_of:
            a.file(name.replace("CANARY", canary), b"overwritten")
    return make


def hardlink_absolute(a, canary):
    a.hardlink("h", canary + "/file")
    a.file("h", b"overwritten")


def hardlink_up(a, canary):
    a.hardlink("h", "../../../../../../.." + canary + "/file")


def hardlink_symlink(a, canary):
    a.symlink("d", canary)
    a.hardlink("h", "d/file")
    a.file("h", b"overwritten")


def root_file(a, _):
    a.file("./", b"root is a file")


def root_link(a, canary):
    a.symlink("./", canary)


def deep(a, _):
    a.file("d/" * 129 + "f")


def long_path(a, _):
    a.file("/".join(["n" * 200] * 24))


def entries(a, _):
    for i in range(20001):
        a.file("f%d" % i, b"")


def implied(a, _):
    for i in range(300):
        a.file("%d/" % i + "d/" * 100 + "f", b"")


def xattr_big(a, _):
    a.file("f", pax_headers={"SCHILY.xattr.user.a": "v" * 100000})


def pax_huge(a, _):
    a.file("f", pax_headers={"comment": "v" * (64 << 20)})


def big_id(a, _):
    a.file("f", uid=100000)


def no_init(a, _):
    a.file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")


def init_outside(a, _):
    a.dir("sbin")
    a.symlink("sbin/init", "../../../../../../../../bin/true")


def init_directory(a, _):
    a.dir("sbin/init")
    a.dir("bin/sh")


def os_release_fifo(a, _):
    a.entry("etc/os-release", tarfile.FIFOTYPE)
    a.symlink("usr/lib/os-release", "/etc/os-release")


# name -> (maker, with an init, what the error code must be; "" = import must succeed)
KINDS = {
    "rich": (rich, True, ""),
    "sparse": (sparse, True, ""),
    "os-release-fifo": (os_release_fifo, True, ""),
    "absolute": (names("/etc/absolute", "//etc//double", "CANARY/file"), True, ""),
    "symlink-file": (symlink_file, True, ""),
    "chmod-link": (chmod_link, True, ""),
    "symlink-write": (symlink_write, True, "archive-invalid"),
    "symlink-up": (symlink_up, True, "archive-invalid"),
    "symlink-chain": (symlink_chain, True, "archive-invalid"),
    "symlink-proc": (symlink_proc, True, "archive-invalid"),
    "hardlink-absolute": (hardlink_absolute, True, "archive-invalid"),
    "hardlink-symlink": (hardlink_symlink, True, "archive-invalid"),
    "hardlink-up": (hardlink_up, True, "archive-unsafe"),
    "dotdot": (names("../../../../../../..CANARY/file"), True, "archive-unsafe"),
    "dotdot-middle": (names("a/b/../../../../../../..CANARY/file"), True, "archive-unsafe"),
    "dotdot-last": (names("a/.."), True, "archive-unsafe"),
    "dotdot-absolute": (names("/../../..CANARY/file"), True, "archive-unsafe"),
    "root-file": (root_file, True, "archive-invalid"),
    "root-link": (root_link, True, "archive-invalid"),
    "deep": (deep, True, "limit-exceeded"),
    "long-path": (long_path, True, "limit-exceeded"),
    "sparse-huge": (sparse_huge, True, "limit-exceeded"),
    "xattr-big": (xattr_big, True, "limit-exceeded"),
    "pax-huge": (pax_huge, True, "archive-invalid"),
    "big-id": (big_id, True, "archive-invalid"),
    "no-init": (no_init, False, "no-init"),
    "init-outside": (init_outside, False, "no-init"),
    "init-directory": (init_directory, False, "no-init"),
}
# Not in the list above: they need options of their own.
SPECIAL = {"entries": entries, "implied": implied}


def bomb(out):
    """600 MiB of zeros in 600 KiB."""
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as z:
        a = Archive(z)
        info = tarfile.TarInfo("zeros")
        info.size = 600 << 20

        class Zeros:
            def read(self, n):
                return b"\0" * n
        a.tar.addfile(info, Zeros())
        a.tar.close()


def main():
    if sys.argv[1] == "--list":
        for name, (_, _, code) in KINDS.items():
            print(name, code or "ok")
        return
    out = sys.stdout.buffer
    if sys.argv[1] == "bomb":
        bomb(out)
        return
    maker, init = SPECIAL.get(sys.argv[1]) or KINDS[sys.argv[1]][0], True
    if sys.argv[1] in KINDS:
        init = KINDS[sys.argv[1]][1]
    a = Archive(out, init)
    maker(a, sys.argv[2] if len(sys.argv) > 2 else "/nonexistent")
    a.tar.close()


main()
