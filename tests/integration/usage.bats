#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What instances have sent and received: exactly what pings of known sizes make, whatever dies meanwhile. A ping of S bytes
# is S + 28 bytes of IPv4, or S + 48 of IPv6, each way.
load lib
load world

setup_file() {
	world_up
	host_new '.sample = "1s"
		| .networks = [{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/24"], ipv6: ["fd77::/64"]},
		{network: "pub", mode: "routed", uplink: "up0", ipv4: ["198.51.100.0/28"], ipv6: ["2001:db8:1::/56"]}]'
	tiny_documents
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	tenant t '{"name": "a", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.10", "ipv6": "fd77::10"}]}' \
		'{"name": "b", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.11", "ipv6": "fd77::11"}]}' \
		'{"name": "p", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.5", "ipv6": "2001:db8:1::5"}]}'
}

teardown_file() {
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# Longer than two readings take.
settle() {
	sleep "$([ "$MODE" = vm ] && echo 5 || echo 2)"
}

# counted T/N: "bytes packets" in and out of public IPv4 so far.
counted() {
	vps usage "$1" --json |
		jq -r '[.usage[] | select(.deleted | not)][0].ipv4.public // {in: {bytes: 0, packets: 0}, out: {bytes: 0, packets: 0}}
			| [.in.bytes, .in.packets, .out.bytes, .out.packets] | join(" ")'
}

has_counted() {
	[ "$(counted "$1")" = "$2" ]
}

# more COUNTED N SIZE: that and N pings of SIZE bytes each way.
more() {
	local c n=$2 bytes=$(($2 * ($3 + 28)))
	read -ra c <<<"$1"
	echo "$((c[0] + bytes)) $((c[1] + n)) $((c[2] + bytes)) $((c[3] + n))"
}

# comes_to T/N COUNTED: within some seconds, and stays so.
comes_to() {
	await 20 has_counted "$1" "$2" || fail "expected: $2" "got:      $(counted "$1")" || return 1
	settle
	equal "$(counted "$1")" "$2"
}

# ping_in ADDRESS N SIZE [OPTION...]: from the world outside; all are answered.
ping_in() {
	local address=$1 n=$2 size=$3
	shift 3
	contains "$(world busybox ping -q -c "$n" -s "$size" "$@" "$address")" "$n packets transmitted, $n packets received"
}

@test "bytes and packets by direction, family and reach are exactly what was sent" {
	local row
	comes_to t/a "0 0 0 0"
	inside t/a ping -q -c 3 -s 1000 "$WORLD4" >/dev/null
	inside t/a ping -q -c 2 -s 500 "$WORLD6" >/dev/null
	inside t/a ping -q -c 4 -s 100 10.77.0.11 >/dev/null
	# One that is not answered goes out all the same.
	! inside t/a ping -q -c 1 -W 1 -s 72 203.0.113.9 >/dev/null 2>&1 || fail "answered"
	ping_in 198.51.100.5 2 200
	await 20 eval '[ "$(vps usage t/a --json | jq ".usage[0].ipv4.public.in.bytes")" = 3084 ]'
	settle
	row=$(vps usage t/a --json | jq -c '.usage[0]')
	equal "$(jq -c .ipv4.public.in <<<"$row")" '{"bytes":3084,"packets":3}'
	equal "$(jq -c .ipv4.public.out <<<"$row")" '{"bytes":3184,"packets":4}'
	equal "$(jq -c .ipv6.public.in <<<"$row")" '{"bytes":1096,"packets":2}'
	equal "$(jq -c .ipv6.public.out <<<"$row")" '{"bytes":1096,"packets":2}'
	equal "$(jq -c .ipv4.private <<<"$row")" '{"in":{"bytes":512,"packets":4},"out":{"bytes":512,"packets":4}}'
	equal "$(vps usage t/b --json | jq -c '.usage[0].ipv4.private')" '{"in":{"bytes":512,"packets":4},"out":{"bytes":512,"packets":4}}'
	equal "$(counted t/p)" "456 2 456 2"
	equal "$(counted t/b)" "0 0 0 0"
}

@test "stopped, started, restarted, rebooted inside: what was counted stays and goes on" {
	local want boot
	ping_in 198.51.100.5 1 0
	settle
	want=$(counted t/p)
	# Not read any more before its end.
	ping_in 198.51.100.5 3 1000
	vps stop --force --quiet t/p
	want=$(more "$want" 3 1000)
	comes_to t/p "$want"
	vps start --quiet t/p
	ping_in 198.51.100.5 1 100
	want=$(more "$want" 1 100)
	comes_to t/p "$want"
	ping_in 198.51.100.5 5 10
	vps restart --force --quiet t/p
	ping_in 198.51.100.5 1 10
	want=$(more "$want" 6 10)
	boot=$(field t/p .boot)
	inside t/p reboot -f || true
	await 20 has_field t/p '.state + " " + (.boot | tostring)' "running $((boot + 1))"
	ping_in 198.51.100.5 1 10
	comes_to t/p "$(more "$want" 1 10)"
}

@test "kill -9 of vpsd while it sends, again and again: not one packet is lost, none is counted twice" {
	local want n round ping
	n=$(seconds 400)
	want=$(counted t/p)
	ping_in 198.51.100.5 "$n" 1200 -i 0.02 3>&- &
	ping=$!
	for round in 1 2 3 4 5; do
		sleep "0.$((round * 2 - 1))"
		kill_vpsd KILL
		start_vpsd
	done
	kill_vpsd TERM
	start_vpsd
	wait "$ping"
	comes_to t/p "$(more "$want" "$n" 1200)"
	equal "$(nft list tables | grep -c ' inet vpsd_')" 1
	equal "$(sqlite3 "$T/state/vpsd.db" "SELECT count(DISTINCT source) FROM usage_marks m JOIN instances i ON i.id = m.instance_id
		WHERE i.name = 'p'")" 1
}

@test "the keeper is killed while it sends, then vpsd: the same" {
	local want keeper ping
	want=$(counted t/p)
	ping_in 198.51.100.5 200 300 -i 0.02 3>&- &
	ping=$!
	keeper=$(keeper_pid)
	kill -KILL "$keeper"
	await 20 dead "$keeper"
	await 20 eval '[ "$(keeper_pid)" != null ]'
	kill_vpsd KILL
	start_vpsd
	wait "$ping"
	comes_to t/p "$(more "$want" 200 300)"
}

@test "the table is lost with all who held it: counters begin again, what was read stays" {
	local want keeper
	ping_in 198.51.100.5 50 1000 -i 0.01
	settle
	want=$(counted t/p)
	keeper=$(keeper_pid)
	# It does not start another one.
	kill -STOP "$(vpsd_pid)"
	kill -KILL "$keeper"
	kill_vpsd KILL
	await 20 eval '[ -z "$(nft list tables | grep " inet vpsd_")" ]'
	start_vpsd
	equal "$(counted t/p)" "$want"
	await 20 has_field t/p .state running
	ping_in 198.51.100.5 2 60
	comes_to t/p "$(more "$want" 2 60)"
}

@test "suspended by network nothing passes and nothing is counted; resumed it goes on" {
	local want
	want=$(more "$(counted t/p)" 2 10)
	ping_in 198.51.100.5 2 10
	vps suspend --quiet t/p --mode network
	! world busybox ping -q -c 3 -W 1 -s 99 198.51.100.5 >/dev/null
	comes_to t/p "$want"
	kill_vpsd KILL
	start_vpsd
	vps resume --quiet t/p
	ping_in 198.51.100.5 2 10
	comes_to t/p "$(more "$want" 2 10)"
}

@test "its interface is removed by somebody, its address changed: it goes on" {
	local want
	want=$(counted t/p)
	ping_in 198.51.100.5 2 700
	ip link del "$(host_end t/p)"
	want=$(more "$want" 2 700)
	comes_to t/p "$want"
	vps restart --force --quiet t/p
	ping_in 198.51.100.5 1 700
	jq '.instances[2].network[0].ipv4 = "198.51.100.6"' "$T/docs/tenants/t.json" >"$T/t.json"
	vps apply "$T/t.json" >/dev/null
	ping_in 198.51.100.6 1 700
	comes_to t/p "$(more "$want" 2 700)"
	vps apply "$T/docs/tenants/t.json" >/dev/null
}

@test "deleted: what it had stays, by its id; another one of that name begins at nothing" {
	local id before after want
	tenant u '{"name": "x", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.7", "ipv6": "none"},
		{"network": "pub", "ipv4": "198.51.100.8", "ipv6": "none"}]}'
	id=$(field u/x .id)
	# Both of its interfaces, and at once gone.
	ping_in 198.51.100.7 2 100
	ping_in 198.51.100.8 3 100
	vps delete --force --yes --quiet u/x
	want='["u/x",true,640,640]'
	after() { vps usage u --json | jq -c --arg id "$id" '.usage[] | select(.instance_id == $id)
		| [.instance, .deleted, .ipv4.public.in.bytes, .ipv4.public.out.bytes]'; }
	equal "$(after)" "$want"
	[[ $(nft list ruleset) != *"vp${id:0:12}"* ]] || fail "its counters are still there"
	equal "$(sqlite3 "$T/state/vpsd.db" "SELECT count(*) FROM usage_marks WHERE instance_id = '$id'")" 0
	vps apply "$T/docs/tenants/u.json" >/dev/null
	ping_in 198.51.100.7 1 0
	comes_to u/x "28 1 28 1"
	kill_vpsd KILL
	start_vpsd
	equal "$(after)" "$want"
	contains "$(vps usage u/x)" "deleted"
	vps delete --force --yes --quiet u/x
}

# quota PLAN OVER: an instance v/PLAN at 198.51.100.9 with 100 KiB of transfer; fifty pings of 1000 bytes use it up.
quota() {
	add_plan "$1" ".network = {in: \"50Mbit\", out: \"20Mbit\", transfer: {monthly: \"100KiB\", over: $2}}"
	vps apply "$T/docs/plans/$1.json" >/dev/null
	tenant v "{\"name\": \"$1\", \"plan\": \"$1\", \"network\": [{\"network\": \"pub\", \"ipv4\": \"198.51.100.9\", \"ipv6\": \"none\"}]}"
	ping_in 198.51.100.9 39 1000 -i 0.02
	settle
	equal "$(warned "v/$1")" ""
	ping_in 198.51.100.9 1 1000
	await 10 eval "[ \"\$(warned v/$1)\" = 80 ]"
	ping_in 198.51.100.9 9 1000 -i 0.02
	settle
	equal "$(field "v/$1" '[.state, .transfer.used, .transfer.is_over] | tojson')" '["running",100744,false]'
	ping_in 198.51.100.9 1 1000
	await 10 eval "[ \"\$(warned v/$1)\" = '80 100' ]"
	has_field "v/$1" .transfer.is_over true
}

warned() {
	vps events "$1" --json | jq -r '[.events[] | select(.kind == "transfer").details.percent | tostring] | join(" ")'
}

# The billing period is over: as if that had come while there was no vpsd.
period_ends() {
	kill_vpsd KILL
	sqlite3 "$T/state/vpsd.db" "UPDATE usage SET until = unixepoch() - 1 WHERE kind = 1 AND name = '$1'"
	start_vpsd
}

# rates T/N IN OUT: what the kernel has.
rates() {
	[[ $(tc class show dev "$(host_end "$1")") == *"rate $2 "* && $(tc class show dev "$(host_end "$1" | sed 's/^vp/vi/')") == *"rate $3 "* ]]
}

@test "transfer: warned of at 80 and 100 %, then slowed down, over restarts of guest and vpsd; raised or reset it is as before" {
	local pid
	quota slow '{throttle: "128kbit"}'
	await 10 rates v/slow 128Kbit 128Kbit
	ping_in 198.51.100.9 1 10
	kill_vpsd KILL
	start_vpsd
	rates v/slow 128Kbit 128Kbit
	vps restart --force --quiet v/slow
	rates v/slow 128Kbit 128Kbit
	pid=$(field v/slow .pid)
	vps set --quiet v/slow network.transfer.monthly=1MiB
	await 10 rates v/slow 50Mbit 20Mbit
	vps set --quiet v/slow network.transfer.monthly=
	await 10 rates v/slow 128Kbit 128Kbit
	period_ends v/slow
	await 10 rates v/slow 50Mbit 20Mbit
	equal "$(field v/slow '[.state, .pid, .transfer.used, .transfer.is_over] | tojson')" "[\"running\",$pid,0,false]"
	equal "$(vps usage v/slow --periods --json | jq -c '[.usage[].ipv4.public.in.bytes > 50000]')" '[true]'
	vps delete --force --yes --quiet v/slow
}

@test "transfer: used up it is cut off, nobody resumes it, an operator's suspension is not lifted; raised or reset it is connected" {
	local pid
	quota cut '{suspend: true}'
	pid=$(field v/cut .pid)
	await 10 has_field v/cut '[.state, .suspended.mode, .suspended.by] | join(" ")' "suspended network transfer"
	! world busybox ping -q -c 1 -W 1 198.51.100.9 >/dev/null
	run vps resume v/cut
	equal "$status" 1
	contains "$output" "cannot resume 'v/cut': its transfer is used up; it resets: $(date -u -d "$(date -u +%Y-%m-01) +1 month" +%Y-%m-%dT00:00:00Z)"
	kill_vpsd KILL
	start_vpsd
	settle
	! world busybox ping -q -c 1 -W 1 198.51.100.9 >/dev/null
	vps set --quiet v/cut network.transfer.monthly=1MiB
	await 10 has_field v/cut '.state + " " + (.pid | tostring)' "running $pid"
	ping_in 198.51.100.9 1 10
	vps set --quiet v/cut network.transfer.monthly=
	await 10 has_field v/cut .state suspended
	# The operator's own, over the end of the period.
	vps suspend --quiet v/cut --mode network --reason unpaid
	period_ends v/cut
	settle
	equal "$(field v/cut '[.state, .suspended.by, .suspended.reason] | join(" ")')" "suspended operator unpaid"
	vps resume --quiet v/cut
	ping_in 198.51.100.9 51 1000 -i 0.02
	await 10 has_field v/cut '.suspended.by' transfer
	period_ends v/cut
	await 10 has_field v/cut '.state + " " + (.pid | tostring)' "running $pid"
	ping_in 198.51.100.9 1 10
	vps delete --force --yes --quiet v/cut
}

@test "vps usage: one, a tenant's, all; a month, periods; for people, JSON and CSV; what is wrong is refused" {
	local month
	month=$(date -u +%Y-%m)
	contains "$(vps usage)" "t/a"
	equal "$(vps usage t --json | jq -r '[.usage[].instance] | sort | join(" ")')" "t/a t/b t/p"
	equal "$(vps usage t/a --json --month "$month" | jq -r '.month, .usage[0].from')" "$month"$'\n'"$month-01T00:00:00Z"
	equal "$(vps usage t/a --json | jq -c '[.usage[0].ipv4.public.in.bytes] | length')" 1
	equal "$(vps usage --json --month 2020-02 | jq -c '[.month, .usage]')" '["2020-02",[]]'
	equal "$(vps usage t/a --periods --json | jq -c '[.month, .usage[0].from]')" "[null,$(field t/a '.created | tojson')]"
	equal "$(vps usage t/a --csv | head -n 1 | tr , '\n' | wc -l)" 21
	equal "$(vps usage t/a --csv | tail -n 1 | cut -d, -f1-3,6-9)" \
		"t/a,$(field t/a .id),false,$(vps usage t/a --json |
			jq -r '.usage[0].ipv4.public | [.in.bytes, .in.packets, .out.bytes, .out.packets] | join(",")')"
	contains "$(vps info t/a)" "transfer"
	equal "$(field t/a '[.transfer.used, .transfer.monthly, .transfer.reset] | tojson')" \
		"[$(vps usage t/a --json | jq '[.usage[0] | .ipv4.public, .ipv6.public | .in.bytes, .out.bytes] | add'),null,\"first\"]"
	run vps usage --month 2026-13
	equal "$status" 1
	contains "$output" 'month: "2026-13" is not a month like "2026-02"'
	run vps usage t/nobody
	equal "$status" 1
	contains "$output" "there is no instance 't/nobody', and no usage of one"
	run vps usage nobody
	contains "$output" "there is no tenant 'nobody', and no usage of one"
	run vps usage --csv --json
	equal "$status" 2
	run vps usage --month "$month" --periods
	equal "$status" 2
}

@test "a database of an earlier version gets the tables" {
	kill_vpsd TERM
	sqlite3 "$T/state/vpsd.db" 'DROP TABLE usage; DROP TABLE usage_marks; ALTER TABLE instances DROP COLUMN suspend_by;
		PRAGMA user_version = 6'
	start_vpsd
	# Of what the table has counted nobody knows that it was written: it is counted.
	ping_in 198.51.100.5 1 0
	await 20 eval '[ "$(counted t/p | cut -d" " -f2)" -ge 1 ]'
}
