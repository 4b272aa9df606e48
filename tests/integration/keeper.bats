#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154 # scripts for guests; set by bats' run
# SPDX-License-Identifier: Apache-2.0
# vps-keeper by itself, with tests/keeper/keeper_probe in vpsd's place and busybox guests.
# Needs root and a cgroup v2 tree (controllers are not needed).

bats_require_minimum_version 1.5.0

A=00000000000000aa
B=00000000000000bb
C=00000000000000cc

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return 1
	export O=${O:-build}
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	make -s O="$O" "$O/vps-keeper" "$O/tests/keeper_probe" "$O/helpers/guest_check" >&2
	export DIR CGROUP SOCKET KEEPER PROBE
	PROBE=$(realpath "$O/tests/keeper_probe")
	DIR=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/keeper.XXXXXX")
	KEEPER=$DIR/vps-keeper
	install -m 755 "$O/vps-keeper" "$KEEPER"
	CGROUP=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/keeper-test.$$
	SOCKET=$DIR/run/keeper.sock
	mkdir -p "$CGROUP" "$DIR"/{run,log} "$DIR"/root/{bin,tmp,etc,proc,sys,dev,run}
	chmod 700 "$DIR/run"
	install -m 755 /bin/busybox "$O/helpers/guest_check" "$DIR/root/bin/"
	local name
	for name in $(busybox --list); do
		[ -e "$DIR/root/bin/$name" ] || ln -s busybox "$DIR/root/bin/$name"
	done
	# An init that does what the last word says at SIGTERM.
	cat >"$DIR/root/init" <<-'END'
		#!/bin/sh
		trap 'eval "$1"' TERM
		echo "init of $1 is up"
		while :; do sleep 1000 & wait; done
	END
	chmod 755 "$DIR/root/init"
	start_keeper
}

teardown_file() {
	[ -n "${DIR-}" ] || return 0
	local dir
	for dir in "$CGROUP" "$CGROUP"/*/; do
		[ ! -e "$dir/cgroup.kill" ] || echo 1 >"$dir/cgroup.kill"
	done
	sleep 0.3
	kill -KILL "$(cat "$DIR/pid")" || true
	sleep 0.2
	find "$CGROUP" -depth -type d -exec rmdir {} + || true
	rm -rf "$DIR"
}

# What failed leaves the next test the guest that they share, and no other.
teardown() {
	[ -z "$BATS_TEST_COMPLETED" ] || return 0
	tail -n 20 "$DIR/keeper.log" >&2
	local id boot
	while read -r id boot _; do
		[ "$id" = $A ] || end "$id" "$boot"
	done < <(probe list) >&2
}

start_keeper() {
	"$KEEPER" --socket "$SOCKET" </dev/null >/dev/null 2>>"$DIR/keeper.log" 3>&-
	pgrep -f "^$KEEPER --socket $SOCKET\$" >"$DIR/pid"
}

keeper_pid() {
	cat "$DIR/pid"
}

probe() {
	timeout 60 "$PROBE" --log "$DIR/log" "${OPTIONS[@]}" "$SOCKET" "$@" 3>&-
}

# with OPTION... -- COMMAND...: probes of COMMAND have these options.
with() {
	local OPTIONS=()
	while [ "$1" != -- ]; do
		OPTIONS+=("$1")
		shift
	done
	shift
	"$@"
}

# launch NAME ID BOOT BASE INIT...: prints pid and start time, when /init has set its trap.
launch() {
	local cgroup=$CGROUP/$1 id=$2 boot=$3 base=$4 log=$DIR/log.$1
	shift 4
	[ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +
	rm -rf "$log"
	mkdir -p "$cgroup" "$log"
	with --log "$log" --cgroup "$cgroup" --base "$base" "${OPTIONS[@]}" -- \
		probe launch "$id" "$boot" "$DIR/root" "$@" | sed -n 's/^launched //p'
	[ "$1" != /init ] || await grep -qs "is up" "$log/console.log"
}

# end ID BOOT: kills and forgets.
end() {
	probe signal "$1" "$2" 9 || true
	probe wait "$1" "$2"
	probe forget "$1" "$2"
}

# session [OPTION...] -- PROGRAM...: in guest A of boot 1.
session() {
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	# A leaf of its own, as vpsd does: into a cgroup that was killed once nothing can be born on
	# some kernels (6.15 and later compare the count of kills with that of the parent's cgroup).
	timeout 60 "$PROBE" --cgroup "$(mktemp -d "$CGROUP/a/exec.XXXXXX")" "${options[@]}" "$SOCKET" exec $A 1 "$@" 3>&-
}

# await COMMAND...: until it succeeds, at most 10 s.
await() {
	local i
	for ((i = 0; i < 200; i++)); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.05
	done
	echo "never: $*" >&2
	return 1
}

# Clock ticks of CPU that the keeper has used.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$(keeper_pid)/stat"
}

fds() {
	find "/proc/$(keeper_pid)/fd" -mindepth 1 | wc -l
}

@test "the socket is root's alone, a second keeper refuses to start" {
	[ "$(stat -c %a "$SOCKET")" = 600 ]
	run -1 "$KEEPER" --socket "$SOCKET" --foreground
	[[ $output == *"another vps-keeper runs"* ]]
	run -2 "$KEEPER"
}

@test "no host path is reachable from the keeper" {
	[ "$(wc -l <"/proc/$(keeper_pid)/mountinfo")" -le 3 ]
	run -0 ls "/proc/$(keeper_pid)/root/"
	[[ $output != *etc* ]]
}

@test "launch: console log, list, a second start is refused" {
	run launch a $A 1 1900000 /init a
	[[ $output =~ ^[0-9]+\ [0-9]+$ ]]
	await grep -q "init of a is up" "$DIR/log.a/console.log"
	[ "$(stat -c %a "$DIR/log.a/console.log")" = 600 ]
	run -0 probe list
	[[ $output == "$A 1 "* ]]
	[[ $output == *"how=0 status=0 pidfd=1 console=1" ]]
	mkdir -p "$CGROUP/a2"
	with --cgroup "$CGROUP/a2" -- run -1 probe launch $A 2 "$DIR/root" /init a
	[[ $output == *"is there already"* ]]
	run -1 probe forget $A 1
	[[ $output == *"still runs"* ]]
	run -1 probe signal $A 2 15
}

@test "two guests, and a failed launch leaves nothing" {
	launch b $B 1 2000000 /init b
	[ "$(probe list | wc -l)" = 2 ]
	mkdir -p "$CGROUP/c"
	with --cgroup "$CGROUP/c" --base 2100000 -- run -1 probe launch $C 1 "$DIR/root" /nonexistent
	[[ $output == *"/nonexistent"* ]]
	[ "$(probe list | wc -l)" = 2 ]
	grep -q "populated 0" "$CGROUP/c/cgroup.events"
	await rmdir "$CGROUP/c"
	end $B 1
}

@test "exec with pipes: streams, codes, signals" {
	run -7 --separate-stderr session -- sh -c 'cat; echo oops >&2; exit 7' <<<"hello"
	[ "$output" = hello ]
	[[ $stderr == *oops* ]]
	run -7 --separate-stderr session --framed -- sh -c 'cat; echo oops >&2; exit 7' <<<"hello"
	[ "$output" = hello ]
	[[ $stderr == *oops* ]]
	local mode
	for mode in --uid=0 --framed; do
		run -143 session $mode --signal 15 -- sleep 100 </dev/null
		run -137 session $mode -- sh -c 'kill -9 $$' </dev/null
		run -255 session $mode -- nosuchprogram </dev/null
		[[ $output == *"error 2 "* ]]
	done
	run -0 session --uid 1000 -- sh -c 'echo again >/proc/self/fd/1; id -u' </dev/null
	[[ $output == *again*1000* ]]
}

@test "exec with a terminal" {
	local mode
	for mode in --uid=0 --framed; do
		run -9 session --tty $mode -- sh -c 'tty; stty size; exit 9' </dev/null
		[[ $output == *"/dev/pts/"*"33 77"* ]]
		run -130 session --tty $mode --signal 2 -- sleep 100 </dev/null
		run -129 session --tty $mode -- sh -c 'kill -HUP $$' </dev/null
	done
	run -0 session --tty --framed -- cat <<<"typed"
	[[ $output == *typed*typed* ]]
}

@test "exec: frames that came with the request" {
	printf '\001\0\0\0\0\0\0\005early\001\0\0\0\0\0\0\0' >"$DIR/early"
	run -0 session --framed --early "$DIR/early" -- cat </dev/null
	[[ $output == *early* ]]
	printf '\005\0\0\0\0\0\0\004\0\0\0\017' >"$DIR/early"
	run -143 session --early "$DIR/early" -- sleep 100 </dev/null
	printf '\011' >"$DIR/early"
	head -c 11 /dev/zero >>"$DIR/early"
	run -255 session --early "$DIR/early" -- sleep 100 </dev/null
}

@test "exec: 40 MB each way through the relay" {
	[ "$(session --framed -- head -c 40000000 /dev/zero </dev/null | wc -c)" = 40000000 ]
	[ "$(head -c 40000000 /dev/zero | session --framed -- wc -c)" = 40000000 ]
}

@test "exec: a client that hangs up takes its command along" {
	local mode
	for mode in --uid=0 --framed --tty "--tty --framed"; do
		# shellcheck disable=SC2086
		session $mode --hangup -- sleep 7777 </dev/null
	done
	await sh -c "! grep -qs . '$CGROUP'/a/exec.*/cgroup.procs"
	# One that ignores the hangup is killed after 5 s.
	session --hangup -- sh -c 'trap "" HUP; sleep 7777; sleep 7777' </dev/null
	sleep 1
	grep -q . "$CGROUP"/a/exec.*/cgroup.procs
	await sh -c "! grep -qs . '$CGROUP'/a/exec.*/cgroup.procs"
}

@test "exec: a client that goes while its command takes no input" {
	local after=700
	[ "${VPS_TEST_MODE-}" != vm ] || after=6000 # it is to be seen before it goes, by somebody slow
	# More than the pipe and the relay hold.
	head -c 120000 /dev/zero | session --framed --hangup --after "$after" -- sleep 7778 3>&- &
	await pgrep -P "$(keeper_pid)" vps-relay
	await sh -c "! pgrep -P $(keeper_pid) vps-relay"
	wait $!
	await sh -c "! grep -qs . '$CGROUP'/a/exec.*/cgroup.procs"
}

@test "exec: what a command left behind writes on without end" {
	local mode code
	for mode in --framed "--tty --framed"; do
		code=0
		# shellcheck disable=SC2086
		session $mode -- sh -c 'trap "" HUP; yes & sleep 0.2; exit 3' </dev/null >/dev/null || code=$?
		[ $code -eq 3 ]
	done
}

@test "exec: no fd and no process is left of 200" {
	session -- true </dev/null
	sleep 0.2
	local before
	before=$(fds)
	mkdir -p "$CGROUP/a/exec"
	with --cgroup "$CGROUP/a/exec" -- probe execs 100 $A 1 true </dev/null 2>/dev/null
	with --cgroup "$CGROUP/a/exec" --framed -- probe execs 100 $A 1 true </dev/null 2>/dev/null
	sleep 0.5
	[ "$(fds)" -le "$before" ]
	[ "$(pgrep -P "$(keeper_pid)" | wc -l)" = 1 ]
}

@test "exec: a joiner that dies at once does not keep its guest from ending" {
	command -v strace >/dev/null || skip "no strace"
	launch b $B 1 2000000 /init b
	mkdir "$CGROUP/b/exec"
	# The middle process is held where the last one is born and nobody was told, and killed there.
	strace -f -q -o /dev/null -e trace=sendmsg -e inject=sendmsg:delay_enter=500000 -p "$(keeper_pid)" 3>&- &
	local tracer=$! session
	await grep -q "TracerPid:	$tracer" "/proc/$(keeper_pid)/status"
	timeout 60 "$PROBE" --cgroup "$CGROUP/b/exec" --base 2000000 "$SOCKET" exec $B 1 true </dev/null 3>&- &
	session=$!
	await sh -c "[ \$(wc -w <'$CGROUP/b/exec/cgroup.procs') -ge 2 ]"
	echo 1 >"$CGROUP/b/exec/cgroup.kill"
	run ! wait $session
	kill $tracer
	wait $tracer || true
	probe signal $B 1 9
	await sh -c "'$PROBE' '$SOCKET' list | grep -q '^$B 1 .*how=3'"
	probe forget $B 1
}

@test "its program cannot be run by guests, whatever the mode of its file" {
	[ "$(stat -c %a "$KEEPER")" = 755 ]
	printf '#!/proc/self/exe\n' >"$DIR/root/bin/self"
	chmod 755 "$DIR/root/bin/self"
	run -255 session -- self --version </dev/null
	[[ $output == *"error 13 "* ]]
	mkdir -p "$CGROUP/c"
	with --cgroup "$CGROUP/c" --base 2100000 -- run -1 probe launch $C 1 "$DIR/root" /bin/self --version
	[[ $output == *"Permission denied"* ]]
	await rmdir "$CGROUP/c"
}

@test "exec: a dead command that its guest keeps from being reaped costs the keeper nothing" {
	session -- sh -c 'echo $$ >/tmp/pid; exec sleep 100' </dev/null 3>&- &
	local command=$! tracer before
	await grep -q . "$DIR/root/tmp/pid"
	session -- sh -c 'exec guest_check hold-dead $(cat /tmp/pid)' </dev/null 3>&- &
	tracer=$!
	await sh -c "! kill -0 $command || grep -q 'State:.Z' /proc/[0-9]*/status"
	sleep 0.5
	before=$(ticks)
	sleep 1
	[ $(($(ticks) - before)) -lt 10 ]
	# Let go, it is reaped and told.
	session -- sh -c 'kill -9 $(ps -o pid,args | grep "[h]old-dead" | while read -r pid rest; do echo $pid; done)' </dev/null
	local code=0
	wait $command || code=$?
	[ $code -eq 137 ]
	wait $tracer || true
	rm "$DIR/root/tmp/pid"
}

# gated GATE: a launch of C in the background, up to where somebody else has to say GO. Sets $job.
gated() {
	mkdir -p "$CGROUP/gate"
	timeout 60 "$PROBE" --log "$DIR/log" --cgroup "$CGROUP/gate" --base 2100000 --gate "$1" "$SOCKET" \
		launch $C 1 "$DIR/root" /bin/sh -c 'echo alive; sleep 1000' >"$DIR/gate.out" 2>&1 3>&- &
	job=$!
	await grep -q "gate open" "$DIR/gate.out"
}

@test "a gate: the keeper waits for nobody, and keeps nothing of it" {
	local before job
	before=$(fds)
	gated hang
	# Others start meanwhile; the one that waits is no guest yet, and there is one of it only.
	launch b $B 1 2000000 /init b
	[ "$(probe list | wc -l)" = 2 ]
	with --cgroup "$CGROUP/gate" -- run -1 probe launch $C 2 "$DIR/root" /init c
	[[ $output == *"is there already"* ]]
	# Who launches is killed.
	kill -KILL "$(sed -n 's/^gate pid //p' "$DIR/gate.out")"
	wait "$job" || true
	await grep -q "populated 0" "$CGROUP/gate/cgroup.events"
	await rmdir "$CGROUP/gate"
	run ! grep -q alive "$DIR/log/console.log"
	end $B 1
	await eval '[ "$(fds)" -eq '"$before"' ]'
	with --cgroup "$CGROUP/gate" --gate 'ip link set lo up' --write $'etc/hosts=# mark\n' -- \
		eval 'mkdir -p "$CGROUP/gate"; run -0 probe launch $C 1 "$DIR/root" /init c'
	[[ $output == *"launched "* && $output != *warning* ]]
	grep -q mark "$DIR/root/etc/hosts"
	rm "$DIR/root/etc/hosts"
	end $C 1
	await rmdir "$CGROUP/gate"
	await eval '[ "$(fds)" -eq '"$before"' ]'
}

@test "a gate: the failure of who is behind it is the answer; what could not be written is told" {
	mkdir -p "$CGROUP/gate" "$DIR/root/etc/.hosts.vps-new"
	with --cgroup "$CGROUP/gate" --gate 'exit 7' -- run -1 probe launch $C 1 "$DIR/root" /init c
	[[ $output == *"setting up the network: the command ended with 7"* ]]
	await rmdir "$CGROUP/gate"
	mkdir "$CGROUP/gate" # one that was killed takes no other on some kernels
	with --cgroup "$CGROUP/gate" --write $'etc/hosts=# mark\n' -- \
		run -0 probe launch $C 1 "$DIR/root" /init c
	rmdir "$DIR/root/etc/.hosts.vps-new"
	[[ $output == *"warning: cannot write '/etc/hosts': "*"launched "* ]]
	end $C 1
	await rmdir "$CGROUP/gate"
}

@test "a gate: nobody answers: the keeper's own limit ends the launch" {
	local job status=0
	gated hang
	wait "$job" || status=$?
	[ $status -eq 1 ]
	grep -q "the launch of '$C' took longer than 30 s" "$DIR/gate.out"
	await grep -q "populated 0" "$CGROUP/gate/cgroup.events"
	await rmdir "$CGROUP/gate"
}

@test "console: input, output, read-only" {
	launch b $B 1 2000000 /bin/sh -i
	{
		sleep 0.3
		echo 'echo sum $((40 + 2))'
		sleep 0.7
	} | with --hangup --after 900 -- probe console $B 1 >"$DIR/out"
	grep -q "sum 42" "$DIR/out"
	{
		sleep 0.2
		echo 'echo forbidden'
		sleep 0.5
	} | with --readonly --hangup --after 600 -- probe console $B 1 >"$DIR/out"
	run -1 grep forbidden "$DIR/out"
	# The end of the guest ends the attachment, with the code.
	(
		sleep 0.5
		exec timeout 10 "$PROBE" "$SOCKET" signal $B 1 9 3>&-
	) &
	run -137 probe console $B 1 </dev/null
	probe wait $B 1
	probe forget $B 1
}

@test "a flood: the log stays capped, the keeper idle, others unharmed" {
	mkdir -p "$DIR/flood"
	with --log "$DIR/flood" --log-max 100000 -- launch b $B 1 2000000 /bin/yes
	local before after slow most=30
	[ "${VPS_TEST_MODE-}" != vm ] || most=100 # emulated
	sleep 1
	before=$(ticks)
	sleep 3
	after=$(ticks)
	echo "# keeper: $((after - before)) of 300 ticks under flood" >&3
	[ $((after - before)) -lt $most ]
	# By find: console.log is not there for the moment of a rotation.
	[ -z "$(find "$DIR/flood" -type f -size +100000c)" ]
	[ "$(stat -c %s "$DIR/flood/console.log.1")" = 100000 ]
	slow=$(date +%s%N)
	session -- true </dev/null
	slow=$((($(date +%s%N) - slow) / 1000000))
	echo "# exec beside it: $slow ms" >&3
	[ $slow -lt 2000 ]
	# A customer who does not read holds nobody.
	local customer
	"$PROBE" "$SOCKET" console $B 1 >/dev/null </dev/null 3>&- &
	customer=$!
	sleep 0.3
	kill -STOP $customer
	sleep 1.5
	probe list
	kill -KILL $customer
	end $B 1
}

@test "ready is a claim that counts once, other datagrams are thrown away" {
	command -v python3 >/dev/null || skip "needs python3 on the host"
	local pid
	read -r pid _ < <(launch b $B 1 2000000 /init b)
	python3 - "/proc/$pid/root/run/host/notify" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.connect(sys.argv[1])
		for d in [b"STATUS=x", b"XREADY=1", b"READY=12", b"a" * 9000, b""]:
		    s.send(d)
	END
	[[ $(probe list) == *"$B 1 $pid "*"ready=0"* ]]
	python3 - "/proc/$pid/root/run/host/notify" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.connect(sys.argv[1])
		s.send(b"STATUS=up\nREADY=1\n")
	END
	sleep 0.2
	probe list | grep -q "^$B 1 $pid .*ready=1"
	end $B 1
}

# hostile PID TEXT: one datagram for the guest's notify socket, with a socket whose last close takes
# a minute where the kernel lets fds through, and one with as many fds as there can be.
hostile() {
	python3 - "/proc/$1/root/run/host/notify" "$2" 3>&- <<-'END'
		import array, os, socket, struct, sys, time
		listener = socket.create_server(("127.0.0.1", 0))
		tcp = socket.create_connection(listener.getsockname())
		peer = listener.accept()[0]
		tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
		tcp.setblocking(False)
		try:
		    while tcp.send(bytes(65536)):
		        pass
		except BlockingIOError:
		    pass
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.connect(sys.argv[1])
		null = os.open("/dev/null", os.O_RDONLY)
		def send(fds):
		    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
		    try:
		        s.sendmsg([sys.argv[2].encode()], rights)
		    except PermissionError:
		        # Nothing was queued: the last close is this process's own.
		        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
		        s.send(sys.argv[2].encode())
		send([null] * 253)
		send([tcp.fileno()])
		tcp.close()
		# The peer stays, and does not read.
		if os.fork() == 0:
		    os.closerange(0, 3)
		    time.sleep(5)
	END
}

# within MSEC COMMAND...
within() {
	local most=$1 took
	shift
	took=$(date +%s%N)
	"$@"
	took=$((($(date +%s%N) - took) / 1000000))
	[ $took -lt "$most" ] || { echo "$* took $took ms" >&2; return 1; }
}

@test "what a guest sends along to its notify socket holds nobody" {
	command -v python3 >/dev/null || skip "needs python3 on the host"
	local pid text most=1000
	[ "${VPS_TEST_MODE-}" != vm ] || most=5000 # emulated
	for text in STATUS=x READY=1; do
		read -r pid _ < <(launch b $B 1 2000000 /init b)
		hostile "$pid" $text
		within $most probe list
		within $most session -- true </dev/null
		# Once more, not read when the guest ends.
		hostile "$pid" $text || true
		probe signal $B 1 9
		within $most probe wait $B 1
		within $most probe list
		probe forget $B 1
	done
	await sh -c "[ \$(pgrep -P $(keeper_pid) | wc -l) = 1 ]"
}

@test "how a guest ended: reboot, poweroff, code, kill" {
	local row action how status
	for row in "reboot -f:1:1" "poweroff -f:2:2" "halt -f:2:2" "exit 5:4:1280"; do
		IFS=: read -r action how status <<<"$row"
		launch b $B 1 2000000 /init "$action"
		probe signal $B 1 15
		[ "$(probe wait $B 1)" = "$how $status" ]
		# Kept, with no fds, until it is forgotten.
		probe list | grep -q "^$B 1 .*how=$how status=$status pidfd=0 console=0"
		mkdir -p "$CGROUP/b2"
		with --cgroup "$CGROUP/b2" -- run -1 probe launch $B 2 "$DIR/root" /init b
		[[ $output == *"not recorded yet"* ]]
		probe forget $B 1
		run -1 probe forget $B 1
	done
	launch b $B 1 2000000 /init b
	echo 1 >"$CGROUP/b/cgroup.kill"
	[ "$(probe wait $B 1)" = "3 9" ]
	probe forget $B 1
}

@test "an exit while nobody is connected is found by the next client" {
	launch b $B 4 2000000 /init "exit 6"
	"$PROBE" "$SOCKET" idle 3>&- &
	local vpsd=$!
	sleep 0.3
	kill -KILL $vpsd
	wait $vpsd || true
	kill -TERM "$(probe list | awk -v id=$B '$1 == id { print $3 }')"
	await sh -c "'$PROBE' '$SOCKET' list | grep -q '^$B 4 .*how=4 status=1536'"
	probe forget $B 4
}

@test "a newer connection replaces the older" {
	"$PROBE" "$SOCKET" idle 2>"$DIR/idle" 3>&- &
	sleep 0.3
	probe list
	wait $! || true
	grep -q "closed the connection" "$DIR/idle"
}

@test "held fds" {
	echo precious >"$DIR/precious"
	probe hold table "$DIR/precious"
	rm "$DIR/precious"
	[ "$(probe held table)" = precious ]
	probe unhold table
	run -1 probe held table
}

@test "SIGTERM is ignored while there are guests" {
	kill -TERM "$(keeper_pid)"
	sleep 0.3
	probe list
	grep -q "signal 15 ignored" "$DIR/keeper.log"
}

@test "50 launches at once" {
	local i
	for ((i = 1; i <= 50; i++)); do
		mkdir -p "$CGROUP/many/$i"
	done
	with --cgroup "$CGROUP/many" --base 3000000 --log-max 0 -- run -0 probe parallel 50 "$DIR/root" /init many
	echo "# ${lines[-1]}" >&3
	run -0 probe list
	[ ${#lines[@]} = 51 ] || { echo "$output"; false; }
	awk '/^Pss:|^Private_Dirty:/ { print "# with 51 guests: " $0 }' "/proc/$(keeper_pid)/smaps_rollup" >&3
	echo 1 >"$CGROUP/many/cgroup.kill"
	await sh -c "[ \$('$PROBE' '$SOCKET' list | grep -c how=3) = 50 ]"
	for ((i = 1; i <= 50; i++)); do
		timeout 10 "$PROBE" "$SOCKET" forget "$(printf %016x "$i")" 1 3>&-
	done
	[ "$(probe list | wc -l)" = 1 ]
}

@test "the keeper dies: the guest lives, a new keeper adopts it" {
	local pid start
	read -r _ _ pid start _ < <(probe list)
	kill -KILL "$(keeper_pid)"
	await sh -c "[ \$(awk '/^PPid:/ { print \$2 }' /proc/$pid/status) != $(keeper_pid) ]"
	start_keeper
	run -0 probe list
	[ -z "$output" ]
	run -1 probe adopt $A 1 "$pid" $((start + 1))
	probe adopt $A 1 "$pid" "$start"
	run -0 --separate-stderr session -- echo alive </dev/null
	[ "$output" = alive ]
	probe signal $A 1 9
	[ "$(probe wait $A 1)" = "5 0" ]
	probe forget $A 1
	# Nothing depends on it now.
	kill -TERM "$(keeper_pid)"
	await sh -c "! kill -0 $(keeper_pid)"
	start_keeper
}
