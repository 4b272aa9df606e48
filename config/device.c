/* SPDX-License-Identifier: Apache-2.0 */
/* Names of devices that are never given to guests: see device.h. */
#include "config/device.h"

#include <fnmatch.h>
#include <stddef.h>
#include <string.h>

#define DEV "/dev/"
#define OWN "it is in every guest already"
#define MEMORY "it is the host's memory"
#define CONSOLE "it is a console of the host"
#define INPUT "it is the host's keyboard and mouse"
#define DISK "it is a disk of the host"
#define MAKES_DEVICES "it makes devices of the host"
#define NETWORK "it gives the kernel memory and networks to work on"
#define HARDWARE "it controls the host's hardware"

/* Below /dev; '*' matches '/' as well. */
static const struct {
	const char *pattern, *why;
} rows[] = {
	{"null", OWN},
	{"zero", OWN},
	{"full", OWN},
	{"random", OWN},
	{"urandom", OWN},
	{"tty", OWN},
	{"console", OWN},
	{"ptmx", OWN},
	{"pts", OWN},
	{"pts/*", OWN},
	{"shm", OWN},
	{"shm/*", OWN},
	{"mqueue", OWN},
	{"mqueue/*", OWN},
	{"fd", OWN},
	{"fd/*", OWN},
	{"stdin", OWN},
	{"stdout", OWN},
	{"stderr", OWN},
	{".vps", OWN},
	{".vps/*", OWN},
	{"mem", MEMORY},
	{"kmem", MEMORY},
	{"oldmem", MEMORY},
	{"snapshot", MEMORY},
	{"port", "it is the host's I/O ports"},
	{"kmsg", "it is the host's kernel log"},
	{"tty[0-9]*", CONSOLE},
	{"vcs*", CONSOLE},
	{"fb[0-9]*", CONSOLE},
	{"input/*", INPUT},
	{"hidraw[0-9]*", INPUT},
	{"uinput", INPUT},
	{"uhid", INPUT},
	{"sd[a-z]*", DISK},
	{"hd[a-z]*", DISK},
	{"vd[a-z]*", DISK},
	{"xvd[a-z]*", DISK},
	{"sr[0-9]*", DISK},
	{"sg[0-9]*", DISK},
	{"bsg/*", DISK},
	{"nvme*", DISK},
	{"ng[0-9]*", DISK},
	{"mmcblk*", DISK},
	{"md[0-9]*", DISK},
	{"dm-[0-9]*", DISK},
	{"loop[0-9]*", DISK},
	{"nbd[0-9]*", DISK},
	{"zram[0-9]*", DISK},
	{"ram[0-9]*", DISK},
	{"disk/*", DISK},
	{"mapper/control", MAKES_DEVICES},
	{"mapper/*", DISK},
	{"loop-control", MAKES_DEVICES},
	{"btrfs-control", MAKES_DEVICES},
	{"cuse", MAKES_DEVICES},
	{"autofs", "it controls mounts of the host"},
	{"userfaultfd", "it stops the kernel where the guest likes"},
	{"vhost*", NETWORK},
	{"vfio/*", "it gives a device access to the host's memory"},
	{"sev", HARDWARE},
	{"watchdog*", HARDWARE},
	{"tpm*", HARDWARE},
	{"rtc*", HARDWARE},
	{"ptp[0-9]*", HARDWARE},
	{"cpu/*", HARDWARE},
	{"cpu_dma_latency", HARDWARE},
	{"nvram", HARDWARE},
	{"ipmi*", HARDWARE},
};

const char *spec_device_why_not(const char *path)
{
	const char *name = path + strlen(DEV);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (fnmatch(rows[i].pattern, name, FNM_NOESCAPE) == 0)
			return rows[i].why;
	return NULL;
}
