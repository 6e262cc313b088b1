/*
 * A namespace over the world, built from rules as capwrap/policy builds one, and what it permits, found without any of the
 * code under test: every virtual path that there is, walked from the root by names alone, with the rights that hold there.
 */
#ifndef SPACE_H
#define SPACE_H

#include "rewriters/rewriter.h"
#include "tests/fuzz/world.h"

#define NODES 48
#define SEEN 3000
#define FIRST_CAP 900
#define END_OF_CAPS 950

#define SET_RO                                                                                                         \
	(CW_RIGHT_READ | CW_RIGHT_SEEK | CW_RIGHT_LOOKUP | CW_RIGHT_FSTAT | CW_RIGHT_FSTATFS | CW_RIGHT_FCHDIR |       \
	 CW_RIGHT_MMAP | CW_RIGHT_FLOCK | CW_RIGHT_EVENT | CW_RIGHT_EXTATTR_GET | CW_RIGHT_EXTATTR_LIST |              \
	 CW_RIGHT_IOCTL)
#define SET_ALL ((UINT64_C(1) << 34) - 1)
#define SET_RW (SET_ALL & ~(uint64_t)CW_RIGHT_FEXECVE)

/* A node before it gets its place in the image. */
struct rule {
	char name[256];
	int parent;
	uint32_t kind;
	uint64_t rights;
	int inode;       /* of a DIR, a PRIVATE, a LINK; of a NAME, if it exists */
	char host[1200]; /* "" where the kind has none */
	char link[600];
	uint32_t index; /* in the image */
};

static struct space {
	struct rule rules[NODES];
	int n;
	struct cw_image_header header;
	struct cw_node nodes[NODES];
	struct cw_glob globs[4];
	struct cw_addr addrs[4];
	char strings[NODES * 2200];
	uint32_t length;
	struct cw_image image;
	int of[NODES];   /* the rule of a node */
	int caps[NODES]; /* nodes, by capability */
	int n_caps;
	struct seen {
		int inode;
		uint32_t node; /* CW_NONE: beneath one */
		uint64_t rights;
		char path[600];
	} seen[SEEN];
	int n_seen;
} space;

/* --- rules --- */

static inline int make_rule(const char *path)
{
	int at = 0;

	for (const char *s = path + strspn(path, "/"); *s; s += strspn(s, "/")) {
		size_t len = strcspn(s, "/");
		int child = 0;

		for (int i = 1; i < space.n && !child; i++)
			if (space.rules[i].parent == at && strlen(space.rules[i].name) == len &&
			    !memcmp(space.rules[i].name, s, len))
				child = i;
		if (!child) {
			if (space.n == NODES)
				return -1;
			child = space.n++;
			memset(&space.rules[child], 0, sizeof(space.rules[child]));
			memcpy(space.rules[child].name, s, len);
			space.rules[child].parent = at;
			space.rules[child].inode = -1;
		}
		at = child;
		s += len;
	}
	return at;
}

/* The same grant twice adds up, anything else takes the place; a denial stays. */
static inline void set_rule(int i, uint32_t kind, int inode, const char *host, uint64_t rights)
{
	struct rule *r = &space.rules[i];

	if (r->kind == CW_NODE_DENY)
		return;
	if (r->kind == kind && !strcmp(r->host, host)) {
		r->rights |= rights;
		return;
	}
	r->kind = kind;
	r->inode = inode;
	r->rights = rights;
	snprintf(r->host, sizeof(r->host), "%s", host);
}

static inline uint64_t take_rights(struct input *in)
{
	static const uint64_t sets[] = {SET_RO, SET_RO | CW_RIGHT_FEXECVE, SET_RW, SET_ALL};
	unsigned code = take(in);

	return code < 200 ? sets[code % 4] : take_word(in, 5) & SET_ALL;
}

/* A virtual path of names, at most three deep. */
static inline void take_virtual(struct input *in, char *to)
{
	unsigned depth = 1 + take(in) % 3;

	*to = 0;
	while (depth--) {
		strcat(to, "/");
		strcat(to, names[take(in) % NAMES]);
	}
}

static inline bool has_rules_beneath(int rule)
{
	for (int i = 1; i < space.n; i++)
		if (space.rules[i].parent == rule)
			return true;
	return false;
}

static inline void take_rule(struct input *in)
{
	int inode = (int)(take(in) % (unsigned)world.n), at;
	unsigned kind = take(in) % 16;
	char path[2000], host[1200];

	host_path(inode, host);
	snprintf(path, sizeof(path), "%s", host);
	if (kind >= 6 && kind <= 8)
		take_virtual(in, path);
	else if (kind == 9 || kind == 15)
		snprintf(path, sizeof(path), "%s/%s", strcmp(host, "/") ? host : "", names[take(in) % NAMES]);
	at = make_rule(path);
	if (at < 0)
		return;
	switch (kind) {
	default: /* a grant, by its own path or by another */
		if (!at && !is_type(inode, K_S_IFDIR))
			return;
		if (is_type(inode, K_S_IFDIR))
			set_rule(at, CW_NODE_DIR, inode, host, take_rights(in));
		else
			set_rule(at, CW_NODE_NAME, inode, host, take_rights(in));
		return;
	case 9: /* of a name that is there or is not, in a directory */
		if (!is_type(inode, K_S_IFDIR))
			return;
		inode = child_of(inode, space.rules[at].name, strlen(space.rules[at].name));
		set_rule(at, CW_NODE_NAME, inode < 0 ? -1 : inode, path, take_rights(in));
		return;
	case 10:
	case 11:
	case 15:
		if (at) {
			space.rules[at].kind = CW_NODE_DENY;
			space.rules[at].rights = 0;
			space.rules[at].inode = -1;
			space.rules[at].host[0] = space.rules[at].link[0] = 0;
		}
		return;
	case 12: /* a link of the host, on the way to a grant */
		if (is_type(inode, K_S_IFLNK) && space.rules[at].kind == CW_NODE_ANCESTOR && !has_rules_beneath(at)) {
			set_rule(at, CW_NODE_LINK, inode, host, 0);
			snprintf(space.rules[at].link, sizeof(space.rules[at].link), "%s", world.inodes[inode].text);
		}
		return;
	case 13:
		at = make_rule("/tmp");
		if (at > 0)
			set_rule(at, CW_NODE_PRIVATE, 2, "", take_rights(in));
		return;
	case 14:
		at = make_rule("/proc");
		if (at > 0)
			set_rule(at, CW_NODE_PROC, -1, "", SET_RO);
		return;
	}
}

/* --- the image --- */

static inline struct cw_str put(const char *text)
{
	struct cw_str s = {space.length, (uint32_t)strlen(text)};

	memcpy(space.strings + s.off, text, s.len + 1);
	space.length += s.len + 1;
	return s;
}

static inline bool rule_beneath(int rule, int above)
{
	for (int i = space.rules[rule].parent; rule; rule = i, i = space.rules[i].parent) {
		if (i == above)
			return true;
		if (!i)
			break;
	}
	return false;
}

static inline void rule_path(int rule, char *to)
{
	if (!rule) {
		*to = 0;
		return;
	}
	rule_path(space.rules[rule].parent, to);
	sprintf(to + strlen(to), "/%s", space.rules[rule].name);
}

/* Whether a rule's host path is what its virtual path is in the directory above anyway. */
static inline bool same_place(int rule, int above)
{
	char path[2000], top[2000], want[4000];

	rule_path(rule, path);
	rule_path(above, top);
	snprintf(want, sizeof(want), "%s%s", strcmp(space.rules[above].host, "/") ? space.rules[above].host : "",
	         path + strlen(top));
	return !strcmp(want, space.rules[rule].host);
}

static inline bool special_within(int inode)
{
	for (int i = 0; i < world.n; i++)
		for (int up = i; is_special(i); up = world.inodes[up].parent) {
			if (up == inode)
				return true;
			if (!up)
				break;
		}
	return is_special(inode);
}

/* Capability form, as image.h has it. */
static inline bool has_capability_form(int rule)
{
	const struct rule *r = &space.rules[rule];
	uint64_t rights = r->rights;

	if ((r->kind != CW_NODE_DIR && r->kind != CW_NODE_PRIVATE) || space.image.n_globs ||
	    (rights != SET_RO && rights != (SET_RO | CW_RIGHT_FEXECVE) && rights != SET_RW && rights != SET_ALL))
		return false;
	if (r->kind == CW_NODE_DIR && !strcmp(r->host, "/"))
		return false;
	for (int i = 1; i < space.n; i++) {
		const struct rule *below = &space.rules[i];

		if (i == rule || !rule_beneath(i, rule) || below->kind == CW_NODE_ANCESTOR)
			continue;
		bool same = r->kind == CW_NODE_PRIVATE || same_place(i, rule);
		if (!(below->kind == CW_NODE_LINK && same) &&
		    !(below->kind == CW_NODE_DIR && (below->rights & rights) == rights && r->kind == CW_NODE_DIR &&
		      same))
			return false;
	}
	return true;
}

static inline int by_name(const void *a, const void *b)
{
	return strcmp(space.rules[*(const int *)a].name, space.rules[*(const int *)b].name);
}

static inline void place_nodes(void)
{
	uint32_t n = 1;

	space.of[0] = 0;
	for (uint32_t i = 0; i < n; i++) {
		int children[NODES], count = 0;

		for (int k = 1; k < space.n; k++)
			if (space.rules[k].parent == space.of[i])
				children[count++] = k;
		qsort(children, (size_t)count, sizeof(children[0]), by_name);
		space.nodes[i].child_first = count ? n : 0;
		space.nodes[i].child_count = (uint32_t)count;
		for (int k = 0; k < count; k++) {
			space.of[n] = children[k];
			space.rules[children[k]].index = n;
			space.nodes[n++].parent = i;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct rule *r = &space.rules[space.of[i]];
		struct cw_node *node = &space.nodes[i];
		char path[2000];

		rule_path(space.of[i], path);
		node->name = put(r->name);
		node->host = put(r->host);
		node->link = put(r->link);
		node->kind = r->kind;
		node->rights = r->rights;
		node->flags = !strcmp(r->host, path) ? CW_NODE_IDENTITY : 0;
		if (!has_capability_form(space.of[i]))
			continue;
		node->flags |= CW_NODE_CAPFORM;
		if (r->kind == CW_NODE_PRIVATE || !special_within(r->inode))
			space.caps[space.n_caps++] = (int)i;
	}
	space.image.n_nodes = n;
}

static inline void see(int inode, uint32_t node, uint64_t rights, const char *path)
{
	if (inode < 0 || space.n_seen == SEEN)
		return;
	struct seen *s = &space.seen[space.n_seen++];

	*s = (struct seen){inode, node, rights, ""};
	snprintf(s->path, sizeof(s->path), "%s", *path ? path : "/");
}

/* The rule of this name beneath a node, found by looking at all. */
static inline uint32_t node_named(uint32_t node, const char *name)
{
	for (uint32_t i = 1; node != CW_NONE && i < space.image.n_nodes; i++)
		if (space.nodes[i].parent == node && !strcmp(cw_str(&space.image, space.nodes[i].name), name))
			return i;
	return CW_NONE;
}

/* Whether something is granted beneath the node: what only leads to denied names is as the directory above has it. */
static inline bool leads_on(uint32_t node)
{
	for (uint32_t i = 1; i < space.image.n_nodes; i++) {
		const struct rule *r = &space.rules[space.of[i]];
		uint32_t above = space.nodes[i].parent;

		if (r->kind == CW_NODE_DENY || r->kind == CW_NODE_ANCESTOR)
			continue;
		while (above && above != node)
			above = space.nodes[above].parent;
		if (above == node)
			return true;
	}
	return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): the tree is a few levels deep */
static inline void survey(uint32_t node, int inode, uint64_t rights, const char *path)
{
	char below[1000];

	see(inode, node, rights, path);
	if (strlen(path) > 550)
		return;
	for (uint32_t i = 1; node != CW_NONE && i < space.image.n_nodes; i++) {
		const struct rule *r = &space.rules[space.of[i]];
		int child;

		if (space.nodes[i].parent != node)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, r->name);
		switch (r->kind) {
		case CW_NODE_DIR:
		case CW_NODE_NAME:
		case CW_NODE_PRIVATE:
			survey(i, r->inode, r->rights, below);
			break;
		case CW_NODE_LINK:
			see(r->inode, i, CW_RIGHT_LOOKUP | CW_RIGHT_FSTAT, below);
			break;
		case CW_NODE_DENY:
			survey(i, -1, 0, below);
			break;
		case CW_NODE_ANCESTOR:
			child = inode < 0 ? -1 : child_of(inode, r->name, strlen(r->name));
			if (child >= 0 && ((!is_type(child, K_S_IFDIR) && leads_on(i)) ||
			                   (is_special(child) && world.inodes[child].dev != world.inodes[inode].dev)))
				child = -1;
			survey(i, child, rights, below);
			break;
		default:
			break;
		}
	}
	if (inode < 0 || !is_type(inode, K_S_IFDIR))
		return;
	for (int i = 1; i < world.n; i++) {
		const struct inode *child = &world.inodes[i];

		if (child->parent != inode || node_named(node, child->name) != CW_NONE)
			continue;
		if (is_special(i) && child->dev != world.inodes[inode].dev)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, child->name);
		if (!cw_denied_by_glob(&space.image, below))
			survey(CW_NONE, i, rights, below);
	}
}

static inline void survey_all(void)
{
	space.n_seen = 0;
	survey(0, space.rules[0].kind == CW_NODE_DIR ? 0 : -1, space.rules[0].rights, "");
}

static inline void take_space(struct input *in)
{
	static const char *const globs[] = {"/**/e.key", "/**/e.key/**", "/a/*", "/a/b/..i"};
	unsigned flags = take(in), rules = 1 + take(in) % 10;

	memset(&space, 0, offsetof(struct space, seen));
	space.rules[0].inode = -1;
	space.n = 1;
	while (rules--)
		take_rule(in);
	space.image = (struct cw_image){.h = &space.header,
	                                .strings = space.strings,
	                                .nodes = space.nodes,
	                                .globs = space.globs,
	                                .addrs = space.addrs};
	for (unsigned i = 0; flags > 200 && i < 1 + flags % 4; i++)
		space.globs[space.image.n_globs++].pattern = put(globs[i]);
	space.header.net = take(in) % 3;
	for (unsigned i = take(in) % 5; i--;) {
		struct cw_addr *a = &space.addrs[space.image.n_addrs++];

		a->op = take(in) % 2;
		a->family = take(in) % 2 ? 2 : 10;
		a->port = take(in) % 3 ? 80 : 0;
		a->addr[0] = (uint8_t)(take(in) % 4);
		a->addr[a->family == 2 ? 3 : 15] = (uint8_t)(take(in) % 4);
		if (space.image.n_addrs == 4)
			break;
	}
	space.header.limits[CW_LIMIT_PROCESSES] = take(in) % 4 ? UINT64_MAX : 3;
	place_nodes();
	survey_all();
}

/* --- what is permitted --- */

static inline bool permitted(int inode, uint64_t needs)
{
	for (int i = 0; i < space.n_seen; i++)
		if (space.seen[i].inode == inode && (space.seen[i].rights & needs) == needs)
			return true;
	return false;
}

static inline bool visible(int inode)
{
	return permitted(inode, 0);
}

/* Whether the name may come to be, or be changed, in the directory. */
static inline bool may_make(int directory, const char *name, uint64_t needs)
{
	char path[1200];

	for (int i = 0; i < space.n_seen; i++) {
		const struct seen *s = &space.seen[i];

		uint32_t named = node_named(s->node, name);

		if (s->inode != directory || (s->rights & needs) != needs ||
		    (named != CW_NONE && (space.nodes[named].kind != CW_NODE_ANCESTOR || leads_on(named))))
			continue;
		snprintf(path, sizeof(path), "%s/%s", strcmp(s->path, "/") ? s->path : "", name);
		if (!cw_denied_by_glob(&space.image, path))
			return true;
	}
	host_path(directory, path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s%s", directory ? "/" : "", name);
	for (uint32_t i = 0; i < space.image.n_nodes; i++)
		if (space.nodes[i].kind == CW_NODE_NAME && !strcmp(cw_str(&space.image, space.nodes[i].host), path) &&
		    (space.nodes[i].rights & needs) == needs)
			return true;
	return false;
}

/* A virtual path that leads to the inode, the `which`th of them; NULL: none does. */
static inline const char *virtual_path(int inode, unsigned which)
{
	int first = -1;

	for (int i = 0; i < space.n_seen; i++)
		if (space.seen[i].inode == inode) {
			first = i;
			if (!which--)
				break;
		}
	return first < 0 ? NULL : space.seen[first].path;
}

#endif
