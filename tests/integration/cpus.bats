#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The CPUs of a guest: as many as its plan has cores, spread over those of the host, and that is what it sees.
load lib

setup_file() {
	[ "$MODE" = vm ] || return 0
	host_up
}

teardown_file() {
	host_down
}

setup() {
	vm_only "needs the cpuset controller"
}

# with T/N OVERRIDES: by a document.
with() {
	jq -n --arg name "${1#*/}" --argjson overrides "$2" '{tenant: "t", instances: [{name: $name, plan: "tiny", image: "busybox",
		overrides: $overrides}]}' >"$T/change.json"
	vps apply --take-over "$T/change.json"
}

cpus() {
	field "$1" .cpus
}

# cpuset FILE T/N: what the kernel holds.
cpuset() {
	cat "$(instance_cgroup "$2")/cpuset.$1"
}

@test "one core is one CPU: nproc, sched_getaffinity and the kernel's file say so" {
	make_instance t/a
	equal "$(inside t/a nproc)" 1
	equal "$(cpus t/a)" "$(cpuset cpus.effective t/a)"
	equal "$(cpuset cpus t/a)" "$(cpus t/a)"
	equal "$(inside t/a sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)" "$(cpus t/a)"
	contains "$(vps info t/a)" "cpus          $(cpus t/a)"
}

@test "two servers have a CPU each; a guest cannot take another" {
	make_instance t/b
	[ "$(cpus t/a)" != "$(cpus t/b)" ] || fail "both on CPU $(cpus t/a)"
	run inside t/a taskset -p 3 1
	equal "$(inside t/a nproc)" 1
	# In the part of the tree that is its own.
	run inside t/a sh -c 'echo 0-1 >/sys/fs/cgroup/cpuset.cpus'
	[ "$status" -ne 0 ]
	equal "$(inside t/a nproc)" 1
}

@test "a bigger plan shows more CPUs at once, a smaller one fewer" {
	local pid
	pid=$(field t/a .pid)
	with t/a '{"cpu": {"cores": 2}}'
	equal "$(inside t/a nproc)" 2
	equal "$(cpuset cpus t/a)" "$(cpus t/a)"
	equal "$(field t/a .pid)" "$pid"
	with t/a '{}'
	equal "$(inside t/a nproc)" 1
	equal "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")" "$(cpus t/a)"
	[ "$(cpus t/a)" != "$(cpus t/b)" ]
}

@test "who is left stays where it is; who comes takes the free CPU, also behind vpsd's back" {
	local a b
	a=$(cpus t/a) b=$(cpus t/b)
	drop_instance t/b
	equal "$(cpus t/a)" "$a"
	kill_vpsd KILL
	start_vpsd
	equal "$(cpus t/a)" "$a"
	make_instance t/b
	equal "$(cpus t/b)" "$b"
}

@test "cpu_placement float: every CPU, for those that run as well, and back" {
	equal "$(vps host --json | jq -r '.support[] | select(.item == "cpu_placement") | .supported')" true
	kill_vpsd TERM
	host_document '.cpu_placement = "float"'
	start_vpsd
	equal "$(cpus t/a)" "$(cat /sys/devices/system/cpu/online)"
	equal "$(cpuset cpus t/a)" "$(cpus t/a)"
	equal "$(inside t/b nproc)" "$(nproc)"
	kill_vpsd TERM
	host_document '.cpu_placement = "spread"'
	start_vpsd
	equal "$(inside t/b nproc)" 1
	[ "$(cpus t/a)" != "$(cpus t/b)" ]
}
