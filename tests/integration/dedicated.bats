#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# CPUs of its own: nobody else runs on them, the host neither, and they come back.
load lib

setup_file() {
	[ "$MODE" = vm ] && [ "$(nproc)" -ge 4 ] || return 0
	host_up
	add_plan own '.cpu = {cores: 2, dedicated: true}'
	add_plan own1 '.cpu = {cores: 1, dedicated: true}'
	vps apply "$T/docs" >/dev/null
}

teardown_file() {
	host_down
}

setup() {
	vm_only "needs the cpuset controller"
	[ -n "${T-}" ] || skip "needs four CPUs: runs in a virtual machine of its own"
}

cpus() {
	field "$1" .cpus
}

# allowed PID: the CPUs that it may use.
allowed() {
	sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status"
}

own() {
	vps create "$1" --plan "${2:-own}" --image busybox --quiet
}

@test "it has whole CPUs, and all its memory is guaranteed" {
	make_instance t/a
	own t/d
	equal "$(cpus t/d)" 2-3
	equal "$(inside t/d nproc)" 2
	equal "$(field t/d '[.limits[] | select(.limit == "memory.guarantee") | .actual, .effective] | @csv')" "$((64 << 20)),true"
	equal "$(field t/d '.unsupported | length')" 0
	equal "$(cat "$(cgroup_root)/dedicated/$(field t/d .id)/cpuset.cpus.partition")" root
}

@test "nobody else may use them: no other guest, no process of the host, whatever it asks for" {
	equal "$(cpus t/a)" 1
	equal "$(allowed "$(vpsd_pid)")" 0
	equal "$(allowed 1)" 0
	run taskset -pc 0-3 "$(vpsd_pid)"
	equal "$(allowed "$(vpsd_pid)")" 0
	make_instance t/b
	equal "$(cpus t/b)" 1
	equal "$(inside t/b nproc)" 1
}

@test "what is left when the CPUs run out is said" {
	run vps create t/e --plan own --image busybox
	equal "$status" 1
	contains "$output" "not enough dedicated cores: 2.000 wanted, 0.000 left of 2.000 that this host gives away"
	equal "$(vps host --json | jq -c '.capacity.resources[] | select(.resource == "dedicated cores") | [.sellable, .sold, .free, .used]')" "[2,2,0,2]"
}

@test "vpsd dies and comes back: it keeps its CPUs" {
	local pid
	pid=$(field t/d .pid)
	kill_vpsd KILL
	start_vpsd
	equal "$(cpus t/d)" 2-3
	equal "$(field t/d .pid)" "$pid"
	equal "$(cpus t/a)" 1
}

@test "a reboot inside keeps them, a stop gives them back" {
	inside t/d reboot -f || true
	await 20 has_field t/d '.state + " " + (.boot | tostring)' "running 2"
	equal "$(cpus t/d)" 2-3
	vps stop --force t/d
	equal "$(allowed "$(vpsd_pid)")" 0-3
	equal "$(cat "$(cgroup_root)/cpuset.cpus.partition")" member
	[ "$(cpus t/a)" != "$(cpus t/b)" ] || fail "both on CPU $(cpus t/a)"
}

@test "two of one CPU each" {
	drop_instance t/d
	own t/d own1
	own t/e own1
	[ "$(cpus t/d)" != "$(cpus t/e)" ]
	equal "$(allowed "$(vpsd_pid)")" 0
	vps stop --force t/d
	equal "$(cpus t/e)" "$(inside t/e sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)"
	drop_instance t/e
	drop_instance t/d
	sound
}

@test "the host's shutdown finds it" {
	own t/d own1
	kill_vpsd TERM
	run timeout 60 "$O/vpsd" --config "$T/vpsd.json" --stop-guests
	[ "$status" -eq 0 ] || fail "$output"
	[[ $output != *killing* ]] || fail "$output"
	equal "$(guest_pids | wc -l)" 0
	start_vpsd
	equal "$(allowed "$(vpsd_pid)")" 0-3
}

# Its place in the tree outlives an instance that was still ending when the CPUs were given back.
@test "what is left of them by halves goes" {
	local place
	place=$(cgroup_root)/dedicated
	vps stop --force t/d
	mkdir -p "$place/$(field t/d .id)"
	drop_instance t/d
	[ ! -e "$place" ]
	mkdir "$place"
	kill_vpsd KILL
	start_vpsd
	[ ! -e "$place" ]
}
