#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a boot of the host starts: in which order, how many at once, and what a broken instance does to the others.
load lib

NAMES=(f a b c d e)

setup_file() {
	host_up '.autostart = {parallel: 2, settle: "3s"}'
	local n
	jq -n '{tenant: "t", instances: [
		["a", 100], ["b", 20], ["c", 100], ["d", 20], ["e", 3], ["f", 1000]
		| {name: .[0], plan: "tiny", image: "busybox", autostart: {priority: .[1]}}]}' >"$T/six.json"
	vps apply "$T/six.json" >/dev/null
	for n in "${NAMES[@]}"; do
		await 30 has_field "t/$n" .state running
	done
}

teardown_file() {
	host_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# The host goes down and is up again, but for vpsd.
host_boots() {
	local old
	old=$(keeper_pid)
	kill_vpsd TERM
	"$O/vpsd" --config "$T/vpsd.json" --helpers "$O" --stop-guests
	kill -KILL "$old"
	await 10 dead "$old"
	equal "$(guest_pids | wc -l)" 0
	echo 00000000-0000-0000-0000-000000000000 >"$T/run/boot-id"
}

# The names of those that run, in the order in which their inits were born.
order() {
	local n pid
	for n in "${NAMES[@]}"; do
		pid=$(field "t/$n" .pid)
		[ "$pid" = null ] || echo "$(awk '{ print $22 }' "/proc/$pid/stat") $n"
	done | sort -n | awk '{ printf "%s%s", (NR > 1 ? " " : ""), $2 }'
}

running() {
	[ "$(vps ls --json | jq '[.instances[] | select(.state == "running" or .state == "ready")] | length')" -eq "$1" ]
}

# Ticks of the clock between the births of two.
apart() {
	echo $((($(awk '{ print $22 }' "/proc/$(field "$2" .pid)/stat") - $(awk '{ print $22 }' "/proc/$(field "$1" .pid)/stat")) * 1000 / $(getconf CLK_TCK)))
}

@test "a boot of the host starts by priority, so many at once" {
	host_boots
	start_vpsd
	await 30 running 6
	# Of two that start side by side either may be the first.
	[[ $(order) =~ ^("e b"|"b e")\ ("d a"|"a d")\ ("c f"|"f c")$ ]] || fail "order: $(order)"
	# Guests that never say that they are ready count for the time of the host document.
	[ "$(apart t/e t/a)" -ge 2900 ] || fail "a came $(apart t/e t/a) ms after e"
	[ "$(apart t/d t/f)" -ge 2900 ] || fail "f came $(apart t/d t/f) ms after d"
	sound
}

@test "a broken one is shown, tried again, and holds nobody up" {
	local dir
	dir=$(instance_dir t/e)
	vps host lock --reason "disk is replaced"
	host_boots
	mv "$dir" "$T/away"
	start_vpsd
	await 30 running 5
	[[ $(order) =~ ^("b d"|"d b")\ ("a c"|"c a")\ f$ ]] || fail "order: $(order)"
	equal "$(field t/e '[.state, .desired] | join(" ")')" "stopped running"
	contains "$(vps ls)" "cannot start 't/e'"
	contains "$(field t/e .error)" "has no directory"
	[ "$(vps op ls --json | jq '[.operations[] | select(.target == "t/e" and .status == "failed")] | length')" -ge 1 ]
	mv "$T/away" "$dir"
	# By itself, with the next try.
	await 60 running 6
	equal "$(field t/e '.error')" null
	vps host unlock
	sound
}

@test "who asks for a start does not wait for the others" {
	local start boot
	host_boots
	host_document '.autostart = {parallel: 1, settle: "10min"}'
	start_vpsd
	await 20 running 1
	equal "$(order)" e
	start=$SECONDS
	vps start t/f
	[ $((SECONDS - start)) -lt "$(seconds 10)" ]
	equal "$(order)" "e f"
	# A reboot does not wait either, and what ends makes room.
	boot=$(field t/f .boot)
	inside t/f reboot -f || true
	await 20 has_field t/f .boot $((boot + 1))
	await 20 running 2
	equal "$(order)" "e f"
	vps stop --force t/e
	await 20 running 2
	equal "$(order)" "f b"
	host_document '.autostart = {parallel: 2, settle: "3s"}'
}

@test "kill -9 of vpsd in the middle: the rest follows, none twice, and without autostart none" {
	vps start t/e
	make_instance t/off --no-start
	jq -n '{tenant: "t", instances: [{name: "off", plan: "tiny", image: "busybox", autostart: {enabled: false}}]}' >"$T/off.json"
	vps apply --take-over "$T/off.json"
	vps start t/off
	kill_vpsd KILL
	start_vpsd
	await 60 running 7
	host_boots
	start_vpsd
	await 20 running 2
	kill_vpsd KILL
	start_vpsd
	await 30 running 6
	equal "$(field t/off '[.state, .desired] | join(" ")')" "stopped stopped"
	[[ $(order) =~ ^("e b"|"b e") ]] || fail "order: $(order)"
	drop_instance t/off
	sound
}
