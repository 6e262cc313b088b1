/* open(2), openat(2), creat(2), openat2(2): into openat2 beneath a capability, made by the target itself. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

static uint64_t needs_of(uint64_t flags)
{
	uint64_t needs = 0;

	if (flags & K_O_PATH)
		return CW_RIGHT_LOOKUP;
	if ((flags & K_O_ACCMODE) != K_O_WRONLY)
		needs |= CW_RIGHT_READ;
	if (flags & K_O_ACCMODE)
		needs |= CW_RIGHT_WRITE;
	if (flags & K_O_TRUNC)
		needs |= CW_RIGHT_FTRUNCATE;
	if (flags & K_O_TMPFILE_BIT)
		needs |= CW_RIGHT_CREATE;
	return needs;
}

/* openat2 refuses what open ignores (build_open_flags in fs/open.c): reduce the one to the other. */
static void as_open(uint64_t *flags, uint64_t *mode)
{
	*flags &= K_O_VALID;
	if (*flags & K_O_PATH)
		*flags &= K_O_PATH | K_O_DIRECTORY | K_O_NOFOLLOW | K_O_CLOEXEC;
	if (*flags & (K_O_CREAT | K_O_TMPFILE_BIT))
		*mode &= 07777;
	else
		*mode = 0;
}

/* What the kernel refuses before it looks at the path: build_open_flags in fs/open.c, as of Linux 6.4. */
static bool contradicts(uint64_t flags)
{
	if ((flags & (K_O_CREAT | K_O_DIRECTORY)) == (K_O_CREAT | K_O_DIRECTORY))
		return true;
	return (flags & K_O_TMPFILE_BIT) && (!(flags & K_O_DIRECTORY) || !(flags & K_O_ACCMODE));
}

static int read_how(struct cw_ctx *c, struct k_open_how *how)
{
	uint64_t size = c->call.arg[3];
	struct tptr at = {c->call.arg[2]};

	if (size < sizeof(*how))
		return -EINVAL;
	if (size > 4096)
		return -E2BIG;
	int err = c->ops->read(c, how, at, sizeof(*how));

	for (uint64_t done = sizeof(*how); !err && done < size;) {
		uint64_t word = 0, n = size - done < 8 ? size - done : 8;

		at.a = c->call.arg[2] + done;
		err = c->ops->read(c, &word, at, (size_t)n);
		if (!err && word)
			return -E2BIG;
		done += n;
	}
	if (err)
		return err;
	if (how->resolve & ~UINT64_C(0x3f))
		return -EINVAL;
	/* open(2) ignores unknown flags, openat2(2) has them refused; O_PATH goes with few */
	if (how->flags & ~(uint64_t)K_O_VALID)
		return -EINVAL;
	if ((how->flags & K_O_PATH) &&
	    (how->flags & ~(uint64_t)(K_O_PATH | K_O_DIRECTORY | K_O_NOFOLLOW | K_O_CLOEXEC)))
		return -EINVAL;
	if (!(how->flags & (K_O_CREAT | K_O_TMPFILE_BIT)) ? how->mode != 0 : (how->mode & ~UINT64_C(07777)) != 0)
		return -EINVAL;
	return 0;
}

/* openat2 beneath the capability of `node`, made by the target itself: 1 if that is the plan, 0 if it has no such form. */
static int beneath(struct cw_ctx *c, uint32_t node, const char *rest, uint64_t flags, uint64_t mode, uint64_t needs,
                   enum cw_try retry)
{
	int cap = c->ops->cap_fd(c, node);

	/* what is left may be longer than what was asked for, and the kernel takes no more than PATH_MAX */
	if (cap < 0 || (c->image->nodes[node].rights & needs) != needs || cw_strlen(rest) >= CW_PATH_MAX)
		return 0;
	uint64_t how =
		c->ops->publish_how(c, needs & (CW_RIGHT_WRITE | CW_RIGHT_CREATE | CW_RIGHT_FTRUNCATE), flags, mode);

	if (!how)
		return 0;
	c->rec.needs = needs;
	c->rec.grant = node;
	cw_rewrite(c, 437 /* openat2 */, (uint64_t)(uint32_t)cap, 0, how, 24, 0, 0);
	c->plan.slot_arg = 1;
	c->plan.bytes = rest;
	c->plan.len = (uint32_t)cw_strlen(rest) + 1;
	c->plan.retry = retry;
	return 1;
}

/* The whole call by its text alone: 1 if the plan is made, 0 if it takes a walk, or -errno. */
static int by_text(struct cw_ctx *c, int dirfd, struct tptr path, uint64_t flags, uint64_t mode)
{
	const char *rest;
	int len = c->ops->read_string(c, c->path, sizeof(c->path), path);

	if (len < 0)
		return len;
	if (!len)
		return -ENOENT;
	c->base[0] = '/';
	c->base[1] = 0;
	if (c->path[0] != '/') {
		int err = c->ops->dir_path(c, dirfd, c->base, sizeof(c->base));

		if (err < 0)
			return 0; /* the walk says why */
	}
	if (cw_join(c->whole, sizeof(c->whole), c->base, c->path) < 0)
		return 0;
	cw_copy(c->bytes, c->whole, cw_strlen(c->whole) + 1);
	bool nofollow = (flags & K_O_NOFOLLOW) || (flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL);
	uint32_t node = cw_textual(c->image, c->bytes, sizeof(c->bytes), nofollow, &rest);

	if (node == CW_NONE || !rest)
		return 0;
	while (*rest == '/')
		rest++;
	/* O_CREAT of a file that exists creates nothing: where the right is missing, the walk sees */
	return beneath(c, node, *rest ? rest : ".", flags, mode,
	               needs_of(flags) | (flags & K_O_CREAT ? CW_RIGHT_CREATE | CW_RIGHT_WRITE : 0), CW_TRY_WALK);
}

/* The same for what a walk has found, by its canonical path; where that changes meanwhile, the kernel stays beneath. */
static int by_place(struct cw_ctx *c, const struct cw_place *p, uint64_t flags, uint64_t mode)
{
	uint64_t needs = needs_of(flags);

	if (p->kind != CW_PLACE_HOST || p->by_fd || p->apart || p->grant == CW_NONE || c->ops->cap_fd(c, p->grant) < 0)
		return 0;
	/* only a how that creates nothing is published for a capability that may not */
	if (flags & K_O_CREAT)
		needs |= CW_RIGHT_CREATE;
	int top = cw_node_path(c->image, p->grant, c->bytes, CW_PATH_MAX);
	size_t len = cw_strlen(p->path), from = top == 1 ? 0 : (size_t)top;

	if (top < 0 || from > len)
		return 0;
	const char *rest = p->path + from;

	while (*rest == '/')
		rest++;
	len = cw_strlen(rest);
	cw_copy(c->bytes, len ? rest : ".", len ? len + 1 : 2);
	if (len && p->slash)
		cw_copy(c->bytes + len, p->dot ? "/." : "/", p->dot ? 3 : 2);
	return beneath(c, p->grant, c->bytes, flags, mode, needs, CW_TRY_PERFORM);
}

/* The file is there because this very call made it before a signal interrupted its hand-over: what was opened then. */
static bool take_made(struct cw_ctx *c, struct cw_place *p)
{
	uint64_t which[2];

	if (c->ops->stat(c, p->fd, &p->mode, &which[0], &which[1]))
		return false;
	int64_t fd = c->ops->call(c, CW_SERVICE_MADE, which);

	if (fd < 0)
		return false;
	c->ops->close(c, p->fd);
	p->fd = (int)fd;
	return true;
}

static void decide(struct cw_ctx *c, struct cw_place *p, uint64_t flags, uint64_t mode)
{
	uint64_t needs = needs_of(flags);
	bool made = false;
	int err;

	if (p->kind == CW_PLACE_VIRTUAL) {
		if ((flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL))
			return cw_fail(c, EEXIST);
		if (flags & (K_O_CREAT | K_O_ACCMODE | K_O_TRUNC) && !(flags & K_O_TMPFILE_BIT))
			return cw_fail(c, EISDIR);
	} else if (p->kind == CW_PLACE_HOST || p->kind == CW_PLACE_LINK) {
		if (p->fd < 0) {
			if (!(flags & K_O_CREAT))
				return cw_fail(c, ENOENT);
			needs |= CW_RIGHT_CREATE;
		} else if ((flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL)) {
			made = take_made(c, p);
			if (!made)
				return cw_fail(c, EEXIST);
			needs |= CW_RIGHT_CREATE;
		} else if ((flags & K_O_CREAT) && !p->by_fd && (p->mode & K_S_IFMT) != K_S_IFDIR &&
		           c->ops->sticky(c, p->parent, p->fd, true)) {
			return cw_fail(c, EACCES);
		} else if ((p->mode & K_S_IFMT) == K_S_IFLNK && !(flags & K_O_PATH)) {
			return cw_fail(c, flags & K_O_DIRECTORY ? ENOTDIR : ELOOP);
		} else if ((p->mode & K_S_IFMT) == K_S_IFDIR) {
			if ((flags & (K_O_CREAT | K_O_ACCMODE | K_O_TRUNC)) && !(flags & K_O_TMPFILE_BIT) &&
			    !(flags & K_O_PATH))
				return cw_fail(c, EISDIR);
		} else if (flags & K_O_DIRECTORY) {
			return cw_fail(c, ENOTDIR);
		} else if ((flags & K_O_PATH) && (p->mode & K_S_IFMT) != K_S_IFLNK) {
			needs |= CW_RIGHT_READ; /* no O_PATH descriptor can be handed over: what is, can be read */
		}
	}
	err = cw_need(c, 0, needs);
	if (err) {
		cw_refuse(c, CW_KIND_RIGHT_MISSING, -err);
		return;
	}
	if (made) {
		cw_perform(c, CW_OP_DELIVER);
		c->plan.arg[0] = flags & K_O_CLOEXEC;
		c->plan.arg[1] = 1;
		return;
	}
	cw_perform(c, (p->mode & K_S_IFMT) == K_S_IFDIR && !(flags & K_O_TMPFILE_BIT) &&
	                              (p->kind == CW_PLACE_PROC ? p->proc == CW_PROC_DIR
	                                                        : p->fd >= 0 || p->kind == CW_PLACE_VIRTUAL)
	                      ? CW_OP_LIST
	                      : CW_OP_OPEN);
	c->plan.arg[0] = flags;
	c->plan.arg[1] = mode;
}

static bool lies_beneath(const char *path, const char *top)
{
	size_t n = cw_strlen(top);

	return n == 1 || (!cw_memcmp(path, top, n) && (!path[n] || path[n] == '/'));
}

/* The next component of a path, if it is `..`: what is behind it. */
static const char *behind_dot_dot(const char *path)
{
	if (path[0] != '.' || path[1] != '.' || (path[2] && path[2] != '/'))
		return NULL;
	for (path += 2; *path == '/';)
		path++;
	return path;
}

/* Where its text climbs above where it begins, or NULL. Links aside: where these lead is looked at when it is found. */
static const char *climbs(const char *path)
{
	int depth = 0;

	for (;;) {
		const char *up;

		while (*path == '/')
			path++;
		if (!*path)
			return NULL;
		up = behind_dot_dot(path);
		if (up && --depth < 0)
			return path;
		if (!up && !(path[0] == '.' && (!path[1] || path[1] == '/')))
			depth++;
		while (*path && *path != '/')
			path++;
	}
}

/* Where something is carved out of the directory, or it is none of the host's, how a lookup by the kernel ends tells of that too: looked up in the
 * namespace instead, and what leads out of the directory is EXDEV. */
static int locate_carved(struct cw_ctx *c, uint64_t resolve, unsigned walk)
{
	const char *path = c->path;

	if (path[0] == '/' && !(resolve & K_RESOLVE_IN_ROOT))
		return -EXDEV;
	while (*path == '/')
		path++;
	/* its own parent, in its own root */
	for (const char *up; (resolve & K_RESOLVE_IN_ROOT) && (up = behind_dot_dot(path));)
		path = up;
	const char *above = climbs(path);

	/* its own parent there, too: what leads to it has to be, and the rest begins anew. Above the root of the namespace there
	 * is nothing, for anybody. */
	while (above && (resolve & K_RESOLVE_IN_ROOT)) {
		if (!c->place[1].path[1]) {
			above = NULL;
			break;
		}
		c->path[above - c->path] = 0;
		int err = cw_walk(c, &c->place[0], c->base, path, 0);

		cw_place_drop(c, &c->place[0]);
		if (err)
			return err;
		c->path[above - c->path] = '.';
		path = behind_dot_dot(above);
		above = climbs(path);
	}
	if (above)
		c->path[above - c->path] = 0;
	int err = cw_walk(c, &c->place[0], c->base, *path ? path : ".", walk);

	if (!err && above)
		return -EXDEV;
	return err ? err : lies_beneath(c->place[0].path, c->place[1].path) ? 0 : -EXDEV;
}

/* RESOLVE_BENEATH and RESOLVE_IN_ROOT are relative to the caller's own directory: the kernel resolves there, beneath a
 * reference that we hold, and what it found is then decided by where it lies. */
static int locate_scoped(struct cw_ctx *c, int dirfd, struct tptr path, const struct k_open_how *how, unsigned walk)
{
	int len = c->ops->read_string(c, c->path, sizeof(c->path), path);

	if (len <= 0)
		return len ? len : -ENOENT;
	int err = c->ops->dir_path(c, dirfd, c->base, sizeof(c->base));

	if (err < 0)
		return err;
	cw_join(c->whole, sizeof(c->whole), c->base, c->path[0] == '/' ? "." : c->path);
	err = cw_walk(c, &c->place[1], "/", c->base, 0);
	if (err)
		return err;
	if (c->place[1].kind == CW_PLACE_VIRTUAL || c->place[1].kind == CW_PLACE_PROC)
		return locate_carved(c, how->resolve, walk);
	if (c->place[1].kind != CW_PLACE_HOST || c->place[1].fd < 0)
		return -EXDEV;
	if (c->image->n_globs || (c->place[1].exact && c->image->nodes[c->place[1].node].child_count))
		return locate_carved(c, how->resolve, walk);
	uint64_t walk_flags = K_O_PATH | (how->flags & K_O_NOFOLLOW);
	uint64_t resolve = (how->resolve & ~(uint64_t)K_RESOLVE_CACHED) | K_RESOLVE_NO_MAGICLINKS;

	/* one of the two always, or an absolute path would be looked up in the host's root */
	if (!(resolve & K_RESOLVE_IN_ROOT))
		resolve |= K_RESOLVE_BENEATH;
	int fd = c->ops->open(c, c->place[1].fd, c->path, walk_flags, resolve);

	if (fd == -ENOENT && (how->flags & K_O_CREAT)) {
		/* a new name: its directory is looked up so, and the name then made there */
		char name[CW_NAME_MAX + 1];
		int n = len;

		while (n && c->path[n - 1] != '/')
			n--;
		if (n == len || len - n > CW_NAME_MAX)
			return n == len ? -EISDIR : -ENAMETOOLONG;
		cw_copy(name, c->path + n, (size_t)(len - n) + 1);
		cw_copy(c->path + n, ".", 2);
		fd = c->ops->open(c, c->place[1].fd, c->path, K_O_PATH, resolve);
		cw_copy(c->path + n, name, (size_t)(len - n) + 1);
		len = fd < 0 ? fd : c->ops->held_path(c, fd, c->base, sizeof(c->base));
		if (fd >= 0)
			c->ops->close(c, fd);
		if (len < 0)
			return fd < 0 ? fd : -ENOENT;
		cw_copy(c->bytes, name, cw_strlen(name) + 1);
		err = cw_walk(c, &c->place[0], c->base, c->bytes, CW_WALK_CREATE | CW_WALK_NOFOLLOW);
		/* a link that leads to nothing yet would have to be followed in this way, too */
		return !err && c->place[0].fd >= 0 ? -ENOSYS : err;
	}
	if (fd < 0)
		return fd;
	len = c->ops->held_path(c, fd, c->whole, sizeof(c->path));
	c->ops->close(c, fd);
	if (len < 0)
		return -ENOENT;
	return cw_walk(c, &c->place[0], "/", c->whole, CW_WALK_NOFOLLOW);
}

/* One name and a slash behind it. */
static bool ends_in_slash(const char *path)
{
	while (*path && *path != '/')
		path++;
	if (!*path)
		return false;
	while (*path == '/')
		path++;
	return !*path;
}

void cw_rw_open(struct cw_ctx *c)
{
	int dirfd = K_AT_FDCWD;
	struct tptr path = {c->call.arg[0]};
	uint64_t flags = (uint32_t)c->call.arg[1], mode = (uint32_t)c->call.arg[2];
	struct k_open_how how = {0, 0, 0};
	int r;

	switch (c->call.nr) {
	case 85: /* creat */
		mode = (uint32_t)c->call.arg[1];
		flags = K_O_CREAT | K_O_WRONLY | K_O_TRUNC;
		break;
	case 257: /* openat */
	case 437: /* openat2 */
		dirfd = (int)(uint32_t)c->call.arg[0];
		path.a = c->call.arg[1];
		flags = (uint32_t)c->call.arg[2];
		mode = (uint32_t)c->call.arg[3];
		break;
	default:
		break;
	}
	if (c->call.nr == 437) {
		r = read_how(c, &how);
		if (r)
			return cw_fail(c, -r);
		flags = how.flags;
		mode = how.mode;
	}
	as_open(&flags, &mode);
	if (contradicts(flags))
		return cw_fail(c, EINVAL);
	if (c->again == CW_TRY_FIRST && !how.resolve) {
		r = by_text(c, dirfd, path, flags, mode);
		if (r < 0)
			return cw_fail(c, -r);
		if (r)
			return;
	}
	unsigned walk = flags & K_O_CREAT ? CW_WALK_CREATE | CW_WALK_NAME : 0;

	if ((flags & K_O_NOFOLLOW) || (flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL))
		walk |= CW_WALK_NOFOLLOW;
	if (how.resolve & (K_RESOLVE_BENEATH | K_RESOLVE_IN_ROOT))
		r = locate_scoped(c, dirfd, path, &how, walk);
	else
		r = cw_locate(c, 0, dirfd, path, walk, false);
	if (!r && (how.resolve & K_RESOLVE_NO_SYMLINKS) && c->followed)
		r = -ELOOP;
	/* nd_jump_root in fs/namei.c: the root is another mount, unless the path itself began there */
	if (!r && (how.resolve & K_RESOLVE_NO_XDEV) && c->followed_absolute && c->path[0] != '/')
		r = -EXDEV;
	if (r == -ENOENT && (flags & K_O_CREAT) && ends_in_slash(c->path) && c->ops->removed(c, dirfd))
		r = -EISDIR;
	if (r) {
		if (c->rec.kind)
			c->rec.needs |= needs_of(flags) | (flags & K_O_CREAT ? CW_RIGHT_CREATE | CW_RIGHT_WRITE : 0);
		return cw_fail(c, -r);
	}
	if ((flags & K_O_CREAT) && c->place[0].slash && !c->place[0].dot)
		return cw_fail(c, EISDIR); /* before anything else is asked: open_last_lookups in fs/namei.c */
	if (c->again != CW_TRY_PERFORM && !how.resolve && by_place(c, &c->place[0], flags, mode))
		return;
	decide(c, &c->place[0], flags, mode);
}
