/* What changes names: mkdir, mknod, unlink, rmdir, symlink, link, rename. Performed on held parent directories. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

#define THE_NAME (CW_WALK_NOFOLLOW | CW_WALK_CREATE | CW_WALK_NAME)

/* An ancestor of grants, or something of /proc: exists, and nothing about it can be changed. */
static bool fixed(const struct cw_place *p)
{
	return p->kind != CW_PLACE_HOST || p->parent < 0;
}

static bool is_dir(const struct cw_place *p)
{
	return (p->mode & K_S_IFMT) == K_S_IFDIR;
}

/* The place where a new name is to stand. False: planned. */
static bool new_name(struct cw_ctx *c, int which, int dirfd, struct tptr path, uint64_t needs, bool dir)
{
	struct cw_place *p = &c->place[which];
	int err = cw_locate(c, which, dirfd, path, THE_NAME, false);

	if (!err && (fixed(p) || p->fd >= 0))
		err = -EEXIST;
	if (!err && p->slash && !dir)
		err = -ENOENT;
	if (!err)
		err = cw_need(c, which, needs);
	if (err) {
		c->rec.needs |= needs;
		cw_fail(c, -err);
	}
	return !err;
}

void cw_rw_mkdir(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 258;

	if (!new_name(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){at ? a[1] : a[0]}, CW_RIGHT_MKDIRAT,
	              true))
		return;
	cw_perform(c, CW_OP_MKDIR);
	c->plan.arg[0] = (uint32_t)(at ? a[2] : a[1]);
}

void cw_rw_mknod(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 259;
	uint64_t mode = (uint32_t)(at ? a[2] : a[1]), needs = CW_RIGHT_MKNODAT;
	bool device = false;

	switch (mode & K_S_IFMT) {
	case 0:
	case K_S_IFREG:
		break;
	case K_S_IFIFO:
	case K_S_IFSOCK:
		needs = CW_RIGHT_MKFIFOAT;
		break;
	case K_S_IFCHR:
	case K_S_IFBLK:
		device = true;
		break;
	case K_S_IFDIR:
		return cw_fail(c, EPERM);
	default:
		return cw_fail(c, EINVAL);
	}
	if (!new_name(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){at ? a[1] : a[0]}, needs, false))
		return;
	if (device) {
		/* a device node is a way around every grant; what the kernel asks before the privilege is asked before */
		int err = c->ops->access(c, c->place[0].parent, 3);

		return err ? cw_fail(c, -err) : cw_refuse(c, CW_KIND_SYSCALL, EPERM);
	}
	cw_perform(c, CW_OP_MKNOD);
	c->plan.arg[0] = mode;
	c->plan.arg[1] = 0;
}

void cw_rw_symlink(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 266;
	int len = c->ops->read_string(c, c->path2, sizeof(c->path2), (struct tptr){a[0]});

	if (len <= 0)
		return cw_fail(c, len ? -len : ENOENT);
	if (!new_name(c, 0, at ? (int)(uint32_t)a[1] : K_AT_FDCWD, (struct tptr){at ? a[2] : a[1]}, CW_RIGHT_SYMLINKAT,
	              false))
		return;
	cw_perform(c, CW_OP_SYMLINK);
	c->plan.bytes = c->path2;
	c->plan.len = (uint32_t)len + 1;
}

/* The last component as it was written: rmdir and rename treat ".", ".." and the root (1, 2 and 3) specially. */
static int dots(const char *path)
{
	size_t n = cw_strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 1 && path[0] == '/')
		return 3;
	if (n && path[n - 1] == '.' && (n == 1 || path[n - 2] == '/'))
		return 1;
	if (n > 1 && path[n - 1] == '.' && path[n - 2] == '.' && (n == 2 || path[n - 3] == '/'))
		return 2;
	return 0;
}

static bool last_too_long(const char *path)
{
	size_t n = cw_strlen(path), len = 0;

	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/') {
		n--;
		len++;
	}
	return len > CW_NAME_MAX;
}

void cw_rw_unlink(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 263;
	uint64_t flags = at ? (uint32_t)a[2] : c->call.nr == 84 ? K_AT_REMOVEDIR : 0;
	struct cw_place *p = &c->place[0];

	if (flags & ~(uint64_t)(K_AT_REMOVEDIR))
		return cw_fail(c, EINVAL);
	int err = cw_locate(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){at ? a[1] : a[0]}, THE_NAME,
	                    false);
	int dot = err ? 0 : dots(c->path);

	if (!err && dot)
		err = !flags ? -EISDIR : dot == 1 ? -EINVAL : dot == 2 ? -ENOTEMPTY : -EBUSY;
	if (!err && p->kind == CW_PLACE_HOST && p->fd < 0)
		err = -ENOENT;
	/* where the call is made, the kernel says which of these comes before a permission that is missing */
	bool made = p->rights & CW_RIGHT_UNLINKAT && !p->slash && p->kind == CW_PLACE_HOST;

	if (!err && !made && flags && !is_dir(p))
		err = -ENOTDIR;
	if (!err && !made && !flags && is_dir(p))
		err = -EISDIR;
	if (!err && p->slash && !is_dir(p))
		err = -ENOTDIR;
	if (!err)
		err = cw_need(c, 0, CW_RIGHT_UNLINKAT);
	/* its name belongs to a directory that was not granted; or whether it is empty tells what the namespace does not */
	if (!err && (fixed(p) || (p->root && p->exact && c->image->nodes[p->node].kind != CW_NODE_NAME) ||
	             (flags && p->exact && cw_denies_beneath(c->image, p->node)))) {
		c->rec.kind = CW_KIND_RIGHT_MISSING;
		err = -EACCES;
	}
	if (err) {
		c->rec.needs |= CW_RIGHT_UNLINKAT;
		return cw_fail(c, -err);
	}
	cw_perform(c, CW_OP_UNLINK);
	c->plan.arg[0] = flags;
}

static bool movable(struct cw_ctx *c, int which, uint64_t needs, bool rules)
{
	struct cw_place *p = &c->place[which];
	int err = cw_need(c, which, needs);

	if (!err && (fixed(p) || rules || (p->root && p->exact && c->image->nodes[p->node].kind != CW_NODE_NAME))) {
		c->rec.kind = CW_KIND_RIGHT_MISSING;
		err = -EACCES;
	}
	if (err) {
		c->rec.needs |= needs;
		cw_fail(c, -err);
	}
	return !err;
}

void cw_rw_rename(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr != 82;
	uint64_t flags = c->call.nr == 316 ? (uint32_t)a[4] : 0;
	struct cw_place *from = &c->place[0], *to = &c->place[1];

	if ((flags & ~UINT64_C(7)) || ((flags & K_RENAME_EXCHANGE) && (flags & ~(uint64_t)(K_RENAME_EXCHANGE))))
		return cw_fail(c, EINVAL);
	if (flags & K_RENAME_WHITEOUT)
		return cw_refuse(c, CW_KIND_SYSCALL, EPERM); /* leaves a device node behind */
	/* do_renameat2 in fs/namei.c: both directories, then both last names, then what they lead to */
	int err = cw_locate(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){a[at ? 1 : 0]}, THE_NAME, false);
	bool long_from = err == -ENAMETOOLONG && last_too_long(c->path);
	int dot = err && !long_from ? 0 : dots(c->path), other = 0;

	if (!err || long_from)
		other = cw_locate(c, 1, at ? (int)(uint32_t)a[2] : K_AT_FDCWD, (struct tptr){a[at ? 3 : 1]}, THE_NAME,
		                  false);
	bool long_to = other == -ENAMETOOLONG && last_too_long(c->path2);

	if (other && !long_to)
		err = other;
	else if (!err && dot)
		err = -EBUSY;
	else if (!err && dots(c->path2))
		err = flags & K_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!err && from->kind == CW_PLACE_HOST && from->fd < 0)
		err = -ENOENT;
	if (!err)
		err = other;
	if (!err && (flags & K_RENAME_NOREPLACE) && (to->kind != CW_PLACE_HOST || to->fd >= 0))
		err = -EEXIST;
	if (!err && (flags & K_RENAME_EXCHANGE) && to->kind == CW_PLACE_HOST && to->fd < 0)
		err = -ENOENT;
	if (!err && (flags & K_RENAME_EXCHANGE) && to->slash && !is_dir(to))
		err = -ENOTDIR;
	if (!err && !is_dir(from) && (from->slash || (to->slash && !(flags & K_RENAME_EXCHANGE))))
		err = -ENOTDIR;
	if (err) {
		c->rec.needs |= CW_RIGHT_RENAMEAT_SOURCE;
		return cw_fail(c, -err);
	}
	uint64_t both = CW_RIGHT_RENAMEAT_SOURCE | CW_RIGHT_RENAMEAT_TARGET;

	bool rules = cw_moves_rules(c);

	if (!movable(c, 0, flags & K_RENAME_EXCHANGE ? both : CW_RIGHT_RENAMEAT_SOURCE, rules) ||
	    !movable(c, 1, flags & K_RENAME_EXCHANGE ? both : CW_RIGHT_RENAMEAT_TARGET, rules))
		return;
	cw_perform(c, CW_OP_RENAME);
	c->plan.arg[0] = flags;
}

void cw_rw_link(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 265;
	uint64_t flags = at ? (uint32_t)a[4] : 0;
	struct cw_place *from = &c->place[0], *to = &c->place[1];
	uint64_t needs = CW_RIGHT_LINKAT_SOURCE;

	if (flags & ~(uint64_t)(K_AT_SYMLINK_FOLLOW | K_AT_EMPTY_PATH))
		return cw_fail(c, EINVAL);
	int err = cw_locate(c, 0, at ? (int)(uint32_t)a[0] : K_AT_FDCWD, (struct tptr){a[at ? 1 : 0]},
	                    flags & K_AT_SYMLINK_FOLLOW ? 0 : CW_WALK_NOFOLLOW, flags & K_AT_EMPTY_PATH);

	if (!err && from->kind != CW_PLACE_HOST)
		err = from->kind == CW_PLACE_PROC ? -EXDEV : -EPERM;
	if (!err && from->fd < 0)
		err = -ENOENT;
	if (err) {
		c->rec.needs |= needs;
		return cw_fail(c, -err);
	}
	if (!new_name(c, 1, at ? (int)(uint32_t)a[2] : K_AT_FDCWD, (struct tptr){a[at ? 3 : 1]}, CW_RIGHT_LINKAT_TARGET,
	              false))
		return;
	/* a further name must not give the file more than its first one did */
	if (to->rights & ~from->rights)
		needs |= to->rights;
	err = cw_need(c, 0, needs);
	if (err)
		return cw_fail(c, -err);
	cw_perform(c, CW_OP_LINK);
}
