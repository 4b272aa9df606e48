/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of operations and its watchers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/instance/op.h"

static unsigned calls;
static struct op_watch *other;

static void count(void *arg, struct op *op)
{
	(void)arg;
	(void)op;
	calls++;
}

static void cancel_other(void *arg, struct op *op)
{
	(void)arg;
	(void)op;
	calls++;
	op_watch_cancel(other);
}

static void test_names(void **state)
{
	(void)state;
	for (int k = 0; k < OP_KIND_MAX; k++)
		assert_non_null(op_kind_name((enum op_kind)k));
	for (int s = 0; s < OP_STATUS_MAX; s++)
		assert_non_null(op_status_name((enum op_status)s));
	assert_null(op_kind_name(OP_KIND_MAX));
	assert_string_equal(op_error_code(ENOENT), "not-found");
	assert_string_equal(op_error_code(12345), "internal");
}

static void test_watch(void **state)
{
	struct op_ring *r = op_ring_new();
	struct op_watch *w = NULL;
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	calls = 0;
	assert_int_equal(op_new(r, OP_START, "a/b", "0123456789abcdef", &op, &err), 0);
	assert_int_equal(op_watch(op, OP_WHEN_COMMITTED, count, NULL, &w, &err), 0);
	assert_int_equal(op_watch(op, OP_WHEN_ENDED, count, NULL, &w, &err), 0);
	assert_int_equal(calls, 0);
	op_committed(op, NULL);
	assert_int_equal(calls, 1);
	/* True already: at once. */
	assert_int_equal(op_watch(op, OP_WHEN_COMMITTED, count, NULL, &w, &err), 0);
	assert_null(w);
	assert_int_equal(calls, 2);
	assert_int_equal(op_count_running(r), 1);
	op_end(op, NULL, NULL, json_object());
	assert_int_equal(calls, 3);
	assert_int_equal(op->status, OP_DONE);
	assert_int_equal(op_count_running(r), 0);
	/* A second end is no end. */
	op_end(op, NULL, NULL, json_object());
	assert_int_equal(calls, 3);
	op_ring_free(r);
}

static void test_failure(void **state)
{
	struct op_ring *r = op_ring_new();
	struct err err = ERR_INIT, why = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	calls = 0;
	(void)err_set(&why, ENOSPC, "full");
	assert_int_equal(op_new(r, OP_CREATE, "a/b", NULL, &op, &err), 0);
	assert_int_equal(op_watch(op, OP_WHEN_COMMITTED, count, NULL, NULL, &err), 0);
	op_committed(op, &why);
	assert_int_equal(calls, 1);
	assert_false(op->is_committed);
	assert_int_equal(op->status, OP_FAILED);
	assert_string_equal(op->error_code, "no-capacity");
	assert_int_equal(op_new(r, OP_CREATE, "a/b", NULL, &op, &err), 0);
	op_end(op, "archive-unsafe", &why, NULL);
	assert_string_equal(op->error_code, "archive-unsafe");
	op_ring_free(r);
}

static void test_cancel_within(void **state)
{
	struct op_ring *r = op_ring_new();
	struct err err = ERR_INIT;
	struct op *op = NULL;

	(void)state;
	calls = 0;
	assert_int_equal(op_new(r, OP_STOP, "a/b", NULL, &op, &err), 0);
	assert_int_equal(op_watch(op, OP_WHEN_ENDED, count, NULL, &other, &err), 0);
	assert_int_equal(op_watch(op, OP_WHEN_ENDED, cancel_other, NULL, NULL, &err), 0);
	op_end(op, NULL, NULL, NULL);
	assert_int_equal(calls, 1);
	op_ring_free(r);
}

static void test_ring_is_bounded(void **state)
{
	struct op_ring *r = op_ring_new();
	struct err err = ERR_INIT;
	struct op *first = NULL, *op = NULL, *watched = NULL;
	struct op_watch *w = NULL;
	char first_id[ID_TEXT];
	unsigned n = 0;

	(void)state;
	assert_int_equal(op_new(r, OP_START, "running", NULL, &first, &err), 0);
	assert_int_equal(op_new(r, OP_START, "old", NULL, &op, &err), 0);
	memcpy(first_id, op->id, sizeof(first_id));
	op_end(op, NULL, NULL, NULL);
	assert_int_equal(op_new(r, OP_START, "watched", NULL, &watched, &err), 0);
	assert_int_equal(op_watch(watched, OP_WHEN_ENDED, count, NULL, &w, &err), 0);
	for (unsigned i = 0; i < OP_RING_MAX + 50; i++) {
		assert_int_equal(op_new(r, OP_START, "x", NULL, &op, &err), 0);
		op_end(op, NULL, NULL, NULL);
	}
	for (op = op_next(r, NULL); op; op = op_next(r, op))
		n++;
	assert_in_range(n, OP_RING_MAX, OP_RING_MAX + 3);
	assert_null(op_find(r, first_id));
	assert_ptr_equal(op_find(r, first->id), first);
	assert_ptr_equal(op_find(r, watched->id), watched);
	op_watch_cancel(w);
	op_ring_free(r);
}

/* One that ended early stays as long as somebody has a pointer to it. */
static void test_hold(void **state)
{
	struct op_ring *r = op_ring_new();
	struct err err = ERR_INIT;
	struct op *held = NULL, *op = NULL;
	char id[ID_TEXT];

	(void)state;
	assert_non_null(r);
	assert_int_equal(op_new(r, OP_APPLY, "documents", NULL, &held, &err), 0);
	memcpy(id, held->id, sizeof(id));
	op_hold(held);
	op_committed(held, &(struct err){.code = ENOSPC, .msg = "full"});
	for (unsigned n = 0; n < OP_RING_MAX + 10; n++) {
		assert_int_equal(op_new(r, OP_APPLY, "documents", NULL, &op, &err), 0);
		op_end(op, NULL, NULL, NULL);
	}
	assert_ptr_equal(op_find(r, id), held);
	op_release(held);
	assert_int_equal(op_new(r, OP_APPLY, "documents", NULL, &op, &err), 0);
	assert_null(op_find(r, id));
	op_ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_failure),		cmocka_unit_test(test_cancel_within),
		cmocka_unit_test(test_ring_is_bounded), cmocka_unit_test(test_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
