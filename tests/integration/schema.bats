#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The JSON Schemas of the documents, and documents that are judged without a daemon.
load lib

# Where everybody may look, with programs that anybody may run.
setup() {
	cd "$REPO" || exit 1
	umask 022
	D=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/vps-schema.XXXXXX")
	mkdir "$D/bin"
	cp "$O/vps" "$O/vpsd" "$D/bin"
	chmod -R a+rX "$D"
}

teardown() {
	rm -rf "$D"
}

# As on a machine where vpsd never ran, by a user who may do nothing: no socket, no rights.
nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env -C / PATH="$D/bin:$PATH" VPS_SOCKET=/nowhere/vpsd.sock "$@"
}

agrees() {
	/usr/bin/python3 "$REPO/tests/integration/schema_agrees.py" "$O/schemas" "$@"
}

@test "vpsd --schema prints what make installs; other words are refused" {
	local kind
	for kind in host plan tenant; do
		run nobody vpsd --schema "$kind"
		[ "$status" -eq 0 ]
		equal "$output" "$(cat "$O/schemas/$kind.schema.json")"
		equal "$(jq -r '."$id", ."$schema"' <<<"$output" | xargs)" \
			"urn:vpsd:schema:$kind https://json-schema.org/draft/2020-12/schema"
	done
	run vpsd --schema seccomp
	[ "$status" -eq 2 ]
	contains "$output" "'seccomp' is not a kind of document"
	run vpsd --schema
	[ "$status" -eq 2 ]
	run vpsd --schema plan more
	[ "$status" -eq 2 ]
	# Not written is not done.
	run bash -c "vpsd --schema plan >/dev/full"
	[ "$status" -eq 1 ]
}

@test "an independent validator says of each document what the decoder says" {
	/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
	[ -x "$O/unit/config/test_schema" ] || skip "the unit tests are not built"
	local program
	for program in host plan tenant schema check; do
		VPS_TEST_DOCUMENTS=$D/documents "$O/unit/config/test_$program" >"$D/log" 2>&1 || fail "$(cat "$D/log")"
	done
	[ "$(wc -l <"$D/documents")" -gt 8000 ]
	run agrees "$D/documents" --complete
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" " 0 disagreements"
}

@test "the comparison notices a schema that says too much or too little" {
	/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
	local change
	jq -cn --rawfile text config/defaults/plans/small.json '{kind: "plan", text: $text, problems: []}' >"$D/good"
	jq -cn --arg text '{"plan": "p", "version": 1, "cpu": {"cores": 5000}, "memory": {"limit": "1 GB"}, "pidz": 1}' \
		'{kind: "plan", text: $text, problems: [
			{path: "cpu.cores", message: "5000 is too large"}, {path: "memory.limit", message: "\"1 GB\" is not a size"},
			{path: "pidz", message: "unknown key"}]}' >"$D/bad"
	agrees "$D/good"
	agrees "$D/bad"
	cp -r "$O/schemas" "$D/schemas"
	for change in 'good .properties.pids.maximum = 100' 'good del(.properties.disk)' 'good .required += ["devices2"]' \
		'bad del(.properties.cpu.properties.cores.maximum)' 'bad del(.properties.memory.properties.limit.pattern)' \
		'bad .additionalProperties = true'; do
		jq "${change#* }" "$O/schemas/plan.schema.json" >"$D/schemas/plan.schema.json"
		run /usr/bin/python3 "$REPO/tests/integration/schema_agrees.py" "$D/schemas" "$D/${change%% *}"
		[ "$status" -eq 1 ] || fail "not noticed: $change"
	done
}

@test "shipped documents are valid by decoder and by schema" {
	cp -r config/defaults "$D/docs"
	run nobody vpsd --validate "$D/docs"
	[ "$status" -eq 0 ]
	equal "${lines[0]}" "5 documents are valid"
	contains "${lines[1]}" "not checked, because only a host can say: images, capacity"
	/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || skip "python3-jsonschema is not installed"
	local file
	for file in config/defaults/vpsd.json config/defaults/{plans,tenants}/*.json; do
		jq -cn --rawfile text "$file" '{kind: "auto", text: $text, problems: []}'
	done >"$D/documents"
	agrees "$D/documents"
}

@test "vpsd --validate: all problems of all documents at once, without a daemon, without root" {
	mkdir "$D/plans" "$D/tenants"
	echo '{"plan": "p", "version": 1, "cpu": {"cores": 1}, "memory": {"limit": "2 GB"}, "pids": -1}' >"$D/plans/p.json"
	echo '{"tenant": "Bad Name"}' >"$D/tenants/x.json"
	echo '{"reserve": {"disk": "1GiB"}, "statee": "/x"}' >"$D/vpsd.json"
	run -1 --separate-stderr nobody vpsd --validate "$D"
	equal "$output" ""
	# shellcheck disable=SC2154 # of bats
	equal "$stderr" "$(cat <<-LINES
		$D/vpsd.json: statee: unknown key; did you mean "state"?
		$D/plans/p.json: memory.limit: "2 GB" is not a size; write it as 2GiB
		$D/plans/p.json: pids: -1 is too small; the smallest is 16
		$D/tenants/x.json: tenant: "Bad Name" is not a name (1 to 63 of a-z 0-9 - .); write it like acme
	LINES
	)"
}

@test "vpsd --validate: between documents, and what vpsd would not start with" {
	tiny_plan >"$D/p.json"
	echo '{"tenant": "t", "instances": [{"name": "a", "plan": "other", "image": "i"}]}' >"$D/t.json"
	echo '{"sharing": "none"}' >"$D/vpsd.json"
	run vpsd --validate "$D/p.json" "$D/t.json" "$D/vpsd.json"
	[ "$status" -eq 1 ]
	contains "$output" "$D/t.json: instances[0].plan: plan \"other\" does not exist; there are tiny"
	contains "$output" "$D/vpsd.json: sharing: is not supported: image files are shared by all instances of the host"
	# Without any plan, those of the host may be meant: this is said.
	run vpsd --validate "$D/t.json"
	[ "$status" -eq 0 ]
	contains "$output" "plans (none is here)"
}

@test "vpsd --validate: what cannot be read, and wrong words" {
	echo '{"plan": 1}' >"$D/p.json"
	mkdir "$D/empty" "$D/dir.json"
	run vpsd --validate "$D/none.json" "$D/p.json" /dev/null
	[ "$status" -eq 1 ]
	contains "$output" "$D/none.json: cannot open '$D/none.json'"
	contains "$output" "$D/p.json: plan: 1 is not a name"
	contains "$output" "/dev/null: "
	run vpsd --validate "$D/empty"
	[ "$status" -eq 1 ]
	contains "$output" "there are no documents"
	run vpsd --validate
	[ "$status" -eq 2 ]
	run vpsd "$D/p.json"
	[ "$status" -eq 2 ]
	run vpsd --validate --schema plan "$D/p.json"
	[ "$status" -eq 2 ]
}

@test "vps validate without a daemon gives the same answer by itself" {
	local bad='{"plan": "p", "version": 1, "cpu": {"cores": 1}, "memory": {"limit": "2 GB"}, "pidz": 1}'
	cp -r config/defaults "$D/docs"
	run nobody vps validate "$D/docs"
	[ "$status" -eq 0 ]
	equal "${lines[0]}" "5 documents are valid"
	contains "${lines[1]}" "not checked"
	equal "$(nobody vps validate --json "$D/docs")" '{"valid":true}'
	equal "$(nobody vps validate --quiet "$D/docs")" ""
	echo "$bad" >"$D/docs/plans/bad.json"
	run nobody vps validate --json "$D/docs"
	equal "$status" 1
	equal "$output" "$D/docs/plans/bad.json: memory.limit: \"2 GB\" is not a size; write it as 2GiB
$D/docs/plans/bad.json: pidz: unknown key; did you mean \"pids\"?"
	# A file that looks like an option is a file.
	echo '{"tenant": "t"}' >"$D/--help"
	run nobody env -C "$D" vps validate -- --help
	[ "$status" -eq 0 ]
	# Alone, vps has nobody to ask; as installed, vpsd is in sbin beside its bin.
	mkdir "$D/sbin"
	mv "$D/bin/vpsd" "$D/vpsd"
	run nobody vps validate "$D/docs"
	[ "$status" -eq 1 ]
	contains "$output" "cannot reach vpsd at '/nowhere/vpsd.sock'"
	mv "$D/vpsd" "$D/sbin/vpsd"
	run nobody vps validate "$D/docs"
	[ "$status" -eq 1 ]
	contains "$output" "bad.json: pidz: unknown key"
	# Only validate: other verbs still say that nobody is there.
	run nobody vps apply "$D/docs/plans/small.json"
	[ "$status" -eq 1 ]
	contains "$output" "vpsd does not run"
}

@test "validating touches nothing" {
	local before after
	cp -r config/defaults "$D/docs"
	before=$(find "$D/docs" -printf '%p %T@ %C@ %s\n' | sort)
	run strace -f -o "$D/trace" -e trace=%file,%network "$O/vpsd" --validate "$D/docs"
	[ "$status" -eq 0 ]
	after=$(find "$D/docs" -printf '%p %T@ %C@ %s\n' | sort)
	equal "$after" "$before"
	run ! grep -E 'O_(WRONLY|RDWR|CREAT)|socket\(|mkdir|unlink|rename|mount' "$D/trace"
}
