# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A host with a guest behind a veth and the world behind its uplink: three network namespaces, and traffic between guest
# and world. For tests/integration/shape.bats and tests/bench/net.
#
#   rig_up DIR          makes them; host's ends are "vp" and "uplink", the guest's is "eth0"
#   rig_down
#   on host CMD...      runs there; guest, world likewise
#   tcp up 3 [OPTION..] the guest sends to the world for 3 s: what iperf3 says of it, JSON ("down": the other way)
#   rtt guest 20        twenty pings to the world, 0.1 s apart: their times in ms, sorted

GUEST_ADDRESS=10.77.0.2
WORLD_ADDRESS=10.77.1.2
export GUEST_ADDRESS WORLD_ADDRESS

# Processes that hold the namespaces: in a file, as a test of bats is a process of its own.
on() {
	nsenter --net="/proc/$(cat "$RIG/$1.pid")/ns/net" -- "${@:2}"
}

rig_up() {
	local name pid
	RIG=$1
	export RIG
	# Two devices that nobody asked for come with the module.
	modprobe ifb numifbs=0 2>/dev/null || true
	for name in host guest world; do
		unshare --net sleep 3600 </dev/null >/dev/null 2>&1 3>&- 4>&- &
		pid=$!
		disown "$pid"
		echo "$pid" >"$RIG/$name.pid"
		until [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	done
	on host ip link add vp address ee:ee:ee:ee:ee:ee type veth peer eth0 netns "$(cat "$RIG/guest.pid")"
	on host ip link add uplink type veth peer eth0 netns "$(cat "$RIG/world.pid")"
	for name in host:vp host:uplink guest:eth0 world:eth0 host:lo guest:lo world:lo; do
		on "${name%:*}" ip link set "${name#*:}" up
	done
	on host sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	on host ip address add 169.254.1.1/32 dev vp
	on host ip route add "$GUEST_ADDRESS/32" dev vp
	on host ip address add 10.77.1.1/24 dev uplink
	on guest ip address add "$GUEST_ADDRESS/32" dev eth0
	on guest ip route add default via 169.254.1.1 dev eth0 onlink
	on world ip address add "$WORLD_ADDRESS/24" dev eth0
	on world ip route add default via 10.77.1.1
	nsenter --net="/proc/$(cat "$RIG/world.pid")/ns/net" -- iperf3 -s -J </dev/null >/dev/null 2>&1 3>&- 4>&- &
	echo $! >"$RIG/server.pid"
	disown $!
	for _ in {1..100}; do
		! on world ss -Hltn sport = 5201 | grep -q . || return 0
		sleep 0.1
	done
	return 1
}

rig_down() {
	local file pid
	for file in "${RIG:-/nowhere}"/*.pid; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		kill "$pid" 2>/dev/null || true
		# A namespace goes with its last process; a zombie has none.
		for _ in {1..100}; do
			readlink "/proc/$pid/ns/net" >/dev/null 2>&1 || break
			sleep 0.02
		done
		rm "$file"
	done
}

tcp() {
	local reverse=()
	[ "$1" = up ] || reverse=(-R)
	on guest iperf3 -c "$WORLD_ADDRESS" -t "$2" -J --get-server-output "${reverse[@]}" "${@:3}"
}

# Payload that arrived, kbit/s, from tcp's JSON: by the receiver's whole seconds, as its total has what arrives after the end.
goodput() {
	jq '(if .start.test_start.reverse == 1 then . else .server_output_json end)
		| [.intervals[].sum | select((.omitted | not) and .seconds > 0.9)]
		| ([.[].bytes] | add) * 8 / ([.[].seconds] | add) / 1000 | floor'
}

rtt() {
	on "$1" busybox ping -c "$2" -i 0.1 -W 2 "$WORLD_ADDRESS" | sed -n 's/.*time=\([0-9.]*\) ms$/\1/p' | sort -n
}
