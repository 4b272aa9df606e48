#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vpsd itself: its start, its document, what it refuses, its end.
load lib

setup_file() {
	host_up '{"\u0024schema": "/usr/local/share/vpsd/schemas/host.schema.json"} + .'
}

teardown_file() {
	host_down
}

# refused DOCUMENT: runs vpsd with it and expects it to end with 1.
refused() {
	echo "$1" >"$T/bad.json"
	run timeout 30 vpsd --config "$T/bad.json" --helpers "$O" 3>&-
	[ "$status" -eq 1 ] || fail "status $status: $output"
}

@test "starts, and says what it is" {
	run vps host --json
	[ "$status" -eq 0 ]
	equal "$(jq -r .ready <<<"$output")" true
	equal "$(jq -r .kernel <<<"$output")" "$(uname -r)"
	equal "$(jq -r .boot_id <<<"$output")" "$(cat /proc/sys/kernel/random/boot_id)"
	alive "$(jq -r .keeper_pid <<<"$output")"
	run vps host
	[ "$status" -eq 0 ]
	contains "$output" "RESOURCE"
	contains "$output" "$T/state/pool"
}

@test "vps host says what is enforced, and why the rest is not" {
	run vps host --json
	if [ "$MODE" = vm ]; then
		equal "$(jq -c '[.support[] | select(.item == "pids" or .item == "memory.limit") | .supported] | unique' <<<"$output")" '[true]'
		equal "$(jq -r '.cgroups.nsdelegate, .cgroups.memory_recursiveprot' <<<"$output" | xargs)" "true true"
	else
		equal "$(jq -r '.support[] | select(.item == "pids") | .reason' <<<"$output")" "the host has no pids controller"
	fi
	# Whatever is not supported has a reason.
	equal "$(jq '[.support[] | select(.supported | not) | select(.reason == "")] | length' <<<"$output")" 0
}

@test "what a default promises and this build does not do is shown, and told at the start" {
	run vps host --json
	equal "$(jq -r '.support[] | select(.item == "sharing") | .reason' <<<"$output")" "image files are shared by all instances of the host"
	contains "$(cat "$T/vpsd.log")" "sharing is not in force: image files are shared by all instances of the host"
}

@test "settings of the kernel that all guests share are shown, and a bad one is told at the start" {
	local sys
	run vps host --json
	for sys in kernel.pty.max fs.aio-max-nr kernel.core_pipe_limit; do
		equal "$(jq --arg s "$sys" '.sysctls[] | select(.setting == $s) | .value' <<<"$output")" "$(cat "/proc/sys/${sys//.//}")"
		contains "$(vps host)" "$sys"
	done
	for sys in $(jq -r '.sysctls[] | select(.good | not) | .setting' <<<"$output"); do
		contains "$(cat "$T/vpsd.log")" "$sys is $(cat "/proc/sys/${sys//.//}"), at least "
	done
	[ "$(cat /proc/sys/kernel/pty/max)" -ge 1048576 ] || contains "$(cat "$T/vpsd.log")" "one guest can take the terminals"
}

@test "a second vpsd is refused by the lock of the first" {
	run timeout 30 vpsd --config "$T/vpsd.json" --helpers "$O" 3>&-
	[ "$status" -eq 1 ]
	contains "$output" "another vpsd runs already ('$T/run/vpsd.lock' is held)"
	vps ls >/dev/null
}

@test "a second vpsd with other directories is refused by the lock on the cgroups" {
	jq --arg t "$T/other" '.run = $t + "/run" | .state = $t + "/state" | .pool = $t + "/pool" |
		.listen = [{unix: ($t + "/run/vpsd.sock")}]' "$T/vpsd.json" >"$T/other.json"
	run timeout 30 vpsd --config "$T/other.json" --helpers "$O" 3>&-
	[ "$status" -eq 1 ]
	contains "$output" "another vpsd keeps its guests in"
	vps ls >/dev/null
}

@test "ids that belong to somebody on the host are refused by name" {
	echo "alice:$(jq .idmap.base "$T/vpsd.json"):65536" >"$T/subuid"
	[ -e /etc/subuid ] || : >/etc/subuid
	mount --bind "$T/subuid" /etc/subuid
	run timeout 30 vpsd --config "$T/vpsd.json" --helpers "$O" 3>&-
	umount /etc/subuid
	[ "$status" -eq 1 ]
	contains "$output" "overlap those of 'alice' in /etc/subuid"
	contains "$output" "idmap.base"
}

@test "options: --help, --version, unknown ones" {
	run vpsd --version
	[ "$status" -eq 0 ]
	[[ $output == "vpsd "[0-9]* ]]
	run vpsd --help
	[ "$status" -eq 0 ]
	contains "$output" "usage: vpsd"
	run vpsd --no-such-option
	[ "$status" -eq 2 ]
	run vpsd word
	[ "$status" -eq 2 ]
	run vpsd --log-level loud
	[ "$status" -eq 2 ]
	contains "$output" "'loud' is not a log level"
}

@test "a missing document that was asked for is an error" {
	run timeout 30 vpsd --config "$T/none.json" --helpers "$O" 3>&-
	[ "$status" -eq 1 ]
	contains "$output" "$T/none.json"
}

@test "bad documents: file, path, value and what is expected, all at once" {
	refused '{"statee": "/x", "reserve": {"memory": "2 GB"}, "sharing": "all", "state": "var/lib"}'
	contains "$output" "$T/bad.json: reserve.memory: \"2 GB\" is not a size; write it as 2GiB"
	contains "$output" "$T/bad.json: statee: "
	contains "$output" "$T/bad.json: sharing: \"all\" is not"
	contains "$output" "$T/bad.json: state: \"var/lib\" is not an absolute path without . and .."
}

@test "a document may name its schema" {
	equal "$(jq -r 'keys[0]' "$T/vpsd.json")" "\$schema" # this vpsd has started with it
	tiny_plan | jq '{"\u0024schema": "plan.schema.json"} + .' >"$T/named.json"
	run vps apply "$T/named.json"
	[ "$status" -eq 0 ]
	contains "$output" "nothing to change" # it is the plan that is there
	refused '{"$schema": {"x": 1}}'
	contains "$output" "$T/bad.json: \$schema: {...} is not the place of a schema; write it as a string"
}

@test "bad documents: no JSON, and twice the same key" {
	refused '{"state": '
	contains "$output" "$T/bad.json:2:1: "
	refused '{"state": "/a", "state": "/b"}'
	[[ $output == *"$T/bad.json:1:"*duplicate* ]]
	refused '[]'
	contains "$output" "$T/bad.json: "
}

@test "bad documents: what this build cannot do is refused by name" {
	refused '{"listen": [{"tcp": "127.0.0.1:9180", "serve": "metrics"}]}'
	contains "$output" 'listen[0].tcp: "127.0.0.1:9180" cannot be served'
	# A socket is the API, as good as root: it is not opened for an entry that asks for something else.
	refused "{\"listen\": [{\"unix\": \"$T/metrics.sock\", \"group\": \"games\", \"serve\": \"metrics\"}], \"tolerate_unsupported\": [\"*\"]}"
	contains "$output" 'listen[0].serve: "metrics" cannot be served'
	[ ! -e "$T/metrics.sock" ]
	refused "{\"listen\": [{\"unix\": \"$T/a.sock\"}, {\"unix\": \"$T/b.sock\"}]}"
	contains "$output" "listen[1].unix: \"$T/b.sock\" cannot be served"
	refused '{"listen": [{"tcp": "127.0.0.1:9180"}], "tolerate_unsupported": ["*"]}'
	contains "$output" 'listen: has no unix socket'
	refused '{"sharing": "tenant", "backup_targets": [{"target": "nas", "path": "/mnt"}]}'
	contains "$output" "sharing (image files are shared by all instances of the host)"
	contains "$output" "backup_targets (not supported by this build)"
	refused "{\"webhooks\": [{\"url\": \"http://localhost/\"}], \"run\": \"$T/other\"}"
	contains "$output" "this host cannot enforce webhooks"
	contains "$output" '"tolerate_unsupported": ["webhooks"]'
	refused '{"tolerate_unsupported": ["disc.*"]}'
	contains "$output" 'tolerate_unsupported[0]: "disc.*" matches nothing that can be unsupported'
}

@test "missing controllers are named, all of them" {
	host_only "this kernel has all controllers"
	refused "$(jq --arg t "$T" '.required_controllers = ["cpu", "memory", "pids"] | .run = $t + "/other" | .state = $t + "/other" |
		.pool = $t + "/other/pool" | .listen[0].unix = $t + "/other/vpsd.sock"' "$T/vpsd.json")"
	[[ $output == *cpu*memory*pids* ]] || fail "$output"
}

@test "SIGTERM ends vpsd with 0 and touches no guest; the next one finds it" {
	make_instance t/term
	local init keeper pid
	init=$(field t/term .pid) keeper=$(keeper_pid) pid=$(vpsd_pid)
	kill_vpsd TERM
	alive "$init"
	alive "$keeper"
	contains "$(tail -n 5 "$T/vpsd.log")" "stopping; the guests go on"
	start_vpsd
	equal "$(field t/term .pid)" "$init"
	equal "$(keeper_pid)" "$keeper"
	equal "$(inside t/term echo ok)" ok
	drop_instance t/term
}

@test "the host's shutdown stops guests in order also where the document has become too demanding" {
	vps image import busybox "$(busybox_archive)" >/dev/null 2>&1 || true
	tiny_documents
	vps apply "$T/docs" >/dev/null
	make_instance t/down
	kill_vpsd TERM
	host_document '.sharing = "none"'
	run timeout 60 "$O/vpsd" --config "$T/vpsd.json" --helpers "$O"
	[ "$status" -eq 1 ]
	contains "$output" "this host cannot enforce sharing"
	run timeout 60 "$O/vpsd" --config "$T/vpsd.json" --helpers "$O" --stop-guests
	[ "$status" -eq 0 ] || fail "$output"
	equal "$(guest_pids | wc -l)" 0
	host_document
	start_vpsd
	equal "$(field t/down '[.state, .desired, .last_exit] | join(" ")')" "stopped stopped poweroff"
	drop_instance t/down
}

# stops_all DOCUMENT: the guest t/lost is stopped in order with that document.
stops_all() {
	local pid
	pid=$(field t/lost .pid)
	kill_vpsd TERM
	"${@:2}"
	echo "$1" >"$T/other.json"
	run timeout 60 "$O/vpsd" --config "$T/other.json" --stop-guests
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" "stopping 1 guests"
	[[ $output != *killing* ]] || fail "$output"
	# A cgroup is empty a moment before its last process is a zombie.
	await 5 dead "$pid"
	equal "$(guest_pids | wc -l)" 0
}

@test "the host's shutdown stops guests in order whatever else is lost: keeper, run directory, document" {
	local keeper
	vps image import busybox "$(busybox_archive)" >/dev/null 2>&1 || true
	tiny_documents
	vps apply "$T/docs" >/dev/null
	make_instance t/lost
	keeper=$(keeper_pid)
	stops_all "$(cat "$T/vpsd.json")" kill -KILL "$keeper"
	start_vpsd
	await 20 has_field t/lost .state running
	stops_all "$(jq '.run = .run + "/other"' "$T/vpsd.json")"
	start_vpsd
	vps start t/lost
	stops_all "$(jq '.no_such_key = 1' "$T/vpsd.json")"
	contains "$output" no_such_key
	contains "$output" "default of stop_timeout"
	start_vpsd
	vps start t/lost
	stops_all '{ "run": '
	start_vpsd
	# While a vpsd runs nothing is stopped, whatever its run directory.
	vps start t/lost
	run timeout 60 "$O/vpsd" --config "$T/other.json" --stop-guests
	[ "$status" -eq 1 ]
	contains "$output" "another vpsd keeps its guests"
	equal "$(field t/lost .state)" running
	drop_instance t/lost
}

@test "what does not stop in time is killed when the host goes down" {
	local pid
	make_instance t/deaf
	pid=$(field t/deaf .pid)
	kill_vpsd TERM
	kill -STOP "$pid"
	jq '.stop_timeout = "2s"' "$T/vpsd.json" >"$T/other.json"
	run timeout 60 "$O/vpsd" --config "$T/other.json" --stop-guests
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" "killing 1 guests"
	# A cgroup is empty a moment before its last process is a zombie.
	await 5 dead "$pid"
	equal "$(guest_pids | wc -l)" 0
	start_vpsd
	drop_instance t/deaf
}

@test "without a daemon, vps says so and how to start it" {
	run vps --socket "$T/none.sock" ls
	[ "$status" -eq 1 ]
	contains "$output" "cannot reach vpsd at '$T/none.sock'"
	contains "$output" "systemctl start vpsd"
	# A socket that was left behind.
	kill_vpsd KILL
	[ -S "$VPS_SOCKET" ]
	run vps ls
	[ "$status" -eq 1 ]
	contains "$output" "vpsd does not run: start it with"
	start_vpsd
}

@test "says so where it may not run" {
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$O/vpsd" --config "$T/vpsd.json" 3>&-
	[ "$status" -ne 0 ]
}
