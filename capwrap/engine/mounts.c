/* mounts, mountinfo and mountstats of /proc: what the namespace holds, in the kernel's words. */
#include "capwrap/engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The type of the file system that a granted directory lies on, and its device: programs ask by both (pathconf, df). */
static void file_system(struct cw_engine *e, uint32_t node, char type[32], unsigned *major, unsigned *minor)
{
	struct statx sx;
	char line[4096];
	int fd = cw_node_dir(e, node);
	FILE *f =
		fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) ? NULL : fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long id;
		const char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%llu %*u %u:%u", &id, major, minor) != 3 || id != sx.stx_mnt_id)
			continue;
		if (sscanf(tail, " - %31s", type) == 1)
			break;
	}
	if (f)
		fclose(f);
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
	char *text = NULL, path[CW_PATH_MAX], found[32];
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

		if (n->kind == CW_NODE_DIR || n->kind == CW_NODE_PRIVATE) {
			snprintf(found, sizeof(found), "%s", type);
			file_system(e, i, found, &major, &minor);
			type = found;
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
