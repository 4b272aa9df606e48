/* SPDX-License-Identifier: Apache-2.0 */
/* The device program: compiled, and run by a small interpreter over a table of requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "cgroups/devices.h"

static bool run(const struct bpf_insn *insns, int n, uint32_t type, uint32_t access, uint32_t major,
		uint32_t minor)
{
	struct bpf_cgroup_dev_ctx ctx = {access << 16 | type, major, minor};
	uint64_t reg[11] = {0};
	uint32_t v;

	for (int pc = 0;; pc++) {
		const struct bpf_insn *i;

		assert_true(pc >= 0 && pc < n);
		i = &insns[pc];
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			assert_int_equal(i->src_reg, 1);
			memcpy(&v, (const char *)&ctx + i->off, sizeof(v));
			reg[i->dst_reg] = v;
			break;
		case BPF_ALU | BPF_MOV | BPF_K:
			reg[i->dst_reg] = (uint32_t)i->imm;
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			reg[i->dst_reg] = (uint32_t)reg[i->src_reg];
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			reg[i->dst_reg] = (uint32_t)reg[i->dst_reg] & (uint32_t)i->imm;
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			reg[i->dst_reg] = (uint32_t)reg[i->dst_reg] >> i->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			assert_true(i->off >= 0); /* forward: it ends */
			if ((uint32_t)reg[i->dst_reg] != (uint32_t)i->imm)
				pc += i->off;
			break;
		case BPF_JMP | BPF_EXIT:
			assert_true(reg[0] <= 1);
			return reg[0] == 1;
		default:
			fail_msg("instruction %#x", i->code);
		}
	}
}

#define C BPF_DEVCG_DEV_CHAR
#define B BPF_DEVCG_DEV_BLOCK
#define M 1u
#define R 2u
#define W 4u

static void test_requests(void **state)
{
	static const struct {
		uint32_t type, major, minor;
		unsigned needs; /* features; NEVER = with none */
	} rows[] = {
#define NEVER (1u << 31)
		{C, 1, 1, NEVER},
		{C, 1, 2, NEVER},
		{C, 1, 3, 0},
		{C, 1, 4, NEVER},
		{C, 1, 5, 0},
		{C, 1, 6, NEVER},
		{C, 1, 7, 0},
		{C, 1, 8, 0},
		{C, 1, 9, 0},
		{C, 1, 10, NEVER},
		{C, 1, 11, NEVER},
		{C, 5, 0, 0},
		{C, 5, 1, 0},
		{C, 5, 2, 0},
		{C, 5, 3, NEVER},
		{C, 4, 0, NEVER},
		{C, 4, 64, NEVER},
		{C, 136, 0, 0},
		{C, 136, 1048575, 0},
		{C, 137, 0, NEVER},
		{C, 10, 229, CG_DEVICE_FUSE},
		{C, 10, 200, CG_DEVICE_TUN},
		{C, 10, 232, NEVER},
		{C, 10, 0, NEVER},
		{C, 0, 0, NEVER},
		{B, 8, 0, NEVER},
		{B, 1, 3, NEVER},
		{B, 7, 0, NEVER},
		{B, 253, 0, NEVER},
		{B, 136, 0, NEVER},
		{3, 1, 3, NEVER},
		{0, 1, 3, NEVER},
		{C, UINT32_MAX, UINT32_MAX, NEVER},
	};

	(void)state;
	for (unsigned features = 0; features < 4; features++) {
		struct bpf_insn insns[CG_DEVICE_INSNS_MAX];
		const struct cg_device_set set = {.features = features};
		int n = cg_devices_compile(&set, insns, CG_DEVICE_INSNS_MAX, NULL);

		assert_true(n > 0);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			for (uint32_t access = 0; access < 16; access++) {
				bool want = (rows[i].needs & ~features) == 0 &&
					    (access & ~(R | W)) == 0;

				if (run(insns, n, rows[i].type, access, rows[i].major,
					rows[i].minor) != want)
					fail_msg("features %u, row %zu, access %u", features, i,
						 access);
			}
	}
}

/* Devices of a plan come on top of the table, to be read and written; nothing else does. */
static void test_more(void **state)
{
	struct cg_device_set set = {.features = CG_DEVICE_FUSE | CG_DEVICE_TUN};
	struct bpf_insn insns[CG_DEVICE_INSNS_MAX];
	int n;

	(void)state;
	for (set.n = 0; set.n < CG_DEVICES_MAX; set.n++)
		set.more[set.n] = (struct cg_device){
			.major = 226 + (uint32_t)set.n, .minor = 0xfffff, .mode = 0};
	n = cg_devices_compile(&set, insns, CG_DEVICE_INSNS_MAX, NULL);
	assert_true(n > 0);
	for (uint32_t access = 0; access < 16; access++) {
		bool want = (access & ~(R | W)) == 0;

		for (uint32_t k = 0; k < CG_DEVICES_MAX; k++) {
			assert_int_equal(run(insns, n, C, access, 226 + k, 0xfffff), want);
			assert_false(run(insns, n, B, access, 226 + k, 0xfffff));
			assert_false(run(insns, n, C, access, 226 + k, 0xffffe));
		}
		assert_false(run(insns, n, C, access, 225, 0xfffff));
		assert_false(run(insns, n, C, access, 226 + CG_DEVICES_MAX, 0xfffff));
		assert_int_equal(run(insns, n, C, access, 1, 3), want);
		assert_int_equal(run(insns, n, C, access, 10, 200), want);
	}
	set.n = CG_DEVICES_MAX + 1;
	assert_int_equal(cg_devices_compile(&set, insns, CG_DEVICE_INSNS_MAX, NULL), -E2BIG);
}

/* No row allows more than reading and writing, or a block device. */
static void test_rules(void **state)
{
	size_t n;
	const struct cg_device_rule *r = cg_device_rules(&n);

	(void)state;
	assert_int_equal(n, 11);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(r[i].type, 'c');
		assert_int_equal(r[i].access & ~(R | W), 0);
	}
}

static void test_too_long(void **state)
{
	struct bpf_insn insns[CG_DEVICE_INSNS_MAX + 1];
	struct err err = ERR_INIT;

	(void)state;
	memset(insns, 0xee, sizeof(insns));
	assert_int_equal(cg_devices_compile(&(struct cg_device_set){0}, insns, 3, &err), -E2BIG);
	assert_int_equal(err.code, E2BIG);
	assert_int_equal(insns[3].code, 0xee);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
