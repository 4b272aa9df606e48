/* SPDX-License-Identifier: Apache-2.0 */
/* What `vps ls` and `vps info` make of an answer. */
#include "cli/cli.h"
#include "tests/unit/cli/util.h"

#define LIMITS(effective)                                                                          \
	"\"limits\": [{\"limit\": \"memory.limit\", \"configured\": 67108864, "                    \
	"\"effective\": " effective ", \"reason\": \"no controller\"}, {\"limit\": \"pids\", "     \
	"\"configured\": 64, \"effective\": " effective ", \"reason\": \"no controller\"}]"

static void answer(int fd, const char *request, void *arg)
{
	const char *body = arg;
	char head[160];
	(void)request;
	(void)str_fmt(head, sizeof(head),
		      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
		      "%zu\r\nConnection: close\r\n\r\n",
		      strlen(body));
	put(fd, head, strlen(head));
	put(fd, body, strlen(body));
}

/* What a verb prints when the API answers with 'body'; heap. */
static char *printed(int (*run)(struct cli *cli, int argc, char **argv), const char *name,
		     const char *body)
{
	struct fake f;
	char copy[32];
	_cleanup_free_ char *text = strdup(body);
	fake_start(&f, answer, text);
	const struct verb verb = {.name = "x", .usage = "", .summary = ""};
	struct cli cli = {.program = "vps", .socket = f.path, .verb = &verb};
	assert_int_equal(str_copy(copy, sizeof(copy), name ? name : ""), 0);
	char *argv[] = {copy, NULL};
	struct capture c = capture_begin(STDOUT_FILENO);
	int code = run(&cli, name ? 1 : 0, name ? argv : argv + 1);
	char *out = capture_end(&c);
	assert_int_equal(code, CLI_OK);
	assert_int_equal(fake_stop(&f), 0);
	return out;
}

/* The limits of a list's only row. */
static void expect_limits(const char *instance, const char *memory, const char *pids)
{
	char body[1024];
	assert_int_equal(str_fmt(body, sizeof(body),
				 "{\"instances\": [{\"tenant\": \"t\", \"name\": \"a\", %s}]}",
				 instance),
			 0);
	_cleanup_free_ char *text = printed(cmd_ls, NULL, body);
	if (!strstr(text, memory) || !strstr(text, pids))
		print_error("%s", text);
	assert_non_null(strstr(text, memory));
	assert_non_null(strstr(text, pids));
}

/* A limit that the kernel does not hold is marked as soon as a guest lives, whether or not its init
 * ever says that it is ready; without one there is nothing to hold. */
static void test_mark_of_a_limit(void **state)
{
	(void)state;
	expect_limits("\"state\": \"running\", \"pid\": 7, " LIMITS("false"), " -/64MiB! ",
		      " -/64! ");
	expect_limits("\"state\": \"ready\", \"pid\": 7, " LIMITS("false"), " -/64MiB! ",
		      " -/64! ");
	expect_limits("\"state\": \"stopping\", \"pid\": 7, " LIMITS("false"), " -/64MiB! ",
		      " -/64! ");
	expect_limits("\"state\": \"running\", \"pid\": 7, " LIMITS("true"), " -/64MiB ", " -/64 ");
	expect_limits("\"state\": \"stopped\", \"pid\": null, " LIMITS("false"), " -/64MiB ",
		      " -/64 ");
	expect_limits("\"state\": \"failed\", " LIMITS("false"), " -/64MiB ", " -/64 ");
}

static void test_restart_needed(void **state)
{
	(void)state;
	_cleanup_free_ char *with = printed(cmd_info, "t/a", "{\"restart_needed\": true}");
	_cleanup_free_ char *without = printed(cmd_info, "t/a", "{\"restart_needed\": false}");
	assert_non_null(strstr(with, "\nrestart       needed: "));
	assert_null(strstr(without, "\nrestart "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mark_of_a_limit),
		cmocka_unit_test(test_restart_needed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
