#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Debian's network managers leave alone what a guest was given, and are content with it: none, systemd-networkd, ifupdown.
# The tests follow one another.
load lib
load world

setup_file() {
	world_up
	host_new '.networks = [{network: "nat0", mode: "nat", ipv4: ["10.77.0.0/24"], ipv6: ["fd77::/64"]},
		{network: "pub", mode: "routed", uplink: "up0", ipv4: ["198.51.100.0/28"], ipv6: ["2001:db8:1::/56"]}]'
	tiny_documents
	add_plan debian '.cpu.cores = 2 | .memory.limit = "768MiB" | .pids = 512'
	vps apply "$T/docs" >/dev/null
	vps image import debian-12 "$("$REPO/tests/image-cache" debian-12)" >/dev/null
	mkdir -p "$T/bind"
	printf 'nameserver 192.0.2.53\n' >"$T/bind/resolv.conf"
	mount --bind "$T/bind/resolv.conf" /etc/resolv.conf
	jq -n '{tenant: "t", instances: [{name: "d", plan: "debian", image: "debian-12", hostname: "d.example",
		network: [{network: "nat0", ipv4: ["10.77.0.10", "10.77.0.11"], ipv6: "fd77::10"},
			{network: "pub", ipv4: "198.51.100.5", ipv6: ["2001:db8:1::5", "2001:db8:1:7::/64"]}]}]}' >"$T/docs/tenants/t.json"
	vps apply "$T/docs/tenants/t.json" >/dev/null
}

teardown_file() {
	umount /etc/resolv.conf 2>/dev/null || true
	host_down
	world_down
}

setup() {
	alive "$(vpsd_pid)" || start_vpsd
}

# What the guest's end of its network is to be, whoever manages it.
has_network() {
	local addresses
	addresses=$(inside t/d ip -o addr show)
	contains "$addresses" "eth0    inet 10.77.0.10/32"
	contains "$addresses" "eth0    inet 10.77.0.11/32"
	contains "$addresses" "eth0    inet6 fd77::10/128"
	contains "$addresses" "eth1    inet 198.51.100.5/32"
	contains "$addresses" "eth1    inet6 2001:db8:1::5/128"
	contains "$(inside t/d ip route)" "default via 169.254.1.1 dev eth0"
	contains "$(inside t/d ip -6 route)" "default via fe80::1 dev eth0"
	contains "$(inside t/d ip rule)" "from 198.51.100.5"
	contains "$(inside t/d cat /etc/resolv.conf)" "nameserver 192.0.2.53"
	contains "$(inside t/d getent hosts d.example)" "d.example"
	inside t/d ping -c 1 -W 5 "$WORLD4" >/dev/null
	inside t/d ping -c 1 -W 5 "$WORLD6" >/dev/null
	inside t/d ping -c 1 -W 5 -I 198.51.100.5 "$WORLD4" >/dev/null
	busybox ping -c 1 -W 5 10.77.0.11 >/dev/null
	world busybox ping -c 1 -W 5 198.51.100.5 >/dev/null
	world busybox ping -c 1 -W 5 2001:db8:1::5 >/dev/null
}

# Nothing has failed, and nothing is still trying.
is_content() {
	vps wait t/d ready --timeout 240
	await 60 eval '[ "$(inside t/d systemctl is-system-running)" = running ]'
	equal "$(inside t/d systemctl --failed --no-legend | wc -l)" 0
}

boot_again() {
	local boot
	boot=$(field t/d .boot)
	inside t/d systemctl reboot || true
	await 60 has_field t/d ".boot > $boot" true
	is_content
}

@test "without a network manager" {
	is_content
	has_network
}

@test "systemd-networkd finds its interfaces configured, and leaves them as they are" {
	local i
	inside t/d systemctl --quiet enable systemd-networkd 2>/dev/null
	boot_again
	has_network
	inside t/d timeout 20 systemctl start systemd-networkd-wait-online
	for i in eth0 eth1; do
		contains "$(inside t/d networkctl list --no-legend "$i")" "configured"
		[[ $(inside t/d networkctl list --no-legend "$i") != *configuring* ]]
	done
	inside t/d networkctl reload
	inside t/d networkctl reconfigure eth0 eth1
	await 20 eval '[[ $(inside t/d networkctl list --no-legend eth0) == *configured* ]]'
	has_network
	inside t/d systemctl restart systemd-networkd
	await 20 eval '[[ $(inside t/d networkctl list --no-legend eth0) == *configured* ]]'
	has_network
	inside t/d systemctl stop systemd-networkd.socket systemd-networkd
	has_network
}

@test "an address that is added while systemd-networkd runs stays, and is known to it after the next boot" {
	inside t/d systemctl start systemd-networkd
	vps ip add --quiet t/d 10.77.0.12
	contains "$(inside t/d ip -o addr show eth0)" "inet 10.77.0.12/32"
	busybox ping -c 1 -W 5 10.77.0.12 >/dev/null
	boot_again
	contains "$(inside t/d networkctl status eth0)" 10.77.0.12
	busybox ping -c 1 -W 5 10.77.0.12 >/dev/null
	has_network
}

@test "ifupdown finds its interfaces up, and does not take them down for good" {
	local i
	inside t/d systemctl --quiet disable systemd-networkd 2>/dev/null
	put_inside t/d /root/ifupdown.deb <"$("$REPO/tests/image-cache" ifupdown)"
	inside t/d dpkg -i /root/ifupdown.deb >/dev/null
	boot_again
	equal "$(inside t/d systemctl is-active networking)" active
	equal "$(inside t/d ifquery --state | cut -d= -f1 | sort | paste -sd' ')" "eth0 eth1 lo"
	has_network
	inside t/d systemctl restart networking
	has_network
	for i in eth0 eth1; do
		inside t/d ifdown "$i"
		inside t/d ifup "$i"
	done
	has_network
}
