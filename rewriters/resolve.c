/*
 * Path resolution in the namespace (path_resolution(7)), for what capability form cannot decide by text alone.
 *
 * The walk holds the directory that it stands in as an O_PATH descriptor and takes one component at a time (or a
 * run of them without links, by RESOLVE_NO_SYMLINKS), so that a swapped name can mislead it only to where it could
 * have gone anyway. Links are read from a held descriptor and followed in the namespace, never by the kernel in the
 * host's root. ".." is looked up anew by the canonical path without its last component; that path holds no links.
 */
#include "rewriters/errno.h"
#include "rewriters/place.h"

static bool is_link(uint32_t mode)
{
	return (mode & K_S_IFMT) == K_S_IFLNK;
}

/* text = link + '/' + rest, in place. */
static int prepend(struct cw_ctx *c, const char *link, size_t len, const char *rest)
{
	size_t tail = cw_strlen(rest) + 1;

	if (len + 1 + tail > sizeof(c->text))
		return -ENAMETOOLONG;
	if (tail == 1) {
		/* nothing behind the link: no slash either, since it would ask for a directory */
		cw_copy(c->text, link, len);
		c->text[len] = 0;
		return 0;
	}
	cw_move(c->text + len + 1, rest, tail);
	cw_copy(c->text, link, len);
	c->text[len] = '/';
	return 0;
}

/* Follows a link's text from the directory in which the link stands (p without its last name). */
static int follow(struct cw_ctx *c, struct cw_place *p, const char *link, size_t len, const char *rest)
{
	if (!len)
		return -ENOENT;
	if (link[0] != '/') {
		/* relative to the directory of the link: walk there again by its canonical path */
		size_t n = cw_strlen(p->path);

		while (n > 1 && p->path[n - 1] != '/')
			n--;
		int err = prepend(c, link, len, rest);

		if (err)
			return err;
		size_t have = cw_strlen(c->text) + 1;

		if (n + have > sizeof(c->text))
			return -ENAMETOOLONG;
		cw_move(c->text + n, c->text, have);
		cw_copy(c->text, p->path, n);
	} else {
		int err = prepend(c, link, len, rest);

		if (err)
			return err;
	}
	cw_place_drop(c, p);
	cw_place_start(p);
	return 0;
}

static int not_granted(struct cw_ctx *c, struct cw_place *p, const char *rest)
{
	/* the record names the whole path that was asked for */
	while (*rest == '/')
		rest++;
	if (*rest)
		(void)cw_push_name(p, rest, cw_strlen(rest));
	c->rec.kind = CW_KIND_NOT_GRANTED;
	p->grant = CW_NONE;
	p->rights = 0;
	return -ENOENT;
}

/* As many components as the kernel can take at once: no children of the trie, no links, no dots in them, and one slash
 * between two, for they become part of the canonical path. */
static size_t plain_run(const char *s)
{
	size_t run = 0, i = 0;

	for (;;) {
		size_t from = i;

		while (s[i] && s[i] != '/')
			i++;
		size_t len = i - from;

		if (!s[i] || !len || len > CW_NAME_MAX)
			return run;
		if (s[from] == '.' && (len == 1 || (len == 2 && s[from + 1] == '.')))
			return run;
		size_t next = i;

		while (s[next] == '/')
			next++;
		if (!s[next])
			return run;
		run = i;
		if (next > i + 1)
			return run;
		i = next;
	}
}

/* A slash behind a link has it followed, but not where its name is to be made, removed or changed (LOOKUP_PARENT). */
static bool stops_at_link(const struct cw_place *p, unsigned flags)
{
	return p->slash && !p->dot ? flags & CW_WALK_NAME : flags & CW_WALK_NOFOLLOW;
}

static int enter_child(struct cw_ctx *c, struct cw_place *p, uint32_t child, bool last, unsigned flags, const char **s)
{
	const struct cw_node *n = &c->image->nodes[child];
	const char *name = cw_str(c->image, n->name);
	int outer = p->fd, err = cw_push_name(p, name, n->name.len);

	if (err)
		return err;
	p->node = child;
	p->exact = true;
	switch (n->kind) {
	case CW_NODE_DENY:
		if (!n->child_count)
			return not_granted(c, p, *s);
		/* a deeper rule grants something beneath: on the way there it is a directory of the namespace */
		cw_place_drop(c, p);
		p->kind = CW_PLACE_VIRTUAL;
		p->grant = CW_NONE;
		p->rights = 0;
		p->mode = K_S_IFDIR | 0755;
		p->root = true;
		return 0;
	case CW_NODE_LINK:
		if (last && stops_at_link(p, flags)) {
			int dir = c->ops->name_dir(c, child);

			cw_drop_fd(c, &p->fd);
			if (dir < 0)
				return dir;
			err = cw_stand_at(c, p, dir, name, n->name.len, CW_BENEATH_NO_LINKS, true);
			p->kind = CW_PLACE_LINK;
			p->rights = CW_RIGHT_LOOKUP | CW_RIGHT_FSTAT;
			return err;
		}
		return 1;
	case CW_NODE_DIR:
	case CW_NODE_PRIVATE:
		return cw_enter_grant(c, p, child);
	case CW_NODE_NAME: {
		int dir = c->ops->name_dir(c, child);
		const char *host = cw_str(c->image, n->host);
		size_t h = n->host.len;

		cw_drop_fd(c, &p->fd);
		if (dir < 0)
			return dir;
		while (h && host[h - 1] != '/')
			h--;
		cw_take_grant(c, p, child);
		err = cw_stand_at(c, p, dir, host + h, n->host.len - h, CW_BENEATH, true);
		if (!err && (n->flags & CW_NODE_DEVICE))
			p->root = true;
		return err;
	}
	case CW_NODE_PROC:
	case CW_NODE_PTS:
		cw_place_drop(c, p);
		cw_take_grant(c, p, child);
		p->kind = CW_PLACE_PROC;
		return 2;
	default:
		break;
	}
	/* ANCESTOR: real where it lies beneath an outer grant and exists there, else of the namespace alone, if it leads to a grant */
	p->root = true;
	if (outer < 0)
		return cw_leads_to_grant(c->image, child) ? 0 : not_granted(c, p, *s);
	p->fd = -1;
	err = cw_stand_at(c, p, outer, name, n->name.len, CW_BENEATH, false);
	p->root = !err && cw_is_dir(p->mode);
	if ((err && err != -ENOENT) || (!p->root && !cw_leads_to_grant(c->image, child)))
		return err;
	c->rec.kind = CW_KIND_NONE;
	if (!p->root) {
		p->root = true;
		cw_place_drop(c, p);
		p->kind = CW_PLACE_VIRTUAL;
		p->mode = K_S_IFDIR | 0755;
	}
	return 0;
}

static int walk(struct cw_ctx *c, struct cw_place *p, unsigned flags)
{
	const char *s = c->text;
	int dots = 0;

	c->followed = 0;
	c->followed_absolute = false;

	for (;;) {
		while (*s == '/')
			s++;
		if (!*s)
			return 0;
		const char *from = s;

		while (*s && *s != '/')
			s++;
		size_t len = (size_t)(s - from);
		const char *rest = s;

		while (*rest == '/')
			rest++;
		bool last = !*rest;

		if (p->kind != CW_PLACE_VIRTUAL && !cw_is_dir(p->mode))
			return -ENOTDIR;
		if (last) {
			p->dot = from[0] == '.' && (len == 1 || (len == 2 && from[1] == '.'));
			p->slash = *s == '/' || p->dot;
		}
		/* what a name would need, a dot needs as well: may_lookup in fs/namei.c */
		if (from[0] == '.' && (len == 1 || (len == 2 && from[1] == '.')) && p->fd >= 0 &&
		    p->kind == CW_PLACE_HOST) {
			int err = c->ops->access(c, p->fd, 1);

			if (err)
				return err;
		}
		if (len == 1 && from[0] == '.')
			continue;
		if (len == 2 && from[0] == '.' && from[1] == '.') {
			size_t n = cw_strlen(p->path);

			if (++dots > CW_PATH_MAX)
				return -ELOOP;
			while (n > 1 && p->path[n - 1] != '/')
				n--;
			size_t tail = cw_strlen(s) + 1;

			if (n + tail + 1 > sizeof(c->text))
				return -ENAMETOOLONG;
			cw_move(c->text + n, s, tail);
			cw_copy(c->text, p->path, n);
			if (last) /* it stays a path that ends in a dot */
				cw_copy(c->text + n, ".", 2);
			cw_place_drop(c, p);
			cw_place_start(p);
			s = c->text;
			if (c->image->nodes[0].kind == CW_NODE_DIR) {
				int err = cw_enter_grant(c, p, 0);

				if (err)
					return err;
			}
			continue;
		}
		if (len > CW_NAME_MAX)
			return -ENAMETOOLONG;
		uint32_t child = p->exact ? cw_child(c->image, p->node, from, len) : CW_NONE;
		const char *link = NULL;
		int text_len = 0;

		if (child != CW_NONE) {
			int r = enter_child(c, p, child, last, flags, &s);

			/* absent, in a directory that is there: where that is gone too, nothing can be made */
			if (r < 0)
				return r == -ENOENT && last && p->parent >= 0 && c->rec.kind == CW_KIND_NONE ? 0 : r;
			if (r == 2) {
				/* the rest is the host's: it stands or was replaced by a link's text */
				cw_move(c->text, s, cw_strlen(s) + 1);
				bool slash = p->slash;

				r = c->ops->proc(c, p, c->text, sizeof(c->text), flags & CW_WALK_NOFOLLOW);
				if (r <= 0)
					return r;
				if (++c->followed > CW_LINKS_MAX)
					return -ELOOP;
				cw_place_drop(c, p);
				cw_place_start(p);
				p->slash = slash;
				goto again;
			}
			if (r == 1) {
				link = cw_str(c->image, c->image->nodes[child].link);
				text_len = (int)c->image->nodes[child].link.len;
			}
		} else {
			if (p->fd < 0)
				return cw_push_name(p, from, len) ? -ENAMETOOLONG : not_granted(c, p, s);
			p->exact = false;
			size_t run = c->image->n_globs ? 0 : plain_run(from);

			if (run) {
				/* a run of directories in one step; a link in it gives ELOOP, then one by one */
				char keep = from[run];
				int dir;

				((char *)from)[run] = 0;
				dir = c->ops->open(c, p->fd, from, K_O_PATH | K_O_DIRECTORY, CW_BENEATH_NO_LINKS);
				((char *)from)[run] = keep;
				if (dir >= 0) {
					uint64_t dev = p->dev;

					if (cw_push_name(p, from, run)) {
						c->ops->close(c, dir);
						return -ENAMETOOLONG;
					}
					cw_drop_fd(c, &p->parent);
					cw_drop_fd(c, &p->fd);
					p->fd = dir;
					p->root = false;
					p->kind = CW_PLACE_HOST;
					int err = c->ops->stat(c, dir, &p->mode, &p->dev, &p->ino);

					if (err)
						return err;
					if (p->dev != dev && c->ops->special_dev(c, p->dev))
						return not_granted(c, p, from + run);
					s = from + run;
					p->name[0] = 0;
					continue;
				}
				/* EACCES: of a link at the run's end that would not be followed if it ended the path */
				if (dir != -ELOOP && dir != -EXDEV && dir != -EAGAIN && dir != -ENOTDIR &&
				    dir != -EACCES)
					return dir;
			}
			if (cw_push_name(p, from, len))
				return -ENAMETOOLONG;
			if (c->image->n_globs && cw_denied_by_glob(c->image, p->path))
				return not_granted(c, p, s);
			int dir = p->fd;

			p->fd = -1;
			int err = cw_stand_at(c, p, dir, from, len, CW_BENEATH, false);

			if (err == -ENOENT && last && c->rec.kind == CW_KIND_NONE)
				return 0;
			if (err)
				return err;
		}
		if (!link && p->fd >= 0 && p->kind != CW_PLACE_LINK && is_link(p->mode)) {
			if (last && stops_at_link(p, flags))
				return 0;
			text_len = c->ops->readlink(c, p->fd, c->bytes, CW_PATH_MAX);
			if (text_len < 0)
				return text_len;
			link = c->bytes;
		}
		if (link) {
			bool slash = p->slash;

			if (++c->followed > CW_LINKS_MAX)
				return -ELOOP;
			/* only where the path ends: pick_link in fs/namei.c */
			int err = last && p->fd >= 0 ? c->ops->sticky(c, p->parent, p->fd, false) : 0;

			if (err)
				return err;
			c->followed_absolute |= link[0] == '/';
			cw_copy(c->via, p->path, cw_strlen(p->path) + 1);
			err = follow(c, p, link, (size_t)text_len, s);

			if (err)
				return err;
			p->slash = slash;
again:
			s = c->text;
			if (c->image->nodes[0].kind == CW_NODE_DIR) {
				int r = cw_enter_grant(c, p, 0);

				if (r)
					return r;
			}
		}
	}
}

static int walk_through(struct cw_ctx *c, struct cw_place *p, unsigned flags)
{
	int err = walk(c, p, flags);

	if (err)
		return err;
	if (p->slash && p->fd >= 0 && p->kind == CW_PLACE_HOST && !cw_is_dir(p->mode) && !(flags & CW_WALK_NAME))
		return -ENOTDIR;
	if (p->kind == CW_PLACE_HOST && p->fd < 0 && !(flags & CW_WALK_CREATE))
		return -ENOENT;
	return 0;
}

int cw_walk(struct cw_ctx *c, struct cw_place *p, const char *base, const char *path, unsigned flags)
{
	int err = cw_join(c->text, sizeof(c->text), base, path);

	cw_place_start(p);
	if (err < 0)
		return err;
	if (c->image->nodes[0].kind == CW_NODE_DIR) {
		err = cw_enter_grant(c, p, 0);
		if (err)
			return err;
	}
	return walk_through(c, p, flags);
}

/*
 * The walk was kept out on the way to the directory that the path starts at. Natively nothing is asked for there: who
 * holds a directory, or stands in it, goes on from it. It is held before it is asked where it lies (rule 11).
 */
int cw_walk_from_held(struct cw_ctx *c, struct cw_place *p, int dirfd, const char *path, unsigned flags)
{
	int held = c->ops->hold_fd(c, dirfd);

	if (held < 0)
		return -EACCES;
	if (c->ops->held_path(c, held, c->base, sizeof(c->base)) <= 0 || !cw_stand_on(c, p, held)) {
		c->ops->close(c, held);
		return -EACCES;
	}
	cw_copy(c->text, path, cw_strlen(path) + 1);
	return walk_through(c, p, flags);
}
