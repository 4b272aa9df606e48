#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What keeps a guest inside, as seen on guests that the daemon started: ids, namespaces, mounts, devices, system
# calls, capabilities, limits of processes. Its root is assumed to be hostile.
load lib

setup_file() {
	host_up
	make_instance t/a
	make_instance t/b
	local helper
	for helper in guest_check syscalls; do
		[ -x "$HELPERS/$helper" ] || fail "$HELPERS/$helper is missing: make helpers"
		put_inside t/a "/bin/$helper" <"$HELPERS/$helper"
	done
}

teardown_file() {
	host_down
}

# Of the init, as the host sees it.
init_file() {
	cat "/proc/$(field "$1" .pid)/$2"
}

init_status() {
	init_file "$1" status | sed -n "s/^$2:[[:space:]]*//p" | tr '\t' ' '
}

@test "each has 65536 user ids of its own, never the host's" {
	local a b
	a=$(field t/a .ids.base) b=$(field t/b .ids.base)
	[ "$a" -ge 100065536 ] # the first range belongs to jobs
	[ $((a % 65536)) -eq $((100000000 % 65536)) ]
	[ $((a - b)) -ge 65536 ] || [ $((b - a)) -ge 65536 ]
	equal "$(init_file t/a uid_map | xargs)" "0 $a 65536"
	equal "$(init_file t/a gid_map | xargs)" "0 $a 65536"
	equal "$(init_status t/a Uid)" "$a $a $a $a"
	equal "$(init_status t/a Gid)" "$a $a $a $a"
	equal "$(init_status t/a Groups | xargs)" ""
}

@test "every process of a guest, and each session, has a uid of its range" {
	vps exec t/a -- sleep 100 3>&- &
	local client=$! base pid uid n=0
	await 10 runs_inside t/a 'sleep 100'
	base=$(field t/a .ids.base)
	while read -r pid; do
		uid=$(stat -c %u "/proc/$pid") || continue
		[ "$uid" -ge "$base" ] && [ "$uid" -lt $((base + 65536)) ] || fail "process $pid has uid $uid"
		n=$((n + 1))
	done < <(find "$(instance_cgroup t/a)" -name cgroup.procs -exec cat {} +)
	[ "$n" -ge 2 ]
	kill "$client"
	wait "$client" || true
}

@test "the user namespace is owned by the instance's base uid" {
	[ -x "$HELPERS/userns_owner" ] || skip "no helper userns_owner"
	equal "$("$HELPERS/userns_owner" "$(field t/a .pid)")" "$(field t/a .ids.base)"
}

@test "every namespace is its own" {
	local ns a b
	a=$(field t/a .pid) b=$(field t/b .pid)
	for ns in mnt pid net ipc uts user cgroup time; do
		[ "$(readlink "/proc/$a/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ] || fail "$ns is the host's"
		[ "$(readlink "/proc/$a/ns/$ns")" != "$(readlink "/proc/$b/ns/$ns")" ] || fail "$ns is shared"
	done
}

@test "it sees its own processes and its own part of the cgroup tree only" {
	equal "$(inside t/a cat /proc/self/cgroup | grep -c '\.\.')" 0
	[[ $(inside t/a cat /proc/1/cgroup) != *"$(field t/a .id)"* ]]
	[ "$(inside t/a sh -c 'ls -d /proc/[0-9]* | wc -l')" -lt 12 ]
	run inside t/a kill -0 "$(field t/b .pid)"
	[ "$status" -ne 0 ]
}

@test "only a loopback is there, and it is up" {
	equal "$(inside t/a ls /sys/class/net)" lo
	contains "$(inside t/a ip addr show lo)" UP
	equal "$(inside t/a sh -c 'ping -c 1 -w 5 127.0.0.1 >/dev/null && echo ok')" ok
}

@test "the host's mount table keeps nothing of it" {
	equal "$(grep -c -e "$(field t/a .id)" -e "upperdir=" /proc/self/mountinfo)" \
		"$(grep -c 'upperdir=' /proc/1/mountinfo)"
}

@test "the root file system is an overlay whose lower layer is read-only and shared" {
	contains "$(inside t/a grep ' / / ' /proc/self/mountinfo)" overlay
	equal "$(inside t/a stat -c %u:%g /bin/busybox)" 0:0
	inside t/a rm /bin/busybox
	equal "$(inside t/b /bin/busybox echo ok)" ok
	vps restart --force t/a >/dev/null 2>&1 || true
	drop_instance t/a
	make_instance t/a
	local helper
	for helper in guest_check syscalls; do
		put_inside t/a "/bin/$helper" <"$HELPERS/$helper"
	done
	equal "$(inside t/a /bin/busybox echo ok)" ok
	# On the host the files of its root belong to the base uid, or to its number on disk.
	inside t/a touch /root/mine
	local uid
	uid=$(stat -c %u "$(instance_dir t/a)/fs/upper/root/mine")
	[ "$uid" -ne "$(id -u)" ] || equal "$(stat -c %a "$T/state/pool")" 700
}

@test "no mount can be unmounted, moved or remounted, also from new namespaces" {
	run inside t/a guest_check mounts
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" held
}

@test "no fresh proc, sysfs or disk can be mounted around the masks" {
	run inside t/a guest_check fresh
	[ "$status" -eq 0 ] || fail "$output"
}

@test "masked paths show nothing and take nothing" {
	run inside t/a guest_check masked /proc/kcore /proc/keys /proc/key-users /proc/kallsyms /proc/timer_list \
		/proc/sysrq-trigger /proc/iomem /proc/kmsg /proc/acpi /proc/scsi /sys/firmware /sys/kernel/debug \
		/sys/kernel/tracing /sys/kernel/security /sys/fs/bpf /sys/module /sys/devices/virtual/powercap
	[ "$status" -eq 0 ] || fail "$output"
	run inside t/a sh -c 'echo 1 >/proc/irq/default_smp_affinity'
	[ "$status" -ne 0 ]
	run inside t/a sh -c 'echo x >/proc/sys/kernel/core_pattern'
	[ "$status" -ne 0 ]
	run inside t/a mkdir /sys/x
	[ "$status" -ne 0 ]
}

@test "device nodes cannot be made, and those of the host not be opened" {
	run inside t/a guest_check mknod
	[ "$status" -eq 0 ] || fail "$output"
	equal "$(inside t/a ls /dev | xargs)" "$(inside t/b ls /dev | xargs)"
	inside t/a sh -c 'echo x >/dev/null && head -c 1 /dev/zero >/dev/null && head -c 1 /dev/urandom >/dev/null'
	local node
	for node in kmsg mem port sda vda nvme0n1 kvm fuse loop0 loop-control; do
		run inside t/a test -e "/dev/$node"
		[ "$status" -ne 0 ] || fail "/dev/$node is there"
	done
}

@test "the device program denies by default" {
	vm_only "the other fence of devices"
	# As the host's own root in the guest's cgroup: even it does not open what is not on the list.
	local cgroup
	cgroup=$(instance_cgroup t/a)/guest
	mkdir "$cgroup/probe"
	mknod "$T/kmsg" c 1 11
	# Where the node is can it be opened: it is the program that says no.
	: <"$T/kmsg"
	run bash -c "echo \$\$ >'$cgroup/probe/cgroup.procs' && : </dev/null && ! : <'$T/kmsg'" 3>&-
	rmdir "$cgroup/probe"
	[ "$status" -eq 0 ]
}

@test "system calls: unknown ones do not exist, dangerous ones are denied, servers' ones work" {
	run inside t/a syscalls
	[ "$status" -eq 0 ] || fail "$output"
}

@test "init and sessions run under the filter, without new privileges to gain from it" {
	equal "$(init_status t/a Seccomp)" 2
	equal "$(inside t/a sed -n 's/^Seccomp:[^0-9]*//p' /proc/self/status)" 2
}

@test "capabilities are bounded; in the bounding set and in effect" {
	local set mask
	# CAP_SYS_MODULE 16, SYS_RAWIO 17, SYS_TIME 25, MAC_OVERRIDE 32, MAC_ADMIN 33, SYSLOG 34, PERFMON 38, BPF 39
	mask=$((1 << 16 | 1 << 17 | 1 << 25 | 1 << 32 | 1 << 33 | 1 << 34 | 1 << 38 | 1 << 39))
	for set in CapBnd CapEff CapPrm; do
		equal $((16#$(init_status t/a $set) & mask)) 0
		equal $((16#$(inside t/a sed -n "s/^$set:[^0-9a-f]*//p" /proc/self/status) & mask)) 0
	done
	# What a server needs is there: chown, net_admin, sys_admin over its own namespaces.
	[ $((16#$(init_status t/a CapEff) & (1 | 1 << 12 | 1 << 21))) -eq $((1 | 1 << 12 | 1 << 21)) ]
}

@test "no fd of the host is open in it" {
	local pid target
	pid=$(field t/a .pid)
	for target in "/proc/$pid/fd/"*; do
		target=$(readlink "$target") || continue
		[[ $target == /dev/console || $target == /dev/null || $target == /sbin/init || $target == /dev/pts/* ]] ||
			fail "init has $target"
	done
	equal "$(inside t/a sh -c 'ls /proc/self/fd | wc -l')" 4
}

@test "the environment is the instance's own" {
	run init_file t/a environ
	output=$(tr '\0' '\n' < <(init_file t/a environ))
	contains "$output" container=vpsd
	[[ $output != *VPS_TEST* ]]
	[[ $output != *BATS* ]]
}

@test "an image cannot lend its files to the host: setuid bits and owners stay inside" {
	inside t/a sh -c 'cp /bin/busybox /root/su && chmod 4755 /root/su'
	local file
	file=$(instance_dir t/a)/fs/upper/root/su
	[ -e "$file" ]
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$file" id -u
	[ "$status" -ne 0 ]
}

# least A B: of two limits.
least() {
	printf '%s\n' "$@" | sed 's/unlimited/18446744073709551615/' | sort -n | sed 's/18446744073709551615/unlimited/; q'
}

# What a guest's process may, as /proc/PID/limits says it. A hard limit that the keeper was started with is kept
# only where it has no CAP_SYS_RESOURCE (bit 24).
LIMITS="cpu time:unlimited:unlimited file size:unlimited:unlimited data size:unlimited:unlimited
stack size:8388608:unlimited core file size:0:unlimited resident set:unlimited:unlimited
processes:unlimited:unlimited open files:1024:524288 locked memory:8388608:8388608
address space:unlimited:unlimited file locks:unlimited:unlimited pending signals:65536:65536
msgqueue size:819200:819200 nice priority:0:0 realtime priority:0:0 realtime timeout:unlimited:unlimited"

@test "all limits of processes are set, none inherited" {
	local keeper
	vps stop --force t/a
	vps stop --force t/b
	keeper=$(keeper_pid)
	kill_vpsd TERM
	kill "$keeper"
	await 20 dead "$keeper"
	# A vpsd with other limits, and with it a keeper of its own, which is the parent of all guests.
	(
		ulimit -S -n 300
		ulimit -S -s 1024
		ulimit -S -f 5000000
		ulimit -S -q 4096
		ulimit -c 0
		ulimit -l 64
		start_vpsd
	)
	[ "$(keeper_pid)" != "$keeper" ]
	vps start t/a
	equal "$(sed -n 's/^Max stack size  *\([0-9]*\) .*/\1/p' "/proc/$(keeper_pid)/limits")" 1048576
	local pid row name soft hard
	pid=$(field t/a .pid)
	inside t/a cat /proc/self/limits >"$T/session.limits"
	cat "/proc/$(keeper_pid)/limits" >"$T/keeper.limits"
	while IFS=: read -r name soft hard; do
		for row in "/proc/$pid/limits" "$T/session.limits"; do
			read -r have_soft have_hard _ < <(sed -n "s/^Max $name  *//p" "$row")
			if ! ((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1)); then
				hard=$(least "$hard" "$(sed -n "s/^Max $name  *[^ ]*  *\([^ ]*\) .*/\1/p" "$T/keeper.limits")")
				soft=$(least "$soft" "$hard")
			fi
			equal "$name $have_soft $have_hard" "$name $soft $hard"
		done
	done < <(sed 's/\([a-z0-9]*:[a-z0-9]*\) /\1\n/g' <<<"$LIMITS")
}
