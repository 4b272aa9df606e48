# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the .bats files share: a vpsd of their own for each file, tiny instances, waiting. Files say at their head
# what they are about; tests/integration/run says how they are run.
#
#   load lib
#   setup_file()    { host_up; }      a vpsd with a tenant "t", a plan "tiny" and an image "busybox"
#   teardown_file() { host_down; }    ... and nothing of it left
bats_require_minimum_version 1.5.0

export BATS_TEST_DIRNAME
REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
export REPO
O=$(cd "$REPO" && realpath -m "${O:-build}")
export O
MODE=${VPS_TEST_MODE:-host}
export MODE
HELPERS=$O/helpers
export HELPERS
export PATH=$O:/usr/sbin:/usr/bin:/sbin:/bin

# --- modes -----------------------------------------------------------------------------------------

# bats kills the watchdog of a test that is over. One that was skipped in its first moment is over before the watchdog
# listens: its "sleep" stays, and bats with it, for all of BATS_TEST_TIMEOUT.
eval "bats_$(declare -f skip)"
skip() {
	sleep 0.1
	bats_skip "$@"
}

# The rest of the test (or, in setup_file, of the file) needs the virtual machine's kernel.
vm_only() {
	[ "$MODE" = vm ] || skip "${1:-needs the cgroup v2 controllers}: runs in the virtual machine"
}

host_only() {
	[ "$MODE" = host ] || skip "$1"
}

# The emulated machine is about twenty times slower.
seconds() {
	if [ "$MODE" = vm ]; then echo $(($1 * 6)); else echo "$1"; fi
}

# --- saying and waiting ----------------------------------------------------------------------------

fail() {
	printf '%s\n' "$@" >&2
	[ ! -e "${T-}/vpsd.log" ] || { echo "--- last lines of vpsd's log"; tail -n 25 "$T/vpsd.log"; } >&2
	return 1
}

# ended_with PID CODE: waits for a job of this shell.
ended_with() {
	local code=0
	wait "$1" || code=$?
	[ "$code" -eq "$2" ] || fail "the command ended with $code, expected $2"
}

equal() {
	[ "$1" = "$2" ] || fail "expected: $2" "got:      $1"
}

contains() {
	[[ $1 == *"$2"* ]] || fail "expected in it: $2" "got: $1"
}

# await SECONDS COMMAND...: until it succeeds; it is asked again every tenth of a second.
await() {
	local end=$((SECONDS + $(seconds "$1")))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || { fail "in vain: $*"; return 1; }
		sleep 0.1
	done
}

# Whether a process is there and no zombie.
alive() {
	local stat
	[ -n "$1" ] || return 1
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[[ $stat != [ZX]* ]]
}

dead() {
	! alive "$1"
}

# --- the daemon ------------------------------------------------------------------------------------

# The host document of the tests; $1 = a jq filter that changes it.
host_document() {
	local tolerate='[]'
	[ "$MODE" = vm ] || tolerate='["cpu.*", "memory.*", "pids", "quota.*", "device_program"]'
	jq -n --arg t "$T" --argjson tolerate "$tolerate" '{
		listen: [{unix: ($t + "/run/vpsd.sock"), group: "games"}],
		state: ($t + "/state"), pool: ($t + "/state/pool"), run: ($t + "/run"),
		reserve: {cores: 0, memory: "64MiB", disk: "0"},
		overcommit: {cpu: 1000, memory: 1000, disk: 1000},
		idmap: {base: 100000000, count: 64},
		required_controllers: (if $tolerate == [] then ["cpu", "memory", "pids"] else [] end),
		tolerate_unsupported: $tolerate,
		stop_timeout: "20s", console_log: "64KiB"}' | jq "${1:-.}" >"$T/vpsd.json"
}

# Makes the directory of this file's host and starts vpsd; nothing is imported yet.
host_new() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	local name
	name=$(basename "${BATS_TEST_FILENAME%.bats}")
	T=$(mktemp -d "${VPS_TEST_DIR:-/var/tmp}/vps-$name.XXXXXX")
	chmod 755 "$T"
	export T VPS_SOCKET=$T/run/vpsd.sock
	host_document "$@"
	start_vpsd
}

# The same with a tenant, a plan and an image.
host_up() {
	host_new "$@"
	tiny_documents
	vps apply "$T/docs" >/dev/null
	vps image import busybox "$(busybox_archive)" >/dev/null
}

busybox_archive() {
	"$REPO/tests/image-cache" busybox
}

tiny_plan() {
	cat <<-'JSON'
		{"plan": "tiny", "version": 1, "cpu": {"cores": 1}, "memory": {"limit": "64MiB"}, "pids": 64,
		 "disk": {"size": null, "inodes": null}, "network": {"connections": null}}
	JSON
}

# add_plan NAME [JQ-FILTER]: a document of a plan like tiny, changed so.
add_plan() {
	tiny_plan | jq --arg name "$1" "${2:-.} | .plan = \$name" >"$T/docs/plans/$1.json"
}

tiny_documents() {
	mkdir -p "$T/docs/plans" "$T/docs/tenants"
	tiny_plan >"$T/docs/plans/tiny.json"
	echo '{"tenant": "t"}' >"$T/docs/tenants/t.json"
}

vpsd_pid() {
	cat "$T/vpsd.pid"
}

is_host_ready() {
	[ "$(vps host --json 2>/dev/null | jq .ready)" = true ]
}

# Starts vpsd and waits until it takes orders.
start_vpsd() {
	local end=$((SECONDS + $(seconds 20))) code=0
	"$O/vpsd" --config "$T/vpsd.json" --helpers "$O" --seccomp "$REPO/config/defaults/seccomp/default.json" --filter "${FILTER:-$REPO/config/defaults/filter.nft}" \
		</dev/null >>"$T/vpsd.log" 2>&1 3>&- 4>&- &
	local pid=$!
	echo "$pid" >"$T/vpsd.pid"
	until is_host_ready; do
		# The shell's own word on its child: /proc is read in two steps and can mislead.
		if ! jobs -r -p | grep -qx "$pid"; then
			wait "$pid" || code=$?
			fail "vpsd ended with status $code"
			return 1
		fi
		[ "$SECONDS" -lt "$end" ] || { fail "vpsd does not become ready"; return 1; }
		sleep 0.05
	done
	disown "$pid"
}

# kill_vpsd SIGNAL: and waits until it is gone.
kill_vpsd() {
	local pid
	pid=$(vpsd_pid)
	kill "-$1" "$pid"
	await 20 dead "$pid"
}

keeper_pid() {
	vps host --json | jq -r .keeper_pid
}

cgroup_root() {
	vps host --json | jq -r .cgroups.root
}

# Ends everything of this file's host.
host_down() {
	[ -n "${T-}" ] || return 0
	local i keeper pid
	pid=$(vpsd_pid)
	alive "$pid" || start_vpsd
	for i in $(vps ls --json | jq -r '.instances[] | .tenant + "/" + .name'); do
		vps delete --force --yes "$i" >/dev/null || true
	done
	keeper=$(keeper_pid)
	kill_vpsd TERM
	if [[ $keeper =~ ^[0-9]+$ ]]; then
		kill "$keeper"
		await 20 dead "$keeper"
	fi
	rm -rf "$T"
}

# --- instances -------------------------------------------------------------------------------------

# field T/N JQ-PATH
field() {
	vps info "$1" --json | jq -r "$2"
}

has_field() {
	[ "$(field "$1" "$2")" = "$3" ]
}

# make_instance T/N [OPTION...]: a tiny one, started unless --no-start.
make_instance() {
	vps create "$1" --plan tiny --image busybox --quiet "${@:2}"
}

drop_instance() {
	vps delete --force --yes --quiet "$1"
}

# Whether a process with that in its command line runs in it.
runs_inside() {
	inside "$1" ps | grep -q -- "$2"
}

# Whether its console's log has a line like that.
logs_say() {
	vps logs "$1" | grep -q -- "$2"
}

# What its root says; stdout and the exit code are the command's.
inside() {
	vps exec "$1" -- "${@:2}"
}

# put_inside T/N PATH <FILE: an executable file.
put_inside() {
	# shellcheck disable=SC2016 # the guest's shell expands it
	vps exec "$1" -i -- /bin/sh -c 'cat >"$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0"' "$2"
}

# Directories on the host.
instance_dir() {
	echo "$T/state/pool/instances/$(field "$1" .id)"
}

log_dir() {
	echo "$T/state/log/$(field "$1" .id)"
}

instance_cgroup() {
	find "$(cgroup_root)" -type d -name "$(field "$1" .id)"
}

# --- the ledger: everything that an instance could leave on the host ---------------------------------

namespaces() {
	find /proc -maxdepth 3 -path "/proc/[0-9]*/ns/$1" -printf '%l\n' 2>/dev/null | sort -u | wc -l
}

# guest_pids: processes whose host uid is one of the instances'.
guest_pids() {
	ps -eo pid=,uid= | awk '$2 >= 1000000 { print $1 }'
}

fds() {
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

# One line per kind of thing, for comparison before and after.
ledger() {
	local root
	root=$(cgroup_root)
	echo "cgroups: $(find "$root" -mindepth 2 -type d | wc -l)"
	echo "mounts: $(wc -l </proc/self/mountinfo)"
	echo "network namespaces: $(namespaces net)"
	echo "pid namespaces: $(namespaces pid)"
	echo "guest processes: $(guest_pids | wc -l)"
	echo "instance directories: $(find "$T/state/pool/instances" -mindepth 1 -maxdepth 1 | wc -l)"
	echo "work in progress: $(find "$T/state/pool/tmp" -mindepth 1 -maxdepth 1 | wc -l)"
	echo "fds of the keeper: $(fds "$(keeper_pid)")"
	echo "fds of vpsd: $(fds "$(vpsd_pid)")"
}

is_ledger() {
	[ "$(ledger)" = "$1" ]
}

# unchanged LEDGER: waits until everything is as it was.
unchanged() {
	await 10 is_ledger "$1" || { diff <(echo "$1") <(ledger) >&2; return 1; }
}

# --- soundness: nothing half done, whatever happened -------------------------------------------------

# Everything that must hold once vpsd is ready and no operation runs. Prints what does not.
complaints() {
	local list ids id dirs running pid where ranges
	list=$(vps ls --json)
	vps op ls --json | jq -r '.operations[] | select(.status == "running") | "operation \(.kind) \(.target) runs"'
	jq -r '.instances[] | select(.state != "stopped" and .state != "running") | "\(.name) is \(.state)"' <<<"$list"
	jq -r '.instances[] | select((.desired == "running") != (.state == "running")) | "\(.name): wanted \(.desired), is \(.state)"' <<<"$list"
	ids=$(jq -r '.instances[].id' <<<"$list" | sort)
	dirs=$(find "$T/state/pool/instances" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)
	[ "$ids" = "$dirs" ] || echo "instances: $(xargs <<<"$ids"); directories: $(xargs <<<"$dirs")"
	[ -z "$(ls -A "$T/state/pool/tmp")" ] || echo "work in progress: $(ls "$T/state/pool/tmp")"
	running=$(jq -r '.instances[] | select(.state == "running") | .id' <<<"$list" | sort)
	# A stopped instance's empty cgroup is no leak; one of nobody is, and so is a process outside, or of a stopped one. One
	# by one: guests start and end processes all the time.
	{ find "$(cgroup_root)/shared" -mindepth 2 -maxdepth 2 -type d -printf '%f\n' &&
		find "$(cgroup_root)/dedicated" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null; } | while read -r id; do
		grep -q "$id" <<<"$ids" || echo "cgroup of nobody: $id"
	done
	guest_pids | while read -r pid; do
		where=$(sed -n 's/^0:://p' "/proc/$pid/cgroup" 2>/dev/null) || true
		[ -n "$where" ] || continue
		id=$(grep -oE '/(shared/[0-9a-f]{16}|dedicated)/[0-9a-f]{16}/' <<<"$where" | grep -oE '[0-9a-f]{16}/$' | tr -d /) || true
		grep -qF "${id:-nothing}" <<<"$running" || echo "process $pid of a guest is in $where"
	done
	ranges=$(vps host --json | jq .capacity.id_ranges_free)
	[ "$ranges" -eq $((63 - $(wc -w <<<"$ids"))) ] || echo "$ranges id ranges are free"
	jq -r '.instances[] | select(.state == "running") | .pid' <<<"$list" | while read -r pid; do
		alive "$pid" || echo "init $pid is dead"
	done
}

is_sound() {
	[ -z "$(complaints)" ]
}

sound() {
	await "${1:-20}" is_sound || fail "$(complaints)"
}
