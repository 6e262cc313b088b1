/* Calls that start at a descriptor: each kind of descriptor, each kind of path, each set of flags. */
#include "tree.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>

static char buffer[4096];
static struct stat st;
static struct statx sx;
static const struct timespec stamps[2] = {{1000, 5}, {2000, 7}};
static const struct timeval stamps_us[2] = {{1000, 5}, {2000, 7}};
static char *const none[] = {NULL};
static int fd;
static const char *p;
static unsigned flags;

#define FLAGGED(X)                                                                                                     \
	X(false, syscall(SYS_newfstatat, fd, p, &st, flags))                                                           \
	X(false, syscall(SYS_statx, fd, p, flags, STATX_BASIC_STATS, &sx))                                             \
	X(false, syscall(SYS_faccessat2, fd, p, R_OK, flags))                                                          \
	X(true, syscall(SYS_unlinkat, fd, p, flags))                                                                   \
	X(true, syscall(SYS_linkat, fd, p, AT_FDCWD, "new", flags))                                                    \
	X(true, syscall(SYS_linkat, AT_FDCWD, "file", fd, p, flags))                                                   \
	X(true, syscall(SYS_fchownat, fd, p, -1, -1, flags))                                                           \
	X(true, syscall(452 /* fchmodat2 */, fd, p, 0750, flags))                                                      \
	X(true, syscall(SYS_utimensat, fd, p, stamps, flags))                                                          \
	X(true, syscall(SYS_utimensat, fd, p, NULL, flags))                                                            \
	X(false, syscall(464 /* getxattrat */, fd, p, flags, "user.none", &get, sizeof(get)))                          \
	X(false, syscall(465 /* listxattrat */, fd, p, flags, buffer, 100))                                            \
	X(false, syscall(SYS_execveat, fd, p, none, none, flags))

#define PLAIN(X)                                                                                                       \
	X(false, syscall(SYS_openat, fd, p, O_RDONLY))                                                                 \
	X(false, syscall(SYS_openat, fd, p, O_RDONLY | O_DIRECTORY))                                                   \
	X(true, syscall(SYS_openat, fd, p, O_WRONLY | O_CREAT, 0600))                                                  \
	X(false, syscall(SYS_faccessat, fd, p, W_OK))                                                                  \
	X(false, syscall(SYS_readlinkat, fd, p, buffer, 100))                                                          \
	X(true, syscall(SYS_mkdirat, fd, p, 0700))                                                                     \
	X(true, syscall(SYS_mknodat, fd, p, S_IFIFO | 0600, 0))                                                        \
	X(true, syscall(SYS_symlinkat, "to", fd, p))                                                                   \
	X(true, syscall(SYS_renameat, fd, p, AT_FDCWD, "new"))                                                         \
	X(true, syscall(SYS_renameat, AT_FDCWD, "file", fd, p))                                                        \
	X(true, syscall(SYS_fchmodat, fd, p, 0750))                                                                    \
	X(true, syscall(SYS_futimesat, fd, p, stamps_us))

/* By the descriptor alone. */
#define BARE(X)                                                                                                        \
	X(false, syscall(SYS_fstat, fd, &st))                                                                          \
	X(false, syscall(SYS_fchdir, fd))                                                                              \
	X(false, syscall(SYS_fstatfs, fd, buffer))                                                                     \
	X(false, syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) > 0)                                              \
	X(false, syscall(SYS_lseek, fd, 0, SEEK_CUR))                                                                  \
	X(true, syscall(SYS_fchmod, fd, 0751))                                                                         \
	X(true, syscall(SYS_fchown, fd, -1, -1))                                                                       \
	X(true, syscall(SYS_ftruncate, fd, 3))                                                                         \
	X(true, syscall(SYS_fsetxattr, fd, "user.y", "v", 1, 0))                                                       \
	X(false, syscall(SYS_fgetxattr, fd, "user.none", buffer, 10))                                                  \
	X(false, syscall(SYS_flistxattr, fd, buffer, 100))                                                             \
	X(true, syscall(SYS_fremovexattr, fd, "user.y"))                                                               \
	X(false, syscall(SYS_fsync, fd))                                                                               \
	X(false, syscall(SYS_read, fd, buffer, 0))                                                                     \
	X(false, syscall(SYS_fcntl, fd, F_GETFL))                                                                      \
	X(false, syscall(SYS_fcntl, fd, F_GETFD))                                                                      \
	X(false, (long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == -1 ? -1 : 0)                                 \
	X(false, syscall(SYS_getsockname, fd, buffer, &length))

static struct {
	uint64_t value;
	uint32_t size, flags;
} get;
static unsigned length;

#define RUN(effect, call)                                                                                              \
	snprintf(label, sizeof(label), "%s %s flags %#x | %s", #call, pname, flags, fname);                            \
	one(label, (errno = 0, call), effect);

static void open_all(void);

static void one(const char *label, long ret, bool changes)
{
	const char *shown = strstr(label, "SYS_") == label + 8 ? label + 12 : label;
	int error = errno;

	if (strstr(label, "newfstatat") && !ret)
		say(shown, "0 mode %o size %ld", st.st_mode, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size);
	else if (strstr(label, "SYS_open") && ret >= 0) {
		struct stat is;

		fstat((int)ret, &is);
		say(shown, "%ld mode %o", ret, is.st_mode);
		close((int)ret);
	} else {
		errno = error;
		result(shown, ret);
	}
	if (!ret && (strstr(label, "fchdir") || strstr(label, "SYS_chdir")))
		MUST(chdir(tree_path));
	if (changes && ret >= 0 && tree_settle(shown))
		open_all();
}

/* What is opened anew when the tree was, at the same numbers; -1: made once. */
static const struct {
	const char *name, *path;
	int how;
} opened[] = {
	{"directory", "dir", O_RDONLY},
	{"directory O_PATH", "dir", O_PATH},
	{"directory without search", "nosearch", O_RDONLY},
	{"directory of nothing O_PATH", "nodir", O_PATH},
	{"file", "file", O_RDWR},
	{"file to read", "file", O_RDONLY},
	{"file to write", "file", O_WRONLY},
	{"file O_PATH", "file", O_PATH},
	{"link O_PATH", "link", O_PATH | O_NOFOLLOW},
	{"fifo", "fifo", O_RDWR},
	{"fifo O_PATH", "fifo", O_PATH},
	{"socket O_PATH", "sock", O_PATH},
	{"unnamed file", ".", O_TMPFILE | O_RDWR},
};
enum { FIRST = 50, GONE = 80, GONER, PIPE, SOCKET, MEMORY, CLOSED = 99 };

static void keep_at(int number, int f)
{
	MUST(dup3(f, number, O_CLOEXEC));
	close(f);
}

static void open_all(void)
{
	for (size_t i = 0; i < COUNT(opened); i++) {
		close(FIRST + (int)i);
		int f = open(opened[i].path, opened[i].how, 0600);

		if (f >= 0)
			keep_at(FIRST + (int)i, f);
	}
}

static void kinds(void)
{
	static char absolute[PATH_MAX + 16];
	int pair[2];

	snprintf(absolute, sizeof(absolute), "%s/file", tree_path);
	MUST(mkdir("gone", 0700));
	keep_at(GONE, (int)MUST(open("gone", O_RDONLY)));
	MUST(rmdir("gone"));
	write_file("goner", "gone\n", 0600);
	keep_at(GONER, (int)MUST(open("goner", O_RDWR)));
	MUST(unlink("goner"));
	MUST(pipe(pair));
	keep_at(PIPE, pair[0]);
	close(pair[1]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	keep_at(SOCKET, pair[0]);
	close(pair[1]);
	keep_at(MEMORY, (int)MUST(memfd_create("m", 0)));
	open_all();
	struct {
		const char *name;
		int fd;
	} fds[COUNT(opened) + 11] = {
		{"AT_FDCWD", AT_FDCWD},
		{"removed directory", GONE},
		{"removed file", GONER},
		{"pipe", PIPE},
		{"socket", SOCKET},
		{"memory", MEMORY},
		{"closed", CLOSED},
		{"-1", -1},
		{"-2", -2},
		{"INT_MAX", INT_MAX},
		{"INT_MIN", INT_MIN},
	};
	for (size_t i = 0; i < COUNT(opened); i++) {
		fds[11 + i].name = opened[i].name;
		fds[11 + i].fd = FIRST + (int)i;
	}
	const struct {
		const char *path, *name;
	} paths[] = {
		{"a", NULL},       {"", "empty"},          {".", NULL},   {"..", NULL},
		{"../file", NULL}, {absolute, "absolute"}, {"new", NULL}, {"sub/", NULL},
		{"../none", NULL}, {NULL, "NULL"},
	};
	static const unsigned sets[] = {0,
	                                AT_EMPTY_PATH,
	                                AT_SYMLINK_NOFOLLOW,
	                                AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
	                                AT_SYMLINK_FOLLOW,
	                                AT_SYMLINK_FOLLOW | AT_EMPTY_PATH,
	                                AT_EACCESS,
	                                AT_NO_AUTOMOUNT,
	                                0x2000,
	                                0x6000,
	                                0x40000000};
	char label[300];

	get.size = 0;
	for (size_t f = 0; f < COUNT(fds); f++) {
		const char *fname = fds[f].name;

		fd = fds[f].fd;
		for (size_t i = 0; i < COUNT(paths); i++) {
			const char *pname = paths[i].name ? paths[i].name : paths[i].path;

			p = paths[i].path;
			for (size_t s = 0; s < COUNT(sets); s++) {
				flags = sets[s];
				FLAGGED(RUN)
			}
			flags = 0;
			PLAIN(RUN)
		}
		const char *pname = "alone";

		/* which some of these take for the current directory, by accident */
		if (fd == AT_FDCWD)
			continue;
		BARE(RUN)
	}
	tree_settle("all of them");
}

int main(void)
{
	tree_begin();
	kinds();
	return 0;
}
