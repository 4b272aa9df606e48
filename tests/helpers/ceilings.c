/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs inside a guest and takes of one thing as much as there is.
 *
 * "ceilings inotify" opens inotify instances until refused, prints how many, and keeps them until
 * its standard input ends. "ceilings hugepage" maps one huge page and writes to it; prints "mapped"
 * or the error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)

static int take_inotify(void)
{
	struct rlimit files;
	char byte;
	int n = 0;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 1;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return 1;
	while (inotify_init1(IN_CLOEXEC) >= 0)
		n++;
	printf("%d %s\n", n, strerror(errno));
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

static int take_hugepage(void)
{
	char *p = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	*p = 1;
	puts("mapped");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "inotify") == 0)
		return take_inotify();
	if (argc == 2 && strcmp(argv[1], "hugepage") == 0)
		return take_hugepage();
	fprintf(stderr, "usage: ceilings inotify|hugepage\n");
	return 2;
}
