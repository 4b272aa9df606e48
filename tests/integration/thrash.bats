#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest that is stuck at its memory limit: noticed, and relieved, throttled or only named; others are left alone.
load lib

PRESSURE=30 REFAULTS=20 CACHE=15 AFTER=6s HELD=20

# thrash_rule ACTION: of the host document.
thrash_rule() {
	echo ".thrash = {action: \"$1\", pressure: $PRESSURE, refaults: $REFAULTS, cache: $CACHE, after: \"$AFTER\", read_iops: $HELD}"
}

# Another vpsd with another rule; guests stay.
with_rule() {
	kill_vpsd TERM
	host_document "$(thrash_rule "$1")"
	start_vpsd
}

setup_file() {
	host_new "$(thrash_rule kill)"
	tiny_documents
	# A disk that is slow, so that what is read again is waited for.
	[ "$MODE" != vm ] || add_plan slow '.memory.limit = "48MiB" | .disk.read_iops = 100'
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	make_instance t/b
	[ "$MODE" = vm ] || return 0
	vps create t/a --plan slow --image busybox --quiet
	C=$(instance_cgroup t/a)
	DISK=$(findmnt -no SOURCE --target "$T" | sed 's,^/dev/,,')
	DEV=$(cat "/sys/class/block/$DISK/dev")
	export C DISK DEV
	put_inside t/a /bin/thrash <"$HELPERS/thrash"
}

teardown_file() {
	host_down
}

teardown() {
	[ "$MODE" = vm ] || return 0
	inside t/a killall -9 thrash >/dev/null 2>&1 || true
}

# The cursor of the newest event.
newest() {
	vps events --json | jq .next
}

# has_event SINCE KIND [JQ-CONDITION]
has_event() {
	vps events --since "$1" --json | jq -e "[.events[] | select(.kind == \"$2\" and (${3:-true}))] | length > 0"
}

event_of() {
	vps events --since "$1" --json | jq -c "[.events[] | select(.kind == \"$2\")][0]"
}

# A process that has taken nearly all memory, and reads a file over and over that does not fit into the rest.
thrash_inside() {
	vps exec t/a -- /bin/thrash /var/thrash 24 41 >"$T/thrash.out" 2>&1 3>&- 4>&- &
	await 60 grep -q up "$T/thrash.out"
}

is_thrashing() {
	runs_inside t/a /bin/thrash
}

reads_held() {
	sed -n "s/^$DEV .*riops=\([^ ]*\).*/\1/p" "$C/io.max"
}

holds() {
	[ "$(reads_held)" = "$1" ]
}

start_of() {
	sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20
}

@test "where the kernel has no figures, vps host and the log say so" {
	host_only "needs a kernel without the memory controller of cgroup v2"
	equal "$(vps host --json | jq -r '.support[] | select(.item == "thrash") | "\(.supported) \(.reason)"')" \
		"false the host has no memory controller"
	grep -q "are not noticed: the host has no memory controller" "$T/vpsd.log"
}

@test "the process that holds most is the one that is killed, never the init" {
	local pid start job
	# shellcheck disable=SC2016 # the guest's shell expands it
	vps exec t/b -- sh -c 'x=$(head -c 8000000 /dev/zero | tr "\0" x); echo up; sleep 1000; echo "$x"' >"$T/big" 3>&- 4>&- &
	local big=$!
	vps exec t/b -- sh -c 'echo up; sleep 1001; :' >"$T/small" 3>&- 4>&- &
	local small=$!
	await 20 grep -q up "$T/big"
	await 20 grep -q up "$T/small"
	pid=$(field t/b .pid) start=$(start_of "$pid")
	job=$("$O/vps-job" relieve --cgroup "$(instance_cgroup t/b)" --init "$pid" --start "$start")
	equal "$(jq -r .result.killed.command <<<"$job")" sh
	[ "$(jq .result.killed.memory <<<"$job")" -gt 8000000 ] || fail "$job"
	ended_with "$big" 137
	alive "$small"
	equal "$(field t/b .pid)" "$pid"
	runs_inside t/b "sleep 1001"
	# Of another boot: its pid is not enough.
	run "$O/vps-job" relieve --cgroup "$(instance_cgroup t/b)" --init "$pid" --start $((start + 1))
	[ "$status" -eq 1 ]
	contains "$output" "is another one than before"
	runs_inside t/b "sleep 1001"
	inside t/b killall sleep || true
	wait "$small" || true
}

@test "the init lives on however often a process is to be killed" {
	local pid start
	pid=$(field t/b .pid) start=$(start_of "$pid")
	for _ in $(seq 20); do
		"$O/vps-job" relieve --cgroup "$(instance_cgroup t/b)" --init "$pid" --start "$start" >"$T/job" ||
			grep -q "nothing but the init lives there" "$T/job" || fail "$(cat "$T/job")"
	done
	alive "$pid"
	equal "$(field t/b '[.pid, .boot] | map(tostring) | join(" ")')" "$pid 1"
	vps restart --force --quiet t/b
}

@test "kill: it ends within the time, the event says what and why, the init and the neighbour live on" {
	vm_only "needs pressure figures"
	local cursor pid b t0 event
	cursor=$(newest) pid=$(field t/a .pid) b=$(field t/b '[.boot, .pid] | map(tostring) | join(" ")')
	thrash_inside
	t0=$SECONDS
	while [ "$((SECONDS - t0))" -lt 120 ] && ! has_event "$cursor" thrash >/dev/null; do
		echo "# $(tail -n 1 "$C/memory.pressure") / $(tail -n 1 "$C/io.pressure") / $(grep -E 'refault_file|active_file' "$C/memory.stat" | xargs)" >&3
		sleep 2
	done
	event=$(event_of "$cursor" thrash)
	echo "# after $((SECONDS - t0)) s: $(jq -r .message <<<"$event")" >&3
	equal "$(jq -r '.instance + " " + .details.action + " " + .details.killed.command' <<<"$event")" "t/a kill thrash"
	jq -e ".details | .seconds >= 6 and ([.memory_pressure, .io_pressure] | max) >= $PRESSURE / 2 and .refaults >= $REFAULTS / 2" \
		<<<"$event" >/dev/null || fail "$event"
	run is_thrashing
	[ "$status" -ne 0 ]
	equal "$(field t/a .pid)" "$pid"
	equal "$(inside t/a echo ok)" ok
	equal "$(field t/b '[.boot, .pid] | map(tostring) | join(" ")')" "$b"
	await 20 has_event "$cursor" thrash-over
	equal "$(field t/a '[.thrash.since, .thrash.throttled, .thrash.actions] | map(tostring) | join(" ")')" "null false 1"
	contains "$(vps info t/a | grep '^thrash')" "not now (last action $(field t/a .thrash.last)"
	run has_event "$cursor" thrash '.instance != "t/a"'
	[ "$status" -ne 0 ]
}

@test "throttle: its reads are held back while it thrashes, and given back; also by the next vpsd" {
	vm_only "needs pressure figures"
	local cursor
	with_rule throttle
	equal "$(reads_held)" 100
	cursor=$(newest)
	thrash_inside
	await 20 has_event "$cursor" thrash '.details.action == "throttle" and .details.error == null'
	equal "$(reads_held)" $HELD
	is_thrashing
	equal "$(field t/a '.limits[] | select(.limit == "disk.read_iops") | [.configured, .actual, .effective] | map(tostring) | join(" ")')" \
		"100 $HELD false"
	contains "$(vps info t/a | grep '^thrash')" "stuck at its memory limit since $(field t/a .thrash.since), reads held back"
	# A change of another limit does not give them back, nor is it undone with them.
	vps set --quiet t/a pids=60
	equal "$(reads_held) $(cat "$C/pids.max")" "$HELD 60"
	kill_vpsd KILL
	equal "$(reads_held)" $HELD
	start_vpsd
	equal "$(reads_held)" 100
	await 20 holds $HELD
	inside t/a killall -9 thrash
	await 20 has_event "$cursor" thrash-over
	equal "$(reads_held) $(cat "$C/pids.max")" "100 60"
	equal "$(field t/a '.limits[] | select(.limit == "disk.read_iops") | [.configured, .actual, .effective] | map(tostring) | join(" ")')" \
		"100 100 true"
}

@test "reclaim and none: said, and nothing is killed" {
	vm_only "needs pressure figures"
	local cursor action
	for action in reclaim none; do
		with_rule "$action"
		cursor=$(newest)
		thrash_inside
		await 20 has_event "$cursor" thrash ".details.action == \"$action\" and .details.error == null"
		echo "# $(event_of "$cursor" thrash | jq -r .message)" >&3
		is_thrashing
		equal "$(reads_held)" 100
		inside t/a killall -9 thrash
	done
}

@test "a guest that works hard within its limits is left alone" {
	vm_only "needs pressure figures"
	local cursor job
	with_rule kill
	cursor=$(newest)
	# Twice its memory read in order again and again, a loop, and files that are written and removed.
	# shellcheck disable=SC2016 # the guest's shell expands it
	vps exec t/b -- sh -c 'dd if=/dev/zero of=/var/big bs=1M count=128 2>/dev/null
		while :; do :; done & while :; do dd if=/dev/zero of=/var/new bs=1M count=4 2>/dev/null; rm /var/new; done &
		while :; do cat /var/big >/dev/null; done' 3>&- 4>&- &
	job=$!
	sleep 60
	echo "# $(tail -n 1 "$(instance_cgroup t/b)/memory.pressure") / $(tail -n 1 "$(instance_cgroup t/b)/io.pressure")" >&3
	echo "# $(grep -E 'refault_file|active_file' "$(instance_cgroup t/b)/memory.stat" | xargs)" >&3
	kill "$job"
	wait "$job" || true
	run has_event "$cursor" thrash
	[ "$status" -ne 0 ] || fail "$(event_of "$cursor" thrash)"
	equal "$(inside t/b echo ok)" ok
	vps restart --force --quiet t/b
}
