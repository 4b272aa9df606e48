#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# netns/ against a real kernel: NICs of guests. "host", guests and "world" are network namespaces of their own, each held
# by a sleeping process; the guests' belong to user namespaces, as real ones do. The world is a machine in the uplink's
# network that knows nothing of the guests.
load lib

A=00aa000000000001 B=00bb000000000002

# pid of a process that holds a new network namespace
new_net() {
	unshare "$@" --net sleep 1000 3>&- &
	local pid=$! own
	own=$(readlink /proc/$$/ns/net)
	for _ in {1..100}; do
		[ "$(readlink /proc/$pid/ns/net)" = "$own" ] || break
		sleep 0.05
	done
	REPLY=$pid
	HOLDERS+=("$pid")
}

on() {
	local pid=$1
	shift
	nsenter --net="/proc/$pid/ns/net" "$@"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	P=$O/tests/link_probe
	[ -x "$P" ] || fail "$P is missing: make $P"
	HOLDERS=()
	new_net && H=$REPLY
	new_net && W=$REPLY
	new_net --user --map-root-user && G1=$REPLY
	new_net --user --map-root-user && G2=$REPLY
	N1=/proc/$G1/ns/net N2=/proc/$G2/ns/net
	on "$H" ip link set lo up
	on "$H" ip link add up0 type veth peer name w0 netns "/proc/$W/ns/net"
	# New namespaces have the machine's values of IPv4.
	on "$H" sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
	on "$H" ip link set up0 addrgenmode none up
	on "$W" ip link set w0 addrgenmode none up
	on "$H" ip addr add 192.0.2.1/24 dev up0
	on "$W" ip addr add 192.0.2.2/24 dev w0
	on "$H" ip addr add 2001:db8::1/64 dev up0 nodad
	on "$W" ip addr add 2001:db8::2/64 dev w0 nodad
	probe prepare "$N1"
	probe prepare "$N2"
	SOURCES="source=192.0.2.1 source=2001:db8::1"
	NIC1="$A/0 addr=10.9.0.1 addr=fd77::1 default=1 $SOURCES"
	NIC2="$B/0 addr=10.9.0.2 addr=fd77::2 default=1 $SOURCES"
}

teardown() {
	for pid in "${HOLDERS[@]}"; do kill "$pid" 2>/dev/null; done
	wait "${HOLDERS[@]}" 2>/dev/null || true
}

probe() {
	on "$H" "$P" "$@"
}

# The kernel's link watcher has seen that both ends are up. It runs by itself, usually within a millisecond, but not while
# somebody else holds the lock of all network configuration; till then the host's end drops what it is to send.
both_ends_up() {
	for _ in {1..50}; do
		[ -n "$(on "$H" ip -o link | grep ': vp' | grep -v 'state UP')" ] || return 0
		sleep 0.1
	done
	fail "$(on "$H" ip -o link)"
}

# The first packet: no second one is sent.
once() {
	both_ends_up
	on "$1" busybox ping -c 1 -W "$(seconds 1)" "${@:2}" >/dev/null || fail "no answer to the first packet: ${*:2}"
}

never() {
	! on "$1" busybox ping -c 1 -W 1 "${@:2}" >/dev/null || fail "answered: ${*:2}"
}

# All that is on the host, without counters and lifetimes.
host_state() {
	on "$H" ip -d -o link | sed 's/ state [A-Z]* / /; s/link-netnsid [0-9]*//; s/[a-z_]*_timer *[0-9.]*//g'
	on "$H" ip -o addr
	on "$H" ip route
	on "$H" ip -6 route
	on "$H" ip neigh show nud permanent | sort
	on "$H" ip neigh show proxy | sort
}

sorted_host_state() {
	host_state | sort
}

guest_state() {
	# "tentative" is gone within milliseconds.
	on "$1" ip -o addr | sed 's/valid_lft.*//; s/ tentative//'
	on "$1" ip route
	on "$1" ip -6 route
	on "$1" ip rule
	on "$1" ip -6 rule
	on "$1" ip neigh show nud permanent | sort
}

# becomes STATE COMMAND...: some of it the kernel sets a moment later.
becomes() {
	local want=$1 i
	shift
	for i in {1..20}; do
		[ "$("$@")" != "$want" ] || return 0
		sleep 0.1
	done
	fail "after $i looks it is not as it should be:" "$(diff <(echo "$want") <("$@"))"
}

# A probe call that must fail with this errno and these words, and change nothing.
refused() {
	local code=$1 words=$2 before
	before=$(host_state)
	run probe "${@:3}"
	[ "$status" -eq 1 ] || fail "not refused: ${*:3}: $output"
	[[ "$output" == "$code: "* ]] || fail "expected $code: $output"
	[[ "$output" == *"$words"* ]] || fail "expected \"$words\": $output"
	becomes "$before" host_state
}

forwarding() {
	on "$H" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

@test "links: guests reach the host, and each other when it routes, with the first packet, over IPv4 and IPv6" {
	probe add "$N1" $NIC1
	probe add "$N2" $NIC2
	once "$G1" 192.0.2.1
	once "$G1" -6 2001:db8::1
	once "$H" 10.9.0.2
	once "$H" -6 fd77::2
	never "$G1" 10.9.0.2
	forwarding
	once "$G1" 10.9.0.2
	once "$G1" -6 fd77::2
	once "$G2" 10.9.0.1
	once "$G2" -6 fd77::1
	# Nobody had to ask for anybody.
	[ -z "$(on "$H" ip neigh | grep 'dev vp' | grep -v PERMANENT)" ]
	[ -z "$(on "$G1" ip neigh | grep -v PERMANENT)" ]
}

@test "links: names, MACs and addresses are what the id says; a guest's end is born inside" {
	probe add "$N1" $NIC1 mtu=1400
	[[ "$(on "$H" ip -o -d link show vp00aa000000000)" == *"mtu 1400"*"link/ether ee:ee:ee:ee:ee:ee"*"alias vpsd $A eth0"* ]] ||
		[[ "$(on "$H" ip -d link show vp00aa000000000)" == *"alias vpsd $A eth0"* ]]
	[[ "$(on "$G1" ip -o link show eth0)" == *"mtu 1400"*"link/ether 02:00:aa:00:00:00"* ]]
	[[ "$(on "$H" ip -o addr show dev vp00aa000000000)" == *"169.254.1.1/32 scope link"*"fe80::1/64 scope link"* ]]
	[[ "$(on "$G1" ip -o -4 addr show dev eth0)" == *" 10.9.0.1/32 scope global"* ]]
	[[ "$(on "$G1" ip -o -6 addr show dev eth0)" == *" fd77::1/128 scope global"*" fe80::aaff:fe00:0/64 scope link"* ]]
	[[ "$(on "$G1" ip route)" == "default via 169.254.1.1 dev eth0 proto static src 10.9.0.1 onlink"* ]]
	[[ "$(on "$G1" ip -6 route show default)" == "default via fe80::1 dev eth0 proto static src fd77::1 metric 1024 onlink"* ]]
	[[ "$(on "$H" ip route get 10.9.0.1)" == *"src 192.0.2.1"* ]]
	[[ "$(on "$H" ip -6 route get fd77::1)" == *"src 2001:db8::1"* ]]
	# The host's other addresses are not answered for on a guest's link, and it believes no redirects.
	run on "$H" sysctl -n net.ipv4.conf.vp00aa000000000.{rp_filter,arp_ignore,accept_redirects,send_redirects,proxy_arp}
	[ "$output" = "$(printf '1\n1\n0\n0\n0')" ]
}

@test "links: two NICs: one has the default route, what is sent from the other's addresses goes by the other" {
	probe add "$N1" $A/0 addr=10.9.0.1 default=1
	probe add "$N1" $A/1 addr=10.9.1.1 addr=fd77::9
	[ "$(on "$G1" ip route)" = "default via 169.254.1.1 dev eth0 proto static src 10.9.0.1 onlink " ]
	[ -z "$(on "$G1" ip -6 route show default)" ]
	once "$H" 10.9.1.1
	once "$H" -6 fd77::9
	once "$G1" 192.0.2.1
	once "$G1" -I 10.9.1.1 192.0.2.1
	# A NIC without IPv6 has none on the host.
	[ -z "$(on "$H" ip -6 addr show dev vp00aa000000000)" ]
	# The other one takes over, and back.
	probe change "$N1" $A/0 addr=10.9.0.1 default=1 -- $A/0 addr=10.9.0.1
	probe change "$N1" $A/1 addr=10.9.1.1 addr=fd77::9 -- $A/1 addr=10.9.1.1 default=1
	[ "$(on "$G1" ip route)" = "default via 169.254.1.1 dev eth1 proto static src 10.9.1.1 onlink " ]
	[ "$(on "$G1" ip rule | grep -c 'from 10.9')" -eq 1 ]
	[ "$(on "$G1" ip -6 rule | grep -c 'from fd77')" -eq 0 ]
	once "$H" 10.9.0.1
	once "$H" 10.9.1.1
	once "$G1" 192.0.2.1
	never "$H" -6 fd77::9
}

@test "links: a network given as a whole is routed to the guest; what it does not use comes back as unreachable" {
	probe add "$N1" $NIC1 addr=fd77:0:0:7::/64 addr=10.9.8.0/29
	once "$H" 10.9.0.1
	on "$G1" ip addr add 10.9.8.3/32 dev lo
	on "$G1" ip addr add fd77:0:0:7::3/128 dev lo
	once "$H" 10.9.8.3
	once "$H" -6 fd77:0:0:7::3
	run on "$H" busybox ping -c 1 -W 2 -6 fd77:0:0:7::4
	[ "$status" -ne 0 ]
	[[ "$(on "$H" ip -6 route)" == *"fd77:0:0:7::/64 via fe80::aaff:fe00:0 dev vp00aa000000000 proto 118 src 2001:db8::1"* ]]
	[[ "$(on "$H" ip route)" == *"10.9.8.0/29 via inet6 fe80::aaff:fe00:0 dev vp00aa000000000 proto 118 src 192.0.2.1"* ]]
	[[ "$(on "$G1" ip -6 route)" == *"unreachable fd77:0:0:7::/64"* ]]
}

@test "links: addresses, sources and MTU change live on both sides; what stays goes on" {
	probe add "$N1" $NIC1
	forwarding
	TO="$A/0 addr=10.9.0.1 addr=10.9.0.9 addr=fd77::9 addr=fd77:9::/64 default=1 mtu=1300"
	on "$G1" busybox ping -i 0.2 -c 15 -W 1 192.0.2.1 >"$BATS_TEST_TMPDIR/ping" &
	local pinger=$!
	probe change "$N1" $NIC1 -- $TO
	once "$H" 10.9.0.9
	once "$H" -6 fd77::9
	never "$H" -6 fd77::1
	[[ "$(on "$G1" ip -6 route show default)" == *"src fd77::9"* ]]
	[[ "$(on "$G1" ip -o link show eth0)" == *"mtu 1300"* ]]
	[[ "$(on "$H" ip -o link show vp00aa000000000)" == *"mtu 1300"* ]]
	[[ "$(on "$H" ip route get 10.9.0.1)" != *"src 192.0.2.1"* ]] || [ -z "$(on "$H" ip route show 10.9.0.1 | grep src)" ]
	wait $pinger
	grep -q " 0% packet loss" "$BATS_TEST_TMPDIR/ping" || fail "$(cat "$BATS_TEST_TMPDIR/ping")"
	# And back: as if it had never been.
	local changed
	probe change "$N1" $TO -- $NIC1
	changed=$(both)
	probe delete $NIC1
	probe add "$N1" $NIC1
	becomes "$changed" both
}

# Without the order, which tells when something was added.
both() {
	(host_state; guest_state "$G1") | sed 's/^[0-9]*: //' | sort
}

@test "links: a change that fails half-way leaves both sides as they were" {
	probe add "$N1" $NIC1
	local before
	before=$(guest_state "$G1")
	on "$H" ip route add 10.9.0.77 dev up0
	refused EADDRINUSE "another route" change "$N1" $NIC1 -- $A/0 addr=fd77::5 addr=10.9.0.5 addr=10.9.0.77 default=1 mtu=1300
	becomes "$before" guest_state "$G1"
	[[ "$(on "$H" ip route)" == *"10.9.0.77 dev up0"* ]]
	# The guest's side refuses: no IPv6 there.
	on "$G1" sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
	before=$(guest_state "$G1")
	refused EACCES "IPv6 is disabled" change "$N1" $NIC1 -- $A/0 addr=10.9.0.1 addr=fd77::1 addr=10.9.0.6 addr=fd77::6 default=1 $SOURCES
	becomes "$before" guest_state "$G1"
	refused ENODEV "no link" change "$N2" $NIC2 -- $NIC2 mtu=1300
	refused EINVAL "made anew" change "$N1" $NIC1 -- $A/1 addr=10.9.0.1
}

@test "links: what is wrong is said, and nothing is left" {
	refused EADDRINUSE "the host itself has it" add "$N1" $A/0 addr=192.0.2.1
	refused EADDRINUSE "the host itself has it" add "$N1" $A/0 addr=2001:db8::1
	refused EADDRINUSE "the host itself has it" add "$N1" $A/0 addr=192.0.2.255
	refused EADDRINUSE "'192.0.2.1' of it" add "$N1" $A/0 addr=192.0.2.0/29
	refused EINVAL "no name" add "$N1" $A/0 uplink=a-name-that-is-too-long
	refused ENODEV "no interface 'eth7'" add "$N1" $A/0 addr=10.9.0.1 uplink=eth7
	refused EINVAL "link-local" add "$N1" $A/0 addr=169.254.1.1
	refused EINVAL "MTU" add "$N1" $A/0 addr=10.9.0.1 mtu=100
	refused EINVAL "Invalid" add "$N1" $A/0 addr=10.9.0.1 source=192.0.2.99
	refused EINVAL "not 10" add "$N1" $A/10 addr=10.9.0.1
	on "$H" ip route add 10.9.0.3 dev up0
	refused EADDRINUSE "another route" add "$N1" $A/0 addr=10.9.0.1 addr=10.9.0.3
	# Something that is no network namespace.
	refused EINVAL "cannot enter" add /proc/self/ns/mnt $NIC1
	refused EBADF "" add - $NIC1
	# Names that are taken: on the host, in the guest.
	on "$H" ip link add vp00aa000000000 type bridge
	refused EEXIST "is not vpsd's" add "$N1" $NIC1
	refused EEXIST "is not vpsd's" delete $NIC1
	refused EPERM "is not vpsd's" strays
	on "$H" ip link del vp00aa000000000
	on "$G1" ip link add eth0 type bridge
	refused EEXIST "an interface 'eth0' of its own" add "$N1" $NIC1
	on "$G1" ip link del eth0
	# Two instances whose ids begin alike.
	probe add "$N1" $NIC1
	refused EEXIST "of another instance" add "$N2" 00aa00000000ffff/0 addr=10.9.0.2
	refused EADDRINUSE "another route" add "$N2" $B/0 addr=10.9.0.1
	[ -z "$(on "$G2" ip -o link | grep -v ' lo:')" ]
}

@test "links: indexes that are in use are gone around, on both sides" {
	on "$H" ip link add busy index $((0x4000aa00)) type bridge
	on "$G1" ip link add mine index 2 type bridge
	local before
	before=$(on "$H" ip -o addr show dev busy; on "$G1" ip -o addr show dev mine)
	probe add "$N1" $NIC1
	once "$H" 10.9.0.1
	[ "$(on "$H" ip -o addr show dev busy; on "$G1" ip -o addr show dev mine)" = "$before" ]
	[[ "$(on "$H" ip -o link show vp00aa000000000)" == "$((0x5000aa00)): "* ]]
	# Both ends with the same index would be up a second late (linkwatch_urgent_event()).
	[[ "$(on "$G1" ip -o link show eth0)" == "1002: "* ]]
}

@test "links: a guest that is gone takes its NIC along; deleting it again is success; a left one is replaced" {
	probe add "$N1" $NIC1
	kill "$G1"
	for _ in {1..100}; do
		on "$H" ip link show vp00aa000000000 >/dev/null 2>&1 || break
		sleep 0.1
	done
	run on "$H" ip link show vp00aa000000000
	[ "$status" -ne 0 ]
	probe delete $NIC1
	[ -z "$(probe list)" ]
	refused ENODEV "no link" change "$N2" $NIC1 -- $A/0 addr=10.9.0.8
	probe add "$N2" $NIC1
	# The instance is started anew while its old namespace is still held by somebody.
	new_net --user --map-root-user
	probe add "/proc/$REPLY/ns/net" $NIC1
	once "$REPLY" 192.0.2.1
	[ -z "$(on "$G2" ip -o link | grep eth0)" ]
}

@test "links: killed before any step of the making, it is put right, or made anew" {
	probe add "$N1" $NIC1
	local want_host want_guest k died=0
	sleep 0.5
	want_host=$(host_state)
	want_guest=$(guest_state "$G1")
	probe delete $NIC1
	for k in {1..12}; do
		run env LINK_PROBE_DIE="$k" nsenter --net="/proc/$H/ns/net" "$P" add "$N1" $NIC1
		[ "$status" -eq 137 ] || break
		died=$k
		run probe repair "$N1" $NIC1
		if [ "$status" -ne 0 ]; then
			[[ "$output" == ENODEV:* ]] || fail "$k: $output"
			probe add "$N1" $NIC1
		fi
		becomes "$want_host" host_state
		becomes "$want_guest" guest_state "$G1"
		once "$G1" 192.0.2.1
		# The same without a repair.
		probe delete $NIC1
		run env LINK_PROBE_DIE="$k" nsenter --net="/proc/$H/ns/net" "$P" add "$N1" $NIC1
		probe add "$N1" $NIC1
		becomes "$want_host" host_state
		probe delete $NIC1
	done
	[ "$died" -ge 5 ]
}

@test "links: what others took away is put back, what they added is theirs, what is no longer wanted goes" {
	probe add "$N1" $NIC1 uplink=up0
	local want
	sleep 0.5
	want=$(sorted_host_state)
	[ "$(probe repair - $NIC1 uplink=up0)" = "repaired 0" ]
	on "$H" ip route del 10.9.0.1
	on "$H" ip -6 addr flush dev vp00aa000000000
	on "$H" ip neigh flush dev vp00aa000000000 nud permanent
	on "$H" ip neigh del proxy 10.9.0.1 dev up0
	on "$H" ip route add 10.9.0.55 dev vp00aa000000000 proto 118
	run probe repair - $NIC1 uplink=up0
	[ "$status" -eq 0 ]
	# The route to one, its answers, and the one that is too many.
	[ "$output" = "repaired 2" ] || fail "$output"
	becomes "$want" sorted_host_state
	# A link that was down has lost its routes and neighbours.
	on "$H" ip link set vp00aa000000000 mtu 1280 down
	[ "$(probe repair - $NIC1 uplink=up0)" = "repaired 2" ]
	becomes "$want" sorted_host_state
	once "$G1" 192.0.2.1
	on "$H" ip route add 10.9.0.66 dev vp00aa000000000
	[ "$(probe repair - $NIC1 uplink=up0)" = "repaired 0" ]
	on "$H" ip route del 10.9.0.66
	[[ "$(probe list)" == "vp00aa000000000 ours 'vpsd $A eth0' mtu 1500"*"10.9.0.1 from 192.0.2.1"*"answers for 10.9.0.1"* ]]
	probe strays
	[[ "$(probe list)" != *ours* ]]
}

@test "links: the host answers on its uplink for a guest, at once; the uplink may be renamed" {
	run probe prepare-host up0
	[ "$status" -eq 0 ]
	probe add "$N1" $A/0 addr=192.0.2.50 addr=2001:db8::50 default=1 uplink=up0 $SOURCES
	once "$W" 192.0.2.50
	on "$W" ip neigh flush dev w0
	sleep 0.1
	once "$W" -6 2001:db8::50
	once "$G1" 192.0.2.2
	once "$G1" -6 2001:db8::2
	on "$H" ip link set up0 down
	on "$H" ip link set up0 name outside
	on "$H" ip link set outside up
	on "$H" ip addr replace 2001:db8::1/64 dev outside nodad
	# A link that goes down forgets for whom it answered.
	on "$W" ip neigh flush dev w0
	run probe repair - $A/0 addr=192.0.2.50 addr=2001:db8::50 uplink=outside $SOURCES
	[ "$output" = "repaired 2" ] || fail "$output"
	once "$W" 192.0.2.50
	once "$W" -6 2001:db8::50
	probe delete $A/0 addr=192.0.2.50 addr=2001:db8::50 uplink=outside
	[ -z "$(on "$H" ip neigh show proxy)" ]
	on "$W" ip neigh flush dev w0
	never "$W" 192.0.2.50
}

@test "links: the host forwards, keeps what its uplink learns from router advertisements, and says what it changed" {
	on "$H" sysctl -qw net.ipv6.conf.up0.accept_ra=1
	on "$H" ip link add other type bridge
	on "$H" sysctl -qw net.ipv6.conf.other.accept_ra=0
	run probe prepare-host up0
	[ "$status" -eq 0 ]
	for line in "ipv4/ip_forward: 0 -> 1" "ipv6/conf/up0/accept_ra: 1 -> 2" "ipv6/conf/all/forwarding: 0 -> 1" \
		"ipv6/conf/up0/proxy_ndp: 0 -> 1" "ipv6/neigh/up0/proxy_delay: 80 -> 0" "ipv4/neigh/up0/proxy_delay: 80 -> 0"; do
		grep -qxF "$line" <<<"$output" || fail "missing: $line" "$output"
	done
	[ "${#lines[@]}" -eq 6 ] || fail "$output"
	run on "$H" sysctl -n net.ipv6.conf.{up0,other}.accept_ra
	[ "$output" = "$(printf '2\n0')" ]
	run probe prepare-host up0
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	# A host that forwards and does not believe is left so.
	on "$H" sysctl -qw net.ipv6.conf.up0.accept_ra=1
	run probe prepare-host up0
	[ -z "$output" ]
	refused ENOENT "cannot prepare the uplink 'eth7'" prepare-host eth7
}

@test "links: a guest's namespace is prepared before its links are born, and the caller's is not touched" {
	local before
	on "$H" sysctl -qw net.ipv4.ip_forward=1
	before=$(on "$H" sysctl -a 2>/dev/null | grep '^net\.ipv[46]\.' | grep -v -e '\.stable_secret' -e frag -e dst -e mem)
	new_net --user --map-root-user
	probe prepare "/proc/$REPLY/ns/net"
	run on "$REPLY" sysctl -n net.ipv4.ip_forward net.ipv6.conf.default.{accept_ra,autoconf,dad_transmits,accept_redirects}
	[ "$output" = "$(printf '0\n0\n0\n0\n0')" ]
	[ "$(on "$H" sysctl -a 2>/dev/null | grep '^net\.ipv[46]\.' | grep -v -e '\.stable_secret' -e frag -e dst -e mem)" = "$before" ]
	probe add "/proc/$REPLY/ns/net" $NIC1
	run on "$REPLY" sysctl -n net.ipv6.conf.eth0.{accept_ra,autoconf,dad_transmits}
	[ "$output" = "$(printf '0\n0\n0')" ]
	refused EINVAL "cannot enter" prepare /proc/self/ns/mnt
}

@test "links: a hundred NICs made and deleted leave nothing; what one costs" {
	local before
	before=$(host_state)
	run probe time 100
	[ "$status" -eq 0 ] || fail "$output"
	echo "$output" | sed 's/^/# /' >&3
	becomes "$before" host_state
}

@test "bridge: a guest reaches the bridge's network and the host, not another guest on it" {
	on "$H" ip link add br0 type bridge
	on "$H" ip addr add 10.8.0.1/24 dev br0
	on "$H" ip link set br0 up
	on "$H" ip addr flush dev up0
	on "$H" ip link set up0 master br0
	on "$W" ip addr add 10.8.0.2/24 dev w0
	local mac
	mac=$(on "$H" ip -o link show br0 | grep -o 'link/ether [^ ]*')
	probe add "$N1" $A/0 addr=10.8.0.11/24 default=1 gateway=10.8.0.2 bridge=br0
	probe add "$N2" $B/0 addr=10.8.0.12/24 default=1 gateway=10.8.0.2 bridge=br0
	sleep 0.5
	once "$G1" 10.8.0.1
	once "$G1" 10.8.0.2
	once "$W" 10.8.0.12
	never "$G1" 10.8.0.12
	never "$G2" 10.8.0.11
	[[ "$(on "$H" bridge -d link show dev vp00aa000000000)" == *"learning off flood off"*"isolated on"* ]]
	[[ "$(on "$H" bridge fdb show dev vp00aa000000000)" == *"02:00:aa:00:00:00"*"static"* ]]
	[ "$(on "$H" ip -o link show br0 | grep -o 'link/ether [^ ]*')" = "$mac" ]
	[[ "$(on "$G1" ip route)" == *"default via 10.8.0.2 dev eth0"*"src 10.8.0.11"* ]]
	[ "$(probe repair - $A/0 addr=10.8.0.11/24 default=1 gateway=10.8.0.2 bridge=br0)" = "repaired 0" ]
	probe change "$N1" $A/0 addr=10.8.0.11/24 default=1 gateway=10.8.0.2 bridge=br0 -- \
		$A/0 addr=10.8.0.21/24 default=1 gateway=10.8.0.2 bridge=br0
	once "$G1" 10.8.0.2
	once "$W" 10.8.0.21
	probe delete $A/0 bridge=br0
	refused EINVAL "is no bridge" add "$N1" $A/0 addr=10.8.0.11/24 bridge=up0
	refused EINVAL "vlan_filtering" add "$N1" $A/0 addr=10.8.0.11/24 bridge=br0 vlan=30
}

@test "bridge: a VLAN is the port's, and its neighbours in other VLANs are not reached" {
	on "$H" ip link add br0 type bridge vlan_filtering 1 || skip "this kernel's bridge knows no VLANs"
	on "$H" ip link set br0 up
	on "$H" ip link set up0 master br0
	on "$H" bridge vlan add dev up0 vid 30
	on "$W" ip link add link w0 name w0.30 type vlan id 30
	on "$W" ip link set w0.30 up
	on "$W" ip addr add 10.8.30.2/24 dev w0.30
	on "$W" ip addr add 10.8.1.2/24 dev w0
	probe add "$N1" $A/0 addr=10.8.30.11/24 addr=10.8.1.11/24 bridge=br0 vlan=30
	sleep 0.5
	once "$G1" 10.8.30.2
	once "$W" 10.8.30.11
	never "$G1" 10.8.1.2
	[[ "$(on "$H" bridge vlan show dev vp00aa000000000)" == *"30 PVID Egress Untagged"* ]]
	[[ "$(on "$H" bridge vlan show dev vp00aa000000000)" != *" 1 "* ]]
}
