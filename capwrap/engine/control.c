/*
 * Control data of messages in the pad. A header that stands there may be used by any thread at any time, also while what it
 * leads to is being written. So of one slot the lengths, levels and types never change: each kind has its place, a message
 * of some of them is a run of neighbours, and each descriptor is of a header of its own, which the kernel takes together
 * (scm_fp_copy in net/core/scm.c). Only values change, and whatever they are they lead nowhere.
 */
#include "capwrap/engine/internal.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SCM_CREDENTIALS
#define SCM_CREDENTIALS 2
#endif

#define SLOTS ((CW_PAD_CONTROL_END - CW_PAD_CONTROL) / CW_PAD_CONTROL_STRIDE)

/* struct cmsghdr, whose end is open */
struct header {
	uint64_t len;
	int32_t level, type;
};

_Static_assert(sizeof(struct header) == CMSG_LEN(0), "as the kernel has it");

struct number {
	struct header header;
	int32_t value, rest;
};

struct layout {
	struct number tos, segment, tclass;
	uint8_t end[sizeof(struct header) + 8]; /* zeros: no header has so small a length, and nothing runs on */
	struct {
		struct header header;
		uint32_t value[3], rest;
	} creds;
	struct number fd[CW_CONTROL_FDS];
};

#define FDS offsetof(struct layout, fd)
_Static_assert(FDS + sizeof(struct layout) - offsetof(struct layout, creds) <= CW_PAD_CONTROL_STRIDE,
               "the greatest length of one message ends in the same slot from the start of any other");
_Static_assert(SLOTS == sizeof(((struct cw_engine *)0)->control) / sizeof(((struct cw_engine *)0)->control[0]),
               "one owner a slot");

static void make(struct layout *l)
{
	l->tos.header = (struct header){CMSG_LEN(sizeof(int32_t)), IPPROTO_IP, IP_TOS};
	l->segment.header = (struct header){CMSG_LEN(sizeof(uint16_t)), IPPROTO_UDP, UDP_SEGMENT};
	l->tclass.header = (struct header){CMSG_LEN(sizeof(int32_t)), IPPROTO_IPV6, IPV6_TCLASS};
	l->creds.header = (struct header){CMSG_LEN(sizeof(l->creds.value)), SOL_SOCKET, SCM_CREDENTIALS};
	for (int i = 0; i < CW_CONTROL_FDS; i++)
		l->fd[i].header = (struct header){CMSG_LEN(sizeof(int32_t)), SOL_SOCKET, SCM_RIGHTS};
}

/* Until its thread's message is sent, or the thread has come to us for another call, or is no more. */
static bool awaited(struct cw_engine *e, size_t i)
{
	const struct cw_task *t = e->control[i].tid ? cw_task_find(e, e->control[i].tid) : NULL;

	return t && t->control == (int)i + 1 && t->slot >= 0 && e->result[t->slot] == CW_NO_RESULT;
}

bool cw_control_put(struct cw_engine *e, struct cw_task *t, const struct cw_control *c, uint64_t at[2])
{
	const uint32_t numbers = c->which & (CW_CONTROL_TOS | CW_CONTROL_SEGMENT | CW_CONTROL_TCLASS);
	size_t i = 0, from, end;

	at[0] = at[1] = 0;
	if (!c->which && !c->n_fds)
		return true;
	while (i < SLOTS && awaited(e, i))
		i++;
	if (i == SLOTS)
		return false;
	uint64_t slot = CW_PAD_CONTROL + i * CW_PAD_CONTROL_STRIDE;
	struct layout *l = (void *)(e->pad + (slot - CW_PAD_BASE));

	if (!e->control[i].made)
		make(l);
	e->control[i].made = true;
	e->control[i].tid = t->tid;
	t->control = (int)i + 1;
	l->tos.value = c->tos;
	memcpy(&l->segment.value, &c->segment, sizeof(c->segment));
	l->tclass.value = c->tclass;
	memcpy(l->creds.value, c->creds, sizeof(c->creds));
	for (uint32_t k = 0; k < c->n_fds; k++)
		l->fd[k].value = c->fd[k];
	if (numbers) {
		from = numbers & CW_CONTROL_TOS       ? offsetof(struct layout, tos)
		       : numbers & CW_CONTROL_SEGMENT ? offsetof(struct layout, segment)
		                                      : offsetof(struct layout, tclass);
		end = numbers & CW_CONTROL_TCLASS    ? offsetof(struct layout, end)
		      : numbers & CW_CONTROL_SEGMENT ? offsetof(struct layout, tclass)
		                                     : offsetof(struct layout, segment);
	} else {
		from = c->which & CW_CONTROL_CREDS ? offsetof(struct layout, creds) : offsetof(struct layout, fd);
		end = offsetof(struct layout, fd) + c->n_fds * sizeof(l->fd[0]);
	}
	at[0] = slot + from;
	at[1] = end - from;
	return true;
}
