# SPDX-License-Identifier: Apache-2.0
# A world outside of the host: a network namespace behind the interface "up0", for files that have the host's network
# namespace to themselves (own_network in "run").
# shellcheck shell=bash

HOST4=192.0.2.1 HOST6=2001:db8:ffff::1 WORLD4=192.0.2.2 WORLD6=2001:db8:ffff::2

world_up() {
	unshare -n sleep infinity 3>&- 4>&- &
	WORLD=$!
	export WORLD
	disown "$WORLD"
	await 5 test "$(readlink /proc/self/ns/net)" != "$(readlink "/proc/$WORLD/ns/net")"
	ip link add up0 type veth peer name out0 netns "$WORLD"
	ip link set lo up
	ip addr add "$HOST4/24" dev up0
	ip -6 addr add "$HOST6/64" dev up0 nodad
	ip link set up0 up
	world ip link set lo up
	world ip addr add "$WORLD4/24" dev out0
	world ip -6 addr add "$WORLD6/64" dev out0 nodad
	world ip link set out0 up
	world ip route add 198.51.100.0/28 via "$HOST4"
	world ip -6 route add 2001:db8:1::/56 via "$HOST6"
	ip route add default via "$WORLD4"
	ip -6 route add default via "$WORLD6"
}

world_down() {
	[ -z "${WORLD-}" ] || kill "$WORLD"
	ip link del up0 2>/dev/null || true
}

# In the world outside.
world() {
	nsenter -t "$WORLD" -n "$@"
}

# on HOST|WORLD|T/N COMMAND...: a program of the host's in the network of one of them.
on() {
	local where=$1
	shift
	case $where in
	HOST) "$@" ;;
	WORLD) world "$@" ;;
	*) nsenter -t "$(field "$where" .pid)" -n "$@" ;;
	esac
}

# tenant NAME INSTANCE...: applies its document.
tenant() {
	local name=$1
	shift
	jq -n --arg name "$name" '{tenant: $name, instances: [$ARGS.positional[] | fromjson | .image = "busybox"]}' --args "$@" \
		>"$T/docs/tenants/$name.json"
	vps apply "$T/docs/tenants/$name.json" >/dev/null
}

# The host's end of the first interface of T/N.
host_end() {
	echo "vp$(field "$1" .id | cut -c1-12)0"
}
