#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who may talk to vpsd: root, and the group of the socket. The file's mode keeps others out, and SO_PEERCRED does
# where the mode was changed. The tests' group is "games".
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

setup() {
	chmod 660 "$VPS_SOCKET"
}

# as UID GROUPS COMMAND...
as() {
	setpriv --reuid "$1" --regid 65534 --groups "$2" "${@:3}"
}

call() {
	curl -s -S --unix-socket "$VPS_SOCKET" http://vpsd/v1/host "$@"
}

@test "the socket belongs to root and the group, mode 0660" {
	equal "$(stat -c '%a %U %G %F' "$VPS_SOCKET")" "660 root games socket"
}

@test "root may" {
	equal "$(call | jq .ready)" true
}

@test "a member of the group may" {
	equal "$(as 65534 "$(getent group games | cut -d: -f3)" curl -s -S --unix-socket "$VPS_SOCKET" http://vpsd/v1/host | jq .ready)" true
}

@test "another user does not get at the socket" {
	run as 65534 65534 curl -s -S --unix-socket "$VPS_SOCKET" http://vpsd/v1/host
	[ "$status" -eq 7 ]
}

@test "another user who gets at the socket is forbidden everything" {
	chmod 666 "$VPS_SOCKET"
	for path in /v1/host /v1/instances /v1/nothing; do
		run as 65534 65534 curl -s -S -w ' %{http_code}' --unix-socket "$VPS_SOCKET" "http://vpsd$path"
		[ "$status" -eq 0 ]
		contains "$output" '"code":"forbidden"'
		contains "$output" "only root and the members of the socket's group may use this API"
		[[ $output == *" 403" ]]
	done
	run as 65534 65534 curl -s -S -w ' %{http_code}' --unix-socket "$VPS_SOCKET" -X POST -d '{"documents": []}' http://vpsd/v1/apply
	[[ $output == *" 403" ]]
}

@test "without a group only root may" {
	kill_vpsd TERM
	host_document '.listen[0].group = null'
	start_vpsd
	equal "$(stat -c '%a' "$VPS_SOCKET" | tail -c 3)" 00
	chmod 666 "$VPS_SOCKET"
	run as 65534 "$(getent group games | cut -d: -f3)" curl -s -S --unix-socket "$VPS_SOCKET" http://vpsd/v1/host
	contains "$output" forbidden
	equal "$(call | jq .ready)" true
}

@test "with a group that does not exist only root may, and the log says so" {
	kill_vpsd TERM
	host_document '.listen[0].group = "no-such-group"'
	start_vpsd
	equal "$(stat -c '%a' "$VPS_SOCKET")" 600
	contains "$(cat "$T/vpsd.log")" "there is no group 'no-such-group', so only root may use '$VPS_SOCKET'"
	equal "$(call | jq .ready)" true
}

@test "the directories of the state are root's alone" {
	equal "$(stat -c '%a %u' "$T/state")" "700 0"
	equal "$(stat -c '%a %u' "$T/state/pool")" "700 0"
	equal "$(stat -c '%a' "$T/state/vpsd.db" | tail -c 3)" 00 || equal "$(stat -c '%a' "$T/state")" 700
}
