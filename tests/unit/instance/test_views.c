/* SPDX-License-Identifier: Apache-2.0 */
/* What guests are shown of their CPUs: right at their start, after each change, and by the next
 * vpsd. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"

#define STANZA(n, name) "processor\t: " n "\nname\t: " name "\n\n"

/* A file of the mount that the keeper holds, which is the one that the guest was given. */
static const char *shown(const struct inst *i, const char *name)
{
	static char text[512];
	char key[64];
	struct rig_held *h;
	int fd;
	ssize_t n;

	(void)str_fmt(key, sizeof(key), "views-%s", i->id);
	/* The keeper is told at once, and hears of it later. */
	for (int k = 0; !held_find(key) && k < 10; k++)
		turn();
	h = held_find(key);
	if (!h)
		return "nothing";
	fd = openat(h->fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "no file";
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

/* Why it is not right; "" = it is. */
static const char *complaint(const struct inst *i)
{
	static struct spec_items items;

	inst_unsupported(i, &items);
	for (size_t n = 0; n < items.n; n++)
		if (str_eq(items.items[n].name, "cpuinfo"))
			return items.items[n].reason;
	return "";
}

static void test_spread(void **state)
{
	struct inst *a = create("a"), *b = create("b");

	(void)state;
	assert_string_equal(shown(a, "online"), "0\n");
	assert_string_equal(shown(a, "cpuinfo"), STANZA("0", "a"));
	/* By their numbers: those of sched_getaffinity(2). */
	assert_string_equal(shown(b, "online"), "1\n");
	assert_string_equal(shown(b, "cpuinfo"), STANZA("1", "b"));
	assert_int_equal(ended(cores_begin(b, 2.5)).status, OP_DONE);
	assert_string_equal(shown(b, "online"), "1-3\n");
	assert_string_equal(shown(b, "cpuinfo"),
			    STANZA("1", "b") STANZA("2", "c") STANZA("3", "d"));
	/* A change that is not written is taken back, and nothing is left of the longer text. */
	commits_fail("INSERT ON operations", "NEW.kind = 5");
	assert_int_equal(ended(cores_begin(a, 2)).status, OP_FAILED);
	commits_work();
	assert_string_equal(shown(a, "online"), "0\n");
	assert_string_equal(shown(a, "cpuinfo"), STANZA("0", "a"));
	assert_string_equal(complaint(a), "");
	/* Nobody's files stay. */
	assert_int_equal(ended(stop_begin(b, true)).status, OP_DONE);
	AWAIT(rig->n_held == 1);
	assert_int_equal(ended(start_begin(b)).status, OP_DONE);
	assert_true(rig->n_views == 3);
	assert_string_equal(shown(b, "online"), "1-3\n");
	is_sound();
}

static void test_float(void **state)
{
	struct inst *a;

	(void)state;
	rig->host.cpu_placement = SPEC_PLACEMENT_FLOAT;
	vpsd_down();
	vpsd_up();
	a = create("a");
	assert_string_equal(shown(a, "online"), "0\n");
	assert_int_equal(ended(cores_begin(a, 1.5)).status, OP_DONE);
	assert_string_equal(shown(a, "online"), "0-1\n");
	assert_string_equal(shown(a, "cpuinfo"), STANZA("0", "a") STANZA("1", "b"));
	is_sound();
}

/* Its own are its own until its next start, whatever its plan says by now. */
static void test_own(void **state)
{
	struct err err = ERR_INIT;
	struct inst *own;
	struct op *op;

	(void)state;
	apply_text(SPEC_KIND_PLAN,
		   "{\"plan\": \"own\", \"version\": 1, \"cpu\": {\"cores\": 2, "
		   "\"dedicated\": true}, \"memory\": {\"limit\": \"64MiB\"}, \"pids\": 64, "
		   "\"disk\": {\"size\": null, \"inodes\": null}, \"network\": "
		   "{\"connections\": null}}");
	op = create_of_plan("own", "own", true, &err);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_DONE);
	own = find("own");
	assert_string_equal(shown(own, "online"), "2-3\n");
	assert_int_equal(ended(field_begin(own, "plan", json_string("tiny"))).status, OP_DONE);
	assert_string_equal(shown(own, "online"), "2-3\n");
	assert_int_equal(ended(stop_begin(own, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(own)).status, OP_DONE);
	assert_string_equal(shown(own, "online"), "0\n");
	is_sound();
}

/* The files are the same, and their content is made right. */
static void test_next_vpsd(void **state)
{
	struct inst *a = create("a");

	(void)state;
	assert_string_equal(shown(a, "online"), "0\n");
	vpsd_down();
	rig->cgroups[0].cpus = (cpu_set_t){{0}};
	CPU_SET(2, &rig->cgroups[0].cpus);
	vpsd_up();
	a = find("a");
	AWAIT(a->state == INST_RUNNING);
	AWAIT(str_eq(shown(a, "online"), "2\n"));
	assert_string_equal(shown(a, "cpuinfo"), STANZA("2", "c"));
	assert_int_equal(rig->n_views, 1);
	assert_int_equal(ended(cores_begin(a, 2)).status, OP_DONE);
	assert_string_equal(complaint(a), "");
	is_sound();
}

/* Who is there has it hold them again; the next vpsd finds none where both were lost. */
static void test_next_keeper(void **state)
{
	struct inst *a = create("a");

	(void)state;
	assert_string_equal(shown(a, "online"), "0\n");
	keeper_down();
	keeper_forgets_all();
	keeper_up();
	AWAIT(rig->adopts == 1 && rig->n_held == 1);
	assert_string_equal(shown(a, "online"), "0\n");
	vpsd_down();
	keeper_down();
	keeper_forgets_all();
	keeper_up();
	vpsd_up();
	a = find("a");
	AWAIT(a->state == INST_RUNNING && *complaint(a));
	assert_non_null(strstr(complaint(a), "lost with the keeper"));
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(a)).status, OP_DONE);
	assert_string_equal(complaint(a), "");
	assert_string_equal(shown(a, "online"), "0\n");
	is_sound();
}

/* It is no reason not to start. */
static void test_cannot(void **state)
{
	struct inst *a, *b, *c;

	(void)state;
	vpsd_down();
	rig_put("cpuinfo", "cpu: Alpha\ncpus detected: 4\n", 0600);
	vpsd_up();
	a = create("a");
	assert_string_equal(shown(a, "cpuinfo"), "no file");
	assert_string_equal(shown(a, "online"), "0\n");
	assert_non_null(strstr(complaint(a), "is not known"));
	/* A CPU that the machine did not have at first: asked again. */
	vpsd_down();
	rig_put("cpuinfo", STANZA("0", "a"), 0600);
	vpsd_up();
	AWAIT(find("a")->state == INST_RUNNING);
	AWAIT(!*complaint(find("a")));
	b = create("b");
	assert_non_null(strstr(complaint(b), "does not have all CPUs"));
	rig_put("cpuinfo", STANZA("0", "a") STANZA("1", "b") STANZA("2", "c") STANZA("3", "d"),
		0600);
	assert_int_equal(ended(stop_begin(b, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(b)).status, OP_DONE);
	assert_string_equal(complaint(b), "");
	assert_string_equal(shown(b, "cpuinfo"), STANZA("1", "b"));
	rig->has_no_views = true;
	c = create("c");
	assert_string_equal(shown(c, "cpuinfo"), "nothing");
	assert_non_null(strstr(complaint(c), "cannot make a tmpfs"));
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_spread),	   T(test_float),	T(test_own),
		T(test_next_vpsd), T(test_next_keeper), T(test_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
