#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Import of archives, good and hostile; instance directories; removal. Needs root and a file system
# with idmapped mounts (ext4, XFS) at $VPS_TEST_DIR (default /var/tmp).

bats_require_minimum_version 1.5.0

BASE=1900000
ID=0123456789abcdef

setup_file() {
	cd "$BATS_TEST_DIRNAME/../.." || return 1
	export O=${O:-build} ROOT=$PWD
	O=$(realpath -m "$O")
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	[ -x "$O/vps-job" ] || make -s O="$O" "$O/vps-job" >&2
	export DIR JOB=$O/vps-job
	DIR=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/images.XXXXXX")
	mkdir "$DIR/canary"
	echo secret >"$DIR/canary/file"
	canary >"$DIR/canary.before"
}

teardown_file() {
	[ -z "${DIR-}" ] || rm -rf "$DIR"
}

setup() {
	POOL=$DIR/pool.$BATS_TEST_NUMBER
}

teardown() {
	rm -rf "$POOL"
	[ "$(canary)" = "$(cat "$DIR/canary.before")" ]
}

# Everything that could be changed from inside.
canary() {
	(cd "$DIR/canary" && find . -printf '%p %m %U %G %T@ %C@ %n %s\n' && cat file) | sha256sum
}

archive() {
	/usr/bin/python3 "$ROOT/tests/integration/images_archives.py" "$1" "$DIR/canary" 2>/dev/null
}

# Runs a job; $last is its last line.
job() {
	local verb=$1
	shift
	run -"${want:-0}" "$JOB" "$verb" --pool "$POOL" "$@"
	last=${lines[-1]}
}

import() {
	job import --range-base "$BASE" "$@"
}

# field NAME: of the result line.
field() {
	/usr/bin/python3 -c 'import json, sys
v = json.loads(sys.argv[1])["result"][sys.argv[2]]
print(v if isinstance(v, str) else json.dumps(v))' "$last" "$1"
}

error_code() {
	/usr/bin/python3 -c 'import json, sys; print(json.loads(sys.argv[1])["error"]["code"])' "$last"
}

# Nothing of a failed import is left.
pool_is_empty() {
	[ -z "$(ls "$POOL/images")" ] && [ -z "$(ls "$POOL/tmp")" ]
}

# refused CODE: the import on stdin fails that way and leaves nothing.
refused() {
	local code=$1
	shift
	want=1 import "$@"
	[ "$(error_code)" = "$code" ] || { echo "$last" && return 1; }
	pool_is_empty
}

tree() {
	echo "$POOL/images/$(field digest)/rootfs"
}

@test "a rich tree comes out as it went in" {
	archive rich >"$DIR/rich.tar"
	import <"$DIR/rich.tar"
	[ "$(field digest)" = "$(sha256sum <"$DIR/rich.tar" | cut -d' ' -f1)" ]
	[ "$(field existed)" = false ]
	[ "$(field os)" = '{"id": "testos", "version": "1.2", "name": ""}' ]
	[[ "$(field warnings)" = *"2 device nodes were skipped"*"2 unusual extended attributes"* ]]
	cd "$(tree)"
	[ "$(stat -c '%a %u %g %Y' .)" = "751 3 4 1000000000" ]
	[ "$(stat -c '%a %u %g' usr/bin/suid)" = "6755 0 42" ]
	[ "$(stat -c '%a %u %g' owned)" = "604 65535 65534" ]
	[ "$(stat -c '%a %u %g' sticky)" = "1777 1000 1000" ]
	[ "$(stat -c '%u %g' dangling)" = "7 8" ]
	[ "$(stat -c '%F %a %u %g' pipe)" = "fifo 640 5 6" ]
	[ "$(stat -c '%a %u %g' usr/bin)" = "755 0 0" ]
	[ "$(readlink lib)" = usr/lib ]
	[ "$(cat usr/lib/through-link)" = merged ]
	[ "$(cat absolute)" = "absolute name" ]
	[ "$(stat -c '%h %a %s' linked-1)" = "3 600 4" ]
	[ linked-1 -ef linked-2 ] && [ linked-1 -ef linked-3 ]
	[ "$(cat keeps replaced)" = firstsecond ]
	[ "$(readlink dangling)" = /nowhere/at/all ]
	[ "$(cat $'caf\xc3\xa9')" = precomposed ]
	[ "$(cat $'cafe\xcc\x81')" = combining ]
	[ -f $'new\nline' ]
	[ ! -e dev/sda ] && [ ! -e dev/kmem ]
	/usr/bin/python3 - <<'EOF'
import os
x = os.getxattr
assert sorted(os.listxattr("attributed")) == ["user.note"], os.listxattr("attributed")
assert x("attributed", "user.note") == b"hello"
# The same capability for the guest's root, whatever range it gets.
cap = x("capable", "security.capability")
assert cap[3] in (2, 3) and cap[4:8] == bytes([0, 0x20, 0, 0]), cap
assert len(cap) == 20 or cap[20:] == bytes(4), cap
want = bytes.fromhex("02000000" "01000700ffffffff" "0200050021000000"
                     "04000500ffffffff" "10000500ffffffff" "20000000ffffffff")
assert x("listed", "system.posix_acl_access") == want
assert x("listed-raw", "system.posix_acl_access") == want
EOF
}

@test "the same bytes again: existed, in any compression a new image" {
	archive rich >"$DIR/rich.tar"
	import <"$DIR/rich.tar"
	import <"$DIR/rich.tar"
	[ "$(field existed)" = true ]
	import --expect-digest "$(field digest)" </dev/null
	[ "$(field existed)" = true ]
	local tool
	for tool in gzip bzip2 xz zstd; do
		import < <("$tool" -c <"$DIR/rich.tar")
		[ "$(field existed)" = false ]
		[ -e "$(tree)/usr/bin/suid" ]
	done
	[ "$(find "$POOL/images" -mindepth 1 -maxdepth 1 | wc -l)" -eq 5 ]
	[ -z "$(ls "$POOL/tmp")" ]
}

@test "two imports of one image at a time" {
	archive rich >"$DIR/rich.tar"
	mkdir -p "$POOL"
	local i pids=()
	for i in 1 2 3 4; do
		"$JOB" import --pool "$POOL" --range-base $((BASE + i * 65536)) \
			<"$DIR/rich.tar" >"$DIR/race.$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	[ "$(cat "$DIR"/race.? | grep -c '"existed":false')" -eq 1 ]
	[ "$(cat "$DIR"/race.? | grep -c '"existed":true')" -eq 3 ]
	[ -z "$(ls "$POOL/tmp")" ]
}

@test "a sparse file stays sparse" {
	import < <(archive sparse)
	[ "$(stat -c %s "$(tree)/hole")" -eq 1073741824 ]
	[ "$(stat -c %b "$(tree)/hole")" -le 64 ]
}

@test "hostile archives: refused or harmless, canary untouched" {
	local kind code
	while read -r kind code; do
		echo "kind $kind"
		if [ "$code" = ok ]; then
			import < <(archive "$kind")
			rm -rf "$POOL/images"
		else
			refused "$code" < <(archive "$kind")
		fi
	done < <(archive --list)
}

@test "damaged, truncated and foreign input" {
	archive rich >"$DIR/rich.tar"
	refused archive-invalid </dev/null
	refused archive-invalid < <(head -c 100000 /dev/urandom)
	refused archive-invalid < <(echo '{"not": "a tar"}')
	refused archive-invalid < <(head -c 10000 "$DIR/rich.tar")
	# At the end of an entry, where only the missing end mark tells.
	refused archive-invalid < <(head -c 1024 "$DIR/rich.tar")
	refused archive-invalid < <(cat "$DIR/rich.tar" && echo trailing)
	refused archive-invalid < <(cat "$DIR/rich.tar" "$DIR/rich.tar")
	local tool
	for tool in gzip bzip2 xz zstd; do
		echo "tool $tool"
		"$tool" -c <"$DIR/rich.tar" >"$DIR/rich.z"
		refused archive-invalid < <(head -c -20 "$DIR/rich.z")
		refused archive-invalid < <(cat "$DIR/rich.z" && echo trailing)
		refused archive-invalid < <("$tool" -c <"$DIR/rich.z")
	done
}

@test "bombs and limits" {
	refused limit-exceeded < <(archive bomb)
	refused limit-exceeded --max-entries 20000 < <(archive entries)
	refused limit-exceeded --max-entries 20000 < <(archive implied)
	refused limit-exceeded --max-bytes 100 < <(archive rich)
	refused digest-mismatch --expect-digest "$(printf '%064d' 0)" < <(archive rich)
	import --allow-no-init < <(archive no-init)
}

@test "wrong command lines" {
	want=1 import --range-base 1000 </dev/null
	[ "$(error_code)" = invalid ]
	want=1 import --max-bytes -1 </dev/null
	want=1 import --expect-digest ../../etc </dev/null
	want=1 import --unknown </dev/null
	want=1 job prepare --id ../../../etc --digest "$(printf '%064d' 0)"
	[ "$(error_code)" = invalid ]
	want=1 job prepare --id "$ID" --digest "$(printf '%064d' 0)"
	[ "$(error_code)" = not-found ]
	want=1 job prepare --id "$ID" --digest "$(printf '%064d' 0)" --hostname $'a\nb'
	[ "$(error_code)" = invalid ]
	want=1 job build --range-base "$BASE" --release debian-99
	[[ "$last" = *"debian-11, debian-12, debian-13"* ]]
}

@test "kill -9 at random moments leaves nothing but tmp, which clean-tmp removes" {
	archive entries >"$DIR/many.tar"
	mkdir -p "$POOL"
	local i pid moments=20
	[ "${VPS_TEST_MODE-}" != vm ] || moments=5 # emulated
	for i in $(seq "$moments"); do
		"$JOB" import --pool "$POOL" --range-base "$BASE" <"$DIR/many.tar" >/dev/null 3>&- &
		pid=$!
		sleep "0.$(printf '%03d' $((RANDOM % 300)))"
		kill -9 "$pid" || true
		wait "$pid" || true
		# Either it was finished, or there is nothing: never a part of an image.
		for image in "$POOL"/images/*; do
			[ ! -e "$image" ] || [ -s "$image/image.json" ]
		done
		rm -rf "$POOL"/images/*
	done
	# The jail ends with its parent; give the last one that moment.
	for i in $(seq 50); do
		job clean-tmp
		[ -n "$(ls "$POOL/tmp")" ] || break
		sleep 0.1
	done
	[ -z "$(ls "$POOL/tmp")" ]
}

@test "clean-tmp leaves the work of living jobs alone; SIGTERM cancels" {
	mkdir -p "$POOL"
	mkfifo "$DIR/slow"
	"$JOB" import --pool "$POOL" --range-base "$BASE" <"$DIR/slow" >"$DIR/cancelled" 3>&- &
	local pid=$!
	exec 7>"$DIR/slow"
	archive rich | head -c 4096 >&7
	for _ in $(seq 100); do
		[ -z "$(ls "$POOL/tmp" 2>/dev/null)" ] || break
		sleep 0.1
	done
	mkdir "$POOL/tmp/stale"
	job clean-tmp
	[ "$(field removed)" -eq 1 ]
	[ "$(ls "$POOL/tmp" | wc -l)" -eq 1 ]
	kill -TERM "$pid"
	wait "$pid" || true
	exec 7>&-
	grep -q '"code":"cancelled"' "$DIR/cancelled"
	pool_is_empty
}

@test "the jail: another user, no capabilities outside, one mount, no network" {
	mkdir -p "$POOL"
	mkfifo "$DIR/held"
	"$JOB" import --pool "$POOL" --range-base "$BASE" <"$DIR/held" >/dev/null 3>&- &
	local pid=$! child
	exec 7>"$DIR/held"
	archive rich | head -c 4096 >&7
	for _ in $(seq 100); do
		child=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || true
		child=${child// /}
		[ -z "$child" ] || ! grep -q '^Seccomp:.2' "/proc/$child/status" || break
		sleep 0.1
	done
	grep -qE "^Uid:.$BASE.$BASE.$BASE.$BASE" "/proc/$child/status"
	grep -qE '^Groups:\s*$' "/proc/$child/status"
	grep -q '^NoNewPrivs:.1' "/proc/$child/status"
	grep -q '^CapEff:.000000008000001b' "/proc/$child/status"
	[ "$(wc -l <"/proc/$child/mountinfo")" -eq 1 ]
	grep -q 'nosuid,nodev,noexec' "/proc/$child/mountinfo"
	[ "$(readlink "/proc/$child/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ "$(ls "/proc/$child/fd" | wc -l)" -le 6 ]
	[ "$(readlink "/proc/$child/cwd")" = / ]
	kill -9 "$pid"
	exec 7>&-
	wait "$pid" || true
	for _ in $(seq 50); do
		[ -d "/proc/$child" ] || break
		sleep 0.1
	done
	[ ! -d "/proc/$child" ]
}

@test "a file system without idmapped mounts is named" {
	mkdir "$DIR/tmpfs"
	mount -t ramfs none "$DIR/tmpfs"
	POOL=$DIR/tmpfs/pool
	want=1 import < <(archive rich) || { umount "$DIR/tmpfs" && return 1; }
	umount "$DIR/tmpfs"
	[ "$(error_code)" = unsupported ]
	[[ "$last" = *ramfs* ]]
}

@test "a full disk is reported and left as it was" {
	truncate -s 16M "$DIR/disk"
	mkfs.ext4 -q -F "$DIR/disk"
	mkdir "$DIR/small"
	modprobe loop 2>/dev/null || true
	mount -o loop "$DIR/disk" "$DIR/small" 2>/dev/null || skip "no loop devices here"
	POOL=$DIR/small/pool
	local rc=0
	(want=1 refused no-space < <(archive entries)) || rc=1
	umount "$DIR/small"
	[ "$rc" -eq 0 ]
}

@test "prepare writes an identity of its own, and hides the image's" {
	mkdir -p "$DIR/id/etc/ssh" "$DIR/id/sbin" "$DIR/id/var/lib/systemd"
	chmod 711 "$DIR/id/etc/ssh"
	chown 12:34 "$DIR/id/etc/ssh"
	printf '#!/bin/sh\n' >"$DIR/id/sbin/init"
	chmod 755 "$DIR/id/sbin/init"
	touch "$DIR/id/etc/ssh/"{sshd_config,ssh_host_rsa_key,ssh_host_ed25519_key,ssh_host_dsa_key.pub}
	touch "$DIR/id/var/lib/systemd/random-seed"
	ln -s "$DIR/canary/file" "$DIR/id/etc/hostname"
	chmod 750 "$DIR/id"
	tar -C "$DIR/id" -cf "$DIR/id.tar" .
	import <"$DIR/id.tar"
	local digest
	digest=$(field digest)
	job prepare --id "$ID" --digest "$digest" --hostname web1.acme.example
	[ "$(field warnings)" = "[]" ]
	cd "$POOL/instances/$ID/fs/upper"
	[ "$(stat -c '%a %u %g' .)" = "750 0 0" ]
	[ "$(stat -c '%a %u %g' etc/ssh)" = "711 12 34" ]
	[ "$(cat etc/hostname)" = web1.acme.example ]
	[ ! -L etc/hostname ]
	grep -q $'^127.0.1.1\tweb1.acme.example web1$' etc/hosts
	[[ "$(cat etc/machine-id)" =~ ^[0-9a-f]{32}$ ]]
	[ "$(stat -c '%a' etc/machine-id)" = 444 ]
	[ "$(stat -c '%F %t:%T' etc/ssh/ssh_host_rsa_key)" = "character special file 0:0" ]
	[ "$(stat -c '%F %t:%T' etc/ssh/ssh_host_dsa_key.pub)" = "character special file 0:0" ]
	[ "$(stat -c '%F %t:%T' var/lib/systemd/random-seed)" = "character special file 0:0" ]
	[ "$(stat -c '%a %u' etc/ssh/ssh_host_ed25519_key)" = "600 0" ]
	[ "$(stat -c '%a %u' etc/ssh/ssh_host_ecdsa_key.pub)" = "644 0" ]
	grep -q '^ssh-ed25519 ' etc/ssh/ssh_host_ed25519_key.pub
	[ -z "$(ls "$POOL/tmp")" ]
	# Again changes nothing.
	local before
	before=$(cat etc/machine-id etc/ssh/*.pub | sha256sum)
	job prepare --id "$ID" --digest "$digest"
	[ "$(cat etc/machine-id etc/ssh/*.pub | sha256sum)" = "$before" ]
	# Another instance shares nothing.
	job prepare --id fedcba9876543210 --digest "$digest"
	[ "$(cat "$POOL"/instances/*/fs/upper/etc/machine-id | sort -u | wc -l)" -eq 2 ]
	[ "$(cat "$POOL"/instances/*/fs/upper/etc/ssh/ssh_host_ed25519_key.pub | sort -u | wc -l)" -eq 2 ]
	cd /
	job remove-instance --id "$ID"
	[ "$(field removed)" = true ]
	job remove-instance --id "$ID"
	[ "$(field removed)" = false ]
	job remove-image --digest "$digest"
	[ "$(ls "$POOL/images" "$POOL/tmp" | grep -c .)" -le 3 ]
	[ -z "$(ls "$POOL/images")" ]
}

@test "an image whose etc is a link: nothing written through it" {
	mkdir -p "$DIR/link/sbin"
	printf '#!/bin/sh\n' >"$DIR/link/sbin/init"
	chmod 755 "$DIR/link/sbin/init"
	ln -s "$DIR/canary" "$DIR/link/etc"
	import < <(tar -C "$DIR/link" -c .)
	job prepare --id "$ID" --digest "$(field digest)" --hostname h
	[[ "$(field warnings)" = *"/etc is not a real directory"* ]]
	[ -z "$(ls "$POOL/instances/$ID/fs/upper")" ]
}

@test "set-hostname in a hostile upper directory" {
	import < <(archive rich)
	job prepare --id "$ID" --digest "$(field digest)" --hostname old.example
	local up=$POOL/instances/$ID/fs/upper
	printf '127.0.0.1 localhost\n127.0.1.1 old.example old\n10.0.0.1 kept' >"$up/etc/hosts"
	job set-hostname --id "$ID" --hostname new.example
	[ "$(cat "$up/etc/hostname")" = new.example ]
	[ "$(cat "$up/etc/hosts")" = $'127.0.0.1 localhost\n127.0.1.1\tnew.example new\n10.0.0.1 kept' ]
	# Names that the guest made into links, FIFOs, directories.
	rm "$up/etc/hostname" "$up/etc/hosts"
	ln -s "$DIR/canary/file" "$up/etc/hostname"
	mkfifo "$up/etc/hosts"
	job set-hostname --id "$ID" --hostname third
	[ "$(cat "$up/etc/hostname")" = third ]
	[[ "$(field warnings)" = *"/etc/hosts"* ]]
	rm "$up/etc/hosts"
	ln -s "$DIR/canary/file" "$up/etc/hosts"
	job set-hostname --id "$ID" --hostname fourth
	rm -r "$up/etc"
	ln -s "$DIR/canary" "$up/etc"
	want=1 job set-hostname --id "$ID" --hostname fifth
	[ "$(error_code)" = busy ]
	[ -z "$(find "$DIR/canary" -name hostname)" ]
}
