/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thrash FILE MIB [HELD]: maps a file of that size, made anew, and reads its pages in no order
 * without end; HELD MiB of memory are in use meanwhile. With less memory than all that it does
 * nothing but wait for pages that it had before. Prints "up" when the file is there.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define CHUNK (256u * PAGE)

static char chunk[CHUNK];

static int fill(int fd, size_t size)
{
	memset(chunk, 'x', sizeof(chunk));
	for (size_t done = 0; done < size; done += sizeof(chunk))
		if (write(fd, chunk, sizeof(chunk)) != (ssize_t)sizeof(chunk))
			return -1;
	return fsync(fd);
}

int main(int argc, char **argv)
{
	const size_t held = argc == 4 ? (size_t)strtoul(argv[3], NULL, 10) << 20 : 0;
	const size_t size = argc >= 3 ? (size_t)strtoul(argv[2], NULL, 10) << 20 : 0;
	uint32_t random = 1;
	unsigned sum = 0;
	const volatile char *map;
	int fd;

	if (size == 0)
		return 2;
	if (held && !memset(malloc(held), 'x', held))
		return 1;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fill(fd, size) < 0) {
		perror(argv[1]);
		return 1;
	}
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	/* One page a read: what comes along unasked would be another program's luck. */
	if (map == MAP_FAILED || madvise((void *)(uintptr_t)map, size, MADV_RANDOM) < 0) {
		perror("mmap");
		return 1;
	}
	(void)printf("up\n");
	(void)fflush(stdout);
	for (;;) {
		random = random * 1664525u + 1013904223u;
		sum += (unsigned char)map[(size_t)(random >> 8) % (size / PAGE) * PAGE];
		if (sum == UINT32_MAX)
			(void)printf("-\n");
	}
}
