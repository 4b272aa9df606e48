#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every instance is one of its own: host name, machine id, ssh host keys. Debian's image is used without being booted.
load lib

setup_file() {
	host_up
	make_instance t/a --hostname a.example
	make_instance t/b
}

teardown_file() {
	host_down
}

upper() {
	echo "$(instance_dir "$1")/fs/upper"
}

@test "the host name: asked for, or the name of the instance" {
	equal "$(inside t/a hostname)" a.example
	equal "$(inside t/a cat /etc/hostname)" a.example
	equal "$(inside t/b hostname)" b
	equal "$(inside t/b cat /etc/hostname)" b
	contains "$(inside t/a cat /etc/hosts)" a.example
}

@test "the machine id differs" {
	local a b
	a=$(inside t/a cat /etc/machine-id) b=$(inside t/b cat /etc/machine-id)
	[[ $a =~ ^[0-9a-f]{32}$ ]]
	[[ $b =~ ^[0-9a-f]{32}$ ]]
	[ "$a" != "$b" ]
}

@test "the files belong to the guest's root" {
	equal "$(inside t/a stat -c %u:%g /etc/hostname /etc/machine-id | sort -u)" 0:0
}

@test "a change of the host name stands in the files at the next start" {
	jq -n '{tenant: "t", instances: [{name: "b", plan: "tiny", image: "busybox", hostname: "other.example"}]}' >"$T/b.json"
	vps apply --take-over "$T/b.json" >/dev/null
	vps restart --force t/b
	equal "$(inside t/b hostname)" other.example
	equal "$(inside t/b cat /etc/hostname)" other.example
}

@test "Debian: fresh ssh host keys, a machine id, names; none of the image's" {
	vm_only "takes its time with Debian's image"
	local key a b
	vps image import debian-12 "$("$REPO/tests/image-cache" debian-12)" >/dev/null
	vps create t/c --plan tiny --image debian-12 --no-start --quiet
	vps create t/d --plan tiny --image debian-12 --no-start --quiet
	a=$(upper t/c) b=$(upper t/d)
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
