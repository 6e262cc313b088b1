/*
 * Where Landlock permits more than the policy, place by place, for the record's first line. It knows directories and files,
 * and neither names that are not there yet, nor patterns, nor what is carved out of a directory.
 *
 * capwrap/policy/coarse.py says the same, word for word, of a policy before it runs.
 */
#include "capwrap/engine/internal.h"

#include <stdio.h>
#include <string.h>

void cw_coarse(struct cw_engine *e, const char *place, const char *what)
{
	char *text = e->res->landlock_coarse;
	size_t have = strlen(text), room = sizeof(e->res->landlock_coarse) - have;

	if (e->coarse_more || have + strlen(place) + strlen(what) + 40 > sizeof(e->res->landlock_coarse)) {
		/* its room was kept, and nothing follows it */
		e->coarse_more++;
		text = e->coarse_more == 1 ? text + have : strrchr(text, ';');
		if (text)
			snprintf(text, 40, "; and %u more places", e->coarse_more);
		return;
	}
	snprintf(text + have, room, "%s%s%s%s", have ? "; " : "", place, *place ? ": " : "", what);
}

static const char *words(uint64_t access)
{
	switch (access & (CW_LL_EXECUTE | CW_LL_READ_FILE | CW_LL_MAKE_SOCK)) {
	case CW_LL_EXECUTE:
		return "execute";
	case CW_LL_READ_FILE:
		return "read";
	case CW_LL_MAKE_SOCK:
		return "make sockets";
	case CW_LL_EXECUTE | CW_LL_READ_FILE:
		return "execute and read";
	case CW_LL_EXECUTE | CW_LL_MAKE_SOCK:
		return "execute and make sockets";
	case CW_LL_READ_FILE | CW_LL_MAKE_SOCK:
		return "read and make sockets";
	case CW_LL_EXECUTE | CW_LL_READ_FILE | CW_LL_MAKE_SOCK:
		return "execute, read and make sockets";
	default:
		return "";
	}
}

/* What the policy permits of what Landlock knows. */
static uint64_t permitted(const struct cw_node *n)
{
	return (n->rights & CW_RIGHT_FEXECVE ? CW_LL_EXECUTE : 0) | (n->rights & CW_RIGHT_READ ? CW_LL_READ_FILE : 0) |
	       (n->rights & CW_RIGHT_BINDAT ? CW_LL_MAKE_SOCK : 0);
}

static bool is_rule(const struct cw_node *n)
{
	return n->kind != CW_NODE_ANCESTOR && n->kind != CW_NODE_LINK;
}

/* The rule that decides above a node; CW_NONE at the top. */
static uint32_t rule_above(const struct cw_engine *e, uint32_t node)
{
	while (node) {
		node = e->im.nodes[node].parent;
		if (is_rule(&e->im.nodes[node]))
			return node;
	}
	return CW_NONE;
}

/* What Landlock lets do in a place of the policy by the rules of directories above it on the host. */
static uint64_t held_above(struct cw_engine *e, uint32_t node, const uint64_t *held)
{
	const struct cw_node *n = &e->im.nodes[node];
	const char *host = cw_str(&e->im, n->host);
	uint64_t access = 0;

	for (uint32_t up = rule_above(e, node); up != CW_NONE; up = rule_above(e, up)) {
		const struct cw_node *above = &e->im.nodes[up];
		const char *top = cw_str(&e->im, above->host);
		size_t len = strlen(top);

		/* what is denied lies where its name does; what is mapped from elsewhere does not */
		if (n->kind == CW_NODE_DENY ||
		    (len && !strncmp(host, top, len) && (!host[len] || host[len] == '/' || len == 1)))
			access |= held[up];
	}
	return access;
}

static void tell_node(struct cw_engine *e, uint32_t i, const uint64_t *held, const uint64_t *in_directory)
{
	const struct cw_node *n = &e->im.nodes[i];
	uint64_t there = held[i] | held_above(e, i, held), more;
	uint32_t up = rule_above(e, i);
	char path[CW_PATH_MAX], what[160];

	if (!is_rule(n) || n->kind == CW_NODE_PROC || n->kind == CW_NODE_PTS ||
	    cw_node_path(&e->im, i, path, sizeof(path)) < 0)
		return;
	more = there & ~permitted(n);
	if (*words(more)) {
		snprintf(what, sizeof(what), "Landlock lets %s here", words(more));
		cw_coarse(e, path, what);
	}
	more = in_directory[i] & ~there & ~(up == CW_NONE ? 0 : permitted(&e->im.nodes[up]));
	if (*words(more)) {
		snprintf(what, sizeof(what), "Landlock lets %s in its whole directory", words(more));
		cw_coarse(e, path, what);
	}
}

/* What Landlock lets do where a pattern may deny: judged, as the policy is, by the text before its first special character. */
static void tell_pattern(struct cw_engine *e, const char *pattern, const uint64_t *held)
{
	size_t fixed = strcspn(pattern, "*?[");
	char path[CW_PATH_MAX], what[160];
	uint64_t access = 0;

	for (uint32_t i = 0; i < e->im.n_nodes; i++) {
		int len = held[i] && e->im.nodes[i].kind != CW_NODE_NAME
		                  ? cw_node_path(&e->im, i, path, sizeof(path) - 1)
		                  : -1;

		if (len < 0)
			continue;
		if (path[len - 1] != '/')
			memcpy(path + len++, "/", 2);
		if (!strncmp(path, pattern, fixed < (size_t)len ? fixed : (size_t)len))
			access |= held[i];
	}
	if (!*words(access))
		return;
	snprintf(what, sizeof(what), "Landlock knows no patterns, and lets %s there", words(access));
	cw_coarse(e, pattern, what);
}

/* Whether a pattern is for what lies beneath what another one denies. */
static bool follows(const struct cw_engine *e, const char *pattern)
{
	size_t len = strlen(pattern);

	for (uint32_t i = 0; len > 3 && !strcmp(pattern + len - 3, "/**") && i < e->im.n_globs; i++) {
		const char *other = cw_str(&e->im, e->im.globs[i].pattern);

		if (strlen(other) == len - 3 && !strncmp(other, pattern, len - 3))
			return true;
	}
	return false;
}

void cw_coarse_places(struct cw_engine *e, const uint64_t *held, const uint64_t *in_directory)
{
	for (uint32_t i = 0; i < e->im.n_nodes; i++)
		tell_node(e, i, held, in_directory);
	for (uint32_t i = 0; i < e->im.n_globs; i++)
		if (!follows(e, cw_str(&e->im, e->im.globs[i].pattern)))
			tell_pattern(e, cw_str(&e->im, e->im.globs[i].pattern), held);
}
