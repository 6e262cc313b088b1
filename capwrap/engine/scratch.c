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
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In every directory that we make: nothing is swept up that does not hold it. */
#define MARKER ".made-by-capwrap"

/* A fresh directory beneath `base`, locked for as long as this run lasts: dst is its path without links, *lock the lock. */
static int make_dir(char *dst, size_t size, const char *base, int *lock)
{
	char link[64], real[4096];
	ssize_t n = -1;

	if ((size_t)snprintf(dst, size, "%s/capwrap-XXXXXX", base) >= size || !mkdtemp(dst)) {
		dst[0] = 0;
		return -1;
	}
	*lock = open(dst, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*lock >= 0 && !flock(*lock, LOCK_EX | LOCK_NB) && !mknodat(*lock, MARKER, S_IFREG | 0400, 0)) {
		/* where base is a link: paths read back from descriptors have none */
		snprintf(link, sizeof(link), "/proc/self/fd/%d", *lock);
		n = readlink(link, real, sizeof(real) - 1);
	}
	if (n <= 0 || (size_t)n >= size) {
		if (*lock >= 0) {
			(void)unlinkat(*lock, MARKER, 0);
			close(*lock);
			*lock = -1;
		}
		(void)rmdir(dst);
		dst[0] = 0;
		return -1;
	}
	memcpy(dst, real, (size_t)n);
	dst[n] = 0;
	return 0;
}

static const char *temporary(struct cw_engine *e)
{
	for (const char *const *v = e->run->envp; v && *v; v++)
		if (!strncmp(*v, "TMPDIR=/", 8) && strlen(*v) < 80)
			return *v + 7;
	return NULL;
}

/* Views are small, and made and removed with every run: in memory where there is a /dev/shm. */
int cw_scratch_make(struct cw_engine *e)
{
	const char *bases[] = {"/dev/shm", temporary(e), "/tmp", "/var/tmp"};

	for (size_t i = 0; i < 4 && !e->scratch[0]; i++)
		if (bases[i])
			(void)make_dir(e->scratch, sizeof(e->scratch), bases[i], &e->scratch_fd);
	if (!e->scratch[0])
		return cw_failed(e, "cannot make a directory for this run in /dev/shm, $TMPDIR, /tmp or /var/tmp: %s",
		                 strerror(errno));
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

/* What a run that was killed left behind: nobody holds its lock any more. Young ones may be about to take theirs. */
static void sweep(const char *ours)
{
	char base[128];
	struct stat st;
	const struct dirent *entry;
	const char *slash = strrchr(ours, '/');
	DIR *d;

	if (!slash || slash == ours)
		return;
	snprintf(base, sizeof(base), "%.*s", (int)(slash - ours), ours);
	d = opendir(base);
	while (d && (entry = readdir(d))) {
		char path[400];

		if (strncmp(entry->d_name, "capwrap-", 8) != 0 || strlen(entry->d_name) != 14)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0)
			continue;
		if (!fstat(fd, &st) && st.st_uid == geteuid() && st.st_ctime < time(NULL) - 60 &&
		    !fstatat(fd, MARKER, &st, AT_SYMLINK_NOFOLLOW) && !flock(fd, LOCK_EX | LOCK_NB))
			remove_tree(path);
		close(fd);
	}
	if (d)
		closedir(d);
}

void cw_scratch_remove(struct cw_engine *e)
{
	for (int i = 0; i < e->n_views; i++) {
		free(e->views[i].path);
		if (e->views[i].fd >= 0)
			close(e->views[i].fd);
	}
	free(e->views);
	remove_tree(e->scratch);
	remove_tree(e->disk);
	sweep(e->scratch);
	sweep(e->disk);
	if (e->scratch_fd >= 0)
		close(e->scratch_fd);
	if (e->disk_fd >= 0)
		close(e->disk_fd);
}

/* The private directories proper may grow: on a disk, if there is one. */
static const char *disk(struct cw_engine *e)
{
	const char *bases[] = {temporary(e), "/tmp", "/var/tmp"};

	for (size_t i = 0; i < 3 && !e->disk[0]; i++)
		if (bases[i])
			(void)make_dir(e->disk, sizeof(e->disk), bases[i], &e->disk_fd);
	return e->disk[0] ? e->disk : e->scratch;
}

int cw_scratch_private(struct cw_engine *e, uint32_t node)
{
	const struct cw_node *n = &e->im.nodes[node];
	char path[256];

	snprintf(path, sizeof(path), "%s/p%u", n->flags & CW_NODE_SHM ? e->scratch : disk(e), node);
	if (mkdir(path, 0700))
		return cw_failed(e, "cannot make the private directory %s: %s", path, strerror(errno));
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
	snprintf(name, sizeof(name), "v%d", e->n_views);
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
