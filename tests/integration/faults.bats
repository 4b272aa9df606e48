#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vpsd, one of its threads or one of its jobs is killed in a chosen system call of create, start, stop and delete:
# afterwards the operation is finished or undone. recovery.bats has the random moments.
load lib

CALLS=fsync,fdatasync,renameat,renameat2,mkdirat,openat

setup_file() {
	command -v strace >/dev/null || skip "needs strace"
	host_up
	SEED=${VPS_TEST_SEED:-$((RANDOM * 32768 + RANDOM))}
	export SEED
	echo "# seed $SEED (VPS_TEST_SEED repeats it)" >&3
}

teardown_file() {
	host_down
}

is_traced() {
	! grep -q '^TracerPid:[[:space:]]*0$' "/proc/$1/status"
}

# traced FILE OPTION... -- COMMAND...: runs a command of vps while vpsd and its jobs are under strace.
traced() {
	local file=$1 pid options=() code=0 tracer
	shift
	pid=$(vpsd_pid)
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	strace -f -qq -p "$pid" -o "$file" -e "trace=$CALLS" "${options[@]}" 2>/dev/null 3>&- &
	tracer=$!
	await 10 is_traced "$pid"
	timeout 30 "$@" >"$T/op.out" 2>&1 3>&- || code=$?
	# It goes with vpsd; otherwise it is sent away.
	kill -INT "$tracer" 2>/dev/null || true
	wait "$tracer" || true
	return "$code"
}

# How many of the calls one thread makes at the most.
count_calls() {
	awk '/resumed>/ { next } { n[$1]++; if (n[$1] > max) max = n[$1] } END { print max + 0 }' "$1"
}

# prepare VERB: what the verb is done to.
prepare() {
	vps info t/f >/dev/null 2>&1 && drop_instance t/f
	case $1 in
	start) make_instance t/f --no-start ;;
	stop | delete) make_instance t/f ;;
	esac
}

holds() {
	case $1 in
	create | start) has_field t/f .state running ;;
	stop) has_field t/f .state stopped ;;
	delete) ! vps info t/f >/dev/null 2>&1 ;;
	esac
}

# walk VERB POINTS COMMAND...: kills in POINTS of the calls that the verb makes, the first ones and a sample.
walk() {
	local verb=$1 points=$2 calls n i
	shift 2
	[ "$MODE" = host ] || points=3
	prepare "$verb"
	traced "$T/trace" -- "$@" || fail "$verb fails under strace: $(cat "$T/op.out")"
	calls=$(count_calls "$T/trace")
	[ "$calls" -gt 3 ]
	RANDOM=$SEED
	for ((i = 1; i <= points; i++)); do
		n=$((i <= 2 ? i : RANDOM % calls + 1))
		prepare "$verb"
		local code=0
		traced /dev/null -e "inject=$CALLS:signal=KILL:when=$n" -- "$@" || code=$?
		! alive "$(vpsd_pid)" || kill_vpsd KILL
		await 20 dead "$(vpsd_pid)"
		start_vpsd
		sound 30 || fail "seed $SEED: $verb, call $n of $calls"
		[ "$code" -ne 0 ] || holds "$verb" ||
			fail "seed $SEED: $verb, call $n of $calls: it was acknowledged, and is undone"
	done
	echo "# $verb: $points of $calls calls" >&3
}

@test "create" {
	walk create 10 vps create t/f --plan tiny --image busybox
}

@test "start" {
	walk start 7 vps start t/f
}

@test "stop" {
	walk stop 6 vps stop --timeout 2s t/f
}

@test "delete" {
	walk delete 7 vps delete --force --yes t/f
}

# The job is in a long system call when vpsd dies: it publishes nothing behind the back of the next one.
@test "a creation whose job sits in syncfs" {
	local tracer client vpsd
	prepare none
	vpsd=$(vpsd_pid)
	strace -f -qq -p "$vpsd" -o "$T/trace" -e trace=syncfs -e inject=syncfs:delay_enter=3s 2>/dev/null 3>&- &
	tracer=$!
	await 10 is_traced "$vpsd"
	vps create t/f --plan tiny --image busybox >"$T/op.out" 2>&1 3>&- &
	client=$!
	await 10 grep -q syncfs "$T/trace"
	kill_vpsd KILL
	ended_with "$client" 1
	start_vpsd
	await 10 holds delete # it is undone
	kill -INT "$tracer" 2>/dev/null || true
	wait "$tracer" || true
	# Longer than the call takes.
	sleep 4
	sound
}

@test "nothing is left" {
	prepare none
	sound
	equal "$(guest_pids | wc -l)" 0
}
