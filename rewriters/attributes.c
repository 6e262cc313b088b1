/* What changes a file's attributes, by path and by fd: chmod, chown, utimes, truncate, extended attributes. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

static bool planned(struct cw_ctx *c, int err, uint64_t needs)
{
	struct cw_place *p = &c->place[0];

	/* what the launcher shows has no extended attributes, and everybody may ask */
	if (!err && p->kind != CW_PLACE_HOST && !(needs & ~(CW_RIGHT_EXTATTR_GET | CW_RIGHT_EXTATTR_LIST))) {
		cw_fail(c, EOPNOTSUPP);
		return false;
	}
	if (!err)
		err = cw_need(c, 0, needs);
	if (!err && p->kind != CW_PLACE_HOST) {
		c->rec.kind = CW_KIND_RIGHT_MISSING;
		err = -EACCES;
	}
	if (err) {
		c->rec.needs |= needs;
		cw_fail(c, -err);
	}
	return !err;
}

static bool by_path(struct cw_ctx *c, int dirfd, uint64_t path, bool nofollow, bool empty, uint64_t needs)
{
	return planned(c, cw_locate(c, 0, dirfd, (struct tptr){path}, nofollow ? CW_WALK_NOFOLLOW : 0, empty), needs);
}

static bool by_fd(struct cw_ctx *c, uint64_t fd, uint64_t needs)
{
	int flags = c->ops->fd_flags(c, (int)(uint32_t)fd, -1);

	if (flags < 0 || ((uint32_t)flags & K_O_PATH)) {
		cw_fail(c, EBADF);
		return false;
	}
	return planned(c, cw_locate_fd(c, 0, (int)(uint32_t)fd, 0), needs);
}

static bool at_flags(struct cw_ctx *c, uint64_t flags)
{
	if (!(flags & ~(uint64_t)(K_AT_SYMLINK_NOFOLLOW | K_AT_EMPTY_PATH)))
		return true;
	cw_fail(c, EINVAL);
	return false;
}

void cw_rw_chmod(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	uint64_t mode = (uint32_t)a[1], flags = 0;
	bool ok;

	switch (c->call.nr) {
	case 90: /* chmod */
		ok = by_path(c, K_AT_FDCWD, a[0], false, false, CW_RIGHT_FCHMOD);
		break;
	case 91: /* fchmod */
		ok = by_fd(c, a[0], CW_RIGHT_FCHMOD);
		break;
	default: /* fchmodat, fchmodat2 */
		mode = (uint32_t)a[2];
		flags = c->call.nr == 452 ? (uint32_t)a[3] : 0;
		ok = at_flags(c, flags) && by_path(c, (int)(uint32_t)a[0], a[1], flags & K_AT_SYMLINK_NOFOLLOW,
		                                   flags & K_AT_EMPTY_PATH, CW_RIGHT_FCHMOD);
		break;
	}
	if (!ok)
		return;
	if ((c->place[0].mode & K_S_IFMT) == K_S_IFLNK)
		return cw_fail(c, EOPNOTSUPP);
	cw_perform(c, CW_OP_CHMOD);
	c->plan.arg[0] = mode & 07777;
}

void cw_rw_chown(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	uint64_t uid = (uint32_t)a[1], gid = (uint32_t)a[2], flags = 0;
	bool ok;

	switch (c->call.nr) {
	case 92: /* chown */
	case 94: /* lchown */
		ok = by_path(c, K_AT_FDCWD, a[0], c->call.nr == 94, false, CW_RIGHT_FCHOWN);
		break;
	case 93: /* fchown */
		ok = by_fd(c, a[0], CW_RIGHT_FCHOWN);
		break;
	default: /* fchownat */
		uid = (uint32_t)a[2];
		gid = (uint32_t)a[3];
		flags = (uint32_t)a[4];
		ok = at_flags(c, flags) && by_path(c, (int)(uint32_t)a[0], a[1], flags & K_AT_SYMLINK_NOFOLLOW,
		                                   flags & K_AT_EMPTY_PATH, CW_RIGHT_FCHOWN);
		break;
	}
	if (!ok)
		return;
	cw_perform(c, CW_OP_CHOWN);
	c->plan.arg[0] = uid;
	c->plan.arg[1] = gid;
}

void cw_rw_utime(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	int64_t t[4] = {0, K_UTIME_NOW, 0, K_UTIME_NOW};
	uint64_t times = a[1], flags = 0, path = a[0];
	int dirfd = K_AT_FDCWD, err = 0;

	if (c->call.nr == 261 || c->call.nr == 280) { /* futimesat, utimensat */
		dirfd = (int)(uint32_t)a[0];
		path = a[1];
		times = a[2];
		flags = c->call.nr == 280 ? (uint32_t)a[3] : 0;
	}
	if (times && c->call.nr == 132) { /* utime: seconds of access and modification */
		int64_t both[2];

		err = c->ops->read(c, both, (struct tptr){times}, sizeof(both));
		t[0] = both[0];
		t[2] = both[1];
		t[1] = t[3] = 0;
	} else if (times) {
		err = c->ops->read(c, t, (struct tptr){times}, sizeof(t));
	}
	if (err)
		return cw_fail(c, -err);
	if (times && (c->call.nr == 235 || c->call.nr == 261)) { /* utimes, futimesat: microseconds */
		if (t[1] < 0 || t[1] >= 1000000 || t[3] < 0 || t[3] >= 1000000)
			return cw_fail(c, EINVAL);
		t[1] *= 1000;
		t[3] *= 1000;
	}
	if (c->call.nr == 280 && t[1] == K_UTIME_OMIT && t[3] == K_UTIME_OMIT)
		return cw_answer(c, 0); /* not even the file is looked at: do_utimes in fs/utimes.c */
	bool ok;

	if (c->call.nr == 280 || c->call.nr == 261) {
		if (!path && dirfd != K_AT_FDCWD) /* do_utimes in fs/utimes.c */
			ok = flags ? (cw_fail(c, EINVAL), false)
			           : by_fd(c, (uint64_t)(uint32_t)dirfd, CW_RIGHT_FUTIMES);
		else
			ok = at_flags(c, flags) && by_path(c, dirfd, path, flags & K_AT_SYMLINK_NOFOLLOW,
			                                   flags & K_AT_EMPTY_PATH, CW_RIGHT_FUTIMES);
	} else
		ok = by_path(c, K_AT_FDCWD, path, false, false, CW_RIGHT_FUTIMES);
	if (!ok)
		return;
	cw_perform(c, CW_OP_UTIME);
	for (int i = 0; i < 4; i++)
		c->plan.times[i] = t[i];
}

void cw_rw_truncate(struct cw_ctx *c)
{
	if ((int64_t)c->call.arg[1] < 0)
		return cw_fail(c, EINVAL);
	bool descriptor = c->call.nr == 77; /* ftruncate, where a grant permits write and not ftruncate */
	int fd = (int)(uint32_t)c->call.arg[0];
	int flags = descriptor ? c->ops->fd_flags(c, fd, -1) : (int)K_O_ACCMODE;

	if (flags >= 0 && !((uint32_t)flags & (K_O_ACCMODE | K_O_PATH)))
		return cw_fail(c, EINVAL); /* it is open for reading alone */
	if (descriptor ? !by_fd(c, c->call.arg[0], CW_RIGHT_FTRUNCATE)
	               : !by_path(c, K_AT_FDCWD, c->call.arg[0], false, false, CW_RIGHT_FTRUNCATE))
		return;
	/* as what it is open for, and not as what another thread has put there since */
	if (descriptor) {
		flags = c->ops->fd_flags(c, fd, c->place[0].fd);
		if (flags < 0 || !((uint32_t)flags & K_O_ACCMODE))
			return cw_fail(c, flags < 0 ? -flags : EINVAL);
	}
	if (!descriptor && (c->place[0].mode & K_S_IFMT) == K_S_IFDIR)
		return cw_fail(c, EISDIR);
	if ((c->place[0].mode & K_S_IFMT) != K_S_IFREG)
		return cw_fail(c, EINVAL);
	cw_perform(c, CW_OP_TRUNCATE);
	c->plan.arg[0] = c->call.arg[1];
}

/* struct xattr_args of linux/xattr.h, for the *at forms of Linux 6.13 */
struct xattr_args {
	uint64_t value;
	uint32_t size, flags;
};

enum form { BY_PATH, BY_LINK, BY_FD, AT };
enum verb { SET, GET, LIST, REMOVE };

/* An empty path is the descriptor itself, as to fgetxattr and kin; two of the four know no AT_FDCWD then (fs/xattr.c). */
static bool at_path(struct cw_ctx *c, bool fd_only, uint64_t needs)
{
	const uint64_t *a = c->call.arg;
	int dirfd = (int)(uint32_t)a[0];
	char first = 0;

	if (a[2] & K_AT_EMPTY_PATH) {
		int err = a[1] ? c->ops->read(c, &first, (struct tptr){a[1]}, 1) : 0;

		if (err)
			return cw_fail(c, -err), false;
		if (!first && (fd_only || dirfd >= 0))
			return by_fd(c, a[0], needs);
		if (!first) {
			err = dirfd == K_AT_FDCWD ? c->ops->dir_path(c, dirfd, c->whole, CW_PATH_MAX) : -EBADF;
			return planned(c, err < 0 ? err : cw_walk(c, &c->place[0], "/", c->whole, 0), needs);
		}
	}
	return by_path(c, dirfd, a[1], a[2] & K_AT_SYMLINK_NOFOLLOW, false, needs);
}

/* system.posix_acl_access and _default: what they say is who may do what with the file, as its mode does. */
static bool is_acl(const char *name)
{
	static const char prefix[] = "system.posix_acl_";

	return !cw_memcmp(name, prefix, sizeof(prefix) - 1);
}

void cw_rw_xattr(struct cw_ctx *c)
{
	static const uint64_t needs[] = {[SET] = CW_RIGHT_EXTATTR_SET,
	                                 [GET] = CW_RIGHT_EXTATTR_GET,
	                                 [LIST] = CW_RIGHT_EXTATTR_LIST,
	                                 [REMOVE] = CW_RIGHT_EXTATTR_DELETE};
	static const enum cw_op ops[] = {[SET] = CW_OP_XATTR_SET,
	                                 [GET] = CW_OP_XATTR_GET,
	                                 [LIST] = CW_OP_XATTR_LIST,
	                                 [REMOVE] = CW_OP_XATTR_REMOVE};
	const uint64_t *a = c->call.arg;
	int nr = c->call.nr;
	/* 188 setxattr .. 199 fremovexattr: three forms a verb; 463 setxattrat .. 466 removexattrat */
	enum verb verb = nr >= 463 ? (enum verb)(nr - 463) : (enum verb)((nr - 188) / 3);
	enum form form = nr >= 463 ? AT : (enum form)((nr - 188) % 3);
	uint64_t rights = needs[verb];
	uint64_t name = a[1], value = a[2], size = a[3], flags = (uint32_t)a[4];
	int len = 0;
	bool ok;

	if (form == AT) {
		struct xattr_args args = {0, 0, 0};

		name = a[3];
		value = a[3];
		size = a[4];
		flags = 0;
		if (verb == SET || verb == GET) {
			if (a[5] < sizeof(args))
				return cw_fail(c, EINVAL);
			if (a[5] > sizeof(args))
				return cw_fail(c, E2BIG);
			int err = c->ops->read(c, &args, (struct tptr){a[4]}, sizeof(args));

			if (err)
				return cw_fail(c, -err);
			value = args.value;
			size = args.size;
			flags = args.flags;
			if (verb == GET && flags)
				return cw_fail(c, EINVAL);
		}
	} else if (verb == LIST) {
		value = a[1];
		size = a[2];
	}
	if (verb != LIST) {
		len = c->ops->read_string(c, c->path2, 256 + 1, (struct tptr){name});
		if (len == -ENAMETOOLONG || !len)
			return cw_fail(c, ERANGE);
		if (len < 0)
			return cw_fail(c, -len);
		if ((verb == SET || verb == REMOVE) && is_acl(c->path2))
			rights |= CW_RIGHT_FCHMOD;
	}
	if (form == BY_FD)
		ok = by_fd(c, a[0], rights);
	else if (form == AT)
		ok = at_flags(c, (uint32_t)a[2]) && at_path(c, verb == LIST || verb == REMOVE, rights);
	else
		ok = by_path(c, K_AT_FDCWD, a[0], form == BY_LINK, false, rights);
	if (!ok)
		return;
	cw_perform(c, ops[verb]);
	c->plan.bytes = c->path2;
	c->plan.len = (uint32_t)len + 1;
	c->plan.to.a = value;
	c->plan.arg[0] = size;
	c->plan.arg[1] = flags;
}
