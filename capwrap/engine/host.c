/* The supervisor's side of struct cw_ops: what a rewriter may ask of the world. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int op_read(struct cw_ctx *c, void *dst, struct tptr src, size_t n)
{
	return cw_mem_read(container(c), c->call.tid, dst, src.a, n);
}

static int op_read_string(struct cw_ctx *c, char *dst, size_t size, struct tptr src)
{
	return cw_mem_string(container(c), c->call.tid, dst, size, src.a);
}

static int op_fd_flags(struct cw_ctx *c, int fd, int held)
{
	bool was = cw_reach(container(c), true);
	int flags = cw_fd_flags(container(c), c->call.tid, fd, held);

	cw_reach(container(c), was);
	return flags;
}

static int op_node_dir(struct cw_ctx *c, uint32_t node)
{
	return cw_node_dir(container(c), node);
}

/* The directory that holds the name of a NAME or LINK node: opened by its canonical path, without links, each time, so
 * that ten thousand declared files do not hold ten thousand descriptors. */
static int op_name_dir(struct cw_ctx *c, uint32_t node)
{
	struct cw_engine *e = container(c);
	const struct cw_node *n = &e->im.nodes[node];
	char dir[CW_PATH_MAX];
	size_t len = n->host.len;
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
	                       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

	memcpy(dir, cw_str(&e->im, n->host), len + 1);
	while (len > 1 && dir[len - 1] != '/')
		len--;
	dir[len > 1 ? len - 1 : 1] = 0;
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, dir, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int op_cap_fd(struct cw_ctx *c, uint32_t node)
{
	struct cw_engine *e = container(c);

	return e->node_cap[node] < 0 ? -ENOENT : e->cap_base + e->node_cap[node];
}

static int op_open(struct cw_ctx *c, int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};

	(void)c;
	if (dir < 0)
		return dir;
	/* ".." anywhere may give EAGAIN while anything is renamed anywhere (ARCHITECTURE.md, rule 15) */
	for (int tries = 0;; tries++) {
		int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

		if (fd >= 0)
			return fd;
		if (errno != EAGAIN || tries == 32)
			return -errno;
	}
}

static int op_stat(struct cw_ctx *c, int fd, uint32_t *mode, uint64_t *dev, uint64_t *ino)
{
	struct stat st;

	(void)c;
	if (fstat(fd, &st))
		return -errno;
	*mode = st.st_mode;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return 0;
}

static int op_readlink(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	(void)c;
	ssize_t n = readlinkat(fd, "", dst, size - 1);

	if (n < 0)
		return -errno;
	dst[n] = 0;
	return (int)n;
}

static int op_sticky(struct cw_ctx *c, int dir, int fd, bool create)
{
	(void)c;
	return create ? cw_sticky_create(dir, fd) : cw_sticky_follow(dir, fd);
}

static int op_pread(struct cw_ctx *c, int fd, void *dst, size_t n, uint64_t off)
{
	char path[48];
	size_t have = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (f < 0 && errno == EACCES && container(c)->creds_adopted) {
		/* the kernel asks for no permission to read what it executes */
		struct cw_adopted adopted = cw_as_ourselves(container(c));

		f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		cw_as_target(container(c), adopted);
		errno = EACCES;
	}
	if (f < 0)
		return -errno;
	while (have < n) {
		ssize_t got = pread(f, (uint8_t *)dst + have, n - have, (off_t)(off + have));

		if (got < 0) {
			int err = errno;

			close(f);
			return -err;
		}
		if (!got)
			break;
		have += (size_t)got;
	}
	close(f);
	return (int)have;
}

static int op_access(struct cw_ctx *c, int fd, int mode)
{
	(void)c; /* the call that asks was given the target's credentials as a whole, where they may differ */
	return syscall(SYS_faccessat2, fd, "", mode, AT_EACCESS | AT_EMPTY_PATH) ? -errno : 0;
}

static void op_close(struct cw_ctx *c, int fd)
{
	(void)c;
	close(fd);
}

static bool op_special_dev(struct cw_ctx *c, uint64_t dev)
{
	return cw_special_dev(container(c), dev);
}

static uint64_t op_publish_how(struct cw_ctx *c, bool writable, uint64_t flags, uint64_t mode)
{
	return cw_publish_how(container(c), writable, flags, mode);
}

static uint64_t op_publish_addr(struct cw_ctx *c, uint64_t region, const void *addr, size_t len)
{
	return cw_publish_addr(container(c), region, addr, len);
}

/* With those that are being made: several threads may fork at once. */
static int64_t threads(const struct cw_engine *e)
{
	int64_t n = e->n_tasks;
	const struct cw_task *t = e->asked;

	for (int i = 0; i < e->n_tasks; i++, t = t->after)
		n += t->forking;
	return n;
}

static int64_t op_fact(struct cw_ctx *c, int fact)
{
	struct cw_engine *e = container(c);

	switch (fact) {
	case CW_FACT_CAP_BASE:
		return e->cap_base;
	case CW_FACT_CAP_END:
		return e->cap_base + e->cap_end;
	case CW_FACT_SCOPED:
		return e->scoped;
	case CW_FACT_MAKE_SOCK:
		return e->make_sock;
	case CW_FACT_THREADS:
		return threads(e);
	default:
		return 0;
	}
}

static int64_t op_call(struct cw_ctx *c, int what, const uint64_t *arg)
{
	struct cw_engine *e = container(c);
	struct cw_proc *proc = e->current->proc;

	switch (what) {
	case CW_SERVICE_CREDS:
		cw_creds_change(e, e->current);
		return 0;
	case CW_SERVICE_REAL:
		cw_adopt_real(e, e->current);
		return 0;
	case CW_SERVICE_REACH:
		return cw_reach(e, arg[0] != 0);
	case CW_SERVICE_FILTER:
		proc->filtered = true;
		return 0;
	case CW_SERVICE_RLIMIT:
		return cw_limit_service(c, arg);
	case CW_SERVICE_DUMPABLE:
		if (arg[0])
			proc->undumpable = !arg[1];
		return arg[0] ? 0 : !proc->undumpable;
	case CW_SERVICE_MADE: {
		struct stat st;
		int made = e->current->made;

		if (made < 0 || fstat(made, &st) || st.st_dev != arg[0] || st.st_ino != arg[1])
			return -ENOENT;
		e->current->made = -1;
		return made;
	}
	case CW_SERVICE_CAPGET: {
		uint32_t header[2] = {0x20080522, (uint32_t)arg[0]};

		memset(c->scratch64, 0, sizeof(c->scratch64));
		return syscall(SYS_capget, header, c->scratch64) ? -errno : 0;
	}
	case CW_SERVICE_SOCKET_NAME: {
		struct sockaddr_un un;
		size_t len = cw_socket_name(e, e->current, (int)arg[0], arg[1] != 0, &un);

		/* the last byte of the longest name is the NUL that the address has no room for */
		memset(c->bytes, 0, sizeof(un) + 1);
		memcpy(c->bytes, &un, len < sizeof(un) ? len : sizeof(un));
		return (int64_t)len;
	}
	case CW_SERVICE_JOIN:
		return cw_group_join(e, (int)arg[0], (int)arg[1]);
	default:
		return cw_ipc_service(e, what, arg);
	}
}

const struct cw_ops cw_host_ops = {
	.read = op_read,
	.read_string = op_read_string,
	.dir_path = cw_dir_path,
	.removed = cw_dir_removed,
	.hold_fd = cw_hold_fd,
	.held_path = cw_held_path,
	.fd_flags = op_fd_flags,
	.node_dir = op_node_dir,
	.name_dir = op_name_dir,
	.cap_fd = op_cap_fd,
	.open = op_open,
	.stat = op_stat,
	.readlink = op_readlink,
	.sticky = op_sticky,
	.pread = op_pread,
	.access = op_access,
	.close = op_close,
	.special_dev = op_special_dev,
	.publish_how = op_publish_how,
	.publish_addr = op_publish_addr,
	.member = cw_member,
	.member_group = cw_member_group,
	.ended = cw_member_ended,
	.group_of = cw_group_of,
	.proc = cw_proc_lookup,
	.exec_string = cw_exec_string,
	.fact = op_fact,
	.call = op_call,
};
