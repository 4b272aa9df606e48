#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Suspension: what it does to a guest, what it outlasts, what is refused meanwhile, and the ways out of it.
load lib

setup_file() {
	host_up
	# The first one also loads what all share: the device program.
	make_instance t/first
	drop_instance t/first
	LEDGER=$(ledger)
	export LEDGER
	make_instance t/a
	counts t/a
}

teardown_file() {
	host_down
}

# Whatever became of the test before.
setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# counts T/N: from the next boot on a process inside counts, ten times a second.
counts() {
	put_inside "$1" /etc/rc <<-'SH'
		#!/bin/sh
		echo $$ >/root/pid
		i=0
		while :; do
			i=$((i + 1))
			echo "$i" >/root/count.new
			mv /root/count.new /root/count
			sleep 0.1
		done
	SH
	inside "$1" rm -f /root/count
	vps restart --force "$1"
	await 10 counted "$1" 1
}

# From the host: nothing can be asked of a frozen guest.
within() {
	cat "/proc/$(field "$1" .pid)/root/root/$2"
}

counted() {
	[ "$(within "$1" count)" -ge "$2" ]
}

goes_on() {
	await 10 counted "$1" $(($(within "$1" count) + 3))
}

stands_still() {
	local before
	before=$(within "$1" count)
	sleep "$(seconds 1)"
	equal "$(within "$1" count)" "$before"
	contains "$(cat "$(instance_cgroup "$1")/cgroup.events")" "frozen 1"
}

state_of() {
	field "$1" '[.state, .desired, .suspended.mode // "-"] | join(" ")'
}

# refused COMMAND...: as a suspended one's, with the reason and the way out.
refused() {
	run "$@" </dev/null
	[ "$status" -eq 1 ] || fail "$* ended with $status: $output"
	contains "$output" "t/a': it is suspended (freeze) since 2"
	contains "$output" ": invoice 4711"
	contains "$output" "'vps resume t/a' ends that"
}

@test "freeze: all processes of a guest stand still, and go on as the same ones" {
	local before counter
	goes_on t/a
	before=$(field t/a '[.pid, .boot] | join(" ")') counter=$(within t/a pid)
	run vps suspend t/a --reason "invoice 4711"
	[ "$status" -eq 0 ]
	contains "$output" "t/a suspended"
	stands_still t/a
	equal "$(state_of t/a)" "suspended running freeze"
	run vps resume t/a
	[ "$status" -eq 0 ]
	contains "$output" "t/a resumed"
	goes_on t/a
	equal "$(state_of t/a)" "running running -"
	equal "$(field t/a '[.pid, .boot] | join(" ")') $(within t/a pid)" "$before $counter"
	inside t/a kill -0 "$counter"
}

@test "it is shown: state, mode, reason, since" {
	vps suspend t/a --mode freeze --reason "invoice 4711"
	equal "$(field t/a '.suspended | [.mode, .reason] | join(" ")')" "freeze invoice 4711"
	[ $(($(date +%s) - $(date -d "$(field t/a .suspended.since)" +%s))) -le 60 ]
	contains "$(vps ls)" " suspended "
	contains "$(vps info t/a)" "suspended (wanted: running)"
	contains "$(vps info t/a)" "freeze, since $(field t/a .suspended.since): invoice 4711"
	vps wait t/a suspended --timeout 1
	# What it holds is still sold.
	equal "$(vps host --json | jq '.capacity.resources[] | select(.resource == "memory") | .sold')" $((64 << 20))
}

@test "start, restart, exec, shell and console are refused, with the reason and the way out" {
	refused vps start t/a
	refused vps restart t/a
	refused vps restart --force t/a
	refused vps exec t/a -- true
	refused vps shell t/a
	refused vps console t/a
	stands_still t/a
	# What it has said can be read.
	contains "$(vps logs t/a)" "init: up"
	run vps delete --yes t/a
	[ "$status" -eq 1 ]
	contains "$output" "its guest is frozen"
}

@test "a limit of a frozen guest can be changed" {
	local before
	before=$(field t/a .pid)
	jq -n '{tenant: "t", instances: [{name: "a", plan: "tiny", image: "busybox",
		overrides: {memory: {limit: "48MiB"}, pids: 50}}]}' >"$T/change.json"
	vps apply --take-over "$T/change.json"
	equal "$(field t/a '.limits[] | select(.limit == "memory.limit").configured')" $((48 << 20))
	[ "$MODE" = host ] || equal "$(cat "$(instance_cgroup t/a)/memory.max")" $((48 << 20))
	equal "$(field t/a .pid)" "$before"
	stands_still t/a
}

@test "it outlasts kill -9 of vpsd; what somebody thawed meanwhile is frozen again" {
	local before
	before=$(field t/a '[.pid, .boot, .suspended.since] | join(" ")')
	kill_vpsd KILL
	start_vpsd
	stands_still t/a
	kill_vpsd KILL
	echo 0 >"$(find /sys/fs/cgroup -type d -path "*/shared/*/$(basename "$T"/state/pool/instances/*)")/cgroup.freeze"
	start_vpsd
	stands_still t/a
	equal "$(state_of t/a) $(field t/a '[.pid, .boot, .suspended.since] | join(" ")')" "suspended running freeze $before"
}

@test "it outlasts the keeper" {
	local old before
	old=$(keeper_pid) before=$(field t/a '[.pid, .boot] | join(" ")')
	kill -KILL "$old"
	another() { [[ $(keeper_pid) =~ ^[0-9]+$ ]] && [ "$(keeper_pid)" != "$old" ] && is_host_ready; }
	await 20 another
	stands_still t/a
	equal "$(state_of t/a) $(field t/a '[.pid, .boot] | join(" ")')" "suspended running freeze $before"
	vps resume t/a
	goes_on t/a
	equal "$(field t/a '[.pid, .boot] | join(" ")')" "$before"
}

# Whether the kernel does what the database says, and nothing is under way.
is_consistent() {
	local frozen=0
	[ "$(vps op ls --json | jq '[.operations[] | select(.status == "running")] | length')" -eq 0 ] || return 1
	grep -q '^frozen 1' "$(instance_cgroup t/a)/cgroup.events" && frozen=1
	case $(state_of t/a) in
	"suspended running freeze") [ "$frozen" = 1 ] ;;
	"running running -") [ "$frozen" = 0 ] ;;
	*) return 1 ;;
	esac
}

@test "vpsd is killed at random moments of suspend and resume: never half, and never lost once told" {
	local before i verb client
	before=$(field t/a '[.pid, .boot] | join(" ")')
	for i in {1..12}; do
		[ "$(field t/a .state)" = suspended ] && verb=resume || verb=suspend
		vps "$verb" t/a >"$T/told" 2>&1 3>&- &
		client=$!
		sleep "0.0$((RANDOM % 40 + 10))"
		kill_vpsd KILL
		wait "$client" && told=1 || told=0
		start_vpsd
		await 15 is_consistent || fail "round $i, $verb: $(state_of t/a)"
		if [ "$told" = 1 ]; then
			[ "$(field t/a .state)" = "$([ "$verb" = suspend ] && echo suspended || echo running)" ] ||
				fail "round $i: $verb was told and is lost"
		fi
	done
	[ "$(field t/a .state)" != suspended ] || vps resume t/a
	goes_on t/a
	equal "$(field t/a '[.pid, .boot] | join(" ")')" "$before"
}

@test "stop: it is shut down in order, and started again where it ran" {
	vps suspend t/a --mode stop --reason abuse
	contains "$(vps logs t/a | tail -n 1)" "init: poweroff"
	equal "$(state_of t/a) $(field t/a .pid)" "suspended running stop null"
	run vps start t/a
	[ "$status" -eq 1 ]
	contains "$output" "it is suspended (stop) since 2"
	contains "$output" ": abuse"
	run vps exec t/a -- true
	[ "$status" -eq 1 ]
	contains "$output" "it is suspended"
	kill_vpsd KILL
	start_vpsd
	equal "$(state_of t/a) $(field t/a .pid)" "suspended running stop null"
	vps resume t/a
	equal "$(state_of t/a)" "running running -"
	goes_on t/a
	vps stop t/a
	vps suspend t/a --mode stop
	equal "$(state_of t/a)" "suspended stopped stop"
	vps resume t/a
	equal "$(state_of t/a)" "stopped stopped -"
	vps start t/a
}

@test "vpsd is killed while it shuts one down: the next one goes on with it" {
	make_instance t/slow
	put_inside t/slow /sbin/init <<-'SH'
		#!/bin/sh
		trap 'echo asked; sleep 3; poweroff -f' USR2
		trap '' TERM INT
		echo up
		while :; do sleep 1; done
	SH
	vps restart --force t/slow
	await 5 logs_say t/slow up
	vps suspend t/slow --mode stop >/dev/null 2>&1 3>&- &
	await 10 logs_say t/slow asked
	kill_vpsd KILL
	wait $! || true
	start_vpsd
	vps wait t/slow suspended --timeout "$(seconds 30)"
	equal "$(state_of t/slow)" "suspended running stop"
	drop_instance t/slow
}

@test "the reason and the mode can be changed" {
	local since
	vps suspend t/a --reason one
	since=$(field t/a .suspended.since)
	sleep 1.1
	vps suspend t/a --reason two
	equal "$(field t/a '.suspended | [.mode, .reason, .since] | join(" ")')" "freeze two $since"
	vps suspend t/a
	equal "$(field t/a .suspended.reason)" two
	stands_still t/a
	# From frozen to shut down: in order, too.
	vps suspend t/a --mode stop
	contains "$(vps logs t/a | tail -n 1)" "init: poweroff"
	equal "$(field t/a '.suspended | [.mode, .reason, .since] | join(" ")')" "stop two $since"
	vps resume t/a
	goes_on t/a
}

@test "stop and stop --force of a frozen guest end it; it stays suspended, and nothing stays frozen" {
	local init
	init=$(field t/a .pid)
	vps suspend t/a
	vps stop t/a
	dead "$init"
	contains "$(vps logs t/a | tail -n 1)" "init: poweroff"
	equal "$(state_of t/a)" "suspended stopped freeze"
	vps resume t/a
	equal "$(state_of t/a)" "stopped stopped -"
	vps start t/a
	vps suspend t/a
	init=$(field t/a .pid)
	vps stop --force t/a
	dead "$init"
	equal "$(state_of t/a) $(field t/a .last_exit)" "suspended stopped freeze killed"
	vps resume t/a
	vps start t/a
	goes_on t/a
}

@test "a frozen guest that somebody kills is not started until it is resumed" {
	local boot
	boot=$(field t/a .boot)
	vps suspend t/a
	echo 1 >"$(instance_cgroup t/a)/cgroup.kill"
	await 10 has_field t/a .pid null
	sleep "$(seconds 2)"
	equal "$(state_of t/a) $(field t/a .boot)" "suspended running freeze $boot"
	vps resume t/a
	equal "$(state_of t/a) $(field t/a .boot)" "running running - $((boot + 1))"
	goes_on t/a
}

@test "delete --force of a frozen guest" {
	make_instance t/gone
	vps suspend t/gone
	drop_instance t/gone
	run vps info t/gone
	[ "$status" -eq 1 ]
}

@test "an exec that comes just before the freeze waits with the guest, and holds nobody else" {
	local client
	make_instance t/b
	# Frozen behind vpsd's back: it lets the session through, as it does when both come at once.
	echo 1 >"$(instance_cgroup t/a)/cgroup.freeze"
	vps exec t/a -- echo late >"$T/late" 2>&1 3>&- &
	client=$!
	sleep "$(seconds 1)"
	equal "$(timeout "$(seconds 3)" vps exec t/b -- echo ok)" ok
	vps suspend t/a
	vps resume t/a
	wait "$client" || true
	goes_on t/a
	equal "$(inside t/a echo ok)" ok
	drop_instance t/b
}

@test "the host's shutdown lets a frozen guest shut down, and its next boot does not start it" {
	local start old
	make_instance t/b
	vps suspend t/a --reason unpaid
	old=$(keeper_pid)
	kill_vpsd TERM
	start=$SECONDS
	"$O/vpsd" --config "$T/vpsd.json" --helpers "$O" --stop-guests
	[ $((SECONDS - start)) -lt "$(seconds 10)" ]
	equal "$(guest_pids | wc -l)" 0
	contains "$(find "$T/state/log" -type f -exec tail -qn 1 {} +)" "init: poweroff"
	# A boot takes the keeper and what it knows along.
	kill -KILL "$old"
	await 10 dead "$old"
	echo 00000000-0000-0000-0000-000000000000 >"$T/run/boot-id"
	start_vpsd
	await 20 has_field t/b .state running
	equal "$(state_of t/a) $(field t/a '[.pid, .suspended.reason] | map(tostring) | join(" ")')" \
		"suspended running freeze null unpaid"
	vps resume t/a
	equal "$(state_of t/a)" "running running -"
	goes_on t/a
	drop_instance t/b
}

@test "what makes no sense is refused, and changes nothing" {
	local text
	run vps suspend t/a --mode network
	[ "$status" -eq 1 ]
	contains "$output" "'t/a' has no network that it could be cut off from"
	contains "$output" "--mode freeze or --mode stop"
	run vps suspend t/a --mode sleep
	[ "$status" -eq 1 ]
	contains "$output" '"sleep" is not a mode; write one of freeze, stop, network'
	text=$(printf 'x%.0s' {1..256})
	run vps suspend t/a --reason "$text"
	[ "$status" -eq 1 ]
	contains "$output" "reason: longer than 255 bytes"
	run vps suspend t/a --reason $'two\nlines'
	[ "$status" -eq 1 ]
	contains "$output" "reason: must be one line of text"
	run vps suspend t/none
	[ "$status" -eq 1 ]
	contains "$output" "there is no instance 't/none'"
	run vps resume t/a
	[ "$status" -eq 1 ]
	contains "$output" "it is not suspended"
	run curl -s --unix-socket "$VPS_SOCKET" -d '{"mode": 1}' http://vpsd/v1/instances/t/a/suspend
	contains "$output" '\"mode\" must be a string'
	run curl -s --unix-socket "$VPS_SOCKET" -d '{"why": "x"}' http://vpsd/v1/instances/t/a/suspend
	contains "$output" 'unknown key \"why\"'
	equal "$(state_of t/a)" "running running -"
	goes_on t/a
}

@test "nothing is left: cgroups, mounts, namespaces, processes, files, fds" {
	drop_instance t/a
	equal "$(vps ls --json | jq '.instances | length')" 0
	unchanged "$LEDGER"
}
