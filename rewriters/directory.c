/* The current directory: chdir, fchdir, getcwd. It lies in a grant or in a directory that the launcher made. */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

static void enter(struct cw_ctx *c, int err)
{
	struct cw_place *p = &c->place[0];

	if (!err && (p->mode & K_S_IFMT) != K_S_IFDIR)
		err = -ENOTDIR;
	if (!err)
		err = cw_need(c, 0, CW_RIGHT_FCHDIR);
	if (!err && p->fd >= 0)
		err = c->ops->access(c, p->fd, 1);
	if (err) {
		c->rec.needs |= CW_RIGHT_FCHDIR;
		return cw_fail(c, -err);
	}
	cw_perform(c, CW_OP_CHDIR);
}

void cw_rw_chdir(struct cw_ctx *c)
{
	enter(c, cw_locate(c, 0, K_AT_FDCWD, (struct tptr){c->call.arg[0]}, 0, false));
}

void cw_rw_fchdir(struct cw_ctx *c)
{
	int fd = (int)(uint32_t)c->call.arg[0];
	int err = fd < 0 ? -EBADF : c->ops->dir_path(c, fd, c->whole, CW_PATH_MAX);

	if (err == -ENOENT && c->ops->removed(c, fd))
		return enter(c, cw_locate_fd(c, 0, fd, 0));
	if (err == -ENOENT)
		c->rec.kind = CW_KIND_DESCRIPTOR;
	if (err >= 0)
		err = cw_walk(c, &c->place[0], "/", c->whole, 0);
	enter(c, err == -EACCES ? cw_walk_from_held(c, &c->place[0], fd, ".", 0) : err);
}

void cw_rw_getcwd(struct cw_ctx *c)
{
	uint64_t size = c->call.arg[1];
	int len = c->ops->dir_path(c, K_AT_FDCWD, c->bytes, CW_PATH_MAX);

	if (len < 0)
		return cw_fail(c, -len);
	if ((uint64_t)len + 1 > size)
		return cw_fail(c, ERANGE);
	cw_perform(c, CW_OP_BYTES);
	c->plan.bytes = c->bytes;
	c->plan.len = (uint32_t)len + 1;
	c->plan.to.a = c->call.arg[0];
	c->plan.ret = len + 1;
}
