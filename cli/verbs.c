/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs: help, errors and dispatch walk it. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const struct verb cli_verbs[] = {
	{"apply", "[-n] [--prune] [--take-over] FILE|DIR...",
	 "make the host match plan and tenant documents",
	 "-n, --dry-run    show what would change, change nothing\n"
	 "--prune          delete instances that a document created and none has any more\n"
	 "--take-over      overwrite what was changed through the API since\n"
	 "A directory stands for its *.json files and those of its plans/ and tenants/.",
	 cmd_apply},
	{"validate", "FILE|DIR...", "check documents without applying them", NULL, cmd_validate},
	{"create",
	 "TENANT/NAME --plan P --image I [--network N[,ADDRESS]...]... [--hostname H] "
	 "[--label K=V]... [--no-start]",
	 "create an instance",
	 "vps create acme/web1 --plan small --image debian-12 --network pub\n"
	 "--network N              an interface in that network, with addresses that are free\n"
	 "--network N,203.0.113.7  with that one; as often as it is to have interfaces",
	 cmd_create},
	{"ls", "[TENANT]", "list instances", NULL, cmd_ls},
	{"info", "TENANT/NAME", "show one instance with its limits and usage", NULL, cmd_info},
	{"start", "TENANT/NAME", "start an instance", NULL, cmd_start},
	{"stop", "TENANT/NAME [--timeout 90s] [--force]", "stop an instance",
	 "Its init is asked to power off; after the timeout, or with --force at once, it is "
	 "killed.",
	 cmd_stop},
	{"restart", "TENANT/NAME [--timeout 90s] [--force]", "stop and start an instance", NULL,
	 cmd_restart},
	{"delete", "TENANT/NAME [--force] [--yes]", "delete an instance and its files",
	 "--force    even while it runs\n--yes      do not ask", cmd_delete},
	{"protect", "TENANT/NAME [--off]", "protect an instance against deletion",
	 "--off    take the protection away", cmd_protect},
	{"suspend", "TENANT/NAME [--mode freeze|stop|network] [--reason TEXT]",
	 "keep an instance from running until it is resumed",
	 "--mode freeze     its processes stand still where they are (default)\n"
	 "--mode stop       it is shut down; 'vps resume' starts it again if it ran\n"
	 "--mode network    it goes on, cut off from its network\n"
	 "--reason TEXT     shown to whoever tries to start it\n"
	 "It stays suspended over restarts of vpsd and of the host. 'vps stop' and\n"
	 "'vps delete --force' work on it. One that is suspended gets the new mode and reason.",
	 cmd_suspend},
	{"resume", "TENANT/NAME", "end a suspension",
	 "What was frozen goes on; what was stopped is started again if it is wanted running.",
	 cmd_resume},
	{"resize", "TENANT/NAME|--all-of PLAN[@VERSION] --plan PLAN[@VERSION] [-n] [--force]",
	 "move to another plan, live",
	 "-n, --dry-run    show what would change or be refused, change nothing\n"
	 "-f, --force      below what is in use, too: the kernel then kills inside\n"
	 "--all-of         all instances of that plan, one after the other\n"
	 "Without a version --plan is the newest. Overrides stay, on top of the new plan.\n\n"
	 "vps resize acme/web1 --plan big\nvps resize --all-of small@1 --plan small@2 -n",
	 cmd_resize},
	{"set", "TENANT/NAME KEY=[VALUE]... [-n] [--force]",
	 "change single values on top of the plan, live",
	 "A key is a path of the plan document; without a value the plan's holds again.\n"
	 "-n, --dry-run    show what would change or be refused, change nothing\n"
	 "-f, --force      below what is in use, too: the kernel then kills inside\n\n"
	 "vps set acme/web1 memory.limit=2GiB cpu.cores=1.5\nvps set acme/web1 pids=",
	 cmd_set},
	{"wait", "TENANT/NAME STATE [--timeout 60s]", "wait until an instance is in a state",
	 "States: stopped, starting, running, ready (its boot is complete), stopping, failed, "
	 "suspended.",
	 cmd_wait},
	{"exec", "TENANT/NAME [-it] [--user UID[:GID]] [--cwd DIR] [--env K=V]... -- COMMAND...",
	 "run a command inside",
	 "-i, --interactive    connect stdin\n-t, --tty            on a terminal of the instance's "
	 "own\n"
	 "The exit code is the command's; 128 + N when signal N killed it.\n\n"
	 "vps exec acme/web1 -- systemctl is-system-running\nvps exec acme/web1 -it -- top",
	 cmd_exec},
	{"shell", "TENANT/NAME", "open a root shell inside", NULL, cmd_shell},
	{"console", "TENANT/NAME [--readonly]", "attach to the console; Ctrl-] detaches", NULL,
	 cmd_console},
	{"logs", "TENANT/NAME [-f] [--raw]", "show what was written to the console",
	 "-f, --follow    go on with what comes\n--raw           do not take control characters "
	 "out",
	 cmd_logs},
	{"image ls", "", "list images", NULL, cmd_image_ls},
	{"image import", "NAME FILE|- [--digest SHA256]", "import a root filesystem archive",
	 "tar, plain or compressed with gzip, bzip2, xz or zstd; '-' is stdin.", cmd_image_import},
	{"image build", "RELEASE [--name NAME]", "build an image with mmdebstrap",
	 "vps image build debian-12", cmd_image_build},
	{"image delete", "NAME [--yes]", "delete an image that no instance uses", NULL,
	 cmd_image_delete},
	{"plan ls", "", "list plans", NULL, cmd_plan_ls},
	{"plan show", "PLAN[@VERSION]", "show a plan as a document, with its defaults", NULL,
	 cmd_plan_show},
	{"plan add", "FILE|-", "add a plan; '-' is stdin",
	 "The same again is fine. A plan that is there is never changed: a new one has a new "
	 "version.",
	 cmd_plan_add},
	{"tenant ls", "", "list tenants", NULL, cmd_tenant_ls},
	{"tenant show", "TENANT", "show a tenant as JSON", NULL, cmd_tenant_show},
	{"network ls", "", "list networks, with what is free of their addresses", NULL,
	 cmd_network_ls},
	{"ip ls", "[TENANT]", "list the addresses that instances have",
	 "IN POOL is 'no' where the network's ranges do not have it any more: it stays the\n"
	 "instance's, and nobody else gets it.",
	 cmd_ip_ls},
	{"ip add", "TENANT/NAME ADDRESS|PREFIX|auto... [--nic N] [--ipv6]",
	 "give an instance more addresses, while it runs",
	 "auto         one that is free; of IPv6 with --ipv6\n"
	 "auto/64      an IPv6 prefix that is free\n"
	 "--nic N      of its interface ethN (default 0)\n"
	 "The address is the instance's until it is taken away or the instance is deleted.",
	 cmd_ip_add},
	{"ip del", "TENANT/NAME ADDRESS|PREFIX... [--nic N]",
	 "take addresses away from an instance, while it runs", NULL, cmd_ip_del},
	{"port ls", "[TENANT]", "list the host's ports that are forwarded to instances", NULL,
	 cmd_port_ls},
	{"port add", "TENANT/NAME PORT:GUESTPORT/tcp|udp... [--nic N]",
	 "forward ports of the host to an instance, in networks of the mode nat",
	 "vps port add acme/web1 8080:80/tcp", cmd_port_add},
	{"port del", "TENANT/NAME PORT/tcp|udp... [--nic N]", "forward ports of the host no longer",
	 "vps port del acme/web1 8080/tcp", cmd_port_del},
	{"usage", "[TENANT[/NAME]] [--month YYYY-MM|--periods] [--csv]",
	 "show what instances have sent and received",
	 "--month YYYY-MM    of that calendar month (UTC); without it the present one\n"
	 "--periods          of billing periods instead, as their transfer counts\n"
	 "--csv              all counters, for programs\n"
	 "Counted are the bytes of layer 3 (IP with its headers) of packets that passed the "
	 "filter:\n"
	 "OUT behind the rate limit, IN before it. What goes to or comes from private addresses "
	 "is\n"
	 "apart. Those that were deleted are shown, too.",
	 cmd_usage},
	{"host lock", "[--reason TEXT]", "let nobody create instances on this host",
	 "Those that are there are not touched: they start, stop and change as before.",
	 cmd_host_lock},
	{"host unlock", "", "let instances be created again", NULL, cmd_host_unlock},
	{"host", "", "show this host: capacity, and what it can enforce", NULL, cmd_host},
	{"op ls", "", "list operations", NULL, cmd_op_ls},
	{"events", "[TENANT/NAME] [--since CURSOR] [--limit N]", "show what happened",
	 "--since CURSOR    what came after that one; without it the latest\n"
	 "--limit N         at most so many (default 100, at most 1000)\n"
	 "The cursor of the last one shown is the one to go on from.",
	 cmd_events},
	{"help", "[VERB]", "show help", NULL, cmd_help},
	{NULL, NULL, NULL, NULL, NULL},
};

/* How many words of argv the name takes; 0 = it is another one. */
static int words_matched(const char *name, int argc, char **argv)
{
	int words = 0;
	while (*name) {
		size_t n = strcspn(name, " ");
		if (words == argc || strlen(argv[words]) != n || memcmp(argv[words], name, n) != 0)
			return 0;
		words++;
		name += n + strspn(name + n, " ");
	}
	return words;
}

const struct verb *verb_find(int argc, char **argv, int *ret_words)
{
	for (const struct verb *v = cli_verbs; v->name; v++)
		if ((*ret_words = words_matched(v->name, argc, argv)) > 0)
			return v;
	return NULL;
}

int verb_unknown(const struct cli *cli, int argc, char **argv)
{
	const char *names[64] = {NULL};
	char word[64], shown[128];
	bool group = false;
	size_t n = 0;
	str_escape(word, sizeof(word), argv[0]);
	/* A first word that several verbs share wants a second. */
	for (const struct verb *v = cli_verbs; v->name && n < 63; v++) {
		size_t len = strlen(argv[0]);
		if (strncmp(v->name, argv[0], len) == 0 && v->name[len] == ' ') {
			if (!group)
				fprintf(stderr, "vps: '%s' wants one of:\n", word);
			group = true;
			fprintf(stderr, "  vps %s %s\n", v->name, v->usage);
		}
		names[n++] = v->name;
	}
	if (group)
		return CLI_USAGE;
	if (argc > 1)
		(void)str_fmt(shown, sizeof(shown), "%.60s %.60s", argv[0], argv[1]);
	else
		(void)str_fmt(shown, sizeof(shown), "%.120s", argv[0]);
	const char *near = str_nearest(shown, names);
	if (!near)
		near = str_nearest(argv[0], names);
	fprintf(stderr, "vps: there is no verb '%s'", word);
	if (near)
		fprintf(stderr, "; did you mean '%s'?\n", near);
	else
		fprintf(stderr, "; 'vps help' lists them\n");
	(void)cli;
	return CLI_USAGE;
}

void verbs_help(const struct cli *cli)
{
	(void)cli;
	puts("usage: vps VERB [OPTION...] [ARGUMENT...]\n\nVerbs:");
	for (const struct verb *v = cli_verbs; v->name; v++)
		printf("  %-14s %s\n", v->name, v->summary);
	puts("\nEvery verb: --json (where it reads), --quiet, --socket PATH, --help.\n"
	     "'vps help VERB' says more. Manual: vps(8).");
}

void verb_help(const struct cli *cli, const struct verb *v)
{
	(void)cli;
	printf("usage: vps %s %s\n%s.\n", v->name, v->usage, v->summary);
	if (v->help)
		printf("\n%s\n", v->help);
}
