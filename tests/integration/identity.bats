#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every instance is one of its own: host name, machine id, ssh host keys. The ssh host keys are in debian.bats.
load lib

setup_file() {
	host_up
	make_instance t/a --hostname a.example
	make_instance t/b
}

teardown_file() {
	host_down
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
