#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What no plan sells and every guest could take without end: cgroups, memory file systems, per-user counts, huge pages.
load lib

setup_file() {
	host_up
	make_instance t/a
	make_instance t/b
	local guest
	[ -x "$HELPERS/ceilings" ] || fail "$HELPERS/ceilings is missing: make helpers"
	for guest in t/a t/b; do
		put_inside "$guest" /bin/ceilings <"$HELPERS/ceilings"
	done
	C=$(instance_cgroup t/a)
	export C
}

teardown_file() {
	host_down
}

# --- cgroups -----------------------------------------------------------------------------------------

@test "cgroups: a guest that makes them without end stops at the number, and nobody else notices" {
	local made
	equal "$(cat "$C/guest/cgroup.max.descendants" "$C/cgroup.max.descendants" | xargs)" "512 640"
	# shellcheck disable=SC2016 # the guest's shell expands it
	made=$(inside t/a sh -c 'n=0; while [ $n -lt 2000 ] && mkdir /sys/fs/cgroup/n$n 2>/dev/null; do n=$((n + 1)); done; echo $n')
	# The session that makes them has one.
	[ "$made" -ge 500 ] && [ "$made" -le 512 ] || fail "$made"
	equal "$(find "$C/guest" -mindepth 1 -maxdepth 1 -name 'n*' -type d | wc -l)" "$made"
	inside t/b mkdir /sys/fs/cgroup/one
	inside t/b rmdir /sys/fs/cgroup/one
	# The operator gets in all the same, and the guest starts again without them.
	equal "$(inside t/a echo ok)" ok
	vps restart --force t/a
	equal "$(find "$C/guest" -mindepth 1 -maxdepth 1 -name 'n*' -type d | wc -l)" 0
}

@test "cgroups: a guest that nests them without end stops at the depth" {
	local depth
	equal "$(cat "$C/guest/cgroup.max.depth" "$C/cgroup.max.depth" | xargs)" "16 18"
	# shellcheck disable=SC2016 # the guest's shell expands it
	depth=$(inside t/a sh -c 'cd /sys/fs/cgroup; n=0; while [ $n -lt 100 ] && mkdir d 2>/dev/null; do cd d; n=$((n + 1)); done; echo $n')
	equal "$depth" 16
	vps restart --force t/a
}

@test "cgroups: a guest cannot raise the bounds" {
	local file
	for file in cgroup.max.descendants cgroup.max.depth; do
		run inside t/a sh -c "echo max >/sys/fs/cgroup/$file"
		[ "$status" -ne 0 ] || fail "$file"
	done
	equal "$(cat "$C/guest/cgroup.max.descendants" "$C/guest/cgroup.max.depth" | xargs)" "512 16"
}

# --- memory file systems -------------------------------------------------------------------------------

@test "tmpfs: each has a size and a number of files" {
	local row
	for row in /dev:4:4096 /dev/shm:64:100000 /run:64:100000; do
		IFS=: read -r path mib inodes <<<"$row"
		equal "$path $(inside t/a stat -f -c '%T %S %b %c' "$path")" "$path tmpfs 4096 $((mib * 256)) $inodes"
	done
	# There is no other.
	equal "$(inside t/a awk '$3 == "tmpfs" && $4 !~ /(^|,)ro(,|$)/ { print $2 }' /proc/mounts | sort | xargs)" "/dev /dev/shm /run"
}

@test "tmpfs: a full one takes no more bytes and no more files, and cannot be made larger" {
	run inside t/a dd if=/dev/zero of=/dev/full-up bs=64k count=1000
	[ "$status" -ne 0 ]
	contains "$output" "No space left on device"
	[ "$(inside t/a stat -c %s /dev/full-up)" -le $((4 << 20)) ]
	inside t/a rm /dev/full-up
	# shellcheck disable=SC2016 # the guest's shell expands it
	run inside t/a sh -c 'mkdir /dev/many; n=0; while [ $n -lt 9000 ] && true >/dev/many/$n; do n=$((n + 1)); done 2>/dev/null; echo $n; rm -r /dev/many'
	[ "$output" -ge 3000 ] && [ "$output" -le 4096 ] || fail "$output"
	for path in /dev /dev/shm /run; do
		run inside t/a mount -o remount,size=1g "$path"
		[ "$status" -ne 0 ] || fail "$path"
	done
}

@test "tmpfs: what lies in it counts as the guest's memory" {
	vm_only
	shmem() { sed -n 's/^shmem //p' "$1/memory.stat"; }
	local before
	before=$(shmem "$C")
	inside t/a dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null
	[ $(($(shmem "$C") - before)) -ge $((20 << 20)) ] || fail "$before, $(shmem "$C")"
	# One that it mounts itself, of any size, as well.
	inside t/a mount -t tmpfs -o size=1g none /tmp
	run inside t/a dd if=/dev/zero of=/tmp/x bs=1M count=1000
	equal "$status" 137
	[ "$(shmem "$C")" -ge $((30 << 20)) ] || fail "$(shmem "$C")"
	equal "$(inside t/b echo ok)" ok
	equal "$(field t/b .usage.oom_kills)" 0
	vps restart --force t/a
}

# --- per-user counts -----------------------------------------------------------------------------------

@test "per-user counts: each guest has the host's number for itself" {
	local most holder
	most=$(cat /proc/sys/fs/inotify/max_user_instances)
	mkfifo "$T/hold"
	vps exec t/a -i -- /bin/ceilings inotify <"$T/hold" >"$T/held" 3>&- &
	holder=$!
	exec 5>"$T/hold"
	await 20 grep -q . "$T/held"
	# The first holds all that it gets, the second gets as many, and the first no more.
	equal "$(cat "$T/held")" "$most Too many open files"
	equal "$(inside t/b /bin/ceilings inotify </dev/null)" "$most Too many open files"
	equal "$(inside t/a /bin/ceilings inotify </dev/null)" "0 Too many open files"
	exec 5>&-
	ended_with "$holder" 0
}

@test "per-user counts: vps host shows the host's values as the ceiling of each guest" {
	local sys
	run vps host --json
	for sys in fs.inotify.max_user_instances fs.inotify.max_user_watches user.max_fanotify_groups user.max_user_namespaces \
		user.max_mnt_namespaces user.max_net_namespaces; do
		equal "$sys $(jq -c --arg s "$sys" '.sysctls[] | select(.setting == $s) | [.value, .per_instance]' <<<"$output")" \
			"$sys [$(cat "/proc/sys/${sys//.//}"),true]"
	done
	equal "$(jq -r '[.sysctls[] | select(.per_instance | not) | .setting] | sort | join(" ")' <<<"$output")" \
		"fs.aio-max-nr kernel.core_pipe_limit kernel.pty.max"
	vps host | grep -Eq '^user.max_user_namespaces +[0-9]+ +each guest +1 +yes'
	vps host | grep -Eq '^kernel.pty.max +[0-9]+ +all guests '
}

# --- controllers that give a guest nothing ---------------------------------------------------------------

@test "huge pages: no guest gets one, though the host has some" {
	vm_only "needs the hugetlb controller"
	local shared f
	shared=$(cgroup_root)/shared
	[ -e "$shared/hugetlb.2MB.rsvd.max" ] || fail "no hugetlb controller"
	for f in "$shared"/hugetlb.*.max; do
		equal "$f $(cat "$f")" "$f 0"
	done
	echo 8 >/proc/sys/vm/nr_hugepages
	equal "$("$HELPERS/ceilings" hugepage)" mapped
	run inside t/b /bin/ceilings hugepage
	equal "$status $output" "1 Cannot allocate memory"
	# It is these files that do it.
	echo max >"$shared/hugetlb.2MB.max"
	echo max >"$shared/hugetlb.2MB.rsvd.max"
	equal "$(inside t/b /bin/ceilings hugepage)" mapped
	echo 0 >"$shared/hugetlb.2MB.rsvd.max"
	run inside t/b /bin/ceilings hugepage
	[ "$status" -ne 0 ]
	# The next vpsd sets them again.
	kill_vpsd KILL
	start_vpsd
	equal "$(cat "$shared/hugetlb.2MB.max" "$shared/hugetlb.2MB.rsvd.max" | xargs)" "0 0"
	echo 0 >/proc/sys/vm/nr_hugepages
}

@test "rdma and misc: nothing above zero where the kernel has them" {
	vm_only "needs the controllers"
	local shared
	shared=$(cgroup_root)/shared
	[ -e "$shared/rdma.max" ] || [ -e "$shared/misc.max" ] || skip "no such controller"
	run cat "$shared/misc.max" "$shared/rdma.max"
	while read -r line; do
		[[ -z $line || $line =~ ^[^\ ]+\ (0|hca_handle=0\ hca_object=0)$ || $line = cat:* ]] || fail "$line"
	done <<<"$output"
}
