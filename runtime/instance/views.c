/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest is shown of its CPUs instead of the kernel's files, which tell of the machine:
 * /proc/cpuinfo and /sys/devices/system/cpu/online. They lie in a tmpfs of this guest that is
 * mounted nowhere on the host; the guest has them read-only (runtime/sandbox/mount_table.c), vpsd
 * writes through the mount's descriptor, which the keeper holds for the next vpsd.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "cgroups/cpuset.h"
#include "runtime/instance/cpuinfo.h"
#include "runtime/instance/placement.h"
#include "runtime/instance/private.h"
#include "runtime/sandbox/mounts.h"

#define CPUINFO_MAX (8u << 20)
#define KEY_TEXT (sizeof("views-") + ID_TEXT)
#define ITEM "cpuinfo"

/* --- which CPUs ------------------------------------------------------------------------------ */

static void first_of(const cpu_set_t *from, unsigned n, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (size_t c = 0; n > 0 && c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, from)) {
			CPU_SET(c, ret);
			n--;
		}
}

/* As many of those it may run on as its plan has cores: all of them, where they were chosen for it.
 * Those that it has to itself are its own until its next start, whatever its plan is by now. */
static void shown_to(const struct inst *i, cpu_set_t *ret)
{
	const cpu_set_t *from =
		CPU_COUNT(&i->p->cpus) > 0 ? &i->p->cpus : &i->manager->machine.cpus;

	if (i->p->has_own_cpus)
		*ret = *from;
	else
		first_of(from, placement_width(i->effective.cpu.cores), ret);
}

/* --- the files ------------------------------------------------------------------------------- */

static int read_machine(struct inst_manager *m, struct err *err)
{
	char *text;
	size_t len;
	int r = file_read_at(AT_FDCWD, m->cpuinfo_path, CPUINFO_MAX, &text, &len, err);

	if (r < 0)
		return r;
	free(m->cpuinfo);
	m->cpuinfo = text;
	return 0;
}

/* The machine's text is read once: it can take the kernel milliseconds, and what changes in it
 * (frequencies) is true for a moment anyway. Again for a CPU that came later. */
static int make_cpuinfo(struct inst_manager *m, const cpu_set_t *cpus, struct sbuf *ret,
			struct err *err)
{
	bool is_fresh = !m->cpuinfo;
	int r = is_fresh ? read_machine(m, err) : 0;

	if (r < 0)
		return r;
	r = cpuinfo_make(m->cpuinfo, cpus, ret);
	if (r == -ENOENT && !is_fresh) {
		r = read_machine(m, err);
		if (r < 0)
			return r;
		sbuf_clear(ret);
		r = cpuinfo_make(m->cpuinfo, cpus, ret);
	}
	if (r == -ENOENT)
		return err_set(err, ENOENT, "'%s' does not have all CPUs", m->cpuinfo_path);
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "the form of '%s' is not known", m->cpuinfo_path);
	return r < 0 ? err_set_errno(err, -r, "cannot make 'cpuinfo'") : 0;
}

/* In place: the guest has this very file. Who reads meanwhile may get some of both, as from the
 * kernel's file when a CPU comes or goes. */
static int write_file(int dir, const char *name, const struct sbuf *text, struct err *err)
{
	_cleanup_close_ int fd =
		path_open_beneath(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644, err);
	size_t done = 0;

	if (fd < 0)
		return err_ctx(err, "the guest's '%s'", name);
	while (done < text->len) {
		ssize_t n = pwrite(fd, text->data + done, text->len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "cannot write the guest's '%s'", name);
		done += (size_t)n;
	}
	/* vpsd's umask may be anything. */
	if (ftruncate(fd, (off_t)text->len) < 0 || fchmod(fd, 0644) < 0)
		return err_sys(err, "cannot write the guest's '%s'", name);
	return 0;
}

static int write_files(struct inst *i, const cpu_set_t *cpus, struct err *err)
{
	_cleanup_sbuf_ struct sbuf online = SBUF_INIT, cpuinfo = SBUF_INIT;
	char list[CG_CPUS_TEXT];
	int r = cg_cpus_format(cpus, list, sizeof(list));

	if (r < 0)
		return err_set(err, ERANGE, "too many CPUs");
	sbuf_addf(&online, "%s\n", list);
	if (!sbuf_ok(&online))
		return err_set(err, ENOMEM, "out of memory");
	r = write_file(i->p->views, "online", &online, err);
	if (r >= 0)
		r = make_cpuinfo(i->manager, cpus, &cpuinfo, err);
	return r < 0 ? r : write_file(i->p->views, "cpuinfo", &cpuinfo, err);
}

/* It is tried again with every change of anybody's CPUs, and said once. */
static void note(struct inst *i, const struct err *why)
{
	if (str_eq(i->p->views_why, err_text(why)))
		return;
	if (str_copy(i->p->views_why, sizeof(i->p->views_why), err_text(why)) < 0)
		(void)str_copy(i->p->views_why, sizeof(i->p->views_why), "it cannot be written");
	log_warning("%s: what it is shown of its CPUs is not right: %s", i->full_name,
		    err_text(why));
}

static void refresh(struct inst *i)
{
	struct err err = ERR_INIT;
	cpu_set_t cpus;

	if (i->p->views < 0)
		return;
	shown_to(i, &cpus);
	if (CPU_EQUAL(&cpus, &i->p->views_cpus))
		return;
	if (write_files(i, &cpus, &err) >= 0) {
		i->p->views_cpus = cpus;
		i->p->views_why[0] = '\0';
		return;
	}
	CPU_ZERO(&i->p->views_cpus);
	note(i, &err);
}

void inst_views_refresh(struct inst_manager *m)
{
	for (size_t k = 0; k < m->n_insts; k++)
		refresh(m->insts[k]);
}

/* --- from the start of a guest to its end ---------------------------------------------------- */

static void key_of(const char *id, char key[KEY_TEXT])
{
	(void)str_fmt(key, KEY_TEXT, "views-%s", id);
}

static void hold(struct inst *i)
{
	struct inst_manager *m = i->manager;
	struct err err = ERR_INIT;
	char key[KEY_TEXT];

	key_of(i->id, key);
	if (keeper_client_hold(m->keeper.client, key, i->p->views, (struct keeper_call){0}, &err) <
	    0)
		log_warning("%s: the next vpsd will not reach what it is shown of its CPUs: %s",
			    i->full_name, err_text(&err));
	keeper_link_poke(m);
}

void inst_views_make(struct inst *i)
{
	/* Without a size, as vpsd alone writes there: so it is empty for df(1), which leaves out
	 * what is, and no counters of free blocks are kept. */
	static const struct sbx_mount_option options[] = {
		{"source", "none"}, {"mode", "0555"},	{"uid", "0"}, {"gid", "0"},
		{"size", "0"},	    {"nr_inodes", "0"}, {NULL, NULL},
	};
	struct err err = ERR_INIT;

	cleanup_close(&i->p->views);
	CPU_ZERO(&i->p->views_cpus);
	i->p->views_why[0] = '\0';
	i->p->views = sbx_mount_new("tmpfs", options,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &err);
	if (i->p->views < 0) {
		i->p->views = -1;
		note(i, &err);
		return;
	}
	refresh(i);
	hold(i);
}

struct question {
	struct inst_manager *manager;
	char id[ID_TEXT];
	uint64_t boot;
};

static void on_held(void *userdata, struct keeper_reply *reply, const struct err *err)
{
	struct question q = *(struct question *)userdata;
	struct inst *i;

	free(userdata);
	if (q.manager->is_closing || (err && err->code == EPIPE))
		return;
	i = inst_find_by_id(q.manager, q.id);
	if (!i || !inst_is_up(i) || i->boot != q.boot || i->p->views >= 0)
		return;
	if (err) {
		(void)str_copy(i->p->views_why, sizeof(i->p->views_why),
			       "its files were lost with the keeper; a restart gives it new ones");
		return;
	}
	i->p->views = take_fd(&reply->fd);
	/* Written by an earlier vpsd, maybe half. */
	CPU_ZERO(&i->p->views_cpus);
	refresh(i);
}

void inst_views_found(struct inst *i)
{
	struct inst_manager *m = i->manager;
	struct question *q;
	char key[KEY_TEXT];

	if (i->p->views >= 0) {
		hold(i);
		return;
	}
	q = calloc(1, sizeof(*q));
	if (!q)
		return;
	*q = (struct question){.manager = m, .boot = i->boot};
	memcpy(q->id, i->id, sizeof(q->id));
	key_of(i->id, key);
	if (keeper_client_held(m->keeper.client, key,
			       (struct keeper_call){.done = on_held, .userdata = q}, NULL) < 0)
		free(q);
	keeper_link_poke(m);
}

void inst_views_close(struct inst *i)
{
	cleanup_close(&i->p->views);
	i->p->views_why[0] = '\0';
}

void inst_views_drop(struct inst_manager *m, const char *id)
{
	const struct inst *i = inst_find_by_id(m, id);
	char key[KEY_TEXT];

	if (!m->keeper.is_speaking || (i && (inst_is_up(i) || i->p->views >= 0)))
		return;
	key_of(id, key);
	(void)keeper_client_unhold(m->keeper.client, key, (struct keeper_call){0}, NULL);
	keeper_link_poke(m);
}

void inst_views_item(const struct inst *i, struct spec_items *ret)
{
	struct spec_item *item;

	if (!inst_is_up(i) || !i->p->views_why[0] || ret->n >= SPEC_ITEMS_MAX)
		return;
	item = &ret->items[ret->n++];
	*item = (struct spec_item){.is_tolerated = true};
	(void)str_copy(item->name, sizeof(item->name), ITEM);
	(void)str_copy(item->reason, sizeof(item->reason), i->p->views_why);
}
