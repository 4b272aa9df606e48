#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of the framed exec session (docs/api.md), for tests.

usage: frames.py SOCKET TENANT/NAME STDIN COMMAND...
Prints "stdout: ...", "stderr: ..." and "exit: N" or "error: ...".
"""
import json
import socket
import struct
import sys

STDIN, STDOUT, STDERR, STARTED, EXIT, ERROR = 1, 2, 3, 6, 7, 8


def frame(kind, payload=b""):
    return struct.pack(">B3xI", kind, len(payload)) + payload


def main():
    path, target, text, *argv = sys.argv[1:]
    body = json.dumps({"argv": argv}).encode()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path)
    # Input right behind the request: vpsd hands on what it has read of it already.
    s.sendall(f"POST /v1/instances/{target}/exec HTTP/1.1\r\nHost: vpsd\r\nConnection: Upgrade\r\n"
              f"Upgrade: vps-session\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    f = s.makefile("rb")
    head = f.readline()
    while f.readline() not in (b"\r\n", b""):
        pass
    if b" 101 " not in head:
        print(head.decode(), f.read(1000))
        sys.exit(1)
    s.sendall(frame(STDIN, text.encode() + b"\n") + frame(STDIN))
    said = {STDOUT: b"", STDERR: b""}
    last = None
    while True:
        header = f.read(8)
        if len(header) < 8:
            break
        kind, length = struct.unpack(">B3xI", header)
        payload = f.read(length)
        if kind in said:
            said[kind] += payload
        elif kind in (EXIT, ERROR):
            last = (kind, payload)
    print("stdout:", said[STDOUT].decode().strip())
    print("stderr:", said[STDERR].decode().strip())
    if last and last[0] == EXIT:
        print("exit:", struct.unpack(">I", last[1])[0])
    elif last:
        print("error:", last[1][4:].decode())
    else:
        print("no end")


main()
