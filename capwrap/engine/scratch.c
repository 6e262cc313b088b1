/* What the launcher makes and removes: the run's directories, the private ones in them, files with made content. */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PREFIX "capwrap-"
#define MARK (S_ISVTX | 0700) /* the mode of what we make: with its name and owner, what a sweep knows it by */

/* --- making --- */

static bool locked_in_place(int fd, const char *path)
{
	struct stat there, held;

	return !flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &held) && !lstat(path, &there) &&
	       there.st_ino == held.st_ino && there.st_dev == held.st_dev;
}

/*
 * A fresh directory beneath `base`, locked for as long as this run lasts: dst is its path without links, *lock the lock.
 * A sweep of another run may take one that is not locked yet: then it is made anew under another name.
 */
static int make_dir(char *dst, size_t size, const char *base, int *lock)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char real[PATH_MAX];

	dst[0] = 0;
	if (!realpath(base, real))
		return -1;
	for (int tries = 0; tries < 100; tries++) {
		char name[7] = {0};
		uint8_t random[6];

		if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
			break;
		for (size_t i = 0; i < sizeof(random); i++)
			name[i] = digits[random[i] % (sizeof(digits) - 1)];
		if ((size_t)snprintf(dst, size, "%s/" PREFIX "%s", real, name) >= size)
			break;
		if (mkdir(dst, MARK)) {
			if (errno == EEXIST)
				continue;
			break;
		}
		int fd = open(dst, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd >= 0 && locked_in_place(fd, dst)) {
			*lock = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
		(void)rmdir(dst);
	}
	dst[0] = 0;
	return -1;
}

static const char *temporary(const struct cw_run *run)
{
	for (const char *const *v = run->envp; v && *v; v++)
		if (!strncmp(*v, "TMPDIR=/", 8) && strlen(*v) < 80)
			return *v + 7;
	return NULL;
}

#define MEMORY "/dev/shm"
#define BASES 4

static void bases(const struct cw_run *run, const char *all[BASES])
{
	all[0] = MEMORY;
	all[1] = temporary(run);
	all[2] = "/tmp";
	all[3] = "/var/tmp";
}

/* Views are small, and made and removed with every run: in memory where there is a /dev/shm. */
int cw_scratch_make(struct cw_engine *e)
{
	const char *all[BASES];

	bases(e->run, all);
	for (size_t i = 0; i < BASES && !e->scratch[0]; i++)
		if (all[i])
			(void)make_dir(e->scratch, sizeof(e->scratch), all[i], &e->scratch_fd);
	if (!e->scratch[0])
		return cw_failed(e, "cannot make a directory for this run in " MEMORY ", $TMPDIR, /tmp or /var/tmp: %s",
		                 strerror(errno));
	return 0;
}

/* The private directories proper may grow: on a disk, if there is one. */
static int on_disk(struct cw_engine *e)
{
	const char *all[BASES];

	bases(e->run, all);
	for (size_t i = 1; i < BASES && !e->disk[0]; i++)
		if (all[i])
			(void)make_dir(e->disk, sizeof(e->disk), all[i], &e->disk_fd);
	return e->disk[0] ? e->disk_fd : e->scratch_fd;
}

int cw_scratch_private(struct cw_engine *e, uint32_t node)
{
	const struct cw_node *n = &e->im.nodes[node];
	int dir = n->flags & CW_NODE_SHM ? e->scratch_fd : on_disk(e);
	char name[16];

	snprintf(name, sizeof(name), "p%u", node);
	if (asprintf(&e->node_real[node], "%s/%s", dir == e->disk_fd ? e->disk : e->scratch, name) < 0) {
		e->node_real[node] = NULL;
		return cw_failed(e, "out of memory");
	}
	if (mkdirat(dir, name, 0700) || (n->flags & CW_NODE_STICKY && fchmodat(dir, name, 01777, 0)))
		return cw_failed(e, "cannot make the private directory %s: %s", e->node_real[node], strerror(errno));
	e->node_fd[node] = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return e->node_fd[node] < 0
	               ? cw_failed(e, "cannot open the private directory %s: %s", e->node_real[node], strerror(errno))
	               : 0;
}

/* --- removing --- */

/* A directory that its owner made unreadable is opened up first; never through a link, never to another file system. */
static int enter(int dir, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	if (fd < 0 && errno == EACCES) {
		/* by a reference: the name may be a link by now */
		char path[48];
		int held = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
		if (held >= 0 && !chmod(path, 0700))
			fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (held >= 0)
			close(held);
	}
	if (fd >= 0)
		(void)fchmod(fd, 0700);
	return fd;
}

struct entry {
	uint64_t ino, next;
	unsigned short size;
	unsigned char type;
	char name[];
};

/*
 * One pass over the entries of `dir`: removes what can be removed at once, and stops at a directory that is not empty.
 * Its descriptor, or -1. The buffer is read whole before anything is taken from it, so removing disturbs no reading.
 */
static int remove_entries(int dir, bool *removed)
{
	_Alignas(struct entry) char buffer[8192];
	long n;

	while ((n = syscall(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0) {
		const struct entry *d;

		for (long at = 0; at < n; at += d->size) {
			d = (const void *)(buffer + at);
			if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
				continue;
			if (!unlinkat(dir, d->name, d->type == DT_DIR ? AT_REMOVEDIR : 0) ||
			    (errno == EISDIR && !unlinkat(dir, d->name, AT_REMOVEDIR))) {
				*removed = true;
				continue;
			}
			int below = errno == ENOTEMPTY || errno == EEXIST ? enter(dir, d->name) : -1;

			if (below >= 0)
				return below;
		}
	}
	return -1;
}

/* The directories above the one that is being emptied, from the first one on. */
struct way {
	struct {
		uint64_t dev, ino;
	} * above;
	size_t depth, room;
};

static bool go_down(struct way *w, int from)
{
	struct stat st;

	if (w->depth == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		void *more = realloc(w->above, room * sizeof(*w->above));

		if (!more)
			return false;
		w->above = more;
		w->room = room;
	}
	if (fstat(from, &st))
		return false;
	w->above[w->depth].dev = st.st_dev;
	w->above[w->depth++].ino = st.st_ino;
	return true;
}

/*
 * The directory above, or -1 where that is not the one that the way down came from: who may write to where the run's
 * directories lie can move what is in them, and what is there is not ours to remove.
 */
static int go_up(struct way *w, int from)
{
	int up = openat(from, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	w->depth--;
	if (up < 0 || (!fstat(up, &st) && st.st_dev == w->above[w->depth].dev && st.st_ino == w->above[w->depth].ino))
		return up;
	close(up);
	return -1;
}

/*
 * However deep, with two descriptors: down into what is not empty, and up again by "..". A pass that removes nothing
 * ends it, so that what cannot be removed is no endless loop.
 */
static void empty(int root)
{
	struct way w = {NULL, 0, 0};
	int dir = root;

	while (dir >= 0) {
		bool removed = false;
		int next = remove_entries(dir, &removed);

		if (next >= 0 && !go_down(&w, dir)) {
			close(next);
			next = -1;
		} else if (next < 0 && w.depth && removed) {
			next = go_up(&w, dir);
		}
		if (dir != root)
			close(dir);
		dir = next;
	}
	free(w.above);
}

/* Whether a directory holds nothing but what we make in one. */
static bool only_ours(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool ours = d != NULL;

	while (ours && (entry = readdir(d))) {
		const char *name = entry->d_name;

		ours = !strcmp(name, ".") || !strcmp(name, "..") ||
		       ((name[0] == 'p' || name[0] == 'v') && name[1] &&
		        strspn(name + 1, "0123456789") == strlen(name + 1));
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return ours;
}

/* What runs that were killed left behind: nobody holds its lock any more. */
static void sweep(const char *base)
{
	DIR *d = opendir(base);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		struct stat st;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || strlen(entry->d_name) != strlen(PREFIX) + 6)
			continue;
		int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0)
			continue;
		if (!fstat(fd, &st) && st.st_uid == geteuid() && (st.st_mode & 07777) == MARK &&
		    !flock(fd, LOCK_EX | LOCK_NB) && only_ours(fd)) {
			empty(fd);
			(void)unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
		}
		close(fd);
	}
	if (d)
		closedir(d);
}

void cw_scratch_sweep(const struct cw_run *run)
{
	const char *all[BASES];

	bases(run, all);
	for (size_t i = 0; i < BASES; i++)
		if (all[i])
			sweep(all[i]);
}

static void remove_dir(const char *path, int fd)
{
	if (fd < 0)
		return;
	empty(fd);
	(void)rmdir(path);
	close(fd);
}

void cw_scratch_remove(struct cw_engine *e)
{
	for (int i = 0; i < e->n_views; i++) {
		free(e->views[i].path);
		if (e->views[i].fd >= 0)
			close(e->views[i].fd);
	}
	free(e->views);
	remove_dir(e->scratch, e->scratch_fd);
	remove_dir(e->disk, e->disk_fd);
}

/* --- views --- */

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
