#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits of the disk under the pool: written for the whole disk, read back, held; refused by name where they cannot be.
load lib

MiB=1048576

disk_plan() {
	add_plan "$1" ".disk += $2"
}

setup_file() {
	host_up
	disk_plan held '{"read": "1MiB/s", "write": "1MiB/s"}'
	disk_plan weighty '{"weight": 300}'
	disk_plan heavy '{"weight": 5000}'
	vps apply "$T/docs" >/dev/null
	[ "$MODE" = vm ] || return 0
	vps create t/a --plan held --image busybox --quiet
	make_instance t/b
	C=$(instance_cgroup t/a)
	# The state disk of the virtual machine, and the name that io.max has for it.
	DISK=$(findmnt -no SOURCE --target "$T" | sed 's,^/dev/,,')
	DEV=$(cat "/sys/class/block/$DISK/dev")
	export C DISK DEV
}

teardown_file() {
	[ "$MODE" != vm ] || schedule none
	host_down
}

limit() {
	field "$1" ".limits[] | select(.limit == \"$2\") | .$3"
}

# The kernel lists no disk without a limit.
io_max() {
	sed -n "s/^$DEV //p" "$1/io.max"
}

# stat_of CGROUP KEY: bytes or operations on the disk so far.
stat_of() {
	sed -n "s/^$DEV .*$2=\([0-9]*\).*/\1/p" "$1/io.stat"
}

# rate_of CGROUP KEY SECONDS: per second, while that time goes by.
rate_of() {
	local t0 t1 n0 n1
	t0=$(date +%s%N) n0=$(stat_of "$1" "$2")
	sleep "$3"
	t1=$(date +%s%N) n1=$(stat_of "$1" "$2")
	echo $(((n1 - n0) * 1000000000 / (t1 - t0)))
}

# near VALUE WANTED: within 10 %.
near() {
	[ "$1" -ge $(($2 * 90 / 100)) ] && [ "$1" -le $(($2 * 110 / 100)) ] || fail "$1, expected about $2"
}

# moves CGROUP KEY: operations have begun.
moves() {
	[ "$(stat_of "$1" "$2")" -gt "$3" ]
}

# busy T/N COMMAND: runs it inside again and again, until idle.
busy() {
	vps exec "$1" -- sh -c "while :; do $2; done" >/dev/null 2>&1 3>&- &
	CLIENT=$!
}

idle() {
	kill "$CLIENT"
	wait "$CLIENT" || true
}

change() {
	jq -n --argjson disk "$1" '{tenant: "t", instances: [{name: "a", plan: "held", image: "busybox", overrides: {disk: $disk}}]}' >"$T/change.json"
	vps apply --take-over "$T/change.json" >/dev/null
}

schedule() {
	echo "$1" >"/sys/block/$DISK/queue/scheduler"
}

@test "where the host cannot hold them they are refused by name, and tolerated by name" {
	host_only "the virtual machine has the io controller"
	run vps create t/no --plan held --image busybox
	[ "$status" -eq 1 ]
	contains "$output" "this host cannot enforce disk.read, disk.write (the host has no io controller)"
	contains "$output" '"tolerate_unsupported": ["disk.*"]'
	run vps create t/no --plan weighty --image busybox
	contains "$output" "disk.weight (the host has no io controller)"
	host_document '.tolerate_unsupported += ["disk.read", "disk.write"]'
	kill_vpsd TERM
	start_vpsd
	vps create t/some --plan held --image busybox --quiet
	equal "$(limit t/some disk.write configured) $(limit t/some disk.write effective)" "$MiB false"
	contains "$(limit t/some disk.write reason)" "the 'io' controller is not available"
	equal "$(field t/some '[.unsupported[].item] | join(" ")' | grep -o 'disk[.a-z]*' | xargs)" "disk.read disk.write"
	vps info t/some | grep -Eq '^disk.write +1MiB/s +- +no '
	# Only these.
	run vps create t/no --plan weighty --image busybox
	[ "$status" -eq 1 ]
}

@test "io.max is what the plan says, for the whole disk, and shown as effective" {
	vm_only
	equal "$(io_max "$C")" "rbps=$MiB wbps=$MiB riops=max wiops=max"
	local name
	for name in disk.read disk.write disk.read_iops disk.write_iops; do
		equal "$name $(limit t/a "$name" effective)" "$name true"
		equal "$(limit t/a "$name" configured)" "$(limit t/a "$name" actual)"
	done
	equal "$(limit t/a disk.write actual) $(limit t/a disk.write_iops actual)" "$MiB null"
	equal "$(field t/a '.unsupported | length')" 0
	# A guest without limits does not make the disk count its requests.
	equal "$(io_max "$(instance_cgroup t/b)")" ""
	for name in disk.read disk.write disk.read_iops disk.write_iops; do
		equal "$(vps host --json | jq --arg n "$name" '.support[] | select(.item == $n) | .supported')" true
	done
}

@test "a guest cannot raise them" {
	vm_only
	run inside t/a sh -c "echo '$DEV wbps=max' >/sys/fs/cgroup/io.max"
	[ "$status" -ne 0 ]
	equal "$(io_max "$C")" "rbps=$MiB wbps=$MiB riops=max wiops=max"
}

@test "what it writes is held at the rate within 10 %, its neighbour is not; a live change takes effect on both ways" {
	vm_only
	local b rate pid before
	pid=$(field t/a .pid) b=$(instance_cgroup t/b)
	before=$(stat_of "$C" wbytes)
	busy t/a "dd if=/dev/zero of=/w bs=64k count=1000 oflag=direct"
	await 30 moves "$C" wbytes $((${before:-0} + MiB))
	rate=$(rate_of "$C" wbytes 10)
	echo "# written $rate bytes a second of $MiB" >&3
	near "$rate" $MiB
	CLIENT_A=$CLIENT
	before=$(stat_of "$b" wbytes)
	busy t/b "dd if=/dev/zero of=/w bs=64k count=100 oflag=direct"
	await 30 moves "$b" wbytes $((${before:-0} + MiB))
	rate=$(rate_of "$b" wbytes 5)
	echo "# the neighbour wrote $rate bytes a second meanwhile" >&3
	[ "$rate" -gt $((2 * MiB)) ] || fail "$rate"
	idle
	CLIENT=$CLIENT_A
	change '{"write": "3MiB/s"}'
	equal "$(io_max "$C")" "rbps=$MiB wbps=$((3 * MiB)) riops=max wiops=max"
	equal "$(limit t/a disk.write actual)" $((3 * MiB))
	# What had gathered under the old rate goes first.
	sleep 4
	rate=$(rate_of "$C" wbytes 10)
	echo "# after the change: $rate bytes a second of $((3 * MiB))" >&3
	near "$rate" $((3 * MiB))
	change '{"write": null, "write_iops": 100}'
	equal "$(io_max "$C")" "rbps=$MiB wbps=max riops=max wiops=100"
	sleep 2
	rate=$(rate_of "$C" wios 10)
	echo "# operations: $rate a second of 100" >&3
	near "$rate" 100
	idle
	equal "$(field t/a .pid)" "$pid"
	change '{}'
}

@test "what it reads is held at the rate within 10 %" {
	vm_only
	local rate before
	inside t/a dd if=/dev/zero of=/r bs=64k count=32 oflag=direct 2>/dev/null
	before=$(stat_of "$C" rbytes)
	busy t/a "dd if=/r of=/dev/null bs=64k iflag=direct"
	await 30 moves "$C" rbytes $((${before:-0} + MiB))
	rate=$(rate_of "$C" rbytes 10)
	idle
	echo "# read $rate bytes a second of $MiB" >&3
	near "$rate" $MiB
}

@test "they hold over a restart of the instance and of vpsd" {
	vm_only
	change '{"write": "2MiB/s"}'
	kill_vpsd KILL
	start_vpsd
	equal "$(limit t/a disk.write actual)" $((2 * MiB))
	vps restart --force t/a
	equal "$(io_max "$C")" "rbps=$MiB wbps=$((2 * MiB)) riops=max wiops=max"
	# What somebody else took away is shown.
	echo "$DEV wbps=max" >"$C/io.max"
	equal "$(limit t/a disk.write effective) $(limit t/a disk.write reason)" "false the kernel holds unlimited in 'io.max'"
	vps restart --force t/a
	equal "$(limit t/a disk.write effective)" true
}

@test "a weight that nothing heeds is refused by name, with what would make it heeded" {
	vm_only
	schedule none
	run vps create t/w --plan weighty --image busybox
	[ "$status" -eq 1 ]
	contains "$output" "cannot enforce disk.weight (nothing on $DISK heeds weights: its scheduler is none, not bfq, and io.cost.qos does not enable"
	equal "$(limit t/a disk.weight effective)" false
	contains "$(limit t/a disk.weight reason)" "nothing on $DISK heeds weights"
}

@test "a weight takes effect through io.cost, and no longer when that is switched off" {
	vm_only
	local w
	echo "$DEV enable=1" >/sys/fs/cgroup/io.cost.qos
	equal "$(vps host --json | jq '.support[] | select(.item == "disk.weight") | .supported')" true
	vps create t/w --plan weighty --image busybox --quiet
	w=$(instance_cgroup t/w)
	equal "$(head -n 1 "$w/io.weight")" "default 300"
	equal "$(limit t/w disk.weight effective) $(limit t/w disk.weight actual)" "true 300"
	echo "$DEV enable=0" >/sys/fs/cgroup/io.cost.qos
	equal "$(limit t/w disk.weight effective)" false
	contains "$(limit t/w disk.weight reason)" "nothing on $DISK heeds weights"
	drop_instance t/w
}

@test "a weight takes effect through bfq, within its range" {
	vm_only
	modprobe bfq || skip "no bfq"
	schedule bfq
	vps create t/w --plan weighty --image busybox --quiet
	equal "$(head -n 1 "$(instance_cgroup t/w)/io.bfq.weight")" "default 300"
	equal "$(limit t/w disk.weight effective) $(limit t/w disk.weight actual)" "true 300"
	run vps create t/heavy --plan heavy --image busybox
	[ "$status" -eq 1 ]
	contains "$output" "disk.weight 5000 is more than the scheduler of $DISK takes, 1000"
	schedule none
	drop_instance t/w
}

@test "a weight beyond what the disk's new scheduler takes is held as far as that goes, shown, and in the way of nothing else" {
	vm_only
	local w
	modprobe bfq || skip "no bfq"
	echo "$DEV enable=1" >/sys/fs/cgroup/io.cost.qos
	vps create t/w --plan heavy --image busybox --quiet
	w=$(instance_cgroup t/w)
	equal "$(head -n 1 "$w/io.weight")" "default 5000"
	schedule bfq
	vps set t/w pids=70 >/dev/null
	equal "$(cat "$w/pids.max") $(head -n 1 "$w/io.bfq.weight")" "70 default 1000"
	equal "$(limit t/w disk.weight configured) $(limit t/w disk.weight effective) $(limit t/w disk.weight actual)" "5000 false 1000"
	contains "$(limit t/w disk.weight reason)" "more than 'io.bfq.weight' of this disk takes: the kernel holds 1000"
	run vps set t/w disk.weight=5001
	[ "$status" -eq 1 ]
	contains "$output" "disk.weight 5001 is more than the scheduler of $DISK takes, 1000"
	schedule none
	echo "$DEV enable=0" >/sys/fs/cgroup/io.cost.qos
	vps set t/w pids=71 >/dev/null
	equal "$(cat "$w/pids.max")" 71
	drop_instance t/w
}
