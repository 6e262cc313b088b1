/*
 * A small file system in memory, and the kernel's lookup in it (path_resolution(7), openat2(2)): what the rewriters are
 * fuzzed on. Whatever is handed out as a descriptor is counted, so that one that is used after it was closed, or never
 * closed, is found.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rewriters/errno.h"
#include "rewriters/kernel.h"

#define INODES 40
#define HANDLES 64
#define FIRST_HANDLE 5000  /* far from what the target's numbers are */
#define FIRST_LASTING 8000 /* directories of grants: held as long as the engine runs, one number an inode */
#define PATHS 4096
#define SPECIAL_DEV 99

/* What the fuzzer gives, a byte at a time; zeros when it is used up. */
struct input {
	const uint8_t *at;
	size_t left;
};

static inline unsigned take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static inline uint64_t take_word(struct input *in, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | take(in);
	return v;
}

#define BROKEN(...)                                                                                                    \
	do {                                                                                                           \
		fprintf(stderr, "broken: " __VA_ARGS__);                                                               \
		fputc('\n', stderr);                                                                                   \
		abort();                                                                                               \
	} while (0)

struct inode {
	uint32_t mode; /* S_IFMT and permission bits */
	int parent;    /* the root's is itself */
	uint64_t dev;
	char name[256];
	char text[600]; /* of a link, or of a file */
	uint32_t length;
};

static struct world {
	struct inode inodes[INODES];
	int n;
	int handles[HANDLES]; /* inodes; -1: closed */
	int fail_in;          /* operations until one fails, once; 0: none does */
	int fail_with;
} world;

/* --- text --- */

static const char *const names[] = {"a", "b", "c", "d", "e.key", ".h", "..i"};

#define NAMES (sizeof(names) / sizeof(names[0]))

/* A path or the text of a link: pieces until a zero. */
static inline size_t take_text(struct input *in, char *to, size_t size)
{
	static const char *const pieces[] = {
		"",         "/",        "a",  "b",   "c",   "d",     "..",  ".",   "/a",    "/b", "/c",   "/d",
		"/..",      "/.",       "//", "../", "./",  "e.key", ".h",  "..i", "proc",  "/",  "self", "/proc/",
		"/private", "\xc3\xa9", "fd", "cwd", "exe", "7",     "tmp", "x y", "..../", " ",
	};
	size_t n = 0;
	unsigned code;

	while ((code = take(in)) && n + 1 < size) {
		char piece[300] = "";

		if (code < sizeof(pieces) / sizeof(pieces[0]))
			snprintf(piece, sizeof(piece), "%s", pieces[code]);
		else if (code == 0xff)
			memset(piece, 'l', 1 + take(in)); /* 1 to 256: too long a name among them */
		else if (code == 0xfe)
			piece[0] = (char)take(in);
		else
			snprintf(piece, sizeof(piece), "%s", names[code % NAMES]);
		size_t len = strlen(piece);
		if (len > size - 1 - n)
			len = size - 1 - n;
		memcpy(to + n, piece, len);
		n += len;
	}
	to[n] = 0;
	return n;
}

/* --- inodes --- */

static inline bool is_type(int inode, uint32_t type)
{
	return (world.inodes[inode].mode & K_S_IFMT) == type;
}

static inline int child_of(int directory, const char *name, size_t len)
{
	for (int i = 1; i < world.n; i++) {
		const struct inode *inode = &world.inodes[i];

		if (inode->parent == directory && strlen(inode->name) == len && !memcmp(inode->name, name, len))
			return i;
	}
	return -ENOENT;
}

/* The path of an inode in the host's root; its length. */
static inline size_t host_path(int inode, char *to)
{
	if (!inode) {
		strcpy(to, "/");
		return 1;
	}
	size_t n = world.inodes[inode].parent ? host_path(world.inodes[inode].parent, to) : 0;

	return n + (size_t)sprintf(to + n, "/%s", world.inodes[inode].name);
}

static inline bool is_special(int inode)
{
	return world.inodes[inode].dev == SPECIAL_DEV;
}

/* Beneath /private, where the launcher has its directories, and nobody mounts anything. */
static inline bool is_private(int inode)
{
	while (inode > 1)
		inode = world.inodes[inode].parent;
	return inode == 1;
}

static inline int add_inode(int parent, const char *name, uint32_t mode)
{
	if (world.n == INODES || child_of(parent, name, strlen(name)) >= 0)
		return -1;
	struct inode *inode = &world.inodes[world.n];

	memset(inode, 0, sizeof(*inode));
	inode->mode = mode;
	inode->parent = parent;
	inode->dev = world.inodes[parent].dev;
	snprintf(inode->name, sizeof(inode->name), "%s", name);
	return world.n++;
}

static inline void make_script(struct inode *inode, const char *line)
{
	inode->length = (uint32_t)snprintf(inode->text, sizeof(inode->text), "#!%s", line);
	if (inode->length >= sizeof(inode->text))
		inode->length = sizeof(inode->text) - 1;
}

/* One program header, which names a loader if there is one. */
static inline void make_program(struct inode *inode, unsigned type, const char *loader)
{
	unsigned char *t = (unsigned char *)inode->text;
	size_t len = strlen(loader) + 1;

	memcpy(t, "\177ELF\2", 5);
	t[16] = (unsigned char)type;
	t[18] = 62;
	t[32] = 64;
	t[54] = 56;
	t[56] = 1;
	t[64] = len > 1 ? 3 : 1;
	t[64 + 8] = 120;
	t[64 + 32] = (unsigned char)len;
	memcpy(t + 120, loader, len);
	inode->length = (uint32_t)(120 + len);
}

static inline void take_content(struct input *in, struct inode *inode)
{
	char text[400];
	unsigned what = take(in);

	switch (what % 4) {
	case 0:
		take_text(in, text, sizeof(text));
		make_script(inode, text);
		break;
	case 1:
		take_text(in, text, 200);
		make_program(inode, what / 4 % 4, text);
		break;
	default:
		for (inode->length = 0; inode->length < what && in->left; inode->length++)
			inode->text[inode->length] = (char)take(in);
		break;
	}
}

/* What most inputs begin with: a script, its interpreter, the loader of that, a directory, and links between the two. */
static inline void make_usual(void)
{
	int a = add_inode(0, "a", K_S_IFDIR | 0755), b = add_inode(0, "b", K_S_IFDIR | 0755);

	make_script(&world.inodes[add_inode(a, "a", K_S_IFREG | 0755)], "/a/b -x\n");
	make_program(&world.inodes[add_inode(a, "b", K_S_IFREG | 0755)], 3, "/b/a");
	make_program(&world.inodes[add_inode(b, "a", K_S_IFREG | 0755)], 2, "");
	strcpy(world.inodes[add_inode(b, "b", K_S_IFLNK | 0777)].text, "../a");
	strcpy(world.inodes[add_inode(a, "c", K_S_IFLNK | 0777)].text, "/b/a");
	add_inode(a, "d", K_S_IFDIR | 0755);
	for (int i = 0; i < world.n; i++)
		if (is_type(i, K_S_IFLNK))
			world.inodes[i].length = (uint32_t)strlen(world.inodes[i].text);
}

/* A tree of its own for every input. /private holds what the launcher would have made. */
static inline void take_world(struct input *in)
{
	static const uint32_t types[] = {K_S_IFDIR | 0755, K_S_IFDIR | 0755, K_S_IFREG | 0755, K_S_IFLNK | 0777,
	                                 K_S_IFLNK | 0777, K_S_IFREG | 0644, K_S_IFIFO | 0600, K_S_IFSOCK | 0755};
	unsigned code = take(in);
	int count = (int)(code % (INODES - 16));

	memset(&world, 0, sizeof(world));
	memset(world.handles, -1, sizeof(world.handles));
	world.inodes[0] = (struct inode){.mode = K_S_IFDIR | 0755, .dev = 1};
	world.n = 1;
	add_inode(0, "private", K_S_IFDIR | 0755);
	add_inode(1, "tmp", K_S_IFDIR | 0700);
	if (code < 200)
		make_usual();
	while (count--) {
		unsigned where = take(in), what = take(in);
		int parent = (int)(where % (unsigned)world.n);

		while (!is_type(parent, K_S_IFDIR))
			parent = world.inodes[parent].parent;
		int made = add_inode(parent, names[what % NAMES], types[what / NAMES % 8]);
		if (made < 0)
			continue;
		struct inode *inode = &world.inodes[made];
		if (is_type(made, K_S_IFLNK)) {
			/* an empty link cannot be made (symlink(2)) */
			if (!take_text(in, inode->text, sizeof(inode->text)))
				strcpy(inode->text, ".");
			inode->length = (uint32_t)strlen(inode->text);
		} else if (is_type(made, K_S_IFREG)) {
			take_content(in, inode);
		} else if (is_type(made, K_S_IFDIR) && what > 230 && !is_private(made)) {
			inode->dev = SPECIAL_DEV; /* procfs or the like is mounted there */
		}
	}
}

/* --- lookup --- */

struct found {
	int inode;  /* or -errno */
	int parent; /* where the last name would be made, if that is all that is missing; else -1 */
	char name[256];
};

static inline struct found fails(int error)
{
	return (struct found){.inode = -error, .parent = -1};
}

/* openat2 from the directory `start`, with its RESOLVE flags and the flags of open. */
static inline struct found look_up(int start, const char *path, uint64_t scope, uint64_t flags)
{
	static char text[2 * PATHS];
	const bool nofollow = flags & K_O_NOFOLLOW;
	struct found f = fails(ENOENT);
	int at = start, links = 0;
	bool slash = false;

	if (!*path)
		return f;
	if (strlen(path) >= PATHS)
		return fails(ENAMETOOLONG);
	strcpy(text, path);
	const char *s = text;
	for (;;) {
		if (*s == '/' && s == text) {
			if (scope & K_RESOLVE_BENEATH)
				return fails(EXDEV);
			at = scope & K_RESOLVE_IN_ROOT ? start : 0;
		}
		while (*s == '/')
			s++;
		if (!*s)
			break;
		if (!is_type(at, K_S_IFDIR))
			return fails(ENOTDIR);
		const char *from = s;
		while (*s && *s != '/')
			s++;
		size_t len = (size_t)(s - from);
		const char *rest = s + strspn(s, "/");
		bool last = !*rest;

		slash = last && *s;
		if (len > 255)
			return fails(ENAMETOOLONG);
		if (len == 1 && from[0] == '.')
			continue;
		if (len == 2 && from[0] == '.' && from[1] == '.') {
			if (at == start && (scope & K_RESOLVE_BENEATH))
				return fails(EXDEV);
			if (at != start || !(scope & K_RESOLVE_IN_ROOT))
				at = world.inodes[at].parent;
			continue;
		}
		int child = child_of(at, from, len);
		if (child < 0) {
			if (last) {
				f.parent = at;
				memcpy(f.name, from, len);
				f.name[len] = 0;
			}
			return f;
		}
		if (is_type(child, K_S_IFLNK) && !(last && nofollow && !slash)) {
			char tail[PATHS];
			size_t n = strlen(s) + 1;

			if (scope & K_RESOLVE_NO_SYMLINKS)
				return fails(ELOOP);
			if (++links > 40)
				return fails(ELOOP);
			if (world.inodes[child].length + n > PATHS)
				return fails(ENAMETOOLONG);
			memcpy(tail, s, n);
			strcpy(text, world.inodes[child].text);
			strcat(text, tail);
			s = text;
			continue;
		}
		at = child;
	}
	if ((slash || (flags & K_O_DIRECTORY)) && !is_type(at, K_S_IFDIR))
		return fails(ENOTDIR);
	f.inode = at;
	return f;
}

/* --- descriptors --- */

static inline bool fails_now(void)
{
	return world.fail_in && !--world.fail_in;
}

static inline int inode_of(int handle)
{
	int i = handle - FIRST_HANDLE;

	if (handle >= FIRST_LASTING && handle < FIRST_LASTING + INODES)
		return handle - FIRST_LASTING;
	if (i < 0 || i >= HANDLES || world.handles[i] < 0)
		BROKEN("descriptor %d is used and not open", handle);
	return world.handles[i];
}

static inline int open_handle(int inode)
{
	for (int i = 0; i < HANDLES; i++)
		if (world.handles[i] < 0) {
			world.handles[i] = inode;
			return FIRST_HANDLE + i;
		}
	return -EMFILE;
}

static inline void close_handle(int handle)
{
	inode_of(handle);
	if (handle >= FIRST_LASTING)
		BROKEN("the directory of a grant is closed");
	world.handles[handle - FIRST_HANDLE] = -1;
}

static inline int handles_open(void)
{
	int n = 0;

	for (int i = 0; i < HANDLES; i++)
		n += world.handles[i] >= 0;
	return n;
}

#endif
