/* What only looks: stat and statx, access, readlink, statfs, inotify_add_watch. Performed on a held O_PATH descriptor. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

/*
 * 1: the call is about what the target holds as `dirfd`, and about no name; 0: about a name; or -errno. Read once: whatever
 * the target writes there now, nobody looks again.
 */
static int of_fd(struct cw_ctx *c, int dirfd, struct tptr path, uint64_t flags)
{
	char first;

	if (!(flags & K_AT_EMPTY_PATH) || dirfd < 0)
		return 0;
	/* NULL is the empty string since Linux 6.11, to newfstatat and statx */
	if (!path.a && (c->call.nr == 262 || c->call.nr == 332))
		return 1;
	int err = c->ops->read(c, &first, path, 1);

	return err ? err : !first;
}

/* place[0] is what the target holds as `fd`. What it is may be asked wherever it lies, as fstat may. */
static int held(struct cw_ctx *c, int fd)
{
	struct cw_place *p = &c->place[0];
	int err = cw_locate_fd(c, 0, fd, 0);

	if (!err || err == -EBADF)
		return err;
	cw_place_drop(c, p); /* what the failed walk still holds */
	cw_place_start(p);
	p->fd = c->ops->hold_fd(c, fd);
	if (p->fd < 0)
		return p->fd;
	p->path[0] = 0;
	p->exact = false;
	p->kind = CW_PLACE_HOST;
	p->by_fd = true;
	return c->ops->stat(c, p->fd, &p->mode, &p->dev, &p->ino);
}

/*
 * place[0] for a call that needs the file to exist. One openat2 beneath the capability where the text suffices.
 * Any failure is planned here and reported as false.
 */
static bool look(struct cw_ctx *c, int dirfd, struct tptr path, bool nofollow, bool empty, uint64_t needs)
{
	struct cw_place *p = &c->place[0];
	const char *rest;
	int err = 0;

	p->fd = p->parent = -1;
	if (empty && !path.a && (c->call.nr == 262 || c->call.nr == 332)) {
		err = c->ops->dir_path(c, dirfd, c->whole, CW_PATH_MAX);
		if (err >= 0)
			err = cw_walk(c, p, "/", c->whole, 0);
	} else {
		int len = c->ops->read_string(c, c->path, sizeof(c->path), path);

		if (len < 0) {
			cw_fail(c, -len);
			return false;
		}
		if (len && c->again == CW_TRY_FIRST) {
			c->base[0] = '/';
			c->base[1] = 0;
			if (c->path[0] != '/')
				err = c->ops->dir_path(c, dirfd, c->base, sizeof(c->base));
			if (err >= 0 && cw_join(c->whole, sizeof(c->whole), c->base, c->path) > 0) {
				cw_copy(c->bytes, c->whole, cw_strlen(c->whole) + 1);
				uint32_t node = cw_textual(c->image, c->bytes, sizeof(c->bytes), nofollow, &rest);

				/* what is left may be longer than what was asked for, and the kernel takes no more than PATH_MAX */
				if (node != CW_NONE && rest && c->ops->cap_fd(c, node) >= 0 &&
				    (c->image->nodes[node].rights & needs) == needs && cw_strlen(rest) < CW_PATH_MAX) {
					while (*rest == '/')
						rest++;
					if (!*rest && (c->call.nr == 89 || c->call.nr == 267)) {
						/* a capability is a directory, and so no link */
						c->rec.needs = needs;
						c->rec.grant = node;
						cw_fail(c, EINVAL);
						return false;
					}
					p->fd = c->ops->open(c, c->ops->node_dir(c, node), *rest ? rest : ".",
					                     K_O_PATH | (nofollow ? K_O_NOFOLLOW : 0),
					                     K_RESOLVE_BENEATH | K_RESOLVE_NO_MAGICLINKS);
					if (p->fd >= 0) {
						p->kind = CW_PLACE_HOST;
						p->exact = false;
						p->grant = node;
						p->rights = c->image->nodes[node].rights;
						p->mode = 0;
						c->rec.needs = needs;
						c->rec.grant = node;
						return true;
					}
					if (p->fd != -EXDEV && p->fd != -EAGAIN && p->fd != -ELOOP &&
					    (p->fd != -EACCES || c->path[0] == '/')) {
						cw_fail(c, -p->fd);
						p->fd = -1;
						return false;
					}
					p->fd = -1;
				}
			}
		}
		err = cw_locate(c, 0, dirfd, path, nofollow ? CW_WALK_NOFOLLOW : 0, empty);
	}
	if (!err)
		err = cw_need(c, 0, needs);
	if (err) {
		c->rec.needs |= needs;
		cw_fail(c, -err);
		return false;
	}
	return true;
}

void cw_rw_stat(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	int dirfd = K_AT_FDCWD;
	struct tptr path = {a[0]};
	uint64_t flags = 0;

	c->plan.to.a = a[1];
	if (c->call.nr == 6) /* lstat */
		flags = K_AT_SYMLINK_NOFOLLOW;
	if (c->call.nr == 262 || c->call.nr == 332) { /* newfstatat, statx */
		dirfd = (int)(uint32_t)a[0];
		path.a = a[1];
		flags = (uint32_t)(c->call.nr == 262 ? a[3] : a[2]);
		c->plan.to.a = c->call.nr == 262 ? a[2] : a[4];
	}
	/* STATX__RESERVED, both of STATX_*SYNC: before the path, do_statx in fs/stat.c */
	if (c->call.nr == 332 && ((a[3] & 0x80000000) || (flags & 0x6000) == 0x6000))
		return cw_fail(c, EINVAL);
	int alone = of_fd(c, dirfd, path, flags);

	if (alone < 0)
		return cw_fail(c, -alone);
	if (alone && c->call.nr == 262 && c->again == CW_TRY_FIRST) {
		/* what fstat can say of an fd that the target holds: fstat itself, decided by registers alone */
		cw_rewrite(c, 5, (uint64_t)(uint32_t)dirfd, c->plan.to.a, 0, 0, 0, 0);
		return;
	}
	/* NOFOLLOW, NO_AUTOMOUNT, EMPTY_PATH, STATX_*SYNC; of an fd by itself the kernel asks for none */
	if (!alone && (flags & ~UINT64_C(0x7900)))
		return cw_fail(c, EINVAL);
	struct tptr to = c->plan.to;

	if (alone) {
		int err = held(c, dirfd);

		if (err)
			return cw_fail(c, -err);
	} else if (!look(c, dirfd, path, flags & K_AT_SYMLINK_NOFOLLOW, flags & K_AT_EMPTY_PATH,
	                 flags & K_AT_EMPTY_PATH && !path.a ? 0 : CW_RIGHT_FSTAT))
		return;
	cw_perform(c, c->call.nr == 332 ? CW_OP_STATX : CW_OP_STAT);
	c->plan.to = to;
	c->plan.arg[0] = flags & 0x6000;
	c->plan.arg[1] = (uint32_t)a[3];
}

/* The rights to what is held and lies in no grant: what `fd` can do is all that there is. */
static uint64_t opened_with(struct cw_ctx *c, int fd)
{
	int flags = c->ops->fd_flags(c, fd, c->place[0].fd);
	unsigned how = flags < 0 ? K_O_PATH : (unsigned)flags & (K_O_PATH | K_O_ACCMODE);

	if (how & K_O_PATH)
		return 0;
	return (how != K_O_WRONLY ? CW_RIGHT_READ : 0) | (how ? CW_RIGHT_WRITE : 0);
}

void cw_rw_access(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr != 21;
	int dirfd = at ? (int)(uint32_t)a[0] : K_AT_FDCWD;
	struct tptr path = {at ? a[1] : a[0]};
	uint64_t mode = (uint32_t)(at ? a[2] : a[1]), flags = c->call.nr == 439 ? (uint32_t)a[3] : 0;

	if ((mode & ~UINT64_C(7)) || (flags & ~(uint64_t)(K_AT_EACCESS | K_AT_SYMLINK_NOFOLLOW | K_AT_EMPTY_PATH)))
		return cw_fail(c, EINVAL);
	if (!(flags & K_AT_EACCESS))
		c->ops->call(c, CW_SERVICE_REAL, NULL);
	struct cw_place *p = &c->place[0];
	int alone = of_fd(c, dirfd, path, flags), err = alone > 0 ? held(c, dirfd) : alone;

	if (err < 0)
		return cw_fail(c, -err);
	if (!alone && !look(c, dirfd, path, flags & K_AT_SYMLINK_NOFOLLOW, flags & K_AT_EMPTY_PATH, CW_RIGHT_FSTAT)) {
		c->rec.needs |= mode & 4 ? CW_RIGHT_READ : 0;
		return;
	}
	/* who is told that it may, must be told so again: no part of the question whether it may write, which asks more often */
	c->rec.needs |= mode & 4 ? CW_RIGHT_READ : 0;
	/* what the grant does not permit is as if the mode bits did not; programs ask so before they try */
	uint64_t rights = alone && !p->rights ? opened_with(c, dirfd) : p->rights;
	bool lacks = false;

	if (p->kind == CW_PLACE_VIRTUAL)
		lacks = mode & 2;
	else if (p->kind == CW_PLACE_HOST && mode) {
		uint32_t type = p->mode;

		if (!type) {
			err = c->ops->stat(c, p->fd, &p->mode, &p->dev, &p->ino);
			if (err)
				return cw_fail(c, -err);
			type = p->mode;
		}
		bool executes = (mode & 1) && (type & K_S_IFMT) == K_S_IFREG;

		c->rec.needs |= executes ? CW_RIGHT_FEXECVE : 0;
		lacks = ((mode & 2) && !(rights & CW_RIGHT_WRITE)) || ((mode & 4) && !(rights & CW_RIGHT_READ)) ||
		        (executes && !(rights & CW_RIGHT_FEXECVE));
	}
	if (lacks)
		return cw_fail(c, EACCES);
	cw_perform(c, CW_OP_ACCESS);
	c->plan.arg[0] = mode;
}

void cw_rw_readlink(struct cw_ctx *c)
{
	const uint64_t *a = c->call.arg;
	bool at = c->call.nr == 267;
	int dirfd = at ? (int)(uint32_t)a[0] : K_AT_FDCWD;
	struct tptr path = {at ? a[1] : a[0]}, to = {at ? a[2] : a[1]};
	int64_t size = (int)(uint32_t)(at ? a[3] : a[2]);

	if (size <= 0)
		return cw_fail(c, EINVAL);
	if (!look(c, dirfd, path, true, at, CW_RIGHT_LOOKUP))
		return;
	struct cw_place *p = &c->place[0];

	if (p->kind == CW_PLACE_VIRTUAL)
		return cw_fail(c, EINVAL);
	if (p->kind == CW_PLACE_PROC) {
		if (p->proc != CW_PROC_TEXT && p->proc != CW_PROC_FD)
			return cw_fail(c, EINVAL);
		size_t len = cw_strlen(c->bytes);

		if ((int64_t)len > size)
			len = (size_t)size;
		cw_perform(c, CW_OP_BYTES);
		c->plan.bytes = c->bytes;
		c->plan.len = (uint32_t)len;
		c->plan.to = to;
		c->plan.ret = (int64_t)len;
		return;
	}
	cw_perform(c, CW_OP_READLINK);
	c->plan.to = to;
	c->plan.arg[0] = (uint64_t)size;
	c->plan.arg[1] = c->path[0] ? EINVAL : ENOENT; /* of what is no link: readlinkat in fs/stat.c */
}

void cw_rw_statfs(struct cw_ctx *c)
{
	if (!look(c, K_AT_FDCWD, (struct tptr){c->call.arg[0]}, false, false, CW_RIGHT_FSTATFS))
		return;
	cw_perform(c, CW_OP_STATFS);
	c->plan.to.a = c->call.arg[1];
}

void cw_rw_watch(struct cw_ctx *c)
{
	uint32_t mask = (uint32_t)c->call.arg[2];

	/* IN_DONT_FOLLOW */
	if (!look(c, K_AT_FDCWD, (struct tptr){c->call.arg[1]}, mask & 0x02000000, false, CW_RIGHT_EVENT))
		return;
	struct cw_place *p = &c->place[0];

	if (p->kind == CW_PLACE_PROC)
		return cw_refuse(c, CW_KIND_RIGHT_MISSING, EACCES);
	if (p->fd >= 0 && !p->mode) {
		int err = c->ops->stat(c, p->fd, &p->mode, &p->dev, &p->ino);

		if (err)
			return cw_fail(c, -err);
	}
	if ((mask & 0x01000000 /* IN_ONLYDIR */) && (p->mode & K_S_IFMT) != K_S_IFDIR)
		return cw_fail(c, ENOTDIR);
	if (p->fd >= 0) {
		int err = c->ops->access(c, p->fd, 4); /* inotify_find_inode in fs/notify/inotify */

		if (err)
			return cw_fail(c, -err);
	}
	cw_perform(c, CW_OP_WATCH);
	c->plan.arg[0] = (uint32_t)c->call.arg[0];
	c->plan.arg[1] = mask;
}
