#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What keeps things as they are: the lock of the host, the protection of an instance.
load lib

setup_file() {
	host_up
	make_instance t/a
}

teardown_file() {
	host_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

tenant_with() {
	jq -n --argjson instances "$1" '{tenant: "t", instances: $instances}' >"$T/t.json"
}

@test "host lock: nothing is created, with the reason and the way out" {
	run vps host lock --reason "disk is replaced"
	[ "$status" -eq 0 ]
	contains "$output" "this host is locked"
	run make_instance t/b
	[ "$status" -eq 1 ]
	contains "$output" "this host is locked: no instances are created on it: disk is replaced"
	contains "$output" "'vps host unlock' ends that"
	tenant_with '[{"name": "c", "plan": "tiny", "image": "busybox"}]'
	run vps apply "$T/t.json"
	[ "$status" -eq 1 ]
	contains "$output" "this host is locked"
	equal "$(vps ls --json | jq -c '[.instances[].name]')" '["a"]'
}

@test "it is shown" {
	equal "$(vps host --json | jq -r .lock.reason)" "disk is replaced"
	[ $(($(date +%s) - $(date -d "$(vps host --json | jq -r .lock.since)" +%s))) -le 60 ]
	contains "$(vps host)" "locked        no new instances, since $(vps host --json | jq -r .lock.since): disk is replaced"
}

@test "what is there starts, stops and changes as before" {
	vps stop --force t/a
	vps start t/a
	equal "$(inside t/a echo ok)" ok
	tenant_with '[{"name": "a", "plan": "tiny", "image": "busybox", "labels": {"x": "y"}}]'
	vps apply --take-over "$T/t.json"
	equal "$(field t/a .labels.x)" y
	vps suspend t/a
	vps resume t/a
}

@test "it outlasts kill -9 of vpsd" {
	local before
	before=$(vps host --json | jq -c .lock)
	kill_vpsd KILL
	start_vpsd
	equal "$(vps host --json | jq -c .lock)" "$before"
	run make_instance t/b
	[ "$status" -eq 1 ]
}

@test "locking again changes the reason; unlocking ends it for good" {
	vps host lock --reason full
	equal "$(vps host --json | jq -r .lock.reason)" full
	run vps host unlock
	[ "$status" -eq 0 ]
	contains "$output" "this host is not locked any more"
	equal "$(vps host --json | jq .lock)" null
	[[ $(vps host) != *locked* ]]
	kill_vpsd KILL
	start_vpsd
	equal "$(vps host --json | jq .lock)" null
	make_instance t/b --no-start
	drop_instance t/b
	vps host unlock
	run vps host lock --reason $'two\nlines'
	[ "$status" -eq 1 ]
	contains "$output" "reason: must be one line of text"
	equal "$(vps host --json | jq .lock)" null
}

@test "protect: an instance is not deleted until the protection is taken away" {
	run vps protect t/a
	[ "$status" -eq 0 ]
	contains "$output" "t/a protected"
	equal "$(field t/a .protected)" true
	run vps delete --yes --force t/a
	[ "$status" -eq 1 ]
	contains "$output" "'t/a' is protected"
	contains "$output" "vps protect --off t/a"
	kill_vpsd KILL
	start_vpsd
	equal "$(field t/a '[.protected, .state] | map(tostring) | join(" ")')" "true running"
}

@test "protect: it is the API's word, and a document that says otherwise is shown as drift" {
	tenant_with '[{"name": "d", "plan": "tiny", "image": "busybox", "protected": false}]'
	vps apply "$T/t.json" >/dev/null
	vps protect t/d
	run vps apply "$T/t.json"
	[ "$status" -eq 0 ]
	contains "$output" drift
	contains "$output" protected
	equal "$(field t/d .protected)" true
	# A document that does not speak of it leaves it alone.
	tenant_with '[{"name": "d", "plan": "tiny", "image": "busybox"}]'
	run vps apply "$T/t.json"
	[[ $output != *protected* ]] || fail "$output"
	equal "$(field t/d .protected)" true
	tenant_with '[]'
	run vps apply --prune "$T/t.json"
	[ "$status" -eq 1 ]
	contains "$output" "it is protected"
	tenant_with '[{"name": "d", "plan": "tiny", "image": "busybox", "protected": false}]'
	vps apply --take-over "$T/t.json" >/dev/null
	equal "$(field t/d .protected)" false
	drop_instance t/d
	vps protect --off t/a
	drop_instance t/a
}
