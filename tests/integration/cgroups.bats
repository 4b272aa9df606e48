#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# cgroups/ against a real kernel, as root, in a directory of its own below the cgroup2 mount. What needs controllers is
# skipped where version 1 holds them; it runs in the virtual machine.

setup() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	P=${O:-build}/tests/cg_probe
	[ -x "$P" ] || { echo "$P is missing: make $P"; return 1; }
	if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
		MNT=/sys/fs/cgroup
	elif [ -d /sys/fs/cgroup/unified ]; then
		MNT=/sys/fs/cgroup/unified
	else
		skip "no cgroup2 mount"
	fi
	R=$MNT/vpsd-test-$$-$BATS_TEST_NUMBER
	T=00000000000000aa I=00000000000000b1 J=00000000000000b2
	D=$R/shared/$T/$I
	before=$(cat $MNT/cgroup.subtree_control)
}

# As tests/vm/stage2 mounts it.
options_back() {
	mount -o remount,nsdelegate,memory_recursiveprot cgroup2 "$MNT"
}

teardown() {
	[ -z "${changed-}" ] || options_back
	[ -n "${R-}" ] && [ -d "$R" ] || return 0
	echo 1 >"$R/cgroup.kill"
	echo 0 >"$R/cgroup.freeze"
	for _ in $(seq 50); do
		grep -q 'populated 0' "$R/cgroup.events" && break
		sleep 0.1
	done
	find "$R" -depth -type d -exec rmdir {} +
	# What we enabled at the top goes again, unless somebody else uses it (EBUSY).
	for c in $(cat $MNT/cgroup.subtree_control); do
		[[ " $before " = *" $c "* ]] || echo "-$c" >$MNT/cgroup.subtree_control 2>/dev/null || true
	done
}

# Limits are there only with these controllers.
need() {
	for c in "$@"; do
		grep -qw "$c" $MNT/cgroup.controllers || skip "no '$c' controller in cgroup v2 here"
	done
}

@test "root: made below the mount, holds no process, others untouched" {
	run "$P" root "$R"
	[ "$status" -eq 0 ]
	[[ "$output" = *"path $R"* ]]
	[ -z "$(cat "$R/cgroup.procs")" ]
	[ -d "$R/shared" ]
	for c in $(cat $MNT/cgroup.controllers); do
		case $c in
		cpu | cpuset | io | memory | pids) grep -qw "$c" "$R/shared/cgroup.subtree_control" ;;
		hugetlb) grep -qw "$c" "$R/cgroup.subtree_control" ;;
		esac
	done
}

@test "root: all missing controllers are named at once" {
	run "$P" root "$R" no-such cpu nor-this
	[ "$status" -eq 1 ]
	[[ "$output" = EOPNOTSUPP:*no-such* ]]
	[[ "$output" = *nor-this* ]]
}

@test "root: paths elsewhere are refused" {
	for path in /tmp/x "$MNT" "$MNT/../x" "$MNT//x" "$MNT/a/../../b" relative; do
		run "$P" root "$path"
		[ "$status" -eq 1 ]
		[[ "$output" = EINVAL:* ]]
	done
}

@test "root: huge pages are bounded to none above all guests" {
	grep -qw hugetlb $MNT/cgroup.controllers || skip "no 'hugetlb' controller"
	"$P" root "$R"
	for f in "$R"/shared/hugetlb.*.max; do
		[ "$(cat "$f")" = 0 ]
	done
}

@test "instance: directories, owners, bounds" {
	"$P" create "$R" $T $I 1000000
	[ "$(stat -c %u:%g "$D/guest")" = 1000000:1000000 ]
	for f in cgroup.procs cgroup.subtree_control cgroup.threads; do
		[ "$(stat -c %u:%g "$D/guest/$f")" = 1000000:1000000 ]
		[ "$(stat -c %u "$D/$f")" = 0 ]
	done
	[ "$(stat -c %u "$D/guest/cgroup.max.descendants")" = 0 ]
	[ "$(stat -c %u "$D/guest/cgroup.freeze")" = 0 ]
	[ "$(cat "$D/guest/cgroup.max.descendants")" = 512 ]
	[ "$(cat "$D/guest/cgroup.max.depth")" = 16 ]
	# Ids are the only names.
	for bad in ../../x 00000000000000AA 1 ''; do
		run "$P" create "$R" "$bad" $I 1000000
		[ "$status" -eq 1 ]
		run "$P" create "$R" $T "$bad" 1000000
		[ "$status" -eq 1 ]
	done
}

@test "instance: leftovers of a stopped guest are removed, a running one is not" {
	"$P" create "$R" $T $I 1000000
	mkdir -p "$D"/guest/{a/b/c/d,system.slice/x.service}
	for i in $(seq 60); do mkdir "$D/guest/a/n$i"; done
	"$P" create "$R" $T $I 2000000
	[ ! -e "$D/guest/a" ]
	[ "$(stat -c %u "$D/guest")" = 2000000 ]
	"$P" spawn "$R" $T $I guest sleep 100
	run "$P" create "$R" $T $I 1000000
	[ "$status" -eq 1 ]
	[[ "$output" = EBUSY:* ]]
	[ "$(stat -c %u "$D/guest")" = 2000000 ]
}

@test "instance: removal waits only as long as asked, and takes an empty tenant along" {
	"$P" create "$R" $T $I 1000000
	"$P" create "$R" $T $J 1065536
	"$P" spawn "$R" $T $I guest sleep 100
	run "$P" remove "$R" $T $I 0
	[[ "$output" = EBUSY:* ]]
	"$P" remove "$R" $T $I 5000 kill
	[ ! -e "$D" ]
	[ -d "$R/shared/$T" ]
	"$P" remove "$R" $T $J 0
	[ ! -e "$R/shared/$T" ]
	# Nothing there is success.
	"$P" remove "$R" $T $J 0
}

@test "walk: finds what is there, and tells what is not ours" {
	"$P" create "$R" $T $I 1000000
	"$P" create "$R" $T $J 1000000
	"$P" spawn "$R" $T $I guest sleep 100
	mkdir "$R/shared/stranger"
	run "$P" walk "$R"
	[ "$status" -eq 0 ]
	[[ "$output" = *"$T/$I ours populated"* ]]
	[[ "$output" = *"$T/$J ours empty"* ]]
	[[ "$output" = *"$T/ ours populated"* ]]
	[[ "$output" = *"stranger/ foreign empty"* ]]
}

@test "freeze, thaw, and kill of a frozen guest leave nothing frozen" {
	"$P" create "$R" $T $I 1000000
	"$P" spawn "$R" $T $I guest sh -c 'while :; do :; done'
	"$P" freeze "$R" $T $I
	grep -q 'frozen 1' "$D/cgroup.events"
	"$P" thaw "$R" $T $I
	grep -q 'frozen 0' "$D/cgroup.events"
	"$P" freeze "$R" $T $I
	"$P" kill "$R" $T $I
	grep -q 'populated 0' "$D/cgroup.events"
	[ "$(cat "$D/cgroup.freeze")" = 0 ]
	# A process born there now runs.
	"$P" spawn "$R" $T $I guest sleep 100
	grep -q 'frozen 0' "$D/cgroup.events"
}

@test "session: a fresh leaf of root's inside, names of others avoided" {
	"$P" create "$R" $T $I 1000000
	mkdir "$D/guest/x-1"
	run "$P" spawn "$R" $T $I session sleep 100
	[[ "$output" = *"session x-2 inside"* ]]
	[ "$(stat -c %u "$D/guest/x-2")" = 0 ]
	run "$P" session-remove "$R" $T $I x-2
	[[ "$output" = EBUSY:* ]]
	"$P" kill "$R" $T $I
	"$P" session-remove "$R" $T $I x-2
	[ ! -e "$D/guest/x-2" ]
	"$P" session-remove "$R" $T $I x-2
}

@test "session: beside the guest when that has used up its descendants" {
	"$P" create "$R" $T $I 1000000
	echo 2 >"$D/guest/cgroup.max.descendants"
	mkdir "$D/guest/one" "$D/guest/two"
	run "$P" spawn "$R" $T $I session sleep 100
	[[ "$output" = *"session x-1 outside"* ]]
	[ -d "$D/x-1" ]
	"$P" kill "$R" $T $I
	"$P" session-remove "$R" $T $I x-1 outside
	[ ! -e "$D/x-1" ]
}

@test "session: beside a guest that made its cgroup threaded" {
	"$P" create "$R" $T $I 1000000
	mkdir "$D/guest/t"
	echo threaded >"$D/guest/t/cgroup.type" || skip "no threaded cgroups here"
	run "$P" spawn "$R" $T $I session sleep 100
	[ "$status" -eq 0 ]
	[[ "$output" = *"session x-1 outside"* ]]
}

@test "devices: default deny, features, replaced without a gap" {
	"$P" create "$R" $T $I 1000000
	run "$P" devices "$R" $T $I 0
	[[ "$output" != EOPNOTSUPP:* && "$output" != EPERM:* ]] || skip "$output"
	[ "$output" = "attached 1" ]
	d=$BATS_TEST_TMPDIR
	# Opened, and made, by a process inside; the result comes back in a file.
	inside() {
		rm -f "$d/out"
		"$P" spawn "$R" $T $I guest sh -c "($1) 2>/dev/null && echo yes >$d/tmp || echo no >$d/tmp; mv $d/tmp $d/out" >/dev/null
		for _ in $(seq 50); do [ -e "$d/out" ] && break; sleep 0.1; done
		cat "$d/out"
	}
	[ "$(inside ': </dev/null && : >/dev/zero && : </dev/urandom')" = yes ]
	mknod "$d/kmsg" c 1 11
	mknod "$d/loop" b 7 0
	mknod "$d/fuse" c 10 229
	[ "$(inside ": <$d/kmsg")" = no ]
	[ "$(inside ": <$d/loop")" = no ]
	[ "$(inside ": <$d/fuse")" = no ]
	[ "$(inside "mknod $d/null c 1 3")" = no ]
	# The same again, then another: there is one program all the time.
	run "$P" devices "$R" $T $I 0
	[ "$output" = "attached 1" ]
	run "$P" devices "$R" $T $I 1
	[ "$output" = "attached 1" ]
	if [ -c /dev/fuse ]; then [ "$(inside ": <$d/fuse")" = yes ]; fi
	[ "$(inside ": <$d/kmsg")" = no ]
}

@test "stats: what is there is read, what is not is flagged" {
	"$P" create "$R" $T $I 1000000
	"$P" spawn "$R" $T $I guest sleep 100
	run "$P" stats "$R" $T $I
	[ "$status" -eq 0 ]
	[[ "$output" = *"populated 1"* ]]
	[[ "$output" = *"frozen 0"* ]]
	need memory pids
	[[ "$output" = *"pids 1"* ]]
	[[ "$output" != *"memory 0"* ]]
}

@test "limits: unsupported ones are said, not assumed" {
	! grep -qw memory $MNT/cgroup.controllers || skip "this kernel has them all"
	run "$P" create "$R" $T $I 1000000 1500 25 67108864 33554432 0 512
	[ "$status" -eq 0 ]
	[[ "$output" = *"memory.limit not configured=67108864 actual=-1 the 'memory' controller"* ]]
}

@test "limits: written, read back, tightest of the chain" {
	need cpu memory pids
	run "$P" create "$R" $T $I 1000000 1500 25 67108864 33554432 0 512
	[ "$status" -eq 0 ]
	[[ "$output" = *"cpu.cores effective configured=1500 actual=1500"* ]]
	[[ "$output" = *"pids effective configured=512 actual=512"* ]]
	[ "$(cat "$D/cpu.max")" = "150000 100000" ]
	[ "$(cat "$D/cpu.weight")" = 25 ]
	[ "$(cat "$D/memory.max")" = 67108864 ]
	[ "$(cat "$D/memory.min")" = 33554432 ]
	[ "$(cat "$D/memory.swap.max")" = 0 ]
	[ "$(cat "$D/memory.oom.group")" = 0 ]
	[ "$(cat "$D/pids.max")" = 512 ]
	for c in cpu memory pids; do grep -qw $c "$D/guest/cgroup.controllers"; done
	# The tenant's ceiling is lower.
	"$P" tenant "$R" $T $I 500 1 max 0 max 100
	run "$P" read "$R" $T $I
	[[ "$output" = *"cpu.cores effective configured=1500 actual=500"* ]]
	[[ "$output" = *"pids effective configured=512 actual=100"* ]]
}

@test "limits: a refused value leaves everything as it was" {
	need cpu memory pids
	"$P" create "$R" $T $I 1000000 1500 25 67108864 33554432 0 512
	run "$P" apply "$R" $T $I 0 3000 50 134217728 67108864 0 99999999
	[ "$status" -eq 1 ]
	[[ "$output" = EINVAL:*pids* ]]
	[ "$(cat "$D/cpu.max")" = "150000 100000" ]
	[ "$(cat "$D/cpu.weight")" = 25 ]
	[ "$(cat "$D/memory.max")" = 67108864 ]
	[ "$(cat "$D/memory.min")" = 33554432 ]
	[ "$(cat "$D/pids.max")" = 512 ]
}

@test "limits: memory is not taken below its use, unless forced" {
	need memory
	"$P" create "$R" $T $I 1000000 max 100 536870912 0 0 max
	"$P" spawn "$R" $T $I guest sh -c 'x=$(head -c 60000000 /dev/zero | tr "\0" x); sleep 100; echo "$x"'
	for _ in $(seq 300); do
		[ "$(awk '/^anon /{print $2}' "$D/memory.stat")" -gt 55000000 ] && break
		sleep 0.1
	done
	run "$P" apply "$R" $T $I 0 max 100 16777216 0 0 max
	[ "$status" -eq 1 ]
	[[ "$output" = EBUSY:*16MiB* ]]
	[ "$(cat "$D/memory.max")" = 536870912 ]
	run "$P" apply "$R" $T $I 1 max 100 16777216 0 0 max
	[ "$status" -eq 0 ]
	[ "$(cat "$D/memory.max")" = 16777216 ]
	run "$P" stats "$R" $T $I
	[[ "$output" != *"oom_kill 0"* ]]
}

@test "sums: ancestors carry what lies below" {
	need cpu memory
	"$P" create "$R" $T $I 1000000 max 25 max 33554432 0 max
	"$P" create "$R" $T $J 1065536 max 300 max 67108864 0 max
	"$P" create "$R" 00000000000000bb $J 1131072 max 50 max 4096 0 max
	[ "$(cat "$R/shared/$T/memory.min")" = 100663296 ]
	[ "$(cat "$R/shared/$T/cpu.weight")" = 325 ]
	[ "$(cat "$R/shared/memory.min")" = 100667392 ]
	[ "$(cat "$R/memory.min")" = 100667392 ]
	[ "$(cat "$R/cpu.weight")" = 375 ]
	"$P" apply "$R" $T $J 0 max 100 max 33554432 0 max
	[ "$(cat "$R/shared/$T/memory.min")" = 67108864 ]
	[ "$(cat "$R/shared/$T/cpu.weight")" = 125 ]
	"$P" remove "$R" $T $I 0
	[ "$(cat "$R/shared/$T/memory.min")" = 33554432 ]
	[ "$(cat "$R/shared/$T/cpu.weight")" = 100 ]
	"$P" remove "$R" $T $J 0
	[ "$(cat "$R/memory.min")" = 4096 ]
	# Never above what the file takes, and right again afterwards.
	"$P" create "$R" $T $I 1000000 max 9000 max 0 0 max
	"$P" create "$R" $T $J 1065536 max 9000 max 0 0 max
	[ "$(cat "$R/shared/$T/cpu.weight")" = 10000 ]
	"$P" remove "$R" $T $I 0
	[ "$(cat "$R/shared/$T/cpu.weight")" = 9000 ]
}

@test "options: nsdelegate and memory_recursiveprot can be turned on, others stay" {
	[ "$(hostname)" = vpsd-test ] || skip "changes the whole host: only in the virtual machine"
	# Named with the source, mount(8) keeps nothing of the old options; without, it adds to them, and
	# memory_localevents would go on for all that is run behind this.
	changed=yes
	mount -o remount,memory_localevents cgroup2 "$MNT"
	run "$P" root "$R"
	[[ "$output" != *nsdelegate* && "$output" != *memory_recursiveprot* ]]
	"$P" options "$R"
	run "$P" root "$R"
	[[ "$output" = *nsdelegate* && "$output" = *memory_recursiveprot* && "$output" = *memory_localevents* ]]
	options_back
	run "$P" root "$R"
	[[ "$output" = *nsdelegate* && "$output" = *memory_recursiveprot* && "$output" != *memory_localevents* ]]
}

@test "disk limits: written for the disk under a directory, read back, undone when one is refused" {
	need io
	export DISK=/var/lib/vpsd
	dev=$(cat "/sys/class/block/$(findmnt -no SOURCE --target $DISK | sed 's,^/dev/,,')/dev")
	run "$P" create "$R" $T $I 1000000 max 100 max 0 max max 0 max 1048576 max max 50
	[ "$status" -eq 0 ]
	[[ "$output" = *"disk.read effective configured=1048576 actual=1048576"* ]]
	[[ "$output" = *"disk.write effective configured=-1 actual=-1"* ]]
	[ "$(cat "$D/io.max")" = "$dev rbps=1048576 wbps=max riops=max wiops=50" ]
	# The last one is out of range; what stood before it is put back.
	run "$P" apply "$R" $T $I 0 max 100 max 0 max max 0 max 2097152 4096 7 4294967295
	[ "$status" -eq 1 ]
	[[ "$output" = ERANGE:*disk.write_iops* ]]
	[ "$(cat "$D/io.max")" = "$dev rbps=1048576 wbps=max riops=max wiops=50" ]
	# The kernel's own refusal.
	run "$P" apply "$R" $T $I 0 max 100 max 0 max max 0 max 2097152 max max 1
	[ "$status" -eq 1 ]
	[[ "$output" = EINVAL:*disk.write_iops* ]]
	[ "$(cat "$D/io.max")" = "$dev rbps=1048576 wbps=max riops=max wiops=50" ]
	"$P" apply "$R" $T $I 0
	[ "$(cat "$D/io.max")" = "" ]
}

@test "disk limits: of a partition they are the whole disk's, of a tmpfs there are none" {
	need io
	[ "$(hostname)" = vpsd-test ] || skip "makes a disk with partitions: only in the virtual machine"
	modprobe loop
	truncate -s 64M "$BATS_TEST_TMPDIR/disk"
	# A partition table by hand: one of Linux, 98304 sectors from 2048 on.
	printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\200\001\0' | dd of="$BATS_TEST_TMPDIR/disk" bs=1 seek=446 conv=notrunc status=none
	printf '\125\252' | dd of="$BATS_TEST_TMPDIR/disk" bs=1 seek=510 conv=notrunc status=none
	loop=$(losetup -P --show -f "$BATS_TEST_TMPDIR/disk")
	mkfs.ext4 -q "${loop}p1"
	mkdir "$BATS_TEST_TMPDIR/mnt"
	mount "${loop}p1" "$BATS_TEST_TMPDIR/mnt"
	whole=$(cat "/sys/class/block/${loop#/dev/}/dev")
	DISK=$BATS_TEST_TMPDIR/mnt run "$P" create "$R" $T $I 1000000 max 100 max 0 max max 0 max 1048576
	umount "$BATS_TEST_TMPDIR/mnt"
	losetup -d "$loop"
	[ "$status" -eq 0 ]
	[[ "$output" = *"disk.read effective configured=1048576 actual=1048576"* ]]
	[ "$(cat "$D/io.max")" = "$whole rbps=1048576 wbps=max riops=max wiops=max" ]
	DISK=/dev/shm run "$P" apply "$R" $T $I 0 max 100 max 0 max max 0 max 1048576
	[ "$status" -eq 0 ]
	[[ "$output" = *"disk.read not configured=1048576 actual=-1 the file system of the instances, tmpfs, names no disk"* ]]
}
