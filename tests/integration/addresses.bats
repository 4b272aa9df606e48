#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Addresses of instances: given out once, in the database, gone with the instance. Packets: network.bats.
load lib

NETWORKS='[{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/28"], ipv6: ["fd77::/64"], reserved: ["10.77.0.4-10.77.0.6"]},
	{network: "pub", mode: "routed", uplink: "eth0", ipv4: ["203.0.113.0/30"], ipv6: ["2001:db8::/48"]}]'

setup_file() {
	host_up ".networks = $NETWORKS"
}

teardown_file() {
	host_down
}

setup() {
	D=$BATS_FILE_TMPDIR
	alive "$(vpsd_pid)" || start_vpsd
}

# document NAME NETWORK [NAME NETWORK...]: the tenant with these instances, which are not started.
document() {
	local all='[]'
	while [ $# -gt 0 ]; do
		all=$(jq -c --arg name "$1" --argjson network "$(jq -nc "$2")" \
			'. + [{name: $name, plan: "tiny", image: "busybox", autostart: {enabled: false}, network: $network}]' <<<"$all")
		shift 2
	done
	jq -n --argjson all "$all" '{tenant: "t", instances: $all}' >"$D/t.json"
}

apply() {
	document "$@"
	vps apply --prune "$D/t.json"
}

# refused PART: what stands in the document is not done, and changes nothing.
refused() {
	local before
	before=$(vps ip ls --json)
	run vps apply "$D/t.json"
	[ "$status" -eq 1 ]
	contains "$output" "$1"
	equal "$(vps ip ls --json)" "$before"
}

addresses() {
	field "t/$1" '[.network[].addresses[].address] | join(" ")'
}

restart_vpsd_with() {
	kill_vpsd TERM
	jq "$1" "$T/vpsd.json" >"$T/new.json"
	mv "$T/new.json" "$T/vpsd.json"
	start_vpsd
}

@test "auto and by name, several interfaces, both families; shown by info, ip ls and network ls" {
	apply a '[{network: "nat0", ports: ["8080:80/tcp"]}, {network: "pub", ipv4: ["203.0.113.2", "auto"], ipv6: ["auto/64"]}]' \
		b '[{network: "nat0", ipv6: "none"}]'
	equal "$(field t/a '[.network[] | [.network, .addresses[0].address, (.ports | join(","))] | join(" ")] | join("; ")')" \
		"nat0 10.77.0.2 8080:80/tcp; pub 203.0.113.2 "
	equal "$(addresses b)" 10.77.0.3
	[[ $(addresses a) =~ ^10\.77\.0\.2\ fd77:[0-9a-f:]+\ 203\.0\.113\.2\ 203\.0\.113\.0\ 2001:db8:0:[0-9a-f:]+::/64$ ]]
	run vps info t/a
	contains "$output" "eth0 (nat0): 10.77.0.2 fd77:"
	contains "$output" "8080:80/tcp"
	contains "$output" "eth1 (pub): 203.0.113.2 203.0.113.0 2001:db8:0:"
	run vps ip ls
	[[ $output =~ 10\.77\.0\.3\ +nat0\ +t/b\ +eth0\ +auto\ +yes ]]
	[[ $output =~ 203\.0\.113\.2\ +pub\ +t/a\ +eth1\ +by\ document\ +yes ]]
	run vps network ls
	[[ $output =~ nat0\ +nat\ +-\ +10\.77\.0\.0/28\ +16\ +2\ +6\ +8 ]]
	[[ $output =~ pub\ +routed\ +eth0\ +203\.0\.113\.0/30\ +4\ +2\ +0\ +2 ]]
	[[ $output =~ pub\ +routed\ +eth0\ +2001:db8::/48\ +many ]]
	equal "$(vps ip ls t --json | jq '.addresses | length')" 6
	run vps ip ls nobody
	[ "$status" -eq 1 ]
}

@test "the same after a restart of vpsd, and by the same documents" {
	local before
	before=$(vps ip ls --json)
	kill_vpsd KILL
	start_vpsd
	equal "$(vps ip ls --json)" "$before"
	run vps apply "$D/t.json"
	contains "$output" "nothing to change"
	equal "$(vps ip ls --json)" "$before"
}

@test "refused with the reason: outside, reserved, taken, the host's own, exhausted" {
	document c '[{network: "lan"}]'
	refused 'this host has no network "lan"; it has "nat0", "pub"'
	run vps apply -n "$D/t.json"
	contains "$output" 'this host has no network "lan"'
	document c '[{network: "nat0", ipv4: "10.99.0.2"}]'
	refused "10.99.0.2 is not within network 'nat0', which has 10.77.0.0/28"
	document c '[{network: "nat0", ipv4: "10.77.0.5"}]'
	refused "it is reserved by the host document"
	document c '[{network: "nat0", ipv4: "10.77.0.15"}]'
	refused "it is the broadcast address"
	document c '[{network: "nat0", ipv4: "10.77.0.3"}]'
	refused "10.77.0.3 of network 'nat0' is taken already"
	contains "$output" "'t/b' has it"
	run vps apply -n "$D/t.json"
	contains "$output" "is taken already"
	ip addr add 10.77.0.14/32 dev lo
	# What was read a moment ago is good for a second.
	sleep 1
	document c '[{network: "nat0", ipv4: "10.77.0.14"}]'
	run vps apply "$D/t.json"
	ip addr del 10.77.0.14/32 dev lo
	[ "$status" -eq 1 ]
	contains "$output" "it is the host's own"
	document c '[{network: "pub", ipv4: ["auto", "auto", "auto"]}]'
	refused "network 'pub' has no free IPv4 address: 203.0.113.0/30 has 4 taken of 4"
	document c '[{network: "pub", ports: ["80:80/tcp"]}]'
	refused 'network "pub" forwards no ports'
}

@test "a port of the host is one instance's" {
	document c '[{network: "nat0", ports: ["8080:8080/tcp"]}]'
	refused "port 8080/tcp of the host is forwarded to 't/a' already"
	document c '[{network: "nat0", ports: ["8080:80/udp", "8080:81/udp"]}]'
	refused "port 8080/udp of the host is asked for by instances[0].network[0].ports[0] already"
}

@test "an address changes hands within one set of documents" {
	apply a '[{network: "nat0", ipv4: "10.77.0.3"}]' b '[{network: "nat0", ipv4: "10.77.0.9", ipv6: "none"}]'
	equal "$(field t/a '.network[0].addresses[0].address')" 10.77.0.3
	equal "$(addresses b)" 10.77.0.9
}

@test "the tenant's quota counts public addresses" {
	document a '[{network: "nat0", ipv4: "10.77.0.3"}]' b '[{network: "nat0", ipv4: "10.77.0.9", ipv6: "none"}, {network: "pub"}]'
	jq '.quota = {ipv4: 1}' "$D/t.json" >"$D/new.json"
	mv "$D/new.json" "$D/t.json"
	vps apply "$D/t.json"
	jq '.instances[0].network[1] = {network: "pub"}' "$D/t.json" >"$D/new.json"
	mv "$D/new.json" "$D/t.json"
	refused "not enough IPv4 addresses in the tenant's quota: 1 more, and 1 of 1 are in use"
}

@test "a range that is taken away stays with who has it, and is nobody else's" {
	apply a '[{network: "nat0", ipv4: "10.77.0.3", ipv6: "none"}]'
	restart_vpsd_with '.networks[0].ipv4 = ["10.88.0.0/28"] | .networks[0].reserved = [] |
		.networks[2] = {network: "new", mode: "nat", ipv4: ["10.77.0.0/29"]}'
	contains "$(cat "$T/vpsd.log")" "in no range of their network any more, and stay where they are: t/a has 10.77.0.3 of 'nat0'"
	equal "$(addresses a)" 10.77.0.3
	contains "$(vps info t/a)" "10.77.0.3 (in no pool)"
	[[ $(vps ip ls) =~ 10\.77\.0\.3\ +nat0\ +t/a\ +eth0\ +by\ document\ +no ]]
	apply a '[{network: "nat0", ipv4: "10.77.0.3", ipv6: "none"}]' b '[{network: "new", ipv4: ["auto", "auto"]}]'
	equal "$(addresses b)" "10.77.0.2 10.77.0.4"
	restart_vpsd_with '.networks[0].ipv4 = ["10.77.0.0/28"] | .networks[2].ipv4 = ["10.99.0.0/29"]'
	equal "$(field t/a '.network[0].addresses[0].outside')" false
	equal "$(field t/b '.network[0].addresses[0].outside')" true
	apply
	restart_vpsd_with '.networks = .networks[0:2]'
}

@test "overlapping ranges are refused with both places, and nothing starts" {
	jq '.networks[1].ipv4 = ["10.77.0.8/29"] | .run += "/other" | .state += "/other"' "$T/vpsd.json" >"$D/bad.json"
	run "$O/vpsd" --config "$D/bad.json" --helpers "$O"
	[ "$status" -ne 0 ]
	contains "$output" 'networks[1].ipv4[0]: "10.77.0.8/29" overlaps "10.77.0.0/28" of networks[0].ipv4[0]'
}

@test "deleted with the instance, free for the next" {
	apply a '[{network: "nat0", ipv6: "none", ports: ["8080:80/tcp"]}]'
	equal "$(addresses a)" 10.77.0.2
	drop_instance t/a
	equal "$(vps ip ls --json | jq -c .addresses)" '[]'
	apply b '[{network: "nat0", ipv6: "none", ports: ["8080:80/tcp"]}]'
	equal "$(addresses b)" 10.77.0.2
	apply
}

@test "kill -9 of vpsd in the middle of creations: no address twice, none lost" {
	local n all
	for n in 1 2 3 4 5 6; do
		document "k$n" '[{network: "nat0"}]' "m$n" '[{network: "nat0", ipv6: "none"}]'
		vps apply "$D/t.json" >/dev/null 2>&1 &
		sleep "0.0$((n * 2))"
		kill_vpsd KILL
		wait "$!" || true
		start_vpsd
		all=$(vps ip ls --json | jq -r '.addresses[].address')
		equal "$(sort <<<"$all" | uniq -d)" ""
		# What is there has its address, what was undone has none.
		equal "$(vps ls t --json | jq -c '[.instances[] | select(.network | length != 1) | .name]')" '[]'
		equal "$(vps network ls --json | jq '.networks[0].pools[0].used')" "$(vps ls t --json | jq '.instances | length')"
		equal "$(sqlite3 "$T/state/vpsd.db" 'SELECT count(*) FROM nics')" "$(vps ls t --json | jq '.instances | length')"
		apply
	done
	equal "$(vps network ls --json | jq -c '[.networks[].pools[].used]')" '[0,0,0,0]'
}

@test "on a host without networks a network is but a word, and nothing is given out" {
	restart_vpsd_with '.networks = []'
	document a '[{network: "lan"}]'
	refused "the host document has no networks"
	jq '.instances[0] |= (del(.network) | .firewall = [{allow: "icmp"}] | .overrides.network.block_smtp = true)' "$D/t.json" >"$D/t2.json"
	mv "$D/t2.json" "$D/t.json"
	refused "this host cannot enforce network.block_smtp, firewall (the host document has no networks)"
	restart_vpsd_with '.tolerate_unsupported += ["network"]'
	apply a '[{network: "lan"}]'
	equal "$(field t/a .network)" '[]'
	contains "$(vps info t/a)" "unsupported (the host document has no networks)"
	# Once it has them, those that are there get their addresses.
	restart_vpsd_with '.networks = [{network: "lan", mode: "nat", ipv4: ["10.66.0.0/24"]}]'
	equal "$(addresses a)" 10.66.0.2
	restart_vpsd_with ".tolerate_unsupported -= [\"network\"] | .networks = $NETWORKS"
	apply
}
