/*
 * Sockets that the supervisor names and joins for the target: on the target's own socket, to an address that was decided on
 * a copy. Unix sockets by path are bound and connected to on held directories.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef PIDFD_THREAD /* Linux 6.9 */
#define PIDFD_THREAD O_EXCL
#endif

/*
 * A descriptor of this thread, whose table may not be that of its process's first thread (unshare(CLONE_FILES)); and that
 * one may have ended. -EPERM: not to be had.
 */
int cw_get_fd(const struct cw_task *t, int fd)
{
	bool first = t->tid == t->proc->pid;
	int thread = first ? -1 : (int)syscall(SYS_pidfd_open, t->tid, PIDFD_THREAD);
	int s = (int)syscall(SYS_pidfd_getfd, thread >= 0 ? thread : t->proc->pidfd, fd, 0);
	int err = s < 0 ? -errno : 0;

	if (thread >= 0)
		close(thread);
	if (!err && !first && thread < 0) {
		/* of the first thread then: only if it is the same file, as far as can be told */
		struct stat is, its;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", t->tid, fd);
		if (fstat(s, &is) || stat(path, &its) || is.st_dev != its.st_dev || is.st_ino != its.st_ino)
			err = -EPERM;
	}
	if (err && s >= 0)
		close(s);
	return err ? err : s;
}

union inet_name {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The name of an inet socket, all of it zero where it has none. */
static union inet_name name_of(int s)
{
	union inet_name name = {.in6 = {0}};
	socklen_t len = sizeof(name);

	if (getsockname(s, &name.any, &len))
		memset(&name, 0, sizeof(name));
	return name;
}

static bool has_port(const union inet_name *name)
{
	return name->any.sa_family == AF_INET ? name->in.sin_port : name->in6.sin6_port;
}

static bool same_name(const union inet_name *a, const union inet_name *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
}

/*
 * An inet socket that was not bound (bind is decided) would be bound to every address by listen. So would one that the
 * kernel bound, to connect it, and that another thread disconnects meanwhile: what is connected does not begin to listen,
 * and what then listens elsewhere than it was bound is stopped.
 */
static int64_t listen_where_bound(int s, int backlog)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE};
	socklen_t len = sizeof(info);

	if (!getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state != TCP_CLOSE &&
	    info.tcpi_state != TCP_LISTEN)
		return -EINVAL;
	union inet_name before = name_of(s);

	if (!has_port(&before))
		return -EADDRNOTAVAIL;
	if (listen(s, backlog))
		return -errno;
	union inet_name after = name_of(s);

	if (same_name(&before, &after))
		return 0;
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	(void)connect(s, &nowhere, sizeof(nowhere));
	return -EADDRNOTAVAIL;
}

int64_t cw_op_listen(struct cw_task *t, struct cw_plan *plan, const struct cw_engine *e)
{
	int domain, s = cw_get_fd(t, (int)plan->arg[0]);
	socklen_t len = sizeof(domain);
	int64_t ret;

	if (s < 0)
		return s == -EPERM ? -EOPNOTSUPP : s;
	if (getsockopt(s, SOL_SOCKET, SO_DOMAIN, &domain, &len)) {
		ret = -errno;
		close(s);
		return ret;
	}
	if (e->im.h->net != CW_NET_HOST && domain != AF_UNIX)
		ret = listen_where_bound(s, (int)plan->arg[1]);
	else
		ret = listen(s, (int)plan->arg[1]) ? -errno : 0;
	close(s);
	return ret;
}

/*
 * A port that the kernel chose is given up when the socket is disconnected, which takes no stop; one that was asked for is not
 * (__udp_disconnect in net/ipv4/udp.c). So it is asked for by its number.
 */
bool cw_hold_port(int s)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	union inet_name name = name_of(s), peer;
	socklen_t len = sizeof(peer), size = name.any.sa_family == AF_INET ? sizeof(name.in) : sizeof(name.in6);
	bool connected = !getpeername(s, &peer.any, &len);

	if (!has_port(&name) || connect(s, &nowhere, sizeof(nowhere)))
		return false;
	union inet_name left = name_of(s);
	bool held = has_port(&left) || !bind(s, &name.any, size);

	return (!connected || !connect(s, &peer.any, len)) && held;
}

/* By name, but to the socket that was found and is held: made by a worker on the target's own socket, since it may wait. */
int64_t cw_op_connect(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan,
                      struct cw_delivery *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int s, held;

	/* unix_find_bsd in net/unix/af_unix.c; asked here, since the worker has the supervisor's credentials */
	if (syscall(SYS_faccessat2, p->fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH))
		return -errno;
	s = cw_get_fd(t, (int)plan->arg[0]);
	if (s < 0)
		return s == -EPERM ? -ECONNREFUSED : s;
	held = cw_dup_fd(p->fd);
	if (held < 0) {
		close(s);
		return held;
	}
	cw_socket_joins(e, s, p);
	d->work = CW_WORK_CONNECT;
	d->fd = s;
	d->held = held;
	d->len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)cw_fd_path(held, un.sun_path) + 1);
	memcpy(d->bytes, &un, d->len);
	return 0;
}

/*
 * bind of a unix path: by its last name, from the directory that was found and is held, on the target's own socket. A
 * path would be looked up again, and a swapped component would decide where the node is made. So it is this name that
 * the kernel tells of it; the one that it was bound to is kept (socket_names.c).
 */
int64_t cw_op_bind(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(p->name);
	int64_t ret = 0;
	int s;

	if (e->shared_fs) /* the current directory is the whole process's */
		return -EACCES;
	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, p->name, len + 1);
	s = cw_get_fd(t, (int)plan->arg[0]);
	if (s < 0)
		return s == -EPERM ? -EACCES : s;
	cw_adopt(e, t, true);
	if (fchdir(p->parent) ||
	    bind(s, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)))
		ret = -errno;
	else
		cw_socket_bound(e, s, p, plan->bytes);
	close(s);
	(void)!chdir("/");
	return ret;
}
