#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a plan promises: written to the kernel, read back, held.
load lib

setup_file() {
	[ "$MODE" = vm ] || return 0
	host_up
	add_plan sized '.cpu = {cores: 0.5, guarantee: 0.25, burst: "20ms"} | .memory = {limit: "48MiB", guarantee: "16MiB"} | .pids = 40'
	vps apply "$T/docs" >/dev/null
	vps create t/a --plan sized --image busybox --quiet
	make_instance t/b
	C=$(instance_cgroup t/a)
	export C
}

teardown_file() {
	host_down
}

setup() {
	vm_only "needs the controllers of cgroup v2"
}

limit() {
	field t/a ".limits[] | select(.limit == \"$1\") | .$2"
}

@test "cpu.max, cpu.max.burst, cpu.weight, memory.max, memory.min, memory.swap.max, pids.max are what the plan says" {
	equal "$(cat "$C/cpu.max")" "50000 100000"
	equal "$(cat "$C/cpu.max.burst")" 20000
	equal "$(cat "$C/cpu.weight")" 25
	equal "$(cat "$C/memory.max")" $((48 << 20))
	equal "$(cat "$C/memory.min")" $((16 << 20))
	equal "$(cat "$C/memory.swap.max")" 0
	equal "$(cat "$C/pids.max")" 40
}

@test "each is shown as effective, with the value of the kernel" {
	local name
	for name in cpu.cores cpu.burst cpu.guarantee memory.limit memory.high memory.guarantee memory.swap pids; do
		equal "$(limit "$name" effective)" true
		equal "$(limit "$name" configured)" "$(limit "$name" actual)"
	done
	equal "$(field t/a '.unsupported | length')" 0
}

@test "the ancestors promise as much memory as is guaranteed below them" {
	local dir=$C
	while [ "$dir" != "$(cgroup_root)" ]; do
		dir=$(dirname "$dir")
		[ "$(cat "$dir/memory.min")" -ge $((16 << 20)) ] || fail "$dir"
	done
}

@test "a limit that somebody else lowered in the kernel is shown as it is" {
	echo 20 >"$C/pids.max"
	equal "$(limit pids actual)" 20
	echo 40 >"$C/pids.max"
}

@test "a guest cannot raise its limits" {
	run inside t/a sh -c 'echo max >/sys/fs/cgroup/pids.max'
	[ "$status" -ne 0 ]
	run inside t/a sh -c 'echo max >/sys/fs/cgroup/memory.max'
	[ "$status" -ne 0 ]
	equal "$(cat "$C/pids.max")" 40
	equal "$(cat "$C/guest/pids.max")" max
}

@test "a loop is held at its ceiling within 5 %" {
	vps exec t/a -- sh -c 'while :; do :; done' 3>&- &
	local client=$! usec0 usec1 t0 t1 share
	burning() { [ "$(sed -n 's/^nr_throttled //p' "$C/cpu.stat")" -gt 5 ]; }
	await 10 burning
	usec() { sed -n 's/^usage_usec //p' "$C/cpu.stat"; }
	t0=$(date +%s%N) usec0=$(usec)
	sleep 10
	t1=$(date +%s%N) usec1=$(usec)
	kill "$client"
	wait "$client" || true
	share=$(((usec1 - usec0) * 1000 * 1000 / (t1 - t0)))
	echo "# used $share thousandths of a core of 500" >&3
	[ "$share" -ge 475 ] && [ "$share" -le 525 ] || fail "$share"
}

# The kernel's count of the instance and all below. It counts before it kills (oom_kill.c), so nobody sees the death
# before the number. Mounted with memory_localevents, cgroup2 counts where the victim is, here the session's own cgroup,
# and the instance's number stays: that is what cgroups.bats once left behind for whoever came after it.
kernel_oom_kills() {
	sed -n 's/^oom_kill //p' "$C/memory.events"
}

@test "memory: what takes too much dies inside, and nobody else notices" {
	local kills boot pid vpsd
	kills=$(kernel_oom_kills) boot=$(field t/b .boot) pid=$(field t/b .pid) vpsd=$(vpsd_pid)
	equal "$(field t/a .usage.oom_kills)" "$kills"
	run inside t/a tail /dev/zero
	[ "$status" -eq 137 ] || fail "$status: $output"
	[ "$(kernel_oom_kills)" -gt "$kills" ] || fail "$(xargs <"$C/memory.events")" "$(grep cgroup2 /proc/mounts)"
	equal "$(field t/a .usage.oom_kills)" "$(kernel_oom_kills)"
	equal "$(inside t/a echo ok)" ok
	equal "$(field t/a .boot)" 1
	equal "$(field t/b '[.boot, .pid, .usage.oom_kills] | map(tostring) | join(" ")')" "$boot $pid 0"
	equal "$(vpsd_pid)" "$vpsd"
	alive "$vpsd"
}

@test "pids: a fork bomb stops at the number, and nobody else notices" {
	local pids
	# shellcheck disable=SC2016 # the guest's shell expands it
	vps exec t/a -- sh -c 'n=0; while [ $n -lt 500 ]; do sleep 600 & n=$((n + 1)); done' >/dev/null 2>&1 3>&- || true
	pids=$(field t/a .usage.pids)
	[ "$pids" -le 40 ] && [ "$pids" -ge 30 ] || fail "$pids"
	equal "$(inside t/b echo ok)" ok
	vps restart --force t/a
	equal "$(inside t/a echo ok)" ok
	[ "$(field t/a .usage.pids)" -lt 20 ]
}

@test "a live change: written, read back, without a restart" {
	local pid
	pid=$(field t/a .pid)
	jq -n '{tenant: "t", instances: [{name: "a", plan: "sized", image: "busybox",
		overrides: {memory: {limit: "60MiB"}, pids: 30, cpu: {cores: 0.75}}}]}' >"$T/change.json"
	vps apply --take-over "$T/change.json"
	equal "$(cat "$C/memory.max" "$C/pids.max" "$C/cpu.max" | xargs)" "$((60 << 20)) 30 75000 100000"
	equal "$(limit memory.limit actual)" $((60 << 20))
	equal "$(field t/a .pid)" "$pid"
}

@test "a live change of the ceiling takes the burst along, down and up again" {
	local row
	for row in 0.02:2ms:2000:2000 0.75:75ms:75000:75000 0.5:0:50000:0 0.75:20ms:75000:20000; do
		IFS=: read -r cores burst quota usec <<<"$row"
		jq --argjson cores "$cores" --arg burst "$burst" '.instances[0].overrides.cpu = {cores: $cores, guarantee: 0, burst: $burst}' \
			"$T/change.json" >"$T/burst.json"
		vps apply --take-over "$T/burst.json"
		equal "$(cat "$C/cpu.max" "$C/cpu.max.burst" | xargs)" "$quota 100000 $usec"
	done
}

@test "a live change below what is in use is refused, and changes nothing" {
	vps exec t/a -- sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo up; sleep 100; echo "$x"' >"$T/hold" 3>&- &
	local client=$!
	await 20 grep -q up "$T/hold"
	jq '.instances[0].overrides.memory = {limit: "17MiB"}' "$T/change.json" >"$T/lower.json"
	run vps apply --take-over "$T/lower.json"
	[ "$status" -eq 1 ]
	contains "$output" 17MiB
	equal "$(cat "$C/memory.max")" $((60 << 20))
	equal "$(field t/a .overrides.memory.limit)" 60MiB
	kill "$client"
	wait "$client" || true
}

@test "limits hold over a restart of the instance and of vpsd" {
	kill_vpsd KILL
	start_vpsd
	equal "$(limit pids actual)" 30
	vps restart --force t/a
	equal "$(cat "$C/memory.max" "$C/pids.max" | xargs)" "$((60 << 20)) 30"
}

@test "kills for want of memory: no number where the kernel does not count for the instance as a whole" {
	local options
	options=$(findmnt -no FS-OPTIONS /sys/fs/cgroup)
	[ "$(field t/a '.usage | has("oom_kills")')" = true ]
	kill_vpsd TERM
	mount -o "remount,$options,memory_localevents" cgroup2 /sys/fs/cgroup
	start_vpsd
	run field t/a '.usage | has("oom_kills")'
	kill_vpsd TERM
	mount -o "remount,$options" cgroup2 /sys/fs/cgroup
	start_vpsd
	equal "$output" false
	[ "$(field t/a '.usage | has("oom_kills")')" = true ]
}

@test "more than the host has is not sold" {
	jq -n '{plan: "huge", version: 1, cpu: {cores: 1}, memory: {limit: "64TiB", guarantee: "64TiB"},
		disk: {size: null, inodes: null}, network: {connections: null}}' >"$T/huge.json"
	vps apply "$T/huge.json" >/dev/null
	run vps create t/huge --plan huge --image busybox
	[ "$status" -eq 1 ]
	contains "$output" memory
	run vps info t/huge
	[ "$status" -eq 1 ]
}

@test "memory.high: from there on memory is reclaimed and nothing is killed; changed live, and taken away" {
	local kills
	kills=$(field t/a .usage.oom_kills)
	equal "$(cat "$C/memory.high")" max
	jq '.instances[0].overrides = {memory: {limit: "60MiB", high: "24MiB"}}' "$T/change.json" >"$T/high.json"
	vps apply --take-over "$T/high.json"
	equal "$(cat "$C/memory.high")" $((24 << 20))
	equal "$(limit memory.high effective) $(limit memory.high actual)" "true $((24 << 20))"
	inside t/a dd if=/dev/zero of=/big bs=1M count=50 2>/dev/null
	[ "$(sed -n 's/^high //p' "$C/memory.events")" -gt 0 ]
	[ "$(cat "$C/memory.current")" -le $((28 << 20)) ] || fail "$(cat "$C/memory.current")"
	equal "$(field t/a .usage.oom_kills)" "$kills"
	inside t/a rm /big
	jq '.instances[0].overrides.memory.high = "61MiB"' "$T/high.json" >"$T/higher.json"
	run vps apply --take-over "$T/higher.json"
	[ "$status" -ne 0 ]
	contains "$output" "memory.high: 61MiB is more than memory.limit, 60MiB"
	jq '.instances[0].overrides.memory.high = null' "$T/high.json" >"$T/none.json"
	vps apply --take-over "$T/none.json"
	equal "$(cat "$C/memory.high")" max
}
