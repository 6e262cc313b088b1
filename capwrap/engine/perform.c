/*
 * Plans that the supervisor performs: on descriptors that it holds, with the target's credentials and umask, never
 * blocking (what may block is left to the listener's workers), never through its own /proc/self but for its own fds.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define XATTR_MAX 65536

int cw_fd_path(int fd, char path[48])
{
	return snprintf(path, 48, "/proc/self/fd/%d", fd);
}

int cw_dup_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

static void view_stat(struct cw_engine *e, struct cw_place *p, struct stat *st)
{
	int v = cw_view_for(e, p->path);

	if (v >= 0) {
		st->st_dev = e->views[v].dev;
		st->st_ino = e->views[v].ino;
	}
}

static int64_t do_stat(struct cw_engine *e, struct cw_place *p, struct stat *st)
{
	if (p->fd >= 0) {
		if (fstat(p->fd, st))
			return -errno;
		if (S_ISDIR(st->st_mode) && cw_shows_otherwise(e, p))
			view_stat(e, p, st);
		return 0;
	}
	if (p->kind == CW_PLACE_PROC && (p->proc == CW_PROC_TEXT || p->proc == CW_PROC_FD)) {
		return lstat(p->path, st) ? -errno : 0; /* canonical: what the kernel shows there is what is meant */
	}
	if (p->kind == CW_PLACE_PROC && p->proc == CW_PROC_MADE) {
		if (lstat("/proc/version", st))
			return -errno;
		st->st_mode = p->mode;
		return 0;
	}
	int v = cw_view_for(e, p->path);

	if (v < 0)
		return v;
	if (fstat(cw_view_fd(e, v), st))
		return -errno;
	if (p->kind == CW_PLACE_PROC)
		st->st_mode = p->mode;
	return 0;
}

static int64_t op_stat(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan)
{
	struct stat st;
	int64_t err = do_stat(e, p, &st);

	return err ? err : cw_mem_write(e, t->tid, plan->to.a, &st, sizeof(st));
}

static int64_t op_statx(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan)
{
	struct statx sx;
	struct stat st;
	int fd = p->fd, err;

	memset(&sx, 0, sizeof(sx));
	if (plan->arg[1] & STATX__RESERVED)
		return -EINVAL;
	if (fd < 0) {
		int v = cw_view_for(e, p->path);

		if (v < 0)
			return v;
		fd = cw_view_fd(e, v);
	}
	if (statx(fd, "", AT_EMPTY_PATH | (int)plan->arg[0], (unsigned)plan->arg[1], &sx))
		return -errno;
	if (p->fd < 0 || cw_shows_otherwise(e, p)) {
		err = (int)do_stat(e, p, &st);
		if (err)
			return err;
		sx.stx_mode = (uint16_t)st.st_mode;
		sx.stx_ino = st.st_ino;
		sx.stx_dev_major = (unsigned)(st.st_dev >> 8 & 0xfff);
		sx.stx_dev_minor = (unsigned)((st.st_dev & 0xff) | (st.st_dev >> 12 & 0xfff00));
	}
	return cw_mem_write(e, t->tid, plan->to.a, &sx, sizeof(sx));
}

static int64_t op_xattr(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan)
{
	char path[48];
	size_t size = (size_t)plan->arg[0];
	uint8_t *value = NULL;
	int64_t ret;

	cw_fd_path(p->fd, path);
	if (plan->op == CW_OP_XATTR_REMOVE)
		return removexattr(path, plan->bytes) ? -errno : 0;
	if (plan->op == CW_OP_XATTR_SET && size > XATTR_MAX)
		return -E2BIG;
	if (size > XATTR_MAX)
		size = XATTR_MAX;
	value = malloc(size ? size : 1);
	if (!value)
		return -ENOMEM;
	if (plan->op == CW_OP_XATTR_SET) {
		ret = cw_mem_read(e, t->tid, value, plan->to.a, size);
		if (!ret)
			ret = setxattr(path, plan->bytes, value, size, (int)plan->arg[1]) ? -errno : 0;
	} else {
		ssize_t n = plan->op == CW_OP_XATTR_GET ? getxattr(path, plan->bytes, value, size)
		                                        : listxattr(path, (char *)value, size);

		ret = n < 0 ? -errno : n;
		if (n > 0 && size) {
			int err = cw_mem_write(e, t->tid, plan->to.a, value, (size_t)n);

			if (err)
				ret = err;
		}
	}
	free(value);
	return ret;
}

/*
 * A watch by the supervisor, which needs no descriptor in the target: one that stays open there keeps what it watches
 * from being gone, and IN_DELETE_SELF from being told. -EPERM: not here.
 */
static int64_t op_watch(struct cw_engine *e, struct cw_task *t, struct cw_place *p, const struct cw_plan *plan)
{
	char path[48];

	if (!cw_shown_whole(e, p))
		return -EPERM;
	int inotify = cw_get_fd(t, (int)plan->arg[0]);

	if (inotify < 0)
		return inotify;
	cw_fd_path(p->fd, path);
	int wd = inotify_add_watch(inotify, path, (uint32_t)plan->arg[1] & ~(uint32_t)IN_DONT_FOLLOW);
	int64_t ret = wd < 0 ? -errno : wd;

	close(inotify);
	return ret;
}

/*
 * May somebody have a lease on it, who is asked first (fcntl(2))? The number alone: a file system may have others than its
 * files. Where it cannot be told, somebody may.
 */
static bool is_leased(uint64_t ino)
{
	char line[256];
	FILE *f = fopen("/proc/locks", "re");
	bool is = !f;

	while (f && !is && fgets(line, sizeof(line), f)) {
		unsigned long long its;

		is = strstr(line, "LEASE") && sscanf(line, "%*[^:]: %*s %*s %*s %*s %*x:%*x:%llu", &its) == 1 &&
		     its == ino;
	}
	if (f)
		fclose(f);
	return is;
}

/* Within the target's own limit, not ours: inode_newsize_ok in fs/attr.c. */
static int64_t op_truncate(struct cw_task *t, struct cw_place *p, uint64_t size, struct cw_delivery *d)
{
	uint64_t limit;
	struct stat st;
	char path[48];

	if (!cw_limit_of(t->tid, RLIMIT_FSIZE, &limit))
		return -ESRCH;
	if (fstat(p->fd, &st))
		return -errno;
	if (size > limit && size > (uint64_t)st.st_size) {
		(void)cw_send_signal(t->proc, t->tid, SIGXFSZ);
		return -EFBIG;
	}
	if (S_ISREG(st.st_mode) && is_leased(st.st_ino)) {
		if (syscall(SYS_faccessat2, p->fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH))
			return -errno;
		int err = cw_by_worker(p, CW_WORK_TRUNCATE, size, d);

		return err == -EINPROGRESS ? 0 : err;
	}
	cw_fd_path(p->fd, path);
	return truncate(path, (off_t)size) ? -errno : 0;
}

int64_t cw_perform_plan(struct cw_engine *e, struct cw_task *t, struct cw_delivery *d, uint64_t then[7])
{
	struct cw_plan *plan = &e->ctx.plan;
	struct cw_place *p = &e->ctx.place[0], *q = &e->ctx.place[1];
	char path[48];
	int64_t ret;
	int n;

	switch (plan->op) {
	case CW_OP_RESULT:
		return plan->ret;
	case CW_OP_BYTES:
		n = cw_mem_write(e, t->tid, plan->to.a, plan->bytes, plan->len);
		return n ? n : plan->ret;
	case CW_OP_STAT:
		return op_stat(e, t, p, plan);
	case CW_OP_STATX:
		return op_statx(e, t, p, plan);
	case CW_OP_READLINK: {
		char text[CW_PATH_MAX];
		size_t size = plan->arg[0] < sizeof(text) ? (size_t)plan->arg[0] : sizeof(text);
		ssize_t len = readlinkat(p->fd, "", text, size);

		if (len < 0)
			return errno == ENOENT ? -(int64_t)plan->arg[1] : -errno;
		n = cw_mem_write(e, t->tid, plan->to.a, text, (size_t)len);
		return n ? n : len;
	}
	case CW_OP_ACCESS:
		if (p->fd < 0)
			return 0;
		return syscall(SYS_faccessat2, p->fd, "", (int)plan->arg[0], AT_EACCESS | AT_EMPTY_PATH) ? -errno : 0;
	case CW_OP_STATFS: {
		struct statfs sf;
		int v = p->fd >= 0 ? 0 : cw_view_for(e, p->path);

		if (v < 0)
			return v;
		if (fstatfs(p->fd >= 0 ? p->fd : cw_view_fd(e, v), &sf))
			return -errno;
		return cw_mem_write(e, t->tid, plan->to.a, &sf, sizeof(sf));
	}
	case CW_OP_UNLINK:
		return unlinkat(p->parent, p->name, (int)plan->arg[0]) ? -errno : 0;
	case CW_OP_MKDIR:
		cw_adopt(e, t, true);
		return mkdirat(p->parent, p->name, (mode_t)plan->arg[0]) ? -errno : 0;
	case CW_OP_MKNOD:
		cw_adopt(e, t, true);
		return mknodat(p->parent, p->name, (mode_t)plan->arg[0], 0) ? -errno : 0;
	case CW_OP_SYMLINK:
		return symlinkat(plan->bytes, p->parent, p->name) ? -errno : 0;
	case CW_OP_LINK:
		cw_fd_path(p->fd, path);
		return linkat(AT_FDCWD, path, q->parent, q->name, AT_SYMLINK_FOLLOW) ? -errno : 0;
	case CW_OP_RENAME:
		return syscall(SYS_renameat2, p->parent, p->name, q->parent, q->name, (unsigned)plan->arg[0]) ? -errno
		                                                                                              : 0;
	case CW_OP_CHMOD:
		if (!syscall(SYS_fchmodat2, p->fd, "", (mode_t)plan->arg[0], AT_EMPTY_PATH))
			return 0;
		if (errno != ENOSYS)
			return -errno;
		cw_fd_path(p->fd, path); /* before Linux 6.6 */
		return chmod(path, (mode_t)plan->arg[0]) ? -errno : 0;
	case CW_OP_CHOWN:
		return fchownat(p->fd, "", (uid_t)plan->arg[0], (gid_t)plan->arg[1], AT_EMPTY_PATH) ? -errno : 0;
	case CW_OP_UTIME: {
		struct timespec ts[2] = {{plan->times[0], plan->times[1]}, {plan->times[2], plan->times[3]}};

		return syscall(SYS_utimensat, p->fd, "", ts, AT_EMPTY_PATH) ? -errno : 0;
	}
	case CW_OP_TRUNCATE:
		return op_truncate(t, p, plan->arg[0], d);
	case CW_OP_XATTR_SET:
	case CW_OP_XATTR_GET:
	case CW_OP_XATTR_LIST:
	case CW_OP_XATTR_REMOVE:
		return p->fd < 0 ? -EOPNOTSUPP : op_xattr(e, t, p, plan);
	case CW_OP_OPEN:
		return cw_op_open(e, t, p, plan, d);
	case CW_OP_LIST:
		return cw_op_list(e, p, plan, d);
	case CW_OP_DELIVER:
		d->fd = p->fd;
		p->fd = -1;
		d->flags = (uint32_t)plan->arg[0];
		d->made = plan->arg[1] != 0;
		return 0;
	case CW_OP_CHDIR:
		n = cw_install(e, p, d);
		if (n < 0)
			return n;
		then[0] = SYS_fchdir;
		then[1] = (uint64_t)n;
		return 0;
	case CW_OP_WATCH:
		ret = op_watch(e, t, p, plan);
		if (ret != -EPERM)
			return ret;
		/* the number that it is handed over at is one that fchdir takes as well */
		n = cw_need(&e->ctx, 0, CW_RIGHT_FCHDIR);
		if (n < 0)
			return n;
		n = cw_install(e, p, d);
		if (n < 0)
			return n;
		then[0] = SYS_inotify_add_watch;
		then[1] = plan->arg[0];
		then[2] = cw_delivery_slot(e, n, CW_PAD_FDPATH, CW_PAD_FDPATH_STRIDE);
		then[3] = plan->arg[1] & ~UINT64_C(0x02000000); /* the link in /proc is to be followed */
		return 0;
	case CW_OP_CONNECT:
		return cw_op_connect(e, t, p, plan, d);
	case CW_OP_BIND:
		return cw_op_bind(e, t, p, plan);
	case CW_OP_SOCKET_NAME: {
		uint32_t whole = (uint32_t)plan->arg[1];

		n = cw_mem_write(e, t->tid, plan->to.a, plan->bytes, plan->len);
		return n ? n : cw_mem_write(e, t->tid, plan->arg[0], &whole, sizeof(whole));
	}
	case CW_OP_LISTEN:
		return cw_op_listen(t, plan, e);
	case CW_OP_LOOPBACK:
		return cw_op_loopback(e, t, plan, d);
	}
	return -ENOSYS;
}
