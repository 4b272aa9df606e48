#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps console: the terminal of init itself, for several at once, over restarts of vpsd.
load lib

setup_file() {
	host_up
	make_instance t/a
	put_inside t/a /etc/rc <<-'SH'
		#!/bin/sh
		exec </dev/console >/dev/console 2>&1
		while read -r line; do
			[ "$line" != size ] || stty size
			echo "console: <$line>"
		done
	SH
	vps restart --force t/a
}

teardown_file() {
	host_down
}

expect() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" --timeout "$(seconds 15)" "$@"
}

@test "what is typed arrives, what is said comes back, Ctrl-] detaches" {
	run expect 'expect:Ctrl-]' 'send:hello\n' 'expect:console: <hello>' 'send:\x1d' 'expect:detached' -- vps console t/a
	[ "$status" -eq 0 ] || fail "$output"
	equal "$(field t/a .state)" running
}

@test "the size of the terminal is passed on" {
	run expect --size 33x101 'expect:Ctrl-]' 'send:size\n' 'expect:33 101' 'send:\x1d' -- vps console t/a
	[ "$status" -eq 0 ] || fail "$output"
}

@test "Ctrl-C goes inside: the image's init takes SIGINT for a reboot" {
	local boot
	boot=$(field t/a .boot)
	run expect 'expect:Ctrl-]' 'send:\x03' 'expect:init: reboot' -- vps console t/a
	[ "$status" -eq 0 ] || fail "$output"
	await 20 has_field t/a '.state + " " + (.boot | tostring)' "running $((boot + 1))"
}

@test "--readonly shows and sends nothing" {
	vps console --readonly t/a </dev/null >"$BATS_TEST_TMPDIR/out" 3>&- &
	local reader=$!
	run expect 'expect:Ctrl-]' 'send:seen by both\n' 'expect:<seen by both>' 'send:\x1d' -- vps console t/a
	[ "$status" -eq 0 ]
	await 5 grep -q '<seen by both>' "$BATS_TEST_TMPDIR/out"
	kill "$reader"
	wait "$reader" || true
	run expect 'expect:Ctrl-]' 'send:nobody hears\n' 'send:\x1d' -- vps console --readonly t/a
	[ "$status" -eq 0 ]
	[[ $(vps logs t/a) != *"nobody hears"* ]]
}

@test "from a pipe: input, and the output goes on after its end" {
	vps console t/a < <(echo piped) >"$BATS_TEST_TMPDIR/out" 3>&- &
	local reader=$!
	await 10 grep -q '<piped>' "$BATS_TEST_TMPDIR/out"
	inside t/a sh -c 'echo more >/dev/console'
	await 10 grep -q more "$BATS_TEST_TMPDIR/out"
	alive "$reader"
	kill "$reader"
	wait "$reader" || true
}

@test "it survives vpsd" {
	kill_vpsd KILL
	start_vpsd
	run expect 'expect:Ctrl-]' 'send:after\n' 'expect:<after>' 'send:\x1d' -- vps console t/a
	[ "$status" -eq 0 ] || fail "$output"
}

@test "an attached console ends with its instance" {
	vps console t/a </dev/null >"$BATS_TEST_TMPDIR/out" 3>&- &
	local reader=$!
	await 5 alive "$reader"
	vps stop --force t/a
	await 10 dead "$reader"
	run expect -- vps console t/a
	[ "$status" -eq 1 ]
	contains "$output" "does not run"
}
