/* The namespace: the trie of grants, and what a path's text alone says. No file system is looked at here. */
#include "rewriters/errno.h"
#include "rewriters/rewriter.h"

uint32_t cw_child(const struct cw_image *im, uint32_t node, const char *name, size_t len)
{
	const struct cw_node *n = &im->nodes[node];
	uint32_t lo = 0, hi = n->child_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct cw_node *ch = &im->nodes[n->child_first + mid];
		size_t least = len < ch->name.len ? len : ch->name.len;
		int d = cw_memcmp(name, cw_str(im, ch->name), least);

		if (!d)
			d = len < ch->name.len ? -1 : len > ch->name.len;
		if (!d)
			return n->child_first + mid;
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return CW_NONE;
}

/* The nodes beneath `top`, each before those beneath it, one after the other: the one behind `node`, or CW_NONE. */
static uint32_t next_beneath(const struct cw_image *im, uint32_t top, uint32_t node)
{
	if (im->nodes[node].child_count)
		return im->nodes[node].child_first;
	for (; node != top; node = im->nodes[node].parent) {
		const struct cw_node *up = &im->nodes[im->nodes[node].parent];

		if (node + 1 < up->child_first + up->child_count)
			return node + 1;
	}
	return CW_NONE;
}

bool cw_leads_to_grant(const struct cw_image *im, uint32_t node)
{
	for (uint32_t n = node; n != CW_NONE; n = next_beneath(im, node, n)) {
		const struct cw_node *at = &im->nodes[n];

		if ((at->kind != CW_NODE_ANCESTOR && at->kind != CW_NODE_DENY) || (at->flags & CW_NODE_SHOWN))
			return true;
	}
	return false;
}

bool cw_denies_beneath(const struct cw_image *im, uint32_t node)
{
	for (uint32_t n = node; n != CW_NONE; n = next_beneath(im, node, n))
		if (im->nodes[n].kind == CW_NODE_DENY)
			return true;
	return false;
}

int cw_node_path(const struct cw_image *im, uint32_t node, char *dst, size_t size)
{
	size_t len = 0;

	for (uint32_t n = node; n; n = im->nodes[n].parent)
		len += im->nodes[n].name.len + 1;
	if (!len)
		len = 1;
	if (len >= size)
		return -ENAMETOOLONG;
	dst[0] = '/';
	dst[len] = 0;
	size_t end = len;

	for (uint32_t n = node; n; n = im->nodes[n].parent) {
		end -= im->nodes[n].name.len;
		cw_copy(dst + end, cw_str(im, im->nodes[n].name), im->nodes[n].name.len);
		dst[--end] = '/';
	}
	return (int)len;
}

/* Bytes of the character at s, one where it is no UTF-8: `?` and a negated class stand for a character. */
static size_t character(const char *s)
{
	const unsigned char *b = (const unsigned char *)s;
	size_t n = b[0] >= 0xc2 && b[0] < 0xe0   ? 2
	           : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
	           : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
	                                         : 1;

	for (size_t i = 1; i < n; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 1;
	/* overlong forms, surrogates and what lies beyond Unicode: RFC 3629 */
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) ||
	    (b[0] == 0xf4 && b[1] > 0x8f))
		return 1;
	return n;
}

/* One class `[...]` against `ch`; `*p` moves behind it. An unclosed '[' stands for itself. */
static bool match_class(const char **p, char ch)
{
	const char *q = *p + 1;
	bool negate = *q == '!' || *q == '^', hit = false, first = true;

	if (negate)
		q++;
	for (; *q && (first || *q != ']'); first = false) {
		unsigned char lo = (unsigned char)*q++, hi = lo;

		if (*q == '-' && q[1] && q[1] != ']') {
			hi = (unsigned char)q[1];
			q += 2;
		}
		hit |= lo <= (unsigned char)ch && (unsigned char)ch <= hi;
	}
	if (*q != ']') {
		*p += 1;
		return ch == '[';
	}
	*p = q + 1;
	return ch != '/' && hit != negate;
}

bool cw_glob_match(const char *p, const char *s)
{
	/* One backtracking point a kind suffices: a later star makes an earlier one of the same kind redundant. */
	const char *star = NULL, *star_s = NULL, *deep = NULL, *deep_s = NULL;
	bool whole = false; /* a double star between slashes stands for whole components */

	for (;;) {
		if (p[0] == '*' && p[1] == '*') {
			p += 2;
			whole = *p == '/' && p[-3] == '/';
			if (whole)
				p++; /* and may stand for none */
			deep = p;
			deep_s = s;
			star = NULL;
			continue;
		}
		if (*p == '*') {
			star = ++p;
			star_s = s;
			continue;
		}
		if (*s == 0 && *p == 0)
			return true;
		const char *next = p + 1;
		size_t step = 1;
		bool ok = false;

		if (*s && *p) {
			if (*p == '?') {
				ok = *s != '/';
				step = character(s);
			} else if (*p == '[') {
				next = p;
				ok = match_class(&next, *s);
				step = character(s);
			} else
				ok = *p == *s;
		}
		if (ok) {
			p = next;
			s += step;
			continue;
		}
		if (star && *star_s && *star_s != '/') {
			p = star;
			s = ++star_s;
			continue;
		}
		if (deep && *deep_s) {
			do
				deep_s++;
			while (whole && *deep_s && deep_s[-1] != '/');
			if (whole && !*deep_s)
				return false;
			p = deep;
			s = deep_s;
			star = NULL;
			continue;
		}
		return false;
	}
}

bool cw_denied_by_glob(const struct cw_image *im, const char *path)
{
	for (uint32_t i = 0; i < im->n_globs; i++)
		if (cw_glob_match(cw_str(im, im->globs[i].pattern), path))
			return true;
	return false;
}

int cw_join(char *dst, size_t size, const char *base, const char *path)
{
	size_t b = *path == '/' ? 0 : cw_strlen(base), p = cw_strlen(path);

	if (b + p + 2 > size)
		return -ENAMETOOLONG;
	cw_copy(dst, base, b);
	if (b && dst[b - 1] != '/' && p)
		dst[b++] = '/';
	cw_copy(dst + b, path, p + 1);
	return (int)(b + p);
}

uint32_t cw_textual(const struct cw_image *im, char *path, size_t size, bool nofollow, const char **rest)
{
	uint32_t node = 0, cap = CW_NONE;
	const char *s = path;
	int links = 0;

	*rest = NULL;
	if (im->nodes[0].flags & CW_NODE_CAPFORM)
		cap = 0;
	for (;;) {
		while (*s == '/')
			s++;
		const char *from = s;

		while (*s && *s != '/')
			s++;
		size_t len = (size_t)(s - from);

		if (len == 1 && from[0] == '.')
			continue;
		if (len == 2 && from[0] == '.' && from[1] == '.')
			return CW_NONE;
		uint32_t ch = len ? cw_child(im, node, from, len) : CW_NONE;

		if (!len) { /* the path ends on a node */
			*rest = from;
			return node == cap ? cap : CW_NONE;
		}
		if (ch == CW_NONE) {
			/* from here on the kernel walks beneath the capability; ".." in the rest stays its business,
			 * but an earlier component may be a link: only the walk knows what ".." means then */
			for (const char *q = s; *q; q++)
				if (q[0] == '/' && q[1] == '.' && q[2] == '.' && (q[3] == '/' || !q[3]))
					return CW_NONE;
			*rest = cap == CW_NONE ? NULL : *rest && cap != node ? *rest : from;
			return cap;
		}
		const struct cw_node *n = &im->nodes[ch];

		switch (n->kind) {
		case CW_NODE_LINK: {
			const char *link = cw_str(im, n->link);
			bool last = !*s;

			if ((nofollow && last) || ++links > CW_LINKS_MAX)
				return CW_NONE;
			size_t tail = cw_strlen(s) + 1, head = *link == '/' ? 0 : (size_t)(from - path),
			       l = n->link.len;

			if (head + l + tail > size)
				return CW_NONE;
			/* path = head + link + tail */
			cw_move(path + head + l, s, tail);
			cw_copy(path + head, link, l);
			s = path;
			node = 0;
			cap = im->nodes[0].flags & CW_NODE_CAPFORM ? 0 : CW_NONE;
			*rest = NULL;
			continue;
		}
		case CW_NODE_DIR:
		case CW_NODE_PRIVATE:
			node = ch;
			cap = n->flags & CW_NODE_CAPFORM ? ch : CW_NONE;
			*rest = NULL;
			break;
		case CW_NODE_ANCESTOR:
			/* still beneath the capability, if there is one: what follows may be real there */
			if (cap != CW_NONE && !*rest)
				*rest = from;
			node = ch;
			break;
		default:
			return CW_NONE;
		}
	}
}
