/* Where the names and descriptors of a call's arguments lead, and which rights are theirs there. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

/* c->base = the directory above one that is held open and was removed: the kernel keeps it as its parent. */
static int above_removed(struct cw_ctx *c, int dirfd)
{
	int held = c->ops->hold_fd(c, dirfd);

	if (held < 0)
		return held;
	int up = c->ops->open(c, held, "..", K_O_PATH | K_O_DIRECTORY, 0);

	c->ops->close(c, held);
	if (up < 0)
		return up;
	int len = c->ops->held_path(c, up, c->base, sizeof(c->base));

	c->ops->close(c, up);
	return len;
}

/* Also where it cannot be told. */
static bool is_directory(struct cw_ctx *c, int fd)
{
	struct cw_place p;

	cw_place_start(&p);
	p.fd = c->ops->hold_fd(c, fd);
	bool is = p.fd < 0 || c->ops->stat(c, p.fd, &p.mode, &p.dev, &p.ino) || (p.mode & K_S_IFMT) == K_S_IFDIR;

	cw_place_drop(c, &p);
	return is;
}

int cw_locate(struct cw_ctx *c, int which, int dirfd, struct tptr path, unsigned flags, bool empty)
{
	struct cw_place *p = &c->place[which];
	char *own = which ? c->path2 : c->path;
	char *whole = which ? c->whole2 : c->whole;

	cw_place_start(p);
	int len = c->ops->read_string(c, own, CW_PATH_MAX, path);

	if (len < 0)
		return len;
	if (!len && !empty)
		return -ENOENT;
	if (!len && dirfd != K_AT_FDCWD)
		return cw_locate_fd(c, which, dirfd, 0);
	c->base[0] = '/';
	c->base[1] = 0;
	if (own[0] != '/') {
		int err = c->ops->dir_path(c, dirfd, c->base, sizeof(c->base));

		if (err == -ENOENT) {
			/* the directory itself can be opened and asked about even when it was removed: "." */
			const char *s = own;

			while (*s == '/' || (*s == '.' && s[1] != '.'))
				s++;
			if (!*s) {
				int held = cw_locate_fd(c, which, dirfd, 0);

				if (held || p->rights)
					return held;
				cw_place_drop(c, p); /* it lies outside: no starting point, not even for itself */
			} else if (s[0] == '.' && s[1] == '.' && (s[2] == '/' || !s[2]) && c->ops->removed(c, dirfd)) {
				/* the way up from a directory that was removed leads to where it was */
				err = above_removed(c, dirfd);
				if (err > 0 && cw_join(whole, CW_TEXT_MAX, c->base, own) < 0)
					return -ENAMETOOLONG;
				/* what is behind the dots is relative, however many slashes there are */
				for (s += 2; *s == '/';)
					s++;
				if (err > 0)
					return cw_walk(c, p, c->base, *s ? s : ".", flags);
			}
		}
		if (err < 0) {
			cw_copy(whole, own, (size_t)len + 1);
			if (err == -ENOENT && !is_directory(c, dirfd))
				return -ENOTDIR;
			if (err == -ENOENT)
				c->rec.kind = CW_KIND_DESCRIPTOR;
			return err;
		}
	}
	int err = cw_join(whole, CW_TEXT_MAX, c->base, own);

	if (err < 0)
		return err;
	err = cw_walk(c, p, c->base, own, flags);
	return err == -EACCES && own[0] != '/' ? cw_walk_from_held(c, p, dirfd, own, flags) : err;
}

int cw_locate_fd(struct cw_ctx *c, int which, int fd, uint64_t needs)
{
	struct cw_place *p = &c->place[which];
	char *whole = which ? c->whole2 : c->whole;
	int held = c->ops->hold_fd(c, fd);

	cw_place_start(p);
	if (held < 0)
		return held;
	int len = c->ops->held_path(c, held, whole, CW_PATH_MAX);

	if (len > 0) {
		/* to learn which grant it lies in: no permission on the way to it is asked for */
		uint64_t on = 1;
		uint64_t was = (uint64_t)c->ops->call(c, CW_SERVICE_REACH, &on);
		int err = cw_walk(c, p, "/", whole, CW_WALK_NOFOLLOW | CW_WALK_CREATE);

		c->ops->call(c, CW_SERVICE_REACH, &was);
		/* through a link, that is one that has taken a directory's place since: what it leads to says nothing of this file */
		if (!err && c->followed) {
			cw_place_drop(c, p);
			err = -EACCES;
		}
		if (err && (c->followed || err != -EACCES || !cw_grant_by_text(c, p, whole))) {
			c->ops->close(c, held);
			return err;
		}
	} else if (len < 0) {
		/* it lies in no grant (or has no name): what the fd itself can do is all that there is */
		whole[0] = 0;
		p->path[0] = 0;
		p->exact = false;
		p->kind = CW_PLACE_HOST;
		p->rights = len == -ENODATA ? ~UINT64_C(0) : 0;
	}
	cw_place_drop(c, p);
	p->fd = held;
	p->kind = CW_PLACE_HOST;
	p->root = false;
	p->by_fd = true;
	int err = c->ops->stat(c, held, &p->mode, &p->dev, &p->ino);

	if (err)
		return err;
	return needs ? cw_need(c, which, needs) : 0;
}

int cw_need(struct cw_ctx *c, int which, uint64_t rights)
{
	struct cw_place *p = &c->place[which];

	c->rec.needs |= rights;
	if (which)
		c->rec.grant2 = p->grant;
	else
		c->rec.grant = p->grant;
	if ((p->rights & rights) == rights)
		return 0;
	if (p->kind == CW_PLACE_VIRTUAL && !(rights & ~(CW_RIGHT_LOOKUP | CW_RIGHT_FSTAT | CW_RIGHT_READ |
	                                                CW_RIGHT_FCHDIR | CW_RIGHT_FSTATFS | CW_RIGHT_SEEK)))
		return 0;
	c->rec.kind = CW_KIND_RIGHT_MISSING;
	return -EACCES;
}
