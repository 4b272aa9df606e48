#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# make install and make uninstall: the tree, the programs' hardening, the units.

load lib

# What is built is installed, nothing is built here.
install_to() {
	make -C "$REPO" -s -o all O="$O" DESTDIR="$1" "${@:2}" install
}

setup_file() {
	[ "$MODE" = host ] || return 0
	T=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/vps-install.XXXXXX")
	export T D=$T/dest
	install_to "$D"
}

teardown_file() {
	[ -z "${T-}" ] || rm -rf "$T"
}

# By emulation a run of make takes its time, and the files are the same.
setup() {
	[[ $BATS_TEST_DESCRIPTION == *kernel* ]] || host_only "the files are the same there"
}

# Every file and its mode, as it should be.
expected() {
	local f
	for f in sbin/vpsd bin/vps libexec/vpsd/vps-job; do
		echo "usr/local/$f 755"
	done
	# A guest may try "#!/proc/self/exe".
	echo "usr/local/libexec/vpsd/vps-keeper 700"
	for f in lib/systemd/system/vpsd.service lib/systemd/system/vps-guests.service lib/sysctl.d/50-vpsd.conf; do
		echo "usr/local/$f 644"
	done
	(
		cd "$REPO" || exit 1
		for f in docs/*.[58]; do
			echo "usr/local/share/man/man${f##*.}/${f#docs/} 644"
		done
		for f in host plan tenant; do
			echo "usr/local/share/vpsd/schemas/$f.schema.json 644"
		done
		cd config/defaults || exit 1
		for f in *.json */*.json *.nft; do
			echo "usr/local/share/vpsd/defaults/$f 644"
			[[ $f == tenants/* || $f == seccomp/* || $f == *.nft ]] || echo "etc/vpsd/$f 644"
		done
	)
}

@test "the tree holds what it should, and nothing else" {
	diff <(expected | sort) <(cd "$D" && find . -not -type d -printf '%P %m\n' | sort)
	[ -d "$D/etc/vpsd/tenants" ]
	! grep -rIl -e '@PREFIX@' -e "$D" "$D" || fail "a path was not filled in"
}

@test "programs are position independent, relro and bound at once; the keeper is static" {
	local p headers dynamic
	for p in sbin/vpsd bin/vps libexec/vpsd/vps-job libexec/vpsd/vps-keeper; do
		p=$D/usr/local/$p
		headers=$(readelf -hlW "$p")
		dynamic=$(readelf -dW "$p")
		contains "$headers" "DYN (Position-Independent Executable file)"
		contains "$headers" GNU_RELRO
		grep -qE 'GNU_STACK .* RW  ' <<<"$headers" || fail "$p: executable stack"
		grep -qE 'BIND_NOW|\bNOW\b' <<<"$dynamic" || fail "$p: lazy binding"
		! grep -qE 'TEXTREL|RPATH|RUNPATH' <<<"$dynamic" || fail "$p: $dynamic"
	done
	! grep -q INTERP <<<"$headers" || fail "the keeper wants a dynamic linker"
	! grep -q NEEDED <<<"$dynamic" || fail "the keeper wants libraries"
}

@test "programs start and say their version" {
	local version
	version=$("$D/usr/local/sbin/vpsd" --version)
	equal "${version% *}" vpsd
	equal "$("$D/usr/local/libexec/vpsd/vps-keeper" --version)" "vps-keeper ${version#* }"
	"$D/usr/local/bin/vps" help | grep -q 'image import'
}

@test "installing again leaves the operator's documents alone and refreshes the rest" {
	echo '{"sample": "20s"}' >"$D/etc/vpsd/vpsd.json"
	echo mine >"$D/etc/vpsd/plans/small.json"
	rm "$D/etc/vpsd/plans/large.json"
	echo old >"$D/usr/local/share/vpsd/defaults/vpsd.json"
	install_to "$D"
	equal "$(cat "$D/etc/vpsd/vpsd.json" "$D/etc/vpsd/plans/small.json")" $'{"sample": "20s"}\nmine'
	[ -s "$D/etc/vpsd/plans/large.json" ]
	cmp "$D/usr/local/share/vpsd/defaults/vpsd.json" "$REPO/config/defaults/vpsd.json"
}

@test "PREFIX and SYSCONFDIR are honoured" {
	install_to "$T/other" PREFIX=/opt/vps SYSCONFDIR=/opt/etc
	equal "$(ls "$T/other")" opt
	equal "$(ls -x "$T/other/opt")" "$(printf 'etc  vps')"
	grep -qx 'ExecStart=/opt/vps/sbin/vpsd' "$T/other/opt/vps/lib/systemd/system/vpsd.service"
	grep -qx 'ExecStop=/opt/vps/sbin/vpsd --stop-guests' "$T/other/opt/vps/lib/systemd/system/vps-guests.service"
}

@test "systemd finds nothing wrong with the units" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
	[ -e /lib/systemd/system/sysinit.target ] || skip "no units of systemd's own"
	# Where the programs really are: verify looks for them.
	make -C "$REPO" -s -o all O="$O" PREFIX="$T/p" SYSCONFDIR="$T/e" install
	run env SYSTEMD_UNIT_PATH="$T/p/lib/systemd/system:" systemd-analyze verify --man=no --recursive-errors=yes \
		"$T"/p/lib/systemd/system/*.service
	equal "$status $output" "0 "
}

@test "the kernel takes the sysctls" {
	vm_only "they are the whole machine's"
	[ -x /lib/systemd/systemd-sysctl ] || skip "no systemd-sysctl"
	run /lib/systemd/systemd-sysctl "$REPO/packaging/sysctl.d/vpsd.conf"
	equal "$status $output" "0 "
	equal "$(sysctl -n kernel.dmesg_restrict kernel.kptr_restrict fs.inotify.max_user_instances | xargs)" "1 1 1024"
}

@test "uninstall leaves the operator's documents only" {
	make -C "$REPO" -s O="$O" DESTDIR="$D" uninstall
	equal "$(find "$D" -not -type d -not -path "$D/etc/vpsd/*")" ""
	[ -s "$D/etc/vpsd/vpsd.json" ]
}
