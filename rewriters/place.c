/*
 * The place that a walk stands at: the directory and the name in it that it holds, the grant that they lie in, and the
 * canonical path by which it came there.
 */
#include "rewriters/place.h"
#include "rewriters/errno.h"

void cw_drop_fd(struct cw_ctx *c, int *fd)
{
	if (*fd >= 0)
		c->ops->close(c, *fd);
	*fd = -1;
}

void cw_place_drop(struct cw_ctx *c, struct cw_place *p)
{
	cw_drop_fd(c, &p->parent);
	cw_drop_fd(c, &p->fd);
}

void cw_place_start(struct cw_place *p)
{
	p->kind = CW_PLACE_VIRTUAL;
	p->node = 0;
	p->exact = true;
	p->grant = CW_NONE;
	p->rights = 0;
	p->parent = -1;
	p->fd = -1;
	p->mode = K_S_IFDIR | 0755;
	p->dev = 0;
	p->ino = 0;
	p->slash = false;
	p->root = true;
	p->by_fd = false;
	p->apart = false;
	p->dot = false;
	p->name[0] = 0;
	p->path[0] = '/';
	p->path[1] = 0;
}

void cw_take_grant(struct cw_ctx *c, struct cw_place *p, uint32_t node)
{
	p->grant = node;
	p->rights = c->image->nodes[node].rights;
}

/* p becomes the root of the directory grant `node`. */
int cw_enter_grant(struct cw_ctx *c, struct cw_place *p, uint32_t node)
{
	int fd = c->ops->node_dir(c, node);

	cw_place_drop(c, p);
	if (fd < 0)
		return fd;
	p->fd = c->ops->open(c, fd, ".", K_O_PATH | K_O_DIRECTORY, CW_BENEATH);
	if (p->fd < 0)
		return p->fd;
	p->kind = CW_PLACE_HOST;
	p->root = true;
	p->name[0] = 0;
	cw_take_grant(c, p, node);
	return c->ops->stat(c, p->fd, &p->mode, &p->dev, &p->ino);
}

int cw_push_name(struct cw_place *p, const char *name, size_t len)
{
	size_t n = cw_strlen(p->path);

	if (n == 1)
		n = 0;
	if (n + 1 + len >= sizeof(p->path))
		return -ENAMETOOLONG;
	p->path[n] = '/';
	cw_copy(p->path + n + 1, name, len);
	p->path[n + 1 + len] = 0;
	return 0;
}

/* The name that p stands at becomes `name` in directory `dir` (taken over), which may not exist. `named`: by a rule. */
int cw_stand_at(struct cw_ctx *c, struct cw_place *p, int dir, const char *name, size_t len, uint64_t resolve,
                bool named)
{
	cw_drop_fd(c, &p->parent);
	p->parent = dir;
	cw_copy(p->name, name, len);
	p->name[len] = 0;
	p->kind = CW_PLACE_HOST;
	p->root = false;
	p->fd = c->ops->open(c, dir, p->name, K_O_PATH | K_O_NOFOLLOW, resolve);
	if (p->fd < 0) {
		int err = p->fd;

		p->fd = -1;
		p->mode = 0;
		return err;
	}
	uint64_t dev = p->dev;
	int err = c->ops->stat(c, p->fd, &p->mode, &p->dev, &p->ino);

	if (err) {
		/* it is there, whatever its file system says now: it must not be taken for a name that is free */
		cw_drop_fd(c, &p->fd);
		p->mode = 0;
		return err == -ENOENT ? -ESTALE : err;
	}
	if (!named && p->dev != dev && c->ops->special_dev(c, p->dev)) {
		/* procfs and kin belong to no grant that merely holds their mount point */
		cw_drop_fd(c, &p->fd);
		p->grant = CW_NONE;
		p->rights = 0;
		c->rec.kind = CW_KIND_NOT_GRANTED;
		return -ENOENT;
	}
	return 0;
}

/* The grant that a canonical path lies in, by its text alone; false where that does not settle it. */
bool cw_grant_by_text(struct cw_ctx *c, struct cw_place *p, const char *s)
{
	cw_place_drop(c, p);
	cw_place_start(p);
	cw_copy(p->path, s, cw_strlen(s) + 1);
	if (c->image->n_globs) /* any directory may be a view then */
		return false;
	if (c->image->nodes[0].kind == CW_NODE_DIR)
		cw_take_grant(c, p, 0);
	for (;;) {
		while (*s == '/')
			s++;
		if (!*s)
			break;
		const char *from = s;

		while (*s && *s != '/')
			s++;
		uint32_t child = p->exact ? cw_child(c->image, p->node, from, (size_t)(s - from)) : CW_NONE;

		p->exact = child != CW_NONE;
		if (!p->exact)
			continue;
		p->node = child;
		switch (c->image->nodes[child].kind) {
		case CW_NODE_DIR:
		case CW_NODE_PRIVATE:
			cw_take_grant(c, p, child);
			break;
		case CW_NODE_ANCESTOR:
			break;
		default:
			return false;
		}
	}
	/* what is shown by a view has rules beneath it */
	return p->grant != CW_NONE && !(p->exact && c->image->nodes[p->node].child_count);
}

/* p = a directory that is held, where c->base says that it lies; false where it may be no directory of the host. */
bool cw_stand_on(struct cw_ctx *c, struct cw_place *p, int held)
{
	if (!cw_grant_by_text(c, p, c->base) || c->ops->stat(c, held, &p->mode, &p->dev, &p->ino) ||
	    !cw_is_dir(p->mode) || c->ops->special_dev(c, p->dev))
		return false;
	p->kind = CW_PLACE_HOST;
	p->root = false;
	p->apart = true;
	p->fd = held;
	return true;
}
