#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who reaches a guest and what it may send, as its documents say: firewalls, port 25, caps. Traffic through vpsd; each
# rule of the packet filter by itself is in filter.bats.
load lib
load world

A4=10.77.0.10 A6=fd77::10 P4=198.51.100.5 P6=2001:db8:1::5
PORTS=(22 25 80 443 8010 8011)
WEB='[{"allow": "tcp", "ports": "80,8000-8010"}]'

setup_file() {
	export PYTHON=/usr/bin/python3
	WAIT=0.$([ "$MODE" = vm ] && echo 9 || echo 4)
	[ "$MODE" != vm ] || WAIT=2
	export WAIT
	world_up
	host_new '.networks = [{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/24"], ipv6: ["fd77::/64"]},
		{network: "pub", mode: "routed", uplink: "up0", ipv4: ["198.51.100.0/28"], ipv6: ["2001:db8:1::/56"]}]'
	tiny_documents
	add_plan held '.network = {pps: 100, connections: 160, new_connections: "50/s"}'
	add_plan mute '.network.block_smtp = true'
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	tenant u '{"name": "c", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.7", "ipv6": "2001:db8:1::7"}]}'
	guests '[]' '[]'
	serve WORLD 80 25 8011
	serve HOST 80
}

teardown_file() {
	local pid
	for pid in $(cat "$T/servers"); do
		kill "$pid" 2>/dev/null || true
	done
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# guests RULES-OF-A RULES-OF-P: a is behind the host's address, with the port 8080 of the host; b is with it; p is public.
guests() {
	tenant t "$(jq -nc --argjson rules "$1" '{name: "a", plan: "tiny", firewall: $rules,
			network: [{network: "nat0", ipv4: "10.77.0.10", ipv6: "fd77::10", ports: ["8080:80/tcp"]}]}')" \
		'{"name": "b", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.11", "ipv6": "fd77::11"}]}' \
		"$(jq -nc --argjson rules "$2" '{name: "p", plan: "tiny", firewall: $rules,
			network: [{network: "pub", ipv4: "198.51.100.5", ipv6: "2001:db8:1::5"}]}')"
}

traffic() {
	on "$1" "$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" "${@:2}"
}

# serve WHERE PORT...: over TCP and UDP; until its network ends, or the file.
serve() {
	# shellcheck disable=SC2016
	on "$1" bash -c 'echo $$ >>"$0" && exec "$@"' "$T/servers" "$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" \
		serve "${@:2}" >/dev/null 2>&1 3>&- 4>&- &
	disown $!
	await 10 traffic "$1" ask tcp 127.0.0.1 "$2"
}

# Whatever runs in a and p answers at these, and nothing else does.
servers_up() {
	serve t/a 80 22
	serve t/p "${PORTS[@]}"
}

# reaches FROM tcp|udp ADDRESS PORT
reaches() {
	traffic "$1" ask "${@:2}" >/dev/null || fail "$* should have been answered"
}

reaches_not() {
	! traffic "$1" ask "${@:2}" >/dev/null 2>&1 || fail "$* was answered"
}

pings() {
	on "$1" busybox ping -c 1 -W 2 "$2" >/dev/null || fail "$2 does not answer $1"
}

pings_not() {
	! on "$1" busybox ping -c 1 -W 1 "$2" >/dev/null || fail "$2 answers $1"
}

@test "a firewall: ports, ranges, protocols and senders of both families; what no rule allows is dropped, answers pass" {
	servers_up
	reaches WORLD tcp $P4 443
	pings WORLD $P4
	guests '[]' '[{"allow": "tcp", "ports": "22", "from": "192.0.2.0/24"}, {"allow": "tcp", "ports": "80,8000-8010"},
		{"allow": "icmp", "from": "2001:db8:ffff::2"}, {"allow": "udp", "ports": "443", "from": "2001:db8:1::7"}]'
	reaches WORLD tcp $P4 22
	reaches_not WORLD tcp $P6 22
	reaches_not u/c tcp $P4 22
	reaches WORLD tcp $P4 80
	reaches WORLD tcp $P6 8010
	reaches_not WORLD tcp $P4 8011
	reaches_not WORLD tcp $P6 443
	reaches_not WORLD udp $P4 80
	reaches_not WORLD udp $P6 443
	reaches u/c udp $P6 443
	reaches u/c tcp $P6 80
	pings_not WORLD $P4
	pings WORLD $P6
	pings_not u/c $P6
	# What it asks for itself comes back, over both families.
	reaches t/p tcp $WORLD4 8011
	reaches t/p udp $WORLD6 80
	pings t/p $WORLD4
	pings t/p $WORLD6
	# One's own tenant is not let in by that, the host itself is.
	reaches_not t/b tcp $P4 22
	reaches t/b tcp $P4 80
	reaches HOST tcp $P4 443
	pings HOST $P6
}

@test "the first rule that is about it decides; where all rules deny, the rest comes in" {
	guests '[]' '[{"deny": "tcp", "ports": "443", "from": "192.0.2.2"}, {"deny": "all", "from": "2001:db8:ffff::/64"},
		{"deny": "icmp"}]'
	reaches_not WORLD tcp $P4 443
	reaches WORLD tcp $P4 80
	reaches WORLD udp $P4 443
	reaches u/c tcp $P4 443
	reaches_not WORLD tcp $P6 80
	reaches u/c tcp $P6 80
	pings_not u/c $P4
	pings_not u/c $P6
	guests '[]' '[{"allow": "all", "from": "192.0.2.2"}, {"deny": "all", "from": "0.0.0.0/0"}, {"allow": "tcp", "ports": "80"}]'
	reaches WORLD tcp $P4 443
	pings WORLD $P4
	reaches_not u/c tcp $P4 80
	reaches u/c tcp $P6 80
	reaches_not u/c tcp $P6 443
	guests '[]' '[]'
	reaches u/c tcp $P6 443
}

@test "a published port passes, whatever the rules say; what is behind it does not" {
	reaches t/b tcp $A4 22
	guests '[{"deny": "all"}]' '[]'
	reaches WORLD tcp $HOST4 8080
	reaches WORLD tcp $HOST6 8080
	reaches_not t/b tcp $A4 22
	reaches_not t/b tcp $A6 80
	pings_not t/b $A6
	reaches t/a tcp $WORLD4 80
	reaches HOST tcp $A4 22
	guests '[]' '[]'
	reaches t/b tcp $A6 22
}

@test "changed while it runs: at once, and connections that are there go on" {
	local pid
	pid=$(field t/p .pid)
	inside t/p sh -c 'nc -ll -p 7 -e cat >/dev/null 2>&1 </dev/null &'
	guests '[]' '[]'
	await 5 world bash -c "exec 3<>/dev/tcp/$P4/7"
	coproc TALK { traffic WORLD talk $P4 7; }
	say() {
		local answer
		echo "$1" >&"${TALK[1]}"
		read -r -t "$(seconds 5)" answer <&"${TALK[0]}"
		equal "$answer" "$1"
	}
	say zero
	# From here on its connections are followed.
	guests '[]' '[{"allow": "tcp", "ports": "7,80"}]'
	say one
	guests '[]' '[{"allow": "tcp", "ports": "80"}]'
	say two
	! world timeout "$WAIT" bash -c "exec 3<>/dev/tcp/$P4/7" 2>/dev/null || fail "a new one comes in"
	reaches WORLD tcp $P4 80
	guests '[]' "$(jq -nc '[range(128) | {deny: "all", from: "203.0.113.\(.)"}]')"
	say three
	reaches WORLD tcp $P4 443
	guests '[]' '[]'
	say four
	kill "$TALK_PID"
	equal "$(field t/p .pid)" "$pid"
}

@test "the rules outlive vpsd, a flush of all rules, its next life, suspension and a restart of the guest" {
	guests '[{"deny": "tcp", "ports": "22"}]' "$WEB"
	held() {
		reaches WORLD tcp $P4 80
		reaches_not WORLD tcp $P4 443
		reaches_not WORLD tcp $P6 8011
	}
	held
	kill_vpsd KILL
	nft flush ruleset
	held
	start_vpsd
	held
	reaches_not t/b tcp $A4 22
	vps suspend --quiet t/p --mode network
	reaches_not WORLD tcp $P4 80
	# A change meanwhile is there when it is back.
	guests '[{"deny": "tcp", "ports": "22"}]' '[{"allow": "tcp", "ports": "80"}]'
	reaches_not WORLD tcp $P4 80
	vps resume --quiet t/p
	held
	vps restart --force --quiet t/p
	serve t/p "${PORTS[@]}"
	held
	reaches_not WORLD tcp $P4 8010
}

@test "a firewall that is no such is refused with its place, and the one that was there holds" {
	local before
	guests '[]' "$WEB"
	before=$(field t/p '.firewall | tostring')
	equal "$before" '[{"allow":"tcp","ports":"80,8000-8010"}]'
	contains "$(vps info t/p)" 'allow tcp 80,8000-8010'
	bad() {
		jq --argjson rules "$1" '.instances[2].firewall = $rules' "$T/docs/tenants/t.json" >"$T/bad.json"
		run vps apply "$T/bad.json"
		equal "$status" 1
		contains "$output" "instances[2].firewall$2"
	}
	bad '[{"allow": "tcp", "ports": "80-22"}]' '[0].ports: "80-22" is not a list of ports; write it like 22,80,8000-8100'
	bad '[{"allow": "tcp"}, {"deny": "icmp", "ports": "80"}]' '[1]: only tcp and udp have ports'
	bad '[{"allow": "tcp", "from": "10.0.0.1/8"}]' '[0].from: "10.0.0.1/8" is not an address or a range of them'
	bad '[{"ports": "80"}]' '[0]: expected either "allow" or "deny" with a protocol'
	bad "$(jq -nc '[{allow: "tcp", ports: ([range(1; 130) | tostring] | join(","))}]')" ': has 129 rules'
	equal "$(field t/p '.firewall | tostring')" "$before"
	reaches WORLD tcp $P4 80
	reaches_not WORLD tcp $P4 443
}

@test "ten interfaces with as many rules as are taken: started, changed, cut off, connected, deleted" {
	local rules
	# many FROM: what is longest for the kernel, and the last one lets the world in.
	many() {
		rules=$(jq -nc --arg from "$1" '[range(127) | {deny: "tcp", ports: "1000-2000", from: "2001:db8:\(.):\($from)::/64"}]
			+ [{allow: "tcp", ports: "80-90", from: "192.0.2.0/24"}]')
		tenant v "$(jq -nc --argjson rules "$rules" '{name: "m", plan: "tiny", firewall: $rules,
			network: [range(10) | {network: "pub", ipv4: "198.51.100.\(. + 3 | if . > 4 then . + 3 else . end)", ipv6: "none"}]}')"
	}
	drop_instance u/c
	many 1
	serve v/m 80
	reaches WORLD tcp 198.51.100.15 80
	many 2
	reaches WORLD tcp 198.51.100.15 80
	equal "$(nft list ruleset | grep -c 'ip6 saddr 2001:db8:.*:2::/64 tcp dport 1000-2000 drop')" 1270
	vps suspend --quiet v/m --mode network
	reaches_not WORLD tcp 198.51.100.15 80
	vps resume --quiet v/m
	reaches WORLD tcp 198.51.100.15 80
	drop_instance v/m
	equal "$(nft list ruleset | grep -c 'dport 1000-2000' || true)" 0
}

@test "port 25 is blocked by the plan: live, for every family, and nothing else is" {
	guests '[]' '[]'
	reaches t/a tcp $WORLD4 25
	vps set --quiet t/a network.block_smtp=true
	reaches_not t/a tcp $WORLD4 25
	reaches_not t/a tcp $WORLD6 25
	reaches_not t/a tcp $P4 25
	reaches t/a udp $WORLD4 25
	reaches t/a tcp $WORLD4 80
	reaches t/b tcp $WORLD4 25
	vps set --quiet t/a network.block_smtp=
	reaches t/a tcp $WORLD4 25
	vps resize --quiet t/p --plan mute
	reaches_not t/p tcp $WORLD4 25
	reaches WORLD tcp $P4 25
	kill_vpsd KILL
	start_vpsd
	reaches_not t/p tcp $WORLD6 25
	vps resize --quiet t/p --plan tiny
	reaches t/p tcp $WORLD6 25
}

# Datagrams to where nobody listens, of all that came to WHERE: ignored WHERE
ignored() {
	on "$1" awk '$1 == "Udp:" && $3 ~ /^[0-9]/ { print $3 }' /proc/thread-self/net/snmp
}

# burst FROM TO ADDRESS: how many of 1000 packets come through.
burst() {
	local before
	before=$(ignored "$2")
	traffic "$1" burst "$3" 9 1000
	sleep "0.$(seconds 1)"
	echo $(($(ignored "$2") - before))
}

# within N MIN MAX WHAT: says it, and checks it.
within() {
	echo "# $4: $1" >&3
	[ "$1" -ge "$2" ] || fail "$4: $1 are less than $2"
	[ "$1" -le "$3" ] || fail "$4: $1 are more than $3"
}

@test "packets per second, both ways, as the plan says; changed live" {
	guests '[]' '[]'
	within "$(burst t/b WORLD $WORLD4)" 900 1000 "out, of 1000 without a cap"
	vps resize --quiet t/b --plan held
	# As one connection of fifty a second, though nobody answers.
	within "$(burst t/b WORLD $WORLD4)" 9 "$(seconds 100)" "out, of 1000 at 100 a second"
	# What the host itself sends is let in.
	within "$(burst HOST t/b 10.77.0.11)" 900 1000 "from the host, of 1000"
	sleep 0.2
	within "$(burst t/a t/b 10.77.0.11)" 9 "$(seconds 100)" "in, of 1000 at 100 a second"
	vps resize --quiet t/b --plan tiny
	within "$(burst t/b WORLD $WORLD4)" 900 1000 "out, of 1000 without a cap again"
}

# hold FROM ADDRESS N: how many of N connections to port 80 come about at once.
hold() {
	traffic "$1" hold "$2" 80 "$3" </dev/null
}

@test "connections at a time, and new ones per second, both ways, as the plan says; others are not held up" {
	equal "$(hold t/p $WORLD4 300)" 300
	vps set --quiet t/p network.connections=160
	within "$(hold t/p $WORLD4 400)" 100 160 "at a time, out, of 400 at a cap of 160"
	reaches t/a tcp $WORLD4 80
	within "$(hold WORLD $P4 400)" 100 160 "at a time, in, of 400 at a cap of 160"
	kill_vpsd KILL
	start_vpsd
	within "$(hold WORLD $P4 400)" 0 160 "at a time, after the death of vpsd"
	vps set --quiet t/p network.connections= network.new_connections=50/s
	within "$(hold t/p $WORLD4 200)" 5 "$(seconds 100)" "new, out, of 200 at 50 a second"
	within "$(hold WORLD $P6 200)" 5 "$(seconds 100)" "new, in, of 200 at 50 a second"
	vps set --quiet t/p network.new_connections=
	equal "$(hold t/p $WORLD4 300)" 300
}

@test "what is deleted leaves no chain" {
	guests "$WEB" "$WEB"
	contains "$(nft list ruleset)" "chain $(host_end t/p)"
	vps delete --force --yes --quiet t/p
	vps delete --force --yes --quiet t/a
	[[ $(nft list ruleset) != *"chain vp"* ]] || fail "$(nft list ruleset | grep 'chain vp')"
}
