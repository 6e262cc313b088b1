/*
 * Views: real directories that list what an ancestor of grants, a directory with carved-out names, or /proc shows. A
 * view is opened in place of the directory, so getdents64 never stops; its path leads back to the virtual path that it
 * stands for.
 */
#include "capwrap/engine/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *name_of(int view, char name[32])
{
	snprintf(name, 32, "v%d", view);
	return name;
}

/* A place in the list: one that a thread which is gone had, or a new one. */
static int free_view(struct cw_engine *e)
{
	for (int i = 0; i < e->n_views; i++)
		if (!e->views[i].path)
			return i;
	if (e->n_views % 64 == 0) {
		struct cw_view *more = realloc(e->views, (size_t)(e->n_views + 64) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->views = more;
	}
	e->views[e->n_views] = (struct cw_view){NULL, -1, 0, 0};
	return e->n_views++;
}

/* -1 and errno where it cannot be opened. */
int cw_view_fd(struct cw_engine *e, int view)
{
	struct cw_view *v = &e->views[view];
	char name[32];

	if (v->fd >= 0)
		return v->fd;
	int *held = &e->views_held[e->views_next];

	e->views_next = (e->views_next + 1) % CW_VIEWS_HELD;
	if (*held && e->views[*held - 1].fd >= 0) {
		close(e->views[*held - 1].fd);
		e->views[*held - 1].fd = -1;
	}
	*held = view + 1;
	struct cw_adopted adopted = cw_as_ourselves(e);

	v->fd = openat(e->scratch_fd, name_of(view, name), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int err = errno;

	cw_as_target(e, adopted);
	errno = err;
	return v->fd;
}

static int make_view(struct cw_engine *e, const char *path)
{
	char name[32];
	struct stat st;
	int view = free_view(e);

	if (view < 0)
		return view;
	struct cw_view *v = &e->views[view];

	if (mkdirat(e->scratch_fd, name_of(view, name), 0755))
		return -errno;
	v->path = strdup(path);
	if (!v->path || fstatat(e->scratch_fd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		free(v->path);
		v->path = NULL;
		(void)unlinkat(e->scratch_fd, name, AT_REMOVEDIR);
		return -ENOMEM;
	}
	v->dev = st.st_dev;
	v->ino = st.st_ino;
	return view;
}

/* The view of a virtual path: made once, so that stat and open agree on what it is. */
int cw_view_for(struct cw_engine *e, const char *path)
{
	for (int i = 0; i < e->n_views; i++)
		if (e->views[i].path && !strcmp(e->views[i].path, path))
			return i;
	struct cw_adopted adopted = cw_as_ourselves(e);
	int made = make_view(e, path);

	cw_as_target(e, adopted);
	return made;
}

int cw_view_open(struct cw_engine *e, int view)
{
	char path[48];
	int held = cw_view_fd(e, view);

	if (held < 0)
		return -errno;
	struct cw_adopted adopted = cw_as_ourselves(e);

	cw_fd_path(held, path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	int ret = fd < 0 ? -errno : fd;

	cw_as_target(e, adopted);
	return ret;
}

/* The names that a view is to show. */
struct wanted {
	char *name;
	uint32_t type;
	size_t order; /* of two of one name the first counts */
	bool there;
};
struct fill {
	struct wanted *list;
	size_t count, room;
};

static int want(void *ctx, const char *name, uint32_t mode)
{
	struct fill *f = ctx;

	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		void *more = realloc(f->list, room * sizeof(*f->list));

		if (!more)
			return -ENOMEM;
		f->list = more;
		f->room = room;
	}
	struct wanted *w = &f->list[f->count];

	*w = (struct wanted){strdup(name), mode & S_IFMT, f->count, false};
	if (!w->name)
		return -ENOMEM;
	f->count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int same_name(const void *name, const void *w)
{
	return strcmp(name, ((const struct wanted *)w)->name);
}

static void settle_names(struct fill *f)
{
	size_t kept = 0;

	if (!f->count)
		return;
	qsort(f->list, f->count, sizeof(*f->list), by_name);
	for (size_t i = 1; i < f->count; i++)
		if (strcmp(f->list[kept].name, f->list[i].name))
			f->list[++kept] = f->list[i];
		else
			free(f->list[i].name);
	f->count = kept + 1;
}

static int make_entry(int dir, const char *name, uint32_t type)
{
	switch (type) {
	case S_IFDIR:
		return mkdirat(dir, name, 0755) ? -errno : 0;
	case S_IFLNK:
		return symlinkat(".", dir, name) ? -errno : 0;
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(dir, name, type | 0600, 0) ? -errno : 0;
	default:
		return mknodat(dir, name, S_IFREG | 0444, 0) ? -errno : 0;
	}
}

/* What make_entry makes of a type. */
static uint32_t shown_as(uint32_t type)
{
	return type == S_IFDIR || type == S_IFLNK || type == S_IFIFO || type == S_IFSOCK ? type : S_IFREG;
}

/* Only what is otherwise is changed: somebody else may be reading the directory at this moment. */
static int apply(int dir, struct fill *f)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while ((entry = readdir(d))) {
		const char *name = entry->d_name;
		struct wanted *w;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		w = f->count ? bsearch(name, f->list, f->count, sizeof(*f->list), same_name) : NULL;
		if (w && shown_as(w->type) == (uint32_t)entry->d_type << 12)
			w->there = true;
		else if (unlinkat(dir, name, 0))
			(void)unlinkat(dir, name, AT_REMOVEDIR);
	}
	closedir(d);
	for (size_t i = 0; !err && i < f->count; i++)
		if (!f->list[i].there)
			err = make_entry(dir, f->list[i].name, f->list[i].type);
	return err;
}

/* What fstat says of the directory that it stands for; owners as far as we may. */
static void look_like(int view, int real)
{
	struct stat st;

	if (fstat(real, &st))
		return;
	(void)!fchown(view, st.st_uid, st.st_gid);
	(void)fchmod(view, st.st_mode & 07777);
	(void)futimens(view, (struct timespec[2]){st.st_atim, st.st_mtim});
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
	case CW_NODE_ANCESTOR:
		/* a real one is shown as it is */
		return cw_leads_to_grant(&e->im, node) ? S_IFDIR : 0;
	default:
		return S_IFDIR;
	}
}

/* The names of the directory itself that no rule hides. */
static int want_real(struct cw_engine *e, struct cw_place *p, struct fill *f)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	int fd = (int)syscall(SYS_openat2, p->fd, ".", &how, sizeof(how)), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char path[CW_PATH_MAX];

	if (!d) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(d))) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		uint32_t ch = p->exact ? cw_child(&e->im, p->node, name, strlen(name)) : CW_NONE;

		if (ch != CW_NONE && e->im.nodes[ch].kind != CW_NODE_ANCESTOR)
			continue; /* shown by its own rule, or not at all */
		if (e->im.n_globs &&
		    (cw_join(path, sizeof(path), p->path, name) < 0 || cw_denied_by_glob(&e->im, path)))
			continue;
		err = want(f, name, (uint32_t)entry->d_type << 12);
	}
	closedir(d);
	return err;
}

static int want_all(struct cw_engine *e, struct cw_place *p, struct fill *f)
{
	int err = 0;

	if (p->kind == CW_PLACE_PROC)
		return cw_proc_list(e, p, want, f);
	if (p->fd >= 0)
		err = want_real(e, p, f);
	if (!p->exact)
		return err;
	const struct cw_node *n = &e->im.nodes[p->node];

	for (uint32_t i = 0; !err && i < n->child_count; i++) {
		uint32_t ch = n->child_first + i, mode = type_of(e, ch);

		if (mode)
			err = want(f, cw_str(&e->im, e->im.nodes[ch].name), mode);
	}
	return err;
}

int cw_view_fill(struct cw_engine *e, int view, struct cw_place *p)
{
	struct fill f = {NULL, 0, 0};
	char path[48];
	int err = want_all(e, p, &f), fd = -1;

	struct cw_adopted adopted = cw_as_ourselves(e);

	if (!err && cw_view_fd(e, view) < 0)
		err = -errno;
	if (!err) {
		/* the mode that it was given last may not let us in */
		cw_fd_path(e->views[view].fd, path);
		(void)chmod(path, 0700);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = fd < 0 ? -errno : 0;
	}
	settle_names(&f);
	if (!err)
		err = apply(fd, &f);
	if (fd >= 0 && p->kind != CW_PLACE_PROC && p->fd >= 0)
		look_like(fd, p->fd);
	else if (fd >= 0)
		(void)fchmod(fd, 0755);
	if (fd >= 0)
		close(fd);
	cw_as_target(e, adopted);
	for (size_t i = 0; i < f.count; i++)
		free(f.list[i].name);
	free(f.list);
	return err;
}

/* A process has several, and there may be any number of processes. Whoever still has one open has an empty directory. */
void cw_views_drop(struct cw_engine *e, int tid)
{
	char top[32], name[32];
	size_t len = (size_t)snprintf(top, sizeof(top), "/proc/%d", tid);
	struct fill nothing = {NULL, 0, 0};
	struct cw_adopted adopted = cw_as_ourselves(e);

	for (int i = 0; i < e->n_views; i++) {
		struct cw_view *v = &e->views[i];

		if (!v->path || strncmp(v->path, top, len) != 0 || (v->path[len] && v->path[len] != '/'))
			continue;
		int dir = openat(e->scratch_fd, name_of(i, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (dir >= 0) {
			(void)apply(dir, &nothing);
			close(dir);
		}
		/* where it stays, so does its number */
		if (unlinkat(e->scratch_fd, name, AT_REMOVEDIR))
			continue;
		free(v->path);
		v->path = NULL;
		if (v->fd >= 0)
			close(v->fd);
		v->fd = -1;
	}
	cw_as_target(e, adopted);
}

bool cw_shows_otherwise(struct cw_engine *e, const struct cw_place *p)
{
	if (p->kind == CW_PLACE_VIRTUAL || (p->kind == CW_PLACE_PROC && p->proc == CW_PROC_DIR))
		return true;
	if (p->kind != CW_PLACE_HOST || (p->mode & S_IFMT) != S_IFDIR)
		return false;
	if (e->im.n_globs && p->grant != CW_NONE)
		return true; /* any name in it might match */
	if (!p->exact)
		return false;
	const struct cw_node *n = &e->im.nodes[p->node];

	for (uint32_t i = 0; i < n->child_count; i++) {
		const struct cw_node *ch = &e->im.nodes[n->child_first + i];

		if (ch->kind == CW_NODE_DENY || ch->kind == CW_NODE_PRIVATE || ch->kind == CW_NODE_PROC ||
		    ch->kind == CW_NODE_PTS)
			return true;
		/* a private directory has nothing in it, where its name on the host has the grant */
		if ((ch->kind == CW_NODE_DIR || ch->kind == CW_NODE_NAME) &&
		    (n->kind == CW_NODE_PRIVATE || !(ch->flags & CW_NODE_IDENTITY)))
			return true;
		if (ch->kind == CW_NODE_ANCESTOR && p->fd >= 0 && cw_leads_to_grant(&e->im, n->child_first + i) &&
		    faccessat(p->fd, cw_str(&e->im, ch->name), F_OK, AT_SYMLINK_NOFOLLOW))
			return true;
	}
	return false;
}

bool cw_shown_whole(struct cw_engine *e, const struct cw_place *p)
{
	const uint64_t needs = CW_RIGHT_READ | CW_RIGHT_EVENT;

	return p->kind == CW_PLACE_HOST && p->fd >= 0 && (p->rights & needs) == needs && !cw_shows_otherwise(e, p);
}
