#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# netns/filter against a real kernel: guests A and B of one tenant, C and D of another, a host and a world, each a network
# namespace. D has public addresses and a prefix and needs no connection tracking; the others are behind the host's address.
load lib

# In the namespace of one of them: in_ns NAME COMMAND...
in_ns() {
	local pid
	read -r pid <"$T/ns.$1"
	shift
	nsenter -t "$pid" -n -- "$@"
}

new_ns() {
	unshare -n -- sleep infinity >/dev/null 2>&1 3>&- &
	echo $! >"$T/ns.$1"
	echo $! >>"$T/pids"
	until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
	in_ns "$1" ip link set lo up
}

# guest NAME DIGIT IPV4 IPV6: a routed veth, as vpsd makes them.
guest() {
	local nic=vp00000000000${2}0 pid
	new_ns "$1"
	read -r pid <"$T/ns.$1"
	in_ns host ip link add "$nic" address ee:ee:ee:ee:ee:ee type veth peer name eth0 address "02:00:00:00:00:0$2" netns "$pid"
	in_ns host sh -c "echo 0 >/proc/sys/net/ipv4/conf/$nic/rp_filter; echo 0 >/proc/sys/net/ipv6/conf/$nic/accept_dad"
	in_ns host ip -b - <<-END
		link set $nic addrgenmode none
		link set $nic up
		addr add 169.254.1.1/32 dev $nic scope link
		addr add fe80::1/64 dev $nic nodad
		route add $3 dev $nic src 192.0.2.2
		route add $4 dev $nic
		neigh replace $3 lladdr 02:00:00:00:00:0$2 dev $nic nud permanent
		neigh replace $4 lladdr 02:00:00:00:00:0$2 dev $nic nud permanent
	END
	in_ns "$1" ip -b - <<-END
		link set eth0 addrgenmode none
		link set eth0 up
		addr add $3/32 dev eth0
		addr add $4/128 dev eth0 nodad
		addr add fe80::$2/64 dev eth0 nodad
		route add default via 169.254.1.1 dev eth0 onlink
		route add ::/0 via fe80::1 dev eth0
		neigh replace 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent
		neigh replace fe80::1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent
	END
}

# Its facts, as the probe takes them.
facts() {
	case $1 in
	a) echo "name=vp00000000000a0 mac=02:00:00:00:00:0a tenant=1 addr=10.77.0.10 addr=fd77::a addr=fe80::a flags=tracked" ;;
	b) echo "name=vp00000000000b0 mac=02:00:00:00:00:0b tenant=1 addr=10.77.0.11 addr=fd77::b addr=fe80::b flags=tracked" ;;
	c) echo "name=vp00000000000c0 mac=02:00:00:00:00:0c tenant=2 addr=10.77.0.12 addr=fd77::c addr=fe80::c flags=tracked" ;;
	d) echo "name=vp00000000000d0 mac=02:00:00:00:00:0d tenant=2 addr=198.51.100.13 addr=fd66::d addr=fe80::d" \
		"addr=fd88:0:0:d::/64" ;;
	esac
}

# p VERB [FACTS]: the probe, in the host, on the table that is used.
p() {
	local verb=$1
	shift
	in_ns host "$PROBE" "$verb" "$T/holder" vpsd "$@"
}

holder() {
	local path=$T/${1:-holder}
	"$PROBE" hold "$path" >/dev/null 2>&1 3>&- &
	echo $! >"$path.pid"
	echo $! >>"$T/pids"
	await 5 test -S "$path"
}

rules_up() {
	holder
	in_ns host "$PROBE" load "$T/holder" vpsd "$O/vps-job" "$RULES"
	p host nat=10.77.0.0/24 nat=fd77::/64 service=udp/53
	p arm
	local g
	for g in a b c d; do
		# shellcheck disable=SC2046 # words
		p add $(facts "$g")
	done
}

rules_down() {
	[ -e "$T/holder.pid" ] || return 0
	kill -9 "$(cat "$T/holder.pid")" 2>/dev/null || true
	rm -f "$T/holder" "$T/holder.pid"
	await 5 no_table vpsd
}

no_table() {
	! in_ns host nft list tables | grep -q "inet $1\$"
}

# now FACTS: what holds of guest A from now on; the rest of its facts stays.
now_a() {
	# shellcheck disable=SC2046 disable=SC2086 # words
	p change $(facts a) $extra to $(facts a) "$@"
	extra=$*
}

traffic() {
	in_ns "$1" "$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" "${@:2}"
}

# serve NAME PORT...
serve() {
	local pid
	read -r pid <"$T/ns.$1"
	nsenter -t "$pid" -n -- "$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" serve "${@:2}" >/dev/null 2>&1 3>&- &
	echo $! >>"$T/pids"
}

asks() {
	run traffic "$1" ask "${@:2}"
}

reaches() {
	asks "$@"
	[ "$status" -eq 0 ] || fail "$* should have been answered"
}

pings() {
	traffic "$1" ping "$2" 1 8 "${@:3}"
}

pings_not() {
	! pings "$@" || fail "$* was answered"
}

reaches_not() {
	asks "$@"
	[ "$status" -ne 0 ] || fail "$* was answered: $output"
}

setup_file() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	export PROBE=$O/tests/filter_probe RULES=$REPO/config/defaults/filter.nft PYTHON=/usr/bin/python3
	WAIT=0.$([ "$MODE" = vm ] && echo 9 || echo 3)
	[ "$MODE" != vm ] || WAIT=2
	export WAIT
	T=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/vps-filter.XXXXXX")
	export T
	modprobe -a nf_tables nft_ct nft_chain_nat nft_fib_inet nft_limit nft_connlimit nft_hash nft_masq veth 2>/dev/null || true
	new_ns host
	new_ns world
	in_ns host ip link add wan type veth peer name wan netns "$(cat "$T/ns.world")"
	in_ns host sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter'
	in_ns host ip -b - <<-END
		addr add 192.0.2.2/24 dev wan
		addr add fd00::2/64 dev wan nodad
		link set wan up
	END
	in_ns world ip -b - <<-END
		addr add 192.0.2.1/24 dev wan
		addr add fd00::1/64 dev wan nodad
		link set wan up
		route add 198.51.100.0/24 via 192.0.2.2
		route add fd66::/64 via fd00::2
		route add fd88::/32 via fd00::2
	END
	guest a a 10.77.0.10 fd77::a
	guest b b 10.77.0.11 fd77::b
	guest c c 10.77.0.12 fd77::c
	guest d d 198.51.100.13 fd66::d
	in_ns host ip -6 route add fd88:0:0:d::/64 via fd66::d dev vp00000000000d0 onlink
	in_ns d ip -6 addr add fd88:0:0:d::5/128 dev eth0 nodad
	serve world 80 25
	serve a 80 81
	serve b 80
	serve c 80
	serve d 80
	serve host 53 9999
	"$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" frames "$T/frames"
	await 10 traffic a ask tcp 192.0.2.1 80 || true
}

teardown_file() {
	[ -n "${T-}" ] || return 0
	local pid
	while read -r pid; do
		kill -9 "$pid" 2>/dev/null || true
	done <"$T/pids"
	rm -rf "$T"
}

setup() {
	extra=
}

teardown() {
	[ -z "${T-}" ] || rules_down
}

# --- spoofing ----------------------------------------------------------------------------------------

# What came past the raw hook, what was let in or through, by the number of the frame.
watch() {
	in_ns host nft -f - <<-'END'
		table inet watch {
			set early4 { typeof ip id; flags dynamic; size 1024; }
			set early6 { typeof ip6 flowlabel; flags dynamic; size 1024; }
			set late4 { typeof ip id; flags dynamic; size 1024; }
			set late6 { typeof ip6 flowlabel; flags dynamic; size 1024; }
			chain early {
				type filter hook prerouting priority 400;
				iifname "vp*" add @early4 { ip id }
				iifname "vp*" add @early6 { ip6 flowlabel }
			}
			chain late {
				iifname "vp*" add @late4 { ip id }
				iifname "vp*" add @late6 { ip6 flowlabel }
			}
			chain in { type filter hook input priority 400; jump late; }
			chain through { type filter hook forward priority 400; jump late; }
		}
		table arp watch {
			set seen { type ipv4_addr; flags dynamic; size 1024; }
			chain in { type filter hook input priority 400; iifname "vp*" add @seen { arp daddr ip }; }
		}
	END
}

seen() {
	in_ns host nft -j list set "$1" watch "$2" | jq -r '.nftables[] | .set? | .elem[]?'
}

# The numbers of the frames of a kind that were seen.
seen_of() {
	{
		case $1 in
		early | fine) seen inet early4; seen inet early6 | awk '{ print $1 + 100 }' ;;
		late) seen inet late4; seen inet late6 | awk '{ print $1 + 100 }' ;;
		esac
		seen arp seen | sed -n 's/^10\.99\.0\.//p' | awk '{ print $1 + 200 }'
	} | sort -u | join - <(awk -v kind="$1" '$2 == kind { print $1 }' "$T/frames" | sort -u)
}

all_of() {
	awk -v kind="$1" '$2 == kind { print $1 }' "$T/frames" | sort -u
}

send_all() {
	in_ns host nft delete table inet watch 2>/dev/null || true
	in_ns host nft delete table arp watch 2>/dev/null || true
	watch
	traffic a send eth0 "$T/frames"
	sleep "$WAIT"
}

@test "every frame that a guest must not send is stopped, and gets through without the rules" {
	send_all
	for kind in early late arp fine; do
		equal "$(seen_of "$kind")" "$(all_of "$kind")"
	done
	rules_up
	send_all
	for kind in early late arp; do
		equal "$(seen_of "$kind")" ""
	done
	equal "$(seen_of fine)" "$(all_of fine)"
	in_ns host nft delete table inet watch
	in_ns host nft delete table arp watch
}

# --- who reaches whom --------------------------------------------------------------------------------

@test "tenants: one's own guests, the world and what the host lists are reached, others are not" {
	reaches a tcp 10.77.0.12 80
	reaches a tcp 192.0.2.2 9999
	rules_up
	reaches a tcp 10.77.0.11 80
	reaches b udp fd77::a 80
	equal "$output" fd77::b
	reaches c udp 198.51.100.13 80
	reaches_not a tcp 10.77.0.12 80
	reaches_not a udp fd77::c 80
	reaches_not a tcp 198.51.100.13 80
	reaches_not d tcp 10.77.0.10 80
	reaches a udp 192.0.2.2 53
	reaches_not a tcp 192.0.2.2 53
	reaches_not a tcp 192.0.2.2 9999
	reaches_not a udp fd00::2 9999
	reaches_not d tcp 192.0.2.2 9999
	pings a 192.0.2.2
	pings a 169.254.1.1
	pings a fe80::1%eth0
	pings host 10.77.0.10
	reaches host tcp 10.77.0.10 80
	# Open to all, as the world sees it.
	# shellcheck disable=SC2046
	p change $(facts d) to $(facts d) flags=open
	reaches a tcp 198.51.100.13 80
}

@test "masquerade; public addresses and prefixes as they are, without connection tracking" {
	rules_up
	reaches a tcp 192.0.2.1 80
	equal "$output" 192.0.2.2
	reaches a udp fd00::1 80
	equal "$output" fd00::2
	local before
	before=$(in_ns host cat /proc/sys/net/netfilter/nf_conntrack_count)
	reaches d tcp 192.0.2.1 80
	equal "$output" 198.51.100.13
	reaches d udp fd00::1 80
	equal "$output" fd66::d
	reaches world tcp 198.51.100.13 80
	equal "$output" 192.0.2.1
	[ "$(in_ns host cat /proc/sys/net/netfilter/nf_conntrack_count)" -le "$before" ]
	reaches world tcp fd88:0:0:d::5 80
	pings d fd00::1 fd88:0:0:d::5
	in_ns d ip -6 addr add fd77::a/128 dev eth0 nodad
	pings_not d fd00::1 fd77::a
	in_ns d ip -6 addr del fd77::a/128 dev eth0
}

@test "port forwards: from the world, the host, other guests and the guest itself" {
	rules_up
	reaches_not world tcp 192.0.2.2 8080
	now_a forward=tcp/any/8080/10.77.0.10/80 forward=udp/192.0.2.2/8081/10.77.0.10/81 forward=tcp/fd00::2/8080/fd77::a/80
	reaches world tcp 192.0.2.2 8080
	equal "$output" 192.0.2.1
	reaches world udp 192.0.2.2 8081
	reaches world tcp fd00::2 8080
	equal "$output" fd00::1
	reaches_not world tcp 192.0.2.2 8081
	reaches host tcp 192.0.2.2 8080
	reaches_not host tcp 127.0.0.1 8080
	reaches b tcp 192.0.2.2 8080
	equal "$output" 10.77.0.11
	reaches c tcp 192.0.2.2 8080
	equal "$output" 10.77.0.12
	reaches a tcp 192.0.2.2 8080
	equal "$output" 192.0.2.2
	reaches a tcp fd00::2 8080
	# What only passes through the host is not caught.
	reaches a tcp 192.0.2.1 80
	now_a
	reaches_not world tcp 192.0.2.2 8080
}

@test "firewall: rules in their order, by family, protocol, port and sender; answers and forwards pass; port 25 is blocked" {
	rules_up
	reaches b tcp 10.77.0.10 80
	reaches a tcp 192.0.2.1 25
	now_a flags=closed,no-smtp rule=allow,tcp,81 rule=allow,udp,70-80,fd77::/64
	reaches b tcp 10.77.0.10 81
	reaches b tcp fd77::a 81
	reaches_not b tcp 10.77.0.10 80
	reaches_not b udp 10.77.0.10 81
	reaches b udp fd77::a 80
	reaches_not b udp fd77::a 81
	reaches_not b udp 10.77.0.10 80
	pings_not b 10.77.0.10
	pings_not b fd77::a
	reaches a tcp 192.0.2.1 80
	reaches a udp fd00::1 80
	reaches_not a tcp 192.0.2.1 25
	reaches_not a tcp fd00::1 25
	now_a flags=closed rule=allow,icmp forward=tcp/any/8080/10.77.0.10/80
	reaches world tcp 192.0.2.2 8080
	reaches_not b tcp 10.77.0.10 81
	pings b 10.77.0.10
	pings b fd77::a
	reaches a tcp 192.0.2.1 25
	# What is not about b is about nobody here.
	now_a rule=allow,tcp,80,10.77.0.11/32 rule=deny,tcp,-,10.77.0.0/28 rule=deny,icmp,-,fd77::/127
	reaches b tcp 10.77.0.10 80
	reaches_not b tcp 10.77.0.10 81
	reaches b tcp fd77::a 81
	reaches b udp 10.77.0.10 81
	pings b 10.77.0.10
	pings b fd77::a
	now_a rule=deny,icmp,-,fd77::/120 rule=deny,all,-,0.0.0.0/0
	reaches_not b tcp 10.77.0.10 80
	pings_not b 10.77.0.10
	pings_not b fd77::a
	reaches b tcp fd77::a 80
	in_ns host nft list chain inet vpsd vp00000000000a0
	now_a
	reaches b tcp 10.77.0.10 80
	! in_ns host nft list chain inet vpsd vp00000000000a0 2>/dev/null || fail "the chain is left"
}

# --- caps --------------------------------------------------------------------------------------------

# Packets of a NIC: packets NIC WAY FAMILY
packets() {
	p read | awk -v nic="$1" -v way="$2" -v family="$3" '$1 == nic && $2 == way && $3 == family { print $5 }'
}

# hold N: how many of as many connections at once came about.
held() {
	traffic a hold 192.0.2.1 80 "$1" </dev/null
}

@test "caps on packets, new connections and connections at a time, still there after some seconds without any" {
	local n
	rules_up
	now_a packets-out=100/50
	traffic a burst 192.0.2.1 9 2000
	n=$(packets vp00000000000a0 out-public 4)
	echo "# packets: $n of 2000 at 100 a second with a burst of 50" >&3
	[ "$n" -ge 50 ] && [ "$n" -le "$(seconds 250)" ]
	now_a packets-in=100/50
	n=$(packets vp00000000000a0 in-private 4)
	in_ns b "$PYTHON" "$BATS_TEST_DIRNAME/filter_traffic.py" burst 10.77.0.10 9 2000
	n=$(($(packets vp00000000000a0 in-private 4) - n))
	[ "$n" -ge 50 ] && [ "$n" -le "$(seconds 250)" ]
	now_a
	equal "$(held 300)" 300
	now_a new-out=10/20
	n=$(held 100)
	echo "# new connections: $n of 100 at 10 a second with a burst of 20" >&3
	[ "$n" -ge 20 ] && [ "$n" -le "$(seconds 40)" ]
	now_a connections-out=160
	# The kernel forgets elements of some kinds of sets that have had no connection for a second.
	sleep 2.5
	in_ns host nft list set inet vpsd connections_out | grep -c 'ct count over 10' | grep -qx 16
	n=$(held 400)
	echo "# connections: $n of 400 at a cap of 160" >&3
	[ "$n" -ge 120 ] && [ "$n" -le 160 ]
	# Another one is not held up meanwhile.
	reaches b tcp 192.0.2.1 80
}

# --- the table -----------------------------------------------------------------------------------------

@test "nobody else changes or flushes the table; it stays while any copy of its socket does, and goes with the last" {
	rules_up
	in_ns host nft flush ruleset
	in_ns host nft list table inet vpsd | grep -q vp00000000000a0
	run in_ns host nft delete table inet vpsd
	[ "$status" -ne 0 ]
	run in_ns host nft add element inet vpsd open '{ "vp00000000000a0" }'
	[ "$status" -ne 0 ]
	p check
	holder second
	p copy "$T/second"
	kill -9 "$(cat "$T/holder.pid")"
	rm "$T/holder"
	reaches_not a tcp 10.77.0.12 80
	reaches a tcp 10.77.0.11 80
	# Whoever gets the copy goes on with it.
	mv "$T/second" "$T/holder"
	mv "$T/second.pid" "$T/holder.pid"
	p check
	# shellcheck disable=SC2046
	p remove $(facts b)
	reaches_not b tcp 10.77.0.10 80
	rules_down
	reaches a tcp 10.77.0.12 80
}

@test "a new table takes over from the old one without a gap" {
	local count
	count=$(seconds 40)
	rules_up
	traffic a ping 10.77.0.11 "$count" >"$T/near" 3>&- &
	local near=$!
	traffic a ping 10.77.0.12 "$count" >"$T/far" 3>&- &
	local far=$!
	holder new
	in_ns host "$PROBE" load "$T/new" vpsd_2 "$O/vps-job" "$RULES"
	in_ns host "$PROBE" host "$T/new" vpsd_2 nat=10.77.0.0/24
	local g
	for g in a b c d; do
		# shellcheck disable=SC2046
		in_ns host "$PROBE" add "$T/new" vpsd_2 $(facts "$g")
	done
	in_ns host "$PROBE" arm "$T/new" vpsd_2
	p drop
	no_table vpsd
	wait "$near"
	wait "$far" || true
	equal "$(cat "$T/near")" "$count"
	equal "$(cat "$T/far")" 0
	run in_ns host "$PROBE" check "$T/new" vpsd
	contains "$output" ENOENT
	kill -9 "$(cat "$T/new.pid")"
	rm "$T/new" "$T/new.pid"
	await 5 no_table vpsd_2
}

@test "an interface that is not listed is mute, and so is one with another name" {
	rules_up
	# shellcheck disable=SC2046
	p remove $(facts a)
	reaches_not a tcp 192.0.2.1 80
	reaches_not a udp 192.0.2.2 53
	reaches_not b tcp 10.77.0.10 80
	pings_not a 169.254.1.1
	# shellcheck disable=SC2046
	p add $(facts a)
	reaches a tcp 192.0.2.1 80
	in_ns host ip link set vp00000000000a0 group 30320 name other
	reaches_not a tcp 192.0.2.1 80
	reaches_not b tcp 10.77.0.10 80
	# Even when nothing says whose it is, or its address.
	# shellcheck disable=SC2046
	p remove $(facts a)
	reaches_not a udp 192.0.2.2 9999
	reaches_not a tcp 192.0.2.1 80
	in_ns host ip link set other group 0
	reaches a udp 192.0.2.2 9999
	in_ns host ip link set other name vp00000000000a0
	reaches_not a udp 192.0.2.2 9999
}

@test "a transaction is done as a whole or refused with a reason; what stays of the facts goes on" {
	rules_up
	new="name=vp00000000000e0 mac=02:00:00:00:00:0e tenant=3"
	run p add $new addr=10.77.0.14 addr=10.77.0.10 flags=tracked
	contains "$output" "EEXIST: cannot add the address '10.77.0.10'"
	! in_ns host nft list table inet vpsd | grep -q vp00000000000e0 || fail "half of it is there"
	now_a forward=tcp/any/8080/10.77.0.10/80 forward=tcp/192.0.2.2/443/10.77.0.10/443
	run p add $new addr=10.77.0.14 flags=tracked forward=tcp/any/8080/10.77.0.14/80
	contains "$output" "EEXIST: cannot add the forwarded port tcp 8080 "
	run p add $new addr=10.77.0.14 flags=tracked forward=tcp/192.0.2.2/443/10.77.0.14/80
	contains "$output" "EEXIST: cannot add the forwarded port tcp 443 of 192.0.2.2"
	# shellcheck disable=SC2046
	run p add $new addr=10.77.0.14 flags=tracked $(printf 'rule=deny,all %.0s' {1..129})
	contains "$output" "E2BIG: 'vp00000000000e0' has 129 rules; 128 are taken"
	run p add $new addr=127.0.0.5
	contains "$output" "EINVAL: '127.0.0.5' is no address for a guest"
	run p add $new addr=10.77.0.14 flags=closed
	contains "$output" "EINVAL: 'vp00000000000e0' needs connection tracking"
	# shellcheck disable=SC2046
	run p remove $(facts a)
	[ "$status" -eq 0 ]
	run p host nat=10.77.0.0/24 nat=10.77.0.0/25
	contains "$output" "EINVAL: networks '10.77.0.0/24' and '10.77.0.0/25' overlap"
}

@test "bytes and packets by direction, family and reach; they begin where they are told and survive changes" {
	rules_up
	# shellcheck disable=SC2046
	p remove $(facts a)
	# shellcheck disable=SC2046
	p add $(facts a) start=1000000
	traffic a ping 192.0.2.1 5 108
	traffic a ping 10.77.0.11 3 108
	traffic a ping fd00::1 2 108
	traffic a ping 192.0.2.2 4 108
	now_a flags=closed
	equal "$(p read | grep vp00000000000a0 | sort)" "$(sort <<-END
		vp00000000000a0 out-public 4 $((1000000 + 9 * 128)) 9
		vp00000000000a0 in-public 4 $((9 * 128)) 9
		vp00000000000a0 out-private 4 $((3 * 128)) 3
		vp00000000000a0 in-private 4 $((3 * 128)) 3
		vp00000000000a0 out-public 6 0 0
		vp00000000000a0 in-public 6 0 0
		vp00000000000a0 out-private 6 $((2 * 148)) 2
		vp00000000000a0 in-private 6 $((2 * 148)) 2
	END
	)"
}

# costs_the_same STATUS OUTPUT: of a bench: medians of ten: the first, those around the 100th, the last.
costs_the_same() {
	[ "$1" -eq 0 ] || fail "$2"
	# shellcheck disable=SC2001
	sed 's/^/# /' <<<"$2" >&3
	awk '$1 == "add" || $1 == "remove" { if ($4 > 4 * $2 + 1000) exit 1 }' <<<"$2"
}

@test "the 1000th guest costs what the first did" {
	rules_up
	run p bench 1000 mac=02:00:00:00:00:00 tenant=9 addr=10.99.0.0 addr=fd99::1:0 addr=fe80::1:0 flags=tracked packets-out=1000
	costs_the_same "$status" "$output"
	run p bench 1000 mac=02:00:00:00:00:00 tenant=9 addr=10.99.0.0 addr=fd99::1:0 addr=fe80::1:0 flags=tracked,closed \
		rule=allow,icmp rule=allow,tcp,22,10.0.0.0/8 rule=allow,tcp,80 rule=allow,tcp,443
	costs_the_same "$status" "$output"
}

@test "the job: names of tables and files are checked" {
	run "$O/vps-job" filter --file "$RULES" --table 'x { }'
	contains "$output" "is no name of a table"
	run "$O/vps-job" filter --file /etc/passwd --table vpsd
	contains "$output" "these are no rules of ours"
	sed 's/drop/dorp/' "$RULES" >"$T/bad.nft"
	run in_ns host "$O/vps-job" filter --file "$T/bad.nft" --table vpsd
	contains "$output" "cannot load the rules of '$T/bad.nft'"
	# Nobody there to take it: nothing stays.
	run in_ns host "$O/vps-job" filter --file "$RULES" --table vpsd </dev/null
	[ "$status" -ne 0 ]
	no_table vpsd
}
