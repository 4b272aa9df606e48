/* SPDX-License-Identifier: Apache-2.0 */
/* The disk under the pool changes its scheduler: what was sold before is shown as it is held, and
 * is not held against a change of something else. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"
#include "runtime/instance/resize.h"

/* The disk that the manager finds; these definitions win over those of cgroups/. */
static struct cg_disk vda;

void cg_disk_find(int fd, const char *sysfs, const char *cgroup_mount, struct cg_disk *ret)
{
	(void)fd;
	(void)sysfs;
	(void)cgroup_mount;
	*ret = vda;
}

int cg_disk_value(const struct cg_disk *d, const char *text, const char *key, char *dst,
		  size_t size)
{
	(void)d;
	(void)text;
	(void)key;
	(void)dst;
	(void)size;
	return -ENOENT;
}

static void schedule(const char *file, unsigned max)
{
	vda = (struct cg_disk){.major = 254, .name = "vda", .weight_file = file, .weight_max = max};
	if (!file)
		(void)str_copy(vda.why_no_weight, sizeof(vda.why_no_weight), "not heeded");
}

/* With a host document that tolerates nothing of disks. */
static int setup(void **state)
{
	schedule("io.weight", CG_DISK_WEIGHT_MAX);
	if (rig_setup(state) < 0)
		return -1;
	rig->has_fences = true;
	free(rig->host.tolerate_unsupported.items[0]);
	rig->host.tolerate_unsupported.items[0] = strdup("[!d]*");
	apply_text(SPEC_KIND_PLAN,
		   "{\"plan\": \"heavy\", \"version\": 1, \"cpu\": {\"cores\": 1}, \"memory\": "
		   "{\"limit\": \"64MiB\"}, \"pids\": 64, \"disk\": {\"size\": null, \"inodes\": "
		   "null, \"weight\": 5000}, \"network\": {\"connections\": null}}");
	return 0;
}

/* Takes the value; text is of the refusal, "" = none. */
static void set(struct inst *i, const char *key, json_t *value, const char *refusal)
{
	_cleanup_problems_ struct problems *problems = problems_new();
	_cleanup_json_ json_t *wish = json_pack("{s:o}", key, value);
	const struct inst_resize req = {.set = wish, .problems = problems};
	struct err err = ERR_INIT;
	struct op *op = NULL;
	int r = inst_resize(i, &req, &op, &err);

	if (r < 0 && (!*refusal || !strstr(err_text(&err), refusal)))
		fail_msg("%s=...: %s", key, err_text(&err));
	if (r >= 0) {
		assert_string_equal(refusal, "");
		assert_int_equal(ended(op).status, OP_DONE);
	}
}

static struct inst *heavy(const char *name)
{
	struct err err = ERR_INIT;
	struct op *op = create_of_plan(name, "heavy", true, &err);

	if (!op)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
	return find(name);
}

static void not_created(const char *part)
{
	struct err err = ERR_INIT;

	assert_null(create_of_plan("no", "heavy", true, &err));
	if (!strstr(err_text(&err), part))
		fail_msg("'%s' is not in '%s'", part, err_text(&err));
}

static void test_weight_beyond_bfq(void **state)
{
	struct inst *i = heavy("a");
	struct op *op = NULL;
	struct err err = ERR_INIT;

	(void)state;
	schedule("io.bfq.weight", CG_DISK_WEIGHT_MAX_BFQ);
	set(i, "pids", json_integer(70), "");
	assert_int_equal(i->effective.pids, 70);
	assert_int_equal(i->effective.disk.weight, 5000);
	assert_int_equal(inst_restart(i, 0, true, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	not_created("disk.weight 5000 is more than the scheduler of vda takes, 1000");
	set(i, "disk.weight", json_integer(4000),
	    "disk.weight 4000 is more than the scheduler of vda takes, 1000");
	set(i, "disk.weight", json_integer(1000), "");
	set(i, "disk.weight", json_integer(1001), "more than the scheduler");
}

static void test_weight_that_nothing_heeds(void **state)
{
	struct inst *i = heavy("a");

	(void)state;
	schedule(NULL, 0);
	set(i, "pids", json_integer(70), "");
	set(i, "memory.limit", json_string("80MiB"), "");
	assert_int_equal(i->effective.memory.limit, 80 << 20);
	not_created("cannot enforce disk.weight (not heeded)");
	set(i, "disk.weight", json_integer(300), "cannot enforce disk.weight (not heeded)");
	assert_int_equal(i->effective.disk.weight, 5000);
	/* Something new of the same kind is no old matter. */
	set(i, "disk.size", json_string("1GiB"), "cannot enforce disk.size");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_weight_beyond_bfq),
		TEST(test_weight_that_nothing_heeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
