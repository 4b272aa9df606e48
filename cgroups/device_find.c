/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be given to a guest: any character device that the operator names, but for those below.
 * Most of the dangerous ones have no number of their own, so they are known by their driver; those
 * whose driver is loaded by opening the node are in no list of the kernel before, so they are known
 * by their number. See Documentation/admin-guide/devices.txt.
 */
#include "cgroups/device_find.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"

#define LIST_MAX (256u * 1024u)
#define MISC_MAJOR 10u
#define NAME_MAX_TEXT 64
#define ANY_MINOR 0, UINT32_MAX
#define BY_NAME UINT32_MAX, 0, 0

#define MEMORY "it is the host's memory"
#define CONSOLE "it is a console of the host"
#define INPUT "it is the host's keyboard and mouse"
#define DISK "it reaches disks of the host"
#define MAKES_DEVICES "it makes devices of the host"
#define HARDWARE "it controls the host's hardware"
#define NETWORK "it gives the kernel memory and networks to work on"
#define DMA "it gives a device access to the host's memory"

/* Any of the two that fits is enough. */
static const struct {
	const char *driver; /* in /proc/devices, or /proc/misc; a pattern. NULL = by number alone */
	uint32_t major, first, last; /* of minors */
	const char *why;
} banned[] = {
	{NULL, 1, 1, 2, MEMORY},			  /* mem, kmem */
	{NULL, 1, 4, 4, "it is the host's I/O ports"},	  /* port */
	{NULL, 1, 11, 11, "it is the host's kernel log"}, /* kmsg */
	{NULL, 1, 12, 12, MEMORY},			  /* oldmem */
	{NULL, 4, 0, 63, CONSOLE},			  /* tty0 and the virtual consoles */
	{NULL, 5, ANY_MINOR, CONSOLE},			  /* a guest has its own */
	{"vcs", 7, ANY_MINOR, CONSOLE},
	{"fb", 29, ANY_MINOR, CONSOLE},
	{"input", 13, ANY_MINOR, INPUT},
	{"hidraw", BY_NAME, INPUT},
	{"hiddev", BY_NAME, INPUT},
	{"uinput", MISC_MAJOR, 223, 223, INPUT},
	{"uhid", MISC_MAJOR, 239, 239, INPUT},
	{"userio", MISC_MAJOR, 240, 240, INPUT},
	{"usbmon", BY_NAME, INPUT},
	{"ptm", 128, ANY_MINOR, CONSOLE},
	{"pts", 136, 0, UINT32_MAX, CONSOLE},
	{"st", 9, ANY_MINOR, DISK},
	{"sg", 21, ANY_MINOR, DISK},
	{"ch", 86, ANY_MINOR, DISK},
	{"mtd", 90, ANY_MINOR, DISK},
	{"ubi*", BY_NAME, DISK},
	{"raw*", 162, ANY_MINOR, DISK},
	{"osst", 206, ANY_MINOR, DISK},
	{"bsg", BY_NAME, DISK},
	{"nvme*", BY_NAME, DISK}, /* nvme0, ng0n1, nvme-fabrics */
	{"rpmb", BY_NAME, DISK},
	{"dax", BY_NAME, DISK},
	{"ndctl", BY_NAME, DISK},
	{"dimmctl", BY_NAME, DISK},
	{"cxl", BY_NAME, DISK},
	{"megaraid*", BY_NAME, DISK},
	{"megadev*", BY_NAME, DISK},
	{"aac", BY_NAME, DISK},
	{"mpt[23]ctl", MISC_MAJOR, 220, 222, DISK},
	{"btrfs-control", MISC_MAJOR, 234, 234, DISK},
	{"zfs", MISC_MAJOR, 249, 249, DISK},
	{"device-mapper", MISC_MAJOR, 236, 236, MAKES_DEVICES},
	{"loop-control", MISC_MAJOR, 237, 237, MAKES_DEVICES},
	{"cuse", MISC_MAJOR, 203, 203, MAKES_DEVICES},
	{"ublk-control", BY_NAME, MAKES_DEVICES},
	{"vduse", BY_NAME, MAKES_DEVICES},
	{"autofs", MISC_MAJOR, 235, 235, "it controls mounts of the host"},
	{"snapshot", MISC_MAJOR, 231, 231, MEMORY},
	{"crash", BY_NAME, MEMORY},
	{"userfaultfd", BY_NAME, "it stops the kernel where the guest likes"},
	{"udmabuf", BY_NAME, DMA},
	{"vhost*", MISC_MAJOR, 238, 238, NETWORK},
	{"vhost*", MISC_MAJOR, 241, 241, NETWORK},
	{"vfio", MISC_MAJOR, 196, 196, DMA},
	{"iommu", BY_NAME, DMA},
	{"uio", BY_NAME, DMA},
	{"sev", BY_NAME, HARDWARE},
	{"tdx*", BY_NAME, HARDWARE},
	{"sgx_provision", BY_NAME, HARDWARE},
	{"xen/*", BY_NAME, HARDWARE},
	{"mshv*", BY_NAME, HARDWARE},
	{"tpm*", MISC_MAJOR, 224, 224, HARDWARE},
	{"watchdog", MISC_MAJOR, 130, 130, HARDWARE},
	{"nvram", MISC_MAJOR, 144, 144, HARDWARE},
	{"microcode", MISC_MAJOR, 184, 184, HARDWARE},
	{"mcelog", MISC_MAJOR, 227, 227, HARDWARE},
	{"hpet", MISC_MAJOR, 228, 228, HARDWARE},
	{"rfkill", MISC_MAJOR, 242, 242, HARDWARE},
	{"cpu_dma_latency", BY_NAME, HARDWARE},
	{"rtc", MISC_MAJOR, 135, 135, HARDWARE},
	{"ptp", BY_NAME, HARDWARE},
	{"i2c", 89, ANY_MINOR, HARDWARE},
	{"usb_device", 189, ANY_MINOR, DISK}, /* takes any device from its driver, disks too */
	{"spi", 153, ANY_MINOR, HARDWARE},
	{"cpu/*", 202, 0, UINT32_MAX, HARDWARE}, /* msr */
	{NULL, 203, ANY_MINOR, HARDWARE},	 /* cpuid */
	{"ipmi*", BY_NAME, HARDWARE},
	{"mei", BY_NAME, HARDWARE},
};

/* Numbers that the kernel hands out: without a driver they are anybody's. */
static bool is_dynamic(uint32_t major, uint32_t minor)
{
	if (major == MISC_MAJOR)
		return minor < 128 || minor > 255;
	return (major >= 234 && major <= 254) || (major >= 384 && major <= 511);
}

static const char *ban_of_number(uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++)
		if (banned[i].major == major && minor >= banned[i].first && minor <= banned[i].last)
			return banned[i].why;
	return NULL;
}

static const char *ban_of_driver(const char *driver)
{
	for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++)
		if (banned[i].driver && fnmatch(banned[i].driver, driver, FNM_NOESCAPE) == 0)
			return banned[i].why;
	return NULL;
}

/* The next line "NUMBER NAME" of a list; false at its end, which is an empty line or the text's. */
static bool next_line(const char **list, uint64_t *ret_number, char ret_name[NAME_MAX_TEXT])
{
	while (**list && **list != '\n') {
		const char *line = *list + strspn(*list, " ");
		size_t len = strcspn(line, "\n"), digits = strcspn(line, " \n");
		char number[16] = "";

		*list = line + len + (line[len] == '\n');
		if (digits == 0 || digits >= sizeof(number) || digits == len)
			continue;
		memcpy(number, line, digits);
		len -= digits + 1;
		len = len < NAME_MAX_TEXT ? len : NAME_MAX_TEXT - 1;
		memcpy(ret_name, line + digits + 1, len);
		ret_name[len] = '\0';
		if (num_parse_u64(number, 0, UINT32_MAX, ret_number) == 0)
			return true;
	}
	return false;
}

const char *cg_device_why_not(const char *devices, const char *misc, uint32_t major, uint32_t minor)
{
	const char *why = ban_of_number(major, minor);
	const char *list = major == MISC_MAJOR ? misc : devices;
	uint32_t wanted = major == MISC_MAJOR ? minor : major;
	char name[NAME_MAX_TEXT];
	bool has_driver = false;
	uint64_t number;

	/* A major can have several drivers, each with its own minors: one banned is enough. */
	while (!why && next_line(&list, &number, name)) {
		if (number != wanted)
			continue;
		has_driver = true;
		why = ban_of_driver(name);
	}
	if (!why && !has_driver && is_dynamic(major, minor))
		return "the kernel has no driver for it";
	return why;
}

/* Lines "ttyS0   -W- (EC p a)    4:64"; some have no number. */
bool cg_device_is_console(const char *consoles, uint32_t major, uint32_t minor)
{
	char wanted[32];
	size_t n;

	(void)str_fmt(wanted, sizeof(wanted), " %u:%u", (unsigned)major, (unsigned)minor);
	n = strlen(wanted);
	while (*consoles) {
		size_t len = strcspn(consoles, "\n");

		if (len >= n && memcmp(consoles + len - n, wanted, n) == 0)
			return true;
		consoles += len + (consoles[len] == '\n');
	}
	return false;
}

/* --- the host ------------------------------------------------------------------------------ */

void cg_device_lists_done(struct cg_device_lists *l)
{
	free(l->devices);
	free(l->misc);
	free(l->consoles);
	*l = (struct cg_device_lists){.devices = NULL};
}

int cg_device_lists_read(struct cg_device_lists *ret, struct err *err)
{
	const struct {
		const char *path;
		char **to;
	} rows[] = {
		{"/proc/devices", &ret->devices},
		{"/proc/misc", &ret->misc},
		{"/proc/consoles", &ret->consoles},
	};
	size_t len;
	int r = 0;

	*ret = (struct cg_device_lists){.devices = NULL};
	for (size_t i = 0; r >= 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = file_read_at(AT_FDCWD, rows[i].path, LIST_MAX, rows[i].to, &len, err);
	if (r < 0)
		cg_device_lists_done(ret);
	return r < 0 ? r : 0;
}

static const char *judge(const struct cg_device_lists *l, uint32_t major, uint32_t minor)
{
	if (cg_device_is_console(l->consoles, major, minor))
		return CONSOLE;
	return cg_device_why_not(l->devices, l->misc, major, minor);
}

int cg_device_find(int dev, const struct cg_device_lists *lists, const char *name,
		   struct cg_device *ret, struct err *err)
{
	_cleanup_close_ int fd = path_open_beneath(dev, name, O_PATH | O_CLOEXEC, 0, err);
	const char *why;
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return err_set(err, ENOENT, "/dev/%s: the host has no such device", name);
	if (fd == -ELOOP)
		return err_set(err, ENOTSUP, "/dev/%s is a symbolic link; name the device itself",
			       name);
	if (fd < 0) {
		(void)err_ctx(err, "/dev/%s", name);
		return fd;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(err, "/dev/%s: cannot look at it", name);
	if (S_ISBLK(st.st_mode))
		return err_set(err, ENOTSUP, "/dev/%s is a block device, which no guest gets",
			       name);
	if (!S_ISCHR(st.st_mode))
		return err_set(err, ENOTSUP, "/dev/%s is no character device", name);
	why = judge(lists, major(st.st_rdev), minor(st.st_rdev));
	if (why)
		return err_set(err, EPERM, "/dev/%s is not for guests: %s", name, why);
	*ret = (struct cg_device){
		.major = major(st.st_rdev), .minor = minor(st.st_rdev), .mode = st.st_mode & 0666};
	return 0;
}
