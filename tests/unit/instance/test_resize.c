/* SPDX-License-Identifier: Apache-2.0 */
/* Other plans and overrides: all of a change holds, or nothing of it. */
#include "runtime/instance/private.h"
#include "runtime/instance/resize.h"
#include "tests/unit/instance/rig.h"

#define PLAN(name, version, memory, pids, more)                                                    \
	"{\"plan\": \"" name "\", \"version\": " version ", \"cpu\": {\"cores\": 1}, \"memory\": " \
	"{\"limit\": \"" memory "\"}, \"pids\": " pids                                             \
	", \"disk\": {\"size\": null, \"inodes\": null}, \"network\": {\"connections\": "          \
	"null}" more "}"

static int setup(void **state)
{
	if (rig_setup(state) < 0)
		return -1;
	apply_text(SPEC_KIND_PLAN, PLAN("big", "1", "256MiB", "256", ""));
	apply_text(SPEC_KIND_PLAN,
		   PLAN("tun", "1", "64MiB", "64", ", \"features\": {\"tun\": true}"));
	return 0;
}

/* Of those that are there already none moves by itself. */
static void new_version(void)
{
	apply_text(SPEC_KIND_PLAN, PLAN("tiny", "2", "96MiB", "96", ""));
}

/* --- asking ---------------------------------------------------------------------------------- */

/* A request that lives as long as the test needs it. */
struct ask {
	struct inst_resize req;
	struct err err;
	struct problems *problems;
	json_t *set, *unset;
};

/* set: "KEY=VALUE"; unset: a key; all may be NULL. */
static struct ask ask(const char *plan, const char *set, const char *unset)
{
	struct ask a = {.req.plan = plan, .err = ERR_INIT, .problems = problems_new()};
	char key[64] = "";

	assert_non_null(a.problems);
	if (set) {
		memcpy(key, set, strcspn(set, "="));
		a.set = json_pack("{s:s}", key, strchr(set, '=') + 1);
	}
	if (unset)
		a.unset = json_pack("[s]", unset);
	a.req.set = a.set;
	a.req.unset = a.unset;
	a.req.problems = a.problems;
	return a;
}

static void asked(struct ask *a)
{
	problems_free(a->problems);
	json_decref(a->set);
	json_decref(a->unset);
}

/* NULL = refused, with the code and the text of the refusal. */
static struct op *resize_begin(struct inst *i, struct ask a, bool force, int *ret_code,
			       char ret_text[600])
{
	struct op *op = NULL;
	int r;

	a.req.force = force;
	r = inst_resize(i, &a.req, &op, &a.err);
	if (ret_code)
		*ret_code = r;
	if (ret_text)
		(void)str_copy(ret_text, 600, r < 0 ? err_text(&a.err) : "");
	asked(&a);
	return r < 0 ? NULL : op;
}

static struct op resized(struct inst *i, struct ask a)
{
	char text[600];
	struct op *op = resize_begin(i, a, false, NULL, text);

	if (!op)
		fail_msg("%s", text);
	return ended(op);
}

static void refused(struct inst *i, struct ask a, int code, const char *part)
{
	char text[600];
	int r;

	assert_null(resize_begin(i, a, false, &r, text));
	assert_int_equal(r, code);
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

static uint64_t in_kernel(const struct inst *i, enum cg_limit limit)
{
	const struct rig_cgroup *c = cgroup_find(i->id);

	return c ? c->limits.value[limit] : 0;
}

/* What the rig's kernel, memory and, after vpsd's next life, the database say. */
static void holds(const struct inst *i, const char *plan, uint64_t version, uint64_t mib,
		  uint64_t pids)
{
	/* Memory is taken back beside the loop. */
	AWAIT(!i->p->reclaim);
	assert_string_equal(i->plan->spec.name, plan);
	assert_int_equal(i->plan->spec.version, version);
	assert_int_equal(i->effective.memory.limit, mib << 20);
	assert_int_equal(i->effective.pids, pids);
	if (!inst_is_up(i))
		return;
	assert_int_equal(in_kernel(i, CG_LIMIT_MEMORY_MAX), mib << 20);
	assert_int_equal(in_kernel(i, CG_LIMIT_PIDS_MAX), pids);
}

static struct inst *again(const char *name)
{
	vpsd_down();
	vpsd_up();
	return find(name);
}

/* --- one instance ---------------------------------------------------------------------------- */

static void test_both_directions(void **state)
{
	struct inst *i = create("a");
	pid_t pid = i->pid;
	struct op end;

	(void)state;
	new_version();
	end = resized(i, ask("big", NULL, NULL));
	assert_int_equal(end.status, OP_DONE);
	assert_false(json_is_true(json_object_get(end.result, "restart_needed")));
	holds(i, "big", 1, 256, 256);
	assert_int_equal(resized(i, ask("tiny@1", NULL, NULL)).status, OP_DONE);
	holds(i, "tiny", 1, 64, 64);
	/* Without a version: the newest, as it is moved to on purpose. */
	assert_int_equal(resized(i, ask("tiny", NULL, NULL)).status, OP_DONE);
	holds(i, "tiny", 2, 96, 96);
	i = again("a");
	holds(i, "tiny", 2, 96, 96);
	assert_int_equal(i->pid, pid);
	assert_int_equal(i->plan->instances, 1);
	assert_int_equal(catalog_plan(inst_catalog(rig->m), "big", 1)->instances, 0);
	/* One that is off. */
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	holds(i, "big", 1, 256, 256);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	holds(i, "big", 1, 256, 256);
	is_sound();
}

static void test_overrides(void **state)
{
	struct inst *i = create("a");

	(void)state;
	assert_int_equal(resized(i, ask(NULL, "memory.limit=80MiB", NULL)).status, OP_DONE);
	assert_int_equal(resized(i, ask(NULL, "pids=100", NULL)).status, OP_DONE);
	holds(i, "tiny", 1, 80, 100);
	/* They lie over the next plan. */
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	holds(i, "big", 1, 80, 100);
	assert_int_equal(resized(i, ask(NULL, NULL, "memory.limit")).status, OP_DONE);
	holds(i, "big", 1, 256, 100);
	assert_int_equal(resized(i, ask(NULL, NULL, "memory.limit")).status, OP_DONE);
	assert_int_equal(resized(i, ask(NULL, NULL, "pids")).status, OP_DONE);
	holds(i, "big", 1, 256, 256);
	assert_null(i->spec.overrides);
	holds(again("a"), "big", 1, 256, 256);
}

static void test_nonsense(void **state)
{
	struct inst *i = create("a");

	(void)state;
	refused(i, ask("none", NULL, NULL), -ENOENT, "there is no plan 'none'");
	refused(i, ask("tiny@7", NULL, NULL), -ENOENT, "there is no plan 'tiny@7'");
	refused(i, ask("@", NULL, NULL), -EINVAL, "\"@\" is not a plan");
	refused(i, ask(NULL, "memory.limt=1GiB", NULL), -EINVAL,
		"overrides.memory.limt: unknown key; did you mean \"memory.limit\"?");
	refused(i, ask(NULL, "limit=1GiB", NULL), -EINVAL, "did you mean \"memory.limit\"?");
	refused(i, ask(NULL, NULL, "xyz"), -EINVAL,
		"overrides.xyz: unknown key; a plan has cpu.cores");
	refused(i, ask(NULL, "memory.limit=2 GB", NULL), -EINVAL,
		"overrides.memory.limit: \"2 GB\" is not a size");
	refused(i, ask(NULL, "version=2", NULL), -EINVAL, "cannot be changed here");
	refused(i, ask(NULL, "memory.guarantee=1GiB", NULL), -EINVAL,
		"overrides.memory.guarantee: 1GiB is more than memory.limit, 64MiB");
	/* Overrides that the new plan cannot bear. */
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	assert_int_equal(resized(i, ask(NULL, "memory.guarantee=128MiB", NULL)).status, OP_DONE);
	refused(i, ask("tiny", NULL, NULL), -EINVAL, "overrides.memory.guarantee");
	holds(i, "big", 1, 256, 256);
	is_sound();
}

static void test_admission(void **state)
{
	struct inst *i = create("a");

	(void)state;
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"memory\": \"128MiB\"}}");
	refused(i, ask("big", NULL, NULL), -ENOSPC, "not enough memory: 192MiB wanted, 64MiB left");
	refused(i, ask(NULL, "memory.limit=129MiB", NULL), -ENOSPC, "128MiB in the tenant's quota");
	holds(i, "tiny", 1, 64, 64);
	/* What takes less is fine, wherever the sum is. */
	assert_int_equal(resized(i, ask(NULL, "memory.limit=128MiB", NULL)).status, OP_DONE);
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"memory\": \"32MiB\"}}");
	assert_int_equal(resized(i, ask(NULL, "memory.limit=100MiB", NULL)).status, OP_DONE);
	refused(i, ask(NULL, "memory.guarantee=100TiB", NULL), -EINVAL, "memory.guarantee");
	is_sound();
}

static void test_shrink_below_use(void **state)
{
	struct inst *i = create("a");
	struct op *op;

	(void)state;
	new_version();
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	rig->memory_used = 200u << 20;
	refused(i, ask("tiny", NULL, NULL), -EBUSY, "in use");
	holds(i, "big", 1, 256, 256);
	op = resize_begin(i, ask("tiny", NULL, NULL), true, NULL, NULL);
	assert_non_null(op);
	assert_int_equal(ended(op).status, OP_DONE);
	holds(i, "tiny", 2, 96, 96);
}

static void test_feature_waits(void **state)
{
	struct inst *i = create("a");
	struct op end = resized(i, ask("tun", NULL, NULL));

	(void)state;
	assert_true(json_is_true(json_object_get(end.result, "restart_needed")));
	assert_true(i->restart_needed);
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	assert_false(i->restart_needed);
	/* One that is off waits for nothing. */
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	end = resized(i, ask("tiny", NULL, NULL));
	assert_false(json_is_true(json_object_get(end.result, "restart_needed")));
}

/* --- failures -------------------------------------------------------------------------------- */

static void test_kernel_refuses(void **state)
{
	struct inst *i = create("a");

	(void)state;
	rig->limits_fail = 1;
	refused(i, ask("big", NULL, NULL), -EIO, "the kernel holds another");
	holds(i, "tiny", 1, 64, 64);
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE kind = 5"), 0);
	holds(again("a"), "tiny", 1, 64, 64);
	is_sound();
}

/* Both ways: back to less is forced, as the guest may have taken of the new in between. */
static void test_cannot_be_written(void **state)
{
	struct inst *i = create("a");

	(void)state;
	commits_fail("INSERT ON operations", "NEW.kind = 5");
	rig->memory_used = 60u << 20;
	for (int n = 0; n < 2; n++) {
		struct op *op = resize_begin(i, ask("big", "pids=100", NULL), false, NULL, NULL);

		assert_non_null(op);
		rig->memory_used = 200u << 20;
		assert_int_equal(ended(op).status, OP_FAILED);
		holds(i, "tiny", 1, 64, 64);
		assert_null(i->spec.overrides);
		assert_int_equal(i->plan->instances, 1);
	}
	assert_int_equal(catalog_plan(inst_catalog(rig->m), "big", 1)->instances, 0);
	rig->memory_used = 0;
	commits_work();
	holds(again("a"), "tiny", 1, 64, 64);
	assert_int_equal(resized(find("a"), ask("big", NULL, NULL)).status, OP_DONE);
	is_sound();
}

/* vpsd died between the kernel and the database: what holds is what the database has, also where
 * the guest uses more by then. */
static void test_death_half_way(void **state)
{
	struct inst *i = create("a");

	(void)state;
	vpsd_down();
	rig->cgroups[0].limits.value[CG_LIMIT_MEMORY_MAX] = 256u << 20;
	rig->cgroups[0].limits.value[CG_LIMIT_PIDS_MAX] = 256;
	rig->memory_used = 200u << 20;
	vpsd_up();
	i = find("a");
	assert_non_null(i);
	assert_int_equal(i->state, INST_RUNNING);
	holds(i, "tiny", 1, 64, 64);
	rig->memory_used = 0;
	/* It was written, and nobody heard of it: it is done. */
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	vpsd_down();
	rig_sql("UPDATE operations SET status = 0, ended = NULL WHERE kind = 5");
	rig->cgroups[0].limits.value[CG_LIMIT_PIDS_MAX] = 64;
	vpsd_up();
	holds(find("a"), "big", 1, 256, 256);
	is_sound();
	assert_int_equal(rig_number("SELECT status FROM operations WHERE kind = 5"), 1);
}

/* --- races ----------------------------------------------------------------------------------- */

/* Everything that comes while something is under way is refused, and changes nothing. */
static void test_races(void **state)
{
	struct inst *i = create("a");
	struct op *op = stop_begin(i, false);
	struct err err = ERR_INIT;
	struct op *other = NULL;

	(void)state;
	refused(i, ask("big", NULL, NULL), -EBUSY, "");
	guest_ends(i->id, KEEPER_EXIT_POWEROFF, SIGINT);
	assert_int_equal(ended(op).status, OP_DONE);
	rig->holds_launches = true;
	op = start_begin(i);
	AWAIT(guest_lives(i->id));
	refused(i, ask("big", NULL, NULL), -EBUSY, "");
	guest_lose(i->id);
	rig->holds_launches = false;
	peer_drop();
	(void)ended(op);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
	holds(i, "tiny", 1, 64, 64);
	/* The other way round. */
	op = resize_begin(i, ask("big", NULL, NULL), false, NULL, NULL);
	assert_non_null(op);
	refused(i, ask("tiny", NULL, NULL), -EBUSY, "");
	assert_int_equal(inst_stop(i, 0, true, &other, &err), -EBUSY);
	assert_int_equal(inst_restart(i, 0, true, &other, &err), -EBUSY);
	assert_int_equal(inst_delete(i, true, &other, &err), -EBUSY);
	assert_int_equal(ended(op).status, OP_DONE);
	holds(i, "big", 1, 256, 256);
	op = delete_begin(i, true);
	refused(i, ask("tiny", NULL, NULL), -EBUSY, "");
	assert_int_equal(ended(op).status, OP_DONE);
	is_sound();
}

/* The guest reboots while its change is being written: it comes back with what was written. */
static void test_reboot_meanwhile(void **state)
{
	struct inst *i = create("a");

	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		uint64_t boot = i->boot;
		struct op *op;

		if (fails)
			commits_fail("INSERT ON operations", "NEW.kind = 5");
		op = resize_begin(i, ask(fails ? "tiny@1" : "big", NULL, NULL), false, NULL, NULL);
		assert_non_null(op);
		assert_true(sd_event_source_set_enabled(rig->on_store, SD_EVENT_OFF) >= 0);
		guest_ends(i->id, KEEPER_EXIT_REBOOT, SIGHUP);
		pass(50000);
		assert_true(sd_event_source_set_enabled(rig->on_store, SD_EVENT_ON) >= 0);
		assert_int_equal(ended(op).status, fails ? OP_FAILED : OP_DONE);
		if (fails)
			commits_work();
		AWAIT(i->boot == boot + 1 && i->state == INST_RUNNING && !i->op);
		holds(i, "big", 1, 256, 256);
	}
	is_sound();
}

/* --- dry runs -------------------------------------------------------------------------------- */

/* "action target: field from->to ...; ...[reason]" */
static void shows(json_t *answer, const char *want)
{
	_cleanup_json_ json_t *own = answer;
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	size_t n, k;
	json_t *row, *f;

	json_array_foreach (json_object_get(own, "changes"), n, row) {
		sbuf_addf(&text, "%s%s %s:", n ? "; " : "",
			  json_string_value(json_object_get(row, "action")),
			  json_string_value(json_object_get(row, "target")));
		json_array_foreach (json_object_get(row, "fields"), k, f) {
			_cleanup_free_ char *a =
				json_dumps(json_object_get(f, "from"), JSON_ENCODE_ANY);
			_cleanup_free_ char *b =
				json_dumps(json_object_get(f, "to"), JSON_ENCODE_ANY);

			sbuf_addf(&text, " %s %s->%s%s",
				  json_string_value(json_object_get(f, "field")), a, b,
				  json_is_true(json_object_get(f, "at_next_start")) ? " later"
										    : "");
		}
		if (json_string_length(json_object_get(row, "reason")))
			sbuf_addf(&text, " [%s]",
				  json_string_value(json_object_get(row, "reason")));
	}
	assert_string_equal(sbuf_str(&text), want);
}

static json_t *previewed(struct inst *i, struct ask a)
{
	json_t *answer = NULL;

	if (inst_resize_preview(i, &a.req, &answer, &a.err) < 0)
		fail_msg("%s", err_text(&a.err));
	asked(&a);
	return answer;
}

#define TO_BIG " plan \"tiny@1\"->\"big@1\" memory.limit \"64MiB\"->\"256MiB\" pids 64->256"

static void test_dry_run(void **state)
{
	struct inst *i = create("a");

	(void)state;
	shows(previewed(i, ask("big", NULL, NULL)), "change t/a:" TO_BIG);
	holds(i, "tiny", 1, 64, 64);
	shows(previewed(i, ask("tiny@1", NULL, NULL)), "");
	shows(previewed(i, ask(NULL, "pids=80", NULL)), "change t/a: pids 64->80");
	shows(previewed(i, ask("tun", NULL, NULL)),
	      "change t/a: plan \"tiny@1\"->\"tun@1\" features.tun false->true later");
	shows(previewed(i, ask(NULL, "cpu.dedicated=true", NULL)),
	      "change t/a: cpu.guarantee 0->1 cpu.dedicated false->true later memory.guarantee "
	      "\"0\"->\"64MiB\"");
	rig->memory_used = 60u << 20;
	shows(previewed(i, ask(NULL, "memory.limit=32MiB", NULL)),
	      "refused t/a: memory.limit \"64MiB\"->\"32MiB\" [cannot lower 'memory.limit': in "
	      "use]");
	rig->memory_used = 0;
	shows(previewed(i, ask(NULL, "memory.guarantee=1GiB", NULL)),
	      "refused t/a: [overrides.memory.guarantee: 1GiB is more than memory.limit, 64MiB]");
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"memory\": \"128MiB\"}}");
	shows(previewed(i, ask("big", NULL, NULL)),
	      "refused t/a:" TO_BIG
	      " [not enough memory: 192MiB wanted, 64MiB left of 128MiB in the tenant's quota]");
	holds(i, "tiny", 1, 64, 64);
	assert_null(i->op);
	assert_int_equal(rig_number("SELECT count(*) FROM operations WHERE kind = 5"), 0);
}

/* --- all of a plan --------------------------------------------------------------------------- */

static json_t *previewed_all(const char *from, const char *to)
{
	const struct inst_resize_all req = {.from = from, .to = to};
	struct err err = ERR_INIT;
	json_t *answer = NULL;

	if (inst_resize_all_preview(rig->m, &req, &answer, &err) < 0)
		fail_msg("%s", err_text(&err));
	return answer;
}

static struct op *all_begin(const char *from, const char *to)
{
	const struct inst_resize_all req = {.from = from, .to = to};
	struct err err = ERR_INIT;
	struct op *op = NULL;

	if (inst_resize_all(rig->m, &req, &op, &err) < 0)
		fail_msg("%s", err_text(&err));
	return op;
}

/* The quota has room for one: the second is refused, as it is when it is done. */
static void test_all_of_a_plan(void **state)
{
	struct inst *a = create("a"), *b = create("b"), *c = create("c");
	struct inst_capacity before, after;
	struct op end;
	json_t *row;

	(void)state;
	new_version();
	assert_int_equal(resized(c, ask("tiny@2", NULL, NULL)).status, OP_DONE);
	assert_int_equal(inst_capacity(rig->m, &before, NULL), 0);
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\", \"quota\": {\"memory\": \"480MiB\"}}");
#define SHORT " [not enough memory: 192MiB wanted, 64MiB left of 480MiB in the tenant's quota]"
	shows(previewed_all("tiny@1", "big"), "change t/a:" TO_BIG "; refused t/b:" TO_BIG SHORT);
	assert_int_equal(inst_capacity(rig->m, &after, NULL), 0);
	assert_memory_equal(before.resources, after.resources, sizeof(before.resources));
	assert_int_equal(a->plan->instances, 2);
	holds(a, "tiny", 1, 64, 64);
	end = ended(all_begin("tiny@1", "big"));
	assert_int_equal(end.status, OP_FAILED);
	assert_string_equal(end.error_code, "resize-failed");
	assert_string_equal(end.err.msg, "1 of 2 instances failed");
	holds(a, "big", 1, 256, 256);
	holds(b, "tiny", 1, 64, 64);
	holds(c, "tiny", 2, 96, 96);
	row = json_array_get(json_object_get(end.result, "changes"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "outcome")), "done");
	row = json_array_get(json_object_get(end.result, "changes"), 1);
	assert_string_equal(json_string_value(json_object_get(row, "outcome")), "failed");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(row, "error"), "code")),
		"no-capacity");
	/* With room the same again takes up the rest, all versions of it. */
	apply_text(SPEC_KIND_TENANT, "{\"tenant\": \"t\"}");
	end = ended(all_begin("tiny", "big"));
	assert_int_equal(end.status, OP_DONE);
	assert_int_equal(json_array_size(json_object_get(end.result, "changes")), 2);
	holds(b, "big", 1, 256, 256);
	holds(c, "big", 1, 256, 256);
	assert_int_equal(ended(all_begin("tiny", "big")).status, OP_DONE);
	is_sound();
}

static void test_all_interrupted(void **state)
{
	const struct inst_resize_all req = {.from = "tiny@1", .to = "big"};
	struct err err = ERR_INIT;
	struct op *op, *other = NULL;

	(void)state;
	(void)create("a");
	(void)create("b");
	/* The operation itself cannot be written: nothing is done. */
	commits_fail("INSERT ON operations", "NEW.kind = 12");
	assert_int_equal(ended(all_begin("tiny@1", "big")).status, OP_FAILED);
	holds(find("a"), "tiny", 1, 64, 64);
	commits_work();
	/* One cannot be written: it alone. */
	commits_fail("UPDATE ON instances", "NEW.name = 'a' AND NEW.plan = 'big'");
	assert_int_equal(ended(all_begin("tiny@1", "big")).status, OP_FAILED);
	holds(find("a"), "tiny", 1, 64, 64);
	holds(find("b"), "big", 1, 256, 256);
	commits_work();
	/* vpsd dies half-way: what is moved is moved, and the operation says that there is more. */
	vpsd_down();
	rig_sql("UPDATE operations SET status = 0 WHERE kind = 12");
	vpsd_up();
	is_sound();
	assert_int_equal(
		rig_number("SELECT count(*) FROM operations WHERE kind = 12 AND status = 2 AND "
			   "error_code = 'interrupted'"),
		1);
	holds(find("a"), "tiny", 1, 64, 64);
	holds(find("b"), "big", 1, 256, 256);
	/* One at a time. */
	op = all_begin("tiny@1", "big");
	assert_int_equal(inst_resize_all(rig->m, &req, &other, &err), -EBUSY);
	assert_int_equal(ended(op).status, OP_DONE);
	holds(find("a"), "big", 1, 256, 256);
}

/* --- apply ----------------------------------------------------------------------------------- */

#define DOC(instance) "{\"tenant\": \"t\", \"instances\": [" instance "]}"
#define WEB(plan, more) "{\"name\": \"web\", \"plan\": \"" plan "\", \"image\": \"img\"" more "}"

/* "action[field,...]; ..." of what an apply would do. */
static void apply_shows(const char *doc, bool take_over, const char *want)
{
	_cleanup_problems_ struct problems *p = problems_new();
	_cleanup_spec_set_ struct spec_set set = SPEC_SET_INIT;
	_cleanup_sbuf_ struct sbuf text = SBUF_INIT;
	_cleanup_json_ json_t *answer = NULL;
	struct inst_apply req = {.set = &set, .take_over = take_over};
	size_t n, k;
	json_t *row, *f;

	assert_int_equal(spec_set_add_text(&set, SPEC_KIND_TENANT, doc, strlen(doc), "t.json", p),
			 0);
	assert_int_equal(inst_apply_preview(rig->m, &req, &answer, NULL), 0);
	json_array_foreach (json_object_get(answer, "changes"), n, row) {
		sbuf_addf(&text, "%s%s", n ? "; " : "",
			  json_string_value(json_object_get(row, "action")));
		json_array_foreach (json_object_get(row, "fields"), k, f)
			sbuf_addf(&text, "%c%s", k ? ',' : '[',
				  json_string_value(json_object_get(f, "field")));
		sbuf_adds(&text, "]");
	}
	assert_string_equal(sbuf_str(&text), want);
}

/* What was resized or set is the API's; what was not, stays the file's. */
static void test_drift(void **state)
{
	struct inst *i;

	(void)state;
	apply_text(SPEC_KIND_TENANT, DOC(WEB("tiny@1", ", \"overrides\": {\"pids\": 70}")));
	i = find("web");
	new_version();
	/* The same as it is writes nothing. */
	assert_int_equal(resized(i, ask("tiny@1", "pids=70", NULL)).status, OP_DONE);
	apply_shows(DOC(WEB("tiny@2", ", \"overrides\": {\"pids\": 71}")), false,
		    "change[plan,overrides]");
	assert_int_equal(resized(i, ask("big", NULL, NULL)).status, OP_DONE);
	apply_shows(DOC(WEB("tiny@1", ", \"overrides\": {\"pids\": 70}")), false, "drift[plan]");
	assert_int_equal(resized(i, ask(NULL, "pids=80", NULL)).status, OP_DONE);
	i = again("web");
	apply_shows(DOC(WEB("tiny@1", ", \"overrides\": {\"pids\": 70}")), false,
		    "drift[plan,overrides]");
	apply_text(SPEC_KIND_TENANT, DOC(WEB("tiny@1", ", \"overrides\": {\"pids\": 70}")));
	holds(i, "big", 1, 256, 80);
	apply_shows(DOC(WEB("tiny@1", ", \"overrides\": {\"pids\": 70}")), true,
		    "change[plan,overrides]");
	/* "small" is any version of it: a move to another is no drift. */
	assert_int_equal(resized(i, ask("tiny", NULL, "pids")).status, OP_DONE);
	apply_shows(DOC(WEB("tiny", "")), false, "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_both_directions), T(test_overrides),	    T(test_nonsense),
		T(test_admission),	 T(test_shrink_below_use),  T(test_feature_waits),
		T(test_kernel_refuses),	 T(test_cannot_be_written), T(test_death_half_way),
		T(test_races),		 T(test_reboot_meanwhile),  T(test_dry_run),
		T(test_all_of_a_plan),	 T(test_all_interrupted),   T(test_drift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
