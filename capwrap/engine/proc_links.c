/*
 * The links of a process in /proc: where cwd, exe, root and fd/N lead in the namespace, and the file behind fd/N itself,
 * which is reopened by reference with the rights of where it lies.
 */
#include "capwrap/engine/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A link is followed: its text, absolute in the namespace, in front of what is left. */
int cw_proc_replace(char *text, size_t size, const char *link, const char *rest)
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

/* A file of procfs that the namespace shows at the same place: of the system, or of a process of the target. */
static bool is_shown(struct cw_engine *e, const char *host)
{
	char path[CW_PATH_MAX];
	const char *name = host + 6;
	int pid = strncmp(host, "/proc/", 6) ? 0 : cw_proc_number(name, strcspn(name, "/"));

	if (!pid || (pid > 0 && !cw_proc_find(e, pid)))
		return false;
	for (uint32_t i = 0; i < e->im.n_nodes; i++)
		if (e->im.nodes[i].kind == CW_NODE_PROC && cw_node_path(&e->im, i, path, sizeof(path)) > 0 &&
		    !strcmp(path, "/proc"))
			return true;
	return false;
}

/* Where a magic link of a process leads, as it is seen in the namespace. */
int cw_proc_link(struct cw_engine *e, int tid, const char *what, char *dst, size_t size)
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
	int pts = strncmp(host, "/dev/pts/", 9) ? -1 : cw_proc_number(host + 9, strlen(host + 9));

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
	return cw_proc_link(e, tid, what, dst, size);
}

/* fd/N: a directory that it is open on can be walked on from; the file itself is reopened by reference. */
int cw_proc_open_file(struct cw_ctx *c, struct cw_place *p, const char *link, const char *s, char *text, size_t size)
{
	struct cw_engine *e = container(c);
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", p->proc_tid, p->proc_fd);
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
		return cw_proc_replace(text, size, link, s);
	}
	if (*s || p->slash)
		return -ENOTDIR;
	/* the rights of the original: those of the grant that it lies in, or what the fd can do where it lies in none */
	int flags = cw_fd_flags(e, p->proc_tid, p->proc_fd, p->fd);

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
		p->rights =
			flags & O_PATH ? 0 : own & (CW_RIGHT_READ | CW_RIGHT_WRITE | CW_RIGHT_FSTAT | CW_RIGHT_LOOKUP);
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
