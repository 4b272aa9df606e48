#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests with addresses: reachable, fenced, and the same after the death of vpsd.
load lib
load world

setup_file() {
	world_up
	host_new '.networks = [{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/24"], ipv6: ["fd77::/64"]},
		{network: "pub", mode: "routed", uplink: "up0", ipv4: ["198.51.100.0/28"], ipv6: ["2001:db8:1::/56"]}]'
	tiny_documents
	add_plan net '.network = {in: "50Mbit", out: "20Mbit", pps: 5000, connections: 1024, new_connections: "200/s"}'
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	tenant t '{"name": "a", "plan": "net", "network": [{"network": "nat0", "ipv4": "10.77.0.10", "ipv6": "fd77::10", "ports": ["8080:80/tcp"]}]}' \
		'{"name": "b", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.11", "ipv6": "fd77::11"}]}' \
		'{"name": "p", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.5", "ipv6": "2001:db8:1::5"}]}'
	tenant u '{"name": "c", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.12", "ipv6": "fd77::12"}]}'
}

teardown_file() {
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# pings T/N ADDRESS...: from the guest, each with one packet.
pings() {
	local guest=$1 address
	shift
	for address; do
		inside "$guest" ping -c 1 -W 2 "$address" >/dev/null || fail "$guest does not reach $address" || return 1
	done
}

# silent T/N ADDRESS...: none of them answers.
silent() {
	local guest=$1 address
	shift
	for address; do
		! inside "$guest" ping -c 1 -W 1 "$address" >/dev/null 2>&1 || fail "$guest reaches $address" || return 1
	done
}

# What the kernel has to hold a link back.
shaped() {
	tc qdisc show dev "$1"
	tc class show dev "$1"
}

tables() {
	nft list tables | grep -c " inet vpsd_"
}

@test "a guest has its addresses, routes and names, and keeps them over a reboot inside" {
	local round
	for round in 1 2; do
		contains "$(inside t/a ip addr show eth0)" "inet 10.77.0.10/32"
		contains "$(inside t/a ip addr show eth0)" "inet6 fd77::10/128"
		contains "$(inside t/a ip route)" "default via 169.254.1.1 dev eth0"
		contains "$(inside t/a ip -6 route)" "default via fe80::1 dev eth0"
		contains "$(inside t/a ip link show eth0)" "link/ether 02:"
		contains "$(inside t/a cat /etc/hosts)" $'10.77.0.10\ta'
		[ "$round" = 2 ] || inside t/a reboot -f || true
		await 20 has_field t/a '.state + " " + (.boot | tostring)' "running 2"
	done
}

@test "the first packet goes through, both ways, in both families" {
	pings t/a "$HOST4" "$HOST6"
	pings t/p "$HOST4" "$HOST6"
	busybox ping -c 1 -W 2 10.77.0.10
	busybox ping -c 1 -W 2 fd77::10
	busybox ping -c 1 -W 2 198.51.100.5
	busybox ping -c 1 -W 2 2001:db8:1::5
}

@test "nat: it reaches the world under the host's address, and is reached by its forwarded port only" {
	pings t/a "$WORLD4" "$WORLD6"
	world ip route add 10.77.0.0/24 via "$HOST4"
	! world busybox ping -c 1 -W 1 10.77.0.10
	world ip route del 10.77.0.0/24
	inside t/a sh -c 'mkdir -p /www && echo it is a >/www/index.html && httpd -p 80 -h /www'
	equal "$(world curl -sS --max-time 5 "http://$HOST4:8080/")" "it is a"
	equal "$(world curl -sS --max-time 5 "http://[$HOST6]:8080/")" "it is a"
	equal "$(curl -sS --max-time 5 "http://$HOST4:8080/")" "it is a"
	! world curl -sS --max-time 1 "http://$HOST4:80/" 2>/dev/null
}

@test "routed: it is a server of the world, with its own address" {
	world busybox ping -c 1 -W 2 198.51.100.5
	world busybox ping -c 1 -W 2 2001:db8:1::5
	inside t/p sh -c 'mkdir -p /www && echo it is p >/www/index.html && httpd -p 80 -h /www'
	equal "$(world curl -sS --max-time 5 http://198.51.100.5/)" "it is p"
	equal "$(world curl -sS --max-time 5 'http://[2001:db8:1::5]/')" "it is p"
}

@test "one tenant's guests reach each other, those of another do not, and none the host's services" {
	pings t/a 10.77.0.11 fd77::11
	pings t/b 10.77.0.10 fd77::10
	silent u/c 10.77.0.10 fd77::10
	silent t/a 10.77.0.12 fd77::12
	python3 -m http.server --bind "$HOST4" 8123 >/dev/null 2>&1 3>&- 4>&- &
	local server=$!
	await 20 curl -sS --max-time 1 -o /dev/null "http://$HOST4:8123/"
	world curl -sS --max-time 2 -o /dev/null "http://$HOST4:8123/"
	! inside t/a wget -q -T 1 -O /dev/null "http://$HOST4:8123/"
	kill "$server"
}

@test "an address that is not its own is of no use" {
	inside t/b ip addr add 10.77.0.99/32 dev eth0
	! inside t/b ping -c 1 -W 1 -I 10.77.0.99 "$HOST4"
	! inside t/b ping -c 1 -W 1 -I 10.77.0.99 "$WORLD4"
	pings t/b "$HOST4"
	inside t/b ip link set eth0 down
	inside t/b ip link set eth0 address 02:00:00:00:00:01
	inside t/b ip link set eth0 up
	silent t/b "$HOST4"
	vps restart --force --quiet t/b
	pings t/b "$HOST4" "$WORLD4"
}

@test "the plan's rates are in the kernel" {
	contains "$(shaped "$(host_end t/a)")" "rate 50Mbit"
	contains "$(shaped "$(host_end t/a | sed 's/^vp/vi/')")" "rate 20Mbit"
	[[ $(shaped "$(host_end t/b)") != *rate* ]]
	vps set --quiet t/a network.in=30Mbit
	contains "$(shaped "$(host_end t/a)")" "rate 30Mbit"
	vps set --quiet t/a network.in=
	contains "$(shaped "$(host_end t/a)")" "rate 50Mbit"
}

@test "vpsd dies, somebody flushes the rules: the fence holds, nobody is cut off, the next one goes on" {
	local pid
	pid=$(field t/a .pid)
	kill_vpsd KILL
	nft flush ruleset
	equal "$(tables)" 1
	silent_while_down() { nsenter -t "$pid" -n busybox ping -c 1 -W 1 10.77.0.12; }
	! silent_while_down
	nsenter -t "$pid" -n busybox ping -c 1 -W 2 "$WORLD4"
	start_vpsd
	equal "$(tables)" 1
	equal "$(field t/a .pid)" "$pid"
	pings t/a "$WORLD4" "$WORLD6" 10.77.0.11
	silent t/a 10.77.0.12
	equal "$(world curl -sS --max-time 5 "http://$HOST4:8080/")" "it is a"
	nft flush ruleset
	silent t/a 10.77.0.12
}

@test "what was lost of a link while there was no vpsd is put back" {
	kill_vpsd KILL
	ip route del 10.77.0.10
	ip -6 route del fd77::10
	start_vpsd
	busybox ping -c 1 -W 2 10.77.0.10
	busybox ping -c 1 -W 2 fd77::10
}

@test "the keeper dies, then vpsd: the table goes with the last of them, and is there before anything starts" {
	local keeper
	keeper=$(keeper_pid)
	kill -KILL "$keeper"
	await 20 dead "$keeper"
	await 20 is_host_ready
	await 20 eval '[ "$(keeper_pid)" != null ]'
	equal "$(tables)" 1
	kill_vpsd KILL
	equal "$(tables)" 1
	start_vpsd
	pings t/a "$WORLD4"
	silent t/a 10.77.0.12
}

@test "two interfaces, a network of its own, and the host's name servers" {
	printf 'nameserver 192.0.2.53\nnameserver 127.0.0.53\nnameserver 2001:db8:ffff::53\n' >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
	tenant u '{"name": "c", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.12", "ipv6": "fd77::12"}]}' \
		'{"name": "m", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.6",
			"ipv6": ["2001:db8:1::6", "2001:db8:1:7::/64"]}, {"network": "nat0", "ipv4": "10.77.0.13", "ipv6": "none"}]}'
	umount /etc/resolv.conf
	equal "$(inside u/m grep ^nameserver /etc/resolv.conf)" $'nameserver 192.0.2.53\nnameserver 2001:db8:ffff::53'
	contains "$(inside u/m ip route)" "default via 169.254.1.1 dev eth0"
	pings u/m "$WORLD4" 10.77.0.12
	inside u/m ping -c 1 -W 2 -I 10.77.0.13 "$WORLD4"
	busybox ping -c 1 -W 2 10.77.0.13
	world busybox ping -c 1 -W 2 198.51.100.6
	world busybox ping -c 1 -W 2 2001:db8:1::6
	inside u/m ip addr add 2001:db8:1:7::1/128 dev lo
	world busybox ping -c 1 -W 2 2001:db8:1:7::1
	inside u/m ip addr add 2001:db8:1:8::1/128 dev lo
	! inside u/m ping -c 1 -W 1 -I 2001:db8:1:8::1 "$WORLD6"
	drop_instance u/m
	! world busybox ping -c 1 -W 1 198.51.100.6
}

@test "the default route of a family goes by the first interface that has the family" {
	tenant u '{"name": "c", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.12", "ipv6": "fd77::12"}]}' \
		'{"name": "m", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.13", "ipv6": "none"},
			{"network": "pub", "ipv4": "none", "ipv6": ["2001:db8:1::6", "2001:db8:1:7::/64"]}]}'
	contains "$(inside u/m ip route)" "default via 169.254.1.1 dev eth0"
	contains "$(inside u/m ip -6 route)" "default via fe80::1 dev eth1"
	pings u/m "$WORLD4" "$WORLD6"
	inside u/m ip addr add 2001:db8:1:7::1/128 dev lo
	world busybox ping -c 1 -W 2 2001:db8:1::6
	world busybox ping -c 1 -W 2 2001:db8:1:7::1
	drop_instance u/m
}

@test "suspended by network: it goes on and is cut off, over the death of vpsd; resumed, it is back" {
	local pid round
	pid=$(field t/a .pid)
	vps suspend --quiet t/a --mode network --reason unpaid
	for round in 1 2; do
		equal "$(field t/a '[.state, .pid, .suspended.mode] | join(" ")')" "suspended $pid network"
		! busybox ping -c 1 -W 1 10.77.0.10
		! nsenter -t "$pid" -n busybox ping -c 1 -W 1 "$WORLD4"
		! nsenter -t "$pid" -n busybox ping -c 1 -W 1 10.77.0.11
		! world curl -sS --max-time 1 "http://$HOST4:8080/" 2>/dev/null
		pings t/b "$WORLD4"
		[ "$round" = 2 ] || { kill_vpsd KILL && start_vpsd; }
	done
	vps suspend --quiet t/a --mode freeze
	vps suspend --quiet t/a --mode network
	! nsenter -t "$pid" -n busybox ping -c 1 -W 1 "$WORLD4"
	vps resume --quiet t/a
	equal "$(field t/a '[.state, .pid] | join(" ")')" "running $pid"
	busybox ping -c 1 -W 2 10.77.0.10
	pings t/a "$WORLD4" 10.77.0.11
	equal "$(world curl -sS --max-time 5 "http://$HOST4:8080/")" "it is a"
}

@test "an address is changed while it runs" {
	local pid
	pid=$(field t/b .pid)
	tenant t '{"name": "a", "plan": "net", "network": [{"network": "nat0", "ipv4": "10.77.0.10", "ipv6": "fd77::10", "ports": ["8080:80/tcp"]}]}' \
		'{"name": "b", "plan": "tiny", "network": [{"network": "nat0", "ipv4": ["10.77.0.21", "10.77.0.22"], "ipv6": "fd77::11"}]}' \
		'{"name": "p", "plan": "tiny", "network": [{"network": "pub", "ipv4": "198.51.100.5", "ipv6": "2001:db8:1::5"}]}'
	equal "$(field t/b .pid)" "$pid"
	busybox ping -c 1 -W 2 10.77.0.21
	busybox ping -c 1 -W 2 10.77.0.22
	! busybox ping -c 1 -W 1 10.77.0.11
	pings t/b "$WORLD4" 10.77.0.10
	! inside t/b ip addr show eth0 | grep -q 10.77.0.11
}

@test "who has removed its own link: a change says so, and its next start has what it should" {
	inside t/b ip link del eth0
	jq '.instances[1].network[0].ipv4 = "10.77.0.23"' "$T/docs/tenants/t.json" >"$T/t.json"
	vps apply "$T/t.json"
	contains "$(field t/b '.unsupported | tostring')" '"network"'
	pings t/a "$WORLD4"
	vps restart --force --quiet t/b
	pings t/b "$WORLD4" 10.77.0.10
	busybox ping -c 1 -W 2 10.77.0.23
	equal "$(field t/b '.unsupported | tostring | contains("network")')" false
}

@test "another number of interfaces is for one that is stopped" {
	local before
	before=$(vps ip ls --json)
	jq 'del(.instances[1]) | .instances[0].network += [{network: "pub", ipv6: "none"}]' "$T/docs/tenants/u.json" >"$T/u.json"
	run vps apply "$T/u.json"
	equal "$status" 1
	contains "$output" "'u/c' runs with 1 interfaces: stop it to give it another number"
	equal "$(vps ip ls --json)" "$before"
	pings u/c "$WORLD4"
}

@test "networks that come late: who is to run waits for them, and is not given up" {
	kill_vpsd TERM
	"$O/vpsd" --config "$T/vpsd.json" --stop-guests
	FILTER=$T/late.nft start_vpsd
	sleep 4
	equal "$(field t/a .state)" stopped
	equal "$(vps op ls --json | jq '[.operations[] | select(.kind == "start" and .status == "failed")] | length')" 0
	cp "$REPO/config/defaults/filter.nft" "$T/late.nft"
	await 40 has_field t/a .state running
	pings t/a "$WORLD4"
	kill_vpsd KILL
	start_vpsd
}

@test "without the filter's rules vpsd runs, and says why there are no networks" {
	vps stop --force --quiet t/b
	kill_vpsd KILL
	sed "s,/config/defaults/filter.nft,$T/none.nft," "$T/vpsd.json" >/dev/null
	FILTER=$T/none.nft start_vpsd
	run vps start t/b
	equal "$status" 1
	contains "$output" "it cannot get its network"
	contains "$output" "none.nft"
	pings t/a "$WORLD4"
	silent t/a 10.77.0.12
	kill_vpsd KILL
	start_vpsd
	vps start --quiet t/b
	pings t/b "$WORLD4"
}

@test "what is stopped and deleted leaves neither links nor elements" {
	local i
	for i in t/a t/b t/p u/c; do
		vps delete --force --yes --quiet "$i"
	done
	await 5 eval '! ip -br link | grep -E "^v[pi][0-9a-f]{12}"'
	[[ $(nft list ruleset) != *\"vp[0-9a-f]*0\"* ]] || fail "$(nft list ruleset | grep '"vp')"
}
