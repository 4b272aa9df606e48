#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The short form of the neighbour benchmark (tests/bench/neighbour), and that its report says what the figures say.
load lib

BENCH=$REPO/tests/bench/neighbour

# raw FACTOR LATE FAILURE: figures of a control that loses a tenth and of a vpsd that keeps FACTOR of that, with LATE times its p99.
raw() {
	jq -n --argjson factor "$1" --argjson late "$2" --arg failure "$3" '
		def row($system; $pass; $attack; $ops; $p99):
			{system: $system, pass: $pass, attack: $attack, failures: [], ls_seconds: 0.1,
			 figures: {cpu: {per_second: ($ops * 100 * ($pass + 1)), p99_usec: ($p99 * 10)}}};
		{kind: "dedicated", kernel: "6.1", cpus: 3, ms: 500, passes: 3, guarantee: 1, log: [],
		 plans: {victim: {cpu: {cores: 1, dedicated: true}}},
		 rows: [range(3) as $pass | ["control", 1, 1], ["vpsd", $factor, $late] | . as [$system, $f, $l] |
			row($system; $pass; null; 1; 1), row($system; $pass; "cpu spin"; 0.9 * $f; 2 * $l), row($system; $pass; null; 1; 1)]}
		| if $failure != "" then .rows[4].failures = [$failure] else . end'
}

@test "report: a loss is shown as ratio to the runs around it, and beyond the control" {
	raw 0.5 3 "" >"$BATS_TEST_TMPDIR/raw"
	run "$BENCH/run" --show "$BATS_TEST_TMPDIR/raw"
	equal "$status" 0
	grep -qE '^cpu spin +cpu +90 % +2\.00 +45 % +6\.00 +50 % +3\.00!$' <<<"$output" || fail "$output"
	contains "$output" "vpsd: 0 of 1 cells meet the goal"
	contains "$output" "missed: cpu spin, cpu: 50 %, 3.00 times"
}

@test "report: no loss beyond the control meets the goals" {
	raw 1 1 "" >"$BATS_TEST_TMPDIR/raw"
	run "$BENCH/run" --show "$BATS_TEST_TMPDIR/raw"
	equal "$status" 0
	contains "$output" "vpsd: 1 of 1 cells meet the goal"
	[[ $output != *missed:* ]] || fail "$output"
}

@test "report: what fails is named, and is the exit status" {
	raw 1 1 "the victim: OOM" >"$BATS_TEST_TMPDIR/raw"
	run "$BENCH/run" --show "$BATS_TEST_TMPDIR/raw"
	equal "$status" 1
	contains "$output" "failed: cpu spin, pass 1: the victim: OOM"
	jq '.rows[4].failures = [] | .log = ["an error"]' "$BATS_TEST_TMPDIR/raw" >"$BATS_TEST_TMPDIR/log"
	run "$BENCH/run" --show "$BATS_TEST_TMPDIR/log"
	equal "$status" 1
	contains "$output" "failed: vpsd's log: an error"
	jq '.rows[4].failures = [] | .rows |= map(select(.system != "vpsd"))' "$BATS_TEST_TMPDIR/raw" >"$BATS_TEST_TMPDIR/none"
	run "$BENCH/run" --show "$BATS_TEST_TMPDIR/none"
	equal "$status" 1
}

@test "a spinning, a forking and a memory hungry neighbour take no more than from plain processes with the same limits" {
	vm_only "needs the cgroup v2 controllers"
	local raw=$BATS_TEST_TMPDIR/raw
	"$BENCH/inside" --kind shared --systems control,vpsd --attacks "cpu spin,fork bomb,memory bomb" --probes cpu,latency \
		--passes 3 --ms 400 --dir "$VPS_TEST_DIR" --out "$raw" 3>&-
	"$BENCH/run" --show "$raw" >"$BATS_TEST_TMPDIR/table" || fail "$(cat "$BATS_TEST_TMPDIR/table")"
	sed 's/^/# /' "$BATS_TEST_TMPDIR/table" >&3
	# Nothing failed, in the control neither, and each attack was one.
	equal "$(jq '[.rows[].failures[]] | length' "$raw")" 0
	equal "$(jq '[.rows[] | select(.attack)] | length' "$raw")" 18
	equal "$(jq -c '[.rows[] | select(.attack) | .attack_deeds | map(.deeds + .refused < 10) | any] | any' "$raw")" false
	equal "$(jq '[.rows[] | select(.attack == "memory bomb") | .attack_deeds.memory.deeds < 1000] | any' "$raw")" false
	# Wide margins: the machine is emulated and its processors are not its own. Wake-ups of a guest that is throttled are few.
	"$BENCH/run" --show "$raw" --json >"$BATS_TEST_TMPDIR/cells"
	equal "$(jq '.[0] | length' "$BATS_TEST_TMPDIR/cells")" 6
	equal "$(jq -c '[.[0][] | select(.vpsd[1][0] < {cpu: 0.6, latency: 0.3}[.probe]) | {attack, probe, vpsd, control}]' "$BATS_TEST_TMPDIR/cells")" "[]"
}
