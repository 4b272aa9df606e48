/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `vps` share: their table, options, answers, output. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

/* Exit codes (vps(8)). exec passes the command's own. */
#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

/* A document has at most so many bytes. */
#define CLI_DOCUMENT_MAX (1u << 20)

struct cli {
	const char *program; /* "vps" */
	const char *socket;
	const struct verb *verb;
	bool json;
	bool quiet;
};

struct verb {
	const char *name;				    /* "ls", or two words: "image import" */
	const char *usage;				    /* behind the name */
	const char *summary;				    /* one line */
	const char *help;				    /* more lines, examples; NULL = none */
	int (*run)(struct cli *cli, int argc, char **argv); /* argv[0..]: behind the name */
};

/* Ends with a row without name; in the order of `vps help`. */
extern const struct verb cli_verbs[];
/* The verb that argv starts with; *ret_words = words of its name. NULL: none. */
const struct verb *verb_find(int argc, char **argv, int *ret_words);
/* Says what is wrong with the words, with the nearest name. Returns CLI_USAGE. */
int verb_unknown(const struct cli *cli, int argc, char **argv);
void verbs_help(const struct cli *cli);
void verb_help(const struct cli *cli, const struct verb *v);

/* --- options --------------------------------------------------------------------------------- */

struct cli_opt {
	const char *name; /* "force"; NULL ends the list */
	char letter;	  /* 'f', or 0 */
	char type;	  /* 'b' bool, 's' const char *, 'l' struct cli_list *: may be repeated */
	void *ret;
};

#define CLI_LIST_MAX 64
struct cli_list {
	const char *items[CLI_LIST_MAX];
	size_t n;
};

/* Parses a verb's words: options anywhere before "--", the rest into operands (argv is reordered).
 * --json, --quiet, --socket and --help are known to every verb. Returns the number of operands, or
 * -1 with the exit code in *ret_code (help was shown, or something was wrong). */
int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_opt *opts, int min, int max,
	      int *ret_code);

/* --- answers --------------------------------------------------------------------------------- */

/* Prints "vps: WHAT" and the hint to stderr. Returns CLI_FAILED. */
int cli_fail(const struct cli *cli, const struct err *err);
/* The same for an answer that may hold a list of problems. */
int cli_fail_answer(const struct cli *cli, const struct err *err, const json_t *answer);
/* Splits TENANT/NAME into an escaped API path "/v1/instances/T/N<suffix>"; heap. NULL after having
 * said what is wrong. */
char *cli_instance_path(const struct cli *cli, const char *name, const char *suffix);
/* Puts a word of the command line into a body; text NULL = nothing. Returns 0, or -1 after having
 * said that 'what' is no UTF-8: silently it would be left out. */
int cli_put(json_t *body, const char *key, const char *text, const char *what);
/* Calls; on failure says why and returns CLI_FAILED. *ret may be NULL when the answer does not
 * matter. */
int cli_call(const struct cli *cli, const char *method, const char *path, json_t *body,
	     json_t **ret);
/* "&key=value" behind the others, escaped; NULL = nothing. The buffer says at the end whether that
 * failed. */
void cli_add_query(struct sbuf *path, const char *key, const char *value);
/* For verbs with the words [TENANT]: gets /v1/WHAT, of that tenant alone where it is given. Prints
 * it when JSON is wanted; *ret is set on success. Returns what the verb shall. */
int cli_list_of_tenant(struct cli *cli, int argc, char **argv, const char *what, json_t **ret);
/* As cli_call() for an answer with an operation: waits for its end, with progress on a terminal.
 * *ret (may be NULL) gets the operation. CLI_FAILED when it failed; *ret is set then, too. */
int cli_call_op(const struct cli *cli, const char *method, const char *path, json_t *body,
		json_t **ret);
/* Asks on the terminal; without one says that --yes is wanted. True = go on. */
bool cli_confirm(const char *act, const char *name);
/* Prints what an apply or a resize did or would do, one line a change and one a field; with --quiet
 * only what was not done. */
void cli_print_changes(const struct cli *cli, const json_t *changes);
/* Prints JSON for programs: indented on a terminal, else compact; one line feed. */
void cli_print_json(const json_t *j);

/* --- output ---------------------------------------------------------------------------------- */

/* A table that finds its column widths; cells are cleaned of control characters. */
struct table;
struct table *table_new(const char *const *heads); /* NULL-terminated */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints to stdout and frees. */
void table_print(struct table *t);

/* Prints to 'out' what a server said: as printf, with all control characters but line feeds and
 * tabs escaped, whatever they came from. */
void cli_say(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One line on stderr that replaces itself; nothing unless stderr is a terminal. */
void progress_show(const char *what, uint64_t done, uint64_t total, bool is_bytes);
void progress_clear(void);

/* Values of JSON objects for people: "-" when absent or null. Buffers of CLI_TEXT bytes. */
#define CLI_TEXT 160
const char *text_of(const json_t *o, const char *key);
void size_of(char dst[CLI_TEXT], const json_t *number);
/* "3d4h", "5m12s" since an RFC 3339 time; "-" when null. */
void age_of(char dst[CLI_TEXT], const json_t *time);
/* True when stdout is a terminal and NO_COLOR is not set. */
bool is_colourful(void);

/* --- sessions -------------------------------------------------------------------------------- */

struct session_exec {
	json_t *body; /* of the request; borrowed */
	bool tty;
	bool interactive; /* stdin goes to the command */
};

/* Runs a command inside; returns its exit code, or 1 after having said what failed. */
int session_exec(const struct cli *cli, const char *path, const struct session_exec *s);
/* Attaches to a console until Ctrl-] or its end. */
int session_console(const struct cli *cli, const char *path, bool readonly);

/* --- verbs ----------------------------------------------------------------------------------- */

int cmd_apply(struct cli *cli, int argc, char **argv);
int cmd_validate(struct cli *cli, int argc, char **argv);
int cmd_create(struct cli *cli, int argc, char **argv);
int cmd_ls(struct cli *cli, int argc, char **argv);
int cmd_info(struct cli *cli, int argc, char **argv);
int cmd_start(struct cli *cli, int argc, char **argv);
int cmd_stop(struct cli *cli, int argc, char **argv);
int cmd_restart(struct cli *cli, int argc, char **argv);
int cmd_delete(struct cli *cli, int argc, char **argv);
int cmd_protect(struct cli *cli, int argc, char **argv);
int cmd_suspend(struct cli *cli, int argc, char **argv);
int cmd_resume(struct cli *cli, int argc, char **argv);
int cmd_wait(struct cli *cli, int argc, char **argv);
int cmd_exec(struct cli *cli, int argc, char **argv);
int cmd_shell(struct cli *cli, int argc, char **argv);
int cmd_console(struct cli *cli, int argc, char **argv);
int cmd_logs(struct cli *cli, int argc, char **argv);
int cmd_image_ls(struct cli *cli, int argc, char **argv);
int cmd_image_import(struct cli *cli, int argc, char **argv);
int cmd_image_build(struct cli *cli, int argc, char **argv);
int cmd_image_delete(struct cli *cli, int argc, char **argv);
int cmd_plan_ls(struct cli *cli, int argc, char **argv);
int cmd_plan_add(struct cli *cli, int argc, char **argv);
int cmd_resize(struct cli *cli, int argc, char **argv);
int cmd_set(struct cli *cli, int argc, char **argv);
int cmd_plan_show(struct cli *cli, int argc, char **argv);
int cmd_tenant_ls(struct cli *cli, int argc, char **argv);
int cmd_tenant_show(struct cli *cli, int argc, char **argv);
int cmd_network_ls(struct cli *cli, int argc, char **argv);
int cmd_usage(struct cli *cli, int argc, char **argv);
int cmd_ip_ls(struct cli *cli, int argc, char **argv);
int cmd_ip_add(struct cli *cli, int argc, char **argv);
int cmd_ip_del(struct cli *cli, int argc, char **argv);
int cmd_port_ls(struct cli *cli, int argc, char **argv);
int cmd_port_add(struct cli *cli, int argc, char **argv);
int cmd_port_del(struct cli *cli, int argc, char **argv);
int cmd_host_lock(struct cli *cli, int argc, char **argv);
int cmd_host_unlock(struct cli *cli, int argc, char **argv);
int cmd_host(struct cli *cli, int argc, char **argv);
int cmd_events(struct cli *cli, int argc, char **argv);
int cmd_op_ls(struct cli *cli, int argc, char **argv);
int cmd_help(struct cli *cli, int argc, char **argv);
