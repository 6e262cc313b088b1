/* The policy image as the engine reads it: everything is checked once, here, before anything in it is used. */
#include "rewriters/rewriter.h"

const char *cw_str(const struct cw_image *im, struct cw_str s)
{
	return im->strings + s.off;
}

static bool section_ok(const struct cw_section *s, size_t record, size_t size)
{
	return s->off % 8 == 0 && s->off <= size && s->count <= (size - s->off) / record;
}

static bool str_ok(const struct cw_image *im, uint32_t total, struct cw_str s)
{
	if (s.off >= total || s.len >= total - s.off || im->strings[s.off + s.len])
		return false;
	for (uint32_t i = 0; i < s.len; i++)
		if (!im->strings[s.off + i])
			return false;
	return true;
}

static bool absolute(const struct cw_image *im, struct cw_str s)
{
	return s.len && s.len < CW_PATH_MAX && im->strings[s.off] == '/';
}

static bool component(const struct cw_image *im, struct cw_str s)
{
	const char *t = im->strings + s.off;

	if (!s.len || s.len > CW_NAME_MAX)
		return false;
	for (uint32_t i = 0; i < s.len; i++)
		if (t[i] == '/')
			return false;
	return !(t[0] == '.' && (s.len == 1 || (s.len == 2 && t[1] == '.')));
}

static const char *check_node(const struct cw_image *im, uint32_t i, uint32_t strings, uint32_t *next_child)
{
	const struct cw_node *n = &im->nodes[i];

	if (!str_ok(im, strings, n->name) || !str_ok(im, strings, n->host) || !str_ok(im, strings, n->link))
		return "a node's string lies outside the string section";
	if (i == 0 ? n->name.len != 0 || n->parent != 0 : !component(im, n->name) || n->parent >= i)
		return "a node's name or parent is wrong";
	if (n->kind > CW_NODE_PRIVATE || n->reserved || n->flags >> 7)
		return "a node's kind or flags are unknown";
	/* breadth first: the children of the nodes in order fill the array without gaps, so the parents are right too */
	if (n->child_count) {
		if (n->child_first != *next_child || n->child_count > im->n_nodes - *next_child)
			return "a node's children are not where they belong";
		for (uint32_t k = 0; k < n->child_count; k++) {
			const struct cw_node *ch = &im->nodes[n->child_first + k];

			if (ch->parent != i)
				return "a node's child has another parent";
			if (!str_ok(im, strings, ch->name))
				return "a node's string lies outside the string section";
			if (k && cw_strcmp(cw_str(im, ch[-1].name), cw_str(im, ch->name)) >= 0)
				return "a node's children are not sorted";
		}
		*next_child += n->child_count;
	}
	switch (n->kind) {
	case CW_NODE_DIR:
	case CW_NODE_NAME:
		if (!absolute(im, n->host))
			return "a grant has no absolute host path";
		break;
	case CW_NODE_LINK:
		if (!n->link.len || n->link.len >= CW_PATH_MAX || !absolute(im, n->host) || n->child_count)
			return "a link node is malformed";
		break;
	case CW_NODE_DENY:
		if (n->rights)
			return "a denied node has rights";
		break;
	default:
		break;
	}
	if (i == 0 && n->kind != CW_NODE_ANCESTOR && n->kind != CW_NODE_DIR)
		return "the root is neither an ancestor nor a directory";
	if ((n->flags & CW_NODE_SHOWN) && n->kind != CW_NODE_ANCESTOR)
		return "a node is shown that is no ancestor";
	if ((n->flags & CW_NODE_CAPFORM) && n->kind != CW_NODE_DIR && n->kind != CW_NODE_PRIVATE)
		return "capability form on what is no directory grant";
	return NULL;
}

bool cw_image_open(struct cw_image *im, const void *data, size_t size, const char **why)
{
	const struct cw_image_header *h = data;
	const char *base = data;
	uint32_t next_child = 1;

	cw_zero(im, sizeof(*im));
	*why = "it is shorter than a header";
	if (size < sizeof(*h))
		return false;
	*why = "it is no policy image (wrong magic)";
	if (cw_memcmp(h->magic, CW_IMAGE_MAGIC, 8))
		return false;
	*why = "it was written by another version of capwrap";
	if (h->version != CW_IMAGE_VERSION || h->header_size != sizeof(*h))
		return false;
	*why = "its size is not the one that it states";
	if (h->size != size || size > UINT32_MAX)
		return false;
	*why = "a section lies outside the file";
	if (!section_ok(&h->strings, 1, size) || !section_ok(&h->nodes, sizeof(struct cw_node), size) ||
	    !section_ok(&h->globs, sizeof(struct cw_glob), size) ||
	    !section_ok(&h->insns, sizeof(struct cw_insn), size) ||
	    !section_ok(&h->relocs, sizeof(struct cw_reloc), size) ||
	    !section_ok(&h->envs, sizeof(struct cw_env), size) || !section_ok(&h->addrs, sizeof(struct cw_addr), size))
		return false;
	*why = "it was generated from another syscall table";
	if (cw_memcmp(h->table, (const uint8_t[32])CW_TABLE_SHA256, 32))
		return false;
	im->h = h;
	im->strings = base + h->strings.off;
	im->nodes = (const void *)(base + h->nodes.off);
	im->globs = (const void *)(base + h->globs.off);
	im->insns = (const void *)(base + h->insns.off);
	im->relocs = (const void *)(base + h->relocs.off);
	im->envs = (const void *)(base + h->envs.off);
	im->addrs = (const void *)(base + h->addrs.off);
	im->n_nodes = h->nodes.count;
	im->n_globs = h->globs.count;
	im->n_insns = h->insns.count;
	im->n_relocs = h->relocs.count;
	im->n_envs = h->envs.count;
	im->n_addrs = h->addrs.count;
	*why = "it has no root node";
	if (!im->n_nodes)
		return false;
	for (uint32_t i = 0; i < im->n_nodes; i++) {
		*why = check_node(im, i, h->strings.count, &next_child);
		if (*why)
			return false;
	}
	*why = "a node has no parent that lists it";
	if (next_child != im->n_nodes)
		return false;
	*why = "a glob is malformed";
	for (uint32_t i = 0; i < im->n_globs; i++)
		if (!str_ok(im, h->strings.count, im->globs[i].pattern) || !absolute(im, im->globs[i].pattern))
			return false;
	*why = "the seccomp program is empty or too long";
	if (!im->n_insns || im->n_insns > 4096)
		return false;
	*why = "a relocation is malformed";
	for (uint32_t i = 0; i < im->n_relocs; i++)
		if (im->relocs[i].index >= im->n_insns || im->relocs[i].kind > CW_RELOC_CAP_END)
			return false;
	*why = "an environment rule is malformed";
	for (uint32_t i = 0; i < im->n_envs; i++)
		if (im->envs[i].mode > CW_ENV_SET || !str_ok(im, h->strings.count, im->envs[i].text))
			return false;
	*why = "an address is malformed";
	for (uint32_t i = 0; i < im->n_addrs; i++)
		if (im->addrs[i].op > CW_ADDR_BIND || (im->addrs[i].family != 2 && im->addrs[i].family != 10))
			return false;
	*why = "a setting is unknown";
	if (h->net > CW_NET_HOST || h->violation > CW_VIOLATION_KILL || h->violation_errno > 4095 || h->allow >> 2)
		return false;
	*why = NULL;
	return true;
}
