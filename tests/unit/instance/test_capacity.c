/* SPDX-License-Identifier: Apache-2.0 */
/* The host's room: what is shown of it, who starts on a host that has become smaller; tenants'
 * quotas in the kernel and in the database. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/private.h"

#define MIB (UINT64_C(1) << 20)

static void plan_of(const char *name, const char *rest)
{
	char text[400];

	assert_true(
		str_fmt(text, sizeof(text),
			"{\"plan\": \"%s\", \"version\": 1, \"network\": {\"connections\": null}, "
			"%s}",
			name, rest) >= 0);
	apply_text(SPEC_KIND_PLAN, text);
}

static struct admission_status shown(enum admission_resource r)
{
	struct inst_capacity c;

	assert_int_equal(inst_capacity(rig->m, &c, NULL), 0);
	return c.resources[r];
}

static void refused_for(const char *name, const char *plan, const char *part)
{
	struct err err = ERR_INIT;

	assert_null(create_of_plan(name, plan, false, &err));
	assert_int_equal(err.code, ENOSPC);
	if (!strstr(err.msg, part))
		fail_msg("'%s' is not in '%s'", part, err.msg);
}

static void create_stopped(const char *name, const char *plan)
{
	struct err err = ERR_INIT;
	struct op *op = create_of_plan(name, plan, false, &err);

	if (!op)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
}

/* Each creation takes from what is shown what its plan says, and the shown rest is the limit. */
static void test_shown_is_granted(void **state)
{
	struct admission_status disk, was, cores;
	char rest[300];

	(void)state;
	vpsd_down();
	rig->host.reserve.disk = 0;
	rig->host.overcommit.disk = 1000;
	vpsd_up();
	disk = shown(ADMISSION_DISK);
	assert_true(disk.total > 64 * MIB);
	assert_true(disk.sellable == disk.total && disk.free == disk.total);
	plan_of("half", "\"cpu\": {\"cores\": 4, \"guarantee\": 1.5}, \"memory\": {\"limit\": "
			"\"64MiB\"}, \"disk\": {\"size\": \"48MiB\", \"inodes\": null}");
	was = shown(ADMISSION_CORES);
	create_stopped("a", "half");
	cores = shown(ADMISSION_CORES);
	assert_int_equal(cores.sold, was.sold + 4000);
	assert_int_equal(was.free - cores.free, 4000);
	assert_int_equal(cores.guaranteed, 1500);
	assert_int_equal(was.guarantee_free - cores.guarantee_free, 1500);
	disk = shown(ADMISSION_DISK);
	assert_int_equal(disk.sold, 48 * MIB);
	assert_int_equal(disk.free, disk.total - 48 * MIB);
	assert_int_equal(shown(ADMISSION_PIDS).sold, 512);
	assert_int_equal(shown(ADMISSION_INSTANCES).sold, 1);
	assert_int_equal(shown(ADMISSION_INSTANCES).free, 14);
	/* A little more than free; and all of it. */
	(void)str_fmt(rest, sizeof(rest),
		      "\"cpu\": {\"cores\": 1}, \"memory\": {\"limit\": \"4MiB\"}, \"disk\": "
		      "{\"size\": \"%lluKiB\", \"inodes\": null}",
		      (unsigned long long)disk.free / 1024 + 1);
	plan_of("more", rest);
	refused_for("b", "more", "not enough disk: ");
	(void)str_fmt(rest, sizeof(rest),
		      "\"cpu\": {\"cores\": 1}, \"memory\": {\"limit\": \"4MiB\"}, \"disk\": "
		      "{\"size\": \"%lluKiB\", \"inodes\": null}",
		      (unsigned long long)disk.free / 1024);
	plan_of("rest", rest);
	create_stopped("b", "rest");
	assert_int_equal(shown(ADMISSION_DISK).free, 0);
	/* More cores than the machine, whatever the factor. */
	plan_of("wide", "\"cpu\": {\"cores\": 4.001}, \"memory\": {\"limit\": \"4MiB\"}, \"disk\": "
			"{\"size\": null, \"inodes\": null}");
	refused_for("c", "wide", "cpu.cores of one instance, 4.001, are more than this host has");
	assert_int_equal(ended(delete_begin(find("b"), false)).status, OP_DONE);
	assert_int_equal(ended(delete_begin(find("a"), false)).status, OP_DONE);
	assert_int_equal(shown(ADMISSION_CORES).sold, 0);
	assert_int_equal(shown(ADMISSION_DISK).sold, 0);
	assert_int_equal(shown(ADMISSION_INSTANCES).free, 15);
}

static void start_refused(struct inst *i, const char *part)
{
	struct err err = ERR_INIT;
	struct op *op = NULL;

	assert_int_equal(inst_start(i, &op, &err), -ENOSPC);
	if (!strstr(err.msg, part))
		fail_msg("'%s' is not in '%s'", part, err.msg);
	assert_int_equal(inst_restart(i, 0, true, &op, &err), -ENOSPC);
	assert_int_equal(i->state, INST_STOPPED);
	assert_null(i->op);
}

static void smaller_host(void)
{
	rig->host.overcommit.cpu = 300; /* 1.2 of 4 cores */
}

/* As many run as fit; who runs stays, restarts and comes back after a crash. */
static void test_smaller_host(void **state)
{
	struct inst *a = create("a"), *b = create("b");
	struct op *op = NULL;
	struct err err = ERR_INIT;

	(void)state;
	create_stopped("c", "tiny");
	vpsd_down();
	smaller_host();
	vpsd_up();
	a = find("a");
	b = find("b");
	assert_int_equal(shown(ADMISSION_CORES).sold, 3000);
	assert_int_equal(shown(ADMISSION_CORES).sellable, 1200);
	assert_int_equal(shown(ADMISSION_CORES).free, 0);
	AWAIT(a->state == INST_RUNNING && b->state == INST_RUNNING);
	start_refused(find("c"),
		      "cannot start 't/c': not enough cores: 1.000 wanted, 0.000 left of "
		      "1.200 that this host gives away");
	assert_int_equal(inst_restart(a, 0, true, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
	assert_int_equal(a->state, INST_RUNNING);
	guest_ends(b->id, KEEPER_EXIT_KILLED, 9);
	AWAIT(b->state == INST_RUNNING && b->boot == 2);
	/* With one of them gone there is not enough, with both there is. */
	assert_int_equal(ended(stop_begin(a, true)).status, OP_DONE);
	start_refused(find("c"), "0.200 left");
	assert_int_equal(ended(stop_begin(b, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(find("c"))).status, OP_DONE);
	/* What wants no more is not refused: it can get smaller, and be told other things. */
	assert_int_equal(inst_protect(find("c"), true, &op, &err), 0);
	assert_int_equal(ended(op).status, OP_DONE);
}

static void one_runs_two_wait(void)
{
	unsigned up = 0, waiting = 0;

	AWAIT(!has_loose_ends() && inst_is_ready(rig->m));
	pass(300000);
	for (size_t n = 0; n < inst_count(rig->m); n++) {
		const struct inst *i = inst_at(rig->m, n);

		up += i->state == INST_RUNNING;
		if (i->state == INST_RUNNING)
			continue;
		waiting += i->state == INST_STOPPED && i->desired == INST_WANT_RUNNING &&
			   i->retry_at > 0 &&
			   strstr(i->error, "not enough cores: 1.000 wanted, 0.200 left of 1.200");
	}
	assert_int_equal(up, 1);
	assert_int_equal(waiting, 2);
}

/* The same for a start that was asked for, and cut short by the host. */
static void test_smaller_while_starting(void **state)
{
	const struct op *op;
	char id[ID_TEXT];

	(void)state;
	create("a");
	create_stopped("b", "tiny");
	rig->holds_launches = true;
	op = start_begin(find("b"));
	memcpy(id, op->id, sizeof(id));
	AWAIT(rig->launches == 2);
	rig->holds_launches = false;
	host_down();
	smaller_host();
	vpsd_up();
	AWAIT(find("a")->state == INST_RUNNING);
	AWAIT(op_find(inst_ops(rig->m), id)->status != OP_RUNNING);
	assert_int_equal(op_find(inst_ops(rig->m), id)->status, OP_FAILED);
	assert_non_null(strstr(find("b")->error, "not enough cores"));
	assert_int_equal(find("b")->state, INST_STOPPED);
	assert_int_equal(rig->launches, 1);
}

/* The host comes up smaller than it was: some start, each for itself; the others wait and say why.
 */
static void test_smaller_after_boot(void **state)
{
	(void)state;
	create("a");
	create("b");
	create("c");
	host_down();
	smaller_host();
	vpsd_up();
	one_runs_two_wait();
	/* Another vpsd of the same boot knows no better. */
	vpsd_down();
	vpsd_up();
	one_runs_two_wait();
	/* Who ran keeps its place also when it ended while nobody looked. */
	vpsd_down();
	guest_ends(rig->guests[0].id, KEEPER_EXIT_KILLED, 9);
	vpsd_up();
	AWAIT(rig->n_guests == 1 && rig->guests[0].boot == 3);
	one_runs_two_wait();
}

/* --- tenants --------------------------------------------------------------------------------- */

static struct op quota_begun(const char *quota)
{
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	_cleanup_problems_ struct problems *p = problems_new();
	struct inst_apply req = {.set = &set};
	struct err err = ERR_INIT;
	struct op *op = NULL;
	char text[300];

	assert_true(str_fmt(text, sizeof(text), "{\"tenant\": \"t\", \"quota\": {%s}}", quota) >=
		    0);
	assert_int_equal(spec_set_add_text(&set, SPEC_KIND_TENANT, text, strlen(text), "t.json", p),
			 0);
	if (inst_apply(rig->m, &req, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return ended(op);
}

static const struct inst_tenant *tenant(void)
{
	return catalog_tenant(inst_catalog(rig->m), "t");
}

static const char *first_error(const struct op *op)
{
	const json_t *row = json_array_get(json_object_get(op->result, "changes"), 0);

	return json_string_value(json_object_get(json_object_get(row, "error"), "message"));
}

static void test_quota_in_kernel(void **state)
{
	struct cg_limit_status st[CG_LIMIT_MAX];

	(void)state;
	create("a");
	assert_int_equal(quota_begun("\"cores\": 1.5, \"memory\": \"96MiB\", \"pids\": 100").status,
			 OP_DONE);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_CPU_CORES], 1500);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_MEMORY_MAX], 96 * MIB);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX], 100);
	assert_int_equal(inst_tenant_limits(rig->m, tenant(), st, NULL), 0);
	assert_true(st[CG_LIMIT_PIDS_MAX].effective);
	refused_for("b", "tiny",
		    "not enough cores: 1.000 wanted, 0.500 left of 1.500 in the tenant's");
	/* Another process lowered it: a start of vpsd brings it back. */
	rig->tenant_limits.value[CG_LIMIT_PIDS_MAX] = 5;
	vpsd_down();
	vpsd_up();
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX], 100);
	assert_int_equal(quota_begun("").status, OP_DONE);
	assert_true(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX] == CG_UNLIMITED);
	assert_true(rig->tenant_limits.value[CG_LIMIT_MEMORY_MAX] == CG_UNLIMITED);
}

/* Below what is in use: refused, and nothing has changed. */
static void test_quota_below_use(void **state)
{
	struct op op;

	(void)state;
	create("a");
	assert_int_equal(quota_begun("\"memory\": \"96MiB\"").status, OP_DONE);
	rig->tenant_memory_used = 80 * MIB;
	op = quota_begun("\"memory\": \"64MiB\"");
	assert_int_equal(op.status, OP_FAILED);
	assert_string_equal(first_error(&op),
			    "quota of tenant 't': cannot lower 'memory.limit': in use");
	assert_int_equal(tenant()->spec.quota.memory, 96 * MIB);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_MEMORY_MAX], 96 * MIB);
	vpsd_down();
	vpsd_up();
	assert_int_equal(tenant()->spec.quota.memory, 96 * MIB);
	rig->tenant_memory_used = 0;
	assert_int_equal(quota_begun("\"memory\": \"64MiB\"").status, OP_DONE);
	assert_int_equal(tenant()->spec.quota.memory, 64 * MIB);
}

/* The disk is full: the old quota is in force, here and in the kernel; the next try writes. */
static void test_quota_cannot_be_written(void **state)
{
	struct op op;

	(void)state;
	create("a");
	assert_int_equal(quota_begun("\"pids\": 100").status, OP_DONE);
	commits_fail("UPDATE ON tenants", "1");
	rig_sql("CREATE TRIGGER full2 BEFORE INSERT ON tenants BEGIN SELECT RAISE(ABORT, 'disk "
		"full'); END");
	op = quota_begun("\"pids\": 200");
	assert_int_equal(op.status, OP_FAILED);
	assert_int_equal(tenant()->spec.quota.pids, 100);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX], 100);
	commits_work();
	rig_sql("DROP TRIGGER full2");
	assert_int_equal(quota_begun("\"pids\": 200").status, OP_DONE);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX], 200);
	vpsd_down();
	vpsd_up();
	assert_int_equal(tenant()->spec.quota.pids, 200);
}

static void on_put(void *arg, const struct err *err)
{
	unsigned *failed = arg;

	*failed += err != NULL;
}

static void put_pids(uint64_t pids, unsigned *failed)
{
	struct spec_tenant spec = tenant()->spec; /* borrowed but for the number */
	struct err err = ERR_INIT;

	spec.quota.pids = pids;
	if (inst_tenant_put(rig->m, &spec, on_put, failed, &err) < 0)
		fail_msg("%s", err_text(&err));
}

/* Neither of two that follow each other is written: what holds is what was there before both. */
static void test_two_quotas_cannot_be_written(void **state)
{
	unsigned failed = 0;

	(void)state;
	create("a");
	assert_int_equal(quota_begun("\"pids\": 100").status, OP_DONE);
	commits_fail("UPDATE ON tenants", "1");
	rig_sql("CREATE TRIGGER full2 BEFORE INSERT ON tenants BEGIN SELECT RAISE(ABORT, 'disk "
		"full'); END");
	put_pids(200, &failed);
	put_pids(300, &failed);
	put_pids(400, &failed);
	AWAIT(failed == 3);
	assert_int_equal(tenant()->spec.quota.pids, 100);
	assert_int_equal(rig->tenant_limits.value[CG_LIMIT_PIDS_MAX], 100);
	commits_work();
	rig_sql("DROP TRIGGER full2");
	put_pids(500, &failed);
	AWAIT(rig_number("SELECT count(*) FROM tenants WHERE doc LIKE '%\"pids\":500%'") == 1);
	vpsd_down();
	vpsd_up();
	assert_int_equal(tenant()->spec.quota.pids, 500);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_shown_is_granted),	    TEST(test_smaller_host),
		TEST(test_smaller_after_boot),	    TEST(test_smaller_while_starting),
		TEST(test_quota_in_kernel),	    TEST(test_quota_below_use),
		TEST(test_quota_cannot_be_written), TEST(test_two_quotas_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
