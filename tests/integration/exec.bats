#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps exec and shell: pipes, terminals, exit codes, signals.
load lib

setup_file() {
	host_up
	make_instance t/a
}

teardown_file() {
	host_down
}

setup() {
	D=$BATS_TEST_TMPDIR
}

# expect STEP... -- COMMAND...: on a terminal, see terminal.py.
expect() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/terminal.py" --timeout "$(seconds 10)" "$@"
}

@test "stdout and stderr stay apart" {
	run --separate-stderr inside t/a sh -c 'echo out; echo err >&2'
	[ "$status" -eq 0 ]
	equal "$output" out
	# shellcheck disable=SC2154 # set by run
	equal "$stderr" err
}

@test "exit codes come through, also large and zero ones" {
	local code
	for code in 0 1 2 42 125 126 127 128 255; do
		run "-$code" inside t/a sh -c "exit $code"
	done
}

@test "death by signal is 128 + the signal" {
	# shellcheck disable=SC2016 # the guest's shell expands it
	run inside t/a sh -c 'kill -9 $$'
	[ "$status" -eq 137 ]
	# shellcheck disable=SC2016
	run inside t/a sh -c 'kill -15 $$'
	[ "$status" -eq 143 ]
}

@test "no such command, and one that is none" {
	run -127 inside t/a /no/such/command
	contains "$output" "/no/such/command"
	run -127 inside t/a no-such-word
	run -126 inside t/a /etc/passwd
}

@test "1 MiB of all byte values, there and back" {
	head -c 1048576 /dev/urandom >"$D/in"
	vps exec t/a -i -- cat <"$D/in" >"$D/out"
	cmp "$D/in" "$D/out"
	equal "$(vps exec t/a -i -- wc -c <"$D/in" | xargs)" 1048576
	inside t/a sh -c 'head -c 1048576 /dev/zero' >"$D/zeros"
	equal "$(wc -c <"$D/zeros")" 1048576
}

@test "without -i there is nothing to read" {
	run timeout "$(seconds 10)" vps exec t/a -- cat <<<"for nobody"
	[ "$status" -eq 0 ]
	equal "$output" ""
}

@test "the end of stdin arrives" {
	equal "$(printf 'a\nb' | vps exec t/a -i -- sh -c 'cat; echo end')" $'a\nbend'
	equal "$(vps exec t/a -i -- cat </dev/null)" ""
}

@test "a reader that goes away early does no harm" {
	equal "$(vps exec t/a -- yes | head -n 2)" $'y\ny'
	equal "$(vps exec t/a -t -- yes | head -n 2 | tr -d '\r')" $'y\ny'
	! runs_inside t/a yes
	equal "$(inside t/a echo ok)" ok
}

@test "options of the command are the command's" {
	equal "$(vps exec t/a -- echo -it --help)" "-it --help"
	equal "$(inside t/a printf '%s|' 'two words' '' $'line\nfeed' 'ü')" $'two words||line\nfeed|ü|'
}

@test "user, directory, environment" {
	equal "$(vps exec t/a --user 65534:65533 -- id -u)" 65534
	equal "$(vps exec t/a --user 65534:65533 -- id -g)" 65533
	equal "$(vps exec t/a --user 1000 -- id -G)" 1000
	equal "$(vps exec t/a --cwd /var/log -- pwd)" /var/log
	# shellcheck disable=SC2016
	equal "$(vps exec t/a --env A=1 --env 'B=two words' -- sh -c 'echo $A,$B')" "1,two words"
	contains "$(inside t/a env)" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	# Nothing of the operator's own.
	equal "$(SECRET=1 vps exec t/a -- env | grep -c SECRET)" 0
	run -127 vps exec t/a --cwd /no/where -- pwd
	contains "$output" /no/where
	run vps exec t/a --user nobody -- id
	[ "$status" -eq 1 ]
	contains "$output" nobody
	run vps exec t/a --user 70000 -- id
	[ "$status" -eq 1 ]
}

@test "it is inside: processes, host name, root of its own" {
	equal "$(inside t/a hostname)" a
	equal "$(inside t/a readlink /proc/1/exe)" /bin/busybox
	equal "$(inside t/a ps | grep -c vps)" 0
	equal "$(inside t/a id -u)" 0
	# shellcheck disable=SC2016
	equal "$(inside t/a sh -c 'for n in mnt pid net ipc uts user cgroup; do
		[ "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n)" ] || echo "$n"; done')" ""
	[ "$(inside t/a readlink /proc/self/ns/user)" != "$(readlink /proc/self/ns/user)" ]
}

@test "signals are forwarded" {
	local sig
	for sig in TERM INT HUP USR1; do
		vps exec t/a -- sh -c "trap 'echo got $sig; exit 7' $sig; echo up; while :; do sleep 0.1; done" >"$D/$sig" 3>&- &
		await 10 grep -q up "$D/$sig"
		kill "-$sig" $!
		ended_with $! 7
		contains "$(cat "$D/$sig")" "got $sig"
	done
}

@test "a client that is killed takes its command along" {
	vps exec t/a -- sleep 1234 3>&- &
	local client=$!
	await 10 runs_inside t/a 'sleep 1234'
	kill -KILL "$client"
	gone() { ! runs_inside t/a 'sleep 1234'; }
	await 15 gone
}

@test "what a command leaves in the background does not hold the client" {
	local start=$SECONDS
	run timeout "$(seconds 20)" vps exec t/a -- sh -c 'sleep 1000 & echo done'
	[ "$status" -eq 0 ]
	equal "$output" done
	[ $((SECONDS - start)) -lt "$(seconds 10)" ]
	inside t/a killall sleep || true
}

@test "-t: a terminal with the size of the caller's, that follows it" {
	run expect --size 40x117 --timeout "$(seconds 15)" -- vps exec t/a -it -- sh -c 'tty; stty size'
	[ "$status" -eq 0 ]
	contains "$output" /dev/pts/
	contains "$output" "40 117"
	run expect --size 40x117 'expect:ready' 'resize:50x60' 'expect:50 60' -- \
		vps exec t/a -it -- sh -c 'echo ready; while [ "$(stty size)" != "50 60" ]; do sleep 0.1; done; stty size'
	[ "$status" -eq 0 ] || fail "$output"
}

@test "-t: keys reach the command: text, ctrl-C, ctrl-D" {
	run expect 'expect:# ' 'send:echo a$((1+1))b\n' 'expect:a2b' 'send:exit 5\n' -- vps exec t/a -it -- env PS1='# ' sh
	[ "$status" -eq 5 ] || fail "$output"
	run expect 'expect:up' 'send:\x03' -- vps exec t/a -it -- sh -c 'echo up; sleep 100'
	[ "$status" -eq 130 ] || fail "$status: $output"
	run expect 'send:x\n' 'expect:x' 'expect:x' 'send:\x04' -- vps exec t/a -it -- cat
	[ "$status" -eq 0 ] || fail "$status: $output"
}

@test "-t: the caller's terminal is as before" {
	local before=$D/before after=$D/after
	run expect -- sh -c "stty -g >$before; vps exec t/a -it -- true; stty -g >$after"
	[ "$status" -eq 0 ]
	cmp "$before" "$after"
}

@test "vps shell is a root shell" {
	run expect 'send:echo $((6*7)); id -u; exit 3\n' 'expect:42' -- vps shell t/a
	[ "$status" -eq 3 ] || fail "$output"
	equal "$(echo 'echo $((6*7))' | vps shell t/a)" 42
}

@test "into what does not run" {
	make_instance t/off --no-start
	run inside t/off true
	[ "$status" -eq 1 ]
	contains "$output" "'t/off' does not run"
	contains "$output" "start it first"
	drop_instance t/off
	run inside t/none true
	[ "$status" -eq 1 ]
	contains "$output" "there is no instance"
}

@test "a command that still runs when its instance is stopped" {
	make_instance t/b
	vps exec t/b -- sleep 1000 >"$D/out" 2>&1 3>&- &
	local client=$!
	await 10 runs_inside t/b 'sleep 1000'
	vps stop --force t/b
	ended_with "$client" 137
	drop_instance t/b
}

@test "50 sessions leave no fd, no process, no cgroup" {
	local keeper vpsd cgroup i before
	inside t/a true
	keeper=$(keeper_pid) vpsd=$(vpsd_pid) cgroup=$(instance_cgroup t/a)
	# Asked first: vpsd keeps files of statistics open for a while.
	usage() {
		field t/a .state
		echo "$(fds "$keeper") $(fds "$vpsd") $(find "$cgroup" -type d | wc -l) $(guest_pids | wc -l)"
	}
	same() { [ "$(usage)" = "$before" ]; }
	before=$(usage)
	ls -l "/proc/$vpsd/fd" >"$D/before"
	for ((i = 0; i < 50; i++)); do
		inside t/a true
	done
	await 10 same || fail "before: $before, after: $(usage)" "$(diff <(ls -l "/proc/$vpsd/fd") "$D/before")"
}

@test "20 sessions at once" {
	local i jobs=()
	for ((i = 0; i < 20; i++)); do
		vps exec t/a -- sh -c "sleep 0.5; exit $i" 3>&- &
		jobs+=($!)
	done
	for ((i = 0; i < 20; i++)); do
		ended_with "${jobs[i]}" "$i"
	done
}
