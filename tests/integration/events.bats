#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What happened: listed with a cursor to go on from, over restarts and deaths of vpsd.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

# kinds T/N [SINCE]: of its events, in order.
kinds() {
	vps events "$1" ${2:+--since "$2"} --json | jq -r '[.events[].kind] | join(" ")'
}

newest() {
	vps events --json | jq .next
}

has_kinds() {
	[ "$(kinds "$1" "${3-}")" = "$2" ]
}

api() {
	curl -s --unix-socket "$VPS_SOCKET" "http://vpsd$1"
}

@test "the life of an instance: one event each, and the table says so" {
	make_instance t/a
	await 10 has_kinds t/a "created started"
	vps suspend --quiet t/a --reason "invoice 4711"
	vps resume --quiet t/a
	vps stop --quiet --force t/a
	await 10 has_kinds t/a "created started suspended resumed stopped"
	contains "$(vps events t/a | grep ' suspended ')" "invoice 4711"
	contains "$(vps events t/a | tail -n 1)" "last exit: killed"
	equal "$(vps events --json | jq -c '.events[0] | [.instance, .instance_id, .kind, .details]')" \
		"[\"t/a\",\"$(field t/a .id)\",\"created\",null]"
}

@test "from a cursor on: nothing twice, nothing left out, page by page" {
	local next all paged="" page
	next=$(newest)
	equal "$(kinds t/a "$next")" ""
	vps start --quiet t/a
	vps stop --quiet --force t/a
	await 10 has_kinds t/a "started stopped" "$next"
	all=$(api "/v1/events?since=0" | jq -c '[.events[].cursor]')
	next=0
	while page=$(api "/v1/events?since=$next&limit=2") && [ "$(jq '.events | length' <<<"$page")" -gt 0 ]; do
		paged+=" $(jq -r '.events[].cursor' <<<"$page" | xargs)"
		next=$(jq .next <<<"$page")
	done
	equal "$(jq -r 'map(tostring) | join(" ")' <<<"$all")" "${paged# }"
	equal "$(api "/v1/events?limit=1" | jq -r '.events[].kind')" stopped
}

@test "the list outlasts kill -9 of vpsd, and what is found then did not happen then" {
	local before source
	vps start --quiet t/a
	await 10 eval '[ "$(kinds t/a | wc -w)" -ge 8 ]'
	before=$(vps events --json) source=$(jq .source <<<"$before")
	kill_vpsd KILL
	start_vpsd
	equal "$(field t/a .state)" running
	equal "$(vps events --json)" "$before"
	vps stop --quiet --force t/a
	await 10 eval '[ "$(newest)" -gt "$(jq .next <<<"$before")" ]'
	equal "$(vps events --json | jq .source)" "$source"
}

@test "of one instance only, also when it is gone; a name that is none is refused" {
	vps create t/gone --plan tiny --image busybox --quiet --no-start
	vps delete --force --yes --quiet t/gone
	await 10 has_kinds t/gone "created deleted"
	equal "$(kinds t/nobody)" ""
	run vps events gone
	[ "$status" -eq 2 ]
}

@test "a cursor that is none, or of another database, is told" {
	local q
	for q in since=x since=-1 limit=0 limit=1001 limit=; do
		equal "$(api "/v1/events?$q" | jq -r .error.code)" bad-request
	done
	contains "$(api "/v1/events?limit=1001" | jq -r .error.message)" 'limit: "1001" is not a number from 1 to 1000'
	contains "$(api "/v1/events?limit=%1b%5b31m" | jq -r .error.message)" "a query argument is no UTF-8 text without controls"
	run vps events --since yesterday
	[ "$status" -eq 1 ]
	contains "$output" 'since: "yesterday" is not a number'
	equal "$(api "/v1/events?since=999999" | jq -c '[.missed, .events]')" '[true,[]]'
	equal "$(api "/v1/events?since=$(newest)" | jq .missed)" false
	run vps events --since 999999
	contains "$output" "events after cursor 999999 are not there any more"
}

@test "a database of an earlier version gets the table" {
	kill_vpsd TERM
	sqlite3 "$T/state/vpsd.db" '
		DROP TABLE forwards; DROP TABLE addresses; DROP TABLE nics; DROP TABLE events; DROP TABLE usage;
		DROP TABLE usage_marks; ALTER TABLE instances DROP COLUMN suspend_by; PRAGMA user_version = 4'
	start_vpsd
	equal "$(vps events --json | jq -c '[.events, .next]')" '[[],0]'
	vps start --quiet t/a
	await 10 has_kinds t/a started
}
