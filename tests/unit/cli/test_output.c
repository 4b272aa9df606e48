/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, sizes, ages; and that no answer of a server acts on a terminal. */
#include <fcntl.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "tests/unit/cli/util.h"

static char *print_table(const char *const *heads, const char *const *cells, size_t n)
{
	struct capture c = capture_begin(STDOUT_FILENO);
	struct table *t = table_new(heads);
	for (size_t i = 0; i < n; i++)
		table_cell(t, "%s", cells[i]);
	table_print(t);
	return capture_end(&c);
}

static void test_table(void **state)
{
	static const char *const heads[] = {"NAME", "STATE", "UP", NULL};
	static const char *const cells[] = {"acme/web1",    "ready",  "-",
					    "a/w\xc3\xa9x", "failed", "3h2m"};
	(void)state;
	char *text = print_table(heads, cells, 6);
	assert_string_equal(text, "NAME       STATE   UP\n"
				  "acme/web1  ready   -\n"
				  "a/w\xc3\xa9x      failed  3h2m\n");
	free(text);
	text = print_table(heads, NULL, 0);
	assert_string_equal(text, "NAME  STATE  UP\n");
	free(text);
	/* A row that is not whole, hostile cells, long cells, many rows. */
	static char large[2000];
	memset(large, 'x', sizeof(large) - 1);
	const char *const odd[] = {"\033[2J\n", "\xc2\x9b\xff", large, "one"};
	text = print_table(heads, odd, 4);
	assert_non_null(strstr(text, "\\x1b[2J\\x0a"));
	assert_non_null(strstr(text, "\\xc2\\x9b\\xff"));
	assert_null(strchr(text, '\033'));
	free(text);
	struct capture c = capture_begin(STDOUT_FILENO);
	struct table *t = table_new(heads);
	for (int i = 0; i < 3000; i++)
		table_cell(t, "%d", i);
	table_print(t);
	text = capture_end(&c);
	assert_non_null(strstr(text, "\n2997  2998   2999\n"));
	free(text);
	c = capture_begin(STDERR_FILENO);
	table_print(NULL);
	text = capture_end(&c);
	assert_non_null(strstr(text, "no memory"));
	free(text);
}

static void assert_size(json_t *v, const char *want)
{
	char text[CLI_TEXT];
	size_of(text, v);
	assert_string_equal(text, want);
	json_decref(v);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_size(NULL, "-");
	assert_size(json_null(), "-");
	assert_size(json_string("5"), "-");
	assert_size(json_integer(-1), "-");
	assert_size(json_integer(0), "0");
	assert_size(json_integer(512 << 20), "512MiB");
	assert_size(json_integer(3ll << 29), "1.5GiB");
	char text[CLI_TEXT];
	json_t *most = json_integer(INT64_MAX);
	size_of(text, most);
	assert_true(strlen(text) > 0 && strlen(text) < 20);
	json_decref(most);
}

static void assert_age(long ago, const char *want)
{
	char stamp[40], text[CLI_TEXT];
	time_t t = time(NULL) - ago;
	struct tm tm;
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	json_t *v = json_string(stamp);
	age_of(text, v);
	json_decref(v);
	if (want)
		assert_string_equal(text, want);
}

static void test_ages(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  "2026-01-01",
					  "2026-01-01T00:00:00Zx",
					  "2026-13-01T00:00:00Z",
					  "99999999-01-01T00:00:00Z"};
	char text[CLI_TEXT];
	(void)state;
	assert_age(-100, "0s");
	assert_age(5 * 60 + 30, "5m30s");
	assert_age(3 * 3600 + 125, "3h2m");
	assert_age(86400 * 400 + 7300, "400d2h");
	age_of(text, NULL);
	assert_string_equal(text, "-");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		json_t *v = json_string(bad[i]);
		age_of(text, v);
		assert_string_equal(text, "-");
		json_decref(v);
	}
}

static void test_say(void **state)
{
	(void)state;
	struct capture c = capture_begin(STDOUT_FILENO);
	cli_say(stdout, "%s|%d\n", "a\033[2J\tb\r\xc2\x9b\xff w\xc3\xa9", 5);
	char *text = capture_end(&c);
	assert_string_equal(text, "a\\x1b[2J\tb\\x0d\\xc2\\x9b\\xff w\xc3\xa9|5\n");
	free(text);
}

static void test_fail(void **state)
{
	const struct cli cli = {.program = "vps"};
	struct err err = ERR_INIT;
	(void)state;
	(void)err_set(&err, ENOENT, "there is no '%s'", "x\033[2J");
	(void)err_hint(&err, "look\033[2J");
	struct capture c = capture_begin(STDERR_FILENO);
	assert_int_equal(cli_fail(&cli, &err), CLI_FAILED);
	char *text = capture_end(&c);
	assert_string_equal(text, "vps: there is no 'x?[2J'\n     look?[2J\n");
	free(text);
	/* A list of problems stays several lines. */
	json_t *answer = json_pack("{s:{s:s}}", "error", "text", "f: a: one\nf: b: \033[2Jtwo\n");
	c = capture_begin(STDERR_FILENO);
	assert_int_equal(cli_fail_answer(&cli, &err, answer), CLI_FAILED);
	text = capture_end(&c);
	assert_string_equal(text, "f: a: one\nf: b: \\x1b[2Jtwo\n");
	free(text);
	json_decref(answer);
}

static void test_put(void **state)
{
	(void)state;
	json_t *o = json_object();
	assert_int_equal(cli_put(o, "a", "x", "it"), 0);
	assert_int_equal(cli_put(o, "b", NULL, "it"), 0);
	struct capture c = capture_begin(STDERR_FILENO);
	assert_int_equal(cli_put(o, "c", "\xff", "--user"), -1);
	char *text = capture_end(&c);
	assert_string_equal(text, "vps: --user must be UTF-8 text\n");
	assert_int_equal(json_object_size(o), 1);
	free(text);
	json_decref(o);
}

static void assert_path(const char *name, const char *want)
{
	const struct cli cli = {.program = "vps"};
	struct capture c = capture_begin(STDERR_FILENO);
	char *path = cli_instance_path(&cli, name, "/start");
	char *said = capture_end(&c);
	assert_true(str_eq(path, want));
	assert_int_equal(*said != '\0', want == NULL);
	assert_null(strchr(said, '\033'));
	free(said);
	free(path);
}

static void test_paths(void **state)
{
	(void)state;
	assert_path("acme/web1", "/v1/instances/acme/web1/start");
	assert_path("a b/\xc3\xa9?x", "/v1/instances/a%20b/%C3%A9%3Fx/start");
	assert_path("../..", "/v1/instances/../../start"); /* dots mean nothing to vpsd */
	assert_path("\033/x\r\n", "/v1/instances/%1B/x%0D%0A/start");
	assert_path("web1", NULL);
	assert_path("/web1", NULL);
	assert_path("acme/", NULL);
	assert_path("a/b/c", NULL);
	assert_path("\033[2J", NULL);
	assert_path("", NULL);
}

static void test_url_escape(void **state)
{
	char all[256];
	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	char *text = url_escape(all);
	for (const char *p = text; *p; p++)
		assert_non_null(strchr("0123456789abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~%",
				       *p));
	assert_int_equal(strlen(text), 66 + 3 * (255 - 66));
	free(text);
	text = url_escape("");
	assert_string_equal(text, "");
	free(text);
}

/* What a terminal gets. */
static void progress_on_terminal(char *dst, size_t size, const char *what, uint64_t done,
				 uint64_t total, bool is_bytes)
{
	_cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int slave = -1, saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	ssize_t n;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && saved >= 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0 && dup2(slave, STDERR_FILENO) >= 0);
	progress_show(what, done, total, is_bytes);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	n = read(master, dst, size - 1);
	assert_true(n > 0);
	dst[n] = '\0';
}

static void test_progress(void **state)
{
	char text[200];
	(void)state;
	progress_on_terminal(text, sizeof(text), "unpack", 1 << 20, 4 << 20, true);
	assert_non_null(strstr(text, "unpack [#######"));
	assert_non_null(strstr(text, "] 1MiB of 4MiB"));
	progress_on_terminal(text, sizeof(text), "apply", 3, 1200, false);
	assert_non_null(strstr(text, "] 3 of 1200"));
	progress_on_terminal(text, sizeof(text), "bootstrap", 0, 0, true);
	assert_non_null(strstr(text, "bootstrap ..."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	 cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ages),	 cmocka_unit_test(test_say),
		cmocka_unit_test(test_fail),	 cmocka_unit_test(test_put),
		cmocka_unit_test(test_paths),	 cmocka_unit_test(test_url_escape),
		cmocka_unit_test(test_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
