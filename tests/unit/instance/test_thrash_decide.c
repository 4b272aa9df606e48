/* SPDX-License-Identifier: Apache-2.0 */
/* When a guest is stuck at its memory limit, reading by reading. */
#include "tests/unit/base/util.h"

#include "base/str.h"
#include "runtime/instance/thrash.h"

#define SECOND UINT64_C(1000000)
#define STEP (10 * SECOND) /* between readings */

static const struct spec_thrash kill_rule = {.action = SPEC_THRASH_KILL,
					     .pressure = 50,
					     .refaults = 100,
					     .cache = 10,
					     .after = 60 * SECOND};

#define LIMIT (UINT64_C(100) << 20)

/* What happened between two readings, and what comes of it. */
enum window {
	END,
	CALM,	  /* nothing at all */
	HOT,	  /* waits for memory, reads again, at its own limit */
	SQUEEZED, /* the same, but waits for the disk, and has no room for files */
	EDGE,	  /* half of what it takes */
	PRESSED,  /* waits for memory, and reads little again: a high mark at work */
	READING,  /* reads again, and gets on: a server */
	LARGE,	 /* waits for the disk and reads again, with all the room that there is: a large one
		  */
	FOREIGN, /* stuck, reads again, and its own limit is not met: the host's doing */
	STALLED, /* stuck and hardly reading, at its limit: it is held back */
	WINDOW_MAX,
};

static const struct {
	uint64_t memory, io, refaults, hits, cache; /* seconds, pages a second, times, MiB */
} windows[WINDOW_MAX] = {
	[CALM] = {0, 0, 0, 0, 50},	[HOT] = {9, 9, 300, 5, 50},
	[SQUEEZED] = {0, 9, 300, 5, 9}, [EDGE] = {3, 0, 60, 1, 50},
	[PRESSED] = {9, 0, 10, 5, 9},	[READING] = {1, 1, 5000, 50, 9},
	[LARGE] = {0, 9, 5000, 9, 10},	[FOREIGN] = {9, 9, 300, 0, 9},
	[STALLED] = {0, 9, 2, 1, 9},
};

/* Steps as letters: '.' wait, 'A' act, 'O' over. */
static void run(const struct spec_thrash *rule, bool is_throttled, const enum window *in,
		const char *expect)
{
	static const char letters[] = {
		[THRASH_WAIT] = '.', [THRASH_ACT] = 'A', [THRASH_OVER] = 'O'};
	const struct thrash_guest g = {.limit = LIMIT, .is_throttled = is_throttled};
	struct thrash_watch w = {0};
	struct thrash_sample s = {.at = 5 * SECOND, .has_refaults = true, .hits = 1};
	char got[64] = "";

	assert_int_equal(thrash_decide(rule, &g, &w, &s), THRASH_WAIT);
	for (size_t i = 0; in[i] != END; i++) {
		enum thrash_step step;

		s.at += STEP;
		s.memory_stall += windows[in[i]].memory * SECOND;
		s.io_stall += windows[in[i]].io * SECOND;
		s.refaults += windows[in[i]].refaults * (STEP / SECOND);
		s.hits += windows[in[i]].hits;
		s.cache = windows[in[i]].cache << 20;
		step = thrash_decide(rule, &g, &w, &s);
		assert_true(str_fmt(got + i, sizeof(got) - i, "%c", letters[step]) >= 0);
	}
	assert_string_equal(got, expect);
}

#define HOT6 HOT, HOT, HOT, HOT, HOT, HOT
#define CALM6 CALM, CALM, CALM, CALM, CALM, CALM

static void test_time(void **state)
{
	(void)state;
	/* Not a reading before, and again after as long. */
	run(&kill_rule, false, (enum window[]){HOT6, HOT6, HOT, END}, ".....A.....A.");
	/* A break begins it anew. */
	run(&kill_rule, false, (enum window[]){HOT, HOT, HOT, HOT, HOT, CALM, HOT6, END},
	    "...........A");
	/* Both ways of being stuck are one. */
	run(&kill_rule, false,
	    (enum window[]){SQUEEZED, SQUEEZED, HOT, SQUEEZED, HOT, SQUEEZED, SQUEEZED, END},
	    ".....A.");
	/* At half it goes on, and does not begin. */
	run(&kill_rule, false, (enum window[]){HOT, EDGE, EDGE, EDGE, EDGE, EDGE, END}, ".....A");
	run(&kill_rule, false, (enum window[]){EDGE, EDGE, EDGE, EDGE, EDGE, EDGE, EDGE, END},
	    ".......");
}

/* None of the three alone, however long. */
static void test_ordinary(void **state)
{
	static const enum window kinds[] = {CALM, PRESSED, READING, LARGE, FOREIGN, STALLED};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const enum window k = kinds[i];

		run(&kill_rule, false, (enum window[]){k, k, k, k, k, k, k, k, END}, "........");
	}
	run(&kill_rule, false,
	    (enum window[]){PRESSED, READING, LARGE, READING, PRESSED, LARGE, READING, END},
	    ".......");
}

static void test_end(void **state)
{
	(void)state;
	run(&kill_rule, false, (enum window[]){HOT6, CALM6, CALM, END}, ".....A.....O.");
	/* Over means for as long; until then it is the same episode, with its own full time. */
	run(&kill_rule, false, (enum window[]){HOT6, CALM, CALM, CALM, HOT6, CALM6, END},
	    ".....A........A.....O");
	/* Nothing was done, so nothing is over. */
	run(&kill_rule, false, (enum window[]){HOT, HOT, CALM6, CALM6, END}, "..............");
	/* The next one is another. */
	run(&kill_rule, false, (enum window[]){HOT6, CALM6, HOT6, CALM6, END},
	    ".....A.....O.....A.....O");
}

/* What changes nothing the second time is done once in an episode. */
static void test_once(void **state)
{
	struct spec_thrash rule = kill_rule;

	(void)state;
	rule.action = SPEC_THRASH_NONE;
	run(&rule, false, (enum window[]){HOT6, HOT6, HOT6, CALM6, HOT6, END},
	    ".....A.................O.....A");
	rule.action = SPEC_THRASH_THROTTLE;
	run(&rule, false, (enum window[]){HOT6, HOT6, HOT6, CALM6, END},
	    ".....A.................O");
	rule.action = SPEC_THRASH_RECLAIM;
	run(&rule, false, (enum window[]){HOT6, HOT6, END}, ".....A.....A");
}

/* Whose reads are held back, cannot read much: what counts is whether it is still stuck. */
static void test_throttled(void **state)
{
	struct spec_thrash rule = kill_rule;

	(void)state;
	rule.action = SPEC_THRASH_THROTTLE;
	run(&rule, true,
	    (enum window[]){HOT6, STALLED, STALLED, STALLED, STALLED, STALLED, STALLED, STALLED,
			    CALM6, END},
	    ".....A............O");
	/* Not throttled any more, the same is calm. */
	run(&rule, false,
	    (enum window[]){HOT6, STALLED, STALLED, STALLED, STALLED, STALLED, STALLED, END},
	    ".....A.....O");
}

/* The refaults are read when the time says so: they are missing in the first hot window. */
static void test_cheap(void **state)
{
	const struct thrash_guest g = {.limit = LIMIT};
	struct thrash_watch w = {0};
	struct thrash_sample s = {.at = SECOND, .memory_stall = 1};

	(void)state;
	assert_false(thrash_wants_refaults(&kill_rule, &w, &s));
	(void)thrash_decide(&kill_rule, &g, &w, &s);
	s = (struct thrash_sample){.at = SECOND + STEP, .memory_stall = 4 * SECOND};
	assert_false(thrash_wants_refaults(&kill_rule, &w, &s));
	(void)thrash_decide(&kill_rule, &g, &w, &s);
	s = (struct thrash_sample){.at = SECOND + 2 * STEP, .memory_stall = 13 * SECOND};
	assert_true(thrash_wants_refaults(&kill_rule, &w, &s));
	s.has_refaults = true;
	s.refaults = 1u << 30; /* of all the time before */
	s.hits = 1000;
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	assert_int_equal(w.memory_share, 9000);
	assert_int_equal(w.rate, 0);
	assert_int_equal(w.since, 0);
	s = (struct thrash_sample){.at = SECOND + 3 * STEP,
				   .memory_stall = 22 * SECOND,
				   .has_refaults = true,
				   .refaults = (1u << 30) + 3000,
				   .hits = 1001};
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	assert_int_equal(w.rate, 300);
	assert_int_equal(w.since, SECOND + 2 * STEP);
}

/* Clocks and counters that do not go on, or go back. */
static void test_odd_figures(void **state)
{
	const struct thrash_guest g = {.limit = LIMIT};
	struct thrash_watch w = {0};
	struct thrash_sample s = {.at = STEP,
				  .memory_stall = STEP,
				  .has_refaults = true,
				  .refaults = 1000,
				  .hits = 10};

	(void)state;
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	/* The same moment twice. */
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	assert_int_equal(w.memory_share, 0);
	/* A cgroup that was made anew. */
	s = (struct thrash_sample){.at = 2 * STEP, .has_refaults = true, .refaults = 1, .hits = 1};
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	assert_int_equal(w.memory_share, 0);
	assert_int_equal(w.rate, 0);
	/* More stall than time, as the one is read after the other. */
	s = (struct thrash_sample){.at = 3 * STEP,
				   .memory_stall = 2 * STEP,
				   .has_refaults = true,
				   .refaults = 5000,
				   .hits = 2};
	assert_int_equal(thrash_decide(&kill_rule, &g, &w, &s), THRASH_WAIT);
	assert_int_equal(w.memory_share, 10000);
	assert_int_equal(w.since, 2 * STEP);
}

static void test_interval(void **state)
{
	static const struct {
		uint64_t after, interval;
	} cases[] = {
		{SECOND, SECOND},	    {6 * SECOND, SECOND},	  {30 * SECOND, 5 * SECOND},
		{60 * SECOND, 10 * SECOND}, {3600 * SECOND, 10 * SECOND},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct spec_thrash rule = {.after = cases[i].after};

		assert_int_equal(thrash_interval(&rule), cases[i].interval);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),	    cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_end),	    cmocka_unit_test(test_once),
		cmocka_unit_test(test_throttled),   cmocka_unit_test(test_cheap),
		cmocka_unit_test(test_odd_figures), cmocka_unit_test(test_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
