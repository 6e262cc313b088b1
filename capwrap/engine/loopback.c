/*
 * --net loopback: connections to addresses of this machine, if it is the target that has them, and for as long as it does.
 *
 * A connection may wait, for a place in the listener's queue, and its packets then go to whoever listens at the address by
 * that time. So the listener that was found is held until the connection is made or refused, by which its port stays taken;
 * and where it stops to listen all the same (shutdown(2), connect(2) to AF_UNSPEC), the connection is broken off.
 */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* A reference of our own to the target's socket with this inode, or -1 where it has none. */
static int held_by_target(struct cw_engine *e, unsigned long inode)
{
	char path[64], text[64], want[64];
	const struct dirent *entry;
	int found = -1;

	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	for (int b = 0; b < CW_HASH; b++)
		for (const struct cw_task *q = e->tasks[b]; q; q = q->next) {
			/* KCMP_FILES: most threads have the table of their process's first, which has it unless it ended */
			if (!q->proc || (q->tid != q->proc->pid && !syscall(SYS_kcmp, q->tid, q->proc->pid, 2, 0, 0)))
				continue;
			snprintf(path, sizeof(path), "/proc/%d/fd", q->tid);
			DIR *d = opendir(path);

			while (d && found < 0 && (entry = readdir(d))) {
				ssize_t n = readlinkat(dirfd(d), entry->d_name, text, sizeof(text) - 1);
				struct stat st;

				if (n <= 0 || (text[n] = 0, strcmp(text, want) != 0))
					continue;
				found = cw_get_fd(q, atoi(entry->d_name));
				if (found >= 0 && (fstat(found, &st) || st.st_ino != inode)) {
					close(found);
					found = -1;
				}
			}
			if (d)
				closedir(d);
			if (found >= 0)
				return found;
		}
	return -1;
}

/* Does a local address of /proc/net/tcp* (hexadecimal, words in host order) fit a destination, exactly or as a wildcard? */
static bool fits(const char *local, const uint8_t *sockaddr)
{
	uint32_t words[4] = {0, 0, 0, 0}, want[4] = {0, 0, 0, 0};
	size_t n = strlen(local) / 8;
	bool four = sockaddr[0] == AF_INET;

	if (n != 1 && n != 4)
		return false;
	for (size_t i = 0; i < n; i++)
		if (sscanf(local + 8 * i, "%8x", &words[i]) != 1)
			return false;
	if (four)
		memcpy(&want[n == 1 ? 0 : 3], sockaddr + 4, 4);
	else
		memcpy(want, sockaddr + 8, 16);
	if (!four && n == 1)
		return false;
	bool any = true;

	for (size_t i = 0; i < n; i++)
		any &= !words[i];
	if (any)
		return true;
	if (four && n == 4)
		want[2] = 0xffff0000; /* ::ffff:0:0/96, in host order */
	return !memcmp(words, want, n * sizeof(words[0]));
}

/* Datagrams are sent to whoever has the address then: a socket that the target may send to keeps it until the run ends. */
static bool keep_bound(struct cw_engine *e, int s)
{
	struct stat st;

	if (fstat(s, &st))
		return false;
	for (int i = 0; i < e->n_bound; i++)
		if (e->bound[i].ino == st.st_ino) {
			close(s);
			return true;
		}
	if (e->n_bound == (int)(sizeof(e->bound) / sizeof(e->bound[0])) || !cw_hold_port(s))
		return false;
	e->bound[e->n_bound].ino = st.st_ino;
	e->bound[e->n_bound++].fd = s;
	return true;
}

/* A socket of IPv6 alone, which no connection to an IPv4 address comes to. */
static bool of_other_family(int s, const uint8_t *sockaddr)
{
	int domain = 0, alone = 0;
	socklen_t len = sizeof(int);

	return sockaddr[0] == AF_INET && !getsockopt(s, SOL_SOCKET, SO_DOMAIN, &domain, &len) && domain == AF_INET6 &&
	       !getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &alone, &len) && alone;
}

/*
 * Would a connection to this address reach the target, and only it? Which of several sockets that fit it reaches is seen
 * when it is made, and that is later: every one must be the target's. `listener`: one of them, held.
 */
static bool reaches_target(struct cw_engine *e, const uint8_t *sockaddr, bool stream, int *listener)
{
	static const char *const tables[2][2] = {{"/proc/self/net/udp", "/proc/self/net/udp6"},
	                                         {"/proc/self/net/tcp", "/proc/self/net/tcp6"}};
	unsigned port = (unsigned)sockaddr[2] << 8 | sockaddr[3];
	bool any = false, ours = true;
	char line[512], local[40];

	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(tables[stream][i], "re");
		unsigned p, state;
		unsigned long inode;

		while (f && ours && fgets(line, sizeof(line), f)) {
			if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", local, &p, &state,
			           &inode) != 4 ||
			    p != port || !inode || (stream && state != 10 /* TCP_LISTEN */) || !fits(local, sockaddr))
				continue;
			int held = held_by_target(e, inode);

			if (held >= 0 && of_other_family(held, sockaddr)) {
				close(held);
				continue;
			}
			any = true;
			ours = held >= 0;
			if (held < 0)
				continue;
			if (stream && *listener < 0)
				*listener = held;
			else if (stream || cw_tracing(e)) /* a trace keeps nobody's address */
				close(held);
			else if (!(ours = keep_bound(e, held)))
				close(held);
		}
		if (f)
			fclose(f);
	}
	return any && ours;
}

int64_t cw_op_loopback(struct cw_engine *e, struct cw_task *t, struct cw_plan *plan, struct cw_delivery *d)
{
	const uint8_t *a = plan->bytes;
	int type, listener = -1, s = cw_get_fd(t, (int)plan->arg[0]);
	socklen_t len = sizeof(type);

	if (s < 0)
		return s == -EPERM ? -ECONNREFUSED : s;
	if (getsockopt(s, SOL_SOCKET, SO_TYPE, &type, &len)) {
		close(s);
		return -ENOTSOCK;
	}
	bool reaches = reaches_target(e, a, type == SOCK_STREAM, &listener);

	if (listener >= 0 && (!reaches || cw_tracing(e))) {
		close(listener);
		listener = -1;
	}
	if (!reaches) {
		close(s);
		e->ctx.rec.kind = CW_KIND_NETWORK;
		return -ECONNREFUSED;
	}
	d->work = listener >= 0 ? CW_WORK_JOIN : CW_WORK_CONNECT;
	d->held = listener;
	d->fd = s;
	memcpy(d->bytes, a, plan->len);
	d->len = plan->len;
	return 0;
}

static bool listens(int s)
{
	int is = 0;
	socklen_t len = sizeof(is);

	return !getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &is, &len) && is;
}

/* The target's socket is made to wait for nothing, for this one call; `waits`: it would have. -EINPROGRESS: it is on its way. */
int64_t cw_join_begin(const struct cw_delivery *d, bool *waits)
{
	int flags = fcntl(d->fd, F_GETFL);

	*waits = flags >= 0 && !(flags & O_NONBLOCK);
	if (flags < 0 || (*waits && fcntl(d->fd, F_SETFL, flags | O_NONBLOCK)))
		return -errno;
	int64_t ret = connect(d->fd, (const struct sockaddr *)(const void *)d->bytes, d->len) ? -errno : 0;

	if (*waits)
		(void)fcntl(d->fd, F_SETFL, flags);
	return *waits && ret == -EALREADY ? -EINPROGRESS : ret;
}

/* How long a connect of this socket waits at most (SO_SNDTIMEO), in milliseconds; -1: without end. */
int cw_join_limit(const struct cw_delivery *d)
{
	struct timeval limit = {0, 0};
	socklen_t len = sizeof(limit);

	if (getsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &len) || (!limit.tv_sec && !limit.tv_usec))
		return -1;
	return limit.tv_sec > INT32_MAX / 1000 - 1 ? INT32_MAX
	                                           : (int)(limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000);
}

/* 1: it is made, or is not to be; 0: it is still on its way; -EINTR. */
int cw_join_wait(const struct cw_delivery *d, int limit)
{
	struct pollfd either[2] = {{.fd = d->fd, .events = POLLOUT}, {.fd = d->held}};
	int n = poll(either, 2, limit);

	return n < 0 ? -errno : n > 0;
}

/* The result of a connection that has come to its end, for the one who waited for it. */
int64_t cw_join_result(const struct cw_delivery *d)
{
	bool waits;

	return cw_join_begin(d, &waits);
}

/* What came of it. Whoever else has the address by now is not spoken to. */
int64_t cw_join_end(const struct cw_delivery *d, int64_t ret)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (listens(d->held))
		return ret;
	(void)connect(d->fd, &none, sizeof(none));
	return -ECONNREFUSED;
}
