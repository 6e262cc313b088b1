/*
 * /proc and /dev/pts as the target sees them: its own processes, and files of the machine from a list. Lookups are
 * decided here by name; files are opened by the supervisor in the process that was meant, never in its own /proc/self.
 */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum where { TOP, PID, TASK, NODE_SYS };

/* How an entry is served. */
enum serve { S_FILE, S_WRITABLE, S_DIR, S_LINK, S_FDS, S_MADE, S_OWN };

static const struct entry {
	const char *name;
	enum where where;
	enum serve serve;
} entries[] = {
	/* the machine, from a list; read-only */
	{"cpuinfo", TOP, S_FILE},
	{"meminfo", TOP, S_FILE},
	{"stat", TOP, S_FILE},
	{"loadavg", TOP, S_FILE},
	{"uptime", TOP, S_FILE},
	{"version", TOP, S_FILE},
	{"filesystems", TOP, S_FILE},
	{"sys", TOP, S_DIR},
	{"self", TOP, S_LINK},
	{"thread-self", TOP, S_LINK},
	{"mounts", TOP, S_LINK},
	/* a process of the target */
	{"cwd", PID, S_LINK},
	{"exe", PID, S_LINK},
	{"root", PID, S_LINK},
	{"fd", PID, S_FDS},
	{"fdinfo", PID, S_FDS},
	{"task", PID, S_FDS},
	{"mounts", PID, S_MADE},
	{"mountinfo", PID, S_MADE},
	{"mountstats", PID, S_MADE},
	{"auxv", PID, S_FILE},
	{"cgroup", PID, S_FILE},
	{"cmdline", PID, S_FILE},
	{"comm", PID, S_WRITABLE},
	{"coredump_filter", PID, S_WRITABLE},
	{"environ", PID, S_FILE},
	{"io", PID, S_FILE},
	{"limits", PID, S_FILE},
	{"loginuid", PID, S_FILE},
	{"maps", PID, S_FILE},
	{"mem", PID, S_OWN},
	{"numa_maps", PID, S_FILE},
	{"oom_adj", PID, S_WRITABLE},
	{"oom_score", PID, S_FILE},
	{"oom_score_adj", PID, S_WRITABLE},
	{"pagemap", PID, S_FILE},
	{"personality", PID, S_FILE},
	{"sched", PID, S_FILE},
	{"schedstat", PID, S_FILE},
	{"sessionid", PID, S_FILE},
	{"setgroups", PID, S_FILE},
	{"smaps", PID, S_FILE},
	{"smaps_rollup", PID, S_FILE},
	{"stat", PID, S_FILE},
	{"statm", PID, S_FILE},
	{"status", PID, S_FILE},
	{"timerslack_ns", PID, S_WRITABLE},
	{"wchan", PID, S_FILE},
	{"children", TASK, S_FILE},
};

#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

/* What the kernel shows only to who could trace the process (fs/proc/base.c, PTRACE_MODE_READ_FSCREDS). */
static bool is_closed(const char *name)
{
	static const char *const closed[] = {"cwd",       "exe",     "root",         "fd",      "fdinfo",
	                                     "auxv",      "environ", "io",           "maps",    "mem",
	                                     "numa_maps", "smaps",   "smaps_rollup", "pagemap", "personality"};

	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		if (!strcmp(closed[i], name))
			return true;
	return false;
}

static const struct entry *find(const char *name, size_t len, bool top, bool task)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		const struct entry *t = &entries[i];

		if ((t->where == TOP) != top || (t->where == TASK && !task))
			continue;
		if (task && !strcmp(t->name, "task"))
			continue;
		if (!strncmp(t->name, name, len) && !t->name[len])
			return t;
	}
	return NULL;
}

static int number(const char *s, size_t len)
{
	long v = 0;

	if (!len || len > 9 || (s[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return (int)v;
}

/* The next component of text but ".", or len 0. Moves *s behind it and the slashes that follow. */
static const char *next(const char **s, size_t *len)
{
	const char *from;

	do {
		while (**s == '/')
			(*s)++;
		from = *s;
		while (**s && **s != '/')
			(*s)++;
		*len = (size_t)(*s - from);
		while (**s == '/')
			(*s)++;
	} while (*len == 1 && from[0] == '.');
	return from;
}

static void name_it(struct cw_place *p, const char *name, size_t len)
{
	size_t at = strlen(p->path);

	if (at + len + 2 < sizeof(p->path)) {
		p->path[at] = '/';
		memcpy(p->path + at + 1, name, len);
		p->path[at + 1 + len] = 0;
	}
}

/* A link is followed: its text, absolute in the namespace, in front of what is left. */
static int replace(char *text, size_t size, const char *link, const char *rest)
{
	size_t l = strlen(link), r = strlen(rest);

	if (l + r + 2 > size)
		return -ENAMETOOLONG;
	memmove(text + l + (r ? 1 : 0), rest, r + 1);
	memcpy(text, link, l); /* NOLINT(bugprone-not-null-terminated-result): the zero of `rest` is there already */
	if (r)
		text[l] = '/';
	return 1;
}

/* ".." among what is listed here: the place above by its canonical path. 1 as replace(), or 0 for another name. */
static int upwards(struct cw_place *p, const char *name, size_t len, const char *rest, char *text, size_t size)
{
	char up[CW_PATH_MAX];
	char *slash;

	if (len != 2 || strncmp(name, "..", 2) != 0)
		return 0;
	snprintf(up, sizeof(up), "%s", p->path);
	slash = strrchr(up, '/');
	if (slash)
		slash[slash == up] = 0;
	return replace(text, size, up, rest);
}

static int not_here(struct cw_ctx *c, struct cw_place *p, const char *rest)
{
	if (*rest)
		name_it(p, rest, strlen(rest));
	c->rec.kind = CW_KIND_NOT_GRANTED;
	p->grant = CW_NONE;
	p->rights = 0;
	return -ENOENT;
}

/* A file of procfs that the namespace shows at the same place: of the system, or of a process of the target. */
static bool is_shown(struct cw_engine *e, const char *host)
{
	char path[CW_PATH_MAX];
	const char *name = host + 6;
	int pid = strncmp(host, "/proc/", 6) ? 0 : number(name, strcspn(name, "/"));

	if (!pid || (pid > 0 && !cw_proc_find(e, pid)))
		return false;
	for (uint32_t i = 0; i < e->im.n_nodes; i++)
		if (e->im.nodes[i].kind == CW_NODE_PROC && cw_node_path(&e->im, i, path, sizeof(path)) > 0 &&
		    !strcmp(path, "/proc"))
			return true;
	return false;
}

/* Where a magic link of a process leads, as it is seen in the namespace. */
static int magic(struct cw_engine *e, int tid, const char *what, char *dst, size_t size)
{
	char path[64], host[CW_PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, what);
	ssize_t n = readlink(path, host, sizeof(host) - 1);

	if (n < 0)
		return -errno;
	host[n] = 0;
	if (host[0] != '/')
		return snprintf(dst, size, "%s", host);
	const char *queue = cw_ipc_queue(e, host);

	if (queue)
		return snprintf(dst, size, "/%s", queue);
	int len = cw_reverse(e, host, dst, size);
	int pts = strncmp(host, "/dev/pts/", 9) ? -1 : number(host + 9, strlen(host + 9));

	if (pts >= 0 && cw_terminal_find(e, pts) >= 0)
		return snprintf(dst, size, "%s", host);
	if (len <= 0 && is_shown(e, host))
		return snprintf(dst, size, "%s", host);
	/* what it holds but could not name: nothing is told of where it is */
	return len > 0 ? len : snprintf(dst, size, "/(outside)");
}

int cw_proc_fd_text(struct cw_engine *e, int tid, int fd, char *dst, size_t size)
{
	char what[32];

	if (fd >= e->cap_base && fd < e->cap_base + e->cap_end)
		return -ENOENT;
	snprintf(what, sizeof(what), "fd/%d", fd);
	return magic(e, tid, what, dst, size);
}

static int end_file(struct cw_place *p, enum cw_proc_kind kind, uint32_t mode, const char *rest)
{
	if (*rest)
		return -ENOTDIR;
	p->proc = kind;
	p->mode = mode;
	return p->slash && kind != CW_PROC_TEXT && kind != CW_PROC_FD ? -ENOTDIR : 0;
}

/* /proc/sys: beneath procfs itself; the kernel resolves, no links are there. */
static int in_sys(struct cw_place *p, const char *rest)
{
	char path[CW_PATH_MAX];
	struct stat st;

	if (*rest)
		name_it(p, rest, strlen(rest));
	for (const char *q = rest; *q; q++)
		if (q[0] == '.' && q[1] == '.' && (q == rest || q[-1] == '/'))
			return -EACCES;
	if (snprintf(path, sizeof(path), "/proc/sys/%s", rest) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	p->fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (p->fd < 0)
		return -errno;
	if (fstat(p->fd, &st))
		return -errno;
	p->mode = st.st_mode;
	p->proc = S_ISDIR(st.st_mode) ? CW_PROC_REAL_DIR : CW_PROC_FILE;
	p->proc_pid = 0;
	return S_ISLNK(st.st_mode) ? -EACCES : 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): goes in once, for a thread's directory, where find() knows no "task" */
static int in_process(struct cw_ctx *c, struct cw_place *p, const char *s, char *text, size_t size, bool nofollow,
                      bool task)
{
	struct cw_engine *e = container(c);
	size_t len;
	const char *name = next(&s, &len);
	char link[CW_PATH_MAX];

	link[0] = 0;
	if (!len) {
		p->proc = CW_PROC_DIR;
		p->proc_entry = task ? TASK : PID;
		p->mode = S_IFDIR | 0555;
		return 0;
	}
	int up = upwards(p, name, len, s, text, size);

	if (up)
		return up;
	const struct entry *t = find(name, len, false, task);

	if (!t)
		return not_here(c, p, name);
	name_it(p, name, len);
	p->proc_entry = (uint32_t)(t - entries);
	if (is_closed(t->name) && !cw_may_look_into(e, p->proc_pid))
		return -EACCES;
	switch (t->serve) {
	case S_LINK: {
		int n = strcmp(t->name, "root") ? magic(e, p->proc_tid, t->name, link, sizeof(link))
		                                : snprintf(link, sizeof(link), "/");

		if (n < 0)
			return n;
		if (nofollow && !*s && !p->slash) {
			snprintf(c->bytes, sizeof(c->bytes), "%s", link);
			return end_file(p, CW_PROC_TEXT, S_IFLNK | 0777, s);
		}
		return replace(text, size, link, s);
	}
	case S_FDS: {
		const char *which = t->name;
		const char *inner = next(&s, &len);

		if (!len) {
			p->proc = CW_PROC_DIR;
			p->mode = S_IFDIR | 0500;
			return 0;
		}
		up = upwards(p, inner, len, s, text, size);
		if (up)
			return up;
		int n = number(inner, len);

		if (n < 0)
			return -ENOENT;
		name_it(p, inner, len);
		if (!strcmp(which, "task")) {
			struct cw_task *thread = cw_task_find(e, n);

			if (!thread || !thread->proc || thread->proc->pid != p->proc_pid)
				return -ENOENT;
			p->proc_tid = n;
			return in_process(c, p, s, text, size, nofollow, true);
		}
		p->proc_fd = n;
		int l = cw_proc_fd_text(e, p->proc_tid, n, link, sizeof(link));

		if (l < 0)
			return -ENOENT;
		if (!strcmp(which, "fdinfo")) {
			char path[64];

			snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", p->proc_tid, n);
			p->fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
			return p->fd < 0 ? -errno : end_file(p, CW_PROC_FILE, S_IFREG | 0400, s);
		}
		if (nofollow && !*s && !p->slash) {
			snprintf(c->bytes, sizeof(c->bytes), "%s", link);
			return end_file(p, CW_PROC_FD, S_IFLNK | 0700, s);
		}
		/* a directory that it is open on can be walked on from; the file itself is reopened by reference */
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", p->proc_tid, n);
		p->fd = open(path, O_PATH | O_CLOEXEC);
		if (p->fd < 0)
			return -errno;
		if (fstat(p->fd, &st))
			return -errno;
		p->mode = st.st_mode;
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		if (S_ISDIR(st.st_mode)) {
			if (link[0] != '/')
				return -ENOTDIR;
			return replace(text, size, link, s);
		}
		if (*s || p->slash)
			return -ENOTDIR;
		/* the rights of the original: those of the grant that it lies in, or what the fd can do where it lies in none */
		int flags = cw_fd_flags(e, p->proc_tid, n, p->fd);

		if (flags < 0)
			return -ENOENT; /* closed, or another thread has put something else there */
		uint64_t own = flags & O_PATH ? CW_RIGHTS_ALL
		               : (flags & O_ACCMODE) == O_RDONLY
		                       ? CW_RIGHTS_ALL & ~(uint64_t)(CW_RIGHT_WRITE | CW_RIGHT_FTRUNCATE)
		               : (flags & O_ACCMODE) == O_WRONLY ? CW_RIGHTS_ALL & ~(uint64_t)CW_RIGHT_READ
		                                                 : CW_RIGHTS_ALL;
		struct cw_place *in = &c->place[p == &c->place[0] ? 1 : 0];
		char held[CW_PATH_MAX];
		int h = e->ctx.ops->held_path(c, p->fd, held, sizeof(held));

		p->kind = CW_PLACE_HOST;
		p->root = true;
		p->exact = false;
		p->by_fd = true;
		if (h == -ENODATA) {
			p->rights = own; /* a pipe, a socket, memory: nobody's file */
			p->grant = CW_NONE;
			return 0;
		}
		if (h < 0) {
			/* inherited, from outside the grants: its own mode is all that it gives, and none for an O_PATH one */
			p->rights = flags & O_PATH
			                    ? 0
			                    : own & (CW_RIGHT_READ | CW_RIGHT_WRITE | CW_RIGHT_FSTAT | CW_RIGHT_LOOKUP);
			p->grant = CW_NONE;
			return 0;
		}
		/* where it lies decides as if it had been opened by name */
		uint64_t rights = 0;
		uint32_t grant = CW_NONE;
		struct cw_place *keep = malloc(sizeof(*keep));
		char *rest = malloc(CW_TEXT_MAX);

		if (keep && rest) {
			*keep = *in;
			memcpy(rest, c->text, CW_TEXT_MAX);
			enum cw_event_kind kind = c->rec.kind;

			in->fd = in->parent = -1;
			if (!cw_walk(c, in, "/", held, CW_WALK_NOFOLLOW | CW_WALK_CREATE)) {
				rights = in->rights;
				grant = in->grant;
			}
			cw_place_drop(c, in);
			c->rec.kind = kind;
			*in = *keep;
			memcpy(c->text, rest, CW_TEXT_MAX);
		}
		free(keep);
		free(rest);
		p->rights = rights;
		p->grant = grant;
		snprintf(p->path, sizeof(p->path), "%s", held);
		return 0;
	}
	case S_MADE:
		return end_file(p, CW_PROC_MADE, S_IFREG | 0444, s);
	default: {
		char path[128];

		if (t->serve == S_OWN && p->proc_pid != c->call.tgid)
			return not_here(c, p, "");
		if (t->serve == S_WRITABLE)
			p->rights |= CW_RIGHT_WRITE | CW_RIGHT_FTRUNCATE;
		if (task)
			snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", p->proc_pid, p->proc_tid, t->name);
		else
			snprintf(path, sizeof(path), "/proc/%d/%s", p->proc_pid, t->name);
		p->fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (p->fd < 0)
			return -errno;
		struct stat st;

		return fstat(p->fd, &st) ? -errno : end_file(p, CW_PROC_FILE, st.st_mode, s);
	}
	}
}

/* The terminals of the target: those it was given as 0, 1 and 2 (or its controlling one), and the ptys that it opens. */
static int in_pts(struct cw_ctx *c, struct cw_place *p, const char *s, char *text, size_t size)
{
	struct cw_engine *e = container(c);
	size_t len;
	const char *name = next(&s, &len);
	struct stat st;

	if (!len) {
		p->proc = CW_PROC_DIR;
		p->mode = S_IFDIR | 0755;
		return 0;
	}
	if (len == 2 && !strncmp(name, "..", 2))
		return replace(text, size, "/dev", s);
	int n = number(name, len), held = n < 0 ? -1 : cw_terminal_find(e, n);

	if (held < 0)
		return not_here(c, p, name);
	if (*s)
		return -ENOTDIR;
	name_it(p, name, len);
	p->fd = fcntl(held, F_DUPFD_CLOEXEC, 3);
	if (p->fd < 0)
		return -errno;
	if (fstat(p->fd, &st))
		return -errno;
	p->kind = CW_PLACE_HOST;
	p->root = true;
	p->mode = st.st_mode;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	return 0;
}

int cw_proc_lookup(struct cw_ctx *c, struct cw_place *p, char *text, size_t size, bool nofollow)
{
	struct cw_engine *e = container(c);
	const char *s = text;
	size_t len;
	char link[64];

	p->proc_pid = p->proc_tid = 0;
	p->proc_fd = -1;
	p->mode = S_IFDIR | 0555;
	if (e->im.nodes[p->node].kind == CW_NODE_PTS)
		return in_pts(c, p, s, text, size);
	const char *name = next(&s, &len);

	if (!len) {
		p->proc = CW_PROC_DIR;
		p->proc_entry = TOP;
		return 0;
	}
	if (len == 2 && !strncmp(name, "..", 2))
		return replace(text, size, "/", s);
	int pid = number(name, len);

	if (pid >= 0) {
		/* a thread's number is looked up like a process's, but not listed: proc(5) */
		struct cw_task *t = cw_task_find(e, pid);

		if (!t || !t->proc)
			return not_here(c, p, name);
		name_it(p, name, len);
		p->proc_pid = t->proc->pid;
		p->proc_tid = pid;
		/* its own descriptors are its own, whoever it has become since: proc_fd_permission in fs/proc/fd.c */
		bool was = cw_reach(e, p->proc_pid == c->call.tgid);
		int err = in_process(c, p, s, text, size, nofollow, false);

		cw_reach(e, was);
		return err;
	}
	const struct entry *t = find(name, len, true, false);

	if (!t)
		return not_here(c, p, name);
	name_it(p, name, len);
	p->proc_entry = (uint32_t)(t - entries);
	if (t->serve == S_LINK) {
		if (!strcmp(t->name, "self"))
			snprintf(link, sizeof(link), "%d", c->call.tgid);
		else if (!strcmp(t->name, "thread-self"))
			snprintf(link, sizeof(link), "%d/task/%d", c->call.tgid, c->call.tid);
		else
			snprintf(link, sizeof(link), "self/mounts");
		if (nofollow && !*s && !p->slash) {
			snprintf(c->bytes, sizeof(c->bytes), "%s", link);
			return end_file(p, CW_PROC_TEXT, S_IFLNK | 0777, s);
		}
		char whole[80];

		snprintf(whole, sizeof(whole), "/proc/%s", link);
		return replace(text, size, whole, s);
	}
	if (t->serve == S_DIR)
		return in_sys(p, s);
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s", t->name);
	p->fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (p->fd < 0)
		return -errno;
	return fstat(p->fd, &st) ? -errno : end_file(p, CW_PROC_FILE, st.st_mode, s);
}

int cw_proc_open(struct cw_engine *e, struct cw_place *p, uint64_t flags)
{
	char path[64];

	if (p->proc == CW_PROC_MADE)
		return cw_mounts_made(e, entries[p->proc_entry].name);
	if (p->proc != CW_PROC_FILE && p->proc != CW_PROC_REAL_DIR)
		return -ELOOP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	int fd = open(path,
	              (int)(flags & (O_ACCMODE | O_NONBLOCK | O_DIRECTORY | O_PATH | O_APPEND)) | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

int cw_proc_list(struct cw_engine *e, struct cw_place *p, int (*add)(void *ctx, const char *name, uint32_t type),
                 void *ctx)
{
	char name[32];
	int err = 0;

	if (e->im.nodes[p->node].kind == CW_NODE_PTS) {
		for (size_t i = 0; !err && i < sizeof(e->terminals) / sizeof(e->terminals[0]); i++) {
			int n = e->terminals[i].number;

			if (!e->terminals[i].held || cw_terminal_find(e, n) < 0)
				continue;
			snprintf(name, sizeof(name), "%d", n);
			err = add(ctx, name, S_IFREG);
		}
		return err;
	}
	if (!p->proc_pid) {
		for (int i = 0; i < CW_HASH; i++)
			for (struct cw_proc *q = e->procs[i]; !err && q; q = q->next) {
				snprintf(name, sizeof(name), "%d", q->pid);
				err = add(ctx, name, S_IFDIR);
			}
		for (size_t i = 0; !err && i < ENTRIES; i++)
			if (entries[i].where == TOP)
				err = add(ctx, entries[i].name,
				          entries[i].serve == S_LINK  ? S_IFLNK
				          : entries[i].serve == S_DIR ? S_IFDIR
				                                      : S_IFREG);
		return err;
	}
	const char *what =
		p->proc_entry < ENTRIES && entries[p->proc_entry].serve == S_FDS ? entries[p->proc_entry].name : NULL;
	size_t base = strlen(p->path);

	/* /proc/PID itself, or its thread's directory: proc_entry is no entry then */
	if (what && base > strlen(what) && strcmp(p->path + base - strlen(what), what))
		what = NULL;
	if (what && !strcmp(what, "task")) {
		for (int i = 0; i < CW_HASH; i++)
			for (struct cw_task *t = e->tasks[i]; !err && t; t = t->next)
				if (t->proc && t->proc->pid == p->proc_pid) {
					snprintf(name, sizeof(name), "%d", t->tid);
					err = add(ctx, name, S_IFDIR);
				}
		return err;
	}
	if (what) {
		char path[64];
		const struct dirent *entry;

		snprintf(path, sizeof(path), "/proc/%d/%s", p->proc_tid, what);
		DIR *d = opendir(path);

		if (!d)
			return -errno;
		while (!err && (entry = readdir(d))) {
			int fd = number(entry->d_name, strlen(entry->d_name));

			/* the capabilities are nobody's descriptors */
			if (fd >= 0 && !(fd >= e->cap_base && fd < e->cap_base + e->cap_end))
				err = add(ctx, entry->d_name, strcmp(what, "fd") ? S_IFREG : S_IFLNK);
		}
		closedir(d);
		/* the descriptor that the listing is about to be read from is in it, natively: the lowest free one */
		if (!err && p->proc_pid == e->ctx.call.tgid) {
			int fd = 0;

			do
				snprintf(path, sizeof(path), "/proc/%d/fd/%d", p->proc_tid, fd);
			while (!faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) && ++fd);
			snprintf(name, sizeof(name), "%d", fd);
			err = add(ctx, name, strcmp(what, "fd") ? S_IFREG : S_IFLNK);
		}
		return err;
	}
	bool task = p->proc_tid != p->proc_pid && strstr(p->path, "/task/");

	for (size_t i = 0; !err && i < ENTRIES; i++)
		if (entries[i].where != TOP && (task || entries[i].where != TASK) &&
		    !(task && !strcmp(entries[i].name, "task")))
			err = add(ctx, entries[i].name,
			          entries[i].serve == S_LINK  ? S_IFLNK
			          : entries[i].serve == S_FDS ? S_IFDIR
			                                      : S_IFREG);
	return err;
}
