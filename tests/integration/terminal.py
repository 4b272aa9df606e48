#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a terminal of its own and does STEPs with it, in order.

usage: terminal.py [--size ROWSxCOLS] [--timeout SECONDS] [STEP...] -- COMMAND...
  expect:TEXT       waits until TEXT has come
  send:TEXT         types it (\\n, \\x03 and the like are understood)
  resize:ROWSxCOLS  changes the size of the terminal
Prints all that came; exits with the command's code, 128 + n for signal n, or 99 when a step was in vain.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def set_size(fd, text):
    rows, cols = text.split("x")
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(cols), 0, 0))


class Terminal:
    def __init__(self, argv, size, limit):
        self.seen = b""
        self.mark = 0
        self.open = True
        self.end = time.monotonic() + limit
        go_r, go_w = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(go_w)
            os.read(go_r, 1)  # the size is set
            os.close(go_r)
            os.execvp(argv[0], argv)
        os.close(go_r)
        set_size(self.fd, size)
        os.close(go_w)

    def read(self):
        left = self.end - time.monotonic()
        if left <= 0:
            self.fail("time is up")
        if not select.select([self.fd], [], [], left)[0]:
            return
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.open = bool(data)
        self.seen += data

    def fail(self, why):
        sys.stdout.buffer.write(self.seen)
        print(f"\nterminal.py: {why}")
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(99)

    def step(self, text):
        verb, _, arg = text.partition(":")
        if verb == "send":
            os.write(self.fd, arg.encode().decode("unicode_escape").encode())
        elif verb == "resize":
            set_size(self.fd, arg)
        elif verb == "expect":
            want = arg.encode()
            while want not in self.seen[self.mark:]:
                if not self.open:
                    self.fail(f"'{arg}' did not come")
                self.read()
            self.mark = self.seen.index(want, self.mark) + len(want)
        else:
            self.fail(f"unknown step '{text}'")


def main():
    size, limit, steps = "24x80", 10.0, []
    args = sys.argv[1:]
    while args and args[0] != "--":
        word = args.pop(0)
        if word == "--size":
            size = args.pop(0)
        elif word == "--timeout":
            limit = float(args.pop(0))
        else:
            steps.append(word)
    t = Terminal(args[1:], size, limit)
    for step in steps:
        t.step(step)
    while t.open:
        t.read()
    sys.stdout.buffer.write(t.seen)
    sys.stdout.flush()
    status = os.waitstatus_to_exitcode(os.waitpid(t.pid, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


main()
