#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a guest is told of its CPUs by files of the kernel that know the machine only: /proc/cpuinfo, and the file
# that getconf reads. Without the cpuset controller a guest may run on all CPUs, and is told of as many as it has cores.
load lib

setup_file() {
	host_up
	make_instance t/a
	put_getconf t/a
}

teardown_file() {
	host_down
}

# glibc's, with what it needs: busybox has none, and musl's would not read files.
put_getconf() {
	local file
	while read -r file; do
		inside "$1" mkdir -p "$(dirname "$file")"
		put_inside "$1" "$file" <"$file"
	done < <(echo /usr/bin/getconf; ldd /usr/bin/getconf | grep -o '/[^ ]*')
}

# with T/N OVERRIDES: by a document.
with() {
	jq -n --arg name "${1#*/}" --argjson overrides "$2" '{tenant: "t", instances: [{name: $name, plan: "tiny", image: "busybox",
		overrides: $overrides}]}' >"$T/change.json"
	vps apply --take-over "$T/change.json"
}

# "0-1,4" as "0 1 4".
numbers() {
	local range
	for range in ${1//,/ }; do seq "${range%-*}" "${range#*-}"; done | xargs
}

# numbers_of T/N WIDTH: the CPUs that it should be told of.
numbers_of() {
	local all
	all=$(numbers "$(cat /sys/devices/system/cpu/online)")
	[ "$MODE" = host ] || all=$(numbers "$(field "$1" .cpus)")
	cut -d ' ' -f "1-$2" <<<"$all"
}

# told T/N WIDTH: everything says the same.
told() {
	local cpus
	cpus=$(numbers_of "$1" "$2")
	equal "$(wc -w <<<"$cpus")" "$2"
	equal "$(inside "$1" getconf _NPROCESSORS_ONLN)" "$2"
	equal "$(inside "$1" grep -c ^processor /proc/cpuinfo)" "$2"
	equal "$(inside "$1" sed -n 's/^processor[^0-9]*//p' /proc/cpuinfo | xargs)" "$cpus"
	equal "$(numbers "$(inside "$1" cat /sys/devices/system/cpu/online)")" "$cpus"
}

@test "one core is one CPU in getconf, /proc/cpuinfo and /sys" {
	told t/a 1
	equal "$(field t/a '[.unsupported[].name] | index("cpuinfo")')" null
	# Of the CPU that it is, as the machine describes it.
	equal "$(inside t/a grep -v -i mhz /proc/cpuinfo)" \
		"$(awk -v n="$(numbers_of t/a 1)" '/^processor/ { mine = $3 == n } mine' /proc/cpuinfo | grep -v -i mhz)"
	# Numbers of CPUs lie below it: programs make tables of that size.
	equal "$(inside t/a getconf _NPROCESSORS_CONF)" "$(getconf _NPROCESSORS_CONF)"
}

@test "a bigger plan shows more CPUs at once, a smaller one fewer, in the same files" {
	local pid files
	pid=$(field t/a .pid) files=$(inside t/a stat -c '%d %i' /proc/cpuinfo /sys/devices/system/cpu/online)
	with t/a '{"cpu": {"cores": 1.5}}'
	told t/a 2
	with t/a '{}'
	told t/a 1
	equal "$(field t/a .pid)" "$pid"
	equal "$(inside t/a stat -c '%d %i' /proc/cpuinfo /sys/devices/system/cpu/online)" "$files"
}

@test "kill -9 of vpsd, and then of the keeper: a change is shown all the same" {
	local keeper pid
	pid=$(field t/a .pid)
	kill_vpsd KILL
	told_without_vpsd() { equal "$(grep -c ^processor "/proc/$pid/root/proc/cpuinfo")" 1; }
	told_without_vpsd
	start_vpsd
	told t/a 1
	with t/a '{"cpu": {"cores": 2}}'
	told t/a 2
	keeper=$(keeper_pid)
	kill -KILL "$keeper"
	await 20 dead "$keeper"
	another() { [[ $(keeper_pid) =~ ^[0-9]+$ ]] && [ "$(keeper_pid)" != "$keeper" ]; }
	await 30 another
	await 20 has_field t/a .state running
	with t/a '{}'
	told t/a 1
	# The next keeper holds them as well.
	kill_vpsd KILL
	start_vpsd
	with t/a '{"cpu": {"cores": 2}}'
	told t/a 2
	with t/a '{}'
	equal "$(field t/a .pid)" "$pid"
}

@test "root inside cannot write, unmount, move or remount them" {
	local file command
	for file in /proc/cpuinfo /sys/devices/system/cpu/online; do
		contains "$(inside t/a grep " $file " /proc/self/mountinfo)" " ro,nosuid,nodev,noexec"
		run inside t/a sh -c "echo 0-63 >$file"
		[ "$status" -ne 0 ]
		for command in "umount $file" "umount -l $file" "mount -o remount,rw $file" "mount -o remount,bind,rw $file" \
			"chmod 666 $file" "chown 0 $file" "rm $file" "mount --move $file /tmp"; do
			run inside t/a sh -c "$command"
			[ "$status" -ne 0 ] || fail "done: $command"
		done
		# Nor is there a way to it around the mount.
		run inside t/a sh -c "mkdir -p /tmp/m && mount --bind ${file%/*} /tmp/m"
		[ "$status" -ne 0 ]
	done
	put_inside t/a /bin/guest_check <"$HELPERS/guest_check"
	run inside t/a guest_check mounts
	[ "$status" -eq 0 ] || fail "$output"
	run inside t/a guest_check fresh
	[ "$status" -eq 0 ] || fail "$output"
	told t/a 1
}

@test "they tell nothing of the host or of others" {
	local mounts
	mounts=$(inside t/a cat /proc/self/mountinfo)
	[[ $mounts != *"$T"* && $mounts != *"$(field t/a .id)"* ]] || fail "$mounts"
	make_instance t/b
	[ "$(inside t/a stat -c %d /proc/cpuinfo)" != "$(inside t/b stat -c %d /proc/cpuinfo)" ]
	drop_instance t/b
}

@test "nothing of them is left when the guest has ended" {
	local before
	before=$(ledger)
	make_instance t/b
	drop_instance t/b
	make_instance t/b --no-start
	vps start t/b
	vps stop --force t/b
	drop_instance t/b
	unchanged "$before"
}

@test "spread over CPUs: by the numbers that sched_getaffinity knows" {
	vm_only "needs the cpuset controller"
	make_instance t/b
	put_getconf t/b
	told t/a 1
	told t/b 1
	[ "$(inside t/a cat /sys/devices/system/cpu/online)" != "$(inside t/b cat /sys/devices/system/cpu/online)" ]
	equal "$(inside t/b cat /sys/devices/system/cpu/online)" "$(inside t/b sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)"
	drop_instance t/b
}

@test "cpu_placement float: as many as the plan has cores, also for those that run" {
	vm_only "needs the cpuset controller"
	kill_vpsd KILL
	host_document '.cpu_placement = "float"'
	start_vpsd
	equal "$(inside t/a nproc)" "$(nproc)"
	equal "$(inside t/a grep -c ^processor /proc/cpuinfo)" 1
	equal "$(inside t/a getconf _NPROCESSORS_ONLN)" 1
	with t/a '{"cpu": {"cores": 2}}'
	equal "$(inside t/a getconf _NPROCESSORS_ONLN)" 2
	with t/a '{}'
	kill_vpsd KILL
	host_document
	start_vpsd
	told t/a 1
}
