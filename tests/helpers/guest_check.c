/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs inside a guest, as its root, and tries what must not work. Each check prints one line per
 * breach and exits 1 if there was any; commands that only act print nothing. Static, so that it
 * runs in any root file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int breaches;

static void breach(const char *what, const char *where)
{
	printf("BREACH %s %s\n", what, where);
	breaches++;
}

/* Calls fn for the mount point of each line of mountinfo as it was at the start. */
static int each_mount(void (*fn)(const char *path))
{
	static char paths[256][256];
	char line[4096];
	int n = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f)
		return 0;
	while (n < 256 && fgets(line, sizeof(line), f)) {
		char *p = line;

		for (int i = 0; i < 4 && p; i++)
			p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL;
		if (!p)
			continue;
		p[strcspn(p, " ")] = '\0';
		snprintf(paths[n++], sizeof(paths[0]), "%.255s", p);
	}
	fclose(f);
	for (int i = 0; i < n; i++)
		fn(paths[i]);
	return n;
}

static void try_mount(const char *path)
{
	if (umount2(path, 0) == 0)
		breach("umount", path);
	if (umount2(path, MNT_DETACH) == 0)
		breach("umount -l", path);
	if (strcmp(path, "/") != 0 && mount(path, "/tmp/target", NULL, MS_MOVE, NULL) == 0)
		breach("move", path);
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
		breach("remount,bind", path);
	if (mount("none", path, NULL, MS_REMOUNT, "") == 0)
		breach("remount", path);
}

static bool is_readonly(const char *path)
{
	struct statvfs st;

	return statvfs(path, &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

static void try_writable(const char *path)
{
	struct mount_attr clear = {.attr_clr = MOUNT_ATTR_RDONLY};

	if (!is_readonly(path))
		return;
	(void)mount_setattr(AT_FDCWD, path, 0, &clear, sizeof(clear));
	if (!is_readonly(path))
		breach("mount_setattr", path);
	if (mount(path, "/tmp/target", NULL, MS_BIND, NULL) < 0)
		return;
	(void)mount_setattr(AT_FDCWD, "/tmp/target", 0, &clear, sizeof(clear));
	if (!is_readonly("/tmp/target"))
		breach("bind, mount_setattr", path);
	umount2("/tmp/target", MNT_DETACH);
}

/* A copy without what is mounted below it would show what the masks hide. */
static void check_copies(void)
{
	static const char *const trees[] = {"/", "/proc", "/sys", "/dev"};

	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		char options[64];
		int fd = open_tree(AT_FDCWD, trees[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

		if (fd >= 0)
			breach("open_tree", trees[i]);
		if (mount(trees[i], "/tmp/target", NULL, MS_BIND, NULL) == 0)
			breach("bind", trees[i]);
		snprintf(options, sizeof(options), "lowerdir=%s:/tmp", trees[i]);
		if (mount("none", "/tmp/target", "overlay", 0, options) == 0)
			breach("overlay", trees[i]);
	}
}

static void check_mounts(void)
{
	mkdir("/tmp/target", 0755);
	check_copies();
	each_mount(try_writable);
	if (each_mount(try_mount) < 30)
		breach("too few mounts in", "/proc/self/mountinfo");
	if (unshare(CLONE_NEWNS) < 0)
		breach("unshare", "mounts");
	each_mount(try_mount);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		breach("unshare", "user and mounts");
	check_copies();
	each_mount(try_writable);
	each_mount(try_mount);
}

static void try_fresh(const char *when)
{
	if (mount("none", "/tmp/target", "proc", 0, NULL) == 0)
		breach("fresh proc", when);
	if (mount("none", "/tmp/target", "sysfs", 0, NULL) == 0)
		breach("fresh sysfs", when);
	if (mount("/dev/vda", "/tmp/target", "ext4", 0, NULL) == 0)
		breach("ext4", when);
}

static void check_fresh(void)
{
	mkdir("/tmp/target", 0755);
	if (unshare(CLONE_NEWNS) < 0)
		breach("unshare", "mounts");
	if (mount("none", "/tmp/target", "tmpfs", 0, NULL) < 0)
		breach("no tmpfs", strerror(errno));
	umount2("/tmp/target", MNT_DETACH);
	try_fresh("at once");
	if (unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUSER | CLONE_NEWNS) < 0)
		breach("unshare", "all");
	pid_t pid = fork();
	if (pid == 0) {
		breaches = 0;
		try_fresh("in new namespaces");
		_exit(breaches != 0);
	}
	int status = 1;
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		breach("fresh", "in new namespaces");
}

static void check_mknod(void)
{
	static const char *const places[] = {"/x", "/dev/x", "/dev/shm/x", "/run/x", "/tmp/x"};
	static const dev_t nodes[] = {0x103, 0x105, 0x501, 0xfe00};

	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
		for (size_t n = 0; n < sizeof(nodes) / sizeof(nodes[0]); n++) {
			if (mknod(places[p], S_IFCHR | 0666, nodes[n]) == 0)
				breach("mknod c", places[p]);
			if (mknod(places[p], S_IFBLK | 0666, nodes[n]) == 0)
				breach("mknod b", places[p]);
			unlink(places[p]);
		}
}

/* Nothing can be read from the paths given; a missing one is fine. */
static void check_masked(char **paths)
{
	for (; *paths; paths++) {
		struct stat st;
		char byte;

		if (stat(*paths, &st) < 0) {
			if (errno != ENOENT)
				breach(strerror(errno), *paths);
			continue;
		}
		if (S_ISDIR(st.st_mode)) {
			DIR *d = opendir(*paths);

			while (d) {
				struct dirent *e = readdir(d);

				if (!e)
					break;
				if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
					breach("readable", *paths);
			}
			if (d)
				closedir(d);
			if (mkdirat(AT_FDCWD, *paths, 0755) == 0 || chmod(*paths, 0777) == 0)
				breach("writable", *paths);
			continue;
		}
		int fd = open(*paths, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, &byte, 1) > 0)
			breach("readable", *paths);
		close(fd);
		fd = open(*paths, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			breach("writable", *paths);
	}
}

static bool comm_is_joiner(const char *pid)
{
	char path[64], comm[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, comm, sizeof(comm) - 1) < 0)
		comm[0] = '\0';
	close(fd);
	return strcmp(comm, "exec\n") == 0;
}

/* True when what 'worked' was done to a process that still had the host's program. During execve(2)
 * there is a moment in which it has the guest's program, open to its owner, and the old name. */
static bool caught(bool worked, const char *pid)
{
	char path[64], exe[256];

	if (!worked || !comm_is_joiner(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%.16s/exe", pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return errno == EACCES;
	exe[n] = '\0';
	return strncmp(exe, "/bin/", 5) != 0;
}

static void attack(const char *pid)
{
	static const char *const opened[] = {"mem", "fd", "environ", "maps", "ns/user"};
	static const char *const links[] = {"exe", "cwd", "root"};
	char path[64], text[256];

	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, opened[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		/* Opening is permitted for some, reading is not. */
		bool worked = fd >= 0 &&
			      (strcmp(opened[i], "fd") == 0 || strcmp(opened[i], "ns/user") == 0 ||
			       read(fd, text, sizeof(text)) > 0);
		if (caught(worked, pid))
			breach("joiner", path);
		if (fd >= 0)
			close(fd);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, links[i]);
		if (caught(readlink(path, text, sizeof(text)) >= 0, pid))
			breach("joiner", path);
	}
	pid_t p = (pid_t)strtol(pid, NULL, 10);
	if (ptrace(PTRACE_SEIZE, p, NULL, NULL) == 0) {
		if (caught(true, pid))
			breach("joiner", "ptrace");
		/* A tracee that has ended is kept from its parent until its tracer waits. */
		if (ptrace(PTRACE_DETACH, p, NULL, NULL) < 0)
			waitpid(p, NULL, __WALL | WNOHANG);
	}
}

/* Lies in wait for processes that join, until a file /tmp/stop is there; prints how many it met. */
static void check_joiners(void)
{
	unsigned met = 0;

	while (access("/tmp/stop", F_OK) < 0) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d)))
			if (e->d_name[0] >= '0' && e->d_name[0] <= '9' &&
			    comm_is_joiner(e->d_name)) {
				met++;
				attack(e->d_name);
			}
		while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
			;
		if (d)
			closedir(d);
	}
	printf("met %u\n", met);
}

/* Stops every process that joins, for ever. */
static void stop_joiners(void)
{
	for (;;) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d)))
			if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && comm_is_joiner(e->d_name))
				kill((pid_t)strtol(e->d_name, NULL, 10), SIGSTOP);
		if (d)
			closedir(d);
	}
}

/* Kills a process and keeps it from being reaped by its parent, which is the one that joined it. */
static void hold_dead(const char *pid)
{
	pid_t p = (pid_t)strtol(pid, NULL, 10);

	if (ptrace(PTRACE_SEIZE, p, NULL, NULL) < 0 || kill(p, SIGKILL) < 0)
		perror("cannot hold");
	for (;;)
		pause();
}

/* Open fds of a process, one line. */
static void list_fds(const char *pid)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char link[512], target[256];
		ssize_t n;

		snprintf(link, sizeof(link), "%s/%.200s", path, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0 || (strcmp(pid, "self") == 0 && strtol(e->d_name, NULL, 10) == dirfd(d)))
			continue;
		target[n] = '\0';
		printf("%s=%s ", e->d_name, target);
	}
	printf("\n");
}

static int notify(const char *text)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path ? path : "");
	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof(a)) < 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "mounts"))
		check_mounts();
	else if (!strcmp(verb, "fresh"))
		check_fresh();
	else if (!strcmp(verb, "mknod"))
		check_mknod();
	else if (!strcmp(verb, "masked"))
		check_masked(argv + 2);
	else if (!strcmp(verb, "joiners"))
		check_joiners();
	else if (!strcmp(verb, "stop-joiners"))
		stop_joiners();
	else if (!strcmp(verb, "hold-dead") && argc > 2)
		hold_dead(argv[2]);
	else if (!strcmp(verb, "fds") && argc > 2)
		list_fds(argv[2]);
	else if (!strcmp(verb, "notify") && argc > 2)
		return notify(argv[2]);
	else if (!strcmp(verb, "restart"))
		return reboot(RB_AUTOBOOT);
	else if (!strcmp(verb, "poweroff"))
		return reboot(RB_POWER_OFF);
	else if (!strcmp(verb, "idle"))
		for (;;) /* as pid 1: reaps, and waits to be killed */
			if (wait(NULL) < 0)
				pause();
	if (breaches == 0)
		printf("held\n");
	return breaches != 0;
}
