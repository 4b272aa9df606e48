/* SPDX-License-Identifier: Apache-2.0 */
/* fds that must outlive vpsd, by key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/keeper/client.h"
#include "runtime/keeper/keeper.h"

/* The link that points to the key's entry, or the end of the list. */
static struct held **find(struct keeper *k, const char *key)
{
	struct held **p = &k->held;

	while (*p && strcmp((*p)->key, key) != 0)
		p = &(*p)->next;
	return p;
}

static int read_key(struct wire *w, char key[KEEPER_KEY_MAX + 1], struct err *err)
{
	wire_get_str_to(w, key, KEEPER_KEY_MAX + 1);
	if (w->bad || key[0] == '\0')
		return err_set(err, EPROTO, "received a malformed key");
	return wire_done(w, err);
}

int held_hold(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	char key[KEEPER_KEY_MAX + 1];
	struct held **p, *h;
	int r = read_key(w, key, err);

	if (r < 0)
		return r;
	p = find(k, key);
	if (!*p) {
		if (k->n_held >= KEEPER_HELD_MAX)
			return err_set(err, ENOSPC, "cannot hold '%s': %zu fds are held", key,
				       k->n_held);
		h = calloc(1, sizeof(*h));
		if (!h)
			return err_set(err, ENOMEM, "cannot hold '%s': out of memory", key);
		memcpy(h->key, key, sizeof(h->key));
		h->fd = -1;
		*p = h;
		k->n_held++;
	}
	cleanup_close(&(*p)->fd);
	(*p)->fd = msg_take_fd(m, 0);
	return 1;
}

int held_unhold(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	char key[KEEPER_KEY_MAX + 1];
	struct held **p, *h;
	int r = read_key(w, key, err);

	(void)m;
	if (r < 0)
		return r;
	p = find(k, key);
	h = *p;
	if (!h)
		return err_set(err, ENOENT, "nothing is held as '%s'", key);
	*p = h->next;
	cleanup_close(&h->fd);
	free(h);
	k->n_held--;
	return 1;
}

int held_get(struct keeper *k, struct msg *m, struct wire *w, struct err *err)
{
	char key[KEEPER_KEY_MAX + 1];
	const struct held *h;
	struct msg *answer;
	int r = read_key(w, key, err);

	if (r < 0)
		return r;
	h = *find(k, key);
	if (!h)
		return err_set(err, ENOENT, "nothing is held as '%s'", key);
	answer = server_begin(k, KEEPER_HELD_ACK, m->seq);
	(void)msg_add_fd(answer, h->fd);
	server_send(k, 0);
	return 0;
}
