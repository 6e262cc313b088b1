/*
 * /proc and /dev/pts as the target sees them: its own processes, and files of the machine from a list. Lookups are
 * decided here by name; files are opened by the supervisor in the process that was meant, never in its own /proc/self.
 */
#include "capwrap/engine/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* ".." among what is listed here: the place above by its canonical path. 1 as cw_proc_replace(), or 0 for another name. */
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
	return cw_proc_replace(text, size, up, rest);
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

/* NOLINTNEXTLINE(misc-no-recursion): goes in once, for a thread's directory, where cw_proc_entry() knows no "task" */
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
		p->proc_entry = task ? CW_PROC_TASK : CW_PROC_PID;
		p->mode = S_IFDIR | 0555;
		return 0;
	}
	int up = upwards(p, name, len, s, text, size);

	if (up)
		return up;
	const struct cw_proc_entry *t = cw_proc_entry(name, len, false, task);

	if (!t)
		return not_here(c, p, name);
	name_it(p, name, len);
	p->proc_entry = (uint32_t)(t - cw_proc_entries);
	if (cw_proc_is_closed(t->name) && !cw_may_look_into(e, p->proc_pid))
		return -EACCES;
	switch (t->serve) {
	case CW_SERVE_LINK: {
		int n = strcmp(t->name, "root") ? cw_proc_link(e, p->proc_tid, t->name, link, sizeof(link))
		                                : snprintf(link, sizeof(link), "/");

		if (n < 0)
			return n;
		if (nofollow && !*s && !p->slash) {
			snprintf(c->bytes, sizeof(c->bytes), "%s", link);
			return end_file(p, CW_PROC_TEXT, S_IFLNK | 0777, s);
		}
		return cw_proc_replace(text, size, link, s);
	}
	case CW_SERVE_FDS: {
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
		int n = cw_proc_number(inner, len);

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
		return cw_proc_open_file(c, p, link, s, text, size);
	}
	case CW_SERVE_MADE:
		return end_file(p, CW_PROC_MADE, S_IFREG | 0444, s);
	default: {
		char path[128];

		if (t->serve == CW_SERVE_OWN && p->proc_pid != c->call.tgid)
			return not_here(c, p, "");
		if (t->serve == CW_SERVE_WRITABLE)
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
		return cw_proc_replace(text, size, "/dev", s);
	int n = cw_proc_number(name, len), held = n < 0 ? -1 : cw_terminal_find(e, n);

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
		p->proc_entry = CW_PROC_TOP;
		return 0;
	}
	if (len == 2 && !strncmp(name, "..", 2))
		return cw_proc_replace(text, size, "/", s);
	int pid = cw_proc_number(name, len);

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
	const struct cw_proc_entry *t = cw_proc_entry(name, len, true, false);

	if (!t)
		return not_here(c, p, name);
	name_it(p, name, len);
	p->proc_entry = (uint32_t)(t - cw_proc_entries);
	if (t->serve == CW_SERVE_LINK) {
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
		return cw_proc_replace(text, size, whole, s);
	}
	if (t->serve == CW_SERVE_DIR)
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
		return cw_mounts_made(e, cw_proc_entries[p->proc_entry].name);
	if (p->proc != CW_PROC_FILE && p->proc != CW_PROC_REAL_DIR)
		return -ELOOP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	int fd = open(path,
	              (int)(flags & (O_ACCMODE | O_NONBLOCK | O_DIRECTORY | O_PATH | O_APPEND)) | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}
