#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The HTTP API with curl alone: every route, and what is wrong with requests. docs/api.md describes it.
load lib

setup_file() {
	host_up
}

teardown_file() {
	host_down
}

# call METHOD PATH [CURL-OPTION...]: sets code and body.
call() {
	local all
	all=$(curl -s -S --max-time "$(seconds 30)" -X "$1" --unix-socket "$VPS_SOCKET" -w '\n%{http_code}' "${@:3}" "http://vpsd$2")
	code=${all##*$'\n'}
	body=${all%$'\n'*}
}

# is CODE [JQ-FILTER VALUE]
is() {
	[ "$code" = "$1" ] || fail "expected $1, got $code: $body"
	[ $# -lt 3 ] || equal "$(jq -r "$2" <<<"$body")" "$3"
}

# An answer with an operation: waits for its end.
done_in_the_end() {
	is 202
	call GET "/v1/operations/$(jq -r .operation.id <<<"$body")?wait=$(seconds 20)"
	is 200 .operation.status done
}

# Each error has the same shape.
error() {
	is "$1" .error.code "$2"
	[ "$(jq -r '.error.message | length' <<<"$body")" -gt 0 ]
	equal "$(jq -c 'keys' <<<"$body")" '["error"]'
	[ $# -lt 3 ] || contains "$(jq -r .error.message <<<"$body")" "$3"
}

@test "GET /v1/host" {
	call GET /v1/host
	is 200 .ready true
	equal "$(jq -r '[.version, .kernel, .boot_id, .state, .pool, .cgroups.root, .capacity.instances] | map(type) | unique | join(" ")' <<<"$body")" "number string"
}

@test "POST and GET /v1/plans" {
	call POST /v1/plans -d "$(tiny_plan | jq '.plan = "api"')"
	is 201
	call GET /v1/plans
	is 200 '[.plans[].plan] | contains(["api", "tiny"])' true
	call GET /v1/plans/api
	is 200 .version 1
	call GET /v1/plans/api@1
	is 200 .memory.limit 64MiB
	call GET /v1/plans/api@2
	error 404 not-found
	call POST /v1/plans -d "$(tiny_plan | jq '.plan = "api"')"
	is 200 .added false
	call GET '/v1/plans/api?document=true'
	is 200 '[.used_by, .created, .pids] | tojson' '[null,null,64]'
	call POST /v1/plans -d "$(tiny_plan | jq '.plan = "api" | .pids = 99')"
	error 409 conflict
	call POST /v1/plans -d "$(tiny_plan | jq '.memory.limit = "1 GB"')"
	is 422 .error.code invalid
	contains "$body" '1 GB'
	equal "$(jq -r '.error.problems | length' <<<"$body")" 1
}

@test "POST /v1/validate and /v1/apply" {
	local documents
	documents=$(jq -n '{documents: [{name: "tenants/api.json", text: ({tenant: "api"} | tojson)}]}')
	call POST /v1/validate -d "$documents"
	is 200 .valid true
	call POST /v1/apply -d "$(jq '.dry_run = true' <<<"$documents")"
	is 200 '.changes[0].action' create
	call GET /v1/tenants/api
	error 404 not-found
	call POST /v1/apply -d "$documents"
	done_in_the_end
	call GET /v1/tenants/api
	is 200 .tenant api
	call GET /v1/tenants
	is 200 '[.tenants[].tenant] | join(" ")' "api t"
	call POST /v1/validate -d '{"documents": [{"name": "a.json", "text": "{\"tenant\": 1, \"x\": 2}"}]}'
	is 422 .error.code invalid
	equal "$(jq -r '[.error.problems[] | .file] | unique | join(" ")' <<<"$body")" a.json
	equal "$(jq -r '.error.problems | length' <<<"$body")" 2
}

@test "images: GET, POST, DELETE" {
	call POST "/v1/images?name=api" -T "$(busybox_archive)"
	is 201 .name api
	call GET /v1/images
	is 200 '[.images[].name] | join(" ")' "api busybox"
	call GET /v1/images/api
	is 200 .missing false
	call DELETE /v1/images/api
	done_in_the_end
	call GET /v1/images/api
	error 404 not-found
	call POST /v1/images -T "$(busybox_archive)"
	error 400 bad-request 'name'
	call POST "/v1/images?name=bad" --data-binary "no archive"
	[[ $code == 4* ]] || fail "$code: $body"
	call POST /v1/images/build -d '{"name": "x", "release": "windows-11"}'
	[[ $code == 4* || $code == 202 ]] || fail "$code: $body"
	call POST /v1/images/build -d '{}'
	error 400 bad-request release
}

@test "instances: POST, GET, wait, stop, start, restart, log, DELETE" {
	call POST /v1/instances -d '{"tenant": "t", "name": "a", "plan": "tiny", "image": "busybox", "labels": {"k": "v"}}'
	done_in_the_end
	equal "$(jq -r '.operation | [.kind, .target, .status] | join(" ")' <<<"$body")" "create t/a done"
	call GET /v1/instances/t/a
	is 200 '[.tenant, .name, .state, .desired, .plan, .image, .labels.k] | join(" ")' "t a running running tiny@1 busybox v"
	# Every field that docs/api.md promises.
	equal "$(jq -c '["id", "tenant", "name", "state", "desired", "plan", "image", "digest", "hostname", "labels", "protected",
		"network", "autostart", "created", "started", "boot", "pid", "ids", "last_exit", "error", "overrides", "limits", "cpus", "unsupported",
		"usage"] - keys' <<<"$body")" '[]'
	equal "$(jq -c '.limits[0] | keys' <<<"$body")" '["actual","configured","effective","limit","reason"]'
	call GET /v1/instances
	is 200 '.instances | length' 1
	call GET "/v1/instances?tenant=none"
	error 404 not-found none
	call GET "/v1/instances/t/a/wait?state=running&timeout=5"
	is 200 .state running
	call GET "/v1/instances/t/a/wait?state=stopped&timeout=0"
	error 408 timeout
	call GET "/v1/instances/t/a/wait?state=asleep"
	error 400 bad-request asleep
	call GET /v1/instances/t/a/log
	is 200
	contains "$body" "init: up"
	call POST /v1/instances/t/a/stop -d '{"timeout": "5s"}'
	done_in_the_end
	call POST /v1/instances/t/a/start
	done_in_the_end
	call POST /v1/instances/t/a/start
	error 409 conflict "it runs already"
	call POST /v1/instances/t/a/restart -d '{"force": true}'
	done_in_the_end
	call DELETE /v1/instances/t/a
	error 409 conflict "it runs"
	call DELETE "/v1/instances/t/a?force=true"
	done_in_the_end
	call GET /v1/instances/t/a
	error 404 not-found "there is no instance 't/a'"
	[ "$(jq -r .error.hint <<<"$body")" != null ]
}

@test "networks and addresses: none on a host without networks" {
	call GET /v1/networks
	is 200 '.networks | length' 0
	call GET /v1/addresses
	is 200 '.addresses | length' 0
	call GET "/v1/addresses?tenant=none"
	error 404 not-found none
}

@test "operations: GET, one, unknown" {
	call GET /v1/operations
	is 200 '.operations | length > 0' true
	equal "$(jq -c '["id", "kind", "target", "status", "created", "ended", "progress", "error", "result"] - (.operations[0] | keys)' <<<"$body")" '[]'
	equal "$(jq -r '[.operations[] | select(.kind == "image-import") | .progress.unit] | unique[]' <<<"$body")" bytes
	equal "$(jq -r '[.operations[] | select(.kind == "apply") | .progress.unit] | unique[]' <<<"$body")" count
	call GET "/v1/operations/$(jq -r '.operations[0].id' <<<"$body")"
	is 200
	call GET /v1/operations/0123456789abcdef
	error 404 not-found
}

@test "exec and console want an upgrade" {
	call POST /v1/instances -d '{"tenant": "t", "name": "s", "plan": "tiny", "image": "busybox", "start": false}'
	done_in_the_end
	call POST /v1/instances/t/s/exec -d '{"argv": ["true"]}'
	error 400 bad-request Upgrade
	call POST /v1/instances/t/s/console
	error 400 bad-request Upgrade
	call POST /v1/instances/t/s/exec -H 'Upgrade: vps-session' -H 'Connection: Upgrade' -d '{"argv": ["true"]}'
	error 409 conflict "does not run"
	call POST /v1/instances/t/s/exec -H 'Upgrade: vps-session' -H 'Connection: Upgrade' -d '{"argv": []}'
	error 400 bad-request argv
	call DELETE /v1/instances/t/s
	done_in_the_end
}

@test "exec in frames, for clients that cannot be handed descriptors" {
	call POST /v1/instances -d '{"tenant": "t", "name": "f", "plan": "tiny", "image": "busybox"}'
	done_in_the_end
	run /usr/bin/python3 "$BATS_TEST_DIRNAME/frames.py" "$VPS_SOCKET" t/f 'some input' sh -c 'cat; echo to stderr >&2; exit 6'
	[ "$status" -eq 0 ] || fail "$output"
	contains "$output" "stdout: some input"
	contains "$output" "stderr: to stderr"
	contains "$output" "exit: 6"
	call DELETE "/v1/instances/t/f?force=true"
	done_in_the_end
}

@test "an unknown route, an unknown method" {
	call GET /v1/nothing
	error 404 not-found /v1/nothing
	call GET /
	error 404 not-found
	call GET /v1/instances/t
	error 404 not-found
	call PUT /v1/host
	error 405 method-not-allowed
	call DELETE /v1/instances
	error 405 method-not-allowed
}

@test "bodies that are none: no JSON, no object, unknown keys, wrong types, duplicates" {
	call POST /v1/instances -d 'hello'
	error 400 bad-request "not JSON"
	call POST /v1/instances -d '[]'
	error 400 bad-request
	call POST /v1/instances -d '{"tenant": "t"'
	error 400 bad-request
	call POST /v1/instances -d '{"tenant": "t", "tenant": "u"}'
	error 400 bad-request uplicate
	call POST /v1/instances -d '{"tenant": 7}'
	error 400 bad-request tenant
	call POST /v1/instances -d '{"tenant": "t", "name": "a", "plan": "tiny", "image": "busybox", "colour": "red"}'
	is 422 .error.code invalid
	contains "$body" colour
	call POST /v1/instances -d '{"tenant": "t", "name": "Ä b", "plan": "tiny", "image": "busybox"}'
	is 422 .error.code invalid
	call POST /v1/instances/t/a/stop -d '{"force": "yes"}'
	[[ $code == 40[04] ]]
	call GET /v1/instances
	is 200 '.instances | length' 0
}

@test "a body that is too large" {
	head -c 5000000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
	call POST /v1/apply --data-binary "@$BATS_TEST_TMPDIR/big"
	error 413 too-large
	# Without a length in front, too.
	call POST /v1/apply -H 'Transfer-Encoding: chunked' --data-binary "@$BATS_TEST_TMPDIR/big"
	error 413 too-large
	call GET /v1/host
	is 200
}

@test "a document that nests without end" {
	printf '{"documents":%s%s}' "$(printf '[%.0s' {1..20000})" "$(printf ']%.0s' {1..20000})" >"$BATS_TEST_TMPDIR/deep"
	call POST /v1/validate --data-binary "@$BATS_TEST_TMPDIR/deep"
	[[ $code == 4* ]]
	call GET /v1/host
	is 200
}

@test "many slow and broken clients do not keep others out" {
	local i jobs=()
	for i in {1..30}; do
		/usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
s.recv(1)' "$VPS_SOCKET" 3>&- &
		jobs+=($!)
	done
	call GET /v1/host
	is 200
	kill "${jobs[@]}" 2>/dev/null || true
	wait "${jobs[@]}" || true
	call GET /v1/host
	is 200
}

@test "every route of the table is in docs/api.md, and the other way round" {
	local table page
	table=$(sed -n 's/^\s*ROUTE("\([A-Z]*\)", "\([^"]*\)".*/\1 \2/p; s/^\s*ROUTE_SESSION("\([^"]*\)".*/POST \1/p' \
		"$REPO/runtime/daemon/routes.c" | sed 's/{[a-z]*}/X/g'; echo "POST /v1/images")
	page=$(grep '^| `' "$REPO/docs/api.md" | cut -d'|' -f2 | grep -o '`[A-Z]* [^`]*`' | tr -d '`' |
		sed 's/?.*//; s|/T/N|/X/X|; s|/NAME|/X|; s|/ID$|/X|')
	diff <(sort -u <<<"$table") <(sort -u <<<"$page")
}
