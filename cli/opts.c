/* SPDX-License-Identifier: Apache-2.0 */
/* Options of verbs. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

struct parse {
	struct cli *cli;
	const struct cli_opt *opts;
	const struct cli_opt *common;
};

static const struct cli_opt *find(const struct cli_opt *rows, const char *name, size_t len,
				  char letter)
{
	for (; rows && rows->name; rows++)
		if (letter ? rows->letter == letter
			   : strlen(rows->name) == len && memcmp(rows->name, name, len) == 0)
			return rows;
	return NULL;
}

/* "vps: BEFORE WHAT AFTER" and the usage. */
static int complain(const struct parse *p, const char *before, const char *what, const char *after)
{
	char shown[200];
	str_escape(shown, sizeof(shown), what);
	fprintf(stderr, "vps: %s%s%s\nusage: vps %s %s\n", before, shown, after, p->cli->verb->name,
		p->cli->verb->usage);
	return CLI_USAGE;
}

static int unknown(const struct parse *p, const char *name, size_t len)
{
	const char *names[32] = {NULL};
	char word[64], text[200];
	size_t n = 0;
	for (const struct cli_opt *o = p->opts; o && o->name && n < 16; o++)
		names[n++] = o->name;
	for (const struct cli_opt *o = p->common; o->name; o++)
		names[n++] = o->name;
	(void)str_fmt(word, sizeof(word), "%.*s", (int)(len < 60 ? len : 60), name);
	const char *near = str_nearest(word, names);
	if (near)
		(void)str_fmt(text, sizeof(text), "%s; did you mean --%s?", word, near);
	else
		(void)str_copy(text, sizeof(text), word);
	return complain(p, "unknown option --", text, "");
}

static int store(const struct parse *p, const struct cli_opt *o, const char *value)
{
	struct cli_list *list = o->ret;
	switch (o->type) {
	case 'b':
		*(bool *)o->ret = true;
		return 0;
	case 's':
		*(const char **)o->ret = value;
		return 0;
	default:
		if (list->n == CLI_LIST_MAX)
			return complain(p, "--", o->name, " is given too often");
		list->items[list->n++] = value;
		return 0;
	}
}

/* argv[*i] is "--name", "--name=value" with its value perhaps in argv[*i + 1]. */
static int take_long(const struct parse *p, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2, *equal = strchr(name, '=');
	size_t len = equal ? (size_t)(equal - name) : strlen(name);
	const struct cli_opt *o = find(p->opts, name, len, 0);
	if (!o)
		o = find(p->common, name, len, 0);
	if (!o)
		return unknown(p, name, len);
	if (o->type == 'b')
		return equal ? complain(p, "--", o->name, " takes no value") : store(p, o, NULL);
	if (equal)
		return store(p, o, equal + 1);
	if (*i + 1 >= argc)
		return complain(p, "--", o->name, " wants a value");
	return store(p, o, argv[++*i]);
}

static int take_letters(const struct parse *p, int argc, char **argv, int *i)
{
	for (const char *l = argv[*i] + 1; *l; l++) {
		const struct cli_opt *o = find(p->opts, NULL, 0, *l);
		const char word[2] = {*l, '\0'};
		if (!o)
			o = find(p->common, NULL, 0, *l);
		if (!o)
			return complain(p, "unknown option -", word,
					" (a command's own options stand behind --)");
		if (o->type == 'b') {
			(void)store(p, o, NULL);
			continue;
		}
		if (l[1])
			return store(p, o, l + 1);
		if (*i + 1 >= argc)
			return complain(p, "-", word, " wants a value");
		return store(p, o, argv[++*i]);
	}
	return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_opt *opts, int min, int max,
	      int *ret_code)
{
	bool help = false;
	const struct cli_opt common[] = {
		{"json", 0, 'b', &cli->json},
		{"quiet", 'q', 'b', &cli->quiet},
		{"socket", 0, 's', &cli->socket},
		{"help", 'h', 'b', &help},
		{NULL, 0, 0, NULL},
	};
	const struct parse p = {.cli = cli, .opts = opts, .common = common};
	int n = 0, code = 0;
	for (int i = 0; code == 0 && i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc)
				argv[n++] = argv[i];
		} else if (str_has_prefix(argv[i], "--")) {
			code = take_long(&p, argc, argv, &i);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			code = take_letters(&p, argc, argv, &i);
		} else {
			argv[n++] = argv[i];
		}
	}
	if (code == 0 && help) {
		verb_help(cli, cli->verb);
		*ret_code = CLI_OK;
		return -1;
	}
	if (code == 0 && n < min)
		code = complain(&p, "'", cli->verb->name, "' wants more arguments");
	if (code == 0 && max >= 0 && n > max)
		code = complain(&p, "'", argv[max], "' is one argument too many");
	*ret_code = code;
	return code ? -1 : n;
}
