/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles. libseccomp knows neither "otherwise" nor an order of rules: a rule without args
 * swallows those with args, and complements of a set of values cannot be written. So each of the
 * three stages of the header is a filter of its own, in which neither is needed, and the three are
 * joined: an instruction "return" that means "nothing said" becomes a jump to the next stage.
 */
#include "config/seccomp_profile.h"

#include <inttypes.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define ARGS_MAX 6
#define ERRNO_MAX 4095
#define OPTIMIZE_BINARY_TREE 2

/* ---- names ---- */

struct name_row {
	const char *name;
	uint32_t value;
};

#define NO_ERRNO 0u

enum action_kind {
	ACTION_ALLOWS,
	ACTION_REFUSES,
};

static const struct action_row {
	const char *name;
	uint32_t value; /* of libseccomp, without an errno */
	enum action_kind kind;
	bool takes_errno;
} action_rows[] = {
	{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, ACTION_ALLOWS, false},
	{"SCMP_ACT_LOG", SCMP_ACT_LOG, ACTION_ALLOWS, false},
	{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), ACTION_REFUSES, true},
	{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, ACTION_REFUSES, false},
	{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, ACTION_REFUSES, false},
	{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, ACTION_REFUSES, false},
	{"SCMP_ACT_TRAP", SCMP_ACT_TRAP, ACTION_REFUSES, false},
};

static const struct name_row op_rows[] = {
	{"SCMP_CMP_NE", SCMP_CMP_NE},
	{"SCMP_CMP_LT", SCMP_CMP_LT},
	{"SCMP_CMP_LE", SCMP_CMP_LE},
	{"SCMP_CMP_EQ", SCMP_CMP_EQ},
	{"SCMP_CMP_GE", SCMP_CMP_GE},
	{"SCMP_CMP_GT", SCMP_CMP_GT},
	{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

static const char *const top_keys[] = {"defaultAction",
				       "defaultErrnoRet",
				       "architectures",
				       "archMap",
				       "syscalls",
				       "comment",
				       NULL};
static const char *const rule_keys[] = {"names",   "name",     "action",   "errnoRet", "args",
					"comment", "includes", "excludes", NULL};
static const char *const arg_keys[] = {"index", "value", "valueTwo", "op", NULL};
static const char *const arch_keys[] = {"architecture", "subArchitectures", NULL};

/* ---- the document ---- */

struct rule {
	const json_t *names; /* borrowed: array of strings */
	uint32_t action;
	enum action_kind kind;
	unsigned n_args;
	struct scmp_arg_cmp args[ARGS_MAX];
};

struct profile {
	uint32_t default_action;
	enum action_kind default_kind;
	struct rule *rules; /* heap */
	size_t n_rules;
};

static void profile_done(struct profile *p)
{
	free(p->rules);
}

/* JSON path of an element: "syscalls[3].args[0]". */
#define PATH_TEXT 96

static void check_keys(const json_t *object, const char *const *known, const struct json_where *w)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
		const char *const *k = known;
		const char *near;

		while (*k && !str_eq(*k, key))
			k++;
		if (*k)
			continue;
		near = str_nearest(key, known);
		if (near)
			(void)problems_add(w, key, NULL, "unknown key; did you mean '%s'?", near);
		else
			(void)problems_add(w, key, NULL, "unknown key");
	}
}

/* An optional integer within bounds; 'fallback' when absent or wrong. */
static uint64_t get_number(const json_t *object, const char *key, uint64_t max, uint64_t fallback,
			   const struct json_where *w)
{
	const json_t *v = json_object_get(object, key);

	if (!v)
		return fallback;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max) {
		(void)problems_add(w, key, v, "is not a whole number from 0 to %" PRIu64, max);
		return fallback;
	}
	return (uint64_t)json_integer_value(v);
}

static const struct action_row *get_action(const json_t *object, const char *key,
					   const struct json_where *w)
{
	const json_t *v = json_object_get(object, key);
	const char *s = json_string_value(v);

	if (!v) {
		(void)problems_add(w, key, NULL, "is missing");
		return NULL;
	}
	for (size_t i = 0; s && i < sizeof(action_rows) / sizeof(action_rows[0]); i++)
		if (str_eq(action_rows[i].name, s))
			return &action_rows[i];
	(void)problems_add(w, key, v,
			   "is not an action; known are SCMP_ACT_ALLOW, LOG, ERRNO, TRAP, "
			   "KILL_THREAD and KILL_PROCESS");
	return NULL;
}

/* An action with the errno beside it. EPERM is the format's default. */
static bool parse_action(const json_t *object, const char *key, const char *errno_key,
			 uint32_t *ret, enum action_kind *ret_kind, const struct json_where *w)
{
	const struct action_row *a = get_action(object, key, w);
	uint64_t code = get_number(object, errno_key, ERRNO_MAX, EPERM, w);

	if (!a)
		return false;
	if (!a->takes_errno && json_object_get(object, errno_key))
		(void)problems_add(w, errno_key, NULL, "has no meaning beside %s", a->name);
	*ret = a->takes_errno ? SCMP_ACT_ERRNO((uint32_t)code) : a->value;
	*ret_kind = a->kind;
	return true;
}

static void parse_arg(const json_t *arg, struct rule *r, const struct json_where *w)
{
	struct scmp_arg_cmp cmp = {0};
	const json_t *op = json_object_get(arg, "op");
	const char *s = json_string_value(op);
	size_t i = 0;

	if (!json_is_object(arg)) {
		(void)problems_add(w, NULL, arg, "is not an object");
		return;
	}
	check_keys(arg, arg_keys, w);
	if (!json_object_get(arg, "index") || !json_object_get(arg, "value"))
		(void)problems_add(w, NULL, NULL, "needs 'index', 'value' and 'op'");
	while (i < sizeof(op_rows) / sizeof(op_rows[0]) && !(s && str_eq(op_rows[i].name, s)))
		i++;
	if (i == sizeof(op_rows) / sizeof(op_rows[0])) {
		(void)problems_add(w, "op", op, "is not a comparison, such as SCMP_CMP_EQ");
		return;
	}
	cmp.op = (enum scmp_compare)op_rows[i].value;
	cmp.arg = (unsigned)get_number(arg, "index", ARGS_MAX - 1, 0, w);
	cmp.datum_a = get_number(arg, "value", INT64_MAX, 0, w);
	cmp.datum_b = get_number(arg, "valueTwo", INT64_MAX, 0, w);
	if (cmp.op == SCMP_CMP_MASKED_EQ && (cmp.datum_b & ~cmp.datum_a))
		(void)problems_add(w, "valueTwo", json_object_get(arg, "valueTwo"),
				   "has bits that the mask in 'value' takes away");
	for (unsigned k = 0; k < r->n_args; k++)
		if (r->args[k].arg == cmp.arg) {
			(void)problems_add(w, "index", json_object_get(arg, "index"),
					   "is compared twice in one rule");
			return;
		}
	r->args[r->n_args++] = cmp;
}

static void parse_args(const json_t *args, struct rule *r, const struct json_where *w)
{
	size_t i;
	json_t *arg;

	if (!args || json_is_null(args))
		return;
	if (!json_is_array(args)) {
		(void)problems_add(w, "args", args, "is not an array");
		return;
	}
	json_array_foreach (args, i, arg) {
		char path[PATH_TEXT] = "";
		struct json_where at = *w;

		(void)str_fmt(path, sizeof(path), "%s.args[%zu]", w->path, i);
		at.path = path;
		parse_arg(arg, r, &at);
	}
}

/* Docker's conditions on capabilities, architectures and kernels: silently leaving out a rule, or
 * its condition, would change what the profile means. */
static void refuse_condition(const json_t *rule, const char *key, const struct json_where *w)
{
	const json_t *v = json_object_get(rule, key);
	const char *name;
	json_t *unused;

	if (!v || json_is_null(v))
		return;
	if (!json_is_object(v)) {
		(void)problems_add(w, key, v, "is not an object");
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)v, name, unused) {
		char path[PATH_TEXT] = "";

		(void)str_fmt(path, sizeof(path), "%s.%s", key, name);
		(void)problems_add(w, path, unused,
				   "is a condition, which is not supported: write the rules that "
				   "are meant for guests without it");
	}
}

static void parse_names(const json_t *rule, struct rule *r, const struct json_where *w)
{
	size_t i;
	json_t *name;

	r->names = json_object_get(rule, "names");
	if (json_object_get(rule, "name"))
		(void)problems_add(w, "name", NULL, "is the old form; write \"names\": [\"...\"]");
	if (!json_is_array(r->names) || json_array_size(r->names) == 0) {
		(void)problems_add(w, "names", r->names, "is not a list of system calls");
		r->names = NULL;
		return;
	}
	json_array_foreach (r->names, i, name) {
		char path[PATH_TEXT] = "";

		(void)str_fmt(path, sizeof(path), "names[%zu]", i);
		if (!json_is_string(name) || json_string_length(name) == 0)
			(void)problems_add(w, path, name, "is not a system call");
	}
}

static void parse_rule(const json_t *rule, struct rule *r, const struct json_where *w)
{
	const json_t *comment = json_object_get(rule, "comment");

	if (!json_is_object(rule)) {
		(void)problems_add(w, NULL, rule, "is not an object");
		return;
	}
	check_keys(rule, rule_keys, w);
	parse_names(rule, r, w);
	if (comment && !json_is_string(comment))
		(void)problems_add(w, "comment", comment, "is not a text");
	(void)parse_action(rule, "action", "errnoRet", &r->action, &r->kind, w);
	parse_args(json_object_get(rule, "args"), r, w);
	refuse_condition(rule, "includes", w);
	refuse_condition(rule, "excludes", w);
}

/* x86_64 must be among them; what else is listed gets ENOSYS, which is said as a warning. */
static void check_architecture(const json_t *arch, const char *key, bool *found,
			       struct sbuf *warnings, const struct json_where *w)
{
	const char *s = json_string_value(arch);

	if (!s || !str_has_prefix(s, "SCMP_ARCH_"))
		(void)problems_add(w, key, arch, "is not an architecture");
	else if (str_eq(s, "SCMP_ARCH_X86_64"))
		*found = true;
	else
		sbuf_addf(warnings, "%s: system calls of this architecture get ENOSYS\n", s);
}

static void parse_architectures(const json_t *doc, struct sbuf *warnings,
				const struct json_where *w)
{
	const json_t *list = json_object_get(doc, "architectures");
	const json_t *map = json_object_get(doc, "archMap");
	bool found = !list && !map;
	char key[PATH_TEXT] = "";
	json_t *item, *sub;
	size_t i;

	if (list && !json_is_array(list))
		(void)problems_add(w, "architectures", list, "is not an array");
	json_array_foreach (list, i, item) {
		(void)str_fmt(key, sizeof(key), "architectures[%zu]", i);
		check_architecture(item, key, &found, warnings, w);
	}
	if (map && !json_is_array(map))
		(void)problems_add(w, "archMap", map, "is not an array");
	json_array_foreach (map, i, item) {
		struct json_where at = *w;
		size_t k;

		(void)str_fmt(key, sizeof(key), "archMap[%zu]", i);
		at.path = key;
		if (!json_is_object(item)) {
			(void)problems_add(&at, NULL, item, "is not an object");
			continue;
		}
		check_keys(item, arch_keys, &at);
		check_architecture(json_object_get(item, "architecture"), "architecture", &found,
				   warnings, &at);
		json_array_foreach (json_object_get(item, "subArchitectures"), k, sub)
			check_architecture(sub, "subArchitectures", &found, warnings, &at);
	}
	if (!found)
		(void)problems_add(w, list ? "architectures" : "archMap", NULL,
				   "does not have SCMP_ARCH_X86_64");
}

/* A system call that two rules without args name would mean two things. */
static void check_doubles(const struct profile *p, const struct json_where *w)
{
	_cleanup_json_ json_t *seen = json_object();

	for (size_t i = 0; seen && i < p->n_rules; i++) {
		json_t *name;
		size_t k;

		if (p->rules[i].n_args > 0)
			continue;
		json_array_foreach (p->rules[i].names, k, name) {
			const char *s = json_string_value(name);
			char key[PATH_TEXT] = "";
			const json_t *first;

			if (!s)
				continue;
			(void)str_fmt(key, sizeof(key), "syscalls[%zu].names[%zu]", i, k);
			first = json_object_get(seen, s);
			/* "Deny, except" is written with args; these two stages do not meet. */
			if (first && json_integer_value(first) != (json_int_t)i)
				(void)problems_add(w, key, name, "stands in syscalls[%d] already",
						   (int)json_integer_value(first));
			else if (first)
				(void)problems_add(w, key, name, "stands there twice");
			else
				(void)json_object_set_new(seen, s, json_integer((json_int_t)i));
		}
	}
}

static int parse_profile(const json_t *doc, struct profile *p, struct sbuf *warnings,
			 const struct json_where *w)
{
	const json_t *rules = json_object_get(doc, "syscalls");
	json_t *rule;
	size_t i;

	if (!json_is_object(doc)) {
		(void)problems_add(w, NULL, doc, "is not an object");
		return 0;
	}
	check_keys(doc, top_keys, w);
	(void)parse_action(doc, "defaultAction", "defaultErrnoRet", &p->default_action,
			   &p->default_kind, w);
	parse_architectures(doc, warnings, w);
	if (!json_is_array(rules)) {
		(void)problems_add(w, "syscalls", rules, "is not an array");
		return 0;
	}
	p->rules = calloc(json_array_size(rules) + 1, sizeof(*p->rules));
	if (!p->rules)
		return -ENOMEM;
	p->n_rules = json_array_size(rules);
	json_array_foreach (rules, i, rule) {
		char path[PATH_TEXT] = "";
		struct json_where at = *w;

		(void)str_fmt(path, sizeof(path), "syscalls[%zu]", i);
		at.path = path;
		parse_rule(rule, &p->rules[i], &at);
	}
	check_doubles(p, w);
	return 0;
}

/* ---- compiling ---- */

enum stage {
	STAGE_REFUSALS, /* with args */
	STAGE_ALLOWANCES,
	STAGE_REST,
	STAGE_MAX,
};

/* What a filter answers when it has nothing to say: an action that none of its rules has. */
static const uint32_t nothing_said[STAGE_MAX] = {
	[STAGE_REFUSALS] = SCMP_ACT_ALLOW,
	[STAGE_ALLOWANCES] = SCMP_ACT_KILL_PROCESS,
};

static enum stage stage_of(const struct rule *r)
{
	if (r->kind == ACTION_ALLOWS)
		return STAGE_ALLOWANCES;
	return r->n_args > 0 ? STAGE_REFUSALS : STAGE_REST;
}

static void release_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int add_rule(scmp_filter_ctx ctx, const struct rule *r, enum stage stage,
		    struct sbuf *warnings, struct err *err)
{
	json_t *name;
	size_t i;

	json_array_foreach (r->names, i, name) {
		const char *s = json_string_value(name);
		int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, s);
		int k;

		if (nr == __NR_SCMP_ERROR)
			sbuf_addf(warnings, "system call '%s' is not known here and left out\n", s);
		/* Negative: a call of other architectures. */
		if (nr < 0)
			continue;
		k = seccomp_rule_add_array(ctx, r->action, nr, r->n_args, r->args);
		if (k < 0)
			return err_set_errno(err, -k, "cannot add system call '%s' in stage %d", s,
					     (int)stage + 1);
	}
	return 0;
}

/* Exports through a memfd: seccomp_export_bpf_mem() came with libseccomp 2.6. */
static int export_filter(scmp_filter_ctx ctx, struct sock_filter **ret, size_t *ret_n,
			 struct err *err)
{
	_cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
	char *data;
	size_t len;
	int k;

	if (fd < 0)
		return err_sys(err, "cannot make a memfd");
	k = seccomp_export_bpf(ctx, fd);
	if (k < 0)
		return err_set_errno(err, -k, "cannot generate the filter");
	k = file_read_fd(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &data, &len, err);
	if (k < 0)
		return k;
	*ret = (struct sock_filter *)(void *)data;
	*ret_n = len / sizeof(struct sock_filter);
	return 0;
}

/* Generates one stage. */
static int generate(const struct profile *p, enum stage stage, struct sock_filter **ret,
		    size_t *ret_n, struct sbuf *warnings, struct err *err)
{
	uint32_t otherwise = stage == STAGE_REST ? p->default_action : nothing_said[stage];
	_cleanup_(release_filter) scmp_filter_ctx ctx = seccomp_init(otherwise);
	int k;

	if (!ctx)
		return err_set(err, ENOMEM, "cannot start a filter");
	if (seccomp_arch_native() != SCMP_ARCH_X86_64)
		return err_set(err, EOPNOTSUPP, "cannot compile profiles: x86_64 only");
	k = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (k == 0)
		k = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_BINARY_TREE);
	if (k < 0)
		return err_set_errno(err, -k, "cannot set up the filter");
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct rule *r = &p->rules[i];

		/* libseccomp refuses a rule that says what the default says. */
		if (stage_of(r) != stage || r->action == otherwise)
			continue;
		k = add_rule(ctx, r, stage, warnings, err);
		if (k < 0)
			return k;
	}
	return export_filter(ctx, ret, ret_n, err);
}

static bool stage_has_rules(const struct profile *p, enum stage stage)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (stage_of(&p->rules[i]) == stage)
			return true;
	return stage == STAGE_REST;
}

static int append(struct seccomp_program *prog, const struct sock_filter *insns, size_t n,
		  enum stage stage, struct err *err)
{
	struct sock_filter *all;

	if (prog->n + n > BPF_MAXINSNS)
		return err_set(err, E2BIG, "the filter is longer than %d instructions",
			       BPF_MAXINSNS);
	all = reallocarray(prog->insns, prog->n + n, sizeof(*all));
	if (!all)
		return err_set(err, ENOMEM, "cannot join the filters: out of memory");
	prog->insns = all;
	memcpy(&all[prog->n], insns, n * sizeof(*all));
	for (size_t i = 0; stage != STAGE_REST && i < n; i++) {
		struct sock_filter *f = &all[prog->n + i];

		if (f->code == (BPF_RET | BPF_K) && f->k == nothing_said[stage])
			*f = (struct sock_filter){.code = BPF_JMP | BPF_JA,
						  .k = (uint32_t)(n - i - 1)};
	}
	prog->n += n;
	return 0;
}

static int compile(const struct profile *p, struct seccomp_program *prog, struct err *err)
{
	for (int s = 0; s < STAGE_MAX; s++) {
		enum stage stage = (enum stage)s;
		_cleanup_free_ struct sock_filter *insns = NULL;
		size_t n = 0;
		int k;

		if (!stage_has_rules(p, stage))
			continue;
		k = generate(p, stage, &insns, &n, &prog->warnings, err);
		if (k == 0)
			k = append(prog, insns, n, stage, err);
		if (k < 0)
			return k;
	}
	return 0;
}

void seccomp_program_done(struct seccomp_program *p)
{
	free(p->insns);
	sbuf_done(&p->warnings);
	*p = SECCOMP_PROGRAM_INIT;
}

int seccomp_profile_compile(const char *text, size_t len, const struct json_where *w,
			    struct seccomp_program *ret, struct err *err)
{
	_cleanup_seccomp_program_ struct seccomp_program prog = SECCOMP_PROGRAM_INIT;
	_cleanup_(profile_done) struct profile p = {0};
	_cleanup_json_ json_t *doc = NULL;
	size_t before = problems_count(w->problems);
	int k = json_text_load(text, len, 0, w, &doc);

	if (k == 0)
		k = parse_profile(doc, &p, &prog.warnings, w);
	if (problems_count(w->problems) > before)
		return problems_to_err(w->problems, err);
	if (k < 0)
		return err_set_errno(err, -k, "cannot read the profile");
	k = compile(&p, &prog, err);
	if (k < 0)
		return err_ctx(err, "cannot compile '%s'", w->file);
	if (!sbuf_ok(&prog.warnings))
		return err_set(err, ENOMEM, "cannot compile '%s': out of memory", w->file);
	*ret = prog;
	prog = SECCOMP_PROGRAM_INIT;
	return 0;
}
