#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the database loses, customers must not: strays of a database that is not the pool's own, documents of
# any size, images that nobody names, changes that could not be written.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

@test "a missing database does not cost the files of instances" {
	make_instance t/a --no-start
	local dir
	dir=$(instance_dir t/a)
	kill_vpsd TERM
	mkdir "$T/kept"
	mv "$T"/state/vpsd.db* "$T/kept/"
	start_vpsd
	contains "$(tail -n 20 "$T/vpsd.log")" "belongs to another database"
	sleep 1
	[ -d "$dir" ]
	kill_vpsd KILL
	start_vpsd
	sleep 1
	[ -d "$dir" ]
	kill_vpsd TERM
	rm -f "$T"/state/vpsd.db*
	mv "$T"/kept/* "$T/state/"
	start_vpsd
	[ -d "$dir" ]
	drop_instance t/a
	[ ! -d "$dir" ]
}

@test "an old backup does not cost the files of newer instances" {
	local dir
	kill_vpsd TERM
	start_vpsd
	equal "$(stat -c %a "$T/state/vpsd.db.backup")" 600
	make_instance t/b --no-start
	dir=$(instance_dir t/b)
	kill_vpsd KILL
	rm -f "$T"/state/vpsd.db-*
	echo "no database" >"$T/state/vpsd.db"
	start_vpsd
	contains "$(tail -n 20 "$T/vpsd.log")" "the last good backup was restored"
	sleep 1
	[ -d "$dir" ]
	equal "$(vps ls --json | jq '.instances | length')" 0
	rm "$T/state/pool/owner"
	kill_vpsd TERM
	start_vpsd
	await 10 test ! -d "$dir"
}

@test "a crash while a damaged database is set aside costs nothing" {
	make_instance t/c --no-start
	kill_vpsd TERM
	mv "$T/state/vpsd.db" "$T/state/vpsd.db.damaged-9"
	start_vpsd
	contains "$(tail -n 20 "$T/vpsd.log")" "the last good backup was restored"
	vps info t/c >/dev/null
	rm "$T/state/pool/owner"
	kill_vpsd TERM
	start_vpsd
	drop_instance t/c
}

@test "a large result of an operation does not keep vpsd from starting" {
	jq -n '{tenant: "big", instances: [range(8000) | {name: "n\(.)", plan: "tiny", image: "none"}]}' >"$T/big.json"
	run vps apply "$T/big.json" --quiet
	[ "$status" -ne 0 ]
	kill_vpsd TERM
	start_vpsd
	vps op ls >/dev/null
}
