/*
 * The descriptors of the target: what each stands for, where that lies in the namespace, and how it is open. Asked of the
 * kernel each time; what a decision rests on is held first (ARCHITECTURE.md, rule 11).
 */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

/* readlink of one of the target's magic links: what the kernel says at this moment, on which the decision then rests. */
int cw_fd_link(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	char path[48];

	if (fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", c->call.tid);
	else if (fd < 0)
		return -EBADF;
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->call.tid, fd);
	ssize_t n = readlink(path, dst, size - 1);

	if (n < 0)
		return errno == ENOENT ? -EBADF : -errno;
	if ((size_t)n == size - 1)
		return -ENAMETOOLONG;
	dst[n] = 0;
	return (int)n;
}

static bool deleted(const char *s, size_t n)
{
	return n > 10 && !strcmp(s + n - 10, " (deleted)");
}

/* Without a name: 0; -ENOTDIR where it is no directory either. 1: it has one. */
static int named(struct cw_ctx *c, int fd)
{
	char path[48];
	struct stat st;

	if (fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", c->call.tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->call.tid, fd);
	if (stat(path, &st))
		return 0;
	return st.st_nlink ? 1 : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int dir_path(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	char host[CW_PATH_MAX];
	int n = cw_fd_link(c, fd, host, sizeof(host));

	if (n < 0)
		return n;
	if (host[0] != '/')
		return -ENOTDIR; /* pipe:[..], socket:[..], anon_inode:.. */
	if (deleted(host, (size_t)n)) {
		int name = named(c, fd);

		if (name <= 0)
			return name ? name : -ENOENT;
	}
	return cw_reverse(container(c), host, dst, size);
}

int cw_dir_path(struct cw_ctx *c, int fd, char *dst, size_t size)
{
	struct cw_engine *e = container(c);

	/* a capability by its number is nobody's descriptor */
	if (fd >= e->cap_base && fd < e->cap_base + e->cap_end)
		return -EBADF;
	bool was = cw_reach(e, true);
	int len = dir_path(c, fd, dst, size);

	cw_reach(e, was);
	return len;
}

bool cw_dir_removed(struct cw_ctx *c, int fd)
{
	char host[CW_PATH_MAX];
	bool was = cw_reach(container(c), true);
	int n = cw_fd_link(c, fd, host, sizeof(host));
	bool gone = n > 0 && host[0] == '/' && deleted(host, (size_t)n) && !named(c, fd);

	cw_reach(container(c), was);
	return gone;
}

int cw_hold_fd(struct cw_ctx *c, int fd)
{
	struct cw_engine *e = container(c);
	char path[48];

	if (fd == AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/cwd", c->call.tid);
	else if (fd < 0 || (fd >= e->cap_base && fd < e->cap_base + e->cap_end))
		return -EBADF;
	else
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->call.tid, fd);
	bool was = cw_reach(e, true);
	int held = open(path, O_PATH | O_CLOEXEC), err = errno;

	cw_reach(e, was);
	return held < 0 ? (err == ENOENT ? -EBADF : -err) : held;
}

/* The mount on which a file lies. Numbers of mounts are of one count for all mount namespaces. */
static uint64_t mount_of(int dir, const char *path, int flags)
{
	struct statx sx;

	return statx(dir, path, flags, STATX_MNT_ID, &sx) || !(sx.stx_mask & STATX_MNT_ID) ? 0 : sx.stx_mnt_id;
}

/* Where the way is closed to us as well: the nearest directory on it that is not has to lie on the same mount. */
static bool lies_beneath(int held, const char *host)
{
	uint64_t mount = mount_of(held, "", AT_EMPTY_PATH);
	char dir[CW_PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", host);
	while (mount && (slash = strrchr(dir, '/')) && slash != dir) {
		*slash = 0;
		uint64_t above = mount_of(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW);

		if (above)
			return above == mount;
	}
	return false;
}

/*
 * Does the file lie at this path? d_path() tells where it lies in the mount namespace that it was opened in, and a
 * descriptor that was inherited or received may be of another one, where the same path means something else. Of what
 * was unlinked the path is cut to what it was, and the mount decides.
 */
static bool lies_at(int held, char *host, size_t len)
{
	struct stat is, there;

	if (fstat(held, &is))
		return false;
	if (!lstat(host, &there))
		return is.st_dev == there.st_dev && is.st_ino == there.st_ino;
	/* what looks removed there could as well be a file of that name: neither has the rights of the other */
	if (errno == EACCES)
		return !deleted(host, len) && lies_beneath(held, host);
	if (!deleted(host, len))
		return false;
	char dir[CW_PATH_MAX];
	char *slash;

	host[len - 10] = 0;
	memcpy(dir, host, len - 9);
	slash = strrchr(dir, '/');
	slash[slash == dir] = 0;
	uint64_t mount = mount_of(held, "", AT_EMPTY_PATH);

	return mount && mount == mount_of(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW);
}

static bool is_memory(int held, const char *host, size_t len)
{
	struct stat st;

	return deleted(host, len) && !strncmp(host, "/memfd:", 7) && !fstat(held, &st) && !st.st_nlink;
}

/* A message queue of the target, which lies nowhere. In a trace it has its own name, and an open of another's was told of. */
static bool is_queue(const struct cw_engine *e, int held, const char *host)
{
	struct statfs fs;

	return (cw_tracing(e) || cw_ipc_queue(e, host)) && !fstatfs(held, &fs) &&
	       fs.f_type == 0x19800202; /* MQUEUE_MAGIC, ipc/mqueue.c */
}

static int held_path(struct cw_ctx *c, int held, char *dst, size_t size)
{
	char path[48], host[CW_PATH_MAX], again[CW_PATH_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	for (int tries = 0; tries < 8; tries++) {
		ssize_t n = readlink(path, host, sizeof(host) - 1);

		if (n < 0)
			return -errno;
		host[n] = 0;
		if (host[0] != '/' || is_memory(held, host, (size_t)n) || is_queue(container(c), held, host))
			return -ENODATA;
		memcpy(again, host, (size_t)n + 1);
		if (lies_at(held, host, (size_t)n))
			return cw_reverse(container(c), host, dst, size);
		/* somebody outside may have renamed it meanwhile */
		n = readlink(path, host, sizeof(host) - 1);
		if (n < 0 || (host[n] = 0, !strcmp(host, again)))
			break;
	}
	return -ENOENT;
}

/* Whoever asks may be kept out of directories on the way to what it holds. */
int cw_held_path(struct cw_ctx *c, int held, char *dst, size_t size)
{
	bool was = cw_reach(container(c), true);
	int len = held_path(c, held, dst, size);

	cw_reach(container(c), was);
	return len;
}

/* The head of proc_pid_fdinfo(5), all of it of one moment: how it was opened, on which mount and which inode (Linux 5.14). */
struct fdinfo {
	unsigned flags;
	unsigned long long mount, ino;
};

static bool read_fdinfo(const char *path, struct fdinfo *info)
{
	char text[256];

	return cw_read_text(path, text, sizeof(text)) &&
	       sscanf(text, "pos: %*d flags: %o mnt_id: %llu ino: %llu", &info->flags, &info->mount, &info->ino) == 3;
}

int cw_fd_flags(struct cw_engine *e, int tid, int fd, int held)
{
	char path[48];
	struct fdinfo its, ours;

	if (fd < 0 || (fd >= e->cap_base && fd < e->cap_base + e->cap_end))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tid, fd);
	if (!read_fdinfo(path, &its))
		return -EBADF;
	if (held >= 0) {
		bool was = cw_reach(e, true);

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", held);
		bool same = read_fdinfo(path, &ours) && its.mount == ours.mount && its.ino == ours.ino;

		cw_reach(e, was);
		if (!same)
			return -EBADF;
	}
	return (int)(its.flags & 0x7fffffff);
}
