/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images. An upload flows from the client's connection into the import job's standard input; when
 * the job is slower, the connection is parked, so nothing piles up in memory.
 */
#include "runtime/daemon/api.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/num.h"

/* While the job waits for its turn there is nothing to poll. */
#define QUEUED_POLL_USEC 50000u

int api_images_list(struct request *rq, struct err *err)
{
	(void)err;
	const struct catalog *c = inst_catalog(api_of(rq)->manager);
	json_t *a = json_array();
	for (size_t i = 0; i < c->n_images; i++)
		(void)json_array_append_new(a, api_image(c->images[i]));
	request_json(rq, 200, json_pack("{s:o}", "images", a));
	return 0;
}

int api_image_get(struct request *rq, struct err *err)
{
	const struct inst_image *i =
		catalog_image(inst_catalog(api_of(rq)->manager), request_param(rq, 0));
	if (!i) {
		(void)err_set(err, ENOENT, "there is no such image");
		return err_hint(err, "'vps image ls' lists the images");
	}
	request_json(rq, 200, api_image(i));
	return 0;
}

int api_image_build(struct request *rq, struct err *err)
{
	const char *name = NULL, *release = NULL;
	const struct api_arg args[] = {
		{"name", 's', false, &name},
		{"release", 's', true, &release},
	};
	struct op *op = NULL;
	int r = API_ARGS(rq, args, err);
	if (r == 0)
		r = inst_image_build(api_of(rq)->manager, name ? name : release, release, &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

int api_image_delete(struct request *rq, struct err *err)
{
	struct op *op = NULL;
	int r = inst_image_delete(api_of(rq)->manager, request_param(rq, 0), &op, err);
	return r < 0 ? r : api_answer_op(rq, op, err);
}

/* --- upload -------------------------------------------------------------------------------- */

struct upload {
	struct request *rq;
	struct job *job; /* NULL once the operation has ended */
	struct op_watch *watch;
	sd_event_source *io, *timer;
	int fd;		/* duplicate of the job's stdin; -1 = not yet, or closed */
	bool body_done; /* the client has sent all */
	bool refused;	/* the job reads no more: the rest is dropped */
	bool ended;
	bool ok;
	struct err err;
	json_t *result;
};

static void close_input(struct upload *u)
{
	u->io = sd_event_source_disable_unref(u->io);
	u->timer = sd_event_source_disable_unref(u->timer);
	cleanup_close(&u->fd);
	if (u->job)
		job_stdin_close(u->job);
}

static void upload_release(struct request *rq, void *data)
{
	(void)rq;
	struct upload *u = data;
	op_watch_cancel(u->watch);
	close_input(u);
	if (u->job) /* the client went away */
		job_cancel(u->job);
	json_decref(u->result);
	free(u);
}

static void answer_upload(struct upload *u)
{
	if (u->ok)
		request_json(u->rq, 201, json_incref(u->result));
	else
		request_error(u->rq, &u->err);
}

static void on_import_ended(void *arg, struct op *op)
{
	struct upload *u = arg;
	u->watch = NULL;
	u->ended = true;
	u->refused = true;
	u->ok = op->status == OP_DONE;
	u->err = op->err;
	u->result = op->result ? json_incref(op->result) : json_object();
	/* A job that outlives its operation reads no more. */
	close_input(u);
	u->job = NULL;
	if (u->body_done)
		answer_upload(u);
	else
		request_wake(u->rq);
}

int api_image_begin(struct request *rq, struct err *err)
{
	const char *name = request_query(rq, "name"), *digest = request_query(rq, "digest");
	const char *length = request_header(rq, "Content-Length");
	uint64_t size = 0;
	if (!name)
		return err_set(err, EINVAL, "the request needs ?name=NAME");
	if (length && num_parse_u64(length, 0, INT64_MAX, &size) < 0)
		return err_set(err, EINVAL, "the Content-Length is not a number");
	struct upload *u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(err, ENOMEM, "no memory for the upload");
	u->rq = rq;
	u->fd = -1;
	struct op *op = NULL;
	int r = inst_image_import(api_of(rq)->manager, name, digest, size, &op, &u->job, err);
	if (r < 0) {
		free(u);
		return r;
	}
	request_set_data(rq, u, upload_release);
	return op_watch(op, OP_WHEN_ENDED, on_import_ended, u, &u->watch, err);
}

static int on_writable(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)s;
	(void)fd;
	(void)revents;
	struct upload *u = userdata;
	request_wake(u->rq);
	return 0;
}

static int on_turn(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	struct upload *u = userdata;
	request_wake(u->rq);
	return 0;
}

/* Arranges for request_wake() when the job may take bytes; 0, or a negative errno. */
static int wake_later(struct upload *u, struct err *err)
{
	sd_event *event = api_of(u->rq)->event;
	int r;
	if (u->fd < 0) {
		u->timer = sd_event_source_disable_unref(u->timer);
		r = sd_event_add_time_relative(event, &u->timer, CLOCK_MONOTONIC, QUEUED_POLL_USEC,
					       1000, on_turn, u);
	} else if (!u->io) {
		r = sd_event_add_io(event, &u->io, u->fd, EPOLLOUT, on_writable, u);
		if (r >= 0)
			r = sd_event_source_set_enabled(u->io, SD_EVENT_ONESHOT);
	} else {
		r = sd_event_source_set_enabled(u->io, SD_EVENT_ONESHOT);
	}
	return r < 0 ? err_set(err, -r, "cannot wait for the import job") : 0;
}

ssize_t api_image_body(struct request *rq, const char *data, size_t len, struct err *err)
{
	struct upload *u = request_data(rq);
	if (u->refused)
		return (ssize_t)len;
	if (u->fd < 0) {
		int fd = job_stdin(u->job);
		if (fd < 0)
			return wake_later(u, err);
		u->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (u->fd < 0)
			return err_sys(err, "cannot reach the import job");
	}
	ssize_t n = write(u->fd, data, len);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return wake_later(u, err);
	/* EPIPE: it has read enough, or failed; its own word comes with the operation's end. */
	u->refused = true;
	return (ssize_t)len;
}

int api_image_end(struct request *rq, struct err *err)
{
	(void)err;
	struct upload *u = request_data(rq);
	u->body_done = true;
	close_input(u);
	request_defer(rq);
	if (u->ended)
		answer_upload(u);
	return 0;
}
