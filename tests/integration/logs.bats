#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The console's log: kept, capped under a flood, followed over rotations. The cap of these tests is 64 KiB a file.
load lib

setup_file() {
	host_up
	make_instance t/a
}

teardown_file() {
	host_down
}

log_bytes() {
	cat "$(log_dir t/a)"/console.log* | wc -c
}

# Numbered lines on the console.
say() {
	inside t/a sh -c "i=0; while [ \$i -lt $1 ]; do i=\$((i+1)); echo \"$2 \$i ------------------------------\"; done >/dev/console"
}

@test "holds what init said" {
	await 5 logs_say t/a 'init: up'
	contains "$(vps logs t/a)" "init: up"
}

@test "control characters do not act on the reader's terminal, unless --raw" {
	inside t/a sh -c 'printf "a\033[31mb\n" >/dev/console'
	await 5 logs_say t/a '^ab$'
	[[ $(vps logs t/a) != *$'\e'* ]]
	[[ $(vps logs --raw t/a) == *$'a\e[31mb'* ]]
}

@test "stays over a restart of the instance, and of vpsd" {
	vps restart --force t/a
	kill_vpsd KILL
	start_vpsd
	[ "$(vps logs t/a | grep -c 'init: up')" -ge 2 ]
}

@test "a flood stays below the cap, and the last words are there" {
	say 6000 flood
	inside t/a sh -c 'echo "the last word" >/dev/console'
	await 20 logs_say t/a 'the last word'
	[ "$(log_bytes)" -le $((2 * 65536)) ]
	[ "$(log_bytes)" -gt 32768 ]
	contains "$(vps logs t/a | tail -n 1)" "the last word"
	contains "$(vps logs t/a)" "flood 6000 "
}

@test "a flood of one does not delay another" {
	make_instance t/b
	vps exec t/a -- sh -c 'while :; do echo flood; done >/dev/console' 3>&- &
	local flood=$! start=$SECONDS
	equal "$(inside t/b echo ok)" ok
	inside t/b sh -c 'echo heard >/dev/console'
	await 5 logs_say t/b heard
	[ $((SECONDS - start)) -le "$(seconds 8)" ]
	[ "$(log_bytes)" -le $((2 * 65536)) ]
	kill "$flood"
	wait "$flood" || true
	drop_instance t/b
}

@test "-f follows over rotations, without a gap" {
	inside t/a sh -c 'echo "start of follow" >/dev/console'
	vps logs -f t/a >"$BATS_TEST_TMPDIR/out" 3>&- &
	local follower=$!
	await 5 grep -q 'start of follow' "$BATS_TEST_TMPDIR/out"
	local part
	# More than both files together hold, at a pace that a follower keeps up with.
	for part in 1 2 3 4 5 6; do
		say 700 "part-$part"
		await 10 grep -q "part-$part 700 " "$BATS_TEST_TMPDIR/out"
	done
	kill "$follower"
	wait "$follower" || true
	equal "$(grep -c '^part-' "$BATS_TEST_TMPDIR/out")" 4200
}

@test "-f ends when the instance is deleted" {
	make_instance t/b
	vps logs -f t/b >"$BATS_TEST_TMPDIR/out" 3>&- &
	local follower=$!
	await 5 grep -q 'init: up' "$BATS_TEST_TMPDIR/out"
	drop_instance t/b
	await 10 dead "$follower"
}

@test "nothing of a deleted instance's log stays" {
	make_instance t/c
	local dir
	dir=$(log_dir t/c)
	[ -d "$dir" ]
	drop_instance t/c
	[ ! -e "$dir" ]
}
