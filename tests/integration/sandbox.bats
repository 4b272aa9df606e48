#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The sandbox by itself: one busybox guest, launched and joined by tests/sandbox/sbx_probe.
bats_require_minimum_version 1.5.0

# Needs root and a cgroup v2 tree (controllers are not needed).

BASE=1900000

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return 1
	export O=${O:-build}
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	for file in tests/sbx_probe helpers/guest_check helpers/userns_owner; do
		[ -x "$O/$file" ] || { echo "$O/$file is missing: make $O/$file" >&2; return 1; }
	done
	export DIR CGROUP
	# On a file system with idmapped mounts: on Linux 6.1 tmpfs and overlayfs have none.
	DIR=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/sandbox.XXXXXX")
	CGROUP=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/sbx-test.$$
	mkdir -p "$CGROUP/guest" "$DIR"/root/{bin,tmp,etc,root,mnt} "$DIR"/up/{upper,work}
	# Not readable for guests: a guest's init may be "#!/proc/self/exe".
	install -m 700 "$O/tests/sbx_probe" "$DIR/probe"
	install -m 755 "$O/helpers/userns_owner" "$DIR/"
	install -m 755 /bin/busybox "$O/helpers/guest_check" "$DIR/root/bin/"
	local name
	for name in sh cat chown cut echo grep head hostname id ip ls mkfifo mount ps pwd rm sleep stat stty \
		timeout touch true tty umount wc; do
		ln -s busybox "$DIR/root/bin/$name"
	done
	# One instruction: return SECCOMP_RET_ALLOW.
	printf '\006\000\000\000\000\000\377\177' >"$DIR/allow.bpf"
	cat /proc/self/mountinfo >"$DIR/mountinfo.before"
	start
}

teardown_file() {
	[ -n "${DIR-}" ] || return 0
	stop
	find "$CGROUP" -depth -type d -exec rmdir {} + || true
	umount -R -l "$DIR/shared" 2>/dev/null || true
	rm -rf --one-file-system "$DIR"
}

# Starts the guest that most tests share; sets $DIR/pid.
start() {
	setsid "$DIR/probe" --cgroup "$CGROUP/guest" --base $BASE --upper "$DIR/up" --hostname guest.example \
		--seccomp "$DIR/allow.bpf" --env PATH=/bin --env container=vpsd \
		--env NOTIFY_SOCKET=/run/host/notify run "$DIR/root" /bin/guest_check idle \
		</dev/null >"$DIR/console" 2>"$DIR/log" 3>&- &
	await "$DIR/log" '^started'
	sed -n 's/^started //p' "$DIR/log" >"$DIR/pid"
}

stop() {
	local pid
	pid=$(cat "$DIR/pid" 2>/dev/null) || return 0
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	await "$DIR/log" '^ended'
}

# await FILE REGEX: until a line matches, at most 20 s.
await() {
	local i
	for ((i = 0; i < 400; i++)); do
		! grep -qE "$2" "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	echo "no '$2' in $1:" >&2
	cat "$1" >&2
	return 1
}

pid() {
	cat "$DIR/pid"
}

# inside [PROBE_OPTION...] -- PROGRAM...: joins a program to the guest.
inside() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	mkdir -p "$CGROUP/guest/exec"
	"$DIR/probe" --cgroup "$CGROUP/guest/exec" --base $BASE --seccomp "$DIR/allow.bpf" --env PATH=/bin \
		"${options[@]}" exec "$(pid)" "$@" 3>&-
}

# oneshot INIT...: a guest of its own with the plain root; prints its console, ends with it.
oneshot() {
	timeout 30 "$DIR/probe" --cgroup "$CGROUP/guest" --base 2000000 --env PATH=/bin \
		--env NOTIFY_SOCKET=/run/host/notify "${OPTIONS[@]}" run "$DIR/root" "$@" </dev/null 3>&-
}

@test "all namespaces are its own" {
	for ns in user mnt pid net ipc uts cgroup time; do
		[ "$(readlink "/proc/$(pid)/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	done
}

@test "ids: one extent, made by the base id" {
	[ "$(tr -s ' ' </proc/"$(pid)"/uid_map)" = " 0 $BASE 65536" ]
	[ "$(tr -s ' ' </proc/"$(pid)"/gid_map)" = " 0 $BASE 65536" ]
	[ "$("$DIR/userns_owner" "$(pid)")" = $BASE ]
}

@test "init holds the console and nothing else" {
	run -0 inside -- guest_check fds 1
	[ "${lines[0]}" = "0=/dev/console 1=/dev/console 2=/dev/console " ]
}

@test "a program that was joined holds its three files and nothing else" {
	run -0 inside -- guest_check fds self
	[[ ${lines[0]} =~ ^0=[^\ ]+\ 1=[^\ ]+\ 2=[^\ ]+\ $ ]]
	run -0 inside --tty -- guest_check fds self
	[[ ${lines[0]} =~ ^0=/dev/pts/[0-9]+\ 1=/dev/pts/[0-9]+\ 2=/dev/pts/[0-9]+ ]]
	[[ ! ${lines[0]} =~ 3= ]]
}

@test "attributes of init and of a joined program" {
	local status
	inside -- sleep 20 &
	local job=$!
	await "$CGROUP/guest/exec/cgroup.procs" '[0-9]'
	sleep 0.5
	local joined
	for joined in $(cat "$CGROUP/guest/exec/cgroup.procs"); do
		[ "$(cat "/proc/$joined/comm")" != sleep ] || break
	done
	for p in "$(pid)" "$joined"; do
		status=$(cat "/proc/$p/status")
		grep -qE '^CapInh:\s0+$' <<<"$status"
		grep -qE '^CapAmb:\s0+$' <<<"$status"
		grep -qE '^CapBnd:\s00000000fdecffff$' <<<"$status"
		grep -qE '^CapEff:\s00000000fdecffff$' <<<"$status"
		grep -qE '^NoNewPrivs:\s0$' <<<"$status"
		grep -qE '^Seccomp:\s2$' <<<"$status"
		grep -qE '^Groups:\s*$' <<<"$status"
		grep -qE '^Umask:\s0022$' <<<"$status"
		grep -qE '^Sig(Blk|Ign):\s0+$' <<<"$status"
		[ "$(cat "/proc/$p/oom_score_adj")" = 0 ]
		grep -qE '^Max core file size +0 ' "/proc/$p/limits"
		# Bit 24 is CAP_SYS_RESOURCE: without it hard limits cannot be raised here.
		if ((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1)); then
			grep -qE '^Max processes +unlimited +unlimited' "/proc/$p/limits"
			grep -qE '^Max open files +1024 +524288' "/proc/$p/limits"
		fi
		[ "$(awk '{ print $19 }' "/proc/$p/stat")" = 0 ] # nice
	done
	kill "$joined"
	wait "$job" || true
}

@test "no mount can be removed, moved or loosened" {
	run -0 inside -- guest_check mounts
	[ "$output" = held ]
}

@test "no fresh procfs or sysfs" {
	run -0 inside -- guest_check fresh
	[ "$output" = held ]
}

@test "no device can be made" {
	run -0 inside -- guest_check mknod
	[ "$output" = held ]
}

@test "masked paths show nothing" {
	run -0 inside -- guest_check masked /proc/kcore /proc/keys /proc/key-users /proc/kallsyms /proc/timer_list \
		/proc/sched_debug /proc/latency_stats /proc/iomem /proc/ioports /proc/kmsg /proc/sysrq-trigger \
		/proc/config.gz /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/kernel/debug \
		/sys/kernel/tracing /sys/kernel/config /sys/kernel/security /sys/kernel/slab /sys/fs/pstore \
		/sys/fs/bpf /sys/module /sys/devices/virtual/powercap
	[ "$output" = held ]
}

@test "mountinfo names no path of the host" {
	run -0 inside -- cat /proc/self/mountinfo
	[[ $output != *"$DIR"* ]]
	[[ $output == *"lowerdir=/l0,upperdir=/u/upper,workdir=/u/work"* ]]
}

@test "host name, loopback, uptime, devices" {
	[ "$(inside -- hostname)" = guest.example ]
	inside -- ip link show lo | grep -q 'LOOPBACK,UP'
	[ "$(inside -- cut -d. -f1 /proc/uptime)" -lt 600 ]
	[ "$(inside -- cut -d. -f1 /proc/uptime)" -le "$(($(date +%s) - $(stat -c %Y "$DIR/pid") + 2))" ]
	[ "$(inside -- sh -c 'echo x >/dev/null; head -c 3 /dev/zero | wc -c; stat -c %u:%g:%a /dev/null /dev/tty')" = $'3\n0:0:666\n0:5:666' ]
	inside -- sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	run ! inside -- sh -c 'echo 1 >/proc/sys/vm/drop_caches'
}

@test "the root is written through to the upper layer with the image's ids" {
	inside -- sh -c 'echo hello >/etc/hello; chown 7:8 /etc/hello'
	[ "$(cat "$DIR/up/upper/etc/hello")" = hello ]
	[ "$(stat -c %u:%g "$DIR/up/upper/etc/hello")" = 7:8 ]
	[ ! -e "$DIR/root/etc/hello" ]
}

@test "console works" {
	OPTIONS=()
	run -0 oneshot /bin/sh -c 'tty; echo to the console; stty -a | grep -c speed'
	[[ $output == *"/dev/console"* ]]
	[[ $output == *"to the console"* ]]
}

@test "reboot and poweroff are told by the status" {
	OPTIONS=()
	run oneshot /bin/guest_check restart
	[[ $output == *"ended signal 1"* ]]
	run oneshot /bin/guest_check poweroff
	[[ $output == *"ended signal 2"* ]]
	run -9 oneshot /bin/sh -c 'exit 9'
	[[ $output == *"ended exit 9"* ]]
}

@test "the notify socket receives" {
	OPTIONS=()
	run -0 oneshot /bin/sh -c 'guest_check notify READY=1; sleep 1'
	[[ $output == *"notify READY=1"* ]]
}

@test "a failing init is reported with its phase and leaves nothing" {
	OPTIONS=()
	run -127 oneshot /bin/nonesuch
	[[ $output == *"starting init: "*"cannot execute '/bin/nonesuch' in the guest: No such file"* ]]
	run -126 oneshot /etc
	rm -rf "$DIR/hostile" && mkdir -p "$DIR/hostile" && ln -s /tmp "$DIR/hostile/dev"
	run -125 "$DIR/probe" --cgroup "$CGROUP/guest" --base 2000000 run "$DIR/hostile" /bin/sh
	[[ $output == *"building /dev and /run: "* ]]
	run -125 "$DIR/probe" --cgroup "$CGROUP/guest" --base 99999 run "$DIR/root" /bin/sh
	[[ $output == *"base id 99999"* ]]
	[ "$(wc -w <"$CGROUP/guest/cgroup.procs")" -eq 1 ]
}

@test "many layers, the topmost wins" {
	rm -rf "$DIR/top" "$DIR/up2"
	mkdir -p "$DIR/top/etc" "$DIR"/up2/{upper,work}
	echo top >"$DIR/top/etc/which"
	echo bottom >"$DIR/root/etc/which"
	run -0 "$DIR/probe" --cgroup "$CGROUP/guest" --base 2000000 --env PATH=/bin --upper "$DIR/up2" \
		--lower "$DIR/root" run "$DIR/top" /bin/cat /etc/which
	[[ $output == *top* ]]
	rm "$DIR/root/etc/which"
}

@test "nesting shows unmasked copies and allows fresh ones" {
	OPTIONS=(--features 7)
	run -0 oneshot /bin/sh -c 'mount -t proc proc /mnt && ls -d /mnt/1 /dev/.vps/proc/1 /dev/net/tun /dev/fuse'
}

@test "joined programs: exit codes, missing ones, pipes, directory, user" {
	run -7 inside -- sh -c 'exit 7'
	run -127 inside -- nonesuch
	[[ $output == *"cannot execute 'nonesuch' in the guest: No such file"* ]]
	run -126 inside -- /etc
	[ "$(echo piped | inside -- cat)" = piped ]
	[ "$(inside --cwd /bin -- pwd)" = /bin ]
	run ! inside --cwd /nonesuch -- pwd
	[[ $output == *"cannot enter directory '/nonesuch' of the guest"* ]]
	[ "$(inside --uid 33 -- sh -c 'id -u; id -g; grep CapEff /proc/self/status | cut -f2')" = $'33\n33\n0000000000000000' ]
}

@test "a joined program cannot be put outside by its directory" {
	for n in 0 1 2 3 4 5 6 7 8 9 10 20 100; do
		run ! inside --cwd "/proc/self/fd/$n" -- pwd
	done
	[ "$(inside --cwd /proc/1/cwd -- pwd)" = / ]
	[ "$(inside --cwd /proc/self/root -- ls -d bin)" = bin ]
}

@test "joined with a terminal: its own, controlling, right size" {
	run -0 inside --tty -- sh -c 'tty; stty size; [ -t 0 ] && echo yes; ps -o tty,comm | grep -c sh'
	[[ ${lines[0]} == /dev/pts/* ]]
	[[ ${lines[1]} == "33 77"* ]]
	[[ ${lines[2]} == yes* ]]
	[ "$(inside --tty --uid 33 -- stat -c %u /dev/pts/1 | tr -d '\r')" = 33 ]
}

@test "guest code cannot look into processes that join" {
	inside -- rm -f /tmp/stop
	inside -- guest_check joiners >"$DIR/joiners" &
	local job=$!
	for ((i = 0; i < 300; i++)); do
		"$DIR/probe" --cgroup "$CGROUP/guest/exec" --base $BASE --env PATH=/bin exec "$(pid)" true 3>&-
	done
	inside -- touch /tmp/stop
	wait $job || true
	cat "$DIR/joiners" >&2
	run ! grep BREACH "$DIR/joiners"
}

@test "the program of the host cannot be run by the guest's init" {
	OPTIONS=()
	printf '#!/proc/self/exe\n' >"$DIR/root/bin/self"
	chmod 755 "$DIR/root/bin/self"
	run -126 oneshot /bin/self
	run -126 inside -- self
}

@test "a joiner takes no terminal that is not one" {
	inside -- mount -t tmpfs none /dev/pts
	inside -- mkfifo /dev/pts/ptmx
	run -125 inside --tty -- true
	[[ $output == *"is not on a devpts"* ]]
	inside -- umount /dev/pts
	run -0 inside --tty -- true
}

kill_stopped() {
	local p
	while read -r p; do
		! grep -qs '^State:.T' "/proc/$p/status" || kill -KILL "$p"
	done <"$CGROUP/guest/exec/cgroup.procs"
}

@test "a stopped joiner costs its caller only the time limit" {
	inside -- timeout 8 guest_check stop-joiners 3>&- &
	local job=$! late=0
	sleep 0.3
	for ((i = 0; i < 300 && late == 0; i++)); do
		# Stopped when it runs the program already, it is the guest's, and holds what it was given.
		timeout 2 "$DIR/probe" --cgroup "$CGROUP/guest/exec" --base $BASE --env PATH=/bin \
			--timeout 500 exec "$(pid)" true >"$DIR/stopped" 2>&1 </dev/null 3>&- || kill_stopped
		! grep -q "no report in time" "$DIR/stopped" || late=1
	done
	wait $job || true
	[ $late -eq 1 ]
	[ "$(wc -l <"$CGROUP/guest/exec/cgroup.procs")" -eq 0 ]
}

@test "what is mounted in a guest does not reach a shared mount of its root's files" {
	local root=$DIR/shared
	mkdir -p "$root"
	mount --bind "$DIR/root" "$root"
	mount --make-shared "$root"
	timeout 30 "$DIR/probe" --cgroup "$CGROUP/guest" --base 2000000 --env PATH=/bin run "$root" \
		/bin/sh -c 'mount -t tmpfs none /mnt; echo mounted; sleep 2' </dev/null >"$DIR/shared.out" 2>&1 3>&- &
	local job=$!
	await "$DIR/shared.out" mounted
	run cat /proc/self/mountinfo
	wait $job
	umount -R "$root"
	[ "$(grep -c "$root" <<<"$output")" -eq 1 ]
}

# gate WORD COMMAND...: a guest with a gate and a cgroup of its own, in the background, until it waits for GO. Sets $job,
# $behind, $init; its words are in $DIR/gate.out.
gate() {
	mkdir -p "$CGROUP/gate"
	"$DIR/probe" --cgroup "$CGROUP/gate" --base 2000000 --env PATH=/bin --gate "$1" "${OPTIONS[@]}" \
		run "$DIR/root" "${@:2}" </dev/null >"$DIR/gate.out" 2>&1 3>&- &
	job=$!
	await "$DIR/gate.out" '^gate open'
	sleep 0.3 # all the rest is built
	behind=$(sed -n 's/^gate pid //p' "$DIR/gate.out")
	init=$(cat "$CGROUP/gate/cgroup.procs")
}

# Nothing is left of it.
gate_is_clean() {
	local i
	[ "$(wc -l <"$CGROUP/gate/cgroup.procs")" -eq 0 ]
	# It is dead; who reaps it has its own pace.
	for ((i = 0; i < 100; i++)); do
		[ -e "/proc/$init" ] || break
		sleep 0.1
	done
	[ ! -e "/proc/$init" ]
	rmdir "$CGROUP/gate"
}

@test "a gate: the network is complete before init runs its first instruction" {
	OPTIONS=(--gate 'ip link set lo up && ip link add eth0 type veth peer name peer0 && ip link set peer0 up &&
		ip addr add 10.9.8.7/32 dev eth0 && ip link set eth0 up &&
		ip route add default via 169.254.1.1 dev eth0 onlink')
	run -0 oneshot /bin/sh -c 'ip addr; ip route; guest_check fds 1; sleep 1
		cd /proc/sys/net/ipv6/conf 2>/dev/null || exit 0
		for link in eth0 default all; do cat $link/accept_ra $link/autoconf $link/dad_transmits; done'
	[[ $output == *" lo: <LOOPBACK,UP,LOWER_UP>"* ]]
	[[ $output == *" eth0@peer0: <BROADCAST,MULTICAST,UP,LOWER_UP"* ]]
	[[ $output == *"inet 10.9.8.7/32"* ]]
	[[ $output == *"default via 169.254.1.1 dev eth0"* ]]
	[[ $output == *"0=/dev/console 1=/dev/console 2=/dev/console "$'\r\n'* ]]
	# Nobody holds the other end any more while the guest runs.
	[[ $output == *"gate closed"*"ended exit 0"* ]]
	if [ -e /proc/sys/net/ipv6 ]; then
		[ "$(grep -c $'^0\r$' <<<"$output")" -eq 9 ]
		OPTIONS=()
		run -0 oneshot /bin/cat /proc/sys/net/ipv6/conf/default/accept_ra
		[[ $output == *$'1\r\n'* ]]
	fi
}

@test "a gate: what is said instead of GO fails the launch with that text, and leaves nothing" {
	OPTIONS=(--gate 'exit 3')
	run -125 oneshot /bin/sh -c 'echo alive'
	[[ $output == *"setting up the network: the command ended with 3 (errno 100)"* ]]
	[[ $output != *alive* ]]
	OPTIONS=(--gate close)
	run -125 oneshot /bin/sh -c 'echo alive'
	[[ $output == *"setting up the network: nobody is there any more to set it up"* ]]
	OPTIONS=(--gate garbage)
	run -125 oneshot /bin/sh -c 'echo alive'
	[[ $output == *"setting up the network: received a record that is too short"* ]]
	[ "$(wc -l <"$CGROUP/guest/cgroup.procs")" -eq 1 ]
	# The rest of the launch does not wait for the answer: its errors come first.
	OPTIONS=(--gate hang --upper "$DIR/root")
	run -127 oneshot /bin/sh
	[[ $output == *"mounting the root file system: "* ]]
	[ "$(wc -l <"$CGROUP/guest/cgroup.procs")" -eq 1 ]
}

@test "a gate: who is behind it is killed, or init is, or nobody answers: the launch ends, init never runs" {
	local job behind init status
	OPTIONS=()
	gate hang /bin/sh -c 'echo alive'
	[ "$(cat "/proc/$init/comm")" != sh ]
	kill -KILL "$behind"
	status=0
	wait "$job" || status=$?
	[ $status -eq 125 ]
	grep -q "setting up the network: nobody is there any more" "$DIR/gate.out"
	gate_is_clean
	gate hang /bin/sh -c 'echo alive'
	kill -KILL "$init"
	status=0
	wait "$job" || status=$?
	[ $status -eq 125 ]
	grep -q "the new process ended before it ran the program" "$DIR/gate.out"
	gate_is_clean
	OPTIONS=(--timeout 700)
	gate hang /bin/sh -c 'echo alive'
	status=0
	wait "$job" || status=$?
	[ $status -eq 125 ]
	grep -q "no report in time" "$DIR/gate.out"
	gate_is_clean
	run ! grep alive "$DIR/gate.out"
}

# files [OPTION...] -- COMMAND: a guest whose overlay is $DIR/image and $DIR/fup, with two files.
files() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	timeout 30 "$DIR/probe" --cgroup "$CGROUP/guest" --base 2000000 --env PATH=/bin --upper "$DIR/fup" \
		--write 'etc/hosts=# mark\n10.9.8.7 h\n' --write 'etc/resolv.conf=# mark\nnameserver 9.9.9.9\n' \
		"${options[@]}" run "$DIR/image" /bin/sh -c "$2" </dev/null 3>&-
}

new_files() {
	rm -rf "$DIR/fup" "$DIR/image" "$DIR/canary"
	mkdir -p "$DIR"/fup/{upper/etc,work} "$DIR/canary"
	cp -a "$DIR/root" "$DIR/image"
	echo untouched | tee "$DIR/canary/hosts" >"$DIR/canary/resolv.conf"
}

@test "files: in the guest before its init, its root's; the image's are replaced, the guest's own stay" {
	new_files
	echo "of the image" | tee "$DIR/image/etc/hosts" >"$DIR/image/etc/resolv.conf"
	run -0 files --write 'etc/network/interfaces.d/vps=# mark\n' -- 'stat -c %u:%g:%a /etc/hosts; cat /etc/hosts
		cat /etc/resolv.conf; ls -a /etc /etc/network; echo of the guest >/etc/resolv.conf'
	[[ $output == *$'0:0:644\r\n# mark\r\n10.9.8.7 h\r\n# mark\r\nnameserver 9.9.9.9\r\n'* ]]
	[[ $output == *"No such file"* && $output != *vps-new* && $output != *warning* ]]
	[ "$(stat -c %u:%g:%a "$DIR/fup/upper/etc/hosts")" = 0:0:644 ]
	[ "$(cat "$DIR/image/etc/hosts")" = "of the image" ]
	local before
	before=$(stat -c %i:%Z "$DIR/fup/upper/etc/hosts")
	echo half >"$DIR/fup/upper/etc/.hosts.vps-new"
	run -0 files -- 'cat /etc/hosts /etc/resolv.conf'
	[[ $output == *"10.9.8.7 h"*"of the guest"* ]]
	# What is right already is not written again.
	[ "$(stat -c %i:%Z "$DIR/fup/upper/etc/hosts")" = "$before" ]
	# A start that was cut off half-way is finished by the next.
	printf '# mark\nold\n' >"$DIR/fup/upper/etc/hosts"
	run -0 files --remove 'etc/gone=# mark\n' -- 'cat /etc/hosts; ls -a /etc'
	[[ $output == *"10.9.8.7 h"* && $output != *old* && $output != *vps-new* ]]
	printf '# mark\n' >"$DIR/fup/upper/etc/gone"
	run -0 files --remove 'etc/gone=# mark\n' -- 'ls -a /etc'
	[[ $output != *gone* && $output != *warning* ]]
}

@test "files: hostile roots: nothing outside is touched, nothing hangs, the guest starts" {
	local trap
	for trap in link links relative fifo directory device dir_link dir_file hard; do
		new_files
		local etc=$DIR/fup/upper/etc
		case $trap in
		link) ln -s "$DIR/canary/hosts" "$etc/hosts" ;;
		links) ln -s "$DIR/canary/hosts" "$etc/.hosts.vps-new" && printf '# mark\n' >"$etc/hosts" ;;
		relative) ln -s "../../../../../../../../..$DIR/canary/hosts" "$etc/hosts" ;;
		fifo) mkfifo "$etc/hosts" "$etc/resolv.conf" ;;
		directory) mkdir "$etc/hosts" "$etc/resolv.conf" ;;
		device) mknod "$etc/hosts" c 1 5 && mknod "$etc/resolv.conf" b 7 0 ;;
		dir_link) rm -rf "$etc" "$DIR/image/etc" && ln -s "$DIR/canary" "$etc" ;;
		dir_file) rm -rf "$etc" "$DIR/image/etc" && echo x >"$etc" ;;
		hard) printf '# mark\n' >"$etc/other" && ln "$etc/other" "$etc/hosts" ;;
		esac
		run -0 files -- 'echo alive'
		[[ $output == *alive* ]]
		run -0 cat "$DIR/canary/hosts" "$DIR/canary/resolv.conf"
		[ "$output" = $'untouched\nuntouched' ]
		[ "$(find "$DIR/canary" -type f | wc -l)" -eq 2 ]
		[ "$trap" != hard ] || [ "$(cat "$etc/other")" = "# mark" ]
		[ "$trap" != links ] || grep -q 10.9.8.7 "$etc/hosts"
	done
}

@test "files: a full disk, a limit on file sizes, an immutable file are told, and stop nothing" {
	new_files
	run -0 files --fsize 4 -- 'echo alive'
	[[ $output == *"warning: cannot write '/etc/hosts': "*"File too large"*alive* ]]
	[ "$(find "$DIR/fup/upper/etc" -type f | wc -l)" -eq 0 ]
	printf '# mark\nold\n' >"$DIR/fup/upper/etc/hosts"
	if chattr +i "$DIR/fup/upper/etc/hosts" 2>/dev/null; then
		run files -- 'echo alive'
		chattr -i "$DIR/fup/upper/etc/hosts"
		[ "$status" -eq 0 ]
		[[ $output == *"warning: cannot write '/etc/hosts': "*"not permitted"*alive* ]]
		[ "$(cat "$DIR/fup/upper/etc/hosts")" = $'# mark\nold' ]
		# The other one is there all the same.
		grep -q nameserver "$DIR/fup/upper/etc/resolv.conf"
	fi
	rm -rf "$DIR/fup"
	mkdir "$DIR/fup"
	mount -t tmpfs -o size=64k none "$DIR/fup"
	mkdir -p "$DIR"/fup/{upper/etc,work}
	printf '# mark\nold\n' >"$DIR/fup/upper/etc/hosts"
	head -c 1M /dev/zero >"$DIR/fup/upper/full" || true
	run files -- 'cat /etc/hosts; echo alive'
	find "$DIR/fup/upper/etc" -type f -printf '%f ' >"$DIR/full"
	umount "$DIR/fup"
	# Linux 6.1 has no idmapped tmpfs.
	[[ $output == *"does not support idmapped mounts"* ]] || {
		[ "$status" -eq 0 ]
		[[ $output == *"warning: cannot write '/etc/hosts': "*"No space left"*old*alive* ]]
		[ "$(cat "$DIR/full")" = "hosts " ]
	}
}

@test "nothing is left on the host" {
	stop
	[ ! -e "/proc/$(pid)" ]
	[ "$(find "$CGROUP" -name cgroup.procs -exec cat {} + | wc -l)" -eq 0 ]
	diff "$DIR/mountinfo.before" /proc/self/mountinfo
	: >"$DIR/pid"
}
