/*
 * Directories that the launcher makes: the private ones, and views: real directories that list what an ancestor of
 * grants, a directory with carved-out names, or /proc shows. A view is opened in place of the directory, so getdents64
 * never stops; its path leads back to the virtual path that it stands for.
 */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int make_dir(struct cw_engine *e, char *dst, size_t size, const char *base)
{
	if ((size_t)snprintf(dst, size, "%s/capwrap-XXXXXX", base) >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (mkdtemp(dst)) {
		/* where base is a link (/tmp -> /private/tmp): paths read back from descriptors have none */
		char real[4096];
		ssize_t n = -1;
		int fd = open(dst, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0) {
			char link[64];

			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			n = readlink(link, real, sizeof(real) - 1);
			close(fd);
		}
		if (n > 0 && (size_t)n < size) {
			real[n] = 0;
			memcpy(dst, real, (size_t)n + 1);
			return 0;
		}
	}
	(void)e;
	dst[0] = 0;
	return -1;
}

int cw_scratch_make(struct cw_engine *e)
{
	const char *bases[4] = {NULL, "/tmp", "/var/tmp", "/dev/shm"};

	for (const char *const *v = e->run->envp; v && *v; v++)
		if (!strncmp(*v, "TMPDIR=/", 8) && strlen(*v) < 80)
			bases[0] = *v + 7;
	for (int i = 0; i < 4 && !e->scratch[0]; i++)
		if (bases[i])
			(void)make_dir(e, e->scratch, sizeof(e->scratch), bases[i]);
	if (!e->scratch[0])
		return cw_failed(e,
		                 "cannot make a directory for private files in $TMPDIR, /tmp, /var/tmp or /dev/shm: %s",
		                 strerror(errno));
	e->scratch_fd = open(e->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (e->scratch_fd < 0 || mkdirat(e->scratch_fd, "view", 0700))
		return cw_failed(e, "cannot make %s/view: %s", e->scratch, strerror(errno));
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DNR)
		(void)chmod(path, 0700);
	(void)remove(path);
	return 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		(void)chmod(path, 0700);
	return 0;
}

static void remove_tree(const char *path)
{
	if (!path[0])
		return;
	/* a directory that its owner made unreadable is opened up first; never through links, never to another file system */
	(void)nftw(path, open_up, 32, FTW_PHYS | FTW_MOUNT);
	(void)nftw(path, remove_one, 32, FTW_PHYS | FTW_MOUNT | FTW_DEPTH);
}

void cw_scratch_remove(struct cw_engine *e)
{
	for (int i = 0; i < e->n_views; i++) {
		free(e->views[i].path);
		if (e->views[i].fd >= 0)
			close(e->views[i].fd);
	}
	free(e->views);
	if (e->scratch_fd >= 0)
		close(e->scratch_fd);
	remove_tree(e->scratch);
	remove_tree(e->shm);
}

int cw_scratch_private(struct cw_engine *e, uint32_t node)
{
	const struct cw_node *n = &e->im.nodes[node];
	char path[256];

	if (n->flags & CW_NODE_SHM) {
		if (!e->shm[0] && make_dir(e, e->shm, sizeof(e->shm), "/dev/shm"))
			(void)make_dir(e, e->shm, sizeof(e->shm), e->scratch);
		snprintf(path, sizeof(path), "%s", e->shm);
	} else {
		snprintf(path, sizeof(path), "%s/private-%u", e->scratch, node);
		if (mkdir(path, 0700))
			return cw_failed(e, "cannot make the private directory %s: %s", path, strerror(errno));
	}
	if (n->flags & CW_NODE_STICKY)
		(void)chmod(path, 01777);
	e->node_real[node] = strdup(path);
	if (!e->node_real[node])
		return cw_failed(e, "out of memory");
	int fd = cw_node_dir(e, node);

	return fd < 0 ? cw_failed(e, "cannot open the private directory %s: %s", path, strerror(-fd)) : 0;
}

/* The view of a virtual path: made once, so that stat and open agree on what it is. */
int cw_view_for(struct cw_engine *e, const char *path)
{
	char name[32];
	struct stat st;

	for (int i = 0; i < e->n_views; i++)
		if (!strcmp(e->views[i].path, path))
			return i;
	if (e->n_views % 64 == 0) {
		struct cw_view *more = realloc(e->views, (size_t)(e->n_views + 64) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->views = more;
	}
	snprintf(name, sizeof(name), "view/%d", e->n_views);
	if (mkdirat(e->scratch_fd, name, 0755))
		return -errno;
	struct cw_view *v = &e->views[e->n_views];

	v->fd = openat(e->scratch_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	v->path = strdup(path);
	if (v->fd < 0 || !v->path || fstat(v->fd, &st))
		return -EIO;
	v->dev = st.st_dev;
	v->ino = st.st_ino;
	return e->n_views++;
}

struct fill {
	int fd;
	int real; /* the directory whose entries are shown, or -1 */
};

static int add_entry(void *ctx, const char *name, uint32_t mode)
{
	struct fill *f = ctx;

	switch (mode & S_IFMT) {
	case S_IFDIR:
		return mkdirat(f->fd, name, 0755) && errno != EEXIST ? -errno : 0;
	case S_IFLNK:
		return symlinkat(".", f->fd, name) && errno != EEXIST ? -errno : 0;
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(f->fd, name, (mode & S_IFMT) | 0600, 0) && errno != EEXIST ? -errno : 0;
	default: {
		int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);

		if (fd < 0)
			return errno == EEXIST || errno == ELOOP || errno == EISDIR ? 0 : -errno;
		close(fd);
		return 0;
	}
	}
}

static void clear(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && unlinkat(dir, entry->d_name, 0))
			(void)unlinkat(dir, entry->d_name, AT_REMOVEDIR);
	closedir(d);
}

static uint32_t type_of(struct cw_engine *e, uint32_t node)
{
	const struct cw_node *n = &e->im.nodes[node];
	struct stat st;

	switch (n->kind) {
	case CW_NODE_LINK:
		return S_IFLNK;
	case CW_NODE_NAME:
		/* by name: only if it is there now */
		return lstat(cw_str(&e->im, n->host), &st) ? 0 : st.st_mode;
	case CW_NODE_DENY:
		return 0;
	case CW_NODE_DIR:
		return cw_node_dir(e, node) < 0 ? 0 : S_IFDIR;
	default:
		return S_IFDIR;
	}
}

int cw_view_fill(struct cw_engine *e, int view, struct cw_place *p)
{
	struct cw_view *v = &e->views[view];
	struct fill f = {.fd = openat(v->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .real = -1};
	char path[CW_PATH_MAX];
	int err = 0;

	if (f.fd < 0)
		return -errno;
	clear(f.fd);
	if (p->kind == CW_PLACE_PROC) {
		err = cw_proc_list(e, p, add_entry, &f);
		close(f.fd);
		return err;
	}
	if (p->fd >= 0) {
		struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
		int fd = (int)syscall(SYS_openat2, p->fd, ".", &how, sizeof(how));
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		const struct dirent *entry;

		if (!d) {
			err = -errno;
			if (fd >= 0)
				close(fd);
			close(f.fd);
			return err;
		}
		while (!err && (entry = readdir(d))) {
			const char *name = entry->d_name;

			if (!strcmp(name, ".") || !strcmp(name, ".."))
				continue;
			uint32_t ch = p->exact ? cw_child(&e->im, p->node, name, strlen(name)) : CW_NONE;

			if (ch != CW_NONE && e->im.nodes[ch].kind != CW_NODE_ANCESTOR)
				continue; /* shown by its own rule below, or not at all */
			if (e->im.n_globs) {
				if (cw_join(path, sizeof(path), p->path, name) < 0 || cw_denied_by_glob(&e->im, path))
					continue;
			}
			uint32_t mode = (uint32_t)entry->d_type << 12;

			err = add_entry(&f, name, mode ? mode : S_IFREG);
		}
		closedir(d);
	}
	if (p->exact) {
		const struct cw_node *n = &e->im.nodes[p->node];

		for (uint32_t i = 0; !err && i < n->child_count; i++) {
			uint32_t ch = n->child_first + i, mode = type_of(e, ch);

			if (mode)
				err = add_entry(&f, cw_str(&e->im, e->im.nodes[ch].name), mode);
		}
	}
	close(f.fd);
	return err;
}

/* A file with made content (mounts and kin): in memory, sealed, delivered read-only. */
int cw_made_file(struct cw_engine *e, const char *text, size_t len)
{
	char path[64];
	int fd = memfd_create("capwrap-made", MFD_CLOEXEC | MFD_ALLOW_SEALING), ro;

	(void)e;
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(fd);
		return -EIO;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return ro < 0 ? -errno : ro;
}
