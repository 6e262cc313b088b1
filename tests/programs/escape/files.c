/* Getting more out of a descriptor, a link or a rename than the grant of the file gives. */
#include "attack.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

/* A descriptor of the read-only grant's file, opened as the grant allows. */
static int read_only(void)
{
	return need(open(in_base("ro/file"), O_RDONLY), "open ro/file");
}

static const char *numbered(const char *directory, int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%d", directory, fd);
	return path;
}

static _Noreturn void overwrite(int fd, const char *what)
{
	must(fd, what);
	judge(write(fd, "overwritten", 11), what);
}

static void reopen_writable(void)
{
	overwrite(open(numbered("/proc/self/fd", read_only()), O_RDWR), "/proc/self/fd");
}

static void reopen_writable_by_dev_fd(void)
{
	overwrite(open(numbered("/dev/fd", read_only()), O_RDWR), "/dev/fd");
}

static void reopen_writable_by_thread_self(void)
{
	overwrite(open(numbered("/proc/thread-self/fd", read_only()), O_RDWR), "/proc/thread-self/fd");
}

static void reopen_writable_by_pid(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), read_only());
	overwrite(open(path, O_RDWR), path);
}

static void reopen_writable_from_path_fd(void)
{
	int fd = need(open(in_base("ro/file"), O_PATH), "open O_PATH");

	overwrite(open(numbered("/proc/self/fd", fd), O_RDWR), "/proc/self/fd of O_PATH");
}

static void reopen_writable_relative(void)
{
	int dir = must(open("/proc/self/fd", O_RDONLY | O_DIRECTORY), "/proc/self/fd");
	char name[16];

	snprintf(name, sizeof(name), "%d", read_only());
	overwrite(openat(dir, name, O_WRONLY), name);
}

static void reopen_writable_through_link(void)
{
	need(symlink(numbered("/proc/self/fd", read_only()), in_base("work/link")), "symlink");
	overwrite(open(in_base("work/link"), O_RDWR), "a link to /proc/self/fd");
}

static void reopen_truncating(void)
{
	judge(open(numbered("/proc/self/fd", read_only()), O_RDONLY | O_TRUNC), "O_TRUNC");
}

static void truncate_by_proc(void)
{
	judge(truncate(numbered("/proc/self/fd", read_only()), 0), "truncate");
}

static void chmod_by_proc(void)
{
	judge(chmod(numbered("/proc/self/fd", read_only()), 0777), "chmod");
}

static void fd_chmod(void)
{
	judge(fchmod(read_only(), 0777), "fchmod");
}

static void fd_chmod_empty_path(void)
{
	judge(syscall(452, read_only(), "", 0777, AT_EMPTY_PATH), "fchmodat2");
}

static void fd_chown(void)
{
	judge(fchown(read_only(), getuid(), getgid()), "fchown");
}

static void fd_chown_empty_path(void)
{
	judge(fchownat(read_only(), "", getuid(), getgid(), AT_EMPTY_PATH), "fchownat");
}

static void fd_utimes(void)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	judge(futimens(read_only(), times), "futimens");
}

static void fd_utimes_empty_path(void)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	judge(utimensat(read_only(), "", times, AT_EMPTY_PATH), "utimensat");
}

static void fd_setxattr(void)
{
	judge(fsetxattr(read_only(), "user.attack", "x", 1, 0), "fsetxattr");
}

static void fd_setxattrat(void)
{
	struct {
		uint64_t value;
		uint32_t size, flags;
	} args = {.value = (uintptr_t) "x", .size = 1};

	judge(syscall(463, read_only(), "", AT_EMPTY_PATH, "user.attack", &args, sizeof(args)), "setxattrat");
}

static void fd_flags(void)
{
	int fd = read_only(), flags = 0;

	must(ioctl(fd, FS_IOC_GETFLAGS, &flags), "FS_IOC_GETFLAGS");
	flags ^= FS_NODUMP_FL;
	judge(ioctl(fd, FS_IOC_SETFLAGS, &flags), "FS_IOC_SETFLAGS");
}

static void fd_fsxattr(void)
{
	struct fsxattr x;
	int fd = read_only();

	must(ioctl(fd, FS_IOC_FSGETXATTR, &x), "FS_IOC_FSGETXATTR");
	x.fsx_xflags ^= FS_XFLAG_NODUMP;
	judge(ioctl(fd, FS_IOC_FSSETXATTR, &x), "FS_IOC_FSSETXATTR");
}

static void fd_file_setattr(void)
{
	uint64_t attributes[4] = {0};
	int fd = read_only();

	must(syscall(468, fd, "", attributes, 24, AT_EMPTY_PATH), "file_getattr");
	attributes[0] ^= FS_XFLAG_NODUMP;
	judge(syscall(469, fd, "", attributes, 24, AT_EMPTY_PATH), "file_setattr");
}

/* A filesystem-wide request on a descriptor of a writable grant: freezing needs privilege, asking about it none. */
static void filesystem_ioctl(void)
{
	struct {
		uint8_t bytes[64];
	} label = {0};
	int fd = need(open(".", O_RDONLY), "open .");

	judge(ioctl(fd, _IOR(0x15, 0, uint8_t[17]), &label), "FS_IOC_GETFSUUID");
}

static _Noreturn void write_linked(void)
{
	overwrite(open(in_base("work/taken"), O_WRONLY), "written through the new link");
}

static void link_into_writable(void)
{
	must(link(in_base("ro/file"), in_base("work/taken")), "link");
	write_linked();
}

static void link_by_proc_into_writable(void)
{
	must(linkat(AT_FDCWD, numbered("/proc/self/fd", read_only()), AT_FDCWD, in_base("work/taken"),
	            AT_SYMLINK_FOLLOW),
	     "linkat");
	write_linked();
}

static void link_through_own_link(void)
{
	need(symlink(numbered("/proc/self/fd", read_only()), in_base("work/magic-link")), "symlink");
	must(linkat(AT_FDCWD, in_base("work/magic-link"), AT_FDCWD, in_base("work/taken"), AT_SYMLINK_FOLLOW),
	     "linkat");
	write_linked();
}

static void link_through_symlink(void)
{
	need(symlink(in_base("ro/file"), in_base("work/to-ro")), "symlink");
	must(linkat(AT_FDCWD, in_base("work/to-ro"), AT_FDCWD, in_base("work/taken"), AT_SYMLINK_FOLLOW), "linkat");
	write_linked();
}

static void link_by_empty_path(void)
{
	must(linkat(read_only(), "", AT_FDCWD, in_base("work/taken"), AT_EMPTY_PATH), "linkat AT_EMPTY_PATH");
	write_linked();
}

/* The same with only a name of the working directory and two descriptors: the form that needs no look at a path. */
static void link_by_descriptors(void)
{
	int from = need(open(in_base("ro"), O_PATH | O_DIRECTORY), "open ro");
	int to = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");

	must(linkat(from, "file", to, "taken", 0), "linkat");
	write_linked();
}

static void rename_by_descriptors(void)
{
	int from = need(open(in_base("ro"), O_PATH | O_DIRECTORY), "open ro");
	int to = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");

	must(syscall(SYS_renameat2, from, "file", to, "taken", 0), "renameat2");
	write_linked();
}

static void unlink_by_descriptor(void)
{
	judge(unlinkat(need(open(in_base("ro"), O_PATH | O_DIRECTORY), "open ro"), "file", 0), "unlinkat");
}

static void make_by_descriptor(void)
{
	judge(mkdirat(need(open(in_base("ro"), O_PATH | O_DIRECTORY), "open ro"), "new", 0777), "mkdirat");
}

/* A directory that holds granted names only: what lies beside them must not be reached through its descriptor. */
static void sibling_by_descriptor(void)
{
	int dir = open(in_base("names"), O_PATH | O_DIRECTORY);

	must(dir, "open names");
	judge_read(openat(dir, "sibling", O_RDONLY), "sibling");
}

static void unlink_sibling_by_descriptor(void)
{
	int dir = must(open(in_base("names"), O_PATH | O_DIRECTORY), "open names");

	judge(unlinkat(dir, "sibling", 0), "sibling");
}

static void denied_by_descriptor(void)
{
	int dir = need(open(in_base("carved"), O_RDONLY | O_DIRECTORY), "open carved");

	judge_read(openat(dir, "private/file", O_RDONLY), "private/file");
}

static void unlink_denied_by_descriptor(void)
{
	int dir = need(open(in_base("carved"), O_RDONLY | O_DIRECTORY), "open carved");

	judge(unlinkat(dir, "a.key", 0), "a.key");
}

/* A fresh nameless file is the target's own; the directory in which it gets a name need not be. */
static void name_tmpfile_in_read_only(void)
{
	int fd = need(open(in_base("work"), O_TMPFILE | O_RDWR, 0600), "O_TMPFILE");

	judge(linkat(AT_FDCWD, numbered("/proc/self/fd", fd), AT_FDCWD, in_base("ro/planted"), AT_SYMLINK_FOLLOW),
	      "linkat");
}

static void rename_dir(void)
{
	const char *path = argument(0);
	char *to;

	if (asprintf(&to, "%s.moved", path) < 0)
		untried("out of memory");
	judge(rename(path, to), path);
}

static void rename_onto(void)
{
	judge(rename(argument(0), argument(1)), argument(0));
}

static void exchange_dir(void)
{
	need(mkdir(in_base("work/bait"), 0777), "mkdir");
	judge(syscall(SYS_renameat2, AT_FDCWD, in_base("work/bait"), AT_FDCWD, argument(0), RENAME_EXCHANGE),
	      argument(0));
}

const struct attack attacks[] = {
	{"reopen-writable", reopen_writable},
	{"reopen-writable-by-dev-fd", reopen_writable_by_dev_fd},
	{"reopen-writable-by-thread-self", reopen_writable_by_thread_self},
	{"reopen-writable-by-pid", reopen_writable_by_pid},
	{"reopen-writable-from-path-fd", reopen_writable_from_path_fd},
	{"reopen-writable-relative", reopen_writable_relative},
	{"reopen-writable-through-link", reopen_writable_through_link},
	{"reopen-truncating", reopen_truncating},
	{"truncate-by-proc", truncate_by_proc},
	{"chmod-by-proc", chmod_by_proc},
	{"fchmod", fd_chmod},
	{"fchmodat2", fd_chmod_empty_path},
	{"fchown", fd_chown},
	{"fchownat", fd_chown_empty_path},
	{"futimens", fd_utimes},
	{"utimensat", fd_utimes_empty_path},
	{"fsetxattr", fd_setxattr},
	{"setxattrat", fd_setxattrat},
	{"setflags", fd_flags},
	{"fssetxattr", fd_fsxattr},
	{"file-setattr", fd_file_setattr},
	{"filesystem-ioctl", filesystem_ioctl},
	{"link", link_into_writable},
	{"link-by-proc", link_by_proc_into_writable},
	{"link-through-own-link", link_through_own_link},
	{"link-through-symlink", link_through_symlink},
	{"link-by-empty-path", link_by_empty_path},
	{"link-by-descriptors", link_by_descriptors},
	{"rename-by-descriptors", rename_by_descriptors},
	{"unlink-by-descriptor", unlink_by_descriptor},
	{"make-by-descriptor", make_by_descriptor},
	{"sibling-by-descriptor", sibling_by_descriptor},
	{"unlink-sibling-by-descriptor", unlink_sibling_by_descriptor},
	{"denied-by-descriptor", denied_by_descriptor},
	{"unlink-denied-by-descriptor", unlink_denied_by_descriptor},
	{"name-tmpfile-in-read-only", name_tmpfile_in_read_only},
	{"rename-dir", rename_dir},
	{"rename-onto", rename_onto},
	{"exchange-dir", exchange_dir},
	{0},
};
