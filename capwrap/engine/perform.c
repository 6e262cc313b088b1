/*
 * Plans that the supervisor performs: on descriptors that it holds, with the target's credentials and umask, never
 * blocking (what may block is left to the listener's workers), never through its own /proc/self but for its own fds.
 */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* --- views --- */

static bool shows_otherwise(struct cw_engine *e, const struct cw_place *p)
{
	if (p->kind == CW_PLACE_VIRTUAL || (p->kind == CW_PLACE_PROC && p->proc == CW_PROC_DIR))
		return true;
	if (p->kind != CW_PLACE_HOST || (p->mode & S_IFMT) != S_IFDIR)
		return false;
	if (e->im.n_globs && p->grant != CW_NONE)
		return true; /* any name in it might match */
	if (!p->exact)
		return false;
	const struct cw_node *n = &e->im.nodes[p->node];

	for (uint32_t i = 0; i < n->child_count; i++) {
		const struct cw_node *ch = &e->im.nodes[n->child_first + i];

		if (ch->kind == CW_NODE_DENY || ch->kind == CW_NODE_PRIVATE || ch->kind == CW_NODE_PROC ||
		    ch->kind == CW_NODE_PTS)
			return true;
		if ((ch->kind == CW_NODE_DIR || ch->kind == CW_NODE_NAME) && !(ch->flags & CW_NODE_IDENTITY))
			return true;
		if (ch->kind == CW_NODE_ANCESTOR && p->fd >= 0 && cw_leads_to_grant(&e->im, n->child_first + i) &&
		    faccessat(p->fd, cw_str(&e->im, ch->name), F_OK, AT_SYMLINK_NOFOLLOW))
			return true;
	}
	return false;
}

static bool shown_whole(struct cw_engine *e, const struct cw_place *p)
{
	const uint64_t needs = CW_RIGHT_READ | CW_RIGHT_EVENT;

	return p->kind == CW_PLACE_HOST && p->fd >= 0 && (p->rights & needs) == needs && !shows_otherwise(e, p);
}

int cw_dup_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

/*
 * A descriptor to hand over in place of an O_PATH one, which SECCOMP_IOCTL_NOTIF_ADDFD does not take (fget in
 * seccomp_notify_addfd): opened for reading, without waiting for anything.
 */
static int reopen(int fd, uint32_t mode)
{
	char path[48];
	int opened;

	if (!S_ISDIR(mode) && !S_ISREG(mode)) {
		struct stat st;

		/* to open null and kin (memory devices, 1) has no effect; of others it may have any */
		if (!S_ISCHR(mode) || fstat(fd, &st) || st.st_rdev >> 8 != 1)
			return -EACCES;
	}
	cw_fd_path(fd, path);
	opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return opened < 0 ? -errno : opened;
}

static int view_path(struct cw_engine *e, struct cw_place *p)
{
	return cw_view_for(e, p->path);
}

static void view_stat(struct cw_engine *e, struct cw_place *p, struct stat *st)
{
	int v = view_path(e, p);

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
		if (S_ISDIR(st->st_mode) && shows_otherwise(e, p))
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
	int v = view_path(e, p);

	if (v < 0)
		return v;
	if (fstat(e->views[v].fd, st))
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
		int v = view_path(e, p);

		if (v < 0)
			return v;
		fd = e->views[v].fd;
	}
	if (statx(fd, "", AT_EMPTY_PATH | (int)plan->arg[0], (unsigned)plan->arg[1], &sx))
		return -errno;
	if (p->fd < 0 || shows_otherwise(e, p)) {
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

/* --- open --- */

/* /dev/tty means the caller's controlling terminal, which may not be ours. */
static int open_tty(struct cw_engine *e, struct cw_task *t, int flags)
{
	char path[48], text[1024];
	int nr = 0;

	if (getsid(t->tid) == getsid(0)) {
		int fd = open("/dev/tty", flags | O_CLOEXEC | O_NOCTTY);

		return fd < 0 ? -errno : fd;
	}
	const char *rest = cw_read_stat(t->tid, text, sizeof(text));

	if (!rest || sscanf(rest, " %*c %*d %*d %*d %d", &nr) != 1 || (nr >> 8 & 0xff) < 136 || (nr >> 8 & 0xff) > 143)
		return -ENXIO;
	int held = cw_terminal_find(e, (nr & 0xff) | ((nr >> 12) & 0xfff00));

	if (held < 0)
		return -ENXIO;
	cw_fd_path(held, path);
	int fd = open(path, flags | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

/* By its name from the directory that is held, so that F_GETFL shows O_NOFOLLOW; still the file that was decided on. */
static int open_by_name(const struct cw_place *p, uint64_t flags)
{
	struct open_how how = {.flags = (flags & ~(uint64_t)O_TRUNC) | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
	                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	struct stat st;
	int fd = (int)syscall(SYS_openat2, p->parent, p->name, &how, sizeof(how));

	if (fd < 0)
		return errno == ELOOP || errno == ENOENT ? -EAGAIN : -errno;
	int err = fstat(fd, &st) ? -errno : st.st_dev != p->dev || st.st_ino != p->ino ? -EAGAIN : 0;

	if (!err && (flags & O_TRUNC)) {
		/* emptied when it is known to be the one */
		char path[48];

		cw_fd_path(fd, path);
		int emptied = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);

		err = emptied < 0 ? -errno : 0;
		if (emptied >= 0)
			close(emptied);
	}
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* Made by a worker, as the supervisor, since it may wait: what the target may was asked before. */
static int by_worker(const struct cw_place *p, enum cw_work work, uint64_t arg, struct cw_delivery *d)
{
	int copy = cw_dup_fd(p->fd);

	if (copy < 0)
		return copy;
	d->work = (int)work;
	d->fd = copy;
	d->arg[0] = arg;
	return -EINPROGRESS;
}

/* What was opened not to wait here (for who has a lease on it, fcntl(2)), as the target asked for it. */
static int as_asked(int fd, int flags)
{
	if (fd >= 0 && !(flags & O_NONBLOCK) &&
	    fcntl(fd, F_SETFL, flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int open_existing(struct cw_engine *e, struct cw_task *t, struct cw_place *p, int flags, struct cw_delivery *d)
{
	char path[48];
	int keep = flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME | O_TRUNC |
	                    O_DIRECTORY | O_ASYNC);
	unsigned type = p->mode & S_IFMT;

	if (flags & O_PATH)
		return reopen(p->fd, p->mode);
	if (type == S_IFLNK)
		return -ELOOP;
	if (type == S_IFSOCK)
		return -ENXIO;
	cw_fd_path(p->fd, path);
	if (type == S_IFIFO && !(flags & O_NONBLOCK) && (flags & O_ACCMODE) != O_RDWR) {
		if (t->late >= 0) {
			struct stat st;
			int late = t->late;

			if (t->late_due && !fstat(late, &st) && st.st_dev == p->dev && st.st_ino == p->ino &&
			    (fcntl(late, F_GETFL) & (O_ACCMODE | O_APPEND)) == (int)(flags & (O_ACCMODE | O_APPEND))) {
				t->late = -1;
				return late;
			}
			cw_drop_late(t);
		}
		/* may wait for the other end: a worker waits, as the supervisor, so what the target may is asked here */
		int mode = (flags & O_ACCMODE) == O_RDONLY ? R_OK : W_OK;

		if (syscall(SYS_faccessat2, p->fd, "", mode, AT_EACCESS | AT_EMPTY_PATH))
			return -errno;
		return by_worker(p, CW_WORK_OPEN, (uint64_t)keep, d);
	}
	if (type == S_IFCHR) {
		struct stat st;

		if (fstat(p->fd, &st))
			return -errno;
		if (st.st_rdev == 0x500) /* 5:0 */
			return open_tty(e, t, keep);
		int fd = open(path, keep | O_CLOEXEC | O_NOCTTY), n;

		if (fd < 0)
			return -errno;
		if (st.st_rdev == 0x502 && !ioctl(fd, TIOCGPTN, &n)) /* 5:2, ptmx */
			cw_terminal_add(e, n, NULL);
		return fd;
	}
	int fd;

	if ((flags & O_NOFOLLOW) && type == S_IFREG && p->parent >= 0 && p->name[0] && !p->by_fd) {
		fd = open_by_name(p, (uint64_t)(keep | O_NONBLOCK));
	} else {
		fd = open(path, keep | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			fd = -errno;
	}
	if (fd == -EWOULDBLOCK && !(flags & O_NONBLOCK) && type == S_IFREG)
		return by_worker(p, CW_WORK_OPEN, (uint64_t)keep, d); /* the permissions were good */
	return as_asked(fd, flags);
}

static bool is_open(int tid, uint64_t fd)
{
	char path[48];
	struct stat st;

	/* access(2) would ask as the real user, without what cw_reach gives */
	snprintf(path, sizeof(path), "/proc/%d/fd/%llu", tid, (unsigned long long)fd);
	return !lstat(path, &st);
}

/* Most often the last one tells, or one of the first. */
bool cw_table_full(struct cw_engine *e, int tid)
{
	uint64_t limit;
	bool was = cw_reach(e, true), full = cw_limit_of(tid, RLIMIT_NOFILE, &limit);

	if (full && limit && !is_open(tid, limit - 1))
		full = false;
	for (uint64_t fd = 0; full && fd < limit; fd++)
		full = is_open(tid, fd);
	cw_reach(e, was);
	return full;
}

static bool is_file(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static int64_t op_open(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan,
                       struct cw_delivery *d)
{
	uint64_t flags = plan->arg[0];
	int fd;

	/* natively the number comes first: nothing is made or emptied for an open that cannot succeed */
	if ((flags & (O_CREAT | O_TRUNC)) && cw_table_full(e, t->tid))
		return -EMFILE;
	d->flags = (uint32_t)(flags & O_CLOEXEC);
	if (p->kind == CW_PLACE_PROC) {
		fd = cw_proc_open(e, p, flags);
	} else if (flags & 020000000) { /* O_TMPFILE */
		struct open_how how = {.flags = flags | O_CLOEXEC, .mode = plan->arg[1], .resolve = RESOLVE_BENEATH};

		cw_adopt(e, t, true);
		fd = (int)syscall(SYS_openat2, p->fd, ".", &how, sizeof(how));
		if (fd < 0)
			fd = -errno;
	} else if (p->fd < 0) {
		struct open_how how = {.flags = flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		                       .mode = plan->arg[1],
		                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

		cw_adopt(e, t, true);
		fd = (int)syscall(SYS_openat2, p->parent, p->name, &how, sizeof(how));
		if (fd < 0)
			fd = errno == ELOOP ? -EAGAIN : -errno; /* somebody put a link there: decide again */
		else if (!(flags & O_EXCL) && !is_file(fd))     /* or something that an open waits for */
			close(fd), fd = -EAGAIN;
		else
			fd = as_asked(fd, (int)flags);
		d->made = flags & O_EXCL;
	} else {
		fd = open_existing(e, t, p, (int)flags, d);
		if (fd == -EINPROGRESS)
			return 0;
	}
	if (fd < 0)
		return fd;
	d->fd = fd;
	return 0;
}

/* The held directory itself, with the flags that F_GETFL is to show. */
static int open_self(int dir, uint64_t flags)
{
	struct open_how how = {.flags = (flags & ~(uint64_t)(O_CREAT | O_EXCL | O_TRUNC)) | O_CLOEXEC,
	                       .resolve = RESOLVE_BENEATH};
	int fd = (int)syscall(SYS_openat2, dir, ".", &how, sizeof(how));

	if (fd < 0 && errno == EACCES) {
		/* "." needs search permission, the directory by its name does not; only O_NOFOLLOW is lost that way */
		char path[48];

		cw_fd_path(dir, path);
		fd = open(path, (int)how.flags & ~O_NOFOLLOW);
	}
	return fd < 0 ? -errno : fd;
}

static int64_t op_list(struct cw_engine *e, struct cw_place *p, struct cw_plan *plan, struct cw_delivery *d)
{
	uint64_t flags = plan->arg[0];
	int fd;

	d->flags = (uint32_t)(flags & O_CLOEXEC);
	/* what stands for an O_PATH descriptor can be listed, where the target asked for less */
	if (shows_otherwise(e, p) || ((flags & O_PATH) && !(p->rights & CW_RIGHT_READ))) {
		int v = view_path(e, p);

		if (v < 0)
			return v;
		if (flags & O_PATH) {
			fd = cw_view_open(e, v);
		} else {
			int err = cw_view_fill(e, v, p);

			if (err)
				return err;
			fd = open_self(e->views[v].fd, flags);
		}
	} else if (flags & O_PATH) {
		fd = reopen(p->fd, p->mode);
	} else {
		fd = open_self(p->fd, flags);
	}
	if (fd < 0)
		return fd;
	d->fd = fd;
	return 0;
}

/*
 * A descriptor put at one of the delivery numbers of the capability range; the number. It can be read and watched by the
 * target until the next delivery takes its place, so it shows no more than the grant does: a directory that may not be
 * listed or watched, that lists less than is there, or that nobody may read is stood for by its view, which leads to the
 * same virtual path.
 */
static int install(struct cw_engine *e, struct cw_place *p, struct cw_delivery *d)
{
	int fd = -EACCES;

	if (shown_whole(e, p))
		fd = reopen(p->fd, p->mode);
	if (fd == -EACCES && S_ISDIR(p->mode) && p->path[0]) {
		int v = view_path(e, p);

		if (v < 0)
			return v;
		fd = cw_view_open(e, v);
	}
	if (fd < 0)
		return fd;
	d->fd = fd;
	d->install = e->cap_base + e->cap_aux + CW_AUX_DELIVERY + e->next_delivery;
	e->next_delivery = (e->next_delivery + 1) % CW_PAD_DELIVERY_COUNT;
	return d->install;
}

static uint64_t delivery_slot(struct cw_engine *e, int number, uint64_t region, uint64_t stride)
{
	return region + (uint64_t)(number - e->cap_base - e->cap_aux - CW_AUX_DELIVERY) * stride;
}

/* --- extended attributes --- */

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

	if (!shown_whole(e, p))
		return -EPERM;
	int inotify = (int)syscall(SYS_pidfd_getfd, t->proc->pidfd, (int)plan->arg[0], 0);

	if (inotify < 0)
		return -errno;
	cw_fd_path(p->fd, path);
	int wd = inotify_add_watch(inotify, path, (uint32_t)plan->arg[1] & ~(uint32_t)IN_DONT_FOLLOW);
	int64_t ret = wd < 0 ? -errno : wd;

	close(inotify);
	return ret;
}

/* Has somebody a lease on it, who is asked first (fcntl(2))? The number alone: a file system may have others than its files. */
static bool is_leased(uint64_t ino)
{
	char line[256];
	FILE *f = fopen("/proc/locks", "re");
	bool is = false;

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
		(void)syscall(SYS_tgkill, t->proc->pid, t->tid, SIGXFSZ);
		return -EFBIG;
	}
	if (S_ISREG(st.st_mode) && is_leased(st.st_ino)) {
		if (syscall(SYS_faccessat2, p->fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH))
			return -errno;
		int err = by_worker(p, CW_WORK_TRUNCATE, size, d);

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
		int v = p->fd >= 0 ? 0 : view_path(e, p);

		if (v < 0)
			return v;
		if (fstatfs(p->fd >= 0 ? p->fd : e->views[v].fd, &sf))
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
		return op_open(e, t, p, plan, d);
	case CW_OP_LIST:
		return op_list(e, p, plan, d);
	case CW_OP_DELIVER:
		d->fd = p->fd;
		p->fd = -1;
		d->flags = (uint32_t)plan->arg[0];
		d->made = plan->arg[1] != 0;
		return 0;
	case CW_OP_CHDIR:
		n = install(e, p, d);
		if (n < 0)
			return n;
		then[0] = SYS_fchdir;
		then[1] = (uint64_t)n;
		return 0;
	case CW_OP_WATCH:
		ret = op_watch(e, t, p, plan);
		if (ret != -EPERM)
			return ret;
		n = install(e, p, d);
		if (n < 0)
			return n;
		then[0] = SYS_inotify_add_watch;
		then[1] = plan->arg[0];
		then[2] = delivery_slot(e, n, CW_PAD_FDPATH, CW_PAD_FDPATH_STRIDE);
		then[3] = plan->arg[1] & ~UINT64_C(0x02000000); /* the link in /proc is to be followed */
		return 0;
	case CW_OP_CONNECT:
		return cw_op_connect(t, p, plan, d);
	case CW_OP_BIND:
		return cw_op_bind(e, t, p, plan);
	case CW_OP_LISTEN:
		return cw_op_listen(t, plan, e);
	case CW_OP_LOOPBACK:
		return cw_op_loopback(e, t, plan, d);
	}
	return -ENOSYS;
}
