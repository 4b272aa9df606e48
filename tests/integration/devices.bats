#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Devices of the plan: which the host gives, who inside may use them, and that nothing else is admitted.
load lib

# Nodes of our own, with numbers that do no harm.
setup_file() {
	host_up
	export DEV=/dev/vpstest.$$
	mkdir -p "$DEV/deep/er"
	node zero 660 c 1 5
	node deep/er/full 600 c 1 7
	node block 660 b 7 0
	node memory 660 c 1 1
	node loops 660 c 10 237
	node nobody 660 c 509 0
	ln -s zero "$DEV/link"
	plan one "$DEV/zero" | vps plan add - >/dev/null
	vps create t/a --plan one --image busybox --quiet
	make_instance t/b
}

teardown_file() {
	[ -z "${DEV-}" ] || rm -rf "$DEV"
	host_down
}

# Each begins with the devices of the plans.
setup() {
	vps resize t/a --plan one@1 --quiet
	vps set t/a devices= --quiet
	vps set t/b devices= features= pids= --quiet
}

# node NAME MODE TYPE MAJOR MINOR
node() {
	rm -f "$DEV/$1"
	mknod -m "$2" "$DEV/$1" "${@:3}"
}

# plan NAME DEVICE...
plan() {
	tiny_plan | jq --arg n "$1" '.plan = $n | .devices = $ARGS.positional' --args "${@:2}"
}

# devices_of T/N DEVICE...: from the next start on.
devices_of() {
	vps set "$1" devices="$(jq -cn '$ARGS.positional' --args "${@:2}")" --quiet
}

# again T/N: a start with what is wanted now.
again() {
	vps stop --force "$1" --quiet || true
	vps start "$1" --quiet
}

# A device of this machine that is not in every guest and that root can open.
some_device() {
	local d
	for d in /dev/fuse /dev/net/tun /dev/hwrng /dev/kvm; do
		if [ -c "$d" ] && (: <"$d") 2>/dev/null; then
			echo "$d"
			return
		fi
	done
	skip "no device to try it with"
}

# Whether a missing device is among what is unsupported.
missing() {
	field "$1" '[.unsupported[] | select(.item == "devices") | .reason] | join("; ")'
}

# put_node T/N PATH NUMBERS...: as only the host can.
put_node() {
	nsenter -m -t "$(field "$1" .pid)" mknod -m 666 "${@:2}"
}

@test "a device of the plan is in /dev, with its directories, for the users it has on the host" {
	devices_of t/a "$DEV/zero" "$DEV/deep/er/full"
	has_field t/a .restart_needed true
	run inside t/a ls "$DEV/deep"
	[ "$status" -ne 0 ]
	again t/a
	has_field t/a .restart_needed false
	equal "$(missing t/a)" ""
	equal "$(inside t/a stat -c '%A %u:%g %t:%T' "$DEV/zero" "$DEV/deep/er/full" | xargs)" \
		"crw-rw---- 0:0 1:5 crw------- 0:0 1:7"
	# Reading and writing, by root.
	equal "$(inside t/a head -c 3 "$DEV/zero" | od -An -tx1 | xargs)" "00 00 00"
	inside t/a sh -c "echo x >$DEV/zero"
	run inside t/a sh -c "echo x >$DEV/deep/er/full"
	[ "$status" -ne 0 ]
	contains "$output" "No space left"
	# And by nobody else, unless root inside says so.
	run vps exec --user 1000 t/a -- head -c 1 "$DEV/zero"
	[ "$status" -ne 0 ]
	inside t/a chmod 666 "$DEV/zero"
	vps exec --user 1000 t/a -- head -c 1 "$DEV/zero" >/dev/null
	# The host's own node has not changed; nor does it go when the guest's goes.
	equal "$(stat -c %a:%u:%g "$DEV/zero")" 660:0:0
	inside t/a chown 7:7 "$DEV/zero"
	inside t/a rm "$DEV/zero"
	equal "$(stat -c %a:%u:%g "$DEV/zero")" 660:0:0
	# Another guest has none of it.
	run inside t/b test -e "$DEV"
	[ "$status" -ne 0 ]
	# Taken away again.
	vps set t/a devices= --quiet
	again t/a
	equal "$(inside t/a ls "$DEV")" zero
	inside t/a head -c 1 "$DEV/zero" >/dev/null
}

@test "only what the plan names is admitted, even where a node is; also after kill -9 of vpsd" {
	local device number
	device=$(some_device)
	number=$(stat -c '%t %T' "$device")
	read -r -a number < <(printf '%d %d\n' "0x${number% *}" "0x${number#* }")
	devices_of t/b "$DEV/zero"
	again t/b
	if vps info t/b --json | jq -e '[.unsupported[].item] | index("device_program")' >/dev/null; then
		skip "this kernel has no device program for us"
	fi
	devices_of t/a "$device"
	again t/a
	closed() {
		! inside t/b sh -c ': </dev/other' 2>/dev/null && ! inside t/b sh -c ': >/dev/other' 2>/dev/null
	}
	put_node t/b /dev/other c "${number[@]}"
	closed || fail "$device is open to a guest whose plan does not name it"
	inside t/a sh -c ": <$device"
	kill_vpsd KILL
	closed
	start_vpsd
	closed || fail "$device is open after a restart of vpsd"
	inside t/b head -c 1 "$DEV/zero" >/dev/null
	inside t/a sh -c ": <$device"
	equal "$(missing t/a)$(missing t/b)" ""
	# A change of the plan does not touch the guest that runs.
	devices_of t/b "$device"
	closed
	again t/b
	inside t/b sh -c ": <$device"
	# Neither can a guest make a node, nor get at one in its files.
	run inside t/b mknod /dev/mine c "${number[@]}"
	[ "$status" -ne 0 ]
	vps stop --force t/a --quiet
	mkdir -p "$(instance_dir t/a)/fs/upper/root"
	mknod -m 666 "$(instance_dir t/a)/fs/upper/root/other" c "${number[@]}"
	vps start t/a --quiet
	run inside t/a stat -c '%F' /root/other
	equal "$output" "character special file"
	run inside t/a sh -c ': </root/other'
	[ "$status" -ne 0 ]
	inside t/a rm /root/other
}

@test "what gives the host away, and what is no character device, is refused by name and by number" {
	local name
	refuses() {
		run vps set t/b devices="[\"$1\"]" --quiet
		[ "$status" -ne 0 ] || fail "$1 was taken"
		contains "$output" "$1"
		contains "$output" "$2"
		equal "$(field t/b '.overrides | has("devices")')" false
	}
	refuses "$DEV/none" "this host cannot enforce devices ($DEV/none: the host has no such device)"
	contains "$output" '"tolerate_unsupported": ["devices"]'
	refuses "$DEV/block" "is a block device, which no guest gets"
	refuses "$DEV/link" "is a symbolic link; name the device itself"
	refuses "$DEV/deep" "is no character device"
	refuses "$DEV/memory" "it is the host's memory"
	refuses "$DEV/loops" "it makes devices of the host"
	refuses "$DEV/nobody" "the kernel has no driver for it"
	for name in mem kmsg loop-control mapper/control vhost-net sda nvme0n1 null pts/0 console; do
		refuses "/dev/$name" "no guest gets \"/dev/$name\": it "
	done
	refuses /dev/../etc/shadow "is not a path below /dev"
	refuses "/dev/a b" "is not a path below /dev"
	run vps set t/b devices="[\"$DEV/zero\", \"$DEV/zero\"]"
	contains "$output" "is devices[0] already"
	run vps set t/b devices="$(jq -cn --arg d "$DEV/x" '[range(17) | $d + tostring]')"
	[ "$status" -ne 0 ]
	contains "$output" "0 to 16 are accepted"
	run vps set t/b devices="$DEV/zero"
	[ "$status" -ne 0 ]
	plan bad /dev/sda | jq . >"$BATS_TEST_TMPDIR/bad.json"
	run vps validate "$BATS_TEST_TMPDIR/bad.json"
	[ "$status" -ne 0 ]
	contains "$output" 'devices[0]: no guest gets "/dev/sda": it is a disk of the host'
	# A plan is only words; who is to have it asks the host.
	plan absent "$DEV/none" | vps plan add - >/dev/null
	run vps create t/c --plan absent --image busybox --quiet
	[ "$status" -ne 0 ]
	contains "$output" "$DEV/none: the host has no such device"
	run vps info t/c
	[ "$status" -ne 0 ]
}

@test "one that goes away: the guest goes on, other changes are taken, its next start is refused" {
	node gone 660 c 1 5
	devices_of t/b "$DEV/gone" "$DEV/zero"
	again t/b
	rm "$DEV/gone"
	inside t/b head -c 1 "$DEV/gone" >/dev/null
	vps set t/b pids=70 --quiet
	vps stop --force t/b --quiet
	equal "$(missing t/b)" "$DEV/gone: the host has no such device"
	run vps start t/b
	[ "$status" -ne 0 ]
	contains "$output" "cannot start 't/b': this host cannot enforce devices ($DEV/gone: the host has no such device)"
	contains "$output" '"tolerate_unsupported": ["devices"]'
	has_field t/b .state failed
	# Tolerated by name: it starts without, and says so for as long as it runs.
	host_document '.tolerate_unsupported += ["devices"]'
	kill_vpsd TERM
	start_vpsd
	vps start t/b --quiet
	equal "$(missing t/b)" "$DEV/gone: the host has no such device"
	run inside t/b ls "$DEV"
	equal "$output" zero
	contains "$(vps info t/b)" "$DEV/gone: the host has no such device"
	# It is back: at the next start.
	node gone 660 c 1 5
	kill_vpsd KILL
	start_vpsd
	equal "$(missing t/b)" "$DEV/gone: the host has no such device"
	again t/b
	equal "$(missing t/b)" ""
	equal "$(inside t/b ls "$DEV" | xargs)" "gone zero"
	host_document
	kill_vpsd TERM
	start_vpsd
	rm "$DEV/gone"
	sound
}

@test "a plan with other devices: shown before, taken on at the next start" {
	plan two "$DEV/zero" "$DEV/deep/er/full" | vps plan add - >/dev/null
	equal "$(vps plan show two --json | jq -c .devices)" "[\"$DEV/zero\",\"$DEV/deep/er/full\"]"
	again t/a
	run vps resize t/a --plan two -n --json
	equal "$(jq -c '.changes[0].fields[] | select(.field == "devices") | [.from, .to, .at_next_start]' <<<"$output")" \
		"[[\"$DEV/zero\"],[\"$DEV/zero\",\"$DEV/deep/er/full\"],true]"
	has_field t/a .plan one@1
	contains "$(vps resize t/a --plan two 2>&1)" "next"
	has_field t/a .restart_needed true
	vps restart t/a --quiet
	has_field t/a .restart_needed false
	inside t/a test -c "$DEV/deep/er/full"
	vps resize t/a --plan one@1 --quiet
	again t/a
	run inside t/a test -e "$DEV/deep"
	[ "$status" -ne 0 ]
	sound
}

@test "tun and fuse, as features, as devices, or as both" {
	local feature path
	for feature in tun fuse; do
		path=/dev/fuse
		[ "$feature" = fuse ] || path=/dev/net/tun
		if [ ! -c "$path" ]; then continue; fi
		devices_of t/b "$path"
		again t/b
		equal "$(inside t/b stat -c %a "$path")" "$(stat -c %a "$path")"
		# Both: the feature's, for everybody inside.
		vps set t/b "features.$feature=true" --quiet
		again t/b
		equal "$(inside t/b stat -c %a "$path")" 666
		vps set t/b "features.$feature=" devices= --quiet
		again t/b
		run inside t/b test -e "$path"
		[ "$status" -ne 0 ]
	done
	sound
}
