/* The name by which an exec is made: the kernel looks it up anew, in the host's root and the target's directory. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void name_in_record(int fd, char *whole)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, whole, CW_PATH_MAX - 1);

	whole[n > 0 ? n : 0] = 0;
}

/* `own` where the kernel, in the host's root and the target's cwd, finds the same file by it: 0. Else the host's own
 * name for the file: 1. What has no name any more (memory, deleted) runs only where the policy allows it. */
int cw_exec_string(struct cw_ctx *c, const struct cw_place *p, const char *own, char *dst, size_t size)
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

			same = cw_fd_link(c, AT_FDCWD, cwd, sizeof(cwd)) > 0 && !strcmp(cwd, dst);
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
