#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the instances of a tenant have together: judged when they are sold, held by the kernel in the tenant's cgroup.
load lib

setup_file() {
	host_up
	echo '{"tenant": "u"}' >"$T/docs/tenants/u.json"
	vps apply "$T/docs" >/dev/null
	make_instance t/a
	make_instance t/b
	make_instance u/c
	D=$(dirname "$(instance_cgroup t/a)")
	U=$(dirname "$(instance_cgroup u/c)")
	export D U
}

teardown_file() {
	host_down
}

# quota JSON: of tenant t, from now on.
quota() {
	jq -n --argjson q "$1" '{tenant: "t", quota: $q}' >"$T/quota.json"
	vps apply "$T/quota.json"
}

# held QUOTA PATH: as vps tenant show has it.
held() {
	vps tenant show t | jq -c --arg q "$1" ".limits[] | select(.quota == \$q) | $2"
}

ceilings() {
	cat "$1/cpu.max" "$1/memory.max" "$1/pids.max" | xargs
}

# What both tenants have used and when, without a process that would have to wait for its turn.
look() {
	read -r _ used <"$D/cpu.stat"
	read -r _ others <"$U/cpu.stat"
	at=${EPOCHREALTIME/[.,]/}
}

@test "the sum of the plans is judged by the quota: cores, memory, pids" {
	run quota '{"pids": 150, "cores": 2.5, "memory": "160MiB"}'
	[ "$status" -eq 0 ] || fail "$output"
	run vps create t/x --plan tiny --image busybox
	[ "$status" -eq 1 ]
	contains "$output" "not enough cores: 1.000 wanted, 0.500 left of 2.500 in the tenant's quota"
	quota '{"pids": 150}' >/dev/null
	run vps create t/x --plan tiny --image busybox
	contains "$output" "not enough pids: 64 wanted, 22 left of 150 in the tenant's quota"
	contains "$output" "raise quota.pids of the tenant"
	run vps set t/a pids=87
	[ "$status" -eq 1 ]
	contains "$output" "not enough pids: 23 wanted, 22 left of 150"
	vps set t/a pids=86 >/dev/null
	vps set t/a pids=64 >/dev/null
	run vps apply -n "$T/quota.json"
	contains "$output" "nothing to change"
	equal "$(vps tenant show t | jq -c .quota.pids)" 150
	quota '{}' >/dev/null
}

@test "what the kernel does not hold is shown with the reason" {
	host_only "this kernel has all controllers"
	quota '{"pids": 150}' >/dev/null
	equal "$(held pids '[.configured, .effective, .actual]')" '[150,false,null]'
	equal "$(held pids .reason)" "\"the 'pids' controller is not available in cgroup v2 here\""
	quota '{}' >/dev/null
}

@test "written to the tenant's own cgroup, read back, shown; changed live; the other tenant has its own" {
	vm_only
	equal "$(ceilings "$D")" "max 100000 max max"
	quota '{"cores": 1.25, "memory": "100MiB", "pids": 90}'
	equal "$(ceilings "$D")" "125000 100000 $((100 << 20)) 90"
	equal "$(held cores '[.configured, .effective, .actual]')" '[1250,true,1250]'
	equal "$(held memory '[.configured, .effective, .actual]')" "[$((100 << 20)),true,$((100 << 20))]"
	equal "$(held pids '[.configured, .effective, .actual]')" '[90,true,90]'
	equal "$(ceilings "$U")" "max 100000 max max"
	# What each has at most is no more than all have.
	vps set t/a memory.limit=64MiB >/dev/null
	quota '{"cores": 1.25, "memory": "48MiB", "pids": 40}'
	equal "$(field t/a '[.limits[] | select(.limit == "memory.limit" or .limit == "pids") | .actual] | map(tostring) | join(" ")')" "$((48 << 20)) 40"
	quota '{"cores": 0.5}'
	equal "$(ceilings "$D")" "50000 100000 max max"
}

@test "together they get no more CPU than the tenant has; another tenant is not held" {
	vm_only
	local i clients=() before other t0 share used others at
	quota '{"cores": 0.4}' >/dev/null
	for i in t/a t/b u/c; do
		vps exec "$i" -- sh -c 'while :; do :; done' 3>&- &
		clients+=($!)
	done
	throttled() { [ "$(sed -n 's/^nr_throttled //p' "$D/cpu.stat")" -gt 5 ]; }
	await 15 throttled
	look
	before=$used other=$others t0=$at
	sleep 10
	look
	share=$(((used - before) * 1000 / (at - t0))) other=$(((others - other) * 1000 / (at - t0)))
	kill "${clients[@]}"
	wait "${clients[@]}" || true
	echo "# the tenant's two used $share thousandths of a core of 400, the other tenant $other" >&3
	[ "$share" -ge 360 ] && [ "$share" -le 420 ] || fail "$share"
	[ "$other" -gt 500 ] || fail "$other"
}

@test "together they get no more memory than the tenant has; another tenant does not notice" {
	vm_only
	local pid
	quota '{"memory": "56MiB"}' >/dev/null
	pid=$(field u/c .pid)
	# Each by itself stays below its own 64 MiB.
	# shellcheck disable=SC2016 # the guest's shell expands it
	vps exec t/a -- sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo up; sleep 600; echo "$x"' >"$T/hold" 3>&- &
	local client=$!
	await 20 grep -q up "$T/hold"
	# A quota below what is in use is refused, with both figures; the old one stays.
	run quota '{"memory": "8MiB"}'
	[ "$status" -eq 1 ]
	contains "$output" "quota of tenant 't': cannot lower 'memory.limit' to 8MiB: "
	contains "$output" "are in use"
	equal "$(cat "$D/memory.max")" $((56 << 20))
	equal "$(vps tenant show t | jq -r .quota.memory)" 56MiB
	quota '{"memory": "56MiB"}' >/dev/null
	# shellcheck disable=SC2016 # the guest's shell expands it
	inside t/b sh -c 'x=$(head -c 30000000 /dev/zero | tr "\0" x); echo "${#x}"' || true
	[ "$(sed -n 's/^max //p' "$D/memory.events")" -gt 0 ] || fail "$(cat "$D/memory.events")"
	[ "$(cat "$D/memory.current")" -le $((56 << 20)) ]
	kill "$client" 2>/dev/null || true
	wait "$client" || true
	equal "$(field u/c '[.pid, .usage.oom_kills] | map(tostring) | join(" ")')" "$pid 0"
	equal "$(inside u/c echo ok)" ok
}

@test "together they get no more processes than the tenant has; another tenant is not held" {
	vm_only
	local i n
	vps restart --force t/a
	vps restart --force t/b
	quota '{"pids": 50}' >/dev/null
	for i in t/a t/b; do
		# shellcheck disable=SC2016 # the guest's shell expands it
		vps exec "$i" -- sh -c 'n=0; while [ $n -lt 45 ]; do sleep 600 & n=$((n + 1)); done' >/dev/null 2>&1 3>&- || true
	done
	n=$(cat "$D/pids.current")
	[ "$n" -ge 45 ] && [ "$n" -le 50 ] || fail "$n"
	# shellcheck disable=SC2016 # the guest's shell expands it
	inside u/c sh -c 'n=0; while [ $n -lt 30 ]; do sleep 5 & n=$((n + 1)); done; echo $n'
	run quota '{"pids": 20}'
	[ "$status" -eq 1 ]
	contains "$output" "cannot lower 'pids' to 20: "
	contains "$output" "are in use"
	equal "$(cat "$D/pids.max")" 50
	vps restart --force t/a
	vps restart --force t/b
}

@test "what somebody else wrote there does not outlast a restart of vpsd, and kill -9 loses nothing" {
	vm_only
	quota '{"cores": 1.5, "memory": "128MiB", "pids": 120}' >/dev/null
	echo 7 >"$D/pids.max"
	echo max >"$D/memory.max"
	equal "$(held pids '[.effective, .actual]')" '[false,7]'
	contains "$(held memory .reason)" "the kernel holds unlimited in 'memory.max'"
	kill_vpsd KILL
	start_vpsd
	equal "$(ceilings "$D")" "150000 100000 $((128 << 20)) 120"
	equal "$(held pids '[.effective, .actual]')" '[true,120]'
	vps stop --force t/a
	vps stop --force t/b
	vps start t/a
	equal "$(ceilings "$(dirname "$(instance_cgroup t/a)")")" "150000 100000 $((128 << 20)) 120"
	vps start t/b
}
