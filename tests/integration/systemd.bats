#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# vpsd as a service of systemd: installed into a machine of its own ("the box": namespaces over a copy of
# this machine's root, with all capabilities), used as README.md says. The tests follow one another.

load lib

BOX_CGROUP=/sys/fs/cgroup/vps-box
SCOPE=/sys/fs/cgroup/vpsd-guests.scope

# --- the box -----------------------------------------------------------------------------------------

# Runs a command in it.
box() {
	nsenter -t "$(cat "$T/init")" -a -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 3>&-
}

is_up() {
	[ "$(box systemctl is-system-running)" = running ]
}

boot_box() {
	local outer
	no_cgroup
	mkdir "$BOX_CGROUP"
	unshare --mount --propagation private --pid --uts --ipc --net --fork --kill-child=KILL \
		"$BATS_TEST_DIRNAME/systemd-box" "$T" "$BOX_CGROUP" </dev/null >>"$T/box.log" 2>&1 3>&- 4>&- &
	outer=$!
	disown
	echo "$outer" >"$T/outer"
	await 10 pgrep -P "$outer"
	pgrep -P "$outer" >"$T/init"
	await 20 is_up
}

# Few units, so that it is up soon: journald, the system bus, and what is under test.
prepare_root() {
	local root=$T/root units=$T/root/lib/systemd/system
	mkdir -p "$T/root" "$T/rw" "$T/lib"
	mount -t tmpfs rw "$T/rw"
	mkdir "$T/rw/upper" "$T/rw/work"
	mount -t overlay -o "lowerdir=/,upperdir=$T/rw/upper,workdir=$T/rw/work" box "$root"
	rm -rf "$units"/*.wants "$root"/etc/{systemd/system/*,fstab,vpsd,machine-id} "$root/var/log/journal"
	mkdir -p "$units/sockets.target.wants"
	ln -s ../dbus.socket ../systemd-journald.socket ../systemd-journald-dev-log.socket "$units/sockets.target.wants/"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
}

enable_controllers() {
	sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
}

# Also between two boots: one whose children have controllers takes no process.
no_cgroup() {
	local i
	for ((i = 0; i < 100; i++)); do
		find "$BOX_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d "$BOX_CGROUP" ] || return 0
		sleep 0.1
	done
	return 1
}

setup_file() {
	[ "$MODE" = vm ] || return 0
	T=$(mktemp -d "${VPS_TEST_DIR:-/var/lib/vpsd}/vps-systemd.XXXXXX")
	export T
	prepare_root
	make -C "$REPO" -s -o all O="$O" DESTDIR="$T/root" install
	# Only what the machine's size asks for.
	jq '. + {reserve: {cores: 0, memory: "64MiB", disk: "0"}, overcommit: {cpu: 100, memory: 100, disk: 100},
		stop_timeout: "60s"}' "$REPO/config/defaults/vpsd.json" >"$T/root/etc/vpsd/vpsd.json"
	enable_controllers
	boot_box
}

setup() {
	vm_only "boots systemd in a cgroup tree with controllers"
}

teardown_file() {
	if [ -n "${T-}" ]; then
		kill -KILL "$(cat "$T/outer")" 2>/dev/null || true
		no_cgroup
		umount "$T/root"
		umount "$T/rw"
		rm -rf "$T"
	fi
}

# --- asking --------------------------------------------------------------------------------------------

ask() {
	box vps info "$1" --json | jq -r "$2"
}

show() {
	box systemctl show --value -p "$2" "$1"
}

is_ready() {
	[ "$(box vps host --json 2>/dev/null | jq .ready)" = true ]
}

keeper() {
	box vps host --json | jq -r .keeper_pid
}

cgroup_of() {
	box cat "/proc/$1/cgroup"
}

# Pid, start time and boot number: another one is another life.
life() {
	local pid
	pid=$(ask "$1" .pid)
	echo "$pid $(ask "$1" .boot) $(box cut -d ' ' -f 22 "/proc/$pid/stat")"
}

is_in_leaf() {
	grep -qx "$1" <(box cat "$SCOPE/keeper/cgroup.procs")
}

# --- tests ----------------------------------------------------------------------------------------------

@test "systemctl enable --now: ready, and the scope is there" {
	box systemctl enable --now vpsd
	equal "$(box systemctl is-active vpsd vpsd-guests.scope vps-guests | xargs)" "active active active"
	is_ready
	equal "$(show vpsd-guests.scope Slice) $(show vpsd-guests.scope Delegate) $(show vpsd-guests.scope TasksMax)" \
		"-.slice yes infinity"
	equal "$(box vps host --json | jq -r .cgroups.root)" "$SCOPE"
}

@test "vpsd is alone in its own cgroup, the keeper in the scope's leaf" {
	equal "$(box cat /sys/fs/cgroup/system.slice/vpsd.service/cgroup.procs)" "$(show vpsd MainPID)"
	equal "$(cgroup_of "$(keeper)")" "0::/vpsd-guests.scope/keeper"
	equal "$(box cat "$SCOPE/cgroup.procs")" ""
}

@test "the documents of README.md become servers, in the scope" {
	# A small image by the name that the example wants.
	box vps image import debian-12 - <"$(busybox_archive)"
	box vps validate /etc/vpsd/plans /usr/local/share/vpsd/defaults/tenants
	box vps apply /etc/vpsd/plans
	box vps apply /usr/local/share/vpsd/defaults/tenants
	box vps wait acme/web1 running --timeout 60s
	box vps wait acme/db1 running --timeout 60s
	equal "$(box vps exec acme/web1 -- hostname)" web1.acme.example
	contains "$(cgroup_of "$(ask acme/web1 .pid)")" "0::/vpsd-guests.scope/shared/"
	equal "$(box systemctl is-failed vpsd vpsd-guests.scope | xargs)" "active active"
}

@test "systemctl restart vpsd touches no guest" {
	local before keeper
	before=$(life acme/web1)
	keeper=$(keeper)
	box systemctl restart vpsd
	equal "$(life acme/web1) $(keeper)" "$before $keeper"
	equal "$(box vps exec acme/web1 -- hostname)" web1.acme.example
	is_in_leaf "$keeper"
	! box journalctl -u vpsd | grep -i 'left-over' || fail "something stayed in vpsd's own cgroup"
}

@test "systemctl stop vpsd touches no guest" {
	local before
	before=$(life acme/web1)
	box systemctl stop vpsd
	equal "$(box systemctl is-active vpsd vpsd-guests.scope vps-guests | xargs)" "inactive active active"
	contains "$(box cat "/proc/${before%% *}/cmdline" | tr '\0' ' ')" init
	box systemctl start vpsd
	equal "$(life acme/web1)" "$before"
}

@test "kill -9 of vpsd: systemd brings it back, no guest notices" {
	local before
	before=$(life acme/web1)
	box systemctl kill -s KILL vpsd
	await 20 is_ready
	equal "$(life acme/web1)" "$before"
}

@test "daemon-reload and daemon-reexec leave the tree as it is" {
	local dir before files
	dir=$SCOPE/shared/$(cgroup_of "$(ask acme/web1 .pid)" | cut -d / -f 4-5)
	files=("$dir/memory.max" "$dir/pids.max" "$dir/cpu.max" "$dir/cgroup.subtree_control" "$SCOPE/cgroup.subtree_control")
	before="$(box cat "${files[@]}") $(life acme/web1)"
	box systemctl daemon-reload
	box systemctl daemon-reexec
	await 20 is_up
	equal "$(box cat "${files[@]}") $(life acme/web1)" "$before"
	equal "$(box vps exec acme/web1 -- hostname)" web1.acme.example
}

@test "a restart needs no bus while the scope is there" {
	local before
	before=$(life acme/web1)
	box systemctl stop dbus.socket dbus.service
	box systemctl restart vpsd
	equal "$(life acme/web1) $(box vps host --json | jq -r .cgroups.root)" "$before $SCOPE"
	box systemctl start dbus.socket
}

@test "the seccomp profile in /etc is in force" {
	local file=/etc/vpsd/seccomp/default.json
	box mkdir -p "${file%/*}"
	echo '{' | box tee "$file" >/dev/null
	run box systemctl restart vpsd
	box rm "$file"
	[ "$status" -ne 0 ]
	contains "$(box journalctl -u vpsd -n 20)" "$file"
	box systemctl start vpsd
}

@test "the scope and the shutdown of guests are not stopped by hand" {
	run box systemctl stop vpsd-guests.scope
	[ "$status" -ne 0 ]
	run box systemctl restart vps-guests
	[ "$status" -ne 0 ]
	run box vpsd --stop-guests
	contains "$output" "another vpsd runs already"
	equal "$(box systemctl is-active vpsd-guests.scope vps-guests | xargs)" "active active"
}

@test "a lost keeper's successor comes into the leaf" {
	local before old new
	before=$(life acme/web1) old=$(keeper)
	box kill -KILL "$old"
	has_new_keeper() { new=$(keeper) && [[ $new =~ ^[0-9]+$ && $new -gt 0 && $new != "$old" ]]; }
	await 20 has_new_keeper
	await 10 is_in_leaf "$(keeper)"
	equal "$(life acme/web1)" "$before"
}

@test "the scope is made again when it is absent" {
	local keeper
	keeper=$(keeper)
	box vps stop acme/web1 --force
	box vps stop acme/db1 --force
	box systemctl stop vpsd
	box kill "$keeper"
	is_gone() { [ "$(box systemctl is-active vpsd-guests.scope)" = inactive ]; }
	await 20 is_gone
	# Without a bus there is none: said, and the top directory is taken.
	box systemctl mask --runtime --now --quiet dbus.socket dbus.service
	box rm -f /run/dbus/system_bus_socket
	box systemctl start vpsd
	equal "$(box vps host --json | jq -r .cgroups.root)" /sys/fs/cgroup/vpsd
	contains "$(box journalctl -u vpsd -n 20)" "no system bus"
	keeper=$(keeper)
	box systemctl stop vpsd
	box kill "$keeper"
	box systemctl unmask --runtime --quiet dbus.socket dbus.service
	box systemctl start dbus.socket vpsd
	equal "$(box systemctl is-active vpsd-guests.scope)" active
	is_in_leaf "$(keeper)"
	box vps start acme/web1
	box vps wait acme/web1 running --timeout 60s
}

@test "the host's shutdown stops guests in order, and the next boot starts them" {
	local id
	id=$(ask acme/web1 .id)
	box systemctl poweroff
	await 20 dead "$(cat "$T/outer")"
	contains "$(find "$T/lib/log" -path "*$id*" -type f -exec cat {} +)" "init: poweroff"
	boot_box
	await 20 is_ready
	box vps wait acme/web1 running --timeout 60s
	equal "$(ask acme/web1 '.desired')" running
	# That one was stopped by its owner.
	equal "$(ask acme/db1 '.state + " " + .desired')" "stopped stopped"
}
