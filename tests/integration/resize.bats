#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Plans that are added, shown, moved to; values on top of them; what is refused changes nothing.
load lib

setup_file() {
	host_up
	plan two 1 96MiB 96 | vps plan add - >/dev/null
	make_instance t/a
}

teardown_file() {
	host_down
}

# Each begins with t/a as it was made, and no quota.
setup() {
	D=$BATS_FILE_TMPDIR
	vps apply --quiet "$T/docs"
	[ "$(field t/a '.plan + (.overrides | tojson)')" != 'tiny@1{}' ] || return 0
	vps set t/a cpu= memory= pids= --force --quiet
	vps resize t/a --plan tiny@1 --force --quiet
}

# plan NAME VERSION MEMORY PIDS [FILTER]
plan() {
	tiny_plan | jq --arg n "$1" --argjson v "$2" --arg m "$3" --argjson p "$4" \
		".plan = \$n | .version = \$v | .memory.limit = \$m | .pids = \$p | ${5:-.}"
}

# What is configured: "memory.limit pids", MiB and number.
configured() {
	field "$1" '[.limits[] | select(.limit == "memory.limit" or .limit == "pids") | .configured] | "\(.[0] / 1048576) \(.[1])"'
}

# has T/N PLAN MEMORY PIDS: in the answers and, where there are controllers, in the kernel.
has() {
	equal "$(field "$1" .plan) $(configured "$1")" "$2 $3 $4"
	[ "$MODE" = vm ] && [ "$(field "$1" .pid)" != null ] || return 0
	local c
	c=$(instance_cgroup "$1")
	equal "$(cat "$c/memory.max" "$c/pids.max" | xargs)" "$(($3 << 20)) $4"
	equal "$(field "$1" '[.limits[] | select(.limit | startswith("disk.") | not) | .effective] | all')" true
}

@test "plan add: from a file, from a pipe, the same again" {
	plan added 1 64MiB 64 >"$D/added.json"
	equal "$(vps plan add "$D/added.json")" "plan added@1 added"
	equal "$(vps plan add - <"$D/added.json")" "plan added@1 was there already"
	equal "$(vps plan add "$D/added.json" --json | jq .added)" false
	kill_vpsd KILL
	start_vpsd
	equal "$(vps plan show added --json | jq -r '.memory.limit')" 64MiB
}

@test "plan add: another content of a version that is there is refused, with the way out" {
	plan added 2 64MiB 65 | vps plan add - >/dev/null
	plan added 1 64MiB 66 >"$D/other.json"
	run vps plan add "$D/other.json"
	[ "$status" -eq 1 ]
	contains "$output" "plan 'added@1' exists with other content"
	contains "$output" '"version": 3'
	equal "$(vps plan show added@1 | jq .pids)" 64
}

@test "plan add: what is wrong is said with file, path, value and what is expected" {
	plan bad 1 "2 GB" 64 '.memory.limt = "1GiB" | .cpu.guarantee = 2' >"$D/bad.json"
	run vps plan add "$D/bad.json"
	[ "$status" -eq 1 ]
	contains "$output" "$D/bad.json: memory.limit: \"2 GB\" is not a size; write it as 2GiB"
	contains "$output" "$D/bad.json: memory.limt: unknown key; did you mean \"limit\"?"
	run vps validate "$D/bad.json"
	contains "$output" "$D/bad.json: memory.limit: \"2 GB\" is not a size; write it as 2GiB"
	echo '{"plan": "bad",}' >"$D/bad.json"
	run vps plan add "$D/bad.json"
	[ "$status" -eq 1 ]
	contains "$output" "$D/bad.json:1:"
	run vps plan add - <<<'[]'
	[ "$status" -eq 1 ]
	contains "$output" "stdin: "
	run vps plan add - <<<'{"plan": "a", "plan": "b"}'
	[ "$status" -eq 1 ]
	run vps plan add "$D/none.json"
	[ "$status" -eq 1 ]
	contains "$output" none.json
	run vps plan show bad
	[ "$status" -eq 1 ]
}

@test "plan show prints a document that means the same when it is given again" {
	plan derived 1 64MiB 64 'del(.pids)' | vps plan add - >/dev/null
	vps plan show derived >"$D/derived.json"
	equal "$(jq .pids "$D/derived.json")" 512
	vps validate "$D/derived.json"
	equal "$(vps plan add "$D/derived.json")" "plan derived@1 was there already"
	contains "$(vps apply -n "$D/derived.json")" "nothing to change"
	jq '.version = 2' "$D/derived.json" | vps plan add -
	equal "$(vps plan show derived@2 | jq -S 'del(.version)')" "$(jq -S 'del(.version)' "$D/derived.json")"
}

@test "plan ls says how many instances use each version" {
	equal "$(vps plan ls --json | jq -c '[.plans[] | select(.plan == "tiny" or .plan == "two") | .used_by]')" "[1,0]"
	vps plan ls | grep -qE '^tiny@1 .* 1$'
	vps plan ls | grep -qE '^two@1 .* 0$'
}

@test "resize: live, up and down, over a restart of vpsd and of the instance" {
	local pid
	pid=$(field t/a .pid)
	equal "$(vps resize t/a --plan two)" "t/a resized to two"
	has t/a two@1 96 96
	equal "$(vps plan ls --json | jq -c '[.plans[] | select(.plan == "tiny" or .plan == "two") | .used_by]')" "[0,1]"
	kill_vpsd KILL
	start_vpsd
	has t/a two@1 96 96
	equal "$(field t/a .pid)" "$pid"
	vps resize t/a --plan tiny@1
	has t/a tiny@1 64 64
	equal "$(field t/a .pid)" "$pid"
	vps resize t/a --plan two --quiet
	vps restart --force --quiet t/a
	has t/a two@1 96 96
	vps resize t/a --plan tiny --quiet
}

@test "resize: one that is stopped" {
	make_instance t/off --no-start
	vps resize t/off --plan two --quiet
	has t/off two@1 96 96
	vps start --quiet t/off
	has t/off two@1 96 96
	drop_instance t/off
}

@test "resize: what cannot be is refused, and nothing changes" {
	local before before_of='.plan, .overrides, .limits'
	before=$(vps info t/a --json | jq -S "$before_of")
	run vps resize t/a --plan none
	[ "$status" -eq 1 ]
	contains "$output" "there is no plan 'none'"
	run vps resize t/a --plan 'two@'
	[ "$status" -eq 1 ]
	contains "$output" '"two@" is not a plan; write it as PLAN or PLAN@VERSION'
	run vps resize t/none --plan two
	[ "$status" -eq 1 ]
	run vps resize t/a
	[ "$status" -eq 2 ]
	run vps resize --plan two
	[ "$status" -eq 2 ]
	run vps resize t/a --all-of tiny --plan two
	[ "$status" -eq 2 ]
	vps set t/a memory.limit=80MiB memory.guarantee=70MiB --quiet
	plan small 1 32MiB 64 | vps plan add - >/dev/null
	vps set t/a memory.limit= --quiet 2>/dev/null && fail "a contradiction was taken"
	vps resize t/a --plan two --quiet
	vps set t/a memory.limit= --quiet
	run vps resize t/a --plan small
	[ "$status" -eq 1 ]
	contains "$output" "overrides.memory.guarantee: 70MiB is more than memory.limit, 32MiB"
	run vps resize t/a --plan small -n
	contains "$output" "on top of plan 'small@1'"
	has t/a two@1 96 96
	vps set t/a memory.guarantee= --quiet
	vps resize t/a --plan tiny --quiet
	equal "$(vps info t/a --json | jq -S "$before_of")" "$before"
}

@test "resize: the tenant's quota and the host's guarantees are checked before" {
	echo '{"tenant": "t", "quota": {"memory": "80MiB"}}' >"$D/quota.json"
	vps apply "$D/quota.json" >/dev/null
	run vps resize t/a --plan two
	[ "$status" -eq 1 ]
	contains "$output" "not enough memory: 32MiB wanted, 16MiB left of 80MiB in the tenant's quota"
	run vps resize t/a --plan two -n
	[ "$status" -eq 1 ]
	contains "$output" "refused instance t/a"
	contains "$output" "32MiB wanted, 16MiB left"
	vps apply --quiet "$T/docs"
	plan greedy 1 64TiB 64 '.memory.guarantee = "64TiB"' | vps plan add - >/dev/null
	run vps resize t/a --plan greedy
	[ "$status" -eq 1 ]
	contains "$output" "not enough guaranteed memory: 64TiB wanted"
	has t/a tiny@1 64 64
}

@test "resize -n shows old and new, and changes nothing" {
	run vps resize t/a --plan two -n
	[ "$status" -eq 0 ]
	equal "$output" "change instance t/a
    plan: \"tiny@1\" -> \"two@1\"
    memory.limit: \"64MiB\" -> \"96MiB\"
    pids: 64 -> 96"
	equal "$(vps resize t/a --plan two -n --json | jq -c '[.changes[0].fields[] | .field]')" '["plan","memory.limit","pids"]'
	equal "$(vps resize t/a --plan tiny -n)" "nothing to change"
	has t/a tiny@1 64 64
}

@test "resize: a feature that a living guest cannot get is said to wait" {
	plan tun 1 64MiB 64 '.features.tun = true' | vps plan add - >/dev/null
	run vps resize t/a --plan tun -n
	contains "$output" "features.tun: false -> true, at its next start"
	run vps resize t/a --plan tun
	[ "$status" -eq 0 ]
	contains "$output" "in force after its next start"
	equal "$(field t/a .restart_needed)" true
	vps resize t/a --plan tiny --quiet
	vps restart --force --quiet t/a
	equal "$(field t/a .restart_needed)" false
}

@test "set: single values, live, as the plan's document has them; without a value the plan's" {
	local pid
	pid=$(field t/a .pid)
	equal "$(vps set t/a memory.limit=72MiB cpu.cores=0.5 pids=70)" "t/a changed"
	has t/a tiny@1 72 70
	equal "$(field t/a '.overrides | tojson')" '{"memory":{"limit":"72MiB"},"cpu":{"cores":0.5},"pids":70}'
	contains "$(vps info t/a)" '{"memory":{"limit":"72MiB"},"cpu":{"cores":0.5},"pids":70}'
	# They lie over the next plan, and over the next vpsd.
	vps resize t/a --plan two --quiet
	kill_vpsd KILL
	start_vpsd
	has t/a two@1 72 70
	vps set t/a memory.limit= pids=80 --quiet
	has t/a two@1 96 80
	vps set t/a pids= cpu= --quiet
	has t/a two@1 96 96
	equal "$(field t/a '.overrides | tojson')" '{}'
	vps resize t/a --plan tiny --quiet
	equal "$(field t/a .pid)" "$pid"
}

@test "set: what is wrong is said with the path and the nearest key, and nothing changes" {
	local row
	for row in 'memory.limt=1GiB|overrides.memory.limt: unknown key; did you mean "memory.limit"?' \
		'limit=1GiB|overrides.limit: unknown key; did you mean "memory.limit"?' \
		'memory_limit=1GiB|did you mean "memory.limit"?' 'xyz=|overrides.xyz: unknown key; a plan has cpu.cores' \
		'memory.limit=2 GB|overrides.memory.limit: "2 GB" is not a size; write it as 2GiB' \
		'pids=many|overrides.pids: "many" is not a number' 'cpu.cores=-1|overrides.cpu.cores: ' \
		'cpu.cores=0|overrides.cpu.cores: ' 'pids=99999999999999999999|overrides.pids: ' \
		'memory=2GiB|overrides.memory: ' 'version=2|cannot be changed here' 'plan=two|cannot be changed here' \
		'cpu.burst=200ms|overrides.cpu.burst: 200ms is more than 1 cores get' \
		'memory.guarantee=1GiB|overrides.memory.guarantee: 1GiB is more than memory.limit, 64MiB'; do
		run vps set t/a pids=70 "${row%%|*}"
		[ "${row%%=*}" != pids ] || run vps set t/a "${row%%|*}"
		[ "$status" -eq 1 ] || fail "$row: $status $output"
		contains "$output" "${row#*|}"
	done
	run vps set t/a pids=70 pids=71
	[ "$status" -eq 2 ]
	run vps set t/a pids
	[ "$status" -eq 2 ]
	run vps set t/a =70
	[ "$status" -eq 2 ]
	run vps set t/a
	[ "$status" -eq 2 ]
	has t/a tiny@1 64 64
	equal "$(field t/a '.overrides | tojson')" '{}'
}

@test "set: several wrong values are said at once" {
	run vps set t/a memory.limit=x cpu.cores=y
	[ "$status" -eq 1 ]
	equal "${#lines[@]}" 2
}

@test "the API: PATCH and resize take JSON values, and unknown keys are errors" {
	local api=(curl -sS --unix-socket "$VPS_SOCKET") url=http://vpsd/v1/instances/t/a
	equal "$("${api[@]}" -X PATCH -d '{"set": {"cpu.cores": 0.5, "memory.limit": "66MiB"}, "dry_run": true}' "$url" | jq -c '[.changes[0].fields[].field]')" \
		'["cpu.cores","memory.limit"]'
	equal "$("${api[@]}" -X PATCH -d '{}' "$url" | jq -r .error.code)" bad-request
	equal "$("${api[@]}" -X PATCH -d '{"unset": "pids"}' "$url" | jq -r .error.code)" bad-request
	equal "$("${api[@]}" -X PATCH -d '{"sett": {}}' "$url" | jq -r .error.code)" bad-request
	equal "$("${api[@]}" -X PATCH -d '{"set": {"pids": "x"}}' "$url" | jq -r '.error.code + " " + .error.problems[0].path')" "invalid overrides.pids"
	equal "$("${api[@]}" -X POST -d '{"plan": "two", "dry_run": true}' "$url/resize" | jq -r '.changes[0].action')" change
	equal "$("${api[@]}" -X POST -d '{}' "$url/resize" | jq -r .error.code)" bad-request
	equal "$("${api[@]}" -X POST -d '{"plan": "two"}' http://vpsd/v1/plans/none/resize | jq -r .error.code)" not-found
	has t/a tiny@1 64 64
}

@test "apply shows what was resized or set as drift, and takes it over only when told" {
	jq -n '{tenant: "doc", instances: [{name: "w", plan: "tiny", image: "busybox", overrides: {pids: 40}}]}' >"$D/doc.json"
	vps apply "$D/doc.json" >/dev/null
	vps resize doc/w --plan two --quiet
	run vps apply "$D/doc.json"
	[ "$status" -eq 0 ]
	contains "$output" "drift instance doc/w: skipped"
	contains "$output" 'plan: "two@1" -> "tiny"'
	has doc/w two@1 96 40
	vps set doc/w pids=50 --quiet
	# What no document wrote last is not touched by another change of the document.
	jq '.instances[0].labels = {"a": "b"} | .instances[0].overrides.pids = 41' "$D/doc.json" >"$D/doc2.json"
	vps apply "$D/doc2.json" >/dev/null
	equal "$(field doc/w .labels.a)" b
	has doc/w two@1 96 50
	vps apply --take-over "$D/doc2.json" >/dev/null
	has doc/w tiny@1 64 41
	# From then on it is the document's again.
	jq '.instances[0].overrides.pids = 42' "$D/doc2.json" >"$D/doc3.json"
	vps apply "$D/doc3.json" >/dev/null
	has doc/w tiny@1 64 42
	drop_instance doc/w
}

@test "all instances of a plan: who is affected, then one by one, each for itself" {
	local n
	plan group 1 64MiB 64 | vps plan add - >/dev/null
	plan group 2 80MiB 80 | vps plan add - >/dev/null
	for n in g1 g2 g3; do vps create "t/$n" --plan group@1 --image busybox --no-start --quiet; done
	vps create t/g4 --plan group@2 --image busybox --no-start --quiet
	equal "$(vps resize --all-of group@1 --plan group@2 -n | grep -c '^change instance t/g[123]$')" 3
	has t/g1 group@1 64 64
	# Room for two of three: the dry run knows, as it counts those before.
	echo '{"tenant": "t", "quota": {"memory": "370MiB"}}' >"$D/quota.json"
	vps apply "$D/quota.json" >/dev/null
	run vps resize --all-of group@1 --plan group@2 -n
	[ "$status" -eq 1 ]
	equal "$(grep -c '^refused instance t/g3$' <<<"$output")" 1
	run vps resize --all-of group@1 --plan group@2
	[ "$status" -eq 1 ]
	contains "$output" "change instance t/g1: done"
	contains "$output" "change instance t/g2: done"
	contains "$output" "change instance t/g3: failed"
	contains "$output" "1 of 3 instances failed"
	has t/g2 group@2 80 80
	has t/g3 group@1 64 64
	vps apply --quiet "$T/docs"
	run vps resize --all-of group --plan group
	[ "$status" -eq 0 ]
	equal "$(grep -c ^change <<<"$output")" 1
	has t/g3 group@2 80 80
	equal "$(vps resize --all-of group --plan group)" "nothing to change"
	run vps resize --all-of none --plan group
	[ "$status" -eq 1 ]
	for n in g1 g2 g3 g4; do drop_instance "t/$n"; done
}

# Whatever a change meets: it is done or refused, and what is shown is what holds.
@test "resize against stop, start, restart, reboot and delete: done or refused, never half" {
	local verb n plan size client
	make_instance t/race
	for verb in "restart --force t/race" "stop --force t/race" "start t/race" "exec t/race -- reboot" "delete --force --yes t/race"; do
		# shellcheck disable=SC2086 # words
		vps $verb >/dev/null 2>&1 3>&- &
		client=$!
		for n in 1 2 3 4 5 6 7 8; do
			plan=two
			[ $((n % 2)) -eq 0 ] || plan=tiny
			vps resize t/race --plan "$plan" >/dev/null 2>"$D/why" || grep -qE "it is starting|it is stopping|being deleted|under way|there is no instance" "$D/why" ||
				fail "$verb: $(cat "$D/why")"
		done
		wait "$client" || true
		sound
		[[ $verb == delete* ]] && break
		plan=$(field t/race .plan)
		size=64
		[ "$plan" = tiny@1 ] || size=96
		has t/race "$plan" "$size" "$size"
	done
}

# Acknowledged is kept, the rest is whole: values that were given together belong together.
@test "kill -9 of vpsd in the middle of changes" {
	local n k last is log=$D/acknowledged
	for n in 1 2 3 4; do
		: >"$log"
		(
			for ((k = 1; ; k++)); do
				vps set t/a "memory.limit=$((64 + k))MiB" "pids=$((100 + k))" --quiet 2>/dev/null || exit 0
				echo "$k" >>"$log"
			done
		) 3>&- &
		sleep "0.$((n * 2))"
		kill_vpsd KILL
		wait $! || true
		start_vpsd
		last=$(tail -n 1 "$log")
		last=${last:-0}
		is=$(field t/a '.limits[] | select(.limit == "pids") | .configured - 100')
		echo "# killed after change $last was acknowledged; $is holds" >&3
		[ "$n" -eq 1 ] && [ "$last" -eq 0 ] && [ "$is" -lt 0 ] && continue
		has t/a tiny@1 $((64 + is)) $((100 + is))
		[ "$is" -eq "$last" ] || [ "$is" -eq $((last + 1)) ] || { [ "$last" -eq 0 ] && [ "$is" -gt 0 ]; } || fail "$last, $is"
	done
	sound
}

@test "below what is in use: refused with both figures, done when forced" {
	vm_only
	local c client
	c=$(instance_cgroup t/a)
	vps resize t/a --plan two --quiet
	vps exec t/a -- sh -c 'x=$(head -c 30000000 /dev/zero | tr "\0" x); echo up; sleep 1000; echo "$x"' >"$D/hold" 3>&- 2>&1 &
	client=$!
	await 20 grep -q up "$D/hold"
	plan little 1 24MiB 64 | vps plan add - >/dev/null
	run vps resize t/a --plan little -n
	[ "$status" -eq 1 ]
	contains "$output" "cannot lower 'memory.limit' to 24MiB"
	run vps resize t/a --plan little
	[ "$status" -eq 1 ]
	contains "$output" "cannot lower 'memory.limit' to 24MiB"
	contains "$output" "force it"
	has t/a two@1 96 96
	vps exec t/a -- sh -c 'n=0; while [ $n -lt 40 ]; do sleep 600 & n=$((n + 1)); done' >/dev/null 2>&1 3>&-
	run vps set t/a pids=30
	[ "$status" -eq 1 ]
	contains "$output" "cannot lower 'pids' to 30: "
	has t/a two@1 96 96
	vps set t/a pids=30 --force --quiet
	equal "$(cat "$c/pids.max")" 30
	# No new ones; and another change does not stumble over it.
	run inside t/a true
	[ "$status" -ne 0 ]
	vps set t/a cpu.cores=0.5 --quiet
	equal "$(cat "$c/pids.max" "$c/cpu.max" | xargs)" "30 50000 100000"
	kill_vpsd KILL
	start_vpsd
	equal "$(cat "$c/pids.max")" 30
	run vps resize t/a --plan little --force
	[ "$status" -eq 0 ] || fail "$output"
	equal "$(cat "$c/memory.max")" $((24 << 20))
	wait "$client" || true
	[ "$(cat "$c/memory.current")" -le $((24 << 20)) ]
	vps set t/a pids= cpu= --quiet --force
	vps resize t/a --plan tiny --quiet
	vps restart --force --quiet t/a
	has t/a tiny@1 64 64
}

@test "what vpsd did not live to write down does not hold" {
	vm_only
	local c
	c=$(instance_cgroup t/a)
	kill_vpsd KILL
	echo $((200 << 20)) >"$c/memory.max"
	echo 200 >"$c/pids.max"
	start_vpsd
	has t/a tiny@1 64 64
}
