/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transfer that a plan allows in a billing period. Whether it is used up follows from what is
 * counted and from the plan, at any time and by any vpsd; what is done about it is compared with
 * that after each reading: a lower rate, or a suspension of its own, which is nobody else's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "runtime/instance/private.h"
#include "runtime/instance/usage_private.h"

#define WARN_PERCENT 80u
#define REASON "its transfer is used up"

static uint64_t used_of(const struct inst *i, const struct usage_row *row)
{
	return usage_public(&row->sum, i->effective.network.transfer.count);
}

bool transfer_is_over(const struct inst *i)
{
	uint64_t monthly = i->effective.network.transfer.monthly;
	struct usage_row row;

	if (monthly == JSON_UNLIMITED || !i->manager->book)
		return false;
	row = usage_period(i);
	return used_of(i, &row) >= monthly;
}

uint64_t transfer_throttle(const struct inst *i)
{
	uint64_t rate = i->effective.network.transfer.over.throttle;

	return rate != JSON_UNLIMITED && transfer_is_over(i) ? rate : JSON_UNLIMITED;
}

/* --- telling --------------------------------------------------------------------------------- */

static const char *action_of(const struct spec_transfer_over *o)
{
	if (o->suspend)
		return "suspend";
	return o->throttle != JSON_UNLIMITED ? "throttle" : "bill";
}

static void date_of(char dst[32], uint64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds == 0 || !gmtime_r(&t, &tm) || !strftime(dst, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)str_copy(dst, 32, "never");
}

static void tell(const struct inst *i, const struct usage_row *row, unsigned percent)
{
	const struct spec_transfer *t = &i->effective.network.transfer;
	uint64_t used = used_of(i, row);
	char have[NUM_TEXT], all[NUM_TEXT], resets[32], message[200];

	num_format_size_short(have, used);
	num_format_size_short(all, t->monthly);
	date_of(resets, row->end);
	(void)str_fmt(message, sizeof(message), "%s of %s, %u %% or more; then: %s; resets: %s",
		      have, all, percent, action_of(&t->over), resets);
	inst_note(i, "transfer", message,
		  json_pack("{s:i, s:I, s:I, s:s, s:s}", "percent", (int)percent, "used",
			    (json_int_t)used, "monthly", (json_int_t)t->monthly, "over",
			    action_of(&t->over), "resets", resets));
}

/* Each mark once in a period, until the quota is raised above it. */
static void warn(struct inst *i)
{
	uint64_t monthly = i->effective.network.transfer.monthly, used;
	struct usage_row like, *row;
	unsigned level = 0;

	row = usage_book_period(i->manager->book, i, now_seconds(), &like);
	if (!row)
		return;
	used = used_of(i, row);
	if (monthly != JSON_UNLIMITED && used >= monthly)
		level = 100;
	else if (monthly != JSON_UNLIMITED &&
		 used >= monthly / 100 * WARN_PERCENT + monthly % 100 * WARN_PERCENT / 100)
		level = WARN_PERCENT;
	if (level > row->said)
		tell(i, row, level);
	if (level != row->said) {
		row->said = level;
		row->is_dirty = true;
	}
}

/* --- doing ----------------------------------------------------------------------------------- */

/* What is under way ends first: the next reading tries again. */
static void suspend_as_wanted(struct inst *i)
{
	bool is_own = i->suspension.mode && i->suspension.by == INST_SUSPEND_BY_TRANSFER;
	bool is_wanted = i->effective.network.transfer.over.suspend && transfer_is_over(i);
	struct err err = ERR_INIT;
	struct op *op = NULL;
	int r = 0;

	if (i->op || i->phase != INST_PHASE_PRESENT)
		return;
	if (is_wanted && !i->suspension.mode && i->net.n > 0)
		r = inst_suspend_by(i, INST_SUSPEND_BY_TRANSFER, INST_SUSPEND_NETWORK, REASON, &op,
				    &err);
	else if (!is_wanted && is_own)
		r = inst_resume(i, &op, &err);
	if (r < 0 && r != -EBUSY && r != -EAGAIN)
		log_warning("%s: its transfer: %s", i->full_name, err_text(&err));
}

static void throttle_as_wanted(struct inst *i)
{
	uint64_t was = i->p->throttle, now = transfer_throttle(i);
	struct err err = ERR_INIT;
	int r;

	if (was == now || !inst_is_up(i))
		return;
	r = links_shape(i, &err);
	if (r < 0 && r != -ENODEV)
		log_warning("%s: its transfer: %s", i->full_name, err_text(&err));
	else if (r >= 0 && (was || now != JSON_UNLIMITED))
		log_info("%s: %s", i->full_name,
			 now == JSON_UNLIMITED ? "has the rate of its plan again"
					       : "is slowed down: " REASON);
}

void transfer_judge(struct inst_manager *m)
{
	/* A clock that is far behind what was counted would lift everything. */
	if (!m->is_ready || m->is_closing || now_seconds() + USAGE_DAY < m->book->newest)
		return;
	for (size_t k = 0; k < m->n_insts; k++) {
		warn(m->insts[k]);
		suspend_as_wanted(m->insts[k]);
		throttle_as_wanted(m->insts[k]);
	}
}

int transfer_check_resume(const struct inst *i, struct err *err)
{
	struct usage_row row;
	char resets[32];

	if (i->suspension.by != INST_SUSPEND_BY_TRANSFER ||
	    !i->effective.network.transfer.over.suspend || !transfer_is_over(i))
		return 0;
	row = usage_period(i);
	date_of(resets, row.end);
	(void)err_set(err, EBUSY, "cannot resume '%s': " REASON "; it resets: %s", i->full_name,
		      resets);
	return err_hint(err, "'vps set %s network.transfer.monthly=SIZE' raises it", i->full_name);
}
