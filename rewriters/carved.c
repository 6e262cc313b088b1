/*
 * What is carved out of the grants stays where it is: a directory that is moved takes what lies beneath it along, and so it
 * may be moved only to where the same of it is denied. Else something would come out from under its deny, or come to lie
 * under one, where nobody could have made it.
 */
#include "rewriters/errno.h"
#include "rewriters/kernel.h"
#include "rewriters/rewriter.h"

#define COMPONENTS 256 /* of a pattern; one with more is taken to deny everything everywhere */

struct pattern {
	const char *text;
	size_t count;
	uint32_t from[COMPONENTS + 1]; /* each component behind its slash; where the next one's slash would be */
};

/* How many components of the pattern the ones of a path can have matched: one bit each, for there are many ways. */
struct matched {
	uint64_t bits[COMPONENTS / 64];
};

static bool has(const struct matched *m, size_t i)
{
	return m->bits[i / 64] >> (i % 64) & 1;
}

static void add(struct matched *m, size_t i)
{
	m->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool split(struct pattern *p, const char *text)
{
	cw_zero(p, sizeof(*p));
	p->text = text;
	for (size_t i = 0;; i++) {
		if (text[i] && text[i] != '/')
			continue;
		if (p->count == COMPONENTS)
			return false;
		if (i)
			p->count++;
		p->from[p->count] = (uint32_t)i + 1;
		if (!text[i])
			return true;
	}
}

/* Any number of components, or none. */
static bool is_deep(const struct pattern *p, size_t i)
{
	return p->from[i + 1] - p->from[i] == 3 && !cw_memcmp(p->text + p->from[i], "**", 2);
}

/* `**` beside something else goes on beyond the component that it begins in. */
static bool goes_on(const struct pattern *p, size_t i)
{
	for (size_t at = p->from[i]; at + 2 < p->from[i + 1]; at++)
		if (p->text[at] == '*' && p->text[at + 1] == '*')
			return true;
	return false;
}

static bool matches(struct cw_ctx *c, const struct pattern *p, size_t i, const char *name, size_t len)
{
	char *one = c->bytes, *other = c->bytes + CW_PATH_MAX;
	size_t n = p->from[i + 1] - p->from[i] - 1;

	cw_copy(one, p->text + p->from[i], n);
	one[n] = 0;
	cw_copy(other, name, len);
	other[len] = 0;
	return cw_glob_match(one, other);
}

/* What the components of a canonical path match of a pattern; false where that cannot be told. */
static bool match(struct cw_ctx *c, const struct pattern *p, const char *path, struct matched *now)
{
	cw_zero(now, sizeof(*now));
	add(now, 0);
	for (;;) {
		for (size_t i = 0; i + 1 < p->count; i++)
			if (has(now, i) && is_deep(p, i))
				add(now, i + 1);
		while (*path == '/')
			path++;
		if (!*path)
			return true;
		struct matched before = *now;
		const char *name = path;

		while (*path && *path != '/')
			path++;
		cw_zero(now, sizeof(*now));
		for (size_t i = 0; i < p->count; i++) {
			if (!has(&before, i))
				continue;
			if (is_deep(p, i)) {
				add(now, i);
				continue;
			}
			if (goes_on(p, i) || p->from[i + 1] - p->from[i] > CW_PATH_MAX)
				return false;
			/* matched whole, it denies the path itself, and nothing beneath it: that has a pattern of its own */
			if (i + 1 < p->count && matches(c, p, i, name, (size_t)(path - name)))
				add(now, i + 1);
		}
	}
}

/* Does the pattern deny the same beneath both paths? */
static bool same_beneath(struct cw_ctx *c, const char *pattern, const char *path, const char *other)
{
	struct pattern p;
	struct matched one, two;

	return split(&p, pattern) && match(c, &p, path, &one) && match(c, &p, other, &two) &&
	       !cw_memcmp(&one, &two, sizeof(one));
}

static bool is_dir(const struct cw_place *p)
{
	return (p->mode & K_S_IFMT) == K_S_IFDIR;
}

static bool has_rules(const struct cw_ctx *c, const struct cw_place *p)
{
	return p->exact && c->image->nodes[p->node].child_count;
}

bool cw_moves_rules(struct cw_ctx *c)
{
	const struct cw_place *from = &c->place[0], *to = &c->place[1];

	if (!is_dir(from) && !is_dir(to))
		return false;
	if (has_rules(c, from) || has_rules(c, to))
		return true;
	for (uint32_t i = 0; i < c->image->n_globs; i++)
		if (!same_beneath(c, cw_str(c->image, c->image->globs[i].pattern), from->path, to->path))
			return true;
	return false;
}
