/* Rights that a grant lacks, by other doors than the call that they are for. ARG 0: the file or directory. */
#include "attack.h"
#include "../../../rewriters/pad.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/xattr.h>

static const char *path(void)
{
	return argument(0);
}

static void truncate_descriptor(void)
{
	judge(ftruncate(need(open(path(), O_RDWR | O_CLOEXEC), path()), 0), "ftruncate");
}

/* Blocks are taken out of the middle of a file, which becomes shorter by as much. */
static void collapse_descriptor(void)
{
	int fd = need(open(path(), O_RDWR | O_CLOEXEC), path());
	struct stat st;

	for (off_t at = 0; at < 4; at++)
		need(pwrite(fd, "x", 1, at * 65536 + 65535), "pwrite");
	must(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 65536), "FALLOC_FL_COLLAPSE_RANGE");
	need(fstat(fd, &st), "fstat");
	judge(st.st_size < 4 * 65536 ? 0 : -1, "a file that is shorter");
}

/* An access control list of user and mask, that makes the file everybody's: system.posix_acl_access in linux/posix_acl_xattr.h. */
static const uint16_t everybodys[] = {2, 0, 1, 7, 0xffff, 0xffff, 4, 7, 0xffff, 0xffff, 0x20, 7, 0xffff, 0xffff};

static _Noreturn void judge_mode(long result, const char *what)
{
	struct stat st;

	must(result, what);
	need(stat(path(), &st), path());
	if ((st.st_mode & 0777) == 0777)
		escaped("%s gave mode %o", what, st.st_mode & 0777u);
	held("nothing %s", what);
}

static void mode_by_attribute(void)
{
	judge_mode(setxattr(path(), "system.posix_acl_access", everybodys, sizeof(everybodys), 0), "setxattr");
}

static void mode_by_attribute_of_descriptor(void)
{
	int fd = need(open(path(), O_RDONLY | O_CLOEXEC), path());

	judge_mode(fsetxattr(fd, "system.posix_acl_access", everybodys, sizeof(everybodys), 0), "fsetxattr");
}

/* The mask of a list shows as the group's bits, and where the list goes they become the group's. */
static void mode_by_removing(void)
{
	judge(removexattr(path(), "system.posix_acl_access"), "removexattr");
}

static void default_list(void)
{
	judge(setxattr(path(), "system.posix_acl_default", everybodys, sizeof(everybodys), 0), "setxattr");
}

/* The descriptor that a chdir left in the delivery range, by its path in the pad. */
static void watch_delivered(void)
{
	int fd = need(inotify_init1(IN_CLOEXEC), "inotify_init1");
	char events[4096];

	need(chdir(path()), path());
	/* What the caller could not ask for by name. */
	inotify_add_watch(fd, path(), IN_OPEN);
	for (uintptr_t slot = CW_PAD_FDPATH; slot < CW_PAD_FDPATH_END; slot += CW_PAD_FDPATH_STRIDE)
		syscall(SYS_inotify_add_watch, fd, slot, IN_OPEN);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	close(need(open("file", O_RDONLY | O_CLOEXEC), "file"));
	judge(read(fd, events, sizeof(events)), "an event");
}

/* By its name, or by a descriptor that was lent for the watch. */
static void enter_watched(void)
{
	int fd = need(inotify_init1(IN_CLOEXEC), "inotify_init1");

	inotify_add_watch(fd, path(), IN_OPEN);
	if (!chdir(path()))
		escaped("chdir");
	for (int lent = 3; lent < 1 << 16; lent++)
		if (!fchdir(lent))
			escaped("fchdir of %d", lent);
	errno = EACCES;
	refused("each of them");
}

/* The limit of --limit file-size, by the call that the supervisor makes. */
static void truncate_beyond_limit(void)
{
	signal(SIGXFSZ, SIG_IGN);
	judge(truncate(path(), 1 << 24), "truncate to 16 MiB");
}

/* A read-only file of a writable directory, whose name somebody else removed while the way to it was closed. */
static void removed_behind_closed(void)
{
	int fd = need(open(in_base("closed/file"), O_RDONLY | O_CLOEXEC), "open");

	need(chmod(in_base("closed"), 0), "chmod");
	tell("closed", 0);
	await("removed");
	judge(fchmod(fd, 0777), "fchmod");
}

/* By what an open for reading gave. */
static void write_by_descriptor(void)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", need(open(path(), O_RDONLY | O_CLOEXEC), path()));
	judge(open(link, O_WRONLY | O_CLOEXEC), link);
}

static void mode_by_descriptor(void)
{
	judge(fchmod(need(open(path(), O_RDONLY | O_CLOEXEC), path()), 0777), "fchmod");
}

/* What an O_PATH descriptor refers to, where one for reading is not given. */
static void read_path_descriptor(void)
{
	int fd = open(path(), O_RDONLY | O_CLOEXEC);

	judge_read(fd < 0 ? open(path(), O_PATH | O_CLOEXEC) : fd, path());
}

static void list_path_descriptor(void)
{
	int fd = open(path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fd = need(open(path(), O_PATH | O_DIRECTORY | O_CLOEXEC), path());
	DIR *directory = fdopendir(fd);

	for (const struct dirent *entry; directory && (entry = readdir(directory));)
		if (!strcmp(entry->d_name, "file"))
			escaped("%s lists %s", path(), entry->d_name);
	held("nothing is listed");
}

const struct attack attacks[] = {
	{"truncate-descriptor", truncate_descriptor},
	{"collapse-descriptor", collapse_descriptor},
	{"mode-by-attribute", mode_by_attribute},
	{"mode-by-attribute-of-descriptor", mode_by_attribute_of_descriptor},
	{"mode-by-removing", mode_by_removing},
	{"default-list", default_list},
	{"write-by-descriptor", write_by_descriptor},
	{"mode-by-descriptor", mode_by_descriptor},
	{"read-path-descriptor", read_path_descriptor},
	{"list-path-descriptor", list_path_descriptor},
	{"watch-delivered", watch_delivered},
	{"enter-watched", enter_watched},
	{"removed-behind-closed", removed_behind_closed},
	{"truncate-beyond-limit", truncate_beyond_limit},
	{0},
};
