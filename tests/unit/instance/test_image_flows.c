/* SPDX-License-Identifier: Apache-2.0 */
/* Imports side by side. */
#include "tests/unit/instance/rig.h"

#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct op *import_begin(const char *name, struct job **ret_job)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;

	if (inst_image_import(rig->m, name, NULL, 0, &op, ret_job, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static void feed(struct job *j, const char *digest)
{
	AWAIT(job_stdin(j) >= 0);
	assert_int_equal(write(job_stdin(j), digest, strlen(digest)), (ssize_t)strlen(digest));
	assert_int_equal(write(job_stdin(j), "\n", 1), 1);
	job_stdin_close(j);
}

static void test_side_by_side(void **state)
{
	struct job *a = NULL, *b = NULL, *c = NULL;
	struct err err = ERR_INIT;
	struct op *first = import_begin("one", &a), *second = import_begin("two", &b), *op = NULL;
	_cleanup_free_ char *jobs = NULL;
	struct inst_capacity room;
	uint64_t ids;
	size_t len;

	(void)state;
	/* One of a name. */
	assert_int_equal(inst_image_import(rig->m, "one", NULL, 0, &op, &c, &err), -EBUSY);
	assert_int_equal(inst_image_build(rig->m, "one", "debian-12", &op, &err), -EBUSY);
	/* One has the range of the jobs, the other one of its own for as long as it runs. */
	assert_int_equal(inst_capacity(rig->m, &room, NULL), 0);
	ids = room.ids_free;
	feed(b, OTHER);
	assert_int_equal(ended(second).status, OP_DONE);
	assert_int_equal(inst_capacity(rig->m, &room, NULL), 0);
	assert_int_equal(room.ids_free, ids + 1);
	feed(a, DIGEST);
	assert_int_equal(ended(first).status, OP_DONE);
	assert_int_equal(inst_capacity(rig->m, &room, NULL), 0);
	assert_int_equal(room.ids_free, ids + 1);
	assert_non_null(catalog_image(inst_catalog(rig->m), "one"));
	assert_non_null(catalog_image(inst_catalog(rig->m), "two"));
	assert_int_equal(file_read_at(AT_FDCWD, rig_path("jobs"), 65536, &jobs, &len, NULL), 0);
	assert_non_null(strstr(jobs, "--range-base 100000000"));
	assert_non_null(strstr(jobs, "--range-base 100065536"));
}

/* However slow uploads are, an instance is made and removed meanwhile. */
static void test_uploads_do_not_block(void **state)
{
	struct job *jobs[6] = {NULL};
	struct op *ops[6];
	char name[8];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		(void)str_fmt(name, sizeof(name), "n%zu", i);
		ops[i] = import_begin(name, &jobs[i]);
	}
	pass(100000);
	/* Four run, the others wait. */
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(job_stdin(jobs[i]) >= 0, i < INST_JOBS_LONG_MAX);
	(void)create("a");
	assert_int_equal(ended(delete_begin(find("a"), true)).status, OP_DONE);
	job_cancel(jobs[0]);
	job_cancel(jobs[5]);
	assert_int_equal(ended(ops[0]).status, OP_FAILED);
	assert_int_equal(ended(ops[5]).status, OP_FAILED);
	for (size_t i = 1; i < 5; i++) {
		feed(jobs[i], OTHER);
		assert_int_equal(ended(ops[i]).status, OP_DONE);
	}
	is_sound();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_side_by_side),
		T(test_uploads_do_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
