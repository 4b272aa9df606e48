#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Documents that are wrong: the error names file, path, value and what is expected, and nothing has changed.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

# What the daemon knows, before each test and after it.
catalogue() {
	vps plan ls --json
	vps tenant ls --json
	vps ls --json
}

setup() {
	BEFORE=$(catalogue)
	D=$BATS_TEST_TMPDIR
}

teardown() {
	equal "$(catalogue)" "$BEFORE"
}

# recorded FILE: the document and what the daemon has against it, for the last test.
recorded() {
	jq -n --arg name "$1" --rawfile text "$1" '{documents: [{name: $name, text: $text}]}' |
		curl -sS --unix-socket "$VPS_SOCKET" http://vpsd/v1/validate -d @- |
		jq -c --rawfile text "$1" '{kind: "auto", text: $text, problems: .error.problems}' >>"$T/documents"
}

# wrong FILE DOCUMENT TEXT...: validate and apply both refuse it, with these texts; and so does a vpsd that is no
# daemon, in the same words.
wrong() {
	local file=$D/$1 verb text said
	mkdir -p "$(dirname "$file")"
	printf '%s' "$2" >"$file"
	for verb in validate apply; do
		run vps "$verb" "$file"
		[ "$status" -eq 1 ] || fail "$verb: status $status: $output"
		for text in "${@:3}"; do
			contains "$output" "${text//@/$file}"
		done
		[ "$verb" = apply ] || said=$output
	done
	[[ $output != "vps: "* ]] || return 0 # it was not even sent
	run vpsd --validate "$file"
	[ "$status" -eq 1 ]
	equal "$output" "$said"
	recorded "$file"
}

plan() {
	tiny_plan | jq '.plan = "p"' | jq "$1"
}

@test "an empty file" {
	wrong empty.json '' '@: the document is empty'
}

@test "not JSON: the line and the column" {
	wrong a.json $'{"plan": "p",\n "version": 1,,}' '@:2:'
}

@test "no object" {
	wrong a.json '[1, 2]' '@'
	wrong b.json '"text"' '@'
}

@test "text behind the document" {
	wrong a.json "$(plan .) {}" '@:'
}

@test "a key given twice" {
	wrong a.json '{"plan": "p", "version": 1, "version": 2}' '@:1:' uplicate
}

@test "bytes that are no UTF-8" {
	wrong a.json $'{"plan": "p\xff\xfe"}' 'UTF-8'
}

@test "nested too deep" {
	wrong a.json "$(printf '{"plan":%.0s' {1..200})$(printf '}%.0s' {1..200})" '@'
}

@test "larger than 1 MiB" {
	head -c 1100000 /dev/zero | tr '\0' ' ' >"$D/big.json"
	run vps validate "$D/big.json"
	[ "$status" -eq 1 ]
	contains "$output" "$D/big.json"
}

@test "wrong units, with the right ones" {
	wrong tenants/acme.json '{"tenant": "acme", "instances": [
		{"name": "a", "plan": "tiny", "image": "busybox"}, {"name": "b", "plan": "tiny", "image": "busybox"},
		{"name": "c", "plan": "tiny", "image": "busybox", "overrides": {"memory": {"limit": "2 GB"}}}]}' \
		'tenants/acme.json: instances[2].overrides.memory.limit: "2 GB" is not a size; write it as 2GiB'
	wrong a.json "$(plan '.memory.limit = 1024')" '@: memory.limit: 1024 is not a size'
	wrong a.json "$(plan '.disk.read = "100MB"')" '@: disk.read: "100MB" is not'
	wrong a.json "$(plan '.network.in = "100MiB/s"')" '@: network.in: "100MiB/s" is not'
	wrong a.json "$(plan '.cpu.burst = "20"')" '@: cpu.burst: "20" is not a duration'
}

@test "wrong types" {
	wrong a.json "$(plan '.pids = "512"')" '@: pids: "512" is not'
	wrong a.json "$(plan '.cpu = 1')" '@: cpu: 1 is not'
	wrong a.json "$(plan '.features = {"nesting": "yes"}')" '@: features.nesting: "yes" is not'
	wrong a.json "$(plan '.devices = "/dev/fuse"')" '@: devices: "/dev/fuse" is not'
}

@test "impossible values" {
	wrong a.json "$(plan '.cpu.cores = 0')" '@: cpu.cores: 0'
	wrong a.json "$(plan '.cpu.guarantee = 2')" '@: cpu.guarantee: 2'
	wrong a.json "$(plan '.memory.guarantee = "1GiB"')" '@: memory.guarantee: 1GiB is more than memory.limit, 64MiB'
	wrong a.json "$(plan '.version = 0')" '@: version: 0'
	wrong a.json "$(plan '.plan = "../etc"')" '@: plan: "../etc" is not a name'
}

@test "unknown keys, at each level, with the nearest known one" {
	wrong a.json "$(plan '.memori = {} | .cpu.core = 1')" '@: memori: ' '@: cpu.core: ' 'memory' 'cores'
}

@test "all problems of all files at once" {
	mkdir -p "$D/plans" "$D/tenants"
	plan '.pids = -1' >"$D/plans/p.json"
	echo '{"tenant": "Bad Name"}' >"$D/tenants/x.json"
	run vps validate "$D"
	[ "$status" -eq 1 ]
	contains "$output" "plans/p.json: pids: -1 is too small; the smallest is 16"
	contains "$output" "tenants/x.json: tenant: \"Bad Name\" is not"
}

@test "a value with control characters does not reach the terminal" {
	wrong a.json '{"plan": "\u001b[2J", "version": 1}' '@: plan:'
	[[ $output != *$'\e'* ]]
}

@test "two instances of one name" {
	wrong a.json '{"tenant": "t", "instances": [{"name": "a", "plan": "tiny", "image": "busybox"},
		{"name": "a", "plan": "tiny", "image": "busybox"}]}' '@: instances[1]'
	contains "$output" 'instances[0]'
}

@test "the same tenant in two files" {
	mkdir -p "$D/tenants"
	echo '{"tenant": "x"}' | tee "$D/tenants/a.json" >"$D/tenants/b.json"
	run vps apply "$D"
	[ "$status" -eq 1 ]
	contains "$output" '"x" has a document already'
}

@test "one version of a plan with two contents" {
	mkdir -p "$D/plans"
	plan . >"$D/plans/a.json"
	plan '.pids = 100' >"$D/plans/b.json"
	run vps apply "$D"
	[ "$status" -eq 1 ]
	contains "$output" 'a changed plan needs a new version'
}

@test "another content for a version that is there" {
	tiny_plan | jq '.pids = 100' >"$D/tiny.json"
	run vps apply "$D/tiny.json"
	[ "$status" -eq 1 ]
	contains "$output" version
}

@test "a missing plan" {
	wrong_apply='{"tenant": "t", "instances": [{"name": "a", "plan": "none", "image": "busybox"}]}'
	echo "$wrong_apply" >"$D/t.json"
	run vps apply "$D/t.json"
	[ "$status" -eq 1 ]
	contains "$output" none
	run vps create t/a --plan none --image busybox
	[ "$status" -eq 1 ]
	contains "$output" none
}

@test "a missing image" {
	echo '{"tenant": "t", "instances": [{"name": "a", "plan": "tiny", "image": "none"}]}' >"$D/t.json"
	run vps apply "$D/t.json"
	[ "$status" -eq 1 ]
	contains "$output" none
	run vps create t/a --plan tiny --image none
	[ "$status" -eq 1 ]
	contains "$output" none
}

@test "a missing tenant" {
	run vps create nobody/a --plan tiny --image busybox
	[ "$status" -eq 1 ]
	contains "$output" nobody
}

@test "limits that this host cannot enforce are refused, by name" {
	plan '.disk.size = "10GiB" | .disk.read = "100MiB/s" | .version = 7' >"$D/p.json"
	echo '{"tenant": "t", "instances": [{"name": "a", "plan": "p@7", "image": "busybox"}]}' >"$D/t.json"
	run vps apply "$D/p.json" "$D/t.json"
	[ "$status" -eq 1 ]
	contains "$output" "disk.size"
	contains "$output" "disk.read"
	BEFORE=$(jq -c . <<<"$(catalogue)") # the plan itself is no promise
	equal "$(vps ls --json | jq '.instances | length')" 0
	BEFORE=$(catalogue)
}

@test "a file that is not there" {
	run vps apply "$D/none.json"
	[ "$status" -eq 1 ]
	contains "$output" "cannot open '$D/none.json'"
}

@test "a host document is not applied" {
	run vps apply "$T/vpsd.json"
	[ "$status" -eq 1 ]
}

@test "wrong words: usage and exit code 2" {
	run vps apply
	[ "$status" -eq 2 ]
	run vps creat t/a
	[ "$status" -eq 2 ]
	contains "$output" "did you mean 'create'?"
	run vps create t/a --plann tiny
	[ "$status" -eq 2 ]
	contains "$output" "did you mean --plan?"
	run vps start no-slash
	[ "$status" -eq 2 ]
	contains "$output" "write it as TENANT/NAME"
}

@test "the schemas say the same of all these documents" {
	/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
	[ "$(wc -l <"$T/documents")" -ge 20 ]
	run /usr/bin/python3 "$REPO/tests/integration/schema_agrees.py" "$O/schemas" "$T/documents"
	[ "$status" -eq 0 ] || fail "$output"
}
