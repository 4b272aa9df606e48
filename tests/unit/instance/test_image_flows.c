/* SPDX-License-Identifier: Apache-2.0 */
/* Images that come and go side by side. */
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

/* What is committed is told later. */
static void hold_commits(bool held)
{
	assert_true(sd_event_source_set_enabled(rig->on_store, held ? SD_EVENT_OFF : SD_EVENT_ON) >=
		    0);
}

static struct op *image_delete_begin(const char *name)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;

	if (inst_image_delete(rig->m, name, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

static void has_files(const char *name)
{
	const struct inst_image *image = catalog_image(inst_catalog(rig->m), name);
	char path[128];

	assert_non_null(image);
	(void)str_fmt(path, sizeof(path), "pool/images/%s", image->digest);
	assert_true(rig_has(path));
}

/* Names of the same files come and go: as long as one stands, so do the files. */
static void test_import_while_deleted(void **state)
{
	struct job *j = NULL;
	struct op *import = import_begin("two", &j), *delete;

	(void)state;
	pass(50000);
	hold_commits(true);
	delete = image_delete_begin("img");
	feed(j, DIGEST);
	AWAIT(rig_number("SELECT count(*) FROM images WHERE name = 'two'") == 1);
	hold_commits(false);
	assert_int_equal(ended(delete).status, OP_DONE);
	assert_int_equal(ended(import).status, OP_DONE);
	is_sound();
	pass(100000);
	has_files("two");
	assert_null(catalog_image(inst_catalog(rig->m), "img"));
	/* The last one takes them along. */
	assert_int_equal(ended(image_delete_begin("two")).status, OP_DONE);
	assert_false(rig_has("pool/images/" DIGEST));
}

static void test_deletion_not_written(void **state)
{
	struct job *j = NULL;
	struct op *import = import_begin("two", &j), *delete;

	(void)state;
	feed(j, DIGEST);
	assert_int_equal(ended(import).status, OP_DONE);
	commits_fail("DELETE ON images", "OLD.name = 'two'");
	import = image_delete_begin("img");
	delete = image_delete_begin("two");
	assert_int_equal(ended(import).status, OP_DONE);
	assert_int_equal(ended(delete).status, OP_FAILED);
	commits_work();
	is_sound();
	pass(100000);
	has_files("two");
}

/* The name of a deletion that is not durable is still taken. */
static void test_other_content_while_deleted(void **state)
{
	struct job *j = NULL;
	struct op *import = import_begin("img", &j), *delete, end;

	(void)state;
	pass(50000);
	commits_fail("DELETE ON images", "1");
	hold_commits(true);
	delete = image_delete_begin("img");
	feed(j, OTHER);
	pass(300000);
	hold_commits(false);
	assert_int_equal(ended(delete).status, OP_FAILED);
	end = ended(import);
	assert_int_equal(end.status, OP_FAILED);
	assert_non_null(strstr(err_text(&end.err), "image-delete img"));
	commits_work();
	is_sound();
	has_files("img");
	assert_int_equal(rig_number("SELECT count(*) FROM images WHERE digest = '" DIGEST "'"), 1);
	AWAIT(!rig_has("pool/images/" OTHER));
}

static bool can_import(const char *name, struct op **ret, struct job **ret_job)
{
	return inst_image_import(rig->m, name, NULL, 0, ret, ret_job, NULL) >= 0;
}

/* However long the client goes on sending, what could not be written gives back its name and its
 * turn. */
static void test_import_not_written(void **state)
{
	struct job *jobs[INST_JOBS_LONG_MAX], *j = NULL;
	struct op *ops[INST_JOBS_LONG_MAX], *op = NULL;
	char name[8];

	(void)state;
	commits_fail("INSERT ON operations", "1");
	for (size_t i = 0; i < INST_JOBS_LONG_MAX; i++) {
		(void)str_fmt(name, sizeof(name), "n%zu", i);
		ops[i] = import_begin(name, &jobs[i]);
	}
	for (size_t i = 0; i < INST_JOBS_LONG_MAX; i++)
		assert_int_equal(ended(ops[i]).status, OP_FAILED);
	commits_work();
	AWAIT(can_import("n0", &op, &j));
	feed(j, OTHER);
	assert_int_equal(ended(op).status, OP_DONE);
	has_files("n0");
}

static void test_build_not_written(void **state)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;
	struct job *j = NULL;

	(void)state;
	rig_put("hold-build", "", 0600);
	commits_fail("INSERT ON operations", "1");
	assert_int_equal(inst_image_build(rig->m, "one", "debian-12", &op, &err), 0);
	assert_int_equal(ended(op).status, OP_FAILED);
	commits_work();
	AWAIT(can_import("one", &op, &j));
	feed(j, OTHER);
	assert_int_equal(ended(op).status, OP_DONE);
}

/* The files of an image were lost: the same archive again brings them back, for all its names. */
static void test_import_of_missing(void **state)
{
	struct job *j = NULL;
	struct err err = ERR_INIT;
	struct op *op;

	(void)state;
	vpsd_down();
	rig_unput("pool/images/" DIGEST "/image.json");
	vpsd_up();
	assert_true(catalog_image(inst_catalog(rig->m), "img")->is_missing);
	assert_null(create_begin("a", true, &err));
	op = import_begin("img", &j);
	feed(j, DIGEST);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_false(catalog_image(inst_catalog(rig->m), "img")->is_missing);
	(void)create("a");
}

/* What the pool of another database holds may be in use by instances that are not known here. */
static void test_image_of_unknown_instances(void **state)
{
	struct job *j = NULL;
	struct op *op;

	(void)state;
	op = import_begin("two", &j);
	feed(j, OTHER);
	assert_int_equal(ended(op).status, OP_DONE);
	vpsd_down();
	rig_put("pool/owner", "another", 0600);
	rig_sql("DELETE FROM images WHERE name = 'two'");
	vpsd_up();
	op = import_begin("img", &j);
	feed(j, OTHER);
	assert_int_equal(ended(op).status, OP_FAILED);
	assert_int_equal(ended(image_delete_begin("img")).status, OP_DONE);
	pass(100000);
	assert_null(catalog_image(inst_catalog(rig->m), "img"));
	assert_true(rig_has("pool/images/" DIGEST));
	assert_true(rig_has("pool/images/" OTHER));
	/* They are given up. */
	vpsd_down();
	rig_unput("pool/owner");
	vpsd_up();
	AWAIT(!rig_has("pool/images/" DIGEST) && !rig_has("pool/images/" OTHER));
}

/* Its files were there when the job looked. */
static void test_removed_before_it_is_named(void **state)
{
	struct job *j = NULL;
	struct op *import = import_begin("two", &j), end;

	(void)state;
	rig_put("hold-result", "", 0600);
	rig_unput("pool/images/" DIGEST "/image.json");
	feed(j, DIGEST);
	AWAIT(rig_has("pool/images/" DIGEST "/image.json"));
	assert_int_equal(ended(image_delete_begin("img")).status, OP_DONE);
	rig_unput("hold-result");
	end = ended(import);
	assert_int_equal(end.status, OP_FAILED);
	assert_string_equal(end.error_code, "conflict");
	assert_non_null(strstr(err_text(&end.err), "try again"));
}

/* The removal is done and has not said so when the same is unpacked again. */
static void test_unpacked_behind_a_removal(void **state)
{
	struct job *j = NULL;
	struct op *delete, *import;

	(void)state;
	rig_put("hold-removed", "", 0600);
	delete = image_delete_begin("img");
	AWAIT(!rig_has("pool/images/" DIGEST));
	import = import_begin("two", &j);
	feed(j, DIGEST);
	assert_int_equal(ended(import).status, OP_FAILED);
	assert_true(rig_has("pool/images/" DIGEST));
	rig_unput("hold-removed");
	assert_int_equal(ended(delete).status, OP_DONE);
	AWAIT(!rig_has("pool/images/" DIGEST));
}

static void test_cancelled_when_unpacked(void **state)
{
	struct job *a = NULL, *b = NULL;
	struct op *first = import_begin("one", &a), *second = import_begin("two", &b);

	(void)state;
	rig_put("hold-result", "", 0600);
	feed(a, OTHER);
	AWAIT(rig_has("pool/images/" OTHER "/image.json"));
	job_cancel(a);
	assert_int_equal(ended(first).status, OP_FAILED);
	pass(100000);
	/* The other one may just have looked at it. */
	assert_true(rig_has("pool/images/" OTHER));
	job_cancel(b);
	assert_int_equal(ended(second).status, OP_FAILED);
	AWAIT(!rig_has("pool/images/" OTHER));
	has_files("img");
}

/* Nothing is kept of what was under way; only a sanitizer sees it. */
static void test_down_meanwhile(void **state)
{
	struct job *a = NULL, *b = NULL;
	struct err err = ERR_INIT;
	struct op *op = import_begin("one", &a);

	(void)state;
	rig_put("hold-build", "", 0600);
	rig_put("hold-removed", "", 0600);
	feed(a, OTHER);
	assert_int_equal(ended(op).status, OP_DONE);
	(void)image_delete_begin("img");
	AWAIT(!rig_has("pool/images/" DIGEST));
	(void)import_begin("two", &b);
	AWAIT(job_stdin(b) >= 0);
	assert_int_equal(inst_image_build(rig->m, "three", "debian-12", &op, &err), 0);
	pass(100000);
	vpsd_down();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_side_by_side),
		T(test_uploads_do_not_block),
		T(test_import_while_deleted),
		T(test_deletion_not_written),
		T(test_other_content_while_deleted),
		T(test_import_not_written),
		T(test_build_not_written),
		T(test_import_of_missing),
		T(test_image_of_unknown_instances),
		T(test_removed_before_it_is_named),
		T(test_unpacked_behind_a_removal),
		T(test_cancelled_when_unpacked),
		T(test_down_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
