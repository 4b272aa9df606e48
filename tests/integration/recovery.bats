#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vpsd and the keeper die at any moment: no guest notices, no acknowledged change is lost, nothing half-made stays.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

# Whatever became of the test before.
setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# within INIT COMMAND...: without vpsd and the keeper.
within() {
	nsenter -t "$1" -U -m -p -S 0 -G 0 "${@:2}"
}

guests() {
	vps ls --json | jq -c '[.instances[] | [.name, .boot, .pid]]'
}

@test "kill -9 of vpsd: the same inits, the same boot, everything works" {
	make_instance t/a
	make_instance t/b
	local before keeper
	state() { vps ls --json | jq -c '[.instances[] | [.name, .state, .boot, .pid, .ids.base]]'; }
	before=$(state) keeper=$(keeper_pid)
	kill_vpsd KILL
	start_vpsd
	equal "$(state)" "$before"
	equal "$(keeper_pid)" "$keeper"
	equal "$(inside t/a echo ok)" ok
	vps restart --force t/b
	sound
}

@test "a session goes on while vpsd dies" {
	vps exec t/a -- sh -c 'echo up; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end; exit 9' >"$T/session" 3>&- &
	local client=$!
	await 10 grep -q up "$T/session"
	kill_vpsd KILL
	start_vpsd
	inside t/a touch /tmp/go
	ended_with "$client" 9
	contains "$(cat "$T/session")" end
}

@test "the cgroup of a session that ended while vpsd was dead goes" {
	local cgroup leaf client
	cgroup=$(instance_cgroup t/a)
	vps exec t/a -- sh -c 'echo up; sleep 1000' >"$T/session" 3>&- &
	client=$!
	await 10 grep -q up "$T/session"
	leaf=$(find "$cgroup" -name 'x-*')
	kill_vpsd KILL
	echo 1 >"$leaf/cgroup.kill"
	ended_with "$client" 137
	[ -d "$leaf" ]
	start_vpsd
	equal "$(find "$cgroup" -name 'x-*')" ""
}

@test "what happened while vpsd was dead is understood: poweroff, reboot, a crash" {
	local a b
	put_inside t/a /etc/rc <<-'SH'
		#!/bin/sh
		while [ ! -e /tmp/off ]; do sleep 0.1; done
		rm /tmp/off
		poweroff -f
	SH
	put_inside t/b /etc/rc <<-'SH'
		#!/bin/sh
		while [ ! -e /tmp/again ]; do sleep 0.1; done
		rm /tmp/again
		reboot -f
	SH
	make_instance t/c
	vps restart --force t/a
	vps restart --force t/b
	local boot_b boot_c pid_a pid_b pid_c
	pid_a=$(field t/a .pid) pid_b=$(field t/b .pid) pid_c=$(field t/c .pid)
	boot_b=$(field t/b .boot) boot_c=$(field t/c .boot)
	kill_vpsd KILL
	within "$pid_a" touch /tmp/off
	within "$pid_b" touch /tmp/again
	kill -KILL "$pid_c"
	await 10 dead "$pid_a"
	await 10 dead "$pid_b"
	await 10 dead "$pid_c"
	start_vpsd
	await 10 has_field t/a '.state + " " + .desired + " " + .last_exit' "stopped stopped poweroff"
	await 20 has_field t/b '.state + " " + .last_exit' "running reboot"
	equal "$(field t/b .boot)" $((boot_b + 1))
	await 20 has_field t/c '.state + " " + .last_exit' "running killed"
	[ "$(field t/c .boot)" -gt "$boot_c" ]
	drop_instance t/c
	vps start t/a
	sound
}

@test "the keeper is killed: guests live and are adopted by a new one" {
	local old before
	old=$(keeper_pid)
	before=$(guests)
	kill -KILL "$old"
	another() { [[ $(keeper_pid) =~ ^[0-9]+$ ]] && [ "$(keeper_pid)" != "$old" ] && is_host_ready; }
	await 20 another
	sound
	equal "$(guests)" "$before"
	equal "$(inside t/a echo ok)" ok
	vps stop t/b
	equal "$(field t/b .state)" stopped
	vps start t/b
	inside t/b echo ok
	sound
}

@test "a guest that a new keeper adopted: its end is seen" {
	local old
	old=$(keeper_pid)
	kill -KILL "$old"
	await 20 is_host_ready
	another() { [[ $(keeper_pid) =~ ^[0-9]+$ ]] && [ "$(keeper_pid)" != "$old" ]; }
	await 20 another
	await 10 has_field t/b .state running
	local boot
	boot=$(field t/b .boot)
	# What became of it cannot be known; it was wanted, so it runs again.
	kill -KILL "$(field t/b .pid)"
	await 20 has_field t/b '.state + " " + (.boot | tostring)' "running $((boot + 1))"
	sound
}

@test "vpsd and the keeper die together" {
	local before
	before=$(guests)
	kill -KILL "$(keeper_pid)" "$(vpsd_pid)"
	await 10 dead "$(vpsd_pid)"
	start_vpsd
	sound
	equal "$(guests)" "$before"
	equal "$(inside t/a echo ok)" ok
}

@test "both die, and what they wrote down is lost: guests are known by their cgroups" {
	local before
	before=$(guests)
	kill -KILL "$(keeper_pid)" "$(vpsd_pid)"
	await 10 dead "$(vpsd_pid)"
	find "$T/run" -name state.json -delete
	start_vpsd
	sound
	equal "$(guests)" "$before"
	equal "$(inside t/a echo ok)" ok
	vps restart --force t/a
	sound
}

@test "a host document with another run directory: the guests go on, and are the new keeper's" {
	local before old
	before=$(guests) old=$(keeper_pid)
	kill_vpsd TERM
	host_document '.run = env.T + "/run2"'
	start_vpsd
	[ "$(keeper_pid)" != "$old" ]
	equal "$(guests)" "$before"
	equal "$(inside t/a echo ok)" ok
	# The old one was their parent: it has nothing to do any more.
	kill -KILL "$old"
	vps stop --force t/a
	vps start t/a
	equal "$(inside t/a echo ok)" ok
	before=$(guests) old=$(keeper_pid)
	kill_vpsd TERM
	kill -KILL "$old"
	host_document
	start_vpsd
	equal "$(guests)" "$before"
	sound
}

# wanted VERB: brings t/k into a state in which the verb has something to do.
wanted() {
	local now
	now=$(field t/k .state 2>/dev/null || true)
	case $1:${now:=absent} in
	create:absent | start:stopped | stop:running | delete:stopped | delete:running) ;;
	create:*) drop_instance t/k ;;
	start:absent) make_instance t/k --no-start ;;
	start:*) vps stop --force --quiet t/k ;;
	stop:absent | delete:absent) make_instance t/k ;;
	stop:*) vps start --quiet t/k ;;
	*) fail "t/k is $now" ;;
	esac
}

# order VERB: sets OP, the command.
order() {
	case $1 in
	create) OP=(vps create t/k --plan tiny --image busybox) ;;
	start) OP=(vps start t/k) ;;
	stop) OP=(vps stop --timeout 1s t/k) ;;
	delete) OP=(vps delete --force --yes t/k) ;;
	esac
}

# operations VERB: how many of them on t/k are in the database.
operations() {
	vps op ls --json | jq --arg kind "$1" '[.operations[] | select(.target == "t/k" and .kind == $kind)] | length'
}

# holds VERB: whether what was acknowledged is still so.
holds() {
	case $1 in
	create | start) has_field t/k .state running ;;
	stop) has_field t/k .state stopped ;;
	delete) ! vps info t/k >/dev/null 2>&1 ;;
	esac
}

# strike VERB USEC: the verb, and SIGKILL for vpsd so long after its beginning. Sets MET: "" when the client had its
# answer, "asked" when it waited for one, "begun" when the operation stood in the database besides.
strike() {
	local pid client code=0 before delay
	pid=$(vpsd_pid) before=$(operations "$1")
	order "$1"
	printf -v delay '%d.%06d' $(($2 / 1000000)) $(($2 % 1000000))
	"${OP[@]}" >"$T/op.out" 2>&1 3>&- &
	client=$!
	sleep "$delay"
	MET=asked
	alive "$client" || MET=
	kill -KILL "$pid"
	wait "$client" || code=$?
	[ "$code" -ne 0 ] || MET=
	await 20 dead "$pid"
	start_vpsd
	sound 30 || fail "$1, $2 microseconds"
	[ "$code" -ne 0 ] || holds "$1" || fail "$1, $2 microseconds: it was acknowledged, and is undone"
	[ -z "$MET" ] || [ "$(operations "$1")" -eq "$before" ] || MET=begun
}

# Each kill falls into an operation that is under way: those that come too late are not counted.
@test "vpsd is killed at random moments of create, start, stop, delete: no half state, nothing left" {
	local seed=${VPS_TEST_SEED:-$((RANDOM * 32768 + RANDOM))} kills=52 met=0 tried=0 verb start delay
	local -A usec=() asked=() begun=()
	local verbs=(create start stop delete)
	[ "$MODE" = host ] || kills=4 # emulated: half a minute each
	echo "# seed $seed (VPS_TEST_SEED repeats it)" >&3
	RANDOM=$seed
	drop_instance t/a
	drop_instance t/b
	# How long each takes here.
	for verb in "${verbs[@]}"; do
		wanted "$verb"
		order "$verb"
		start=${EPOCHREALTIME/./}
		"${OP[@]}" >/dev/null
		usec[$verb]=$((${EPOCHREALTIME/./} - start))
	done
	while [ "$met" -lt "$kills" ]; do
		verb=${verbs[met % 4]}
		wanted "$verb"
		[ "$tried" -lt $((kills * 2 + 24)) ] || fail "seed $seed: only $met of $tried kills met an operation"
		delay=$(((RANDOM * 32768 + RANDOM) % usec[$verb]))
		strike "$verb" "$delay" || fail "seed $seed, kill $tried"
		tried=$((tried + 1))
		# One that came too late says how long it takes at most: what was measured once, of a guest that had just been
		# started or on a machine that did other things besides, may be too much by far.
		[ -n "$MET" ] || { usec[$verb]=$((delay + 1)) && continue; }
		met=$((met + 1))
		asked[$verb]=$((${asked[$verb]-0} + 1))
		[ "$MET" != begun ] || begun[$verb]=$((${begun[$verb]-0} + 1))
	done
	echo "# $met of $tried kills met an operation under way" >&3
	for verb in "${verbs[@]}"; do
		echo "# $verb: $((usec[$verb] / 1000)) ms, ${asked[$verb]-0} kills, ${begun[$verb]-0} of them with its row written" >&3
	done
	[ "$met" -ge "$kills" ]
	wanted create
	sound
	equal "$(guest_pids | wc -l)" 0
}

# without_bpf COMMAND...: while the kernel refuses all programs of vpsd.
without_bpf() {
	local tracer pid code=0
	pid=$(vpsd_pid)
	strace -f -qq -o /dev/null -e trace=bpf -e inject=bpf:error=EPERM -p "$pid" 3>&- &
	tracer=$!
	await 10 grep -q "^TracerPid:[[:space:]]*$tracer" "/proc/$pid/status"
	"$@" >"$T/op.out" 2>&1 || code=$?
	kill "$tracer"
	wait "$tracer" || true
	return "$code"
}

# fences T/N: how many lines of "unsupported" are about its device program.
fences() {
	field "$1" '.unsupported | map(select(.item == "device_program" and (.reason | contains("device program")))) | length'
}

@test "no guest without the device program, unless that is tolerated; the next vpsd attaches it" {
	command -v strace >/dev/null || skip "needs strace"
	host_document '.tolerate_unsupported -= ["device_program"]'
	kill_vpsd TERM
	start_vpsd
	make_instance t/d --no-start
	! without_bpf vps start t/d || fail "it was started"
	contains "$(cat "$T/op.out")" "cannot enforce device_program: "
	contains "$(cat "$T/op.out")" '"tolerate_unsupported": ["device_program"]'
	equal "$(field t/d .state)" failed
	host_document '.tolerate_unsupported += ["device_program"]'
	kill_vpsd TERM
	start_vpsd
	without_bpf vps start t/d || fail "$(cat "$T/op.out")"
	equal "$(fences t/d)" 1
	kill_vpsd KILL
	start_vpsd
	equal "$(field t/d .state)" running
	# Where the kernel lets it, that is.
	if tail -n 5 "$T/vpsd.log" | grep -q "t/d: ran without its device program, which is there again"; then
		equal "$(fences t/d)" 0
	else
		[ "$MODE" = host ]
		equal "$(fences t/d)" 1
	fi
	drop_instance t/d
	host_document
	kill_vpsd TERM
	start_vpsd
	sound
}

@test "vpsd is killed during an import: nothing of it stays" {
	mkfifo "$T/pipe"
	vps image import half - <"$T/pipe" >/dev/null 2>&1 3>&- &
	exec 5>"$T/pipe" # held open: the archive does not end
	head -c 1000000 "$(busybox_archive)" >&5
	working() { [ -n "$(ls -A "$T/state/pool/tmp")" ]; }
	await 10 working
	kill_vpsd KILL
	exec 5>&-
	start_vpsd
	sound
	run vps image ls
	[[ $output != *half* ]]
	vps image import whole "$(busybox_archive)" >/dev/null
}

@test "a damaged database: the last good copy takes its place, and that is said" {
	make_instance t/db --no-start
	kill_vpsd TERM
	[ -e "$T/state/vpsd.db.backup" ]
	rm -f "$T/state/vpsd.db-wal" "$T/state/vpsd.db-shm"
	printf 'not a database, not at all' | dd of="$T/state/vpsd.db" conv=notrunc status=none
	start_vpsd
	grep -qi backup "$T/vpsd.log"
	equal "$(field t/db .state)" stopped
	drop_instance t/db
}
