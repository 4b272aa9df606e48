/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the plan: looked up on the host when a guest starts, then the same numbers go into its
 * device program and into its /dev. A running guest keeps what it was started with.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"
#include "config/valid.h"
#include "runtime/instance/private.h"

#define DEV "/dev"
/* As tolerate_unsupported and lists name it. */
#define DEVICES_ITEM "devices"

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
	_cleanup_close_ int dev = -1;
	struct err err = ERR_INIT;

	*ret = (struct inst_devices){.n = 0};
	if (plan->devices.n == 0)
		return;
	dev = path_open_dir(DEV, &err);
	if (dev < 0) {
		note_missing(ret, &err);
		return;
	}
	for (size_t i = 0; i < plan->devices.n && i < SPEC_DEVICES_MAX; i++) {
		const char *name = plan->devices.items[i] + strlen(DEV "/");
		struct inst_device *d = &ret->items[ret->n];

		err = ERR_INIT;
		if (cg_device_find(dev, name, &d->device, &err) < 0)
			note_missing(ret, &err);
		else if (str_copy(d->path, sizeof(d->path), name) >= 0)
			ret->n++;
	}
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

int inst_devices_take(struct inst *i, struct err *err)
{
	find(&i->effective, &i->p->devices);
	return check(i->manager, &i->p->devices, err);
}

void inst_devices_found(struct inst *i)
{
	find(&i->effective, &i->p->devices);
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
