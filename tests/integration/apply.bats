#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps apply: the difference is shown, only what differs changes, twice is once.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

setup() {
	D=$BATS_FILE_TMPDIR
}

document() {
	jq -n '{tenant: "acme", instances: [{name: "a", plan: "tiny", image: "busybox"},
		{name: "b", plan: "tiny", image: "busybox", hostname: "b.example"}]}' | jq "${1:-.}" >"$D/acme.json"
}

changes() {
	vps apply "$@" "$D/acme.json" --json | jq -r '.changes[] | .action + " " + .kind + " " + .target'
}

@test "a dry run shows what would be, and does nothing" {
	document
	run changes -n
	contains "$output" "create tenant acme"
	contains "$output" "create instance acme/a"
	contains "$output" "create instance acme/b"
	run vps ls acme
	[ "$status" -eq 1 ]
	run vps tenant show acme
	[ "$status" -eq 1 ]
}

@test "it makes the tenant and the instances, and starts them" {
	run vps apply "$D/acme.json"
	[ "$status" -eq 0 ]
	vps wait acme/a running
	vps wait acme/b running
	equal "$(inside acme/b hostname)" b.example
}

@test "the same again changes nothing" {
	equal "$(changes)" ""
	run vps apply "$D/acme.json"
	contains "$output" "nothing to change"
}

@test "only what differs changes, live where it can" {
	local a b
	a=$(field acme/a .pid) b=$(field acme/b .pid)
	document '.instances[0].labels = {"role": "web"} | .instances[1].overrides = {"pids": 40}'
	run changes -n
	contains "$output" "change instance acme/a"
	run changes
	contains "$output" "change instance acme/b"
	equal "$(field acme/a .labels.role)" web
	equal "$(field acme/b '.limits[] | select(.limit == "pids") | .configured')" 40
	equal "$(field acme/a .pid) $(field acme/b .pid)" "$a $b"
}

@test "a changed hostname waits for the next start, and everybody says so" {
	local change='.instances[0].labels = {"role": "web"} | .instances[1].overrides = {"pids": 40}'
	equal "$(field acme/b .restart_needed)" false
	document "$change | .instances[1].hostname = \"new.example\""
	run vps apply "$D/acme.json"
	[ "$status" -eq 0 ]
	contains "$output" "instance acme/b: done, in force after its next start"
	equal "$(inside acme/b hostname)" b.example
	kill_vpsd KILL
	start_vpsd
	equal "$(field acme/b .restart_needed)" true
	contains "$(vps info acme/b)" "takes effect at its next start"
	# Another change that is in force at once does not wait because that one does.
	document "$change | .instances[1].hostname = \"new.example\" | .instances[1].labels = {\"a\": \"b\"}"
	run vps apply "$D/acme.json"
	[ "$status" -eq 0 ]
	contains "$output" "instance acme/b: done"
	[[ $output != *"next start"* ]]
	vps restart --force acme/b
	equal "$(field acme/b .restart_needed)" false
	equal "$(inside acme/b hostname)" new.example
	document "$change"
	vps apply "$D/acme.json" >/dev/null
	vps restart --force acme/b
}

@test "a refused limit of a running instance leaves everything as it was" {
	local before
	before=$(vps info acme/b --json | jq -S '.overrides, .limits')
	document '.instances[0].labels = {"role": "web"} | .instances[1].overrides = {"memory": {"limit": "1KiB"}}'
	run vps apply "$D/acme.json"
	[ "$status" -eq 1 ]
	equal "$(vps info acme/b --json | jq -S '.overrides, .limits')" "$before"
	document '.instances[0].labels = {"role": "web"} | .instances[1].overrides = {"pids": 40}'
}

@test "what the API made is shown as drift, and overwritten only by --take-over or not at all" {
	make_instance acme/hand --no-start
	run changes --prune
	[ "$status" -eq 0 ]
	# Not made by a document: never pruned.
	equal "$(field acme/hand .state)" stopped
	drop_instance acme/hand
}

@test "an instance that no document has stays, until --prune" {
	document 'del(.instances[1]) | .instances[0].labels = {"role": "web"}'
	vps apply "$D/acme.json" >/dev/null
	equal "$(field acme/b .state)" running
	run changes --prune
	contains "$output" "delete instance acme/b"
	run vps info acme/b
	[ "$status" -eq 1 ]
	equal "$(field acme/a .state)" running
}

@test "what cannot be changed is refused with its reason" {
	document 'del(.instances[1]) | .instances[0].labels = {"role": "web"} | .instances[0].image = "other"'
	run vps apply "$D/acme.json"
	[ "$status" -eq 1 ]
	contains "$output" image
	# Once, though it was foreseen and then came true.
	equal "$(sort <<<"$output" | uniq -d)" ""
}

@test "the quota of the tenant holds" {
	document 'del(.instances[1]) | .instances[0].labels = {"role": "web"} | .quota = {"instances": 1}'
	vps apply "$D/acme.json" >/dev/null
	run make_instance acme/more --no-start
	[ "$status" -eq 1 ]
	contains "$output" quota
}

@test "at the quota one instance takes the place of another in one run" {
	local quota='.quota = {"instances": 2} | .instances[0].labels = {"role": "web"}'
	document "$quota"
	vps apply "$D/acme.json" >/dev/null
	document "$quota | .instances[1].name = \"c\""
	run changes --prune -n
	equal "${lines[0]} ${lines[1]}" "delete instance acme/b create instance acme/c"
	run changes --prune
	[ "$status" -eq 0 ] || fail "$output"
	equal "${lines[0]} ${lines[1]}" "delete instance acme/b create instance acme/c"
	equal "$(vps ls acme --json | jq -r '[.instances[].name] | sort | join(" ")')" "a c"
	vps wait acme/c running
}

@test "every verb that reads prints JSON with --json, and a table without" {
	local verb
	while read -r verb; do
		# shellcheck disable=SC2086 # words
		vps $verb --json | jq -e 'type == "object"' >/dev/null || fail "vps $verb --json"
		# shellcheck disable=SC2086
		run vps $verb
		[ "$status" -eq 0 ]
		[ "${#lines[@]}" -ge 1 ]
	done <<-'VERBS'
		ls
		info acme/a
		wait acme/a running
		image ls
		plan ls
		plan show tiny
		plan show tiny@1
		tenant ls
		tenant show acme
		host
		op ls
	VERBS
	run vps plan show none
	[ "$status" -eq 1 ]
	run vps tenant show none
	[ "$status" -eq 1 ]
}
