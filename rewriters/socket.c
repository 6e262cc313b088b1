/*
 * Sockets by address: connect, bind, sendto, sendmsg, sendmmsg, listen, and their names. An address is decided on a copy, and the kernel
 * uses the copy: it stands in the pad, where only what the policy permits for the whole run is ever published.
 */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

#define HALF(first, end) ((first) + ((end) - (first)) / 2)

struct copy {
	unsigned char b[128];
	uint32_t len;
	uint32_t family;
};

/* The errors of the descriptor come before those of the address. */
static bool is_socket(struct cw_ctx *c)
{
	uint32_t mode = 0;
	uint64_t dev, ino;
	int held = c->ops->hold_fd(c, (int)(uint32_t)c->call.arg[0]), err = held;

	if (held >= 0) {
		err = c->ops->stat(c, held, &mode, &dev, &ino);
		c->ops->close(c, held);
	}
	if (err >= 0 && (mode & K_S_IFMT) != K_S_IFSOCK)
		err = -ENOTSOCK;
	if (err < 0)
		cw_fail(c, -err);
	return err >= 0;
}

static uint32_t port_of(const struct copy *s)
{
	return (uint32_t)s->b[2] << 8 | s->b[3];
}

static int take(struct cw_ctx *c, struct copy *s, uint64_t addr, uint64_t len)
{
	int32_t n = (int32_t)(uint32_t)len;

	cw_zero(s, sizeof(*s));
	if (n < 0 || n > 128)
		return -EINVAL;
	s->len = (uint32_t)n;
	int err = n ? c->ops->read(c, s->b, (struct tptr){addr}, (size_t)n) : 0;

	if (err)
		return err;
	s->family = n >= 2 ? (uint32_t)s->b[0] | (uint32_t)s->b[1] << 8 : 0;
	/* sizeof(struct sockaddr_un), in unix_validate_addr of net/unix/af_unix.c; nor is a longer one let through */
	return n < 2 || (s->family == K_AF_UNIX && n > CW_PAD_UN_LEN) ? -EINVAL : 0;
}

/* As people write it: the longest run of zero groups is left out (RFC 5952). Returns the number of characters. */
static int put_inet6(char *dst, const uint8_t a[16])
{
	static const char hex[] = "0123456789abcdef";
	size_t from = 8, length = 1; /* of the run: one group alone is written */
	char *o = dst;

	for (size_t i = 0, n; i < 8; i += n + 1) {
		for (n = 0; i + n < 8 && !a[2 * (i + n)] && !a[2 * (i + n) + 1]; n++)
			;
		if (n > length) {
			from = i;
			length = n;
		}
	}
	for (size_t i = 0; i < 8; i++) {
		uint32_t v = (uint32_t)a[2 * i] << 8 | a[2 * i + 1];

		if (i == from) {
			*o++ = ':';
			*o++ = ':';
			i += length - 1;
			continue;
		}
		if (i && i != from + length)
			*o++ = ':';
		for (int k = 12; k >= 0; k -= 4)
			if (v >> k || !k)
				*o++ = hex[(v >> k) & 15];
	}
	return (int)(o - dst);
}

/* For the record and the flag that would allow it: tcp:ADDR:PORT */
static void say_inet(struct cw_ctx *c, const struct copy *s)
{
	char *o = c->rec.extra;

	cw_copy(o, "tcp:", 4);
	o += 4;
	if (s->family == K_AF_INET) {
		for (int i = 4; i < 8; i++) {
			o += cw_put_number(o, s->b[i]);
			*o++ = i < 7 ? '.' : ':';
		}
	} else {
		*o++ = '[';
		o += put_inet6(o, s->b + 8);
		*o++ = ']';
		*o++ = ':';
	}
	cw_put_number(o, port_of(s));
}

static bool is_loopback(const struct copy *s)
{
	if (s->family == K_AF_INET)
		return s->b[4] == 127;
	for (int i = 8; i < 23; i++)
		if (s->b[i])
			return false;
	return s->b[23] == 1;
}

static bool listed(struct cw_ctx *c, const struct copy *s, uint32_t op)
{
	for (uint32_t i = 0; i < c->image->n_addrs; i++) {
		const struct cw_addr *a = &c->image->addrs[i];
		bool inet = s->family == K_AF_INET;

		if (a->op == op && a->family == s->family && (!a->port || a->port == port_of(s)) &&
		    !cw_memcmp(a->addr, s->b + (inet ? 4 : 8), inet ? 4 : 16))
			return true;
	}
	return false;
}

enum inet_verdict { INET_NO, INET_YES, INET_ASK };

static enum inet_verdict inet(struct cw_ctx *c, const struct copy *s, uint32_t op)
{
	uint32_t net = c->image->h->net;

	if (net == CW_NET_HOST || listed(c, s, op))
		return INET_YES;
	if (net == CW_NET_LOOPBACK && is_loopback(s))
		return op == CW_ADDR_BIND ? INET_YES : INET_ASK;
	return INET_NO;
}

/* The published copy of a permitted inet address: its address and the length that goes with it. */
static uint64_t publish_inet(struct cw_ctx *c, const struct copy *s, uint32_t op, uint64_t *len)
{
	struct copy exact = *s;
	bool four = s->family == K_AF_INET || s->family == K_AF_UNSPEC;
	uint64_t region = four ? CW_PAD_IN4 : CW_PAD_IN6;

	*len = four ? 16 : 28;
	if (op == CW_ADDR_BIND)
		region = four ? HALF(CW_PAD_IN4, CW_PAD_IN4_END) : HALF(CW_PAD_IN6, CW_PAD_IN6_END);
	if (s->family == K_AF_UNSPEC)
		cw_zero(exact.b, sizeof(exact.b));
	if (four) /* sin_zero, which the kernel does not look at */
		cw_zero(exact.b + 8, 8);
	return c->ops->publish_addr(c, region, exact.b, *len);
}

static bool inet_len_ok(const struct copy *s)
{
	return s->len >= (s->family == K_AF_INET ? 16u : s->family == K_AF_INET6 ? 24u : 2u);
}

/* A unix path: NUL-terminated copy in c->path. False for an abstract or unnamed address. */
static bool unix_path(struct cw_ctx *c, const struct copy *s)
{
	if (s->len <= 2 || !s->b[2])
		return false;
	uint32_t n = s->len - 2;

	cw_copy(c->path, s->b + 2, n);
	c->path[n] = 0;
	return true;
}

static int locate_socket(struct cw_ctx *c, unsigned flags)
{
	int err = 0;

	c->base[0] = '/';
	c->base[1] = 0;
	if (c->path[0] != '/')
		err = c->ops->dir_path(c, K_AT_FDCWD, c->base, sizeof(c->base));
	if (err >= 0)
		err = cw_join(c->whole, sizeof(c->whole), c->base, c->path);
	return err < 0 ? err : cw_walk(c, &c->place[0], c->base, c->path, flags);
}

/*
 * Where a message or a connection may go: *addr and *len of a published copy. 1: planned already (a refusal, or an
 * operation of the host); 0: *addr may be used.
 */
static int destination(struct cw_ctx *c, const struct copy *s, bool connecting, uint64_t *addr, uint64_t *len)
{
	*addr = 0;
	if (s->family == K_AF_UNIX) {
		if (!unix_path(c, s)) {
			if (s->len <= 2)
				return cw_fail(c, EINVAL), 1;
			if (!c->ops->fact(c, CW_FACT_SCOPED))
				return cw_refuse(c, CW_KIND_NETWORK, 111 /* ECONNREFUSED */), 1;
			*len = s->len;
			*addr = c->ops->publish_addr(c, CW_PAD_ABSTRACT, s->b, s->len);
			return *addr ? 0 : (cw_fail(c, ENOBUFS), 1);
		}
		int err = locate_socket(c, 0);

		if (!err && (c->place[0].kind != CW_PLACE_HOST || (c->place[0].mode & K_S_IFMT) != K_S_IFSOCK))
			err = -111;
		if (!err)
			err = cw_need(c, 0, CW_RIGHT_CONNECTAT);
		if (err) {
			c->rec.needs |= CW_RIGHT_CONNECTAT;
			return cw_fail(c, -err), 1;
		}
		if (!connecting) /* a datagram to a name: only a connected socket can be served without a race */
			return cw_fail(c, EOPNOTSUPP), 1;
		cw_perform(c, CW_OP_CONNECT);
		c->plan.arg[0] = (uint32_t)c->call.arg[0];
		return 1;
	}
	if (s->family == K_AF_UNSPEC && connecting) {
		*addr = publish_inet(c, s, CW_ADDR_CONNECT, len);
		return *addr ? 0 : (cw_fail(c, ENOBUFS), 1);
	}
	if (s->family != K_AF_INET && s->family != K_AF_INET6)
		return cw_fail(c, EAFNOSUPPORT), 1;
	if (!inet_len_ok(s))
		return cw_fail(c, EINVAL), 1;
	enum inet_verdict v = inet(c, s, CW_ADDR_CONNECT);

	say_inet(c, s);
	if (v == INET_ASK && connecting) {
		cw_copy(c->bytes, s->b, s->len);
		cw_perform(c, CW_OP_LOOPBACK);
		c->plan.arg[0] = (uint32_t)c->call.arg[0];
		c->plan.bytes = c->bytes;
		c->plan.len = s->family == K_AF_INET ? 16 : s->len < 28 ? 24 : 28;
		return 1;
	}
	if (v != INET_YES)
		return cw_refuse(c, CW_KIND_NETWORK, ENETUNREACH), 1;
	c->rec.extra[0] = 0;
	*addr = publish_inet(c, s, CW_ADDR_CONNECT, len);
	return *addr ? 0 : (cw_fail(c, ENOBUFS), 1);
}

void cw_rw_connect(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	struct copy s;
	uint64_t addr, len;

	if (!is_socket(c))
		return;
	int err = take(c, &s, a[1], a[2]);

	if (err)
		return cw_fail(c, -err);
	if (!destination(c, &s, true, &addr, &len))
		cw_rewrite(c, 42, a[0], addr, len, 0, 0, 0);
}

void cw_rw_bind(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	struct copy s;
	uint64_t addr = 0, len = 0;

	if (!is_socket(c))
		return;
	int err = take(c, &s, a[1], a[2]);

	if (err)
		return cw_fail(c, -err);
	if (s.family == K_AF_UNIX) {
		if (!unix_path(c, &s)) {
			if (!c->ops->fact(c, CW_FACT_SCOPED) || s.len <= 2)
				return cw_refuse(c, CW_KIND_NETWORK, EADDRNOTAVAIL);
			addr = c->ops->publish_addr(c, CW_PAD_ABSTRACT, s.b, s.len);
			len = s.len;
		} else {
			struct cw_place *p = &c->place[0];

			err = locate_socket(c, CW_WALK_CREATE | CW_WALK_NOFOLLOW);
			if (!err && (p->kind != CW_PLACE_HOST || p->fd >= 0 || p->slash))
				err = -98; /* EADDRINUSE */
			if (!err)
				err = cw_need(c, 0, CW_RIGHT_BINDAT);
			if (err) {
				c->rec.needs |= CW_RIGHT_BINDAT;
				return cw_fail(c, -err);
			}
			cw_perform(c, CW_OP_BIND);
			c->plan.arg[0] = (uint32_t)a[0];
			c->plan.bytes = c->path;
			return;
		}
	} else if (s.family == K_AF_INET || s.family == K_AF_INET6) {
		if (!inet_len_ok(&s))
			return cw_fail(c, EINVAL);
		say_inet(c, &s);
		if (inet(c, &s, CW_ADDR_BIND) != INET_YES)
			return cw_refuse(c, CW_KIND_NETWORK, EADDRNOTAVAIL);
		c->rec.extra[0] = 0;
		addr = publish_inet(c, &s, CW_ADDR_BIND, &len);
	} else
		return cw_fail(c, EAFNOSUPPORT);
	if (!addr)
		return cw_fail(c, ENOBUFS);
	cw_rewrite(c, 49, a[0], addr, len, 0, 0, 0);
}

void cw_rw_sendto(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	struct copy s;
	uint64_t addr, len;

	if (!is_socket(c))
		return;
	int err = take(c, &s, a[4], a[5]);

	if (err)
		return cw_fail(c, -err);
	if (!destination(c, &s, false, &addr, &len))
		cw_rewrite(c, 44, a[0], a[1], a[2], a[3], addr, len);
}

/*
 * A copy of the header in the thread's slot: its name is NULL or a published address, and its control data is made anew
 * where that could lead elsewhere, whatever else it says.
 */
static bool message(struct cw_ctx *c, uint64_t at, uint64_t flags)
{
	struct k_msghdr m;
	struct copy s;
	uint64_t addr = 0, len = 0;
	int err = c->ops->read(c, &m, (struct tptr){at}, sizeof(m));

	if (!err && m.name && m.namelen)
		err = take(c, &s, m.name, (uint32_t)m.namelen);
	if (err)
		return cw_fail(c, -err), false;
	if (m.name && m.namelen && destination(c, &s, false, &addr, &len))
		return false;
	bool control = m.controllen && cw_holds_control(c);

	err = control ? cw_take_control(c, &m) : 0;
	if (err == -EPERM) {
		cw_copy(c->rec.extra, "control", sizeof("control"));
		return cw_refuse(c, CW_KIND_NETWORK, EINVAL), false;
	}
	if (err)
		return cw_fail(c, -err), false;
	m.name = addr;
	m.namelen = (int32_t)len;
	m.pad0 = 0;
	m.pad1 = 0;
	if (control)
		m.control = m.controllen = 0;
	cw_copy(c->bytes, &m, sizeof(m));
	cw_rewrite(c, 46, c->call.arg[0], 0, flags, 0, 0, 0);
	c->plan.control = control ? &c->control : NULL;
	c->plan.slot_arg = 1;
	c->plan.bytes = c->bytes;
	c->plan.len = sizeof(m);
	return true;
}

void cw_rw_sendmsg(struct cw_ctx *c)
{
	message(c, c->call.arg[1], (uint32_t)c->call.arg[2]);
}

/* One message a call: sendmmsg(2) may always send fewer than it was given, and says how many. */
void cw_rw_sendmmsg(struct cw_ctx *c)
{
	if (!(uint32_t)c->call.arg[2])
		return cw_answer(c, 0);
	if (message(c, c->call.arg[1], (uint32_t)c->call.arg[3]))
		c->plan.count.a = c->call.arg[1] + sizeof(struct k_msghdr);
}

/* getsockname and getpeername: as move_addr_to_user in net/socket.c answers. */
void cw_rw_socket_name(struct cw_ctx *c)
{
	const uint64_t asked[] = {(uint32_t)c->call.arg[0], c->call.nr == 52};
	struct tptr at = {c->call.arg[2]};
	int64_t whole = c->ops->call(c, CW_SERVICE_SOCKET_NAME, asked);
	int32_t room = 0;

	if (whole <= 0)
		return cw_pass(c);
	int err = c->ops->read(c, &room, at, sizeof(room));

	if (!err && room < 0)
		err = -EINVAL;
	if (err)
		return cw_fail(c, -err);
	cw_perform(c, CW_OP_SOCKET_NAME);
	c->plan.to.a = c->call.arg[1];
	c->plan.bytes = c->bytes;
	c->plan.len = room < whole ? (uint32_t)room : (uint32_t)whole;
	c->plan.arg[0] = at.a;
	c->plan.arg[1] = (uint64_t)whole;
}

void cw_rw_listen(struct cw_ctx *c)
{
	if (!is_socket(c))
		return;
	cw_perform(c, CW_OP_LISTEN);
	c->plan.arg[0] = (uint32_t)c->call.arg[0];
	c->plan.arg[1] = (uint32_t)c->call.arg[1];
}
