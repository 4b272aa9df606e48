#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A pool of user ids that is used up: the host has three ranges, the first belongs to jobs.
load lib

setup_file() {
	host_up '.idmap.count = 3'
}

teardown_file() {
	host_down
}

free() {
	vps host --json | jq .capacity.id_ranges_free
}

@test "as many instances as there are ranges" {
	equal "$(free)" 2
	make_instance t/a --no-start
	make_instance t/b --no-start
	equal "$(free)" 0
}

@test "one more is refused, says what to raise, and leaves nothing" {
	local before
	before=$(ledger)
	run make_instance t/c --no-start
	[ "$status" -eq 1 ]
	contains "$output" idmap
	run vps info t/c
	[ "$status" -eq 1 ]
	unchanged "$before"
	equal "$(vps ls --json | jq '.instances | length')" 2
}

@test "those that are there are not touched" {
	vps start t/a
	equal "$(inside t/a echo ok)" ok
	vps stop --force t/a
}

@test "a range that was given back can be used, and only once" {
	drop_instance t/a
	equal "$(free)" 1
	make_instance t/c
	equal "$(free)" 0
	[ "$(field t/c .ids.base)" != "$(field t/b .ids.base)" ]
	equal "$(inside t/c echo ok)" ok
}

@test "after a restart of vpsd as before" {
	kill_vpsd KILL
	start_vpsd
	equal "$(free)" 0
	run make_instance t/d --no-start
	[ "$status" -eq 1 ]
}
