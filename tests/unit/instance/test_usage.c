/* SPDX-License-Identifier: Apache-2.0 */
/* Traffic: counted once, whatever happens to tables, vpsd, the host, the database and the clock. */
#include "tests/unit/instance/rig.h"

#include "runtime/instance/period.h"
#include "runtime/instance/private.h"

#define SUM "(SELECT sum(in_public4_bytes) FROM usage WHERE kind = 0)"

/* One of its interfaces in a table, which is sorted; it is put in when it is not there. */
static struct net_usage *raw_of(unsigned table, const struct inst *i, unsigned nic)
{
	struct rig_table *t = &rig->tables[table];
	struct usage_nic new = {.name = ""};
	size_t k = 0;

	assert_int_equal(str_fmt(new.name, sizeof(new.name), "vp%.12s%u", i->id, nic), 0);
	while (k < t->n && strcmp(t->nics[k].name, new.name) < 0)
		k++;
	if (k == t->n || !str_eq(t->nics[k].name, new.name)) {
		memmove(&t->nics[k + 1], &t->nics[k], (t->n++ - k) * sizeof(new));
		t->nics[k] = new;
	}
	return &t->nics[k].raw;
}

static struct net_usage *raw(unsigned table, const struct inst *i)
{
	return raw_of(table, i, 0);
}

static void pass_in(unsigned table, const struct inst *i, uint64_t bytes)
{
	struct net_usage *u = raw(table, i);

	u->v4[NET_IN_PUBLIC].bytes += bytes;
	u->v4[NET_IN_PUBLIC].packets++;
}

static void ready(void)
{
	rig->m->network->state = NETWORK_READY;
	rig->m->network->filter.sock.fd = rig->tables[0].fd;
}

static void sample(void)
{
	usage_sample(rig->m);
	store_flush(rig->store);
}

static int64_t in_database(void)
{
	int64_t v = rig_number("SELECT coalesce(" SUM ", 0)");

	return v;
}

static const struct usage_row *row(enum usage_kind kind)
{
	static const struct usage_row none;
	const struct usage_row *r;

	for (size_t k = 0; (r = usage_at(rig->m, k)); k++)
		if (r->kind == kind)
			return r;
	return &none;
}

/* vpsd dies, and another one comes: its table is a new one, the old one is still there. */
static void next_vpsd(int fd)
{
	rig->deaf_tables = true;
	vpsd_down();
	rig->deaf_tables = false;
	rig->tables[1] = rig->tables[0];
	rig->tables[0] = (struct rig_table){.fd = fd};
	vpsd_up();
	ready();
}

static bool is_taken;

static void on_taken(struct inst_manager *m)
{
	(void)m;
	is_taken = true;
}

/* The network's part: the tables of earlier vpsds are read for the last time. */
static void take_over(unsigned n)
{
	struct net_filter olds[2] = {NET_FILTER_INIT, NET_FILTER_INIT};
	struct err err = ERR_INIT;

	for (unsigned k = 0; k < n; k++)
		olds[k].sock.fd = rig->tables[k + 1].fd;
	rig->m->book->is_open = false;
	is_taken = false;
	assert_int_equal(usage_take_over(rig->m, olds, n, on_taken, &err), 0);
	assert_int_equal(is_taken, n == 0);
	AWAIT(is_taken);
	for (unsigned k = 0; k < n; k++)
		rig->tables[k + 1].n = 0;
}

static int setup(void **state)
{
	int r = rig_setup(state);

	for (int k = 0; k < 3; k++)
		rig->tables[k].fd = 70 + k;
	ready();
	return r;
}

static void test_sums(void **state)
{
	struct inst *i = create("a"), *other = create("b");
	const struct usage_row *r;

	(void)state;
	sample();
	assert_null(usage_at(rig->m, 0));
	pass_in(0, i, 1000);
	raw(0, i)->v6[NET_OUT_PRIVATE] = (struct net_counter){7, 2};
	sample();
	pass_in(0, i, 500);
	sample();
	sample();
	r = row(USAGE_MONTH);
	assert_string_equal(r->id, i->id);
	assert_string_equal(r->name, "t/a");
	assert_int_equal(r->start, period_month(now_seconds()));
	assert_int_equal(r->sum.v4[NET_IN_PUBLIC].bytes, 1500);
	assert_int_equal(r->sum.v4[NET_IN_PUBLIC].packets, 2);
	assert_int_equal(r->sum.v6[NET_OUT_PRIVATE].bytes, 7);
	assert_int_equal(r->sum.v6[NET_OUT_PRIVATE].packets, 2);
	assert_int_equal(row(USAGE_PERIOD)->sum.v4[NET_IN_PUBLIC].bytes, 1500);
	assert_int_equal(in_database(), 1500);
	/* Nothing of one that sent nothing. */
	assert_int_equal(rig_number("SELECT count(*) FROM usage"), 2);
	/* A second interface, which another instance has not. */
	raw_of(0, other, 3)->v4[NET_IN_PUBLIC] = (struct net_counter){30, 1};
	sample();
	assert_int_equal(rig_number("SELECT nic FROM usage_marks WHERE "
				    "in_public4_bytes = 30"),
			 3);
	assert_int_equal(in_database(), 1530);
}

static void test_kill(void **state)
{
	struct inst *i = create("a");

	(void)state;
	pass_in(0, i, 1000);
	sample();
	/* Not read any more before it dies. */
	pass_in(0, i, 300);
	next_vpsd(80);
	i = find("a");
	/* Both count for a while. */
	pass_in(1, i, 50);
	pass_in(0, i, 50);
	take_over(1);
	assert_int_equal(in_database(), 1350);
	pass_in(0, i, 7);
	sample();
	assert_int_equal(in_database(), 1357);
	/* Dead again before the old one was removed: it is known, and not what counts. */
	next_vpsd(81);
	i = find("a");
	take_over(1);
	assert_int_equal(in_database(), 1357);
}

/* Killed while the new table took over, once more: two old ones have counted the same. */
static void test_killed_twice(void **state)
{
	struct inst *i = create("a"), *young = create("b");

	(void)state;
	pass_in(0, i, 1000);
	sample();
	pass_in(0, young, 10);
	next_vpsd(80);
	i = find("a");
	young = find("b");
	for (unsigned k = 0; k < 2; k++) {
		pass_in(k, i, 400);
		pass_in(k, young, 5);
	}
	rig->tables[2] = rig->tables[1];
	next_vpsd(81);
	i = find("a");
	young = find("b");
	assert_int_equal(rig->tables[2].fd, 70);
	take_over(2);
	assert_int_equal(in_database(), 1415);
	sample();
	assert_int_equal(in_database(), 1415);
}

/* Packets come between the reading of one table and that of the other. */
static void test_busy(void **state)
{
	struct inst *i = create("a");

	(void)state;
	pass_in(0, i, 1000);
	sample();
	next_vpsd(80);
	i = find("a");
	(void)raw(0, i);
	/* In the middle of the first two looks; the third is quiet. */
	rig->hasty_reads = 5;
	take_over(1);
	assert_int_equal(rig->hasty_reads, 0);
	sample();
	assert_int_equal(in_database(), 1500);
	/* Never quiet: too little rather than too much. */
	next_vpsd(81);
	i = find("a");
	(void)raw(0, i);
	rig->hasty_reads = 1000;
	take_over(1);
	rig->hasty_reads = 0;
	sample();
	assert_true(in_database() > 1500 &&
		    in_database() <= 1500 + (int64_t)raw(0, i)->v4[NET_IN_PUBLIC].bytes);
}

/* Counters of another boot begin again, and so do those that went back. */
static void test_restarts(void **state)
{
	struct inst *i = create("a");

	(void)state;
	pass_in(0, i, 1000);
	sample();
	*raw(0, i) = (struct net_usage){.v4 = {{0, 0}}};
	pass_in(0, i, 30);
	sample();
	assert_int_equal(in_database(), 1030);
	/* The same number of a table, after a boot; more than before. */
	vpsd_down();
	rig->tables[0].n = 0;
	vpsd_up();
	ready();
	i = find("a");
	(void)str_copy(rig->m->boot_id, sizeof(rig->m->boot_id), "another");
	pass_in(0, i, 5000);
	sample();
	assert_int_equal(in_database(), 6030);
	/* The table is lost, with what was not read of it. */
	rig->tables[0] = (struct rig_table){.fd = 90};
	ready();
	pass_in(0, i, 4);
	sample();
	assert_int_equal(in_database(), 6034);
}

static void test_disk_full(void **state)
{
	struct inst *i = create("a");

	(void)state;
	pass_in(0, i, 1000);
	sample();
	commits_fail("INSERT ON usage", "1");
	pass_in(0, i, 200);
	sample();
	assert_int_equal(in_database(), 1000);
	commits_work();
	/* What is written has the marks with it, although nothing came. */
	sample();
	assert_int_equal(in_database(), 1200);
	next_vpsd(80);
	take_over(1);
	assert_int_equal(in_database(), 1200);
	/* Nothing is lost when it was not written before the end either. */
	i = find("a");
	commits_fail("INSERT ON usage", "1");
	pass_in(0, i, 55);
	sample();
	commits_work();
	next_vpsd(81);
	take_over(1);
	assert_int_equal(in_database(), 1255);
}

static void test_takeover_disk_full(void **state)
{
	struct inst *i = create("a");
	struct net_filter old = NET_FILTER_INIT;
	struct err err = ERR_INIT;

	(void)state;
	pass_in(0, i, 1000);
	sample();
	pass_in(0, i, 10);
	next_vpsd(80);
	i = find("a");
	(void)raw(0, i);
	commits_fail("INSERT ON usage", "1");
	old.sock.fd = rig->tables[1].fd;
	rig->m->book->is_open = is_taken = false;
	assert_int_equal(usage_take_over(rig->m, &old, 1, on_taken, &err), 0);
	AWAIT(rig->m->book->must_rewrite);
	/* The old table is all that knows of these ten, should vpsd die now. */
	assert_false(is_taken);
	assert_int_equal(in_database(), 1000);
	commits_work();
	pass_in(0, i, 1);
	sample();
	AWAIT(is_taken);
	assert_int_equal(in_database(), 1011);
}

/* A dump of a set that grows may leave some of its elements out. */
static void test_missing(void **state)
{
	struct inst *i = create("a");
	struct rig_table *t = &rig->tables[0];
	struct net_usage whole;

	(void)state;
	pass_in(0, i, 1000);
	sample();
	whole = t->nics[0].raw;
	t->nics[0].raw = (struct net_usage){0};
	t->nics[0].missing = 1u << NET_IN_PUBLIC;
	sample();
	assert_int_equal(in_database(), 1000);
	t->nics[0].raw = whole;
	t->nics[0].missing = 0;
	pass_in(0, i, 10);
	sample();
	assert_int_equal(in_database(), 1010);
	/* In each look of a change of tables: what the old one had is counted, as far as it is
	 * known. */
	next_vpsd(80);
	i = find("a");
	(void)raw(0, i);
	rig->tables[0].nics[0].missing = 1u << NET_IN_PUBLIC;
	pass_in(1, i, 5);
	take_over(1);
	rig->tables[0].nics[0].missing = 0;
	pass_in(0, i, 1);
	sample();
	assert_int_equal(in_database(), 1016);
}

/* vpsd is killed before it has removed the table before its own. Its own cannot be read by the next
 * one: what the other has counted was its own, too. */
static void test_one_deaf(void **state)
{
	struct inst *i = create("a");
	struct net_filter olds[2] = {NET_FILTER_INIT, NET_FILTER_INIT};
	struct err err = ERR_INIT;
	struct rig_table first;

	(void)state;
	pass_in(0, i, 1000);
	sample();
	next_vpsd(80);
	i = find("a");
	(void)raw(0, i);
	olds[0].sock.fd = rig->tables[1].fd;
	rig->m->book->is_open = is_taken = false;
	assert_int_equal(usage_take_over(rig->m, olds, 1, on_taken, &err), 0);
	AWAIT(is_taken);
	pass_in(0, i, 50);
	pass_in(1, i, 50);
	sample();
	assert_int_equal(in_database(), 1050);
	first = rig->tables[1];
	next_vpsd(81);
	rig->tables[2] = first;
	i = find("a");
	(void)raw(0, i);
	pass_in(1, i, 7);
	pass_in(2, i, 7);
	olds[0].sock.fd = rig->tables[1].fd;
	olds[1].sock.fd = rig->tables[2].fd;
	rig->deaf_table = rig->tables[1].fd;
	rig->m->book->is_open = is_taken = false;
	for (unsigned k = 1; k < USAGE_TRIES; k++) {
		assert_int_equal(usage_take_over(rig->m, olds, 2, on_taken, &err), -EIO);
		sample();
		assert_int_equal(in_database(), 1050);
	}
	assert_int_equal(usage_take_over(rig->m, olds, 2, on_taken, &err), 0);
	AWAIT(is_taken);
	pass_in(0, i, 3);
	sample();
	assert_int_equal(in_database(), 1053);
	rig->deaf_table = 0;
}

static void test_deaf(void **state)
{
	struct inst *i = create("a");
	struct net_filter old = NET_FILTER_INIT;
	struct err err = ERR_INIT;

	(void)state;
	pass_in(0, i, 1000);
	sample();
	next_vpsd(80);
	old.sock.fd = rig->tables[1].fd;
	rig->m->book->is_open = false;
	rig->deaf_tables = true;
	assert_int_equal(usage_take_over(rig->m, &old, 1, on_taken, &err), -EIO);
	/* Until then the new one counts nothing: it would be twice. */
	rig->deaf_tables = false;
	i = find("a");
	pass_in(0, i, 5);
	pass_in(1, i, 5);
	sample();
	assert_int_equal(in_database(), 1000);
	take_over(1);
	sample();
	assert_int_equal(in_database(), 1005);
}

static void test_deleted(void **state)
{
	struct inst *i = create("a");
	char id[ID_TEXT], name[IFNAMSIZ];

	(void)state;
	memcpy(id, i->id, sizeof(id));
	assert_int_equal(str_fmt(name, sizeof(name), "vp%.12s0", i->id), 0);
	pass_in(0, i, 1000);
	sample();
	pass_in(0, i, 24);
	i->net.n = 1;
	assert_int_equal(ended(delete_begin(i, true)).status, OP_DONE);
	assert_string_equal(rig->forgotten, name);
	assert_int_equal(in_database(), 1024);
	assert_int_equal(rig_number("SELECT count(*) FROM usage_marks"), 0);
	/* Its counters are still there: nobody's. */
	sample();
	vpsd_down();
	vpsd_up();
	ready();
	assert_string_equal(row(USAGE_MONTH)->id, id);
	assert_string_equal(row(USAGE_MONTH)->name, "t/a");
	assert_int_equal(row(USAGE_MONTH)->sum.v4[NET_IN_PUBLIC].bytes, 1024);
	assert_int_equal(row(USAGE_PERIOD)->sum.v4[NET_IN_PUBLIC].bytes, 1024);
}

/* --- calendar -------------------------------------------------------------------------------- */

static void add_at(struct inst *i, uint64_t now, uint64_t bytes)
{
	struct net_usage more = {.v4 = {[NET_OUT_PUBLIC] = {bytes, 1}}};
	struct err err = ERR_INIT;

	assert_int_equal(usage_book_add(rig->m->book, i, now, &more, &err), 0);
}

static uint64_t out_of(enum usage_kind kind, uint64_t start)
{
	const struct usage_row *r;

	for (size_t k = 0; (r = usage_at(rig->m, k)); k++)
		if (r->kind == kind && r->start == start)
			return r->sum.v4[NET_OUT_PUBLIC].bytes;
	return 0;
}

#define FEB UINT64_C(1769904000) /* 2026-02-01 */
#define MAR UINT64_C(1772323200)
#define APR UINT64_C(1775001600)
#define DAY UINT64_C(86400)

static void test_months(void **state)
{
	struct inst *i = create("a");

	(void)state;
	i->created = FEB - 100 * DAY;
	add_at(i, MAR - 1, 1);
	add_at(i, MAR, 2);
	assert_int_equal(out_of(USAGE_MONTH, FEB), 1);
	assert_int_equal(out_of(USAGE_MONTH, MAR), 2);
	assert_int_equal(out_of(USAGE_PERIOD, FEB), 1);
	assert_int_equal(out_of(USAGE_PERIOD, MAR), 2);
	/* Set back by some hours: what is over stays as it is. */
	add_at(i, MAR - 3600, 4);
	assert_int_equal(out_of(USAGE_MONTH, FEB), 1);
	assert_int_equal(out_of(USAGE_MONTH, MAR), 6);
	assert_int_equal(out_of(USAGE_PERIOD, MAR), 6);
	/* It was wrong by a year, and is right again. */
	add_at(i, MAR + 400 * DAY, 8);
	add_at(i, MAR + DAY, 16);
	assert_int_equal(out_of(USAGE_MONTH, MAR), 22);
	assert_int_equal(out_of(USAGE_PERIOD, MAR), 22);
	/* Before all of them. */
	add_at(i, FEB - 365 * DAY, 32);
	assert_int_equal(out_of(USAGE_MONTH, FEB), 1);
	assert_int_equal(out_of(USAGE_MONTH, MAR), 22);
}

static void test_rules(void **state)
{
	struct inst *i = create("a");
	enum spec_transfer_reset *reset = &i->effective.network.transfer.reset;

	(void)state;
	i->created = FEB - 21 * DAY; /* the 11th */
	*reset = SPEC_RESET_ANNIVERSARY;
	add_at(i, FEB + 9 * DAY, 1);
	assert_int_equal(out_of(USAGE_PERIOD, FEB - 21 * DAY), 1);
	add_at(i, FEB + 10 * DAY, 2);
	assert_int_equal(out_of(USAGE_PERIOD, FEB + 10 * DAY), 2);
	/* Another rule: what is under way ends with the first of both, and nothing is forgotten. */
	*reset = SPEC_RESET_FIRST;
	add_at(i, MAR - 1, 4);
	assert_int_equal(out_of(USAGE_PERIOD, FEB + 10 * DAY), 6);
	add_at(i, MAR + 1, 8);
	assert_int_equal(out_of(USAGE_PERIOD, MAR), 8);
	*reset = SPEC_RESET_NEVER;
	add_at(i, APR + 100 * DAY, 16);
	assert_int_equal(out_of(USAGE_PERIOD, APR), 16);
}

static void test_never(void **state)
{
	struct inst *i = create("a");
	enum spec_transfer_reset *reset = &i->effective.network.transfer.reset;

	(void)state;
	i->created = FEB + 5;
	*reset = SPEC_RESET_NEVER;
	add_at(i, FEB + 6, 1);
	add_at(i, APR + 100 * DAY, 2);
	assert_int_equal(out_of(USAGE_PERIOD, FEB + 5), 3);
	*reset = SPEC_RESET_FIRST;
	add_at(i, APR + 100 * DAY + 1, 4);
	assert_int_equal(out_of(USAGE_PERIOD, FEB + 5), 7);
	add_at(i, APR + 130 * DAY, 8);
	assert_int_equal(out_of(USAGE_PERIOD, FEB + 5), 7);
}

static void test_prune(void **state)
{
	struct inst *i = create("a");

	(void)state;
	i->created = FEB;
	add_at(i, FEB + 1, 1);
	add_at(i, MAR + 1, 2);
	add_at(i, now_seconds(), 4);
	sample();
	/* A clock that is wrong at the start of vpsd destroys nothing at once. */
	assert_int_equal(rig_number("SELECT count(*) FROM usage"), 6);
	rig->m->book->prune_at = 0;
	add_at(i, period_month(now_seconds()) - 20 * 365 * DAY, 8);
	add_at(i, period_month(now_seconds()) - 700 * DAY, 16);
	sample();
	sample();
	assert_int_equal(rig_number("SELECT count(*) FROM usage WHERE kind = 0 AND until <= "
				    "unixepoch() - 800 * 86400"),
			 0);
	assert_int_equal(rig_number("SELECT count(*) FROM usage WHERE kind = 0 AND until <= "
				    "unixepoch() - 600 * 86400"),
			 1);
	assert_int_equal(
		out_of(USAGE_MONTH, period_month(period_month(now_seconds()) - 20 * 365 * DAY)), 0);
}

static void test_public(void **state)
{
	const struct net_usage u = {.v4 = {{1, 0}, {1000, 0}, {4, 0}, {1000, 0}},
				    .v6 = {{2, 0}, {1000, 0}, {8, 0}, {1000, 0}}};

	(void)state;
	assert_int_equal(usage_public(&u, SPEC_TRANSFER_TOTAL), 15);
	assert_int_equal(usage_public(&u, SPEC_TRANSFER_IN), 12);
	assert_int_equal(usage_public(&u, SPEC_TRANSFER_OUT), 3);
	assert_int_equal(usage_public(&u, SPEC_TRANSFER_LARGER), 12);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sums),
		TEST(test_kill),
		TEST(test_killed_twice),
		TEST(test_busy),
		TEST(test_restarts),
		TEST(test_disk_full),
		TEST(test_takeover_disk_full),
		TEST(test_missing),
		TEST(test_deaf),
		TEST(test_one_deaf),
		TEST(test_deleted),
		TEST(test_months),
		TEST(test_rules),
		TEST(test_never),
		TEST(test_prune),
		TEST(test_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
