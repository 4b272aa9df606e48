#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vps ip add, ip del, port add, port del: at once where the instance runs, and for good.
load lib
load world

setup_file() {
	world_up
	host_new '.networks = [{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/28"], ipv6: ["fd77::/64"]},
		{network: "pub", mode: "routed", uplink: "up0", ipv4: ["198.51.100.0/28"], ipv6: ["2001:db8:1::/56"]}]'
	tiny_documents
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
	tenant t '{"name": "a", "plan": "tiny", "network": [{"network": "nat0"}, {"network": "pub", "ipv4": "198.51.100.5", "ipv6": "none"}]}' \
		'{"name": "b", "plan": "tiny", "network": [{"network": "nat0", "ipv4": "10.77.0.9", "ports": ["8081:81/tcp"]}]}'
}

teardown_file() {
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# addresses T/N NIC: what it has there, in one line.
addresses() {
	field "$1" "[.network[$2].addresses[].address] | join(\" \")"
}

@test "an address more, by name and chosen: it is reached at once, by the very same guest, and after a new start of vpsd" {
	local pid old new
	pid=$(field t/a .pid)
	old=$(addresses t/a 0)
	run vps ip add t/a 10.77.0.12 auto
	equal "$status" 0
	contains "$output" "t/a: eth0 has $(addresses t/a 0)"
	new=$(addresses t/a 0)
	equal "$(wc -w <<<"$new")" 4
	equal "$(field t/a .pid)" "$pid"
	[[ $new == "${old% *} 10.77.0.12 "*" ${old#* }" ]] || fail "$old, then $new"
	for address in $new; do
		busybox ping -c 1 -W 2 "$address" >/dev/null
	done
	vps ip add --quiet t/a --nic 1 2001:db8:1:7::/64 2001:db8:1::5 198.51.100.6
	equal "$(addresses t/a 1)" "198.51.100.5 198.51.100.6 2001:db8:1:7::/64 2001:db8:1::5"
	world busybox ping -c 1 -W 2 198.51.100.6 >/dev/null
	world busybox ping -c 1 -W 2 2001:db8:1::5 >/dev/null
	inside t/a ip addr add 2001:db8:1:7::1/128 dev lo
	world busybox ping -c 1 -W 2 2001:db8:1:7::1 >/dev/null
	kill_vpsd KILL
	start_vpsd
	equal "$(addresses t/a 0)" "$new"
	equal "$(addresses t/a 1)" "198.51.100.5 198.51.100.6 2001:db8:1:7::/64 2001:db8:1::5"
	contains "$(vps ip ls t)" 10.77.0.12
}

@test "an address less: it is free, what stays is what was there, also of those that were chosen" {
	local old
	old=$(addresses t/a 0)
	first=${old%% *}
	vps ip del --quiet t/a "$first"
	equal "$(addresses t/a 0)" "${old#* }"
	! busybox ping -c 1 -W 1 "$first" >/dev/null 2>&1
	! inside t/a ip addr show eth0 | grep -q "inet $first/"
	for address in $(addresses t/a 0); do
		busybox ping -c 1 -W 2 "$address" >/dev/null
	done
	vps ip add --quiet t/b "$first"
	busybox ping -c 1 -W 2 "$first" >/dev/null
	equal "$(vps ip ls --json | jq -r ".addresses[] | select(.address == \"$first\") | .instance")" t/b
	vps restart --force --quiet t/a
	equal "$(addresses t/a 0)" "${old#* }"
	for address in $(addresses t/a 0); do
		await 5 busybox ping -c 1 -W 2 "$address" >/dev/null
	done
}

@test "ports of the host: forwarded at once, and no longer; shown" {
	inside t/a sh -c 'mkdir -p /www && echo it is a >/www/index.html && httpd -p 80 -h /www'
	run vps port add t/a 8080:80/tcp 8080:80/udp
	equal "$status" 0
	contains "$output" "forwards 8080:80/tcp 8080:80/udp"
	equal "$(world curl -sS --max-time 5 "http://$HOST4:8080/")" "it is a"
	equal "$(vps port ls --json | jq -c '[.ports[] | [.port, .protocol, .guest_port, .instance, .nic, .network]]')" \
		'[[8080,"tcp",80,"t/a",0,"nat0"],[8080,"udp",80,"t/a",0,"nat0"],[8081,"tcp",81,"t/b",0,"nat0"]]'
	contains "$(vps port ls t)" "8080/udp"
	vps port del --quiet t/a 8080/tcp
	! world curl -sS --max-time 1 "http://$HOST4:8080/" 2>/dev/null
	equal "$(vps port ls --json | jq '.ports | length')" 2
	run vps port ls nobody
	equal "$status" 1
}

# refused TEXT COMMAND...: it fails with that text, and nobody has another address or port.
refused() {
	local before text=$1
	shift
	before=$(vps ip ls --json; vps port ls --json)
	run "$@"
	[ "$status" -ne 0 ]
	contains "$output" "$text"
	equal "$(vps ip ls --json; vps port ls --json)" "$before"
}

@test "refused with the reason, and nothing changes" {
	refused "is an address of this interface already" vps ip add t/b 10.77.0.9
	refused "is no address of this interface" vps ip del t/b 10.77.0.8
	refused "'t/a' has it" vps ip add t/b 10.77.0.12
	refused "198.51.100.9" vps ip add t/b 198.51.100.9
	refused "has no interface eth1" vps ip add t/b --nic 1 auto
	refused "is not an interface" vps ip add t/b --nic ethx auto
	refused "is not an IPv4 address" vps ip add t/b nonsense
	refused "is not an IPv4 address" vps ip del t/b auto
	refused "is not a port forward" vps port add t/b 80
	refused "port 8080/udp of the host is forwarded to 't/a' already" vps port add t/b 8080:80/udp
	refused "forwards no ports: its mode is not \"nat\"" vps port add t/a --nic 1 8090:80/tcp
	refused "is not forwarded to this interface" vps port del t/b 9/tcp
	refused "there is no instance" vps ip add t/x auto
	refused "usage: vps ip add" vps ip add t/b
	# One wrong word: none of them.
	refused "already" vps ip add t/b auto 10.77.0.9
	# More than there are.
	refused "has no free IPv4 address" vps ip add t/b auto auto auto auto auto auto auto auto auto auto auto auto auto auto
}

@test "a document that says otherwise shows it as drift, and takes it back only when told to" {
	vps apply -n "$T/docs/tenants/t.json" | grep -q drift
	vps apply "$T/docs/tenants/t.json" >/dev/null
	equal "$(vps port ls --json | jq '[.ports[] | select(.instance == "t/a")] | length')" 1
	vps apply --take-over "$T/docs/tenants/t.json" >/dev/null
	equal "$(vps port ls --json | jq '[.ports[] | select(.instance == "t/a")] | length')" 0
	equal "$(addresses t/b 0 | cut -d' ' -f1)" 10.77.0.9
	busybox ping -c 1 -W 2 10.77.0.9 >/dev/null
}

@test "root inside has taken its interface away: what is taken from it is free at once, what is added is told" {
	vps ip add --quiet t/b 10.77.0.13
	busybox ping -c 1 -W 2 10.77.0.13 >/dev/null
	inside t/b sh -c 'unshare -n sleep 1000 & sleep 0.5; ip link set eth0 netns $!'
	run vps ip del t/b 10.77.0.13
	equal "$status" 1
	contains "$output" "t/b: not all of it is in force: "
	[ -z "$(ip route show 10.77.0.13)" ]
	[[ $(nft list ruleset) != *10.77.0.13* ]] || fail "the filter has it"
	vps ip add --quiet t/a 10.77.0.13
	busybox ping -c 1 -W 2 10.77.0.13 >/dev/null
	run vps ip add t/b 10.77.0.14
	equal "$status" 1
	contains "$output" "not all of it is in force"
	contains "$(field t/b '.unsupported | tostring')" '"network"'
	vps restart --force --quiet t/b
	await 5 busybox ping -c 1 -W 2 10.77.0.14 >/dev/null
	equal "$(field t/b '.unsupported | tostring | contains("network")')" false
	vps ip del --quiet t/a 10.77.0.13
}

@test "an address changes hands the moment its instance has stopped" {
	local i
	for i in 1 2 3; do
		vps ip add --quiet t/b 10.77.0.13
		vps stop --force --quiet t/b
		vps ip del --quiet t/b 10.77.0.13
		vps ip add --quiet t/a 10.77.0.13
		busybox ping -c 1 -W 2 10.77.0.13 >/dev/null
		vps ip del --quiet t/a 10.77.0.13
		vps start --quiet t/b
	done
}

@test "vps create --network: interfaces with chosen and with named addresses" {
	make_instance t/n --network nat0 --network pub,198.51.100.9,2001:db8:1::9
	contains "$(addresses t/n 0)" "10.77.0."
	contains "$(addresses t/n 0)" "fd77::"
	equal "$(addresses t/n 1)" "198.51.100.9 2001:db8:1::9"
	world busybox ping -c 1 -W 2 198.51.100.9 >/dev/null
	drop_instance t/n
	refused "this host has no network \"nowhere\"; it has \"nat0\", \"pub\"" make_instance t/n --network nowhere
	refused "is not an IPv4 address" make_instance t/n --network pub,nonsense
	refused "is empty" make_instance t/n --network pub,
	refused "is taken" make_instance t/n --network pub,198.51.100.5
}

@test "many at once: each address is one instance's" {
	local pids=() i
	for i in 1 2 3; do
		vps ip add --quiet t/a auto 2>/dev/null 3>&- & pids+=($!)
		vps ip add --quiet t/b auto 2>/dev/null 3>&- & pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || true
	done
	equal "$(vps ip ls --json | jq '[.addresses[].address] | length == (unique | length)')" true
	for i in $(addresses t/a 0) $(addresses t/b 0); do
		busybox ping -c 1 -W 2 "$i" >/dev/null
	done
}
