#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The life of an instance: create, start, stop, restart, delete; what it does by itself; what is refused.
load lib

setup_file() {
	host_up
	# The first one also loads what all share: the device program.
	make_instance t/first
	drop_instance t/first
	LEDGER=$(ledger)
	export LEDGER
}

teardown_file() {
	host_down
}

# init_is T/N: the next boot runs the script on stdin as init.
init_is() {
	put_inside "$1" /sbin/init
}

has_booted() {
	[ "$(field "$1" .boot)" -ge "$2" ] && [ "$(field "$1" .state)" = running ]
}

@test "create starts it, with all that was asked" {
	run vps create t/a --plan tiny --image busybox --hostname a.example --label role=web --label x=
	[ "$status" -eq 0 ]
	contains "$output" "t/a created and started"
	equal "$(field t/a '[.tenant, .name, .state, .desired, .plan, .image, .hostname] | join(" ")')" \
		"t a running running tiny@1 busybox a.example"
	equal "$(field t/a '.labels | tojson')" '{"role":"web","x":""}'
	equal "$(field t/a .boot)" 1
	alive "$(field t/a .pid)"
	await 5 logs_say t/a "init: up"
}

@test "a name that is taken" {
	run make_instance t/a
	[ "$status" -eq 1 ]
	contains "$output" "t/a"
}

@test "ls and info, for people and programs" {
	run vps ls
	contains "${lines[0]}" NAME
	contains "$output" "t/a"
	run vps ls t
	contains "$output" "t/a"
	run vps ls other
	[ "$status" -eq 1 ]
	contains "$output" "there is no tenant 'other'"
	run vps info t/a
	contains "$output" "running (wanted: running)"
	contains "$output" "a.example"
	contains "$output" memory.limit
	run vps info t/none
	[ "$status" -eq 1 ]
	contains "$output" "there is no instance 't/none'"
	# What is configured and not enforced is listed, with the reason.
	if [ "$MODE" = host ]; then
		equal "$(field t/a '[.unsupported[].item] | contains(["memory.limit", "pids"])')" true
		equal "$(vps ls --json | jq -c '[.instances[0].unsupported[] | select(.reason == "")]')" '[]'
	fi
}

@test "starting what runs, stopping what is stopped" {
	local pid
	pid=$(field t/a .pid)
	run vps start t/a
	contains "$output" "it runs already"
	equal "$(field t/a .pid)" "$pid"
	make_instance t/idle --no-start
	equal "$(field t/idle '[.state, .desired, .boot] | join(" ")')" "stopped stopped 0"
	run vps stop t/idle
	equal "$(field t/idle .state)" stopped
	drop_instance t/idle
}

@test "stop: init's own signal comes first, and init may end in order" {
	local init
	init=$(field t/a .pid)
	run vps stop t/a
	[ "$status" -eq 0 ]
	dead "$init"
	equal "$(field t/a '[.state, .desired, .last_exit, .pid] | map(tostring) | join(" ")')" "stopped stopped poweroff null"
	contains "$(vps logs t/a)" "init: poweroff"
}

@test "start boots it again, with its files" {
	vps start t/a
	inside t/a sh -c 'echo kept >/root/file'
	vps restart t/a
	equal "$(inside t/a cat /root/file)" kept
	equal "$(field t/a .boot)" 3
}

@test "restart also starts what is stopped" {
	vps stop --force t/a
	run vps restart t/a
	[ "$status" -eq 0 ]
	equal "$(field t/a .state)" running
}

@test "stop --force does not ask" {
	vps stop --force t/a
	equal "$(field t/a '.state + " " + .last_exit')" "stopped killed"
	vps start t/a
}

@test "stop: an init that does not listen is killed after the timeout" {
	local start=$SECONDS init
	make_instance t/deaf
	init_is t/deaf <<-'SH'
		#!/bin/sh
		trap 'echo "asked to power off"' USR2
		trap '' TERM INT USR1
		echo "deaf: up"
		while :; do sleep 1; done
	SH
	vps restart --force t/deaf
	await 5 logs_say t/deaf 'deaf: up'
	init=$(field t/deaf .pid)
	start=$SECONDS
	run vps stop --timeout 2s t/deaf
	[ "$status" -eq 0 ]
	[ $((SECONDS - start)) -ge 2 ]
	dead "$init"
	equal "$(field t/deaf '.state + " " + .last_exit')" "stopped killed"
	# It was asked in between.
	contains "$(vps logs t/deaf)" "asked to power off"
	drop_instance t/deaf
}

@test "a stop that takes its time is hastened by stop --force" {
	make_instance t/slow
	init_is t/slow <<-'SH'
		#!/bin/sh
		trap '' TERM INT USR1 USR2 PWR
		while :; do sleep 1; done
	SH
	vps restart --force t/slow
	vps stop --timeout 100s t/slow >/dev/null 3>&- &
	local first=$!
	await 5 has_field t/slow .state stopping
	run vps start t/slow
	[ "$status" -eq 1 ]
	contains "$output" "(stop) is under way"
	vps stop --force t/slow
	wait "$first"
	equal "$(field t/slow .state)" stopped
	drop_instance t/slow
}

@test "reboot inside boots it again" {
	local boot init
	boot=$(field t/a .boot) init=$(field t/a .pid)
	inside t/a reboot -f || true
	await 20 has_booted t/a $((boot + 1))
	equal "$(field t/a .last_exit)" reboot
	equal "$(field t/a .desired)" running
	[ "$(field t/a .pid)" != "$init" ]
}

@test "poweroff inside stops it, and it stays so" {
	inside t/a poweroff -f || true
	vps wait t/a stopped --timeout 20
	equal "$(field t/a '[.state, .desired, .last_exit] | join(" ")')" "stopped stopped poweroff"
	vps start t/a
}

@test "wait: reached, not in time, no such state, deleted meanwhile" {
	run vps wait t/a running --timeout 1
	[ "$status" -eq 0 ]
	run vps wait t/a stopped --timeout 1
	[ "$status" -eq 1 ]
	contains "$output" "'t/a' did not become stopped in time"
	run vps wait t/a asleep
	[ "$status" -eq 1 ]
	contains "$output" '"asleep" is not a state'
	make_instance t/gone --no-start
	vps wait t/gone running --timeout 20 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local waiter=$!
	sleep 0.3
	drop_instance t/gone
	ended_with "$waiter" 1
	contains "$(cat "$BATS_TEST_TMPDIR/out")" "'t/gone' was deleted meanwhile"
}

@test "delete: asks, refuses what runs, takes it with --force" {
	run vps delete t/a </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "--yes"
	run vps delete --yes t/a
	[ "$status" -eq 1 ]
	contains "$output" "it runs"
	local dir log
	dir=$(instance_dir t/a) log=$(log_dir t/a)
	[ -d "$dir" ]
	vps delete --yes --force t/a
	[ ! -e "$dir" ]
	[ -z "$log" ] || [ ! -e "$log" ]
	run vps info t/a
	[ "$status" -eq 1 ]
	run vps delete --yes t/a
	[ "$status" -eq 1 ]
}

@test "a protected instance is not deleted, not even with --force" {
	jq -n '{tenant: "t", instances: [{name: "safe", plan: "tiny", image: "busybox", protected: true}]}' >"$T/safe.json"
	vps apply "$T/safe.json" >/dev/null
	run vps delete --yes --force t/safe
	[ "$status" -eq 1 ]
	contains "$output" protected
	equal "$(field t/safe .state)" running
	jq '.instances[0].protected = false' "$T/safe.json" >"$T/unsafe.json"
	vps apply "$T/unsafe.json" >/dev/null
	vps delete --yes --force t/safe
}

@test "an init that crashes is tried again, more and more slowly, and given up after five" {
	make_instance t/bad
	init_is t/bad <<-'SH'
		#!/bin/sh
		echo "boot fails"
		exit 3
	SH
	vps restart --force t/bad || true
	vps wait t/bad failed --timeout "$(seconds 60)"
	equal "$(field t/bad '[.state, .desired, .last_exit] | join(" ")')" "failed running code"
	[ "$(field t/bad .boot)" -ge 5 ]
	[ "$(field t/bad .error)" != null ]
	# A start is a new chance.
	run vps start t/bad
	await 5 has_field t/bad '.boot >= 6' true
	drop_instance t/bad
}

@test "an instance without a usable init says so" {
	make_instance t/noinit
	inside t/noinit rm /sbin/init
	run vps restart --force t/noinit
	[ "$status" -eq 1 ]
	contains "$output" "/sbin/init"
	drop_instance t/noinit
}

@test "operations are listed" {
	run vps op ls
	[ "$status" -eq 0 ]
	contains "$output" delete
	equal "$(vps op ls --json | jq '[.operations[] | select(.status == "running")] | length')" 0
	equal "$(vps op ls --json | jq '[.operations[] | select(.kind == "create" and .target == "t/a")] | length >= 1')" true
}

@test "nothing is left: cgroups, mounts, namespaces, processes, files, fds" {
	equal "$(vps ls --json | jq '.instances | length')" 0
	unchanged "$LEDGER"
}
