/* mounts, mountinfo and mountstats of /proc: what the namespace holds, in the kernel's words. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct mount {
	unsigned long long id;
	unsigned major, minor;
	char type[32];
};

/*
 * The file system that a granted directory lies on: programs ask by its type and its device (pathconf, df). `is` is that of
 * the directory before, most often the same one.
 */
static bool find_mount(struct cw_engine *e, uint32_t node, struct mount *is)
{
	struct statx sx;
	char line[4096];
	int fd = cw_node_dir(e, node);

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx))
		return false;
	if (is->id == sx.stx_mnt_id)
		return true;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	is->id = 0; /* no mount has it */
	while (f && !found && fgets(line, sizeof(line), f)) {
		struct mount m;
		const char *tail = strstr(line, " - ");

		found = tail && sscanf(line, "%llu %*u %u:%u", &m.id, &m.major, &m.minor) == 3 &&
		        m.id == sx.stx_mnt_id && sscanf(tail, " - %31s", m.type) == 1;
		if (found)
			*is = m;
	}
	if (f)
		fclose(f);
	return found;
}

/* White space and backslashes in octal, in place, as the kernel shows them. */
static bool mangle(char *path, size_t size)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < len; i++) {
		char digits[5];

		if (!strchr(" \t\n\\#", path[i]))
			continue;
		if (len + 4 > size)
			return false;
		snprintf(digits, sizeof(digits), "\\%03o", (unsigned)(unsigned char)path[i]);
		memmove(path + i + 4, path + i + 1, len - i);
		memcpy(path + i, digits, 4); /* NOLINT(bugprone-not-null-terminated-result): within the path */
		len += 3;
		i += 3;
	}
	return true;
}

/* mounts(5): what the namespace holds, one line a directory grant. */
int cw_mounts_made(struct cw_engine *e, const char *name)
{
	char *text = NULL, path[CW_PATH_MAX];
	struct mount on = {0};
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool info = !strcmp(name, "mountinfo"), stats = !strcmp(name, "mountstats");

	if (!f)
		return -ENOMEM;
	for (uint32_t i = 0, id = 1; i < e->im.n_nodes; i++) {
		const struct cw_node *n = &e->im.nodes[i];
		const char *type = n->kind == CW_NODE_PROC ? "proc" : n->kind == CW_NODE_PTS ? "devpts" : "capwrap";
		const char *mode = n->rights & CW_RIGHT_WRITE ? "rw" : "ro";

		if (i && n->kind != CW_NODE_DIR && n->kind != CW_NODE_PRIVATE && n->kind != CW_NODE_PROC &&
		    n->kind != CW_NODE_PTS)
			continue;
		if (cw_node_path(&e->im, i, path, sizeof(path)) < 0 || !mangle(path, sizeof(path)))
			continue;
		unsigned major = 0, minor = id;
		const char *source = type;

		if ((n->kind == CW_NODE_DIR || n->kind == CW_NODE_PRIVATE) && find_mount(e, i, &on)) {
			type = on.type;
			major = on.major;
			minor = on.minor;
		}
		if (info)
			fprintf(f, "%u %u %u:%u / %s %s,relatime - %s %s %s\n", id, i ? 1u : 0u, major, minor, path,
			        mode, type, source, mode);
		else if (stats)
			fprintf(f, "device %s mounted on %s with fstype %s\n", source, path, type);
		else
			fprintf(f, "%s %s %s %s,relatime 0 0\n", source, path, type, mode);
		id++;
	}
	fclose(f);
	int fd = text ? cw_made_file(e, text, len) : -ENOMEM;

	free(text);
	return fd;
}
