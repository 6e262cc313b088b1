/* Grants as the engine holds them: preopened directories, their capabilities in the target, and the way back from a host path. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static uint32_t hash_path(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h;
}

static const char *host_of(struct cw_engine *e, uint32_t node)
{
	return e->node_real[node] ? e->node_real[node] : cw_str(&e->im, e->im.nodes[node].host);
}

static bool has_host(const struct cw_node *n)
{
	return n->kind == CW_NODE_DIR || n->kind == CW_NODE_NAME || n->kind == CW_NODE_PRIVATE;
}

static int hash_hosts(struct cw_engine *e)
{
	uint32_t want = 64;

	while (want < e->im.n_nodes * 2)
		want *= 2;
	e->host_hash = calloc(want, sizeof(uint32_t));
	e->host_mask = want - 1;
	if (!e->host_hash)
		return cw_failed(e, "out of memory");
	/* two passes: of several nodes that show one place, the one that shows it under its own path is found first */
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t n = 0; n < e->im.n_nodes; n++) {
			const struct cw_node *d = &e->im.nodes[n];
			const char *h = has_host(d) ? host_of(e, n) : "";

			if (!*h || ((d->flags & CW_NODE_IDENTITY) == 0) != pass)
				continue;
			uint32_t i = hash_path(h, strlen(h));

			while (e->host_hash[i & e->host_mask])
				i++;
			e->host_hash[i & e->host_mask] = n + 1;
		}
	return 0;
}

/*
 * Does the path of `node` with `rest` behind it, the end of a host path, lead to that host path? Not where a rule beneath the
 * node has put something else there, which hides what the host has: the rights of the one are not those of the other.
 */
static bool is_shown_by(struct cw_engine *e, uint32_t node, const char *host, const char *rest)
{
	for (;;) {
		while (*rest == '/')
			rest++;
		if (!*rest)
			return true;
		const char *from = rest;

		rest = strchrnul(rest, '/');
		node = cw_child(&e->im, node, from, (size_t)(rest - from));
		if (node == CW_NONE)
			return true;
		const struct cw_node *n = &e->im.nodes[node];
		const char *its = has_host(n) ? host_of(e, node) : "";
		size_t len = (size_t)(rest - host);

		if (has_host(n) && (strncmp(its, host, len) != 0 || its[len]))
			return false;
		if (n->kind == CW_NODE_LINK && *rest)
			return false; /* it leads elsewhere */
	}
}

/* A node that shows the host path by the rule for its first `len` bytes, or CW_NONE. */
static uint32_t host_find(struct cw_engine *e, const char *host, size_t len, const char *rest)
{
	for (uint32_t i = hash_path(host, len);; i++) {
		uint32_t v = e->host_hash[i & e->host_mask];

		if (!v)
			return CW_NONE;
		const char *h = host_of(e, v - 1);

		if (!strncmp(h, host, len) && !h[len] && is_shown_by(e, v - 1, host, rest))
			return v - 1;
	}
}

int cw_reverse(struct cw_engine *e, const char *host, char *dst, size_t size)
{
	size_t len = strlen(host), n = len;
	size_t scratch = strlen(e->scratch);

	if (scratch && !strncmp(host, e->scratch, scratch) && !strncmp(host + scratch, "/v", 2)) {
		char *end;
		long v = strtol(host + scratch + 2, &end, 10);

		if (end != host + scratch + 2 && !*end && v >= 0 && v < e->n_views && e->views[v].path) {
			len = strlen(e->views[v].path);
			if (len >= size)
				return -ENAMETOOLONG;
			memcpy(dst, e->views[v].path, len + 1);
			return (int)len;
		}
		return -ENOENT;
	}
	for (;;) {
		/* the root of the host as a grant has no slash of its own to give */
		const char *rest = n == 1 && len > 1 ? host : host + n;
		uint32_t node = host_find(e, host, n ? n : 1, rest);

		if (node != CW_NONE) {
			int at = cw_node_path(&e->im, node, dst, size);

			if (at < 0)
				return at;
			if (at == 1)
				at = 0;
			size_t r = strlen(rest);

			if (n == len)
				return at ? at : 1;
			if ((size_t)at + r >= size)
				return -ENAMETOOLONG;
			memcpy(dst + at, rest, r + 1);
			return at + (int)r;
		}
		if (n <= 1)
			return -ENOENT;
		while (n > 1 && host[n - 1] != '/')
			n--;
		n = n > 1 ? n - 1 : 1;
	}
}

static int open_canonical(const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
	                       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* In a trace, only while it is looked at: who unmounts a file system that we hold a directory of is told that it is busy. */
int cw_node_dir(struct cw_engine *e, uint32_t node)
{
	if (e->node_fd[node] < 0) {
		cw_grants_let_go(e);
		int fd = open_canonical(host_of(e, node));

		if (fd < 0)
			return fd;
		e->node_fd[node] = fd;
		if (cw_tracing(e))
			e->node_held = node;
	}
	return e->node_fd[node];
}

void cw_grants_let_go(struct cw_engine *e)
{
	if (e->node_held == CW_NONE)
		return;
	close(e->node_fd[e->node_held]);
	e->node_fd[e->node_held] = -1;
	e->node_held = CW_NONE;
}

/* The whole file, read at once as far as it goes: free() it; NULL and errno. */
static char *read_mounts(void)
{
	size_t size = 16384, n = 0;
	char *text = malloc(size);
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	while (text && fd >= 0 && (got = read(fd, text + n, size - 1 - n)) > 0) {
		n += (size_t)got;
		if (size - 1 - n >= 4096)
			continue;
		char *more = realloc(text, size *= 2);

		if (!more)
			break;
		text = more;
	}
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (!text || got) {
		free(text);
		errno = err;
		return NULL;
	}
	text[n] = 0;
	return text;
}

static bool is_special(const char *type, size_t len)
{
	static const char *const types[] = {"proc",    "sysfs",    "devtmpfs",   "devpts",      "cgroup",     "cgroup2",
	                                    "tracefs", "debugfs",  "securityfs", "configfs",    "bpf",        "mqueue",
	                                    "pstore",  "efivarfs", "fusectl",    "binfmt_misc", "rpc_pipefs", "nsfs"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i]) == len && !memcmp(type, types[i], len))
			return true;
	return false;
}

/* Space, tab, newline, backslash and # stand in mountinfo as a backslash and three octal digits. */
static size_t unescape(char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++, n++) {
		s[n] = s[i];
		if (s[i] == '\\' && len - i > 3) {
			s[n] = (char)((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 + (s[i + 3] - '0'));
			i += 3;
		}
	}
	return n;
}

/* A grant that holds a special mount point has no capability form: every lookup there is walked. */
static void mark_holders(struct cw_engine *e, const char *point, size_t len)
{
	for (uint32_t k = 0; k < e->im.n_nodes; k++) {
		const char *h = e->im.nodes[k].kind == CW_NODE_DIR ? host_of(e, k) : "";
		size_t hl = strlen(h);

		if (hl == 1 || (hl && hl <= len && !memcmp(point, h, hl) && (hl == len || point[hl] == '/')))
			e->node_cap[k] = -2;
	}
}

/*
 * Mount points of file systems that are not files: what lies there belongs to no grant that merely holds the mount point.
 * A line of proc_pid_mountinfo(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
 */
static int find_special(struct cw_engine *e)
{
	char *text = read_mounts();

	if (!text)
		return cw_failed(e, "cannot read /proc/self/mountinfo: %s", strerror(errno));
	for (char *line = text, *next; *line; line = next) {
		char *end = strchrnul(line, '\n'), *field[5];
		char *dash = memmem(line, (size_t)(end - line), " - ", 3);
		int n = 0;

		next = *end ? end + 1 : end;
		*end = 0;
		for (char *p = line; n < 5 && (p = strchr(p, ' ')); n++)
			field[n] = ++p;
		if (!dash || n < 5 || !is_special(dash + 3, strcspn(dash + 3, " ")))
			continue;
		char *minor;
		unsigned long major = strtoul(field[1], &minor, 10);

		if (e->n_special == (int)(sizeof(e->special_dev) / sizeof(e->special_dev[0]))) {
			free(text);
			return cw_failed(e, "more than %d file systems like procfs are mounted here", e->n_special);
		}
		e->special_dev[e->n_special++] = makedev((unsigned)major, (unsigned)strtoul(minor + 1, NULL, 10));
		mark_holders(e, field[3], unescape(field[3], (size_t)(field[4] - field[3] - 1)));
	}
	free(text);
	return 0;
}

int cw_special_dev(struct cw_engine *e, uint64_t dev)
{
	for (int i = 0; i < e->n_special; i++)
		if (e->special_dev[i] == dev)
			return 1;
	return 0;
}

static bool writable(const struct cw_node *n)
{
	return n->rights & CW_RIGHT_WRITE;
}

int cw_grants_open(struct cw_engine *e)
{
	uint32_t n = e->im.n_nodes;

	e->node_fd = malloc(n * sizeof(int));
	e->node_cap = malloc(n * sizeof(int));
	e->node_real = calloc(n, sizeof(char *));
	if (!e->node_fd || !e->node_cap || !e->node_real)
		return cw_failed(e, "out of memory");
	for (uint32_t i = 0; i < n; i++)
		e->node_fd[i] = e->node_cap[i] = -1;
	for (uint32_t i = 0; i < n; i++) {
		const struct cw_node *d = &e->im.nodes[i];

		if (d->kind == CW_NODE_PRIVATE) {
			if (cw_tracing(e) ? cw_trace_private(e, i) : cw_scratch_private(e, i))
				return -1;
		} else if (d->kind == CW_NODE_DIR && !(d->flags & CW_NODE_OPTIONAL)) {
			int fd = cw_node_dir(e, i);

			if (fd < 0)
				return cw_failed(e,
				                 "cannot open the granted directory %s: %s. Was it removed or replaced "
				                 "since the policy was compiled?",
				                 host_of(e, i), strerror(-fd));
		}
	}
	if (hash_hosts(e))
		return -1;
	if (find_special(e))
		return -1;
	/* the capability range: read-only ones, writable ones, then the auxiliary */
	e->n_caps = 0;
	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			e->cap_rw = e->n_caps;
		for (uint32_t i = 0; i < n && e->n_caps < CW_MAX_CAPS; i++) {
			const struct cw_node *d = &e->im.nodes[i];

			if (!(d->flags & CW_NODE_CAPFORM) || e->node_cap[i] == -2 || writable(d) != pass)
				continue;
			int fd = cw_node_dir(e, i);

			if (fd < 0)
				continue;
			e->node_cap[i] = e->n_caps;
			e->cap_src[e->n_caps++] = fd;
		}
	}
	e->cap_aux = e->n_caps;
	e->cap_end = e->cap_aux + CW_AUX_COUNT;
	for (uint32_t i = 0; i < n; i++)
		if (e->node_cap[i] == -2)
			e->node_cap[i] = -1;
	return 0;
}

void cw_grants_close(struct cw_engine *e)
{
	for (uint32_t i = 0; e->node_fd && i < e->im.n_nodes; i++)
		if (e->node_fd[i] >= 0)
			close(e->node_fd[i]);
	for (uint32_t i = 0; e->node_real && i < e->im.n_nodes; i++)
		free(e->node_real[i]);
	free(e->node_fd);
	free(e->node_cap);
	free(e->node_real);
	free(e->host_hash);
}
