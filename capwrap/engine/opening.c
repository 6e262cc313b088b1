/*
 * Plans that end in a descriptor for the target: a file is opened or made, a directory as it may be seen, a terminal. What
 * might wait for somebody is left to a worker of the listener.
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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
int cw_by_worker(const struct cw_place *p, enum cw_work work, uint64_t arg, struct cw_delivery *d)
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
		return cw_by_worker(p, CW_WORK_OPEN, (uint64_t)keep, d);
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
		return cw_by_worker(p, CW_WORK_OPEN, (uint64_t)keep, d); /* the permissions were good */
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

int64_t cw_op_open(struct cw_engine *e, struct cw_task *t, struct cw_place *p, struct cw_plan *plan,
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

int64_t cw_op_list(struct cw_engine *e, struct cw_place *p, struct cw_plan *plan, struct cw_delivery *d)
{
	uint64_t flags = plan->arg[0];
	int fd;

	d->flags = (uint32_t)(flags & O_CLOEXEC);
	/* what stands for an O_PATH descriptor can be listed, where the target asked for less */
	if (cw_shows_otherwise(e, p) || ((flags & O_PATH) && !(p->rights & CW_RIGHT_READ))) {
		int v = cw_view_for(e, p->path);

		if (v < 0)
			return v;
		if (flags & O_PATH) {
			fd = cw_view_open(e, v);
		} else {
			int err = cw_view_fill(e, v, p);

			if (err)
				return err;
			fd = open_self(cw_view_fd(e, v), flags);
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
int cw_install(struct cw_engine *e, struct cw_place *p, struct cw_delivery *d)
{
	int fd = -EACCES;

	if (cw_shown_whole(e, p))
		fd = reopen(p->fd, p->mode);
	if (fd == -EACCES && S_ISDIR(p->mode) && p->path[0]) {
		int v = cw_view_for(e, p->path);

		if (v < 0)
			return v;
		fd = cw_view_open(e, v);
	}
	if (fd < 0)
		return fd;
	int number = cw_delivery_number(e, e->current);

	if (number < 0) {
		close(fd);
		return number;
	}
	d->fd = fd;
	d->install = number;
	return number;
}

uint64_t cw_delivery_slot(struct cw_engine *e, int number, uint64_t region, uint64_t stride)
{
	return region + (uint64_t)(number - e->cap_base - e->cap_aux - CW_AUX_DELIVERY) * stride;
}
