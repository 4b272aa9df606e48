/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the records share. */
#include "runtime/keeper/proto.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum keeper_exit keeper_classify(uint32_t status)
{
	if (WIFEXITED((int)status))
		return KEEPER_EXIT_CODE;
	if (!WIFSIGNALED((int)status))
		return KEEPER_EXIT_UNKNOWN;
	/* No kill(2) can do this: an init's default actions are ignored, those of signals from
	 * outside but for SIGKILL included (pid_namespaces(7)). These two are reboot(2)'s. */
	if (WTERMSIG((int)status) == SIGHUP)
		return KEEPER_EXIT_REBOOT;
	if (WTERMSIG((int)status) == SIGINT)
		return KEEPER_EXIT_POWEROFF;
	return KEEPER_EXIT_KILLED;
}

uint32_t keeper_exit_code(uint32_t status)
{
	if (WIFEXITED((int)status))
		return (uint32_t)WEXITSTATUS((int)status);
	if (WIFSIGNALED((int)status))
		return 128u + (uint32_t)WTERMSIG((int)status);
	return 255;
}

bool keeper_is_id(const char *s)
{
	return strlen(s) == ID_TEXT - 1 && strspn(s, "0123456789abcdef") == ID_TEXT - 1;
}

void keeper_guest_put(struct msg *m, const struct keeper_guest *g)
{
	wire_put_str(m, g->id);
	wire_put_u64(m, g->boot);
	wire_put_u32(m, g->pid);
	wire_put_u64(m, g->start);
	wire_put_u8(m, g->ready);
	wire_put_u8(m, g->how);
	wire_put_u32(m, g->status);
}

void keeper_guest_get(struct wire *w, struct keeper_guest *ret)
{
	uint8_t ready;

	*ret = (struct keeper_guest){0};
	wire_get_str_to(w, ret->id, sizeof(ret->id));
	ret->boot = wire_get_u64(w);
	ret->pid = wire_get_u32(w);
	ret->start = wire_get_u64(w);
	ready = wire_get_u8(w);
	ret->how = wire_get_u8(w);
	ret->status = wire_get_u32(w);
	ret->ready = ready != 0;
	if (ready > 1 || ret->how >= KEEPER_EXIT_MAX)
		w->bad = true;
}
