# SPDX-License-Identifier: Apache-2.0
"""What the neighbour benchmark compares vpsd with: LXC and systemd-nspawn, with the values that vpsd wrote."""
import glob
import os
import subprocess

from systems import (CGROUP, FILES, PARTITION, ROLES, Failure, oom_kills, read, remove_cgroup, run, wait_for,
                     write_values)


class Container:
    """What the two have in common: a root filesystem of its own ids and the values of vpsd's instance."""
    probe_dir = attack_dir = "/var"
    attack_cgroup = CGROUP
    files = FILES

    def __init__(self, work, archive, recorded, first_id):
        self.work, self.recorded = f"{work}/{self.name}", recorded
        self.first_id = {role: first_id + 65536 * i for i, role in enumerate(ROLES)}
        self.kind = None
        for role in ROLES:
            root = f"{self.work}/{role}/rootfs"
            os.makedirs(root)
            run("tar", "-xf", archive, "-C", root)
            run("chown", "-hR", f"{self.first_id[role]}:{self.first_id[role]}", root)
            os.chmod(f"{self.work}/{role}", 0o755)

    def values(self, role):
        recorded = self.recorded[self.kind]
        return dict(recorded["tree"][recorded["roles"][role]])

    def probe_program(self):
        return "/bin/probe"

    def attack_program(self):
        return "/bin/attack"

    def check(self, role, cgroup, values):
        wrong = {k: (v, w) for k, v in values.items() if k in self.files and v != (w := read(f"{cgroup}/{k}"))}
        if wrong:
            raise Failure(f"{self.name}: {role} has other values than vpsd's: {wrong}")

    def up(self, kind):
        self.kind = kind
        for role in ROLES:
            self.start(role)

    def close(self):
        self.down()


class Lxc(Container):
    """Unprivileged containers of root's, with Debian's own defaults for capabilities and seccomp."""
    name = "lxc"
    files = [*FILES, PARTITION]

    def config(self, role):
        values = self.values(role)
        lines = ["lxc.include = /usr/share/lxc/config/common.conf", "lxc.include = /usr/share/lxc/config/userns.conf",
                 "lxc.apparmor.profile = unconfined", "lxc.net.0.type = empty", "lxc.tty.max = 0",
                 "lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed", "lxc.init.cmd = /sbin/init",
                 f"lxc.rootfs.path = dir:{self.work}/{role}/rootfs", f"lxc.uts.name = {role}",
                 f"lxc.idmap = u 0 {self.first_id[role]} 65536", f"lxc.idmap = g 0 {self.first_id[role]} 65536"]
        for file in FILES:
            lines += [f"lxc.cgroup2.{file} = {line}" for line in values.get(file, "").splitlines()]
        if values.get(PARTITION, "member") != "member":
            lines.append(f"lxc.cgroup2.{PARTITION} = {values[PARTITION]}")
        return "\n".join(lines) + "\n"

    def cgroup(self, role):
        return f"{CGROUP}/lxc.payload.{role}"

    def lxc(self, program, role, *more):
        return [f"lxc-{program}", "-P", self.work, "-n", role, *more]

    def start(self, role):
        with open(f"{self.work}/{role}/config", "w", encoding="ascii") as f:
            f.write(self.config(role))
        log = f"{self.work}/{role}/log"
        done = subprocess.run(self.lxc("start", role, "-d", "-o", log, "-l", "INFO"), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=120)
        if done.returncode:
            with open(log, encoding="utf-8", errors="replace") as f:
                first = next((line for line in f if " ERROR " in line), done.stderr.decode())
            raise Failure(f"lxc-start: {first.strip()}")
        self.check(role, self.cgroup(role), self.values(role))

    def down(self):
        for role in ROLES:
            subprocess.run(self.lxc("stop", role, "-k"), capture_output=True, check=False, timeout=120)
            for leftover in glob.glob(f"{CGROUP}/lxc.*{role}*"):
                remove_cgroup(leftover)

    def command(self, role, argv):
        return self.lxc("attach", role, "--", *argv)

    def failures(self):
        bad = oom_kills(self, self.cgroup("victim"))
        for role in ROLES:
            state = run(*self.lxc("info", role, "-s", "-H")).strip()
            if state != "RUNNING":
                bad.append(f"lxc: {role}: {state}")
        return bad


class Nspawn(Container):
    """In cgroups with what systemd would have written for CPUQuota=, MemoryMax=, AllowedCPUs= and so on. It has no partitions."""
    name = "nspawn"

    def cgroup(self, role):
        return f"{CGROUP}/nspawn-{role}"

    def start(self, role):
        cgroup, first = self.cgroup(role), self.first_id[role]
        os.mkdir(cgroup)
        values = self.values(role)
        # A service has no such limits; its payload would have to live with those of its supervisor.
        for file in ("cgroup.max.depth", "cgroup.max.descendants"):
            values.pop(file, None)
        write_values(cgroup, values)
        self.check(role, cgroup, values)
        with open(f"{self.work}/{role}/log", "ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', cgroup, "systemd-nspawn", "--register=no",
                 "--keep-unit", f"--private-users={first}:65536", "--private-users-ownership=off", "--private-network",
                 "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe", f"--machine={role}",
                 "-D", f"{self.work}/{role}/rootfs", "/sbin/init"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(f"nspawn: {role}", lambda: self.started(role, process))

    def started(self, role, process):
        with open(f"{self.work}/{role}/log", encoding="utf-8", errors="replace") as f:
            text = f.read()
        if process.poll() is not None:
            raise Failure(f"systemd-nspawn ended with {process.returncode}: {text[-1000:]}")
        return "init: up" in text and self.init(role)

    def init(self, role):
        """The process that is the first of its own namespace."""
        try:
            for pid in read(f"{self.cgroup(role)}/payload/cgroup.procs").split():
                with open(f"/proc/{pid}/status", encoding="ascii") as f:
                    numbers = next(line.split()[1:] for line in f if line.startswith("NSpid:"))
                if numbers[1:] == ["1"]:
                    return pid
        except OSError:
            pass
        return None

    def down(self):
        for role in ROLES:
            remove_cgroup(self.cgroup(role))
            with open(f"{self.work}/{role}/log", "w", encoding="ascii"):
                pass

    def command(self, role, argv):
        return ["sh", "-c", 'echo 0 >"$0/payload/cgroup.procs" && exec "$@"', self.cgroup(role), "nsenter",
                f"--target={self.init(role)}", "--all", "--", *argv]

    def failures(self):
        bad = oom_kills(self, self.cgroup("victim"))
        return bad + [f"nspawn: {role}: its init is dead" for role in ROLES if not self.init(role)]
