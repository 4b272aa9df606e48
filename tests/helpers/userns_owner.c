/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the host uid that owns the user namespace of a process (ioctl_ns(2)). */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/types.h>

int main(int argc, char **argv)
{
	char path[64];
	uid_t uid;

	snprintf(path, sizeof(path), "/proc/%.16s/ns/user", argc > 1 ? argv[1] : "self");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, NS_GET_OWNER_UID, &uid) < 0) {
		perror(path);
		return 1;
	}
	printf("%u\n", uid);
	return 0;
}
