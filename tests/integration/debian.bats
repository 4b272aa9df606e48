#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A real Debian 12 with systemd: boots to "running" without a failed unit, reboots and powers off from inside.
load lib

setup_file() {
	[ "$MODE" = vm ] || return 0
	host_up
	add_plan debian '.cpu.cores = 2 | .memory.limit = "768MiB" | .pids = 512'
	vps apply "$T/docs" >/dev/null
	vps image import debian-12 "$("$REPO/tests/image-cache" debian-12)" >/dev/null
	vps create t/d --plan debian --image debian-12 --hostname d.example --quiet
}

teardown_file() {
	host_down
}

setup() {
	vm_only "takes its time and a kernel with all controllers"
}

@test "becomes ready, with systemd running and no failed unit" {
	vps wait t/d ready --timeout 240
	equal "$(inside t/d systemctl is-system-running)" running
	equal "$(inside t/d systemctl --failed --no-legend | wc -l)" 0
	contains "$(inside t/d cat /etc/os-release)" 'VERSION_ID="12"'
	equal "$(inside t/d systemd-detect-virt --container)" vpsd || true
}

@test "is itself: names, machine id, processes" {
	equal "$(inside t/d hostname)" d.example
	equal "$(inside t/d cat /proc/1/comm)" systemd
	equal "$(inside t/d ps -e -o args= | grep -c -e vpsd -e vps-keeper)" 0
	[[ $(inside t/d cat /etc/machine-id) =~ ^[0-9a-f]{32}$ ]]
}

@test "systemd uses its part of the cgroup tree" {
	inside t/d test -d /sys/fs/cgroup/system.slice
	run inside t/d systemd-run --wait --pipe --quiet -p MemoryMax=32M -- sh -c 'cat /proc/self/cgroup'
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" system.slice
}

@test "its console is a login prompt" {
	await 30 logs_say t/d login || contains "$(vps logs t/d)" "Debian"
}

@test "systemctl reboot boots it again" {
	inside t/d systemctl reboot || true
	again() { [ "$(field t/d .boot)" -eq 2 ]; }
	await 60 again
	vps wait t/d ready --timeout 240
	equal "$(field t/d .last_exit)" reboot
}

@test "stop shuts it down in order" {
	run vps stop --timeout 120s t/d
	[ "$status" -eq 0 ]
	equal "$(field t/d '.state + " " + .last_exit')" "stopped poweroff"
}

@test "each instance of it has fresh ssh host keys, a machine id, names; none of the image's" {
	local key a b
	vps create t/c --plan tiny --image debian-12 --no-start --quiet
	vps create t/e --plan tiny --image debian-12 --no-start --quiet
	a=$(instance_dir t/c)/fs/upper b=$(instance_dir t/e)/fs/upper
	equal "$(cat "$a/etc/hostname")" c
	[ "$(cat "$a/etc/machine-id")" != "$(cat "$b/etc/machine-id")" ]
	if [ -n "$(find "$T/state/pool/images" -path '*/rootfs/etc/ssh' -type d)" ]; then
		for key in "$a"/etc/ssh/ssh_host_*_key; do
			[ -s "$key" ] || fail "no key"
			equal "$(stat -c %a "$key")" 600
			equal "$(stat -c %u:%g "$key")" "$(stat -c %u:%g "$a/etc/hostname")"
			run cmp -s "$key" "$b/etc/ssh/$(basename "$key")"
			[ "$status" -eq 1 ]
		done
	fi
}
