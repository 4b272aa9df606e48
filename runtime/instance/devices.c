/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the plan: looked up on the host when a guest starts, then the same numbers go into its
 * device program and into its /dev. A running guest keeps what it was started with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "config/valid.h"
#include "runtime/instance/private.h"

#define DEV "/dev"
/* As tolerate_unsupported and lists name it. */
#define DEVICES_ITEM "devices"
#define NOTE "devices.json" /* in the instance's part of the run directory */
#define NOTE_MAX 8192

_Static_assert(SPEC_DEVICES_MAX <= SBX_NODES_MAX && SPEC_DEVICES_MAX <= CG_DEVICES_MAX,
	       "what a plan can name has room everywhere");
_Static_assert(SPEC_DEVICE_PATH_MAX - sizeof(DEV "/") + 1 < SBX_NODE_PATH, "so has each path");

static void note_missing(struct inst_devices *d, const struct err *why)
{
	if (!*d->why && str_copy(d->why, sizeof(d->why), err_text(why)) < 0)
		(void)str_copy(d->why, sizeof(d->why), "the host does not have them all");
}

/* Those that can be had are had, whatever is with the others. */
static void find(const struct spec_plan *plan, struct inst_devices *ret)
{
	struct cg_device_lists lists;
	_cleanup_close_ int dev = -1;
	struct err err = ERR_INIT;

	*ret = (struct inst_devices){.n = 0};
	if (plan->devices.n == 0)
		return;
	dev = path_open_dir(DEV, &err);
	if (dev < 0 || cg_device_lists_read(&lists, &err) < 0) {
		note_missing(ret, &err);
		return;
	}
	for (size_t i = 0; i < plan->devices.n && i < SPEC_DEVICES_MAX; i++) {
		const char *name = plan->devices.items[i] + strlen(DEV "/");
		struct inst_device *d = &ret->items[ret->n];

		err = ERR_INIT;
		if (cg_device_find(dev, &lists, name, &d->device, &err) < 0)
			note_missing(ret, &err);
		else if (str_copy(d->path, sizeof(d->path), name) >= 0)
			ret->n++;
	}
	cg_device_lists_done(&lists);
}

static void add_item(const struct inst_manager *m, const struct inst_devices *d,
		     struct spec_items *items)
{
	struct spec_item *item;

	if (!*d->why || items->n >= SPEC_ITEMS_MAX)
		return;
	item = &items->items[items->n++];
	*item = (struct spec_item){.is_tolerated = spec_host_tolerates(m->host, DEVICES_ITEM)};
	(void)str_copy(item->name, sizeof(item->name), DEVICES_ITEM);
	(void)str_copy(item->reason, sizeof(item->reason), d->why);
	items->n_refused += !item->is_tolerated;
}

static int check(const struct inst_manager *m, const struct inst_devices *d, struct err *err)
{
	struct spec_items items = {.n = 0};

	add_item(m, d, &items);
	return spec_items_to_err(&items, err);
}

int inst_devices_check(const struct inst_manager *m, const struct spec_plan *plan, struct err *err)
{
	struct inst_devices d;

	find(plan, &d);
	return check(m, &d, err);
}

/* --- what a guest was started with --------------------------------------------------------- */

static json_t *to_json(const struct inst_devices *d, uint64_t boot)
{
	json_t *list = json_array();

	for (size_t n = 0; list && n < d->n; n++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:I, s:I}", "path", d->items[n].path, "major",
					(json_int_t)d->items[n].device.major, "minor",
					(json_int_t)d->items[n].device.minor));
	return json_pack("{s:I, s:o, s:s}", "boot", (json_int_t)boot, "devices", list, "why",
			 d->why);
}

static void from_json(const json_t *doc, struct inst_devices *ret)
{
	json_t *list = json_object_get(doc, "devices"), *one;
	const char *why = json_string_value(json_object_get(doc, "why"));
	size_t k;

	json_array_foreach (list, k, one) {
		const char *path = json_string_value(json_object_get(one, "path"));
		struct inst_device *d = &ret->items[ret->n];

		if (ret->n == SPEC_DEVICES_MAX)
			break;
		if (!path || str_copy(d->path, sizeof(d->path), path) < 0)
			continue;
		d->device.major = (uint32_t)json_integer_value(json_object_get(one, "major"));
		d->device.minor = (uint32_t)json_integer_value(json_object_get(one, "minor"));
		ret->n++;
	}
	if (why)
		(void)str_copy(ret->why, sizeof(ret->why), why);
}

/* Before the launch: whoever finds the guest finds this. No file = none. */
static int note(const struct inst *i, struct err *err)
{
	const struct inst_devices *d = &i->p->devices;
	_cleanup_close_ int dir = inst_open_run(i, err);
	_cleanup_json_ json_t *doc = NULL;
	_cleanup_free_ char *text = NULL;

	if (dir < 0)
		return dir;
	if (d->n == 0 && !*d->why)
		return unlinkat(dir, NOTE, 0) == 0 || errno == ENOENT
			       ? 0
			       : err_sys(err, "cannot forget the devices of an earlier start");
	doc = to_json(d, i->boot);
	text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	if (!text)
		return err_set(err, ENOMEM, "cannot note the devices: out of memory");
	return file_replace_at(dir, NOTE, text, strlen(text), 0600, err);
}

int inst_devices_take(struct inst *i, struct err *err)
{
	int r;

	find(&i->effective, &i->p->devices);
	r = check(i->manager, &i->p->devices, err);
	return r < 0 ? r : note(i, err);
}

void inst_devices_found(struct inst *i, uint64_t boot)
{
	_cleanup_close_ int dir = path_open_beneath(i->manager->run_fd, i->id,
						    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, NULL);
	_cleanup_problems_ struct problems *problems = problems_new();
	const struct json_where w = {.file = NOTE, .path = "", .problems = problems};
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *doc = NULL;
	size_t len;

	i->p->devices = (struct inst_devices){.n = 0};
	if (dir >= 0 && problems && file_read_at(dir, NOTE, NOTE_MAX, &text, &len, NULL) >= 0 &&
	    json_text_load(text, len, NOTE_MAX, &w, &doc) >= 0 &&
	    json_integer_value(json_object_get(doc, "boot")) == (json_int_t)boot)
		from_json(doc, &i->p->devices);
}

void inst_devices_item(const struct inst *i, struct spec_items *ret)
{
	struct inst_devices now;

	if (inst_is_up(i)) {
		add_item(i->manager, &i->p->devices, ret);
		return;
	}
	find(&i->effective, &now);
	add_item(i->manager, &now, ret);
}

bool inst_devices_are_same(const struct spec_plan *a, const struct spec_plan *b)
{
	if (a->devices.n != b->devices.n)
		return false;
	for (size_t i = 0; i < a->devices.n; i++)
		if (!str_eq(a->devices.items[i], b->devices.items[i]))
			return false;
	return true;
}

void inst_devices_describe(const struct inst *i, struct sbx_launch *l)
{
	const struct inst_devices *d = &i->p->devices;

	for (l->n_nodes = 0; l->n_nodes < d->n; l->n_nodes++) {
		const struct inst_device *from = &d->items[l->n_nodes];
		struct sbx_node *to = &l->nodes[l->n_nodes];

		memcpy(to->path, from->path, sizeof(to->path));
		to->major = from->device.major;
		to->minor = from->device.minor;
		to->mode = from->device.mode;
	}
}

/* --- the device program -------------------------------------------------------------------- */

/* One for all that have nothing of their own in it. */
static int attach_shared(struct inst *i, const struct cg_device_set *set, struct err *err)
{
	int *prog = &i->manager->devices[set->features % DEVICE_SETS];

	if (*prog < 0)
		*prog = cg_devices_load(set, err);
	return *prog < 0 ? *prog : cg_devices_attach(i->p->cg.fd, *prog, err);
}

int inst_devices_attach(struct inst *i, struct err *err)
{
	const struct inst_devices *d = &i->p->devices;
	struct cg_device_set set = {.features = (i->effective.features.fuse ? CG_DEVICE_FUSE : 0u) |
						(i->effective.features.tun ? CG_DEVICE_TUN : 0u)};
	_cleanup_close_ int prog = -1;

	for (set.n = 0; set.n < d->n; set.n++)
		set.more[set.n] = d->items[set.n].device;
	if (set.n == 0)
		return attach_shared(i, &set, err);
	/* The cgroup keeps it. */
	prog = cg_devices_load(&set, err);
	return prog < 0 ? prog : cg_devices_attach(i->p->cg.fd, prog, err);
}
