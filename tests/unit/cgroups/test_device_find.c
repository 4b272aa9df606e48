/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the host for guests: which numbers are given away, and which nodes are devices. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "cgroups/device_find.h"

static const char devices[] = "Character devices:\n"
			      "  1 mem\n"
			      "  4 /dev/vc/0\n"
			      "  4 tty\n"
			      "  4 ttyS\n"
			      " 10 misc\n"
			      " 13 input\n"
			      " 90 mtd\n"
			      "188 ttyUSB\n"
			      "203 cpu/cpuid\n"
			      "226 drm\n"
			      "240 nvme\n"
			      "241 nvme-generic\n"
			      "242 harmless\n"
			      "243 first\n"
			      "243 bsg\n"
			      "510 vhost-vdpa\n"
			      "\n"
			      "Block devices:\n"
			      "  7 loop\n"
			      "226 nvme\n"
			      "245 virtblk\n";
static const char misc[] = "258 vsock\n"
			   "200 tun\n"
			   "237 loop-control\n"
			   "257 userfaultfd\n"
			   "125 tpmrm0\n"
			   "124 ublk-control\n"
			   "123 vduse\n"
			   "122 crash\n"
			   " 60 gauge\n";

static void numbers(void **state)
{
	static const struct {
		uint32_t major, minor;
		const char *why; /* a part of it; NULL = given */
	} cases[] = {
		{1, 1, "memory"},	{1, 2, "memory"},      {1, 3, NULL},
		{1, 4, "I/O ports"},	{1, 5, NULL},	       {1, 11, "log"},
		{1, 12, "memory"},	{4, 0, "console"},     {4, 63, "console"},
		{4, 64, NULL}, /* serial ports */
		{5, 1, "console"},	{7, 128, "console"},   {13, 64, "keyboard"},
		{21, 0, "disks"}, /* sg, whose driver is not loaded yet */
		{90, 2, "disks"},	{136, 1, "console"},   {143, 1, NULL},
		{188, 0, NULL},		{202, 3, "hardware"},  {203, 3, "hardware"},
		{226, 128, NULL}, /* the list of block devices is another one */
		{240, 0, "disks"},	{241, 0, "disks"},     {242, 0, NULL},
		{243, 7, "disks"},			       /* two drivers share it */
		{244, 0, "no driver"},	{245, 0, "no driver"}, /* a block device's */
		{510, 1, "networks"},	{511, 1, "no driver"}, {512, 1, NULL},
		{10, 200, NULL},	{10, 229, NULL}, /* fuse, loaded when it is opened */
		{10, 232, NULL},			 /* kvm */
		{10, 203, "devices"},	{10, 231, "memory"},   {10, 234, "disks"},
		{10, 236, "devices"},	{10, 237, "devices"},  {10, 238, "networks"},
		{10, 239, "keyboard"},	{10, 258, NULL},       {10, 257, "stops the kernel"},
		{10, 125, "hardware"},	{10, 60, NULL},	       {10, 61, "no driver"},
		{10, 259, "no driver"}, {10, 124, "devices"},  {10, 123, "devices"},
		{10, 122, "memory"},	{153, 0, "hardware"},  {189, 5, "disks"}, /* raw USB */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = cg_device_why_not(devices, misc, cases[i].major, cases[i].minor);

		if (!why != !cases[i].why || (why && !strstr(why, cases[i].why)))
			fail_msg("%u:%u: %s", cases[i].major, cases[i].minor, why);
	}
}

/* A serial port may be where root logs in and the kernel takes orders. */
static void consoles(void **state)
{
	static const char text[] = "tty0                 -WU (EC  p  )    4:7\n"
				   "netcon0              -W- (E     a)\n"
				   "ttyS0                -W- (E   p a)    4:64\n"
				   "hvc0                 -W- (E   p  )  229:0\n";

	(void)state;
	assert_true(cg_device_is_console(text, 4, 7));
	assert_true(cg_device_is_console(text, 4, 64));
	assert_true(cg_device_is_console(text, 229, 0));
	assert_false(cg_device_is_console(text, 4, 65));
	assert_false(cg_device_is_console(text, 4, 6));
	assert_false(cg_device_is_console(text, 29, 0));
	assert_false(cg_device_is_console("", 4, 64));
	assert_true(cg_device_is_console("ttyS0 -W- (E) 4:64", 4, 64));
}

/* Lists that the kernel never writes are no reason to give more. */
static void odd_lists(void **state)
{
	static const char *const lists[] = {
		"",	 "\n", "240", "240 ", "240\n", " x nvme\n", "99999999999999999999 nvme\n",
		"240 n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *why = cg_device_why_not(lists[i], lists[i], 240, 0);

		if (strcmp(lists[i], "240 n") == 0 || strcmp(lists[i], "240 ") == 0)
			assert_null(why);
		else
			assert_non_null(strstr(why, "no driver"));
		assert_non_null(cg_device_why_not(lists[i], lists[i], 10, 237));
	}
	assert_non_null(strstr(cg_device_why_not("240 nvme", "", 240, 0), "disks"));
}

static int find(int dir, const char *name, struct cg_device *ret, struct err *err)
{
	struct cg_device_lists lists;
	int r = cg_device_lists_read(&lists, err);

	assert_int_equal(r, 0);
	r = cg_device_find(dir, &lists, name, ret, err);
	cg_device_lists_done(&lists);
	assert_null(lists.devices);
	return r;
}

static void refused(int dir, const char *name, int code, const char *text)
{
	struct cg_device d = {7, 7, 7};
	struct err err = ERR_INIT;

	assert_int_equal(find(dir, name, &d, &err), -code);
	assert_int_equal(err.code, code);
	if (strstr(err.msg, text) == NULL || strstr(err.msg, name) == NULL)
		fail_msg("%s: %s", name, err.msg);
	assert_int_equal(d.major, 7); /* untouched */
}

static void nodes(void **state)
{
	char path[] = "/tmp/vps-device-XXXXXX";
	_cleanup_close_ int tmp = path_open_dir("/tmp", NULL);
	_cleanup_close_ int dir = -1;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = path_open_dir(path, NULL);
	assert_true(dir >= 0);
	assert_int_equal(mkdirat(dir, "d", 0755), 0);
	assert_int_equal(mknodat(dir, "file", S_IFREG | 0644, 0), 0);
	assert_int_equal(mknodat(dir, "d/fifo", S_IFIFO | 0644, 0), 0);
	assert_int_equal(symlinkat("/dev/zero", dir, "link"), 0);
	assert_int_equal(symlinkat("d", dir, "way"), 0);
	refused(dir, "none", ENOENT, "no such device");
	refused(dir, "d/none", ENOENT, "no such device");
	refused(dir, "file/none", ENOENT, "no such device");
	refused(dir, "file", ENOTSUP, "no character device");
	refused(dir, "d", ENOTSUP, "no character device");
	refused(dir, "d/fifo", ENOTSUP, "no character device");
	refused(dir, "link", ENOTSUP, "symbolic link");
	refused(dir, "way/fifo", ENOTSUP, "symbolic link");
	refused(dir, "../x", EXDEV, "leads out");
	assert_int_equal(find(dir, "file", &(struct cg_device){0}, NULL), -ENOTSUP);
	assert_int_equal(path_remove_tree(tmp, path + strlen("/tmp/"), NULL), 0);
}

/* What every machine has. */
static void the_hosts(void **state)
{
	_cleanup_close_ int dev = path_open_dir("/dev", NULL);
	struct cg_device d;
	struct err err = ERR_INIT;
	struct stat st;

	(void)state;
	assert_true(dev >= 0);
	assert_int_equal(fstatat(dev, "zero", &st, 0), 0);
	if (find(dev, "zero", &d, &err) < 0) {
		/* Where each node is a mount of its own, as in some containers. */
		assert_int_equal(err.code, EXDEV);
		skip();
	}
	assert_int_equal(d.major, 1);
	assert_int_equal(d.minor, 5);
	assert_int_equal(d.mode, st.st_mode & 0666);
	refused(dev, "tty", EPERM, "not for guests");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers), cmocka_unit_test(consoles),	cmocka_unit_test(odd_lists),
		cmocka_unit_test(nodes),   cmocka_unit_test(the_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
