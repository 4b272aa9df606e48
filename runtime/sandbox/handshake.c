/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a launch: see handshake.h. */
#include "runtime/sandbox/handshake.h"

static int send_and_free(int sock, struct msg *m, struct err *err)
{
	int r = msg_send(sock, m, err);

	msg_free(m);
	return r;
}

int sbx_send(int sock, enum sbx_record type, const int *fds, size_t n, struct err *err)
{
	struct msg *m = msg_new(type, 0);
	int r = 0;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n && r >= 0; i++)
		r = msg_add_fd(m, fds[i]);
	if (r < 0) {
		msg_free(m);
		return err_set(err, -r, "cannot pass file descriptors");
	}
	return send_and_free(sock, m, err);
}

int sbx_send_born(int sock, uint32_t pid, int pidfd, struct err *err)
{
	struct msg *m = msg_new(SBX_RECORD_BORN, 0);

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	wire_put_u32(m, pid);
	(void)msg_add_fd(m, pidfd); /* the first of many that fit */
	return send_and_free(sock, m, err);
}

int sbx_send_started(int sock, const char *warning, const int fds[3], struct err *err)
{
	struct msg *m = msg_new(SBX_RECORD_STARTED, 0);

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	wire_put_str(m, warning);
	for (int i = 0; i < 3; i++)
		(void)msg_add_fd(m, fds[i]); /* the first of many that fit */
	return send_and_free(sock, m, err);
}

void sbx_send_failed(int sock, const struct err *why)
{
	struct msg *m = msg_new(SBX_RECORD_FAILED, 0);

	if (!m)
		return;
	wire_put_u32(m, (uint32_t)why->code);
	wire_put_str(m, err_text(why));
	(void)send_and_free(sock, m, NULL);
}

int sbx_await_exec(int sock, struct msg *m, struct err *err)
{
	struct msg *end;
	int r = msg_expect(sock, m, SBX_RECORD_READY, SBX_RECORD_FAILED, err);

	/* Not EPIPE, which says to the caller that the helper itself is gone. */
	if (r == -EPIPE)
		return err_set(err, ECONNABORTED,
			       "the new process ended before it ran the program");
	if (r < 0)
		return r;
	end = msg_new(0, 0);
	if (!end)
		return err_set(err, ENOMEM, "out of memory");
	/* The other end is closed by execve(2); a record instead of the end of file tells why not.
	 */
	r = msg_expect(sock, end, SBX_RECORD_READY, SBX_RECORD_FAILED, err);
	msg_free(end);
	if (r == -EPIPE) {
		if (err)
			*err = ERR_INIT;
		return 0;
	}
	return r < 0 ? r : err_set(err, EPROTO, "unexpected record");
}
