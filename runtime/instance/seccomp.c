/* SPDX-License-Identifier: Apache-2.0 */
/* The system call filter: compiled by a job at the start of vpsd, kept in a sealed memfd. */
#include <linux/filter.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/instance/private.h"

#define SECCOMP_LIMIT (60 * USEC_PER_SEC)

static void on_output(void *arg, const void *data, size_t len)
{
	struct inst_manager *m = arg;

	/* What the kernel takes at the most, and a byte: anything longer is refused below. */
	if (m->seccomp_text.len <= BPF_MAXINSNS * sizeof(struct sock_filter))
		sbuf_add(&m->seccomp_text, data, len);
}

static int keep_program(struct inst_manager *m, struct err *err)
{
	const struct sbuf *b = &m->seccomp_text;

	if (!sbuf_ok(b))
		return err_set(err, ENOMEM, "cannot load the seccomp profile: out of memory");
	if (b->len == 0 || b->len % sizeof(struct sock_filter) != 0 ||
	    b->len > BPF_MAXINSNS * sizeof(struct sock_filter))
		return err_set(err, EBADMSG, "'%s' compiled to %zu bytes, which is no program",
			       m->seccomp_path, b->len);
	m->seccomp = file_memfd("seccomp", b->data, b->len, err);
	return m->seccomp < 0 ? m->seccomp : 0;
}

static void on_compiled(void *arg, const char *code, const struct err *job_err, json_t *result)
{
	struct inst_manager *m = arg;
	struct err err = ERR_INIT;

	(void)code;
	(void)result;
	if (job_err)
		err = *job_err;
	else
		(void)keep_program(m, &err);
	sbuf_done(&m->seccomp_text);
	m->seccomp_text = SBUF_INIT;
	if (err.code)
		(void)err_ctx(&err, "cannot compile the seccomp profile '%s'", m->seccomp_path);
	manager_start_step(m, err.code ? &err : NULL);
}

int seccomp_start(struct inst_manager *m, struct err *err)
{
	const char *const argv[] = {"seccomp", m->seccomp_path, NULL};
	const struct job_spec job = {.argv = argv,
				     .flags = JOB_STDOUT_RAW | JOB_IMMEDIATE,
				     .timeout_usec = SECCOMP_LIMIT,
				     .raw = on_output,
				     .done = on_compiled,
				     .arg = m};

	return job_start(m->jobs, &job, NULL, err);
}
