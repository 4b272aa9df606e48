# SPDX-License-Identifier: Apache-2.0
"""Ways to keep two loads apart that the neighbour benchmark compares: vpsd, and plain processes in cgroups
made by hand with the values that vpsd wrote. The others are in containers.py."""
import json
import os
import shutil
import signal
import subprocess
import time

CGROUP = "/sys/fs/cgroup"
ROLES = ("victim", "attacker")

# What one plan is for each role, by the kind of plan that the victim has. A core that is guaranteed
# in part only, so that there is something to take away; the disk's figures are for an emulated one.
DISK = {"size": None, "inodes": None, "read": "16MiB/s", "write": "8MiB/s", "read_iops": 1000, "write_iops": 500}
SHARED = {"version": 1, "pids": 64, "disk": DISK, "network": {"connections": None},
          "memory": {"limit": "64MiB", "guarantee": "32MiB"}}
GUARANTEE = {"shared": 0.75, "dedicated": 1}
CPU = {"shared": {"cores": 1, "guarantee": GUARANTEE["shared"]}, "dedicated": {"cores": 1, "dedicated": True}}


def plan(kind, role):
    cpu = CPU[kind] if role == "victim" else {"cores": os.cpu_count(), "guarantee": 0.5}
    document = dict(SHARED, plan=f"{kind}-{role}", cpu=cpu)
    if kind == "dedicated" and role == "victim":
        document["memory"] = {"limit": SHARED["memory"]["limit"]}
    return document


class Failure(Exception):
    """Something did not work; its text says what."""


def run(*argv, timeout=120, **more):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout, **more)
    if done.returncode:
        raise Failure(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


def wait_for(what, ready, seconds=60):
    end = time.monotonic() + seconds
    while True:
        result = ready()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: in vain for {seconds} s")
        time.sleep(0.1)


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read().strip()


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
    except OSError as e:
        raise Failure(f"cannot write '{text}' to '{path}': {e.strerror}") from e


def events(cgroup, file, key):
    for line in read(f"{cgroup}/{file}").splitlines():
        if line.split()[0] == key:
            return int(line.split()[1])
    return 0


def remove_cgroup(top):
    """Ends all processes there and removes it with all below, leaf first."""
    if not os.path.isdir(top):
        return
    write(f"{top}/cgroup.kill", "1")
    wait_for(f"end of all in {top}", lambda: events(top, "cgroup.events", "populated") == 0)
    for directory, _, _ in os.walk(top, topdown=False):
        partition = f"{directory}/cpuset.cpus.partition"
        if os.path.exists(partition) and not read(partition).startswith("member"):
            write(partition, "member")
        wait_for(f"removal of {directory}", lambda d=directory: removed(d), 10)


def removed(directory):
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


# --- vpsd --------------------------------------------------------------------------------------------

class Vpsd:
    """The real daemon, two tenants with one instance each."""
    name = "vpsd"
    probe_dir = attack_dir = "/var"
    attack_cgroup = CGROUP

    def __init__(self, repo, build, work, archive):
        self.repo, self.build, self.work = repo, build, work
        self.log = f"{work}/vpsd.log"
        os.environ["PATH"] = f"{build}:{os.environ['PATH']}"
        os.environ["VPS_SOCKET"] = f"{work}/run/vpsd.sock"
        os.makedirs(f"{work}/docs/plans")
        self.start_daemon()
        for kind in CPU:
            for role in ROLES:
                self.document(f"plans/{kind}-{role}", plan(kind, role))
        for role in ROLES:
            self.document(role, {"tenant": role})
        run("vps", "apply", f"{work}/docs")
        run("vps", "image", "import", "bench", archive)
        self.before = None

    def document(self, name, content):
        with open(f"{self.work}/docs/{name}.json", "w", encoding="ascii") as f:
            json.dump(content, f)

    def start_daemon(self):
        w = self.work
        with open(f"{w}/vpsd.json", "w", encoding="ascii") as f:
            json.dump({"listen": [{"unix": f"{w}/run/vpsd.sock"}], "state": f"{w}/state", "pool": f"{w}/state/pool",
                       "run": f"{w}/run", "reserve": {"cores": 0, "memory": "64MiB"}, "idmap": {"base": 1000000, "count": 64},
                       "overcommit": {"cpu": 1000, "memory": 1000}, "stop_timeout": "20s"}, f)
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                [f"{self.build}/vpsd", "--config", f"{w}/vpsd.json", "--helpers", self.build, "--seccomp",
                 f"{self.repo}/config/defaults/seccomp/default.json"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("vpsd", self.ready)

    def ready(self):
        if self.daemon.poll() is not None:
            raise Failure(f"vpsd ended with {self.daemon.returncode}: {open(self.log, encoding='utf-8').read()}")
        done = subprocess.run(["vps", "host", "--json"], capture_output=True, text=True, check=False)
        return done.returncode == 0 and json.loads(done.stdout)["ready"]

    def info(self, role):
        return json.loads(run("vps", "info", f"{role}/vps", "--json"))

    def up(self, kind):
        for role in ROLES:
            run("vps", "create", f"{role}/vps", "--plan", f"{kind}-{role}", "--image", "bench", "--quiet")
        self.before = {role: self.info(role) for role in ROLES}
        for role, info in self.before.items():
            if info["state"] != "running" or info["unsupported"]:
                raise Failure(f"{role}: {info['state']}, unsupported: {info['unsupported']}")

    def down(self):
        for line in json.loads(run("vps", "ls", "--json"))["instances"]:
            run("vps", "delete", "--force", "--yes", "--quiet", f"{line['tenant']}/{line['name']}")
        # Where it is idle it need name no CPUs, and another's partition must not share them; vpsd writes them when it needs them.
        if self.before and os.path.exists(f"{self.root()}/cpuset.cpus"):
            write(f"{self.root()}/cpuset.cpus", "\n")

    def command(self, role, argv):
        return ["vps", "exec", f"{role}/vps", "-i", "--", *argv]

    def probe_program(self):
        return "/bin/probe"

    def attack_program(self):
        return "/bin/attack"

    def root(self):
        return json.loads(run("vps", "host", "--json"))["cgroups"]["root"]

    def cgroup(self, role):
        instance = self.before[role]["id"]
        return next(d for d, _, _ in os.walk(self.root()) if os.path.basename(d) == instance)

    def failures(self):
        """What happened to the victim, the attacker's init, or the host itself. Also times `vps ls`."""
        start = time.monotonic()
        bad = []
        states = {i["tenant"]: i["state"] for i in json.loads(run("vps", "ls", "--json", timeout=60))["instances"]}
        self.ls_seconds = time.monotonic() - start
        for role in ROLES:
            now, then = self.info(role), self.before[role]
            if states.get(role) != "running" or (now["pid"], now["boot"]) != (then["pid"], then["boot"]):
                bad.append(f"vpsd: {role}: {states.get(role)}, boot {now['boot']}")
        bad += oom_kills(self, self.cgroup("victim"))
        if self.daemon.poll() is not None:
            bad.append(f"vpsd: it ended with {self.daemon.returncode}")
        return bad

    def complaints(self):
        """Lines of its log that are errors."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return [line.strip() for line in f if "] error:" in line]

    def close(self):
        self.down()
        keeper = json.loads(run("vps", "host", "--json"))["keeper_pid"]
        self.daemon.terminate()
        self.daemon.wait(60)
        os.kill(keeper, signal.SIGTERM)
        wait_for("end of the keeper", lambda: not os.path.exists(f"/proc/{keeper}"))


def oom_kills(system, cgroup):
    kills = events(cgroup, "memory.events", "oom_kill")
    return [f"{system.name}: {kills} OOM kills in the victim"] if kills else []


# --- what vpsd wrote -----------------------------------------------------------------------------------

# Every value of a cgroup that keeps one from another, in an order that the kernel takes.
FILES = ["cpu.max", "cpu.max.burst", "cpu.weight", "memory.max", "memory.high", "memory.low", "memory.min",
         "memory.swap.max", "memory.oom.group", "pids.max", "io.max", "io.weight", "io.bfq.weight",
         "cgroup.max.depth", "cgroup.max.descendants", "cpuset.cpus"]
PARTITION = "cpuset.cpus.partition"


def values_of(cgroup):
    values = {f: read(f"{cgroup}/{f}") for f in [*FILES, PARTITION, "cgroup.subtree_control"]
              if os.path.exists(f"{cgroup}/{f}")}
    return values


def record(vpsd):
    """The tree from vpsd's root down to each role's cgroup: {path below the root: values}."""
    root, tree, roles = vpsd.root(), {}, {}
    for role in ROLES:
        roles[role] = os.path.relpath(vpsd.cgroup(role), root)
        parts = [*roles[role].split("/"), "guest"]
        for n in range(len(parts) + 1):
            path = "/".join(parts[:n]) or "."
            tree.setdefault(path, values_of(f"{root}/{path}"))
    return {"roles": roles, "tree": tree}


def write_values(cgroup, values):
    for file in FILES:
        if values.get(file):
            for line in values[file].splitlines():
                write(f"{cgroup}/{file}", line)


# --- plain processes in cgroups made by hand -------------------------------------------------------------

class Control:
    """The same two loads with no VPS around them: what is left is the kernel's, or the emulator's."""
    name = "control"
    top = f"{CGROUP}/control"

    def __init__(self, work, helpers, recorded):
        self.work, self.helpers, self.recorded = f"{work}/control", helpers, recorded
        self.tree = None
        for role in ROLES:
            os.makedirs(f"{self.work}/{role}")
            os.chown(f"{self.work}/{role}", self.uid(role), self.uid(role))
        self.probe_dir, self.attack_dir = f"{self.work}/victim", f"{self.work}/attacker"
        self.attack_cgroup = None

    @staticmethod
    def uid(role):
        return 64001 + ROLES.index(role)

    def session(self, role):
        return f"{self.top}/{self.tree['roles'][role]}/guest/session"

    def up(self, kind):
        self.tree = self.recorded[kind]
        paths = sorted(self.tree["tree"], key=lambda p: 0 if p == "." else 1 + p.count("/"))
        for path in paths:
            values, cgroup = self.tree["tree"][path], os.path.normpath(f"{self.top}/{path}")
            os.makedirs(cgroup)
            for controller in values["cgroup.subtree_control"].split():
                write(f"{cgroup}/cgroup.subtree_control", f"+{controller}")
            write_values(cgroup, values)
        for path in paths:
            if self.tree["tree"][path].get(PARTITION, "member") != "member":
                write(f"{self.top}/{path}/{PARTITION}", self.tree["tree"][path][PARTITION])
        for path in paths:
            wrong = {k: (v, w) for k, v in self.tree["tree"][path].items()
                     if v != (w := read(f"{self.top}/{path}/{k}"))}
            if wrong:
                raise Failure(f"control: {path} has other values than vpsd's: {wrong}")
        for role in ROLES:
            os.mkdir(self.session(role))
            os.chown(self.session(role), self.uid(role), self.uid(role))
        self.attack_cgroup = self.session("attacker")

    def down(self):
        remove_cgroup(self.top)

    def command(self, role, argv):
        u = self.uid(role)
        return ["sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', self.session(role), "setpriv", f"--reuid={u}",
                f"--regid={u}", "--clear-groups", "--", *argv]

    def probe_program(self):
        return f"{self.helpers}/probe"

    def attack_program(self):
        return f"{self.helpers}/attack"

    def failures(self):
        return oom_kills(self, f"{self.top}/{self.tree['roles']['victim']}")

    def close(self):
        self.down()


def make_archive(work, busybox, helpers):
    """The busybox image with the two programs."""
    archive = f"{work}/image.tar"
    shutil.copy(busybox, archive)
    run("tar", "-rf", archive, "-C", helpers, "--owner=0", "--group=0", "--mode=755",
        "--transform=s,^,./bin/,", "probe", "attack")
    return archive
