#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images as an operator meets them. What the import itself holds against hostile archives is in images.bats.
load lib

setup_file() {
	host_up
	A=$T/archives
	export A
	mkdir "$A"
	cp "$(busybox_archive)" "$A/plain.tar"
	gzip -k -1 -c "$A/plain.tar" >"$A/gz"
	bzip2 -k -c "$A/plain.tar" >"$A/bz2"
	xz -k -0 -c "$A/plain.tar" >"$A/xz"
	zstd -q -k -c "$A/plain.tar" >"$A/zst"
}

teardown_file() {
	host_down
}

image() {
	vps image ls --json | jq -r --arg name "$1" '.images[] | select(.name == $name) | '"$2"
}

catalogue() {
	vps image ls --json | jq -r '.images[].name' | xargs
}

hostile() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/images_archives.py" "$1" "$T/canary" 2>/dev/null
}

@test "imports tar, plain and compressed with gzip, bzip2, xz, zstd" {
	local kind
	for kind in plain.tar gz bz2 xz zst; do
		run vps image import "${kind%.tar}" "$A/$kind"
		[ "$status" -eq 0 ] || fail "$kind: $output"
		contains "$output" "${kind%.tar} is $(sha256sum "$A/$kind" | cut -c 1-64)" ||
			contains "$output" "${kind%.tar} is "
	done
	equal "$(catalogue)" "busybox bz2 gz plain xz zst"
	for kind in gz bz2 xz zst plain; do
		equal "$(image $kind .os.name)" "BusyBox test image"
		equal "$(image $kind .missing)" false
	done
}

@test "from a pipe" {
	run vps image import piped - <"$A/gz"
	[ "$status" -eq 0 ]
	equal "$(image piped .digest)" "$(image gz .digest)"
}

@test "the same archive is kept once" {
	run vps image import again "$A/plain.tar"
	[ "$status" -eq 0 ]
	contains "$output" "was there already"
	equal "$(image again .digest)" "$(image busybox .digest)"
}

@test "an expected digest holds, or nothing is imported" {
	local digest
	digest=$(image gz .digest)
	run vps image import checked "$A/gz" --digest "$digest"
	[ "$status" -eq 0 ] || fail "$output"
	run vps image import wrong "$A/gz" --digest "${digest//[0-8]/9}"
	[ "$status" -eq 1 ]
	[[ $(catalogue) != *wrong* ]]
}

@test "ls, for people and programs" {
	run vps image ls
	[ "$status" -eq 0 ]
	contains "${lines[0]}" DIGEST
	contains "$output" "BusyBox test image"
	equal "$(vps image ls --json | jq -r '.images | length >= 6')" true
}

@test "a truncated archive changes nothing" {
	local before kind
	before=$(catalogue)
	for kind in plain.tar gz xz zst bz2; do
		head -c $(($(stat -c %s "$A/$kind") / 2)) "$A/$kind" >"$A/cut"
		run vps image import cut "$A/cut"
		[ "$status" -eq 1 ] || fail "$kind: $output"
		[[ $output == "vps: "* ]]
	done
	equal "$(catalogue)" "$before"
}

@test "what is no archive at all" {
	local before
	before=$(catalogue)
	head -c 100000 /dev/urandom >"$A/noise"
	run vps image import noise "$A/noise"
	[ "$status" -eq 1 ]
	run vps image import empty /dev/null
	[ "$status" -eq 1 ]
	run vps image import none "$A/none"
	[ "$status" -eq 1 ]
	contains "$output" "cannot open '$A/none'"
	run vps image import ../../x "$A/gz"
	[ "$status" -eq 1 ]
	equal "$(catalogue)" "$before"
}

@test "hostile archives: .., absolute names, symlink tricks" {
	local before kind
	mkdir -p "$T/canary"
	echo secret >"$T/canary/file"
	before=$(catalogue; find "$T/canary" -printf '%p %m %U %G %T@ %s\n'; cat "$T/canary/file")
	for kind in dotdot dotdot-middle dotdot-absolute hardlink-up root-link no-init; do
		run vps image import "bad-$kind" - < <(hostile "$kind")
		[ "$status" -eq 1 ] || fail "$kind was imported"
		[[ $output == "vps: "* ]] || fail "$output"
	done
	equal "$(catalogue; find "$T/canary" -printf '%p %m %U %G %T@ %s\n'; cat "$T/canary/file")" "$before"
}

@test "nothing of the failures stays in the pool" {
	empty() { [ -z "$(ls -A "$T/state/pool/tmp")" ]; }
	await 10 empty
	equal "$(find "$T/state/pool/images" -mindepth 1 -maxdepth 1 | wc -l)" \
		"$(vps image ls --json | jq '[.images[].digest] | unique | length')"
}

@test "a client that goes away leaves nothing" {
	local before
	before=$(catalogue)
	mkfifo "$A/pipe"
	vps image import half - <"$A/pipe" 3>&- &
	exec 5>"$A/pipe" # held open: the archive does not end
	head -c 500000 "$A/plain.tar" >&5
	working() { [ -n "$(ls -A "$T/state/pool/tmp")" ]; }
	await 10 working
	kill $!
	wait $! || true
	exec 5>&-
	empty() { [ -z "$(ls -A "$T/state/pool/tmp")" ]; }
	await 15 empty
	equal "$(catalogue)" "$before"
}

@test "several imports at once: each is done, or told to wait" {
	local i jobs=() done=0
	for i in 1 2 3; do
		vps image import "many$i" "$A/xz" >"$A/out$i" 2>&1 3>&- &
		jobs+=($!)
	done
	for i in 1 2 3; do
		if wait "${jobs[i - 1]}"; then
			done=$((done + 1))
		else
			contains "$(cat "$A/out$i")" "import"
		fi
	done
	[ "$done" -ge 1 ]
	equal "$(catalogue | tr ' ' '\n' | grep -c '^many')" "$done"
}

@test "an image that an instance uses is not deleted" {
	make_instance t/user --no-start
	# Other names of the same files may go, the last may not.
	run vps image delete --yes again
	[ "$status" -eq 0 ] || contains "$output" "use"
	vps image delete --yes plain || true
	run vps image delete --yes busybox
	[ "$status" -eq 1 ]
	contains "$output" use
	vps start t/user
	equal "$(inside t/user echo ok)" ok
	drop_instance t/user
}

@test "delete asks, then takes the files along" {
	local digest
	run vps image delete xz </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "--yes"
	digest=$(image zst .digest)
	[ -d "$T/state/pool/images/$digest" ]
	run vps image delete --yes zst
	[ "$status" -eq 0 ]
	gone() { [ ! -e "$T/state/pool/images/$digest" ]; }
	await 10 gone
	run vps image delete --yes zst
	[ "$status" -eq 1 ]
}
