/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers of which guests get nothing, in a directory of plain files. */
#include "tests/unit/base/util.h"

#include "base/cleanup.h"
#include "cgroups/zero.h"

/* A plain file keeps what stands behind a shorter value, as if the kernel held something else. */
static void test_read_back(void **state)
{
	static const struct {
		const char *file, *text;
		int r;
	} rows[] = {
		{"hugetlb.2MB.max", "0\n", 0},
		{"hugetlb.2MB.max", "max\n", -EIO},
		{"hugetlb.1GB.rsvd.max", "max\n", -EIO},
		{"hugetlb.2MB.current", "4096\n", 0},
		{"hugetlb.2MB.events", "max 0\n", 0},
		{"misc.max", "sev 9\n", 0},
		{"misc.max", "", 0},
		{"misc.max", "sev 0\nsgx_epc max\n", -EIO},
		{"rdma.max", "mlx4_0 hca_handle=0 hca_object=0\n", 0},
		{"rdma.max", "mlx4_0 hca_handle=max hca_object=max\n", -EIO},
		{"cpu.max", "max 100000\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = ERR_INIT;
		char dir[256];
		_cleanup_close_ int fd = scratch_dir(dir);

		put_file(fd, rows[i].file, rows[i].text);
		assert_int_equal(cg_zero_controllers(fd, &err), rows[i].r);
		assert_int_equal(-err.code, rows[i].r);
		if (rows[i].r < 0)
			assert_non_null(strstr(err.msg, rows[i].file));
		remove_scratch(dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
