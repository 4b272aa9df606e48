/* SPDX-License-Identifier: Apache-2.0 */
/* vps: finds the verb and runs it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "runtime/daemon/wire.h"

int main(int argc, char **argv)
{
	const char *env = getenv("VPS_SOCKET");
	struct cli cli = {
		.program = "vps",
		.socket = env && *env ? env : VPS_SOCKET_DEFAULT,
	};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	(void)sigaction(SIGPIPE, &ignore, NULL); /* a closed pipe is an error of write(2) */
	argc--;
	argv++;
	/* --socket may stand before the verb, as in an alias. */
	while (argc > 1 && strcmp(argv[0], "--socket") == 0) {
		cli.socket = argv[1];
		argc -= 2;
		argv += 2;
	}
	if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
		verbs_help(&cli);
		return argc ? CLI_OK : CLI_USAGE;
	}
	if (strcmp(argv[0], "--version") == 0) {
		puts("vps " VPS_VERSION);
		return CLI_OK;
	}
	int words = 0;
	cli.verb = verb_find(argc, argv, &words);
	if (!cli.verb)
		return verb_unknown(&cli, argc, argv);
	int code = cli.verb->run(&cli, argc - words, argv + words);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("vps: cannot write to stdout\n", stderr);
		return code ? code : CLI_FAILED;
	}
	return code;
}
