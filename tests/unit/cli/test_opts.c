/* SPDX-License-Identifier: Apache-2.0 */
/* Options, and the table of verbs. */
#include "cli/cli.h"
#include "tests/unit/cli/util.h"

static const struct verb verb = {.name = "try", .usage = "[-f] X", .summary = "try it"};

#define WORDS_MAX (2 * CLI_LIST_MAX + 2)

struct values {
	bool force, all;
	const char *name, *other;
	struct cli_list labels;
	struct cli cli;
	char *words[WORDS_MAX], *argv[WORDS_MAX]; /* the second in the order of the parser */
	size_t n;
	char *said; /* on stderr */
	char *help; /* on stdout */
	int code;
};

#define WORDS(...)                                                                                 \
	(const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)

static int parse(struct values *v, const char *const *words, size_t argc, int min, int max)
{
	const struct cli_opt opts[] = {
		{"force", 'f', 'b', &v->force},	 {"all", 'a', 'b', &v->all},
		{"name", 'n', 's', &v->name},	 {"other", 0, 's', &v->other},
		{"label", 'l', 'l', &v->labels}, {NULL, 0, 0, NULL},
	};
	*v = (struct values){.cli = {.program = "vps", .verb = &verb}, .code = -1, .n = argc};
	for (size_t i = 0; i < argc; i++)
		assert_non_null(v->argv[i] = v->words[i] = strdup(words[i]));
	struct capture e = capture_begin(STDERR_FILENO), o = capture_begin(STDOUT_FILENO);
	int n = cli_parse(&v->cli, (int)argc, v->argv, opts, min, max, &v->code);
	v->help = capture_end(&o);
	v->said = capture_end(&e);
	return n;
}

static void done(struct values *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->words[i]);
	free(v->said);
	free(v->help);
}

static void test_forms(void **state)
{
	struct values v;
	(void)state;
	assert_int_equal(
		parse(&v,
		      WORDS("one", "-fa", "--name=x=y", "two", "-l", "a=1", "--label", "b=2",
			    "-lc=3", "--other", "--", "--json", "-q", "--socket", "/s", "-"),
		      0, -1),
		3);
	assert_string_equal(v.argv[0], "one");
	assert_string_equal(v.argv[1], "two");
	assert_string_equal(v.argv[2], "-");
	assert_true(v.force && v.all && v.cli.json && v.cli.quiet);
	assert_string_equal(v.name, "x=y");
	assert_string_equal(v.other, "--"); /* the value of an option, whatever it looks like */
	assert_string_equal(v.cli.socket, "/s");
	assert_int_equal(v.labels.n, 3);
	assert_string_equal(v.labels.items[2], "c=3");
	assert_string_equal(v.said, "");
	assert_int_equal(v.code, 0);
	done(&v);
}

static void test_end_of_options(void **state)
{
	struct values v;
	(void)state;
	assert_int_equal(parse(&v, WORDS("x", "-f", "--", "-a", "--name", "--"), 1, -1), 4);
	assert_true(v.force);
	assert_false(v.all);
	assert_string_equal(v.argv[1], "-a");
	assert_string_equal(v.argv[3], "--");
	done(&v);
	assert_int_equal(parse(&v, WORDS("--"), 0, 0), 0);
	done(&v);
	assert_int_equal(parse(&v, NULL, 0, 0, 0), 0);
	done(&v);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *words[4];
		const char *said;
	} rows[] = {
		{{"--forec"}, "unknown option --forec; did you mean --force?"},
		{{"--jsno"}, "did you mean --json?"},
		{{"--zzzzzz"}, "unknown option --zzzzzz\n"},
		{{"--=x"}, "unknown option --"},
		{{"-z"}, "unknown option -z"},
		{{"-fz"}, "unknown option -z"},
		{{"-f=1"}, "unknown option -="},
		{{"--force=yes"}, "--force takes no value"},
		{{"--name"}, "--name wants a value"},
		{{"-n"}, "-n wants a value"},
		{{"-fn"}, "-n wants a value"},
		{{"a", "b", "c"}, "'c' is one argument too many"},
		{{NULL}, "'try' wants more arguments"},
		{{"--na\033[2Jme"}, "--na\\x1b[2Jme"},
		{{"-\033"}, "unknown option -\\x1b"},
		{{"a", "b", "\233x"}, "'\\x9bx' is one"},
		{{"--"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaa"},
		 "unknown option --aaa"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct values v;
		size_t n = 0;
		while (n < 4 && rows[i].words[n])
			n++;
		assert_int_equal(parse(&v, rows[i].words, n, 1, 2), -1);
		assert_int_equal(v.code, CLI_USAGE);
		if (!strstr(v.said, rows[i].said) || !strstr(v.said, "usage: vps try [-f] X\n"))
			fail_msg("expected '%s', have '%s'", rows[i].said, v.said);
		done(&v);
	}
}

static void test_list_is_full(void **state)
{
	struct values v;
	const char *argv[WORDS_MAX];
	(void)state;
	for (size_t i = 0; i < WORDS_MAX; i += 2) {
		argv[i] = "-l";
		argv[i + 1] = "x";
	}
	assert_int_equal(parse(&v, argv, 2 * CLI_LIST_MAX, 0, 0), 0);
	assert_int_equal(v.labels.n, CLI_LIST_MAX);
	done(&v);
	assert_int_equal(parse(&v, argv, WORDS_MAX, 0, 0), -1);
	assert_non_null(strstr(v.said, "--label is given too often"));
	done(&v);
}

static void test_help(void **state)
{
	struct values v;
	(void)state;
	assert_int_equal(parse(&v, WORDS("--help"), 3, 3), -1);
	assert_int_equal(v.code, CLI_OK);
	assert_non_null(strstr(v.help, "usage: vps try [-f] X\ntry it.\n"));
	assert_string_equal(v.said, "");
	done(&v);
	assert_int_equal(parse(&v, WORDS("-h", "--nonsense"), 3, 3), -1);
	assert_int_equal(v.code, CLI_USAGE);
	done(&v);
}

/* --- verbs --------------------------------------------------------------------------------- */

static void test_table_of_verbs(void **state)
{
	(void)state;
	for (const struct verb *v = cli_verbs; v->name; v++) {
		int words = 0;
		char name[64], *argv[3] = {name, NULL, NULL};
		assert_non_null(v->run);
		assert_non_null(v->summary);
		assert_non_null(v->usage);
		assert_true(strlen(v->summary) > 5 && strlen(v->summary) < 70);
		assert_false(str_has_suffix(v->summary, "."));
		for (const struct verb *o = cli_verbs; o < v; o++)
			assert_string_not_equal(o->name, v->name);
		/* Found by its own words, and it says its help by itself. */
		assert_int_equal(str_copy(name, sizeof(name), v->name), 0);
		char *space = strchr(name, ' ');
		if (space) {
			*space = '\0';
			argv[1] = space + 1;
		}
		assert_ptr_equal(verb_find(space ? 2 : 1, argv, &words), v);
		assert_int_equal(words, space ? 2 : 1);
		/* The first word alone is no verb, or one of its own: "host" and "host lock". */
		const struct verb *first = space ? verb_find(1, argv, &words) : NULL;
		if (first)
			assert_string_equal(first->name, argv[0]);
		struct cli cli = {.program = "vps", .verb = v};
		char option[] = "--help", *help[] = {option};
		struct capture c = capture_begin(STDOUT_FILENO);
		int code = v->run(&cli, 1, help);
		char *said = capture_end(&c);
		assert_int_equal(code, CLI_OK);
		assert_non_null(strstr(said, "usage: "));
		free(said);
	}
}

static void test_unknown_verb(void **state)
{
	static const struct {
		const char *first, *second, *said;
	} rows[] = {
		{"strat", NULL, "did you mean 'start'?"},
		{"image", NULL, "vps image import NAME"},
		{"image", "sl", "vps image ls"},
		{"imgae", "ls", "did you mean 'image ls'?"},
		{"nothing-like-it", NULL, "'vps help' lists them"},
		{"", NULL, "'vps help' lists them"},
		{"\033[2J", NULL, "'\\x1b[2J'"},
	};
	const struct cli cli = {.program = "vps"};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *argv[2] = {strdup(rows[i].first),
				 rows[i].second ? strdup(rows[i].second) : NULL};
		struct capture c = capture_begin(STDERR_FILENO);
		assert_int_equal(verb_unknown(&cli, argv[1] ? 2 : 1, argv), CLI_USAGE);
		char *said = capture_end(&c);
		if (!strstr(said, rows[i].said))
			fail_msg("expected '%s', have '%s'", rows[i].said, said);
		free(said);
		free(argv[0]);
		free(argv[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),	     cmocka_unit_test(test_end_of_options),
		cmocka_unit_test(test_wrong),	     cmocka_unit_test(test_list_is_full),
		cmocka_unit_test(test_help),	     cmocka_unit_test(test_table_of_verbs),
		cmocka_unit_test(test_unknown_verb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
