#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the test machine itself. Prints `ok` and `not ok` lines, fails if there is any of the latter.
#
# As root it also builds a cache of its own as user nobody, which downloads the kernel (70 MB).
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
failed=0
number=0

# result NAME COMMAND...: ok if the command succeeds
result() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		failed=1
	fi
}

# equal NAME WANT GOT
equal() {
	result "$1" [ "$2" = "$3" ]
	if [ "$2" != "$3" ]; then
		echo "# want '$2', got '$3'"
	fi
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# vm ARGS...: runs the machine; $status, $work/out and $work/err are what it gave
vm() {
	status=0
	"$here/run" "$@" </dev/null >"$work/out" 2>"$work/err" || status=$?
}

# No file is in our temporary directory, and no process has one open there (qemu's disk and console have no names).
# shellcheck disable=SC2317 # called by result
leaves_nothing() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		if [ -z "$(ls -A "$TMPDIR")" ] && [ -z "$(find /proc/[0-9]*/fd -lname "$TMPDIR/*" 2>/dev/null)" ]; then
			return 0
		fi
		sleep 0.5
	done
	ls -A "$TMPDIR" >&2
	return 1
}

umask 022
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vpsd-vm-selftest.XXXXXX")
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
"$here/prepare" >/dev/null || exit 1
cd "$work" || exit 1

# Inside: one line per check.
cat >inside.sh <<'INSIDE'
check() {
	name=$1
	shift
	if "$@" >/dev/null; then echo "yes $name"; else echo "no $name"; fi
}
has() { grep -qE -e "$1" "$2"; }
check "runs as root" [ "$(id -u)" = 0 ]
check "runs Debian's own kernel" has 'Debian 6\.1\.' /proc/version
check "has the name vpsd-test" [ "$(hostname)" = vpsd-test ]
check "runs in the caller's directory" [ "$PWD" = "$1" ]
check "has the interface lo up" has "[<,]UP[,>]" <(ip link show lo)
for controller in cpuset cpu io memory hugetlb pids rdma misc; do
	check "has the controller $controller" has "\b$controller\b" /sys/fs/cgroup/cgroup.controllers
done
check "has cgroup2 with nsdelegate, memory_recursiveprot" \
	has '^cgroup2 /sys/fs/cgroup .*nsdelegate.*memory_recursiveprot' /proc/mounts
check "has ext4 with prjquota at /var/lib/vpsd" has ' /var/lib/vpsd ext4 .*prjquota' /proc/mounts
mkdir /var/lib/vpsd/d && chattr -p 77 +P /var/lib/vpsd/d
check "knows projects" has '^ *77 ' <(lsattr -pd /var/lib/vpsd/d)
check "has the disk of --disk" [ "$(cat /sys/block/vda/size)" = $((1 << 21)) ]
check "has pressure files" [ -e /proc/pressure/memory ]
check "can load modules" modprobe -a veth bridge nf_tables loop xfs tun fuse dummy
check "passes VPS_* on" [ "${VPS_SELFTEST-}" = "a b" ]
check "passes nothing else on" [ -z "${SELFTEST_OTHER-}" ]
check "can open /dev/stdout again" sh -c 'echo yes reopened stdout >/dev/stdout'
check "has terminals, shared memory, /tmp" [ -c /dev/ptmx -a -w /dev/shm -a -w /tmp ]
echo x >"$1/made-inside" && echo x >/selftest-made-inside && check "can write everywhere" true
echo to stderr >&2
sleep 1000 & # must not hold up the end
INSIDE
SELFTEST_OTHER=1 VPS_SELFTEST="a b" vm --disk 1G --timeout 300 -- bash inside.sh "$work"
equal "exit status 0" 0 "$status"
while read -r answer name; do
	result "$name" [ "$answer" = yes ]
done <out
result "all checks inside ran" grep -q 'can write everywhere' out
equal "stderr apart from stdout, nothing else on it" "to stderr" "$(cat err)"
result "the host's tree is read-only" [ ! -e made-inside -a ! -e /selftest-made-inside ]
result "nothing left behind" leaves_nothing

head -c 1048576 /dev/urandom >data
vm --timeout 300 -- sh -c 'cat data; sha256sum <data >&2; exit 7'
equal "exit status 7" 7 "$status"
result "1 MiB comes through whole" cmp data out
equal "1 MiB is seen whole inside" "$(sha256sum <data)" "$(cat err)"

vm --timeout 300 -- sh -c 'exit 255'
equal "exit status 255" 255 "$status"
# shellcheck disable=SC2016 # for the shell inside
vm --timeout 300 -- sh -c 'kill -9 $$'
equal "death by signal 9" 137 "$status"
vm --timeout 300 -- ./no-such-command
equal "no such command" 127 "$status"
result "nothing left behind by failing commands" leaves_nothing

vm --timeout 25 -- sh -c 'echo before; sleep 1000'
equal "time limit" 124 "$status"
equal "output before the time limit" before "$(cat out)"
result "the time limit is said" grep -q 'time limit of 25 s' err
result "the console is kept" [ -n "$(find "$TMPDIR" -name 'vpsd-vm-console.*')" ]
rm -f "$TMPDIR"/vpsd-vm-console.*

vm --timeout 300 --console "$work/console" -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100'
equal "panic" 125 "$status"
result "the panic is shown" grep -q 'Kernel panic' err
result "--console keeps the console" grep -q 'Kernel panic' console

# By terminal: the size, then ctrl-C for the program inside.
cat >terminal.py <<'PYTHON'
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    os.execv(sys.argv[1], [sys.argv[1], "--timeout", "300", "--tty", "--", "sh", "-c", "stty size; tty; sleep 1000"])
seen = b""
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if b"/dev/pts/" in data:
        os.write(master, b"\x03")
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
status=0
python3 terminal.py "$here/run" >out 2>err || status=$?
result "terminal of the caller's size" grep -q '33 111' out
equal "ctrl-C goes to the guest" 130 "$status"

"$here/run" --timeout 60 -- sleep 1000 >out 2>err &
pid=$!
sleep 4
kill -TERM $pid
wait $pid
equal "SIGTERM ends it" 143 $?
"$here/run" --timeout 60 -- sleep 1000 >out 2>err &
pid=$!
sleep 4
kill -KILL $pid
wait $pid 2>/dev/null
result "nothing left behind when killed" leaves_nothing

if [ "$(id -u)" -eq 0 ]; then
	mkdir home && chmod 755 . && chmod 1777 tmp && chown 65534:65534 home
	status=0
	setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
		env -i PATH="$PATH" HOME="$work/home" TMPDIR="$TMPDIR" VPS_CACHE="$work/home/cache" \
		"$here/run" --timeout 300 -- sh -c 'id -u; ls /root; modprobe veth && echo modules' >out 2>err </dev/null ||
		status=$?
	equal "run by an ordinary user" 0 "$status"
	equal "root inside, with modules" "0 modules" "$(tr '\n' ' ' <out | sed 's/ $//')"
	[ "$status" -eq 0 ] || sed 's/^/# /' err
else
	skip "run by an ordinary user" "all of the above was"
fi
result "nothing left behind at the end" leaves_nothing

echo "1..$number"
exit $failed
