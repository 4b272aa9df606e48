/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the plan: looked up at each start, the same in the device program and in /dev. */
#include "config/device.h"
#include "runtime/instance/resize.h"
#include "runtime/sandbox/devices.h"
#include "tests/unit/instance/rig.h"

#define RENDER "dri/renderD128"

static int setup(void **state)
{
	if (rig_setup(state) < 0)
		return -1;
	rig->has_fences = true;
	rig->devices[0] = RENDER;
	rig->devices[1] = "kvm";
	return 0;
}

/* Only that name is tolerated from now on. */
static void tolerate(const char *name)
{
	free(rig->host.tolerate_unsupported.items[0]);
	rig->host.tolerate_unsupported.items[0] = strdup(name);
}

/* The reason that is shown for a missing one; NULL = none is missing. */
static const char *devices_item(const struct inst *i)
{
	static struct spec_items items;

	inst_unsupported(i, &items);
	for (size_t n = 0; n < items.n; n++)
		if (str_eq(items.items[n].name, "devices"))
			return items.items[n].reason;
	return NULL;
}

/* The override of devices as JSON, and others. NULL = refused, with err. */
static struct op *set_begin(struct inst *i, const char *path, const char *value, struct err *err)
{
	struct problems *problems = problems_new();
	json_t *set = json_pack("{s:s}", path, value);
	const struct inst_resize req = {.set = set, .problems = problems};
	struct op *op = NULL;

	assert_non_null(problems);
	*err = ERR_INIT;
	if (inst_resize(i, &req, &op, err) < 0)
		op = NULL;
	problems_free(problems);
	json_decref(set);
	return op;
}

static void set(struct inst *i, const char *path, const char *value)
{
	struct err err;
	struct op *op = set_begin(i, path, value, &err);

	if (!op)
		fail_msg("%s", err_text(&err));
	assert_int_equal(ended(op).status, OP_DONE);
}

static void restart(struct inst *i)
{
	if (i->state != INST_STOPPED)
		assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_int_equal(ended(start_begin(i)).status, OP_DONE);
}

/* What the last launch had: "path major:minor mode" of each, and the program the same numbers. */
static void launched_with(const char *want)
{
	_cleanup_sbuf_ struct sbuf got = SBUF_INIT;

	for (unsigned n = 0; n < rig->launch.n_nodes; n++) {
		const struct sbx_node *node = &rig->launch.nodes[n];

		sbuf_addf(&got, "%s%s %u:%u %o", n ? ", " : "", node->path, node->major,
			  node->minor, node->mode);
		assert_true(n < rig->fence.n);
		assert_int_equal(rig->fence.more[n].major, node->major);
		assert_int_equal(rig->fence.more[n].minor, node->minor);
	}
	assert_int_equal(rig->fence.n, rig->launch.n_nodes);
	assert_string_equal(sbuf_str(&got), want);
}

static void test_start(void **state)
{
	struct inst *i = create("a");

	(void)state;
	launched_with("");
	set(i, "devices", "[\"/dev/" RENDER "\", \"/dev/kvm\"]");
	assert_true(i->restart_needed);
	launched_with(""); /* not while it runs */
	restart(i);
	assert_false(i->restart_needed);
	launched_with(RENDER " 226:128 660, kvm 226:129 660");
	assert_true(rig->cgroups[0].is_fenced);
	assert_null(devices_item(i));
	/* Both fences of another instance are as before. */
	(void)create("b");
	assert_int_equal(rig->launch.n_nodes, 0);
	set(i, "devices", "[\"/dev/kvm\"]");
	restart(i);
	launched_with("kvm 226:129 660");
	set(i, "devices", "[]");
	restart(i);
	assert_int_equal(rig->launch.n_nodes, 0);
	is_sound();
}

/* Two guests at once: what is loaded for the one is never attached for the other. */
static void test_programs(void **state)
{
	struct inst *i = create("a");

	(void)state;
	set(i, "devices", "[\"/dev/kvm\"]");
	set(i, "features.tun", "true");
	restart(i);
	launched_with("kvm 226:129 660");
	assert_int_equal(rig->fence.features, CG_DEVICE_TUN);
	set(i, "devices", "[]");
	restart(i);
	launched_with("");
	assert_int_equal(rig->fence.features, CG_DEVICE_TUN);
	is_sound();
}

static void test_missing(void **state)
{
	struct inst *i = create("a");
	struct op end;
	struct err err;

	(void)state;
	tolerate("");
	/* A change that names one which is not there is refused, with the way out. */
	assert_null(set_begin(i, "devices", "[\"/dev/kvm\", \"/dev/none\"]", &err));
	assert_int_equal(err.code, EOPNOTSUPP);
	assert_string_equal(err.msg, "this host cannot enforce devices (/dev/none: the host has no "
				     "such device)");
	assert_non_null(strstr(err.hint, "\"tolerate_unsupported\": [\"devices\"]"));
	assert_null(set_begin(i, "devices", "[\"/dev/sda\"]", &err));
	assert_non_null(strstr(err_text(&err), "no guest gets \"/dev/sda\""));
	assert_null(set_begin(i, "devices", "\"/dev/kvm\"", &err));
	assert_int_equal(i->effective.devices.n, 0);
	/* One that goes away: other changes are taken, a start is refused. */
	set(i, "devices", "[\"/dev/kvm\"]");
	restart(i);
	rig->devices[1] = NULL;
	assert_null(devices_item(i)); /* the guest has it */
	set(i, "pids", "70");
	assert_int_equal(ended(stop_begin(i, true)).status, OP_DONE);
	assert_non_null(strstr(devices_item(i), "/dev/kvm: the host has no such"));
	end = ended(start_begin(i));
	assert_int_equal(end.status, OP_FAILED);
	assert_int_equal(end.err.code, EOPNOTSUPP);
	assert_non_null(strstr(end.err.msg, "cannot start 't/a': this host cannot enforce devices "
					    "(/dev/kvm: the host has no such device)"));
	assert_int_equal(i->state, INST_FAILED);
	assert_int_equal(rig->launches, 2);
	is_sound();
	rig->devices[2] = "kvm"; /* it is back, with another number */
	restart(i);
	launched_with("kvm 226:130 660");
	is_sound();
}

static void test_tolerated(void **state)
{
	struct inst *i = create("a");

	(void)state;
	tolerate("devices");
	set(i, "devices", "[\"/dev/none\", \"/dev/kvm\"]");
	restart(i);
	launched_with("kvm 226:129 660");
	assert_non_null(strstr(devices_item(i), "/dev/none"));
	rig->devices[2] = "none";
	assert_non_null(devices_item(i)); /* it runs without */
	vpsd_down();
	vpsd_up();
	i = find("a");
	assert_non_null(strstr(devices_item(i), "/dev/none"));
	restart(i);
	launched_with("none 226:130 660, kvm 226:129 660");
	assert_null(devices_item(i));
	is_sound();
}

/* A guest that a new vpsd finds: a program that is there is left alone, one that is missing comes
 * back with the same devices. */
static void test_found(void **state)
{
	static const char *const notes[] = {
		"{\"boot\": 1, \"devices\": [{\"path\": \"kvm\", \"major\": 1, \"minor\": 1}]}",
		"{\"boot\": 2, \"devices\": [{\"major\": 1, \"minor\": 1}, 7, null]}",
		"{\"boot\": 2, \"devices\": \"kvm\", \"why\": 5}",
		"{\"boot\": 2, \"devi",
		"",
	};
	struct inst *i = create("a");
	char id[ID_TEXT], name[64];

	(void)state;
	(void)str_copy(id, sizeof(id), i->id);
	set(i, "devices", "[\"/dev/kvm\"]");
	restart(i);
	rig->fence = (struct cg_device_set){.n = 0};
	vpsd_down();
	vpsd_up();
	assert_true(find("a")->has_device_fence);
	assert_int_equal(rig->fence.n, 0);
	vpsd_down();
	rig->cgroups[0].is_fenced = false;
	vpsd_up();
	assert_true(rig->cgroups[0].is_fenced);
	assert_int_equal(rig->fence.n, 1);
	assert_int_equal(rig->fence.more[0].minor, 129);
	assert_null(devices_item(find("a")));
	/* What it was started with: not what the plan and the host say since. */
	set(find("a"), "devices", "[\"/dev/" RENDER "\"]");
	rig->devices[1] = NULL;
	rig->devices[3] = "kvm";
	vpsd_down();
	rig->cgroups[0].is_fenced = false;
	vpsd_up();
	assert_true(rig->cgroups[0].is_fenced);
	assert_int_equal(rig->fence.n, 1);
	assert_int_equal(rig->fence.more[0].minor, 129);
	assert_null(devices_item(find("a")));
	/* What an earlier boot had, or nobody can read, is nothing. */
	for (size_t n = 0; n < sizeof(notes) / sizeof(notes[0]); n++) {
		vpsd_down();
		(void)str_fmt(name, sizeof(name), "run/%s/devices.json", id);
		rig_put(name, notes[n], 0600);
		rig->cgroups[0].is_fenced = false;
		vpsd_up();
		assert_true(rig->cgroups[0].is_fenced);
		assert_int_equal(rig->fence.n, 0);
	}
	is_sound();
}

/* What is in every guest is refused where a plan is read. */
static void test_own_names(void **state)
{
	char path[64];

	(void)state;
	for (unsigned n = 0; n < sbx_devices_count; n++) {
		(void)str_fmt(path, sizeof(path), "/dev/%s", sbx_devices[n].path);
		if (sbx_devices[n].features)
			assert_null(spec_device_why_not(path));
		else
			assert_non_null(spec_device_why_not(path));
	}
}

static void test_dry_run(void **state)
{
	struct problems *problems = problems_new();
	json_t *wish = json_pack("{s:s}", "devices", "[\"/dev/kvm\"]");
	const struct inst_resize req = {.set = wish, .problems = problems};
	struct inst *i = create("a");
	struct err err = ERR_INIT;
	json_t *answer = NULL, *field;

	(void)state;
	if (inst_resize_preview(i, &req, &answer, &err) < 0)
		fail_msg("%s", err_text(&err));
	field = json_array_get(
		json_object_get(json_array_get(json_object_get(answer, "changes"), 0), "fields"),
		0);
	assert_string_equal(json_string_value(json_object_get(field, "field")), "devices");
	assert_true(json_is_true(json_object_get(field, "at_next_start")));
	assert_int_equal(i->effective.devices.n, 0);
	json_decref(answer);
	json_decref(wish);
	problems_free(problems);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_start), TEST(test_programs),	TEST(test_missing), TEST(test_tolerated),
		TEST(test_found), TEST(test_own_names), TEST(test_dry_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
