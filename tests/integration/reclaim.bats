#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Memory that the kernel takes back from a guest, which may take long, holds up nobody but that guest.
load lib

MiB=1048576

setup_file() {
	[ "$MODE" = vm ] || return 0
	host_up
	# What it writes goes to the disk slowly.
	add_plan slow '.memory.limit = "256MiB" | .disk.write = "1MiB/s"'
	vps apply "$T/docs" >/dev/null
	vps create t/a --plan slow --image busybox --quiet
	make_instance t/b
	C=$(instance_cgroup t/a)
	export C
}

teardown_file() {
	host_down
}

setup() {
	vm_only "needs the controllers of cgroup v2"
	alive "$(vpsd_pid)" || start_vpsd
}

# Page cache that must be written before it can be given back.
dirty() {
	vps set t/a memory= --quiet --force
	inside t/a sh -c 'rm -f /root/big; dd if=/dev/zero of=/root/big bs=1M count=40 2>/dev/null'
	[ "$(sed -n 's/^file_dirty //p;s/^file_writeback //p' "$C/memory.stat" | sort -n | tail -n 1)" -ge $((16 * MiB)) ]
}

# longest PID: of the answers of 'vps ls' while that process lives, in milliseconds.
longest() {
	local t0 ms most=0
	while alive "$1"; do
		t0=$(date +%s%N)
		vps ls >/dev/null
		ms=$((($(date +%s%N) - t0) / 1000000))
		[ "$ms" -le "$most" ] || most=$ms
	done
	echo "$most"
}

# lowers LIMIT: forced, while others ask; in MOST the longest answer, in TOOK how long it took.
lowers() {
	local t0 client
	t0=$(date +%s%N)
	vps set t/a "$1" --force --quiet 3>&- &
	client=$!
	MOST=$(longest "$client")
	wait "$client"
	TOOK=$((($(date +%s%N) - t0) / 1000000))
	echo "# $1: took $TOOK ms, longest answer meanwhile $MOST ms; without $CONTROL ms" >&3
}

control() {
	sleep "$(seconds 1)" 3>&- &
	CONTROL=$(longest "$!")
}

@test "memory.limit below what was written: others are answered meanwhile, and then it holds" {
	control
	dirty
	lowers memory.limit=12MiB
	[ "$MOST" -le $((CONTROL * 2 + 300)) ]
	equal "$(cat "$C/memory.max")" $((12 * MiB))
	equal "$(field t/a '.limits[] | select(.limit == "memory.limit") | [.effective, .actual] | map(tostring) | join(" ")')" "true $((12 * MiB))"
}

@test "memory.high below what was written: the same" {
	vps restart --force --quiet t/a
	control
	dirty
	lowers memory.high=8MiB
	[ "$MOST" -le $((CONTROL * 2 + 300)) ]
	equal "$(cat "$C/memory.high")" $((8 * MiB))
}
