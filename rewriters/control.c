/*
 * The control data of a message, where the policy holds internet addresses. A message to a permitted address may choose in
 * it by which interface it leaves, or by way of whom (IP_PKTINFO, IPV6_PKTINFO, IPV6_RTHDR), and the kernel asks for no
 * privilege. So the data is copied, and made anew in the pad of the kinds below, which lead nowhere; others are refused.
 */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

struct header { /* struct cmsghdr */
	uint64_t len;
	int32_t level, type;
};

#define SOL_IP 0
#define SOL_SOCKET 1
#define SOL_UDP 17
#define SOL_IPV6 41

static int rights(struct cw_control *to, const char *data, uint64_t len)
{
	uint64_t n = len / sizeof(to->fd[0]);

	if (n > CW_CONTROL_FDS - to->n_fds) /* SCM_MAX_FD, of all that a message has: scm_fp_copy in net/core/scm.c */
		return -EINVAL;
	cw_copy(to->fd + to->n_fds, data, n * sizeof(to->fd[0]));
	to->n_fds += (uint32_t)n;
	return 0;
}

/* One of the kinds: 0, or -EINVAL; -EPERM for another. */
static int one(struct cw_control *to, const struct header *h, const char *data, uint64_t len)
{
	if (h->level == SOL_SOCKET && h->type == 1 /* SCM_RIGHTS */)
		return rights(to, data, len);
	if (h->level == SOL_SOCKET && h->type == 2 /* SCM_CREDENTIALS */) {
		to->which |= CW_CONTROL_CREDS;
		if (len != sizeof(to->creds))
			return -EINVAL;
		cw_copy(to->creds, data, sizeof(to->creds));
	} else if (h->level == SOL_UDP && h->type == 103 /* UDP_SEGMENT */) {
		to->which |= CW_CONTROL_SEGMENT;
		if (len != sizeof(to->segment))
			return -EINVAL;
		cw_copy(&to->segment, data, sizeof(to->segment));
	} else if (h->level == SOL_IP && h->type == 1 /* IP_TOS */) {
		to->which |= CW_CONTROL_TOS;
		if (len == 1)
			to->tos = (unsigned char)data[0];
		else if (len == sizeof(to->tos))
			cw_copy(&to->tos, data, sizeof(to->tos));
		else
			return -EINVAL;
	} else if (h->level == SOL_IPV6 && h->type == 67 /* IPV6_TCLASS */) {
		to->which |= CW_CONTROL_TCLASS;
		if (len != sizeof(to->tclass))
			return -EINVAL;
		cw_copy(&to->tclass, data, sizeof(to->tclass));
	} else
		return -EPERM;
	return 0;
}

bool cw_holds_control(const struct cw_ctx *c)
{
	if (c->image->h->net != CW_NET_NONE)
		return c->image->h->net == CW_NET_LOOPBACK;
	for (uint32_t i = 0; i < c->image->n_addrs; i++)
		if (c->image->addrs[i].op == CW_ADDR_CONNECT)
			return true;
	return false;
}

/* In the way of the kernel's for_each_cmsghdr (include/linux/socket.h). */
int cw_take_control(struct cw_ctx *c, const struct k_msghdr *m)
{
	struct cw_control *to = &c->control;
	struct header h;

	cw_zero(to, sizeof(*to));
	if (m->controllen > sizeof(c->text)) /* net.core.optmem_max */
		return -ENOBUFS;
	int err = c->ops->read(c, c->text, (struct tptr){m->control}, m->controllen);

	for (uint64_t at = 0; !err && m->controllen - at >= sizeof(h); at += (h.len + 7) & ~UINT64_C(7)) {
		cw_copy(&h, c->text + at, sizeof(h));
		if (h.len < sizeof(h) || h.len > m->controllen - at)
			return -EINVAL;
		err = one(to, &h, c->text + at + sizeof(h), h.len - sizeof(h));
		if (((h.len + 7) & ~UINT64_C(7)) > m->controllen - at)
			break;
	}
	/* what is of a datagram and what is of a unix socket never go together, nor do IPv4 and IPv6 */
	const uint32_t datagram = CW_CONTROL_TOS | CW_CONTROL_SEGMENT | CW_CONTROL_TCLASS;

	if (!err && (to->which & datagram) && (to->n_fds || to->which & CW_CONTROL_CREDS))
		err = -EPERM;
	if (!err && (to->which & datagram) == (CW_CONTROL_TOS | CW_CONTROL_TCLASS))
		err = -EPERM;
	return err;
}
