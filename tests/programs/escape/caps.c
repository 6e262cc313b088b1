/* The capability descriptors: using and copying them, and finding them listed. */
#include "capabilities.h"

#include <ctype.h>
#include <dirent.h>
#include <linux/aio_abi.h>

/* Runs one use of every number against every path that leaves the grants. */
static _Noreturn void each(int (*use)(int fd, const char *path), const char *what)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++)
		for (int i = 0; outside[i]; i++) {
			int result = use(fd, outside[i]);
			if (result >= 0)
				judge_read(result, what);
		}
	held("EBADF %s by no number", what);
}

static int use_own_how(int fd, const char *path)
{
	const struct how how = {.flags = O_RDONLY | O_CLOEXEC};

	return (int)syscall(SYS_openat2, fd, path, &how, sizeof(how));
}

static int use_openat(int fd, const char *path)
{
	return openat(fd, path, O_RDONLY | O_CLOEXEC);
}

/* The dirfd in the upper half as well: the kernel looks at the lower. */
static int use_upper_half(int fd, const char *path)
{
	return (int)syscall(SYS_openat, 0x700000000ul | (unsigned)fd, path, O_RDONLY | O_CLOEXEC, 0);
}

static int use_duplicate(int fd, const char *path)
{
	int copy = dup(fd);

	if (copy < 0)
		return -1;
	int result = openat(copy, path, O_RDONLY | O_CLOEXEC);
	close(copy);
	return result;
}

static int use_fcntl_duplicate(int fd, const char *path)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return -1;
	int result = openat(copy, path, O_RDONLY | O_CLOEXEC);
	close(copy);
	return result;
}

static int use_chdir(int fd, const char *path)
{
	return fchdir(fd) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

static int use_proc(int fd, const char *path)
{
	char name[4096];

	snprintf(name, sizeof(name), "/proc/self/fd/%d/%s", fd, path);
	return path[0] == '/' ? -1 : open(name, O_RDONLY | O_CLOEXEC);
}

static int use_sent(int fd, const char *path)
{
	static int pair[2];

	if (!pair[1])
		need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (send_fd(pair[0], fd) < 0)
		return -1;
	int copy = receive_fd(pair[1]);
	if (copy < 0)
		return -1;
	int result = openat(copy, path, O_RDONLY | O_CLOEXEC);
	close(copy);
	return result;
}

#define USE(name, fn, what)                                                                                            \
	static void name(void)                                                                                         \
	{                                                                                                              \
		each(fn, what);                                                                                        \
	}
USE(own_how, use_own_how, "openat2 with its own how")
USE(by_openat, use_openat, "openat")
USE(upper_half, use_upper_half, "openat, upper half")
USE(duplicate, use_duplicate, "dup")
USE(fcntl_duplicate, use_fcntl_duplicate, "F_DUPFD_CLOEXEC")
USE(by_chdir, use_chdir, "fchdir")
USE(by_proc, use_proc, "/proc/self/fd")
USE(sent, use_sent, "SCM_RIGHTS")

static void by_stat(void)
{
	struct stat st;

	prepare();
	for (int fd = 3; fd < LAST; fd++)
		for (int i = 0; outside[i]; i++)
			if (!fstatat(fd, outside[i], &st, 0))
				escaped("fstatat(%d, %s)", fd, outside[i]);
	held("EBADF fstatat by no number");
}

/* Names of more than one component through a writable capability, and beneath read-only ones of one component. */
static void by_names(void)
{
	prepare();
	for (int fd = 3; fd < LAST; fd++) {
		if (!unlinkat(fd, "../secret/file", 0))
			escaped("unlinkat(%d)", fd);
		if (!mkdirat(fd, "../secret/new", 0777))
			escaped("mkdirat(%d)", fd);
		if (!symlinkat("x", fd, "../secret/new"))
			escaped("symlinkat(%d)", fd);
		if (!renameat(fd, "../secret/file", fd, "taken"))
			escaped("renameat(%d)", fd);
		if (!linkat(fd, "../secret/file", fd, "taken", 0))
			escaped("linkat(%d)", fd);
		if (!mknodat(fd, "../secret/new", S_IFIFO | 0666, 0))
			escaped("mknodat(%d)", fd);
	}
	held("EBADF by no number");
}

static void by_exec(void)
{
	char *const argv[] = {(char *)"prog", NULL};
	char *const envp[] = {NULL};

	prepare();
	for (int fd = 3; fd < LAST; fd++)
		syscall(SYS_execveat, fd, "../secret/prog", argv, envp, 0);
	refused("execveat");
}

/* What an asynchronous operation, of any kind that there is or may come, finds at each number. */
static void by_submission(void)
{
	aio_context_t context = 0;
	struct io_event event;
	char text[64] = "";

	prepare();
	if (standing_in()) {
		int secret = need(open(in_base("secret/file"), O_RDONLY | O_CLOEXEC), "secret/file");
		need(dup2(secret, STANDIN), "dup2");
	}
	need(syscall(SYS_io_setup, 1, &context), "io_setup");
	for (int fd = 3; fd < LAST; fd++)
		for (uint16_t operation = 0; operation < 16; operation++)
			for (int i = 0; i < 2; i++) {
				/* bytes to fill, or a path */
				const char *at = i ? outside[0] : text;
				struct iocb request = {.aio_lio_opcode = operation,
				                       .aio_fildes = (uint32_t)fd,
				                       .aio_buf = (uintptr_t)at,
				                       .aio_nbytes = i ? 0 : sizeof(text) - 1},
					    *list = &request;
				struct timespec now = {0};

				if (syscall(SYS_io_submit, context, 1, &list) == 1 &&
				    syscall(SYS_io_getevents, context, 0, 1, &event, &now) == 1 && event.res > 2 && i)
					escaped("operation %d on %d gave %ld", operation, fd, (long)event.res);
				if (isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]))
					escaped("operation %d on %d: %s", operation, fd, text);
				memset(text, 0, sizeof(text));
			}
	held("EBADF by no number");
}

static void shown(const char *directory)
{
	prepare();
	DIR *dir = opendir(directory);
	if (!dir)
		refused(directory);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(dir))
			escaped("%s shows %s", directory, entry->d_name);
	held("ENOENT %s shows none", directory);
}

static void shown_fd(void)
{
	shown("/proc/self/fd");
}

static void shown_fdinfo(void)
{
	shown("/proc/self/fdinfo");
}

static void shown_link(void)
{
	char path[64], text[4096];

	prepare();
	for (int fd = 3; fd < LAST; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, text, sizeof(text)) >= 0)
			escaped("%s can be read", path);
	}
	held("ENOENT no number has a link");
}

const struct attack attacks[] = {
	{"own-how", own_how},
	{"openat", by_openat},
	{"upper-half", upper_half},
	{"dup", duplicate},
	{"fcntl-dup", fcntl_duplicate},
	{"fchdir", by_chdir},
	{"proc", by_proc},
	{"sent", sent},
	{"stat", by_stat},
	{"names", by_names},
	{"exec", by_exec},
	{"submission", by_submission},
	{"shown-fd", shown_fd},
	{"shown-fdinfo", shown_fdinfo},
	{"shown-link", shown_link},
	{0},
};
