#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Values at the kernel's limits hold, as read back; what contradicts itself or the host is refused, and nothing changes.
load lib

setup_file() {
	host_up '.overcommit.memory = 1000'
	make_instance t/a
	C=$(instance_cgroup t/a)
	export C
}

teardown_file() {
	host_down
}

# refused KEY=VALUE TEXT: one or more values, separated by spaces.
refused() {
	local before
	before=$(field t/a '.overrides, [.limits[] | .actual]')
	# shellcheck disable=SC2086 # several
	run vps set t/a $1
	[ "$status" -eq 1 ] || fail "taken: $1"
	contains "$output" "$2"
	equal "$(field t/a '.overrides, [.limits[] | .actual]')" "$before"
}

@test "contradictions: refused by path, value and what it contradicts" {
	refused "memory.guarantee=65MiB" "memory.guarantee: 65MiB is more than memory.limit, 64MiB"
	refused "memory.high=65MiB" "memory.high: 65MiB is more than memory.limit, 64MiB"
	refused "memory.high=8MiB memory.guarantee=9MiB" "memory.high: 8MiB is less than memory.guarantee, 9MiB"
	refused "cpu.guarantee=1.5" "cpu.guarantee: 1.5 cores are more than cpu.cores, 1"
	refused "cpu.burst=101ms" "cpu.burst: 101ms is more than 1 cores get in one period of 100ms"
	refused "cpu.dedicated=true cpu.cores=0.5" "cpu.cores: 0.5 cores cannot be dedicated"
	refused "cpu.cores=$(($(nproc) + 1))" "are more than this host has, $(nproc).000"
	refused "memory.limit=32MiB memory.guarantee=48MiB" "memory.guarantee: 48MiB is more than memory.limit, 32MiB"
}

@test "beyond the kernel's limits: refused with the limit" {
	refused "cpu.cores=0.009" "cpu.cores: 0.009 is too small; the smallest is 0.01"
	refused "cpu.cores=4097" "cpu.cores: 4097 is too large; the largest is 4096"
	refused "pids=4194305" "pids: 4194305 is too large; the largest is 4194304"
	refused "pids=15" "pids: 15 is too small; the smallest is 16"
	refused "memory.limit=8192PiB" "memory.limit: "
	refused "memory.limit=1MiB" "memory.limit: \"1MiB\" is too small; the smallest is 4MiB"
	refused "disk.weight=10001" "disk.weight: 10001 is too large; the largest is 10000"
	refused "disk.weight=0" "disk.weight: 0 is too small; the smallest is 1"
	refused "disk.read_iops=1" "disk.read_iops: 1 is too small; the smallest is 2"
	refused "disk.write_iops=4294967295" "disk.write_iops: 4294967295 is too large"
	echo '{"tenant": "t", "quota": {"pids": 4194305, "cores": 1000001}}' >"$T/quota.json"
	run vps apply "$T/quota.json"
	[ "$status" -eq 1 ]
	contains "$output" "quota.pids: 4194305 is too large; the largest is 4194304"
	contains "$output" "quota.cores: 1000001 is too large; the largest is 1000000"
}

@test "at the kernel's limits: the file says it, and so does vps info" {
	vm_only
	local rows set file text
	rows='cpu.cores=0.01|cpu.max|1000 100000
		cpu.cores=0.01 cpu.burst=1ms|cpu.max.burst|1000
		cpu.burst=0 cpu.cores=1|cpu.max|100000 100000
		cpu.guarantee=0.01|cpu.weight|1
		cpu.guarantee=1|cpu.weight|100
		pids=4194304|pids.max|4194304
		pids=100|pids.max|100
		memory.limit=2000GiB|memory.max|2147483648000
		memory.limit=65537KiB|memory.max|67108864
		memory.limit=64MiB|memory.max|67108864'
	while IFS='|' read -r set file text; do
		# shellcheck disable=SC2086 # several
		vps set t/a ${set#"${set%%[![:space:]]*}"} >/dev/null || fail "$set"
		equal "$file $(cat "$C/$file")" "$file $text"
		equal "$(field t/a '[.limits[] | select(.limit | startswith("disk.") | not) | .effective] | all')" true
	done <<<"$rows"
	equal "$(inside t/a echo ok)" ok
}

@test "quotas at the kernel's limits: the file says it" {
	vm_only
	local dir
	dir=$(dirname "$C")
	echo '{"tenant": "t", "quota": {"cores": 1000000, "memory": "1024PiB", "pids": 4194304}}' >"$T/quota.json"
	vps apply "$T/quota.json" >/dev/null
	equal "$(cat "$dir/cpu.max" "$dir/memory.max" "$dir/pids.max" | xargs)" "100000000000 100000 1152921504606846976 4194304"
	equal "$(vps tenant show t | jq -c '[.limits[].effective] | unique')" '[true]'
	equal "$(vps create t/x --plan tiny --image busybox --quiet && inside t/x echo ok)" ok
	drop_instance t/x
	vps apply "$T/docs" >/dev/null
}

@test "swap on a host without swap is refused; with swap it is the kernel's" {
	vm_only
	[ "$(sed -n 's/^SwapTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -eq 0 ] || skip "this machine has swap"
	refused "memory.swap=16MiB" "cannot enforce memory.swap (this host has no swap)"
	contains "$output" '"tolerate_unsupported": ["memory.*"]'
	dd if=/dev/zero of="$T/swap" bs=1M count=20 status=none
	chmod 600 "$T/swap"
	mkswap -q "$T/swap" 2>/dev/null || mkswap "$T/swap" >/dev/null
	swapon "$T/swap"
	vps set t/a memory.swap=16MiB >/dev/null
	equal "$(cat "$C/memory.swap.max")" $((16 << 20))
	swapoff "$T/swap"
	# What was sold stays, is shown, and stands in the way of nothing else.
	equal "$(field t/a '.unsupported[] | select(.item == "memory.swap") | .reason')" "this host has no swap"
	vps set t/a pids=90 >/dev/null
	equal "$(cat "$C/pids.max")" 90
	vps set t/a memory.swap= >/dev/null
	equal "$(field t/a '.unsupported | length')" 0
}
