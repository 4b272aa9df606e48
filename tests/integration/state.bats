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

# refused: vpsd starts, finds guests that its database does not know, and ends.
refused() {
	local code=0
	timeout 60 "$O/vpsd" --config "$T/vpsd.json" --helpers "$O" --seccomp "$REPO/config/defaults/seccomp/default.json" \
		>"$T/refused" 2>&1 3>&- || code=$?
	equal "$code" 1
	contains "$(cat "$T/refused")" "1 guests run in"
	contains "$(cat "$T/refused")" "vpsd --stop-guests ID"
}

# stop_only ID: that guest in order, and no other.
stop_only() {
	run timeout 60 "$O/vpsd" --config "$T/vpsd.json" --stop-guests "$1"
	equal "$status" 0
	contains "$output" "stopping 1 guests"
	[[ $output != *killing* ]] || fail "$output"
}

# put_back DIRECTORY: its copy of the database takes the place of the present one, which is killed, not closed.
put_back() {
	kill_vpsd KILL
	rm -f "$T"/state/vpsd.db "$T"/state/vpsd.db-*
	cp -p "$1"/vpsd.db* "$T/state/"
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

@test "a missing database does not cost the guests that run: nothing is started beside them" {
	local pid
	make_instance t/a
	pid=$(field t/a .pid)
	kill_vpsd TERM
	mkdir "$T/kept2"
	mv "$T"/state/vpsd.db* "$T/kept2/"
	mv "$T/state/pool/owner" "$T/kept2/"
	refused
	alive "$pid"
	# It has not taken the pool.
	[ ! -e "$T/state/pool/owner" ]
	mv "$T/kept2/owner" "$T/state/pool/"
	rm -f "$T"/state/vpsd.db*
	mv "$T"/kept2/* "$T/state/"
	start_vpsd
	equal "$(field t/a '.state + " " + (.pid | tostring)')" "running $pid"
	drop_instance t/a
	# Without guests another database may begin, and owns what it starts.
	kill_vpsd TERM
	mv "$T"/state/vpsd.db* "$T/kept2/"
	start_vpsd
	kill_vpsd TERM
	rm -f "$T"/state/vpsd.db*
	mv "$T"/kept2/* "$T/state/"
	start_vpsd
	make_instance t/a
	drop_instance t/a
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
	local dir
	make_instance t/c --no-start
	kill_vpsd TERM
	start_vpsd
	# What is in the log only does not come back half.
	make_instance t/later --no-start
	kill_vpsd KILL
	dir=$(find "$T/state/pool/instances" -mindepth 1 -maxdepth 1 -newer "$T/vpsd.pid" | sort | tail -n 1)
	[ -s "$T/state/vpsd.db-wal" ]
	mv "$T/state/vpsd.db" "$T/state/vpsd.db.damaged-9"
	start_vpsd
	contains "$(tail -n 20 "$T/vpsd.log")" "the last good backup was restored"
	equal "$(vps ls --json | jq -r '.instances[].name' | xargs)" c
	[ -d "$dir" ]
	rm "$T/state/pool/owner"
	kill_vpsd TERM
	start_vpsd
	await 10 test ! -d "$dir"
	drop_instance t/c
}

@test "an older copy of the database costs neither guests nor files that are newer" {
	local pid_a pid_b id_b dir_b dir_c
	make_instance t/a --no-start
	kill_vpsd TERM
	mkdir "$T/older" "$T/newest"
	cp -p "$T"/state/vpsd.db "$T/older/"
	start_vpsd
	vps start t/a
	make_instance t/b
	make_instance t/c --no-start
	pid_a=$(field t/a .pid) pid_b=$(field t/b .pid) id_b=$(field t/b .id)
	dir_b=$(instance_dir t/b) dir_c=$(instance_dir t/c)
	kill_vpsd TERM
	cp -p "$T"/state/vpsd.db "$T/newest/"
	start_vpsd
	put_back "$T/older"
	refused
	refused
	contains "$(cat "$T/refused")" "/$id_b'"
	alive "$pid_a"
	alive "$pid_b"
	# An id that is none, and one that does not run.
	run "$O/vpsd" --config "$T/vpsd.json" --stop-guests t/b
	equal "$status" 2
	contains "$output" "'t/b' is not the id of an instance"
	run "$O/vpsd" --config "$T/vpsd.json" --stop-guests "$id_b" "$(basename "$dir_c")"
	equal "$status" 1
	contains "$output" "no guest with the id '$(basename "$dir_c")' runs"
	alive "$pid_b"
	stop_only "$id_b"
	await 5 dead "$pid_b"
	alive "$pid_a"
	start_vpsd
	sleep 1
	equal "$(field t/a '.state + " " + .desired + " " + (.pid | tostring)')" "running running $pid_a"
	[ -d "$dir_b" ]
	[ -d "$dir_c" ]
	contains "$(tail -n 20 "$T/vpsd.log")" "has instances that this database does not know"
	# The right one knows all of them.
	put_back "$T/newest"
	start_vpsd
	equal "$(field t/a .pid)" "$pid_a"
	equal "$(vps ls --json | jq -r '[.instances[].name] | sort | join(" ")')" "a b c"
	await 20 has_field t/b .state running
	for i in t/a t/b t/c; do drop_instance "$i"; done
	sound
}

@test "a backup that somebody copies by hand is another database" {
	make_instance t/d --no-start
	kill_vpsd TERM
	cp "$T/state/vpsd.db" "$T/own.db"
	cp "$T/state/vpsd.db.backup" "$T/state/vpsd.db"
	start_vpsd
	contains "$(tail -n 20 "$T/vpsd.log")" "belongs to another database"
	equal "$(field t/d .state)" stopped
	kill_vpsd TERM
	cp "$T/own.db" "$T/state/vpsd.db"
	start_vpsd
	drop_instance t/d
}

@test "after a damaged database, guests newer than the backup are stopped by their ids; the others never notice" {
	local pid_old pid_new id_new dir_new
	make_instance t/old
	kill_vpsd TERM
	start_vpsd
	make_instance t/new
	pid_old=$(field t/old .pid) pid_new=$(field t/new .pid) id_new=$(field t/new .id)
	dir_new=$(instance_dir t/new)
	kill_vpsd KILL
	rm -f "$T"/state/vpsd.db-*
	echo "no database" >"$T/state/vpsd.db"
	refused
	contains "$(cat "$T/refused")" "the last good backup was restored"
	contains "$(cat "$T/refused")" "/$id_new'"
	refused
	alive "$pid_new"
	stop_only "$id_new"
	await 5 dead "$pid_new"
	start_vpsd
	equal "$(field t/old '.state + " " + .desired + " " + (.pid | tostring)')" "running running $pid_old"
	sleep 1
	[ -d "$dir_new" ]
	rm "$T/state/pool/owner"
	kill_vpsd TERM
	start_vpsd
	await 10 test ! -d "$dir_new"
	drop_instance t/old
	sound
}

@test "a copy that was taken while an instance was being created does not cost it" {
	local id pid
	make_instance t/e
	id=$(field t/e .id) pid=$(field t/e .pid)
	kill_vpsd TERM
	/usr/bin/python3 - "$T/state/vpsd.db" <<-'PY'
		import sqlite3, sys
		with sqlite3.connect(sys.argv[1]) as db:
		    db.execute("UPDATE instances SET phase = 0, boot = 0, exit_boot = 0 WHERE name = 'e'")
		    db.execute("UPDATE operations SET status = 0, ended = NULL WHERE target = 't/e'")
	PY
	start_vpsd
	equal "$(field t/e '.id + " " + .state + " " + (.pid | tostring)')" "$id running $pid"
	sound
	drop_instance t/e
}

@test "a large result of an operation does not keep vpsd from starting" {
	jq -n '{tenant: "big", instances: [range(8000) | {name: "n\(.)", plan: "tiny", image: "none"}]}' >"$T/big.json"
	run vps apply "$T/big.json" --quiet
	[ "$status" -ne 0 ]
	kill_vpsd TERM
	start_vpsd
	vps op ls >/dev/null
}

images_in_pool() {
	find "$T/state/pool/images" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort
}

are_images() {
	[ "$(images_in_pool)" = "$1" ]
}

# An archive of other content than the tests' image.
other_archive() {
	mkdir -p "$T/other/bin"
	cp /bin/true "$T/other/bin/sh"
	tar -C "$T/other" --sort=name --mtime=@0 -cf "$T/other.tar" .
	echo "$T/other.tar"
}

@test "what an import leaves behind when its name is taken is removed" {
	local before
	before=$(images_in_pool)
	run vps image import busybox "$(other_archive)"
	[ "$status" -ne 0 ]
	contains "$output" "exists with other content"
	await 10 are_images "$before"
}

@test "an image whose import was not written down is removed at the next start" {
	local before
	before=$(images_in_pool)
	kill_vpsd KILL
	"$O/vps-job" import --pool "$T/state/pool" --range-base 1900000 <"$(other_archive)" >/dev/null
	[ "$(images_in_pool)" != "$before" ]
	start_vpsd
	await 10 are_images "$before"
}

@test "an image that is imported while it is being deleted is there or is refused" {
	local op
	vps image import one "$(other_archive)" >/dev/null
	kill_vpsd TERM
	# Jobs whose removal of images takes its time.
	mkdir "$T/slow"
	ln -s "$O/vpsd" "$O/vps-keeper" "$O/vps" "$T/slow/"
	printf '#!/bin/sh\n[ "$1" != remove-image ] || sleep 2\nexec "%s" "$@"\n' "$O/vps-job" >"$T/slow/vps-job"
	chmod 755 "$T/slow/vps-job"
	O=$T/slow start_vpsd
	vps image delete one --yes 3>&- &
	op=$!
	sleep 0.5
	run vps image import two "$T/other.tar"
	wait "$op"
	if [ "$status" -eq 0 ]; then
		[ -d "$T/state/pool/images/$(sha256sum "$T/other.tar" | cut -d' ' -f1)" ]
		vps image delete two --yes
	fi
	kill_vpsd TERM
	start_vpsd
}

@test "an instance without a disk limit does not pass a quota of disk" {
	echo '{"tenant": "small", "quota": {"disk": "1GiB"}}' >"$T/small.json"
	vps apply "$T/small.json" >/dev/null
	run vps create small/a --plan tiny --image busybox --no-start
	[ "$status" -ne 0 ]
	contains "$output" "not enough disk"
}

# Makes the next writes of vpsd's database fail, until unfault.
fault() {
	strace -f -qq -o "$T/strace" -e inject=pwrite64:error=ENOSPC -p "$(vpsd_pid)" 3>&- &
	STRACE=$!
	await 10 grep -q "^TracerPid:[[:space:]]*$STRACE" "/proc/$(vpsd_pid)/status"
}

unfault() {
	kill "$STRACE"
	wait "$STRACE" || true
}

@test "what could not be written is not taken for done" {
	mkdir -p "$T/late"
	tiny_plan | jq '.plan = "late"' >"$T/late/plan.json"
	echo '{"tenant": "late"}' >"$T/late/tenant.json"
	fault
	run vps apply "$T/late"
	unfault
	[ "$status" -ne 0 ]
	run vps apply "$T/late"
	[ "$status" -eq 0 ]
	contains "$output" late
	kill_vpsd KILL
	start_vpsd
	vps tenant show late >/dev/null
	vps plan show late >/dev/null
	contains "$(vps apply "$T/late")" "nothing to change"
}

@test "an upload whose operation could not be written gives back its name" {
	local client
	other_archive
	mkfifo "$T/pipe"
	fault
	vps image import held - <"$T/pipe" 3>&- &
	client=$!
	exec 5>"$T/pipe" # held open: the archive does not end
	head -c 1000 "$T/other.tar" >&5
	await 10 grep -q INJECTED "$T/strace"
	sleep 0.5
	unfault
	alive "$client"
	await 10 vps image import held "$T/other.tar"
	vps image delete --yes held
	exec 5>&-
	ended_with "$client" 1
}

is_gone() {
	! vps info "$1"
}

# The database fails right behind the row of the operation.
@test "an instance whose creation could not be written is not there" {
	mkdir -p "$T/pause"
	ln -sf "$O/vpsd" "$O/vps-keeper" "$O/vps" "$T/pause/"
	printf '#!/bin/sh\n[ "$1" != prepare ] || sleep 3\nexec "%s" "$@"\n' "$O/vps-job" >"$T/pause/vps-job"
	chmod 755 "$T/pause/vps-job"
	kill_vpsd TERM
	O=$T/pause start_vpsd
	vps create t/half --plan tiny --image busybox --no-start 3>&- &
	local client=$!
	await 5 vps info t/half
	fault
	ended_with "$client" 1
	unfault
	# The undoing is tried again every ten seconds.
	await 30 is_gone t/half
	kill_vpsd TERM
	start_vpsd
	is_gone t/half
	make_instance t/half --no-start
	drop_instance t/half
}
