#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps image build: a Debian system from the distribution's mirror. Needs what the host's apt needs, so
# it runs on the build machine only.
load lib

setup_file() {
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
