/* One operation on one path that lies, or leads, outside the grants: ARG 0 is the path. */
#include "attack.h"

#include <dirent.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static const char *path(void)
{
	return argument(0);
}

static void op_open(void)
{
	judge_read(open(path(), O_RDONLY | O_CLOEXEC), path());
}

static void op_openat2(void)
{
	struct how how = {.flags = O_RDONLY};

	judge_read((int)syscall(SYS_openat2, AT_FDCWD, path(), &how, sizeof(how)), path());
}

/* By a lookup that the kernel scopes to a directory, ARG 1, as ARG 2 says. */
static void op_openat2_scoped(void)
{
	const struct how how = {.flags = O_RDONLY, .resolve = strtoul(argument(2), NULL, 0)};
	int dir = must(open(argument(1), O_RDONLY | O_DIRECTORY), argument(1));

	judge_read((int)syscall(SYS_openat2, dir, path(), &how, sizeof(how)), path());
}

/* Relative to a descriptor of the working directory rather than to AT_FDCWD. */
static void op_openat(void)
{
	int dir = need(open(".", O_PATH | O_DIRECTORY), "open .");

	judge_read(openat(dir, path(), O_RDONLY), path());
}

static void op_open_path(void)
{
	judge(open(path(), O_PATH | O_NOFOLLOW), path());
}

static void op_write(void)
{
	int fd = must(open(path(), O_WRONLY), path());

	judge(write(fd, "overwritten", 11), path());
}

static void op_truncating_open(void)
{
	judge(open(path(), O_WRONLY | O_TRUNC), path());
}

static void op_create(void)
{
	judge(open(path(), O_WRONLY | O_CREAT | O_EXCL, 0666), path());
}

static void op_stat(void)
{
	struct stat st;

	judge(stat(path(), &st), path());
}

static void op_lstat(void)
{
	struct stat st;

	judge(lstat(path(), &st), path());
}

static void op_statx(void)
{
	struct statx stx;

	judge(statx(AT_FDCWD, path(), AT_STATX_DONT_SYNC, STATX_ALL, &stx), path());
}

static void op_access(void)
{
	judge(access(path(), F_OK), path());
}

static void op_faccessat2(void)
{
	judge(syscall(SYS_faccessat2, AT_FDCWD, path(), R_OK, AT_EACCESS), path());
}

static void op_statfs(void)
{
	struct statfs sf;

	judge(statfs(path(), &sf), path());
}

static void op_readlink(void)
{
	char text[PATH_MAX];
	ssize_t n = readlink(path(), text, sizeof(text) - 1);

	if (n < 0)
		refused(path());
	text[n] = 0;
	escaped("%s -> %s", path(), text);
}

static void op_chdir(void)
{
	must(chdir(path()), path());
	judge_read(open("file", O_RDONLY), "file in it");
}

static void op_list(void)
{
	DIR *dir = opendir(path());
	struct dirent *entry;
	char names[512] = "";

	if (!dir)
		refused(path());
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strlen(names) + strlen(entry->d_name) + 2 < sizeof(names))
			strcat(strcat(names, entry->d_name), " ");
	if (!names[0])
		held("nothing listed in %s", path());
	escaped("%s", names);
}

static void op_exec(void)
{
	char *const argv[] = {(char *)path(), "from", "outside", NULL};
	char *const envp[] = {NULL};

	execve(path(), argv, envp);
	refused(path());
}

static void op_execveat(void)
{
	int dir = need(open(".", O_PATH | O_DIRECTORY), "open .");
	char *const argv[] = {(char *)path(), NULL};
	char *const envp[] = {NULL};

	syscall(SYS_execveat, dir, path(), argv, envp, 0);
	refused(path());
}

static void op_truncate(void)
{
	judge(truncate(path(), 0), path());
}

static void op_unlink(void)
{
	judge(unlink(path()), path());
}

static void op_rmdir(void)
{
	judge(rmdir(path()), path());
}

static void op_mkdir(void)
{
	judge(mkdir(path(), 0777), path());
}

static void op_mkfifo(void)
{
	judge(mkfifo(path(), 0666), path());
}

static void op_symlink(void)
{
	judge(symlink("anything", path()), path());
}

static void op_rename_away(void)
{
	must(rename(path(), in_base("work/taken")), path());
	judge_read(open(in_base("work/taken"), O_RDONLY), "taken");
}

static void op_rename_over(void)
{
	judge(rename(in_base("work/file"), path()), path());
}

static void op_exchange(void)
{
	must(syscall(SYS_renameat2, AT_FDCWD, in_base("work/file"), AT_FDCWD, path(), 2), path());
	judge_read(open(in_base("work/file"), O_RDONLY), "exchanged");
}

static void op_link_away(void)
{
	must(link(path(), in_base("work/taken")), path());
	judge_read(open(in_base("work/taken"), O_RDONLY), "taken");
}

static void op_link_over(void)
{
	judge(link(in_base("work/file"), path()), path());
}

static void op_chmod(void)
{
	judge(chmod(path(), 0777), path());
}

static void op_fchmodat2(void)
{
	judge(syscall(452, AT_FDCWD, path(), 0777, AT_SYMLINK_NOFOLLOW), path());
}

static void op_chown(void)
{
	judge(lchown(path(), getuid(), getgid()), path());
}

static void op_utimes(void)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	judge(utimensat(AT_FDCWD, path(), times, 0), path());
}

static void op_utime(void)
{
	const struct utimbuf times = {.actime = 1, .modtime = 1};

	judge(utime(path(), &times), path());
}

static void op_setxattr(void)
{
	judge(setxattr(path(), "user.attack", "x", 1, 0), path());
}

static void op_getxattr(void)
{
	char value[128] = "";

	must(getxattr(path(), "user.token", value, sizeof(value) - 1), path());
	escaped("%s", value);
}

static void op_listxattr(void)
{
	char names[512] = "";

	must(listxattr(path(), names, sizeof(names) - 1), path());
	escaped("%s", names);
}

static void op_removexattr(void)
{
	judge(removexattr(path(), "user.token"), path());
}

static void op_getxattrat(void)
{
	char value[128] = "";
	struct {
		uint64_t value;
		uint32_t size, flags;
	} args = {.value = (uintptr_t)value, .size = sizeof(value) - 1};

	must(syscall(464, AT_FDCWD, path(), 0, "user.token", &args, sizeof(args)), path());
	escaped("%s", value);
}

static void op_file_getattr(void)
{
	uint64_t attributes[4] = {0};

	judge(syscall(468, AT_FDCWD, path(), attributes, 24, 0), path());
}

static void op_inotify(void)
{
	int fd = need(inotify_init1(0), "inotify_init1");

	judge(inotify_add_watch(fd, path(), IN_ALL_EVENTS), path());
}

static void op_name_to_handle(void)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + 128];
	} u;
	int mount;

	u.handle.handle_bytes = 128;
	judge(name_to_handle_at(AT_FDCWD, path(), &u.handle, &mount, 0), path());
}

static void op_tmpfile(void)
{
	int fd = must(open(path(), O_TMPFILE | O_RDWR, 0600), path());
	char from[64];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	char *to;
	if (asprintf(&to, "%s/planted", path()) < 0)
		untried("out of memory");
	judge(linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW), to);
}

/* The flag says that the path is empty; the path says otherwise. */
static void op_empty_path_stat(void)
{
	struct stat st;

	judge(fstatat(AT_FDCWD, path(), &st, AT_EMPTY_PATH), path());
}

static void op_empty_path_chown(void)
{
	judge(fchownat(AT_FDCWD, path(), getuid(), getgid(), AT_EMPTY_PATH), path());
}

static void op_empty_path_link(void)
{
	judge(linkat(AT_FDCWD, path(), AT_FDCWD, in_base("work/taken"), AT_EMPTY_PATH), path());
}

static void op_empty_path_exec(void)
{
	char *const argv[] = {(char *)path(), NULL};
	char *const envp[] = {NULL};

	syscall(SYS_execveat, AT_FDCWD, path(), argv, envp, AT_EMPTY_PATH);
	refused(path());
}

const struct attack attacks[] = {
	{"open", op_open},
	{"openat2", op_openat2},
	{"openat2-scoped", op_openat2_scoped},
	{"openat", op_openat},
	{"open-path", op_open_path},
	{"write", op_write},
	{"truncating-open", op_truncating_open},
	{"create", op_create},
	{"stat", op_stat},
	{"lstat", op_lstat},
	{"statx", op_statx},
	{"access", op_access},
	{"faccessat2", op_faccessat2},
	{"statfs", op_statfs},
	{"readlink", op_readlink},
	{"chdir", op_chdir},
	{"list", op_list},
	{"exec", op_exec},
	{"execveat", op_execveat},
	{"truncate", op_truncate},
	{"unlink", op_unlink},
	{"rmdir", op_rmdir},
	{"mkdir", op_mkdir},
	{"mkfifo", op_mkfifo},
	{"symlink", op_symlink},
	{"rename-away", op_rename_away},
	{"rename-over", op_rename_over},
	{"exchange", op_exchange},
	{"link-away", op_link_away},
	{"link-over", op_link_over},
	{"chmod", op_chmod},
	{"fchmodat2", op_fchmodat2},
	{"chown", op_chown},
	{"utimes", op_utimes},
	{"utime", op_utime},
	{"setxattr", op_setxattr},
	{"getxattr", op_getxattr},
	{"listxattr", op_listxattr},
	{"removexattr", op_removexattr},
	{"getxattrat", op_getxattrat},
	{"file-getattr", op_file_getattr},
	{"inotify", op_inotify},
	{"name-to-handle", op_name_to_handle},
	{"tmpfile", op_tmpfile},
	{"empty-path-stat", op_empty_path_stat},
	{"empty-path-chown", op_empty_path_chown},
	{"empty-path-link", op_empty_path_link},
	{"empty-path-exec", op_empty_path_exec},
	{0},
};
