/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in the kernel: applied by one loop over the rows that reads back what came of it. */
#include "cgroups/limits.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/str.h"
#include "cgroups/limit_rows.h"
#include "cgroups/names.h"

#define OFFERED_TEXT 256
#define CHAIN_MAX 40  /* levels; a bound, not a limit anybody meets */
#define TEXT_MAX 4096 /* of io.max: a line for each disk with a limit */

/* Where a limit stands: in a file, and there in the first line or in that of a disk. */
struct place {
	const struct limit_row *row;
	const struct cg_disk *disk; /* NULL = it is of none */
	const char *file;	    /* NULL = nowhere */
	const char *why_not;	    /* why nowhere */
};

/* l NULL = of no disk. */
static struct place place_of(enum cg_limit limit, const struct cg_limits *l)
{
	const struct limit_row *row = &cg_limit_rows[limit];
	const struct cg_disk *disk = l ? l->disk : NULL;
	struct place p = {.row = row, .file = row->file};

	if (row->file && !row->key)
		return p;
	p.disk = disk;
	p.file = NULL;
	if (!disk)
		p.why_not = "of no disk";
	else if (disk->why_not[0])
		p.why_not = disk->why_not;
	else if (row->key)
		p.file = row->file;
	else if (!disk->weight_file)
		p.why_not = disk->why_no_weight;
	else
		p.file = disk->weight_file;
	return p;
}

/* What of a value the place can hold: a weight that was fit for the disk's former scheduler is
 * written as far as the present one goes. */
static uint64_t held_of(const struct place *p, uint64_t value)
{
	bool is_weight = p->disk && !p->row->key;

	return is_weight && value > p->disk->weight_max ? p->disk->weight_max : value;
}

/* A value that is held in part is not effective. */
static void judge_part(const struct place *p, uint64_t value, struct cg_limit_status *s)
{
	if (!s->effective || held_of(p, value) == value)
		return;
	s->effective = false;
	(void)str_fmt(s->reason, sizeof(s->reason),
		      "more than '%s' of this disk takes: the kernel holds %u", p->file,
		      p->disk->weight_max);
}

/* ---- one file ---- */

/* The text of a limit's value in an open kernel file. */
static int read_text(int fd, const struct place *p, char dst[CG_LIMIT_TEXT], struct err *err)
{
	char text[TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int r;

	if (n < 0)
		return err_sys(err, "cannot read '%s'", p->file);
	text[n] = '\0';
	if (p->row->key) {
		/* Disks without a limit are left out. */
		r = cg_disk_value(p->disk, text, p->row->key, dst, CG_LIMIT_TEXT);
		if (r == -ENOENT)
			r = str_copy(dst, CG_LIMIT_TEXT, "max");
	} else {
		text[strcspn(text, "\n")] = '\0';
		r = str_copy(dst, CG_LIMIT_TEXT, text);
	}
	return r < 0 ? err_set(err, EBADMSG, "cannot understand '%s'", p->file) : 0;
}

static int read_value(int fd, const struct place *p, uint64_t *ret, struct err *err)
{
	char text[CG_LIMIT_TEXT] = "";
	int r = read_text(fd, p, text, err);

	if (r < 0)
		return r;
	if (p->row->parse(text, ret) < 0)
		return err_set(err, EBADMSG, "cannot understand '%s' in '%s'", text, p->file);
	return 0;
}

/* One write, as kernel files take each write for a whole value. The newline ends the value in a
 * plain file too. */
static int write_text(int fd, const struct place *p, const char *text, struct err *err)
{
	char line[CG_LIMIT_TEXT + 64];
	ssize_t n;
	int r;

	if (p->row->key)
		r = str_fmt(line, sizeof(line), "%u:%u %s=%s\n", p->disk->major, p->disk->minor,
			    p->row->key, text);
	else
		r = str_fmt(line, sizeof(line), "%s\n", text);
	if (r < 0)
		return err_set(err, -r, "cannot write '%s' to '%s'", text, p->file);
	n = pwrite(fd, line, strlen(line), 0);
	if (n < 0)
		return err_sys(err, "cannot write '%.*s' to '%s'", (int)strlen(line) - 1, line,
			       p->file);
	if ((size_t)n != strlen(line))
		return err_set(err, EIO, "cannot write '%s' to '%s': cut short", text, p->file);
	return 0;
}

static int open_place(int dirfd, const struct place *p, int mode, struct err *err)
{
	int fd = openat(dirfd, p->file, mode | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", p->file);
	return fd;
}

static int get(int dirfd, const struct place *p, uint64_t *ret, struct err *err)
{
	_cleanup_close_ int fd = open_place(dirfd, p, O_RDONLY, err);

	return fd < 0 ? fd : read_value(fd, p, ret, err);
}

/* Writes a value and reads it back; what the kernel holds then must be what its format says. */
static int set_and_check(int fd, const struct place *p, uint64_t value, struct err *err)
{
	const struct limit_row *row = p->row;
	char text[CG_LIMIT_TEXT] = "", held[NUM_TEXT], asked[NUM_TEXT];
	uint64_t want, got;
	int r;

	cg_limit_show(asked, row, value);
	r = row->format(value, text);
	if (r < 0)
		return err_set(err, -r, "cannot set '%s' to %s: out of range", row->name, asked);
	r = row->parse(text, &want);
	if (r < 0)
		return err_set(err, -r, "cannot set '%s' to %s: not a value of '%s'", row->name,
			       asked, p->file);
	/* The first limit that a disk is given, even "max", makes the kernel count its requests. */
	if (row->key && read_value(fd, p, &got, NULL) == 0 && got == want)
		return 0;
	r = write_text(fd, p, text, err);
	if (r < 0)
		return err_ctx(err, "cannot set '%s' to %s", row->name, asked);
	r = read_value(fd, p, &got, err);
	if (r < 0)
		return err_ctx(err, "cannot check '%s'", row->name);
	if (got != want) {
		cg_limit_show(held, row, got);
		return err_set(err, EIO, "cannot set '%s' to %s: the kernel holds %s in '%s'",
			       row->name, asked, held, p->file);
	}
	return 0;
}

/* -EINVAL for what is of a disk. */
static int place_alone(enum cg_limit limit, struct place *ret, struct err *err)
{
	*ret = place_of(limit, NULL);
	return ret->file ? 0 : err_set(err, EINVAL, "'%s' is of a disk", ret->row->name);
}

int cg_limit_get(int dirfd, enum cg_limit limit, uint64_t *ret, struct err *err)
{
	struct place p;
	int r = place_alone(limit, &p, err);

	return r < 0 ? r : get(dirfd, &p, ret, err);
}

int cg_limit_set(int dirfd, enum cg_limit limit, uint64_t value, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct place p;
	int r = place_alone(limit, &p, err);

	if (r < 0)
		return r;
	fd = open_place(dirfd, &p, O_RDWR, err);
	return fd < 0 ? fd : set_and_check(fd, &p, value, err);
}

/* ---- all of a cgroup ---- */

/* Fills the row of a limit whose file is not there. 'offered' is a buffer for the cgroup's list of
 * controllers, read when it is first needed. */
static void status_missing(int dirfd, const struct place *p, uint64_t configured,
			   char offered[OFFERED_TEXT], struct cg_limit_status *s)
{
	const struct limit_row *row = p->row;

	if (!*offered &&
	    file_read_short_at(dirfd, "cgroup.controllers", offered, OFFERED_TEXT, NULL) <= 0)
		(void)str_copy(offered, OFFERED_TEXT, "-");
	*s = (struct cg_limit_status){.configured = configured, .actual = row->initial};
	if (cg_names_has(offered, row->controller) && p->why_not)
		(void)str_copy(s->reason, sizeof(s->reason), p->why_not);
	else if (cg_names_has(offered, row->controller))
		(void)str_fmt(s->reason, sizeof(s->reason), "this kernel has no '%s'", p->file);
	else
		(void)str_fmt(s->reason, sizeof(s->reason),
			      "the '%s' controller is not available in cgroup v2 here",
			      row->controller);
}

/* Lowers the values to the least found in up to 'depth' levels above dirfd. The top of the
 * hierarchy has no limits and no cgroup.events, so that the walk ends there at the latest. */
static int tighten(int dirfd, int depth, const struct cg_limits *l, uint64_t value[CG_LIMIT_MAX],
		   struct err *err)
{
	_cleanup_close_ int dir = -1;

	for (; depth > 0; depth--) {
		int up = openat(dir < 0 ? dirfd : dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (up < 0)
			return err_sys(err, "cannot open the cgroup above");
		cleanup_close(&dir);
		dir = up;
		if (faccessat(dir, "cgroup.events", F_OK, 0) < 0)
			return 0;
		for (int i = 0; i < CG_LIMIT_MAX; i++) {
			const struct place p = place_of((enum cg_limit)i, l);
			uint64_t v;
			int r;

			if (!p.row->ceiling || !p.file)
				continue;
			r = get(dir, &p, &v, err);
			if (r == -ENOENT) {
				cg_err_clear(err);
				continue;
			}
			if (r < 0)
				return r;
			if (v < value[i])
				value[i] = v;
		}
	}
	return 0;
}

int cg_limits_read(int dirfd, int depth, const struct cg_limits *configured,
		   struct cg_limit_status *status, struct err *err)
{
	struct cg_limit_status st[CG_LIMIT_MAX];
	uint64_t value[CG_LIMIT_MAX];
	char offered[OFFERED_TEXT] = "";
	int r;

	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		const struct place p = place_of((enum cg_limit)i, configured);
		const struct limit_row *row = p.row;
		char text[CG_LIMIT_TEXT] = "", held[NUM_TEXT];
		uint64_t want;

		r = p.file ? get(dirfd, &p, &value[i], err) : -ENOENT;
		if (r == -ENOENT) {
			cg_err_clear(err);
			value[i] = row->initial;
			status_missing(dirfd, &p, configured ? configured->value[i] : row->initial,
				       offered, &st[i]);
			continue;
		}
		if (r < 0)
			return r;
		st[i] = (struct cg_limit_status){
			.effective = true,
			.configured = configured ? configured->value[i] : value[i],
		};
		if (!configured)
			continue;
		if (row->format(held_of(&p, configured->value[i]), text) < 0 ||
		    row->parse(text, &want) < 0 || want != value[i]) {
			cg_limit_show(held, row, value[i]);
			st[i].effective = false;
			(void)str_fmt(st[i].reason, sizeof(st[i].reason),
				      "the kernel holds %s in '%s'", held, p.file);
		}
		judge_part(&p, configured->value[i], &st[i]);
	}
	r = tighten(dirfd, depth, configured, value, err);
	if (r < 0)
		return r;
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		st[i].actual = value[i];
		status[i] = st[i];
	}
	return 0;
}

/* Bytes of "key value" in memory.stat; 0 when the line is not there. */
static uint64_t stat_bytes(const char *text, const char *key)
{
	const char *p = text, *end;
	size_t len = strlen(key);
	uint64_t v = 0;

	while (p && !(strncmp(p, key, len) == 0 && p[len] == ' ')) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p && num_scan_u64(p + len + 1, &end, &v) == 0 ? v : 0;
}

/* Page cache that the kernel gives back at once: none that has to be written first, which the
 * guest's own limit of its disk may hold up. */
static uint64_t clean_cache(int dirfd)
{
	_cleanup_free_ char *stat = NULL;
	uint64_t cache, dirty;

	if (file_read_at(dirfd, "memory.stat", 65536, &stat, NULL, NULL) < 0)
		return 0;
	cache = stat_bytes(stat, "active_file") + stat_bytes(stat, "inactive_file");
	dirty = stat_bytes(stat, "file_dirty") + stat_bytes(stat, "file_writeback");
	return dirty < cache ? cache - dirty : 0;
}

/* 0 without the controller. */
static uint64_t memory_used(int dirfd)
{
	char text[NUM_TEXT] = "";
	uint64_t used;

	if (file_read_short_at(dirfd, "memory.current", text, sizeof(text), NULL) < 0 ||
	    num_parse_u64(text, 0, UINT64_MAX, &used) < 0)
		return 0;
	return used;
}

static int check_memory(int dirfd, uint64_t max, struct err *err)
{
	char used_text[NUM_TEXT], max_text[NUM_TEXT];
	uint64_t used = memory_used(dirfd), cache;

	/* Without the controller there is nothing to shrink; the loop reports that. */
	if (used <= max)
		return 0;
	cache = clean_cache(dirfd);
	if (cache < used && used - cache <= max)
		return 0;
	used -= cache < used ? cache : 0;
	num_format_size_short(used_text, used);
	num_format_size_short(max_text, max);
	(void)err_set(err, EBUSY, "cannot lower 'memory.limit' to %s: %s are in use", max_text,
		      used_text);
	(void)err_hint(err, "free memory inside first, or force it: the kernel then kills inside");
	return -EBUSY;
}

/* More may live there than its limit allows, since that was forced: only less than now is new. */
static int check_pids(int dirfd, uint64_t max, struct err *err)
{
	char text[NUM_TEXT] = "";
	uint64_t used, now;

	if (max == CG_UNLIMITED ||
	    file_read_short_at(dirfd, "pids.current", text, sizeof(text), NULL) < 0 ||
	    num_parse_u64(text, 0, UINT64_MAX, &used) < 0 || used <= max ||
	    cg_limit_get(dirfd, CG_LIMIT_PIDS_MAX, &now, NULL) < 0 || max >= now)
		return 0;
	(void)err_set(err, EBUSY, "cannot lower 'pids' to %" PRIu64 ": %" PRIu64 " are in use", max,
		      used);
	(void)err_hint(err, "end processes inside first, or force it: no new ones start then");
	return -EBUSY;
}

static int check_shrink(int dirfd, const struct cg_limits *l, struct err *err)
{
	int r = check_memory(dirfd, l->value[CG_LIMIT_MEMORY_MAX], err);

	return r < 0 ? r : check_pids(dirfd, l->value[CG_LIMIT_PIDS_MAX], err);
}

/* The files of one cgroup while its limits change. */
struct change {
	struct place place[CG_LIMIT_MAX];
	int fd[CG_LIMIT_MAX]; /* -1 = not there, or not to be changed */
	char old[CG_LIMIT_MAX][CG_LIMIT_TEXT];
	bool is_left[CG_LIMIT_MAX]; /* CG_APPLY_DEFER */
};

static void change_done(struct change *c)
{
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		cleanup_close(&c->fd[i]);
}

static int change_open(int dirfd, const struct cg_limits *l, unsigned flags, struct change *c,
		       struct err *err)
{
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		const struct place *p = &c->place[i];
		int r;

		c->place[i] = place_of((enum cg_limit)i, l);
		if (!p->file || ((flags & CG_APPLY_CEILINGS) && !p->row->ceiling))
			continue;
		r = open_place(dirfd, p, O_RDWR, err);
		if (r == -ENOENT) {
			cg_err_clear(err);
			continue;
		}
		if (r < 0)
			return r;
		c->fd[i] = r;
		r = read_text(c->fd[i], p, c->old[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_open(struct change *c, int i, const char *text, struct err *err)
{
	return c->fd[i] < 0 ? 0 : write_text(c->fd[i], &c->place[i], text, err);
}

/* A burst is at most the quota, so a quota that goes down may meet one that is too large
 * (Documentation/scheduler/sched-bwc.rst): none, then the quota, then the burst. */
static int drop_burst(struct change *c, struct err *err)
{
	return write_open(c, CG_LIMIT_CPU_BURST, "0", err);
}

/* Newest first. A failure here changes nothing about the answer. */
static void change_undo(struct change *c, int newest)
{
	(void)drop_burst(c, NULL);
	for (int i = newest; i >= 0; i--)
		if (!c->is_left[i])
			(void)write_open(c, i, c->old[i], NULL);
	(void)write_open(c, CG_LIMIT_CPU_BURST, c->old[CG_LIMIT_CPU_BURST], NULL);
}

/* A limit of memory that the kernel would have to reclaim for, which it would do as well for the
 * value that stands there already. */
static bool is_for_later(int dirfd, int limit, uint64_t value)
{
	return (limit == CG_LIMIT_MEMORY_MAX || limit == CG_LIMIT_MEMORY_HIGH) &&
	       value < memory_used(dirfd);
}

static int change_write(struct change *c, int dirfd, const struct cg_limits *l, unsigned flags,
			struct err *err)
{
	int r = drop_burst(c, err);

	for (int i = 0; r >= 0 && i < CG_LIMIT_MAX; i++) {
		if (c->fd[i] < 0)
			continue;
		c->is_left[i] = (flags & CG_APPLY_DEFER) && is_for_later(dirfd, i, l->value[i]);
		if (c->is_left[i])
			continue;
		r = set_and_check(c->fd[i], &c->place[i], held_of(&c->place[i], l->value[i]), err);
		if (r < 0)
			change_undo(c, i);
	}
	return r;
}

/* Whether the file had this value before, in its own rounding. */
static bool is_value(const struct change *c, int i, uint64_t value)
{
	const struct limit_row *row = c->place[i].row;
	char text[CG_LIMIT_TEXT] = "";

	return row->format(value, text) >= 0 && str_eq(text, c->old[i]);
}

int cg_limits_apply_flags(int dirfd, const struct cg_limits *l, unsigned flags,
			  struct cg_limit_status *status, struct err *err)
{
	_cleanup_(change_done) struct change c;
	uint64_t value[CG_LIMIT_MAX];
	char offered[OFFERED_TEXT] = "";
	int r;

	memset(&c, 0, sizeof(c));
	for (int i = 0; i < CG_LIMIT_MAX; i++)
		c.fd[i] = -1;
	if (!(flags & CG_APPLY_FORCE)) {
		r = check_shrink(dirfd, l, err);
		if (r < 0)
			return r;
	}
	if (flags & CG_APPLY_CHECK)
		return 0;
	r = change_open(dirfd, l, flags, &c, err);
	if (r < 0)
		return r;
	r = change_write(&c, dirfd, l, flags, err);
	if (r < 0 || !status)
		return r;
	/* The values are held; what is above decides only how much of them counts. */
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		value[i] = cg_limit_rows[i].initial;
		if (c.fd[i] >= 0 && read_value(c.fd[i], &c.place[i], &value[i], NULL) < 0)
			value[i] = l->value[i];
	}
	(void)tighten(dirfd, CHAIN_MAX, l, value, NULL);
	for (int i = 0; i < CG_LIMIT_MAX; i++) {
		if ((flags & CG_APPLY_CEILINGS) && !cg_limit_rows[i].ceiling)
			status[i] = (struct cg_limit_status){
				.configured = l->value[i],
				.actual = l->value[i],
				.reason = "kept as the sum of what lies below",
			};
		else if (c.fd[i] < 0)
			status_missing(dirfd, &c.place[i], l->value[i], offered, &status[i]);
		else if (c.is_left[i] && !is_value(&c, i, l->value[i]))
			status[i] = (struct cg_limit_status){
				.configured = l->value[i],
				.actual = value[i],
				.is_owed = true,
				.reason = "the kernel is taking memory back",
			};
		else
			status[i] = (struct cg_limit_status){
				.effective = true,
				.configured = l->value[i],
				.actual = value[i],
			};
		judge_part(&c.place[i], l->value[i], &status[i]);
	}
	return 0;
}

int cg_limits_apply(int dirfd, const struct cg_limits *l, struct cg_limit_status *status,
		    struct err *err)
{
	return cg_limits_apply_flags(dirfd, l, 0, status, err);
}
