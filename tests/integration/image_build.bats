#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps image build: a Debian system from the distribution's mirror. Needs what the host's apt needs, so
# it runs on the build machine only.
load lib

setup_file() {
	# It is the mirror's speed, and that of unpacking 200 MiB.
	export BATS_TEST_TIMEOUT=400
	[ "$VPS_TEST_MODE" = vm ] || host_up
}

teardown_file() {
	[ "$VPS_TEST_MODE" = vm ] || host_down
}

@test "a release that does not exist is refused, with those that do" {
	host_only "the test machine has no network"
	run vps image build debian-99
	[ "$status" -eq 1 ]
	contains "$output" "debian-12"
}

# Whether mmdebstrap has got as far as mounts, in whatever namespace.
is_mounted() {
	cat /proc/[0-9]*/mountinfo 2>/dev/null | grep -q '/mmdebstrap[^ ]*/dev/pts '
}

traces() {
	ls -A "$T/state/pool/tmp"
	find /tmp -maxdepth 1 -name 'mmdebstrap*'
	cat /proc/self/mountinfo
}

has_traces() {
	[ "$(traces)" = "$1" ]
}

@test "a build that is cut off half-way leaves no mounts and no files" {
	host_only "the test machine has no network"
	local before client
	before=$(traces)
	vps image build debian-12 --name cut >"$T/cut" 2>&1 3>&- &
	client=$!
	await 300 is_mounted
	kill_vpsd KILL
	wait "$client" || true
	start_vpsd
	await 20 has_traces "$before" || fail "$(diff <(echo "$before") <(traces))"
	run ! is_mounted
	equal "$(vps image ls --json | jq '[.images[] | select(.name == "cut")] | length')" 0
}

@test "vps image build debian-12 gives an image that runs" {
	host_only "the test machine has no network"
	run vps image build debian-12 --name built
	[ "$status" -eq 0 ] || fail "$output"
	equal "$(vps image ls --json | jq -r '.images[] | select(.name == "built") | .os.id + " " + .os.version')" "debian 12"
	vps create t/built --plan tiny --image built
	# shellcheck disable=SC2016 # the guest expands it
	equal "$(vps exec t/built -- sh -c '. /etc/os-release; echo "$VERSION_CODENAME"')" bookworm
	run vps image delete --yes built
	[ "$status" -eq 1 ]
	contains "$output" "built"
	vps delete --force --yes t/built
	vps image delete --yes built
}
