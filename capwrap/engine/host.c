/* The supervisor's side of struct cw_ops: what a rewriter may ask of the world. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int op_read(struct cw_ctx *c, void *dst, struct tptr src, size_t n)
{
	return cw_mem_read(container(c), c->call.tid, dst, src.a, n);
}

static int op_read_string(struct cw_ctx *c, char *dst, size_t size, struct tptr src)
{
	return cw_mem_string(container(c), c->call.tid, dst, size, src.a);
}

/* readlink of one of the target's magic links: what the kernel says at this moment, on which the decision then rests. */
static int target_link(struct cw_ctx *c, int fd, char *dst, size_t size)
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
	int n = target_link(c, fd, host, sizeof(host));

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

static int op_dir_path(struct cw_ctx *c, int fd, char *dst, size_t size)
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

static bool op_removed(struct cw_ctx *c, int fd)
{
	char host[CW_PATH_MAX];
	bool was = cw_reach(container(c), true);
	int n = target_link(c, fd, host, sizeof(host));
	bool gone = n > 0 && host[0] == '/' && deleted(host, (size_t)n) && !named(c, fd);

	cw_reach(container(c), was);
	return gone;
}

static int op_hold_fd(struct cw_ctx *c, int fd)
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

/* A message queue of the target, which lies nowhere. */
static bool is_queue(const struct cw_engine *e, int held, const char *host)
{
	struct statfs fs;

	return cw_ipc_queue(e, host) && !fstatfs(held, &fs) && fs.f_type == 0x19800202; /* MQUEUE_MAGIC, ipc/mqueue.c */
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
static int op_held_path(struct cw_ctx *c, int held, char *dst, size_t size)
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

static bool op_member(struct cw_ctx *c, int pid)
{
	return pid > 0 && cw_task_find(container(c), pid);
}

static bool same_process(int pidfd)
{
	return !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) || errno == EPERM;
}

/* Its tracer has reaped it, and so it is in no book any more; its pid is taken until its parent has. */
static int op_ended(struct cw_ctx *c, int pid, uint32_t flags)
{
	char text[512], state = 0;
	int ppid = 0, pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, flags) : -1;

	if (pidfd < 0)
		return -ESRCH;
	const char *rest = cw_read_stat(pid, text, sizeof(text));

	/* asked of it in between: what was read was said of the process that the descriptor stands for */
	if (!rest || sscanf(rest, " %c %d", &state, &ppid) != 2 || state != 'Z' || !cw_proc_find(container(c), ppid) ||
	    !same_process(pidfd)) {
		close(pidfd);
		return -ESRCH;
	}
	return pidfd;
}

static int op_group_of(struct cw_ctx *c, int pidfd, int pid, bool session)
{
	int group = session ? getsid(pid) : getpgid(pid);

	(void)c;
	return group >= 0 && same_process(pidfd) ? group : -ESRCH;
}

static bool op_member_group(struct cw_ctx *c, int pgid)
{
	struct cw_engine *e = container(c);

	for (int i = 0; i < CW_HASH; i++)
		for (struct cw_proc *p = e->procs[i]; p; p = p->next)
			if (getpgid(p->pid) == pgid)
				return true;
	/* the first process of a pipeline may have ended before the others were put into its group */
	int leader = op_ended(c, pgid, 0);
	bool is = leader >= 0 && op_group_of(c, leader, pgid, false) == pgid;

	if (leader >= 0)
		close(leader);
	return is;
}

/* `own` where the kernel, in the host's root and the target's cwd, finds the same file by it: 0. Else the host's own
 * name for the file: 1. What has no name any more (memory, deleted) runs only where the policy allows it. */
static void name_in_record(int fd, char *whole)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, whole, CW_PATH_MAX - 1);

	whole[n > 0 ? n : 0] = 0;
}

static int op_exec_string(struct cw_ctx *c, const struct cw_place *p, const char *own, char *dst, size_t size)
{
	struct cw_engine *e = container(c);
	char path[48];
	struct stat st;
	int dir = AT_FDCWD;

	if (p->fd < 0) {
		/* a name that is still to be made (bind): its directory decides */
		if (p->parent < 0)
			return -EACCES;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p->parent);
		ssize_t n = readlink(path, dst, size - 1);

		if (n < 0 || (size_t)n + strlen(p->name) + 2 > size)
			return -ENAMETOOLONG;
		dst[n] = 0;
		bool same = own[0] == '/' && !strncmp(own, dst, (size_t)n) && own[n] == '/' &&
		            !strcmp(own + n + 1, p->name);

		if (!same && own[0] != '/' && strcmp(own, p->name) == 0) {
			char cwd[CW_PATH_MAX];

			same = target_link(c, AT_FDCWD, cwd, sizeof(cwd)) > 0 && !strcmp(cwd, dst);
		}
		if (same) {
			memmove(dst, own, strlen(own) + 1);
			return 0;
		}
		dst[n] = '/';
		memcpy(dst + n + 1, p->name, strlen(p->name) + 1);
		return 1;
	}
	if (fstat(p->fd, &st))
		return -errno;
	if (!st.st_nlink) {
		if (!(e->im.h->allow & CW_ALLOW_MEMFD_EXEC)) {
			char *whole = p == &c->place[1] ? c->whole2 : c->whole;

			/* it has no name in the namespace: the kernel's tells in the record what it is */
			name_in_record(p->fd, whole);
			c->rec.kind = CW_KIND_EXEC;
			return -EACCES;
		}
		if (c->call.nr == 322)
			snprintf(dst, size, "/proc/self/fd/%d", (int)c->call.arg[0]);
		else
			snprintf(dst, size, "%s", own);
		return 0;
	}
	if (own[0] && strlen(own) < size) {
		if (own[0] != '/') {
			snprintf(path, sizeof(path), "/proc/%d/cwd", c->call.tid);
			dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		}
		/* ours is another; the target's names it to the kernel, and so to itself (comm, AT_EXECFN) */
		bool self = !strcmp(own, "/proc/self/exe");

		if (self)
			snprintf(path, sizeof(path), "/proc/%d/exe", c->call.tgid);
		bool same = (dir >= 0 || own[0] == '/') && !fstatat(dir, self ? path : own, &st, 0) &&
		            st.st_dev == p->dev && st.st_ino == p->ino;

		if (dir >= 0)
			close(dir);
		if (same) {
			memmove(dst, own, strlen(own) + 1);
			return 0;
		}
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	ssize_t n = readlink(path, dst, size - 1);

	if (n < 0)
		return -errno;
	dst[n] = 0;
	return 1;
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
		return e->n_tasks;
	default:
		return 0;
	}
}

static int64_t rlimit(struct cw_engine *e, struct cw_ctx *c, const uint64_t *arg)
{
	struct cw_task *t = cw_task_find(e, (int)arg[0]);
	struct {
		uint64_t soft, hard;
	} real;
	uint64_t base = (uint64_t)e->cap_base, end = base + (uint64_t)e->cap_end;

	if (!t || !t->proc)
		return -ESRCH;
	if (!cw_may_limit(e, t->proc))
		return -EPERM;
	uint64_t *seen = t->proc->nofile;

	if (!t->proc->nofile_set) {
		seen[0] = e->nofile_soft;
		seen[1] = e->nofile_hard;
	}
	if (!arg[2]) {
		c->scratch64[0] = seen[0];
		c->scratch64[1] = seen[1];
		return 0;
	}
	uint64_t soft = c->scratch64[0], hard = c->scratch64[1];

	if (soft > hard)
		return -EINVAL;
	/* who asks is root if its files are: setfsuid(2) tells, and -1 changes nothing */
	if (hard > seen[1] && ((uid_t)setfsuid((uid_t)-1) != 0 || hard > e->nofile_hard))
		return -EPERM;
	/* below the capabilities as it is; above them as many more; they themselves must keep their numbers */
	real.soft = soft <= base ? soft : soft + (e->nofile_shifted ? (uint64_t)e->cap_end : 0);
	if (soft == base)
		real.soft = end;
	real.hard = hard < end ? end : hard + (e->nofile_shifted ? (uint64_t)e->cap_end : 0);
	if (real.hard > e->features.nofile_hard)
		real.hard = e->features.nofile_hard;
	if (real.soft > real.hard)
		real.soft = real.hard;
	if (syscall(SYS_prlimit64, t->proc->pid, 7, &real, NULL))
		return -errno;
	t->proc->nofile_set = true;
	seen[0] = soft;
	seen[1] = hard;
	return 0;
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
		return rlimit(e, c, arg);
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
	case CW_SERVICE_JOIN:
		return cw_group_join(e, (int)arg[0], (int)arg[1]);
	default:
		return cw_ipc_service(e, what, arg);
	}
}

const struct cw_ops cw_host_ops = {
	.read = op_read,
	.read_string = op_read_string,
	.dir_path = op_dir_path,
	.removed = op_removed,
	.hold_fd = op_hold_fd,
	.held_path = op_held_path,
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
	.member = op_member,
	.member_group = op_member_group,
	.ended = op_ended,
	.group_of = op_group_of,
	.proc = cw_proc_lookup,
	.exec_string = op_exec_string,
	.fact = op_fact,
	.call = op_call,
};
