/* open(2) with every combination of the flags that decide, and openat2(2) with what only it refuses or resolves. */
#include "tree.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

static const struct {
	int bit;
	const char *name;
} bits[] = {
	{O_CREAT, " CREAT"},       {O_EXCL, " EXCL"}, {O_TRUNC, " TRUNC"},       {O_DIRECTORY, " DIRECTORY"},
	{O_NOFOLLOW, " NOFOLLOW"}, {O_PATH, " PATH"}, {TMPFILE_BIT, " TMPFILE"},
};
static const char *const modes[] = {"RDONLY", "WRONLY", "RDWR", "3"};

/* Shown in F_GETFL, or that change nothing about the lookup; each alone. */
static const struct {
	int bit;
	const char *name;
} others[] = {
	{O_APPEND, "APPEND"},
	{O_NONBLOCK, "NONBLOCK"},
	{O_CLOEXEC, "CLOEXEC"},
	{O_NOCTTY, "NOCTTY"},
	{O_SYNC, "SYNC"},
	{O_DSYNC, "DSYNC"},
	{O_ASYNC, "ASYNC"},
	{O_DIRECT, "DIRECT"},
	{O_NOATIME, "NOATIME"},
	{0100000, "LARGEFILE"},
	{040000000, "bit 23"},
	{0x40000000, "bit 30"},
	{(int)0x80000000, "bit 31"},
	{04, "bit 2"},
	{010, "bit 3"},
	{0200000000, "bit 25"},
};

static void opened(const char *label, long fd)
{
	struct stat st;

	if (fd < 0) {
		result(label, fd);
		return;
	}
	say(label, "%ld flags %o fd flags %d mode %o", fd, (unsigned)fcntl((int)fd, F_GETFL), fcntl((int)fd, F_GETFD),
	    fstat((int)fd, &st) ? 0 : st.st_mode);
	close((int)fd);
}

static void all_combinations(void)
{
	static const char *const paths[] = {"file", "absent", "dir",     "link",  "dirlink", "dangling",
	                                    "loop", "none",   "nowrite", "file/", "dir/..",  "nowrite/x"};

	section("open");
	for (size_t p = 0; p < COUNT(paths); p++)
		for (int mode = 0; mode < 4; mode++)
			for (unsigned set = 0; set < 1u << COUNT(bits); set++) {
				int flags = mode;
				char label[200];

				snprintf(label, sizeof(label), "%s %s", paths[p], modes[mode]);
				for (size_t b = 0; b < COUNT(bits); b++)
					if (set >> b & 1) {
						flags |= bits[b].bit;
						strcat(label, bits[b].name);
					}
				long fd = syscall(SYS_open, paths[p], flags, 0640);

				opened(label, fd);
				if (fd >= 0 && flags & (O_CREAT | O_TRUNC) && !(flags & O_PATH))
					tree_settle(label);
			}
	tree_settle("all of them");
}

static void single_bits(void)
{
	static const char *const paths[] = {"file", "dir", "link", "fifo", "absent", "/dev/null"};

	section("one more bit");
	for (size_t p = 0; p < COUNT(paths); p++)
		for (int mode = 0; mode < 3; mode++)
			for (size_t b = 0; b < COUNT(others); b++) {
				char label[100];

				snprintf(label, sizeof(label), "%s %s %s", paths[p], modes[mode], others[b].name);
				opened(label, syscall(SYS_open, paths[p], mode | others[b].bit, 0640));
				snprintf(label, sizeof(label), "%s %s %s O_PATH", paths[p], modes[mode],
				         others[b].name);
				opened(label, syscall(SYS_open, paths[p], mode | others[b].bit | O_PATH, 0640));
				if (strcmp(paths[p], "absent"))
					continue;
				snprintf(label, sizeof(label), "new %s %s", modes[mode], others[b].name);
				opened(label, syscall(SYS_open, "new", mode | O_CREAT | others[b].bit, 0640));
				tree_settle(label);
			}
	static const mode_t created[] = {0, 0777, 01777, 02777, 04777, 07777, 010777, 0100644, 0200777, 0xffffffff};

	for (size_t i = 0; i < COUNT(created); i++) {
		char label[100];

		snprintf(label, sizeof(label), "mode %o", created[i]);
		opened(label, syscall(SYS_open, "new", O_CREAT | O_WRONLY, created[i]));
		tree_settle(label);
		opened(label, syscall(SYS_open, "setgiddir/new", O_CREAT | O_WRONLY, created[i]));
		tree_settle(label);
		opened(label, syscall(SYS_creat, "new", created[i]));
		tree_settle(label);
	}
}

static void strict(void)
{
	static const char *const paths[] = {"file",   "dir/a",        "link",         "dirlink/a", "dir/..",
	                                    "..",     "abslink",      "absdirlink/a", "outward",   "../outside",
	                                    "absent", "dir/sub/../a", "loop",         "."};
	struct {
		struct open_how how;
		uint64_t more[8];
	} big;

	section("openat2");
	for (uint64_t resolve = 0; resolve < 0x80; resolve++)
		for (size_t p = 0; p < COUNT(paths); p++) {
			struct open_how how = {.flags = O_RDONLY, .resolve = resolve};
			char label[100];

			if (resolve & RESOLVE_CACHED)
				continue; /* what the cache holds is chance */
			snprintf(label, sizeof(label), "%s resolve %#lx", paths[p], (unsigned long)resolve);
			opened(label, syscall(SYS_openat2, AT_FDCWD, paths[p], &how, sizeof(how)));
			int dir = open("dir", O_RDONLY | O_DIRECTORY);

			snprintf(label, sizeof(label), "from dir: %s resolve %#lx", paths[p], (unsigned long)resolve);
			opened(label, syscall(SYS_openat2, dir, paths[p], &how, sizeof(how)));
			close(dir);
		}
	static const uint64_t flags[] = {
		O_RDONLY,
		O_WRONLY | O_CREAT,
		O_RDONLY | O_CREAT | O_EXCL,
		3,
		04,
		O_PATH | O_RDWR,
		O_PATH | O_CREAT,
		O_PATH | O_CLOEXEC,
		O_PATH | O_NOFOLLOW | O_DIRECTORY,
		O_TMPFILE,
		O_TMPFILE | O_RDWR,
		TMPFILE_BIT | O_RDWR,
		O_CREAT | O_DIRECTORY,
		0x40000000,
		0x80000000,
		0x100000000,
		0x8000000000000000,
		O_CLOEXEC | O_TRUNC,
	};
	static const uint64_t created[] = {0, 0640, 07777, 010640, 0100640, 0x100000000, 0xffffffffffffffff};

	for (size_t f = 0; f < COUNT(flags); f++)
		for (size_t m = 0; m < COUNT(created); m++)
			for (size_t p = 0; p < COUNT(paths); p++) {
				struct open_how how = {.flags = flags[f], .mode = created[m]};
				char label[120];

				snprintf(label, sizeof(label), "%s flags %#lx mode %#lx", paths[p],
				         (unsigned long)flags[f], (unsigned long)created[m]);
				long fd = syscall(SYS_openat2, AT_FDCWD, paths[p], &how, sizeof(how));

				opened(label, fd);
				if (fd >= 0 && flags[f] & (O_CREAT | O_TRUNC))
					tree_settle(label);
			}
	static const char *const made[] = {"new",         "dir/new",        "../new",   "/new",        "/dir/new",
	                                   "absent/new",  "dir/sub/../new", "dir/new/", "dirlink/new", "absdirlink/new",
	                                   "nowrite/new", "dir/a",          "link"};

	for (uint64_t resolve = RESOLVE_BENEATH; resolve <= RESOLVE_IN_ROOT; resolve *= 2)
		for (size_t p = 0; p < COUNT(made); p++)
			for (int excl = 0; excl < 2; excl++) {
				struct open_how how = {.flags = O_CREAT | O_RDWR | (excl ? O_EXCL : 0),
				                       .mode = 0666,
				                       .resolve = resolve};
				char label[120];

				snprintf(label, sizeof(label), "%s created%s, resolve %#lx", made[p],
				         excl ? " exclusively" : "", (unsigned long)resolve);
				opened(label, syscall(SYS_openat2, AT_FDCWD, made[p], &how, sizeof(how)));
				tree_settle(label);
			}
	static const size_t sizes[] = {0, 1, 8, 16, 23, 24, 25, 31, 32, 64, 88};

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (int dirty = 0; dirty < 2; dirty++) {
			char label[100];

			memset(&big, 0, sizeof(big));
			if (dirty)
				big.more[0] = 1;
			snprintf(label, sizeof(label), "size %zu, %s behind it", sizes[i],
			         dirty ? "something" : "zeros");
			opened(label, syscall(SYS_openat2, AT_FDCWD, "file", &big, sizes[i]));
		}
	memset(&big, 0, sizeof(big));
	opened("size 4097", syscall(SYS_openat2, AT_FDCWD, "file", &big, (size_t)4097));
	opened("size 1 GiB", syscall(SYS_openat2, AT_FDCWD, "file", &big, (size_t)1 << 30));
	opened("a bad pointer", syscall(SYS_openat2, AT_FDCWD, "file", 8, sizeof(struct open_how)));
	tree_settle("all of openat2");
}

int main(void)
{
	tree_begin();
	all_combinations();
	single_bits();
	strict();
	return 0;
}
