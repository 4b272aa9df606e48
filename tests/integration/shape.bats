#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# netns/shape.h on the real kernel: a guest behind a veth, a host that forwards, and a world. What needs the fair queue is
# skipped on kernels without fq_codel. The emulated machine forwards some 100 Mbit/s.
load lib
load ../netns/rig

P=$O/tests/shape_probe
IFB=vi0123456789ab0

setup_file() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	[ -x "$P" ] || { echo "$P is missing: make $P"; return 1; }
	rig_up "$BATS_FILE_TMPDIR"
}

teardown_file() {
	rig_down
}

# Both directions are as nobody has touched them.
setup() {
	shape in none >/dev/null
	shape out none >/dev/null
	[ -z "$(on host "$P" list)" ]
}

# shape in|out RATE [MTU]
shape() {
	case $1 in
	in) on host "$P" in vp "${@:2}" ;;
	out) on host "$P" out vp "$IFB" "${@:2}" ;;
	esac
}

is_fair() {
	shape in 1Mbit | grep -q fair=yes
}

need_fair() {
	is_fair || skip "the kernel has no fq_codel"
	shape in none >/dev/null
}

# Seconds of traffic: an emulated machine needs some more to be as even.
span() {
	if [ "$MODE" = vm ]; then echo $(($1 * 2)); else echo "$1"; fi
}

# near VALUE EXPECTED PERCENT
near() {
	awk -v v="$1" -v e="$2" -v p="$3" 'BEGIN { exit !(v >= e * (1 - p / 100) && v <= e * (1 + p / 100)) }' ||
		fail "got $1, expected $2 within $3 %"
}

@test "what the kernel has is read back: made, changed, taken away" {
	run on host "$P" read vp
	equal "$status" 0
	contains "$output" "in rate=none"
	contains "$output" "out rate=none"
	run shape in 10Mbit
	contains "$output" "in rate=10000000 "
	contains "$output" "broken=no"
	equal "${lines[1]}" effective
	run shape out 20Mbit
	contains "$output" "out rate=20000000 "
	equal "${lines[1]}" effective
	shape in 3Gbit >/dev/null
	shape out 100Gbit >/dev/null
	run on host "$P" read vp
	contains "$output" "in rate=3000000000 "
	contains "$output" "out rate=100000000000 "
	# The tool that everybody has says the same.
	contains "$(on host tc class show dev vp)" "rate 3Gbit ceil 3Gbit"
	contains "$(on host tc class show dev $IFB)" "rate 100Gbit ceil 100Gbit"
	shape in none >/dev/null
	run shape out none
	equal "${lines[1]}" effective
	[[ $(on host tc qdisc show dev vp) == "qdisc noqueue 0: root"* ]]
	[ -z "$(on host ip -brief link show type ifb)" ]
}

@test "rates out of bounds are refused, and nothing changes; at the bounds the kernel has them" {
	local rate way
	shape in 10Mbit >/dev/null
	shape out 10Mbit >/dev/null
	for rate in 0 7999 100000000001; do
		for way in in out; do
			run shape $way $rate
			equal "$status" 1
			contains "$output" "ERANGE: cannot shape to $rate bit/s: it must be 8000 to 100000000000"
		done
	done
	equal "$(on host "$P" read vp | grep -c rate=10000000)" 2
	for rate in 8000 100000000000; do
		for way in in out; do
			run shape $way $rate
			equal "$status" 0
			contains "$output" " rate=$rate "
			contains "$output" $'\neffective'
		done
	done
	# The shaper of 8 kbit/s lets a packet of a second through.
	shape in 8000 >/dev/null
	shape out 8000 >/dev/null
	on guest busybox ping -c 1 -W 10 -s 1000 "$WORLD_ADDRESS" >/dev/null
}

# tcp_gets RATE up|down: a machine that does other things, too, may need another try; too much is never right.
tcp_gets() {
	local said got resent try
	for try in 1 2 3; do
		said=$(tcp "$2" "$(span $(($1 > 10 ? 3 : 4)))" -O 1)
		got=$(goodput <<<"$said")
		# In per cent. A policer makes it ten and more. The start of a flow, which finds out how much it may send, is a part.
		resent=$(jq '.end.sum_sent | .retransmits * 144800 / .bytes | floor' <<<"$said")
		echo "# $2 $1 Mbit/s: $got kbit/s, $resent % sent twice" >&3
		[ "$got" -le $(($1 * 956 * 105 / 100)) ] || break
		[ "$got" -lt $(($1 * 956 * 95 / 100)) ] || [ "$resent" -gt 5 ] || return 0
	done
	fail "$2, $1 Mbit/s: $got kbit/s, $resent % sent twice, try $try"
}

@test "TCP gets what the rate allows, both ways, and hardly anything is sent twice" {
	local rate way rates=(10 100)
	[ "$MODE" = host ] || rates=(1 5)
	for rate in "${rates[@]}"; do
		shape in "${rate}Mbit" >/dev/null
		shape out "${rate}Mbit" >/dev/null
		for way in up down; do
			tcp_gets "$rate" $way
		done
	done
}

@test "a guest that fills its link is answered within 30 ms at 10 Mbit/s" {
	local way times
	need_fair
	shape in 10Mbit >/dev/null
	shape out 10Mbit >/dev/null
	for way in up down; do
		tcp $way "$(span 4)" >"$BATS_TEST_TMPDIR/tcp" 3>&- &
		local pid=$!
		sleep 1
		times=$(rtt guest 20)
		wait "$pid"
		echo "# $way: median $(sed -n 10p <<<"$times") ms, 19 of 20 below $(sed -n 19p <<<"$times") ms" >&3
		[ "$(wc -l <<<"$times")" -ge 19 ] || fail "lost: $times"
		# A slow machine is late now and then: there it is the median.
		awk -v t="$(sed -n "$([ "$MODE" = host ] && echo 19 || echo 10)p" <<<"$times")" 'BEGIN { exit !(t < 30) }' ||
			fail "$times"
		near "$(goodput <"$BATS_TEST_TMPDIR/tcp")" 9560 15
	done
}

@test "four flows of a guest get the same" {
	local way said
	need_fair
	shape in 10Mbit >/dev/null
	shape out 10Mbit >/dev/null
	for way in up down; do
		said=$(tcp $way "$(span 4)" -P 4 -O 1)
		jq -c '[.end.streams[].receiver.bits_per_second | floor]' <<<"$said" >&3
		jq -e '[.end.streams[].receiver.bits_per_second] | min > 0.8 * max' <<<"$said" >/dev/null ||
			fail "$(jq -c '[.end.streams[].receiver.bits_per_second]' <<<"$said")"
	done
}

@test "a change while it sends loses no packet" {
	local way k pid said load=4M
	# A slow machine stands still now and then, and what waits meanwhile must not become too much.
	[ "$MODE" = host ] || load=1M
	for way in up down; do
		shape in 10Mbit >/dev/null
		shape out 10Mbit >/dev/null
		tcp $way "$(span 4)" -u -b $load -l 1200 >"$BATS_TEST_TMPDIR/udp" 3>&- &
		pid=$!
		sleep 0.5
		for k in {1..20}; do
			shape in $((5 + k % 2 * 20))Mbit >/dev/null
			shape out $((5 + k % 2 * 20))Mbit >/dev/null
			kill -0 $pid || break
			sleep 0.1
		done
		[ "$k" -gt 5 ]
		wait $pid
		said=$(jq -c '.end.sum | {packets, lost_packets}' "$BATS_TEST_TMPDIR/udp")
		echo "# $way: $said, $k changes" >&3
		equal "$(jq .lost_packets <<<"$said")" 0
		[ "$(jq .packets <<<"$said")" -gt 500 ] || fail "$said"
	done
}

@test "a TCP that runs follows a change, down and up" {
	local pid said unit
	unit=$(span 1)
	shape in 4Mbit >/dev/null
	tcp down $((8 * unit)) >"$BATS_TEST_TMPDIR/tcp" 3>&- &
	pid=$!
	sleep $((2 * unit)).5
	shape in 8Mbit >/dev/null
	sleep $((3 * unit))
	shape in 2Mbit >/dev/null
	wait $pid
	# What arrived in the time after each change had taken effect, by the second.
	said=$(jq -c --argjson u "$unit" '[.intervals[].sum.bits_per_second / 1000 | floor]
		| [.[$u:2 * $u], .[4 * $u:5 * $u], .[7 * $u:8 * $u] | add / length | floor]' "$BATS_TEST_TMPDIR/tcp")
	echo "# 4, 8, 2 Mbit/s: $said" >&3
	near "$(jq '.[0]' <<<"$said")" 3824 15
	near "$(jq '.[1]' <<<"$said")" 7648 15
	near "$(jq '.[2]' <<<"$said")" 1912 15
}

@test "a flood of packets from inside gets no more than the rate, whatever root inside does with its end" {
	local said
	shape out 5Mbit >/dev/null
	on guest ip link set eth0 mtu 9000
	on guest tc qdisc replace dev eth0 root pfifo limit 100000
	said=$(tcp up 3 -u -b 50M -l 1200)
	on guest tc qdisc delete dev eth0 root
	on guest ip link set eth0 mtu 1500
	said=$(jq '.end.sum_received.bits_per_second / 1000 | floor' <<<"$said")
	# 1200 of 1242 bytes of each frame.
	near "$said" 4831 8
}

@test "frames of 9000 bytes pass at any rate when the NIC's MTU says so" {
	local name
	for name in host:vp host:uplink guest:eth0 world:eth0; do on "${name%:*}" ip link set "${name#*:}" mtu 9000; done
	shape in 1Mbit 9000 >/dev/null
	shape out 1Mbit 9000 >/dev/null
	run on guest busybox ping -c 2 -W 5 -s 8900 "$WORLD_ADDRESS"
	equal "$status" 0
	for name in host:vp host:uplink guest:eth0 world:eth0; do on "${name%:*}" ip link set "${name#*:}" mtu 1500; done
}

@test "the packet filter sees what comes from the guest as before, at prerouting" {
	shape out 10Mbit >/dev/null
	on host nft -f - <<-'NFT'
		table inet t {
			chain raw {
				type filter hook prerouting priority raw;
				iifname "vi*" counter
				iifname "vp" ether saddr != ee:ee:ee:ee:ee:ee ip protocol icmp counter drop
			}
		}
		table netdev t {
			chain ingress {
				type filter hook ingress device "vp" priority 0;
				counter
			}
		}
	NFT
	run on guest busybox ping -c 3 -i 0.1 -W 1 "$WORLD_ADDRESS"
	equal "$status" 1
	contains "$output" "3 packets transmitted, 0 packets received"
	run on host nft list ruleset
	contains "$output" 'iifname "vp" ether saddr != ee:ee:ee:ee:ee:ee ip protocol icmp counter packets 3 bytes 252 drop'
	contains "$output" 'iifname "vi*" counter packets 0 bytes 0'
	# The hook of the link itself is passed by: rules of ours do not belong there.
	contains "$(grep -A 3 ingress <<<"$output")" "counter packets 0 bytes 0"
	on host nft delete table inet t
	on host nft delete table netdev t
	on guest busybox ping -c 1 -W 2 "$WORLD_ADDRESS"
}

@test "a kernel without fq_codel: the rate holds, and that it is not fair is said" {
	local fair=no
	! on guest tc qdisc add dev eth0 root fq_codel 2>/dev/null || fair=yes
	[ $fair = no ] || on guest tc qdisc delete dev eth0 root
	run shape in 10Mbit
	contains "$output" "rate=10000000 fair=$fair broken=no"
	contains "$output" $'\neffective'
	run shape out 10Mbit
	contains "$output" "rate=10000000 fair=$fair broken=no"
}

@test "what else the kernel lacks is said, and nothing is left half-made" {
	vm_only "unloads modules"
	local module
	on guest busybox ping -c 1 -W 2 "$WORLD_ADDRESS"
	for module in sch_htb ifb cls_u32 act_mirred sch_ingress; do
		await 10 modprobe -r "$module"
		echo "install $module /bin/false" >/etc/modprobe.d/without.conf
		run shape out 10Mbit
		equal "$status" 1
		contains "$output" "EOPNOTSUPP: the kernel cannot "
		contains "$output" "${module#*_}"
		[ -z "$(on host "$P" list)" ]
		contains "$(on host "$P" read vp)" "out rate=none fair=no broken=no"
		if [ $module = sch_htb ]; then
			run shape in 10Mbit
			equal "$status" 1
			contains "$output" "EOPNOTSUPP: the kernel cannot hold a link to a rate"
		fi
		on guest busybox ping -c 1 -W 2 "$WORLD_ADDRESS"
		rm /etc/modprobe.d/without.conf
	done
	shape out 10Mbit >/dev/null
}

@test "what the operator has on the uplink stays as it is" {
	local before
	on host tc qdisc replace dev uplink root handle 1: htb default 10
	on host tc class add dev uplink parent 1: classid 1:10 htb rate 500mbit
	before=$(on host tc qdisc show dev uplink && on host tc class show dev uplink)
	shape in 10Mbit >/dev/null
	shape out 10Mbit >/dev/null
	equal "$(on host tc qdisc show dev uplink && on host tc class show dev uplink)" "$before"
	shape in none >/dev/null
	shape out none >/dev/null
	equal "$(on host tc qdisc show dev uplink && on host tc class show dev uplink)" "$before"
	on host tc qdisc delete dev uplink root
}

@test "ifbs that were left behind are found, taken over, removed; others are not ours" {
	equal "$("$P" name 0123456789abcdef 0)" $IFB
	# Not ours: another group, another kind, other names.
	on host ip link add vi0123456789ab1 type ifb
	on host ip link add vi0123456789ab2 group 1987077988 type veth peer vx
	on host ip link add vi012345678xyz3 group 1987077988 type ifb
	on host ip link add ifb7 group 1987077988 type ifb
	shape out 10Mbit >/dev/null
	# The veth lost it: as after a death between the two steps.
	on host tc qdisc delete dev vp ingress
	equal "$(on host "$P" list)" $IFB
	contains "$(on host "$P" read vp)" "out rate=none"
	run shape out 20Mbit
	contains "$output" "out rate=20000000 "
	equal "${lines[1]}" effective
	on guest busybox ping -c 1 -W 2 "$WORLD_ADDRESS"
	on host tc qdisc delete dev vp ingress
	on host "$P" remove $IFB
	on host "$P" remove $IFB
	[ -z "$(on host "$P" list)" ]
	on host ip link delete vi0123456789ab1
	on host ip link delete vi0123456789ab2
	on host ip link delete vi012345678xyz3
	on host ip link delete ifb7
}

@test "an ifb that somebody takes down or deletes lets nothing through, is seen, and is made again" {
	local broken
	for broken in "set $IFB down" "delete $IFB"; do
		shape out 10Mbit >/dev/null
		# shellcheck disable=SC2086 # words
		on host ip link $broken
		run on host "$P" read vp
		contains "$(grep out <<<"$output")" "broken=yes"
		run on guest busybox ping -c 1 -W 1 "$WORLD_ADDRESS"
		equal "$status" 1
		run shape out 10Mbit
		equal "${lines[1]}" effective
		on guest busybox ping -c 1 -W 2 "$WORLD_ADDRESS"
	done
	# A rate that somebody else wrote is seen, too.
	on host tc class change dev $IFB parent 7650: classid 7650:1 htb rate 1gbit
	contains "$(on host "$P" read vp)" "out rate=1000000000 "
	on host tc qdisc replace dev $IFB root handle 1: pfifo
	contains "$(on host "$P" read vp)" "out rate=none"
	run shape out 10Mbit
	equal "${lines[1]}" effective
}

@test "a veth that is not there: said, and no ifb stays" {
	run on host "$P" in nothing 10Mbit
	equal "$status" 1
	contains "$output" "ENODEV: cannot give link"
	run on host "$P" out nothing $IFB 10Mbit
	equal "$status" 1
	contains "$output" ENODEV:
	[ -z "$(on host ip -brief link show type ifb)" ]
	run on host "$P" read nothing
	equal "$status" 1
	contains "$output" ENODEV:
	# It went first: its ifb goes all the same.
	on host ip link add vpx type veth peer vpy
	on host "$P" out vpx vi0123456789ab5 10Mbit >/dev/null
	on host ip link delete vpx
	on host "$P" out nothing vi0123456789ab5 none
	[ -z "$(on host ip -brief link show type ifb)" ]
}

@test "a name that is taken by another link is refused" {
	on host ip link add $IFB type veth peer vx
	run shape out 10Mbit
	equal "$status" 1
	contains "$output" "EEXIST: "
	contains "$output" "'$IFB'"
	contains "$(on host "$P" read vp)" "out rate=none"
	contains "$(on host ip -d link show $IFB)" veth
	run shape out none
	on host ip link show $IFB
	on host ip link delete $IFB
}

@test "the last of many NICs is shaped as fast as the first" {
	local n=300
	[ "$MODE" = host ] || n=60
	unshare --net "$P" many $n >"$BATS_TEST_TMPDIR/many"
	# Medians of 21, as one alone waits for others.
	mid() {
		sed -n "$1,$(($1 + 20))p" "$BATS_TEST_TMPDIR/many" | awk "{ print \$$2 }" | sort -n | sed -n 11p
	}
	echo "# in: $(mid 1 3) us, then $(mid $((n - 20)) 3) us; out: $(mid 1 4) us, then $(mid $((n - 20)) 4) us" >&3
	[ "$(mid $((n - 20)) 3)" -le $(($(mid 1 3) * 3 + 100)) ]
	[ "$(mid $((n - 20)) 4)" -le $(($(mid 1 4) * 4 + 500)) ]
}

@test "counters: what goes to the guest, and what comes from it" {
	local index before after
	index=$(on host ip -j link show vp | jq ".[0].ifindex")
	before=$(on host "$P" counters | grep "^$index ")
	on guest busybox ping -c 3 -i 0.1 -s 1000 "$WORLD_ADDRESS"
	after=$(on host "$P" counters | grep "^$index ")
	# Requests and answers: 1042 bytes each; neighbours may be asked for besides.
	read -r -a b <<<"$before"
	read -r -a a <<<"$after"
	equal "${a[1]} ${a[4]}" "in out"
	near $((a[2] - b[2])) 3126 6
	near $((a[5] - b[5])) 3126 6
	[ $((a[3] - b[3])) -ge 3 ]
	[ $((a[6] - b[6])) -ge 3 ]
	# Each link of the namespace has its line.
	equal "$(on host "$P" counters | wc -l)" "$(on host ip -o link | wc -l)"
}
