#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests in the subnet of the host's uplink, whose router asks for them by ARP and NDP: the host answers for those that run,
# and for nobody else. And what stands in the way of a guest's network: names and addresses that somebody has, a network
# that the host document no longer has.
load lib
load world

setup_file() {
	world_up
	# The world takes the guests for neighbours.
	world ip route replace 198.51.100.0/28 dev out0
	world ip -6 route replace 2001:db8:1::/64 dev out0
	host_new '.networks = [{network: "pub", mode: "routed", uplink: "up0", uplink_proxy: true, ipv4: ["198.51.100.0/28"],
		ipv6: ["2001:db8:1::/64"], mtu: 1400}, {network: "nat0", mode: "nat", ipv4: ["10.77.0.0/24"]}]'
	tiny_documents
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	tenant t '{"name": "a", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.5", "ipv6": "2001:db8:1::5"}]}' \
		'{"name": "b", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.6", "ipv6": "2001:db8:1::6"}]}'
}

teardown_file() {
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# What the world had found out is old.
world_forgets() {
	world ip neigh flush dev out0
	world ip -6 neigh flush dev out0
}

# seen N: guest 5 or 6 is reached by the world; in both families.
seen() {
	world_forgets
	world busybox ping -c 1 -W 2 "198.51.100.$1" >/dev/null && world busybox ping -c 1 -W 2 "2001:db8:1::$1" >/dev/null
}

# Nobody says that it has the address.
unanswered() {
	world_forgets
	! world busybox ping -c 1 -W 1 "198.51.100.$1" >/dev/null 2>&1 || fail "198.51.100.$1 answers" || return 1
	! world busybox ping -c 1 -W 1 "2001:db8:1::$1" >/dev/null 2>&1 || fail "2001:db8:1::$1 answers" || return 1
	[ -z "$(world ip neigh show to "198.51.100.$1" nud reachable)$(world ip -6 neigh show to "2001:db8:1::$1" nud reachable)" ]
}

@test "the host answers for a guest that runs, at once, and for no other address" {
	local start
	seen 5
	unanswered 7
	world_forgets
	start=$(date +%s%N)
	world busybox ping -c 1 -W 2 198.51.100.5 >/dev/null
	[ "$MODE" != host ] || [ $((($(date +%s%N) - start) / 1000000)) -lt 200 ]
	vps stop --force --quiet t/b
	unanswered 6
	vps start --quiet t/b
	seen 6
}

@test "its packets are as large as the network says, on both sides" {
	contains "$(inside t/a ip link show eth0)" "mtu 1400"
	contains "$(ip link show dev "$(host_end t/a)")" "mtu 1400"
	equal "$(vps network ls --json | jq -c '.networks[0] | [.uplink, .uplink_proxy, .mtu]')" '["up0",true,1400]'
	world busybox ping -c 3 -W 2 -s 1472 198.51.100.5 >/dev/null
}

@test "the uplink goes down and comes back: the host answers again" {
	seen 5
	ip link set up0 down
	ip link set up0 up
	# With the link go its IPv6 addresses and the routes.
	ip -6 addr add "$HOST6/64" dev up0 nodad
	ip route replace default via "$WORLD4"
	ip -6 route replace default via "$WORLD6"
	world ip route replace 198.51.100.0/28 dev out0
	world ip -6 route replace 2001:db8:1::/64 dev out0
	await 5 seen 5
	await 5 seen 6
	unanswered 7
}

@test "the other end of the uplink is taken away for a while: the host answers again" {
	seen 5
	world ip link set out0 down
	sleep 1
	world ip link set out0 up
	world ip -6 addr add "$WORLD6/64" dev out0 nodad
	world ip route replace 198.51.100.0/28 dev out0
	world ip -6 route replace 2001:db8:1::/64 dev out0
	await 5 seen 5
	await 5 seen 6
}

@test "somebody takes the host's end of a guest down: it is up again, with all that belongs to it" {
	local end
	end=$(host_end t/a)
	seen 5
	ip link set "$end" down
	sleep 1
	seen 5
	inside t/a ping -c 1 -W 2 "$WORLD4" >/dev/null
}

@test "the uplink is another one by its name: the host answers there, and no longer on the other" {
	ip link set up0 down
	ip link set up0 name old0
	uplink_again_beside
	await 5 seen 5
	ip link set old0 up
	sleep 0.5
	[[ $(ip neigh show proxy dev old0) != *198.51.100.5* ]] || fail "$(ip neigh show proxy)"
	ip link del old0
	ip link del up0
	uplink_again
	await 5 seen 5
	await 5 seen 6
}

# Another one while the one that was renamed is there.
uplink_again_beside() {
	world ip link set out0 down
	world ip link set out0 name out1
	uplink_again
}

@test "the uplink is made anew: the host answers on the new one" {
	ip link del up0
	uplink_again
	await 5 seen 5
	await 5 seen 6
	unanswered 7
	# What a guest that stops had there goes as well.
	vps stop --force --quiet t/b
	unanswered 6
	vps start --quiet t/b
	seen 6
}

uplink_again() {
	ip link add up0 type veth peer name out0 netns "$WORLD"
	ip addr add "$HOST4/24" dev up0
	ip -6 addr add "$HOST6/64" dev up0 nodad
	world ip addr add "$WORLD4/24" dev out0
	world ip -6 addr add "$WORLD6/64" dev out0 nodad
	world ip link set out0 up
	ip link set up0 up
	ip route replace default via "$WORLD4"
	ip -6 route replace default via "$WORLD6"
	world ip route replace 198.51.100.0/28 dev out0
	world ip -6 route replace 2001:db8:1::/64 dev out0
}

@test "routes that somebody flushes, or that go with an address of the host, are back within a second" {
	ip route flush proto "$(ip -j route show 198.51.100.5 | jq -r '.[0].protocol')"
	sleep 1
	busybox ping -c 1 -W 2 198.51.100.5 >/dev/null
	# The kernel takes the routes away that speak from it.
	contains "$(ip route show 198.51.100.5)" "src $HOST4"
	ip addr add 203.0.113.9/24 dev up0
	ip addr del "$HOST4/24" dev up0
	await 2 eval '[[ $(ip route show 198.51.100.5) == *"src 203.0.113.9"* ]]'
	ip addr add "$HOST4/24" dev up0
	ip addr del 203.0.113.9/24 dev up0
	await 2 eval '[[ $(ip route show 198.51.100.5) == *"src $HOST4"* ]]'
	ip route replace default via "$WORLD4"
	world ip route replace 198.51.100.0/28 dev out0
	seen 5
	seen 6
}

@test "vpsd is dead: the host goes on answering; what ended meanwhile is not answered for by the next one" {
	local pid name
	pid=$(field t/b .pid)
	name=$(host_end t/b)
	kill_vpsd KILL
	seen 5
	seen 6
	kill -KILL "$pid"
	await 10 dead "$pid"
	await 10 eval '! ip link show dev "'"$name"'"'
	# So that it does not just start again.
	ip link add "$name" type veth peer name vpeer0
	start_vpsd
	seen 5
	unanswered 6
	ip link del "$name"
	await 60 has_field t/b .state running
	seen 6
}

@test "a name that somebody's interface has: the start says so, and leaves that alone" {
	local name
	vps stop --force --quiet t/b
	name=$(host_end t/b)
	ip link add "$name" type veth peer name vpeer0
	run vps start t/b
	equal "$status" 1
	contains "$output" "the name '$name' is taken by an interface that is not vpsd's"
	contains "$(ip link show dev "$name")" "$name@vpeer0"
	unanswered 6
	ip link del "$name"
	vps start --quiet t/b
	seen 6
}

@test "an address that the host got meanwhile: the start says so, and the host keeps it" {
	vps stop --force --quiet t/b
	ip addr add 198.51.100.6/32 dev lo
	run vps start t/b
	equal "$status" 1
	contains "$output" "'198.51.100.6' cannot be an address of 'eth0': the host itself has it"
	busybox ping -c 1 -W 1 198.51.100.6 >/dev/null
	ip addr del 198.51.100.6/32 dev lo
	vps start --quiet t/b
	seen 6
}

@test "a network that the host document no longer has: who runs in it is mute and says why; who starts is refused" {
	local pid
	pid=$(field t/a .pid)
	kill_vpsd TERM
	cp "$T/vpsd.json" "$T/all.json"
	jq 'del(.networks[0])' "$T/all.json" >"$T/vpsd.json"
	start_vpsd
	equal "$(field t/a .pid)" "$pid"
	contains "$(field t/a '.unsupported | tostring')" "the host has no network 'pub' any more"
	! inside t/a ping -c 1 -W 1 "$WORLD4"
	vps stop --force --quiet t/b
	run vps start t/b
	equal "$status" 1
	contains "$output" "the host has no network 'pub' any more"
	kill_vpsd TERM
	cp "$T/all.json" "$T/vpsd.json"
	start_vpsd
	equal "$(field t/a .pid)" "$pid"
	equal "$(field t/a '.unsupported | tostring | contains("network")')" false
	seen 5
	vps start --quiet t/b
	seen 6
}
