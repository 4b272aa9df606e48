#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ten instances at once.
load lib

N=10

setup_file() {
	host_up
	# The first one also loads what all share: the device program.
	make_instance t/first
	drop_instance t/first
	LEDGER=$(ledger)
	export LEDGER
}

teardown_file() {
	host_down
}

# each COMMAND...: for all of them at the same time, with %s for the name.
each() {
	local i jobs=()
	for ((i = 1; i <= N; i++)); do
		"${@//%s/t/n$i}" 3>&- &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" || return 1
	done
}

states() {
	vps ls --json | jq -r '[.instances[].state] | unique | join(" ")'
}

@test "are created and started side by side" {
	local start=$SECONDS
	each make_instance %s
	equal "$(vps ls --json | jq '.instances | length')" $N
	equal "$(states)" running
	echo "# $N instances in $((SECONDS - start)) s" >&3
}

@test "each is another" {
	equal "$(vps ls --json | jq '[.instances[].ids.base] | unique | length')" $N
	equal "$(vps ls --json | jq '[.instances[].pid] | unique | length')" $N
	each inside %s true
}

@test "vps ls answers at once meanwhile" {
	local start
	each vps restart --force --quiet %s &
	local all=$!
	start=$(date +%s%N)
	vps ls >/dev/null
	[ $((($(date +%s%N) - start) / 1000000)) -lt $(($(seconds 1) * 1000)) ]
	wait "$all"
	equal "$(states)" running
}

@test "are stopped side by side" {
	local start=$SECONDS
	each vps stop --quiet %s
	equal "$(states)" stopped
	echo "# stopped in $((SECONDS - start)) s" >&3
}

@test "are deleted, and nothing is left" {
	each drop_instance %s
	equal "$(vps ls --json | jq '.instances | length')" 0
	unchanged "$LEDGER"
}
