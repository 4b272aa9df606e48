#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The host's room: what vps host shows of it is what is granted, when something is created, changed and started.
load lib

setup_file() {
	host_up "$(smaller_or_not 4)"
}

teardown_file() {
	host_down
}

# A jq filter for the host document; $1 = how often cores are sold.
smaller_or_not() {
	echo '.reserve = {cores: 0.5, memory: "96MiB", disk: "64MiB"} | .overcommit = {cpu: '"$1"', memory: 1, disk: 1.5} |
		.tolerate_unsupported += ["disk.size"]'
}

# row RESOURCE JQ-PATH
row() {
	vps host --json | jq -r --arg r "$1" ".capacity.resources[] | select(.resource == \$r) | $2"
}

# plan NAME CORES GUARANTEE MEMORY DISK: sizes in MiB, the disk in KiB.
plan() {
	jq -n --arg name "$1" --argjson cores "$2" --argjson guarantee "$3" --arg memory "$4MiB" --arg disk "$5KiB" \
		'{plan: $name, version: 1, cpu: {cores: $cores, guarantee: $guarantee}, memory: {limit: $memory}, pids: 100,
		disk: {size: $disk, inodes: null}, network: {connections: null}}' | vps plan add - >/dev/null
}

# make NAME PLAN
make() {
	vps create "t/$1" --plan "$2" --image busybox --no-start --quiet
}

# refused TEXT COMMAND...
refused() {
	local text=$1
	shift
	run "$@"
	[ "$status" -eq 1 ] || fail "done: $*"
	contains "$output" "$text"
}

# The factor that leaves room for one core, and little more.
one_core() {
	jq -n "1000 / ($(nproc) - 0.5) | ceil / 1000"
}

is_empty() {
	grep -qx "populated 0" "$1/cgroup.events"
}

# Changes the host document; vpsd reads it when it starts.
reread() {
	host_document "$(smaller_or_not "$1")"
	kill_vpsd TERM
	start_vpsd
}

@test "vps host: total, reserve, factor and what is sold make what is free" {
	equal "$(row cores .total)" "$(nproc)"
	equal "$(row memory .total)" "$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))"
	equal "$(row disk .total)" "$(($(stat -f -c '%b * %S' "$T/state/pool")))"
	equal "$(row memory '[.reserve, .overcommit] | map(tostring) | join(" ")')" "$((96 << 20)) 1"
	equal "$(row disk '[.reserve, .overcommit] | map(tostring) | join(" ")')" "$((64 << 20)) 1.5"
	equal "$(row cores '[.reserve, .overcommit] | map(tostring) | join(" ")')" "0.5 4"
	equal "$(vps host --json | jq -c '[.capacity.resources[] | select(.sellable != null) |
		((.total - .reserve) * .overcommit - .sellable | fabs) < 1 and .free == ([.sellable - .sold, 0] | max)] | unique')" '[true]'
	equal "$(vps host --json | jq -c '[.capacity.resources[] | select(.guaranteeable != null) |
		.guaranteeable == .total - .reserve and .guarantee_free == .guaranteeable - .guaranteed] | unique')" '[true]'
	equal "$(vps host --json | jq -r '[.capacity.resources[].resource] | join(", ")')" \
		"cores, dedicated cores, memory, disk, pids, instances"
}

@test "for people: a row each, sizes in binary units" {
	run vps host
	contains "$output" "RESOURCE"
	[[ $output =~ memory\ +[0-9.]+[GM]iB\ +96MiB\ +1\ +[0-9.]+[GM]iB\ +0\ +[0-9.]+[GM]iB\ +0\ +[0-9.]+[GM]iB ]] || fail "$output"
	[[ $output =~ disk\ +[0-9.]+[GMT]iB\ +64MiB\ +1.5\ +[0-9.]+[GMT]iB\ +0\  ]] || fail "$output"
	[[ $output =~ instances\ +63\ +0\ +1\ +63\ +0\ +63\  ]] || fail "$output"
}

@test "a creation takes what its plan says, a deletion gives it back" {
	local before
	before=$(vps host --json | jq -c '[.capacity.resources[] | [.sold, .free, .guaranteed, .guarantee_free]]')
	plan some 1.5 0.25 48 20480
	make a some
	equal "$(jq -c --argjson b "$before" '[[.capacity.resources[] | [.sold, .free, .guaranteed, .guarantee_free]], $b] | transpose |
		map(transpose | map(if .[0] == null then null else .[0] - .[1] end))' <<<"$(vps host --json)")" \
		"[[1.5,-1.5,0.25,-0.25],[0,$(row "dedicated cores" 'if .free == null then null else 0 end'),null,null],[50331648,-50331648,0,0],[20971520,-20971520,null,null],[100,null,null,null],[1,-1,null,null]]"
	drop_instance t/a
	equal "$(vps host --json | jq -c '[.capacity.resources[] | [.sold, .free, .guaranteed, .guarantee_free]]')" "$before"
}

@test "what is shown as free is granted, and not a bit more: memory" {
	local mib
	mib=$(($(row memory .free) >> 20))
	plan memory-more 1 0 $((mib + 1)) 20480
	refused "not enough memory: " make b memory-more
	contains "$output" "raise overcommit.memory of the host"
	plan memory-all 1 0 "$mib" 20480
	make b memory-all
	[ "$(row memory .free)" -lt $((1 << 20)) ]
	refused "not enough memory: 64MiB wanted" make c tiny
	drop_instance t/b
}

@test "what is shown as free is granted, and not a bit more: disk" {
	local kib
	kib=$(($(row disk .free) >> 10))
	plan disk-more 1 0 32 $((kib + 1))
	refused "not enough disk: " make b disk-more
	contains "$output" "raise overcommit.disk of the host"
	plan disk-all 1 0 32 "$kib"
	make b disk-all
	[ "$(row disk .free)" -lt 1024 ]
	refused "not enough disk: 20MiB wanted" make c some
	drop_instance t/b
}

@test "what is shown as free is granted, and not a bit more: guaranteed cores" {
	local free more
	free=$(row cores .guarantee_free)
	more=$(jq -n "$free + 0.001")
	plan cores-more "$more" "$more" 32 20480
	refused "not enough guaranteed cores: $(printf %.3f "$more") wanted, $(printf %.3f "$free") left of $(printf %.3f "$free")" make b cores-more
	plan cores-all "$free" "$free" 32 20480
	make b cores-all
	equal "$(row cores .guarantee_free)" 0
	drop_instance t/b
}

@test "no factor gives one instance more cores than the machine has" {
	local cores
	cores=$(($(nproc) + 1))
	plan wide "$cores" 0 32 20480
	refused "cpu.cores of one instance, $cores.000, are more than this host has, $(nproc).000" make b wide
}

@test "changes are judged by the same figures" {
	local mib
	make a tiny
	mib=$((($(row memory .free) >> 20) + 64))
	refused "not enough memory: " vps set t/a "memory.limit=$((mib + 1))MiB"
	equal "$(row memory .sold)" $((64 << 20))
	vps set t/a "memory.limit=${mib}MiB" >/dev/null
	[ "$(row memory .free)" -lt $((1 << 20)) ]
	vps set t/a pids=70 >/dev/null
	refused "cpu.cores of one instance" vps set t/a "cpu.cores=$(($(nproc) + 1))"
	drop_instance t/a
}

@test "what is used is the kernel's figure" {
	local root used
	root=$(cgroup_root)
	equal "$(row instances .used)" 0
	make_instance t/a
	equal "$(row instances .used)" 1
	used=$(row disk .used)
	[ "$used" -gt 0 ] && [ "$used" -le "$(row disk .total)" ] || fail "$used"
	burns() { jq -en "$(row cores .used) >= 0.3" >/dev/null; }
	vps exec t/a -- sh -c 'while :; do :; done' 3>&- &
	local client=$!
	await 30 burns
	kill "$client"
	wait "$client" || true
	if [ "$MODE" = vm ]; then
		[ "$(row pids .used)" -eq "$(cat "$root/pids.current")" ]
		used=$(row memory .used)
		[ $((used - $(cat "$root/memory.current"))) -lt $((8 << 20)) ] || fail "$used"
	else
		equal "$(row memory .used)" null
	fi
	drop_instance t/a
}

@test "a host that has become smaller: what runs goes on, restarts and comes back; what does not fit is not started" {
	local pid
	make_instance t/a
	make_instance t/b --no-start
	pid=$(field t/a .pid)
	reread "$(one_core)"
	equal "$(field t/a .pid)" "$pid"
	equal "$(row cores .free)" 0
	refused "cannot start 't/b': not enough cores: 1.000 wanted, 0.00" vps start t/b
	contains "$output" "raise overcommit.cpu of the host"
	refused "not enough cores" vps restart t/b
	equal "$(field t/b .state)" stopped
	vps restart --force t/a
	equal "$(inside t/a echo ok)" ok
	kill_vpsd KILL
	start_vpsd
	equal "$(inside t/a echo ok)" ok
	# Somebody else's place.
	vps stop --force t/a
	vps start t/b
	refused "not enough cores" vps start t/a
	vps set t/b pids=60 >/dev/null
	vps stop --force t/b
}

@test "after the host's boot those start that fit, the others wait and say why" {
	local name keeper a b up=0 waiting=0
	reread 4
	vps start t/a
	vps start t/b
	a=$(instance_cgroup t/a) b=$(instance_cgroup t/b)
	keeper=$(keeper_pid)
	kill_vpsd KILL
	host_document "$(smaller_or_not "$(one_core)")"
	# As a boot leaves it: no keeper, no guest, another boot.
	kill -KILL "$keeper"
	await 20 dead "$keeper"
	for name in "$a" "$b"; do
		echo 1 >"$name/cgroup.kill"
		await 20 is_empty "$name"
	done
	echo 00000000-0000-0000-0000-000000000000 >"$T/run/boot-id"
	start_vpsd
	is_decided() {
		up=$(vps ls --json | jq '[.instances[] | select(.state == "running")] | length')
		waiting=$(vps ls --json | jq '[.instances[] | select(.state == "stopped" and .desired == "running" and
			(.error // "" | contains("not enough cores: 1.000 wanted")))] | length')
		[ "$up $waiting" = "1 1" ]
	}
	await 30 is_decided || fail "$(vps ls)"
	name=$(vps ls --json | jq -r '.instances[] | select(.state == "stopped") | .tenant + "/" + .name')
	reread 4
	await 30 has_field "$name" .state running
	drop_instance t/a
	drop_instance t/b
}
