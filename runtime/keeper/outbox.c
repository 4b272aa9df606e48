/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of records to send. */
#include "runtime/keeper/outbox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct outbox_item {
	struct outbox_item *next;
	uint32_t type;
	uint32_t seq;
	size_t len;
	size_t n_fds;
	int *fds;	   /* behind the payload; owned */
	uint8_t payload[]; /* padded to the alignment of int */
};

static void item_free(struct outbox_item *i)
{
	for (size_t n = 0; n < i->n_fds; n++)
		(void)close(i->fds[n]);
	free(i);
}

void outbox_done(struct outbox *o)
{
	while (o->head) {
		struct outbox_item *next = o->head->next;

		item_free(o->head);
		o->head = next;
	}
	o->tail = NULL;
	o->n = 0;
}

static int push(struct outbox *o, const struct msg *m, struct err *err)
{
	struct outbox_item *i;
	size_t padded;

	if (o->n >= o->max)
		return err_set(err, ENOBUFS, "%zu records wait to be sent", o->n);
	if (m->len > MSG_PAYLOAD_MAX || m->n_fds > MSG_FDS_MAX)
		return err_set(err, EMSGSIZE, "record %u is too long", m->type);
	padded = (m->len + sizeof(int) - 1) / sizeof(int) * sizeof(int);
	i = malloc(sizeof(*i) + padded + m->n_fds * sizeof(int));
	if (!i)
		return err_set(err, ENOMEM, "cannot queue record %u: out of memory", m->type);
	*i = (struct outbox_item){.type = m->type, .seq = m->seq, .len = m->len};
	i->fds = (int *)(void *)(i->payload + padded);
	memcpy(i->payload, m->payload, m->len);
	for (; i->n_fds < m->n_fds; i->n_fds++) {
		int fd = fcntl(m->fds[i->n_fds], F_DUPFD_CLOEXEC, 3);
		int r;

		if (fd < 0) {
			r = err_sys(err, "cannot queue the fds of record %u", m->type);
			item_free(i);
			return r;
		}
		i->fds[i->n_fds] = fd;
	}
	if (o->tail)
		o->tail->next = i;
	else
		o->head = i;
	o->tail = i;
	o->n++;
	return 0;
}

int outbox_send(struct outbox *o, int sock, const struct msg *m, struct err *err)
{
	int r;

	if (o->head)
		return push(o, m, err);
	r = msg_send(sock, m, err);
	return r == -EAGAIN ? push(o, m, err) : r;
}

int outbox_flush(struct outbox *o, int sock, struct msg *scratch, struct err *err)
{
	while (o->head) {
		struct outbox_item *i = o->head;
		int r;

		msg_reset(scratch, i->type, i->seq);
		memcpy(scratch->payload, i->payload, i->len);
		scratch->len = i->len;
		for (size_t n = 0; n < i->n_fds; n++)
			(void)msg_add_fd(scratch, i->fds[n]);
		r = msg_send(sock, scratch, err);
		msg_reset(scratch, 0, 0);
		if (r == -EAGAIN)
			return 0;
		if (r < 0)
			return r;
		o->head = i->next;
		if (!o->head)
			o->tail = NULL;
		o->n--;
		item_free(i);
	}
	return 0;
}
