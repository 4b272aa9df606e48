/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "filter": loads the packet filter's rules by libnftables, which needs a megabyte or more, and
 * hands over the netlink socket that made the table: with "flags owner" the kernel takes changes
 * from that one only, and removes the table when its last copy is closed. (nft(8))
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/num.h"
#include "base/str.h"
#include "netns/filter.h"
#include "runtime/jobs/job.h"

#define RULES_MAX (256u << 10)
#define PLACE "@TABLE@"

struct options {
	const char *file, *table;
};

static const struct job_opt rows[] = {
	{"--file", JOB_OPT_PATH, true, offsetof(struct options, file), 0, 0},
	{"--table", JOB_OPT_STRING, true, offsetof(struct options, table), 0, 0},
	{0},
};

static void free_context(struct nft_ctx **c)
{
	if (*c)
		nft_ctx_free(*c);
}

/* It becomes a part of the rules. */
static int check_table(const char *name, struct err *err)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (name[len] != '\0' || len >= NET_FILTER_TABLE_MAX || name[0] < 'a')
		return err_set(err, EINVAL,
			       "'%s' is no name of a table: at most %u of a-z, 0-9 and '_', first "
			       "a letter",
			       name, NET_FILTER_TABLE_MAX - 1);
	return 0;
}

static int read_rules(const struct options *o, struct sbuf *ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *at, *next;
	size_t len = 0;
	int r = file_read_at(AT_FDCWD, o->file, RULES_MAX, &text, &len, err);

	if (r < 0)
		return r;
	if (strlen(text) != len || !strstr(text, PLACE))
		return err_set(err, EINVAL, "'%s' has no '" PLACE "': these are no rules of ours",
			       o->file);
	for (at = text; (next = strstr(at, PLACE)); at = next + strlen(PLACE)) {
		sbuf_add(ret, at, (size_t)(next - at));
		sbuf_adds(ret, o->table);
	}
	sbuf_adds(ret, at);
	return sbuf_ok(ret) ? 0 : err_set(err, ENOMEM, "cannot read the rules: out of memory");
}

static bool is_netfilter(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
	       protocol == NETLINK_NETFILTER;
}

/* The library's socket, which it gives to nobody: the only one of its kind in this process. */
static int find_socket(struct err *err)
{
	_cleanup_closedir_ DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	int found = -1, n = 0;
	uint64_t fd;

	if (!d)
		return err_sys(err, "cannot list the own files");
	while ((e = readdir(d)))
		if (num_parse_u64(e->d_name, 0, INT32_MAX, &fd) == 0 && is_netfilter((int)fd)) {
			found = (int)fd;
			n++;
		}
	return n == 1 ? found
		      : err_set(err, EPROTO, "the library has %d sockets of netfilter, not one", n);
}

static int hand_over(int fd, struct err *err)
{
	_cleanup_msg_ struct msg *m = msg_new(NET_FILTER_RECORD, 0);
	int r;

	if (!m)
		return err_set(err, ENOMEM, "cannot hand the packet filter over: out of memory");
	r = msg_add_fd(m, fd);
	if (r < 0)
		return err_set(err, -r, "cannot hand the packet filter over");
	r = msg_send(STDIN_FILENO, m, err);
	return r < 0 ? err_ctx(err, "cannot hand the packet filter over") : 0;
}

/* The first line of what the library complains of. */
static int refused(const struct options *o, struct nft_ctx *c, struct err *err)
{
	const char *said = nft_ctx_get_error_buffer(c);
	char text[400];

	(void)str_escape(text, sizeof(text), said ? said : "");
	text[strcspn(text, "\\")] = '\0';
	return err_set(err, EINVAL, "cannot load the rules of '%s': %s", o->file, text);
}

static int load(const struct options *o, struct err *err)
{
	_cleanup_sbuf_ struct sbuf rules = SBUF_INIT;
	__attribute__((cleanup(free_context))) struct nft_ctx *c = NULL;
	int r = check_table(o->table, err), fd;

	if (r == 0)
		r = read_rules(o, &rules, err);
	if (r < 0)
		return r;
	c = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!c || nft_ctx_buffer_error(c) != 0 || nft_ctx_buffer_output(c) != 0)
		return err_set(err, ENOMEM, "cannot start libnftables");
	fd = find_socket(err);
	if (fd < 0)
		return fd;
	if (nft_run_cmd_from_buffer(c, sbuf_str(&rules)) != 0)
		return refused(o, c, err);
	return hand_over(fd, err);
}

int job_filter(int argc, char **argv)
{
	struct options o = {0};
	struct err err = ERR_INIT;

	if (job_args(argc, argv, rows, &o, &err) < 0 || load(&o, &err) < 0)
		return job_error(&err);
	return job_result(json_pack("{s:s}", "table", o.table));
}
