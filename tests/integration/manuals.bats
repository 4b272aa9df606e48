#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The manual pages say what is there: every verb, option and key, and groff finds nothing wrong with them.
load lib

page() {
	groff -man -Tascii -P-c -P-b -P-u -rLL=200n "$REPO/docs/$1" 2>/dev/null
}

@test "groff has nothing to say" {
	command -v groff >/dev/null || skip "groff is not installed"
	local file
	for file in "$REPO"/docs/*.[58]; do
		run groff -mandoc -ww -z -rLL=100n "$file"
		[ "$status" -eq 0 ]
		equal "$output" ""
	done
}

@test "each verb of the table, with its usage, is in vps(8)" {
	command -v groff >/dev/null || skip "groff is not installed"
	local text verb
	text=$(page vps.8 | tr -s ' \n' ' ')
	while read -r verb; do
		contains "$text" " vps $verb "
	done < <(vps help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\( [a-z]*\)\?\)  .*/\1/p')
	# Options, too.
	while read -r verb; do
		contains "$text" "$verb"
	done < <(grep -o '{"[a-z-]*", [^,]*, .[bsl]., &' "$REPO"/cli/*.c | sed 's/.*{"\([a-z-]*\)".*/--\1/' | sort -u)
}

@test "vps help VERB works for each" {
	local verb n=0
	while read -r verb; do
		# shellcheck disable=SC2086 # one or two words
		run vps help $verb
		[ "$status" -eq 0 ]
		contains "$output" "usage: vps $verb"
		# shellcheck disable=SC2086
		run vps $verb --help
		[ "$status" -eq 0 ]
		n=$((n + 1))
	done < <(vps help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\( [a-z]*\)\?\)  .*/\1/p')
	[ "$n" -ge 20 ]
}

@test "the options of the daemons are in their pages" {
	command -v groff >/dev/null || skip "groff is not installed"
	local program option
	for program in vpsd vps-keeper; do
		for option in $("$O/$program" --help | grep -o -e '--[a-z-]*' | sort -u) --help --version; do
			contains "$(page "$program.8")" "$option"
		done
	done
}

@test "pages point at pages that exist" {
	local file name
	for file in "$REPO"/docs/*.[58]; do
		for name in $(sed -n 's/^\.BR vps\([a-z.\\-]*\) (\([58]\)).*/vps\1.\2/p' "$file" | tr -d '\\'); do
			[ -e "$REPO/docs/$name" ] || fail "$file names $name"
		done
	done
}

# keys PAGE [OPTION]: asks the page of a document about its schema.
keys() {
	local kind=${1#vps-}
	[ "$kind" != vpsd.json ] || kind=host
	/usr/bin/python3 "$REPO/tests/integration/manual_keys.py" "$O/schemas/$kind.schema.json" "$REPO/docs/$1.5" "${@:2}"
}

@test "each key of the documents is in its page, and no other" {
	local page
	for page in vpsd.json vps-plan vps-tenant; do
		run keys "$page"
		[ "$status" -eq 0 ] || fail "$page: $output"
		[ "${output%% *}" -ge 20 ]
	done
}

@test "the examples of the pages are valid documents" {
	local page
	mkdir "$BATS_TEST_TMPDIR/docs"
	for page in vpsd.json vps-plan vps-tenant; do
		keys "$page" --example >"$BATS_TEST_TMPDIR/docs/$page.json"
	done
	# One by one: the tenant's plans are not among them.
	for page in "$BATS_TEST_TMPDIR"/docs/*; do
		run vpsd --validate "$page"
		[ "$status" -eq 0 ] || fail "$output"
	done
}
