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

/* The whole call by its text alone: 1 if the plan is made, 0 if it takes a walk, or -errno. */
static int capability_form(struct cw_ctx *c, int dirfd, struct tptr path, uint64_t flags, uint64_t mode)
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
	uint64_t needs = needs_of(flags) | (flags & K_O_CREAT ? CW_RIGHT_CREATE | CW_RIGHT_WRITE : 0);
	uint64_t have = c->image->nodes[node].rights;

	if ((have & needs) != needs) {
		/* O_CREAT of a file that exists creates nothing: the walk sees */
		return 0;
	}
	int cap = c->ops->cap_fd(c, node);

	if (cap < 0)
		return 0;
	uint64_t how =
		c->ops->publish_how(c, needs & (CW_RIGHT_WRITE | CW_RIGHT_CREATE | CW_RIGHT_FTRUNCATE), flags, mode);

	if (!how)
		return 0;
	while (*rest == '/')
		rest++;
	if (!*rest)
		rest = ".";
	c->rec.needs = needs;
	c->rec.grant = node;
	cw_rewrite(c, 437 /* openat2 */, (uint64_t)(uint32_t)cap, 0, how, 24, 0, 0);
	c->plan.slot_arg = 1;
	c->plan.bytes = rest;
	c->plan.len = (uint32_t)cw_strlen(rest) + 1;
	c->plan.retry = true;
	return 1;
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
			if (p->slash)
				return cw_fail(c, EISDIR);
			needs |= CW_RIGHT_CREATE;
		} else if ((flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL)) {
			made = take_made(c, p);
			if (!made)
				return cw_fail(c, EEXIST);
			needs |= CW_RIGHT_CREATE;
		} else if ((p->mode & K_S_IFMT) == K_S_IFLNK && !(flags & K_O_PATH)) {
			return cw_fail(c, flags & K_O_DIRECTORY ? ENOTDIR : ELOOP);
		} else if ((p->mode & K_S_IFMT) == K_S_IFDIR) {
			if ((flags & (K_O_CREAT | K_O_ACCMODE | K_O_TRUNC)) && !(flags & K_O_TMPFILE_BIT) &&
			    !(flags & K_O_PATH))
				return cw_fail(c, EISDIR);
		} else if (flags & K_O_DIRECTORY) {
			return cw_fail(c, ENOTDIR);
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

/* RESOLVE_BENEATH and RESOLVE_IN_ROOT are relative to the caller's own directory: the kernel resolves there, beneath a
 * reference that we hold, and what it found is then decided by where it lies. */
static int locate_scoped(struct cw_ctx *c, int dirfd, struct tptr path, const struct k_open_how *how)
{
	int len = c->ops->read_string(c, c->path, sizeof(c->path), path);

	if (len < 0)
		return len;
	int err = c->ops->dir_path(c, dirfd, c->base, sizeof(c->base));

	if (err < 0)
		return err;
	cw_join(c->whole, sizeof(c->whole), c->base, c->path[0] == '/' ? "." : c->path);
	err = cw_walk(c, &c->place[1], "/", c->base, 0);
	if (err)
		return err;
	if (c->place[1].kind != CW_PLACE_HOST || c->place[1].fd < 0)
		return -EXDEV;
	uint64_t walk_flags = K_O_PATH | (how->flags & K_O_NOFOLLOW);
	uint64_t resolve = (how->resolve & ~(uint64_t)K_RESOLVE_CACHED) | K_RESOLVE_NO_MAGICLINKS;

	/* one of the two always, or an absolute path would be looked up in the host's root */
	if (!(resolve & K_RESOLVE_IN_ROOT))
		resolve |= K_RESOLVE_BENEATH;
	int fd = c->ops->open(c, c->place[1].fd, c->path, walk_flags, resolve);

	if (fd == -ENOENT && (how->flags & K_O_CREAT)) {
		/* a single new name in the directory itself is what callers create */
		for (int i = 0; i < len; i++)
			if (c->path[i] == '/')
				return -ENOSYS;
		return cw_walk(c, &c->place[0], c->base, c->path, CW_WALK_CREATE | CW_WALK_NOFOLLOW);
	}
	if (fd < 0)
		return fd;
	len = c->ops->held_path(c, fd, c->whole, sizeof(c->path));
	c->ops->close(c, fd);
	if (len < 0)
		return -ENOENT;
	return cw_walk(c, &c->place[0], "/", c->whole, CW_WALK_NOFOLLOW);
}

/* RESOLVE_NO_SYMLINKS: the canonical path must be the one that was asked for, but for empty and "." components. */
static bool met_links(const struct cw_place *p, const char *whole)
{
	const char *a = p->path, *b = whole;

	for (;;) {
		while (*a == '/')
			a++;
		while (*b == '/' || (*b == '.' && (b[1] == '/' || !b[1]) && b[-1] == '/'))
			b++;
		if (!*a || !*b)
			return *a != *b;
		while (*a && *a != '/' && *a == *b) {
			a++;
			b++;
		}
		if ((*a && *a != '/') || (*b && *b != '/'))
			return true;
	}
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
	if (!c->again && !how.resolve) {
		r = capability_form(c, dirfd, path, flags, mode);
		if (r < 0)
			return cw_fail(c, -r);
		if (r)
			return;
	}
	unsigned walk = flags & K_O_CREAT ? CW_WALK_CREATE : 0;

	if ((flags & K_O_NOFOLLOW) || (flags & (K_O_CREAT | K_O_EXCL)) == (K_O_CREAT | K_O_EXCL))
		walk |= CW_WALK_NOFOLLOW;
	if (how.resolve & (K_RESOLVE_BENEATH | K_RESOLVE_IN_ROOT))
		r = locate_scoped(c, dirfd, path, &how);
	else
		r = cw_locate(c, 0, dirfd, path, walk, false);
	if (!r && (how.resolve & K_RESOLVE_NO_SYMLINKS) && met_links(&c->place[0], c->whole))
		r = -ELOOP;
	if (r) {
		if (c->rec.kind)
			c->rec.needs |= needs_of(flags) | (flags & K_O_CREAT ? CW_RIGHT_CREATE | CW_RIGHT_WRITE : 0);
		return cw_fail(c, -r);
	}
	decide(c, &c->place[0], flags, mode);
}
