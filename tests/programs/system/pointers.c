/*
 * Passes bad pointers, bad descriptors and bad flags to every system call that takes a path, and prints what came
 * back. Confined, the same must come back as natively: a supervisor that copies arguments has to fail as the kernel
 * does. Run in a directory that holds `file`, `dir` and `link` (to file).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CWD ((long)AT_FDCWD)

struct call {
	const char *name;
	long number;
	int first, second; /* which arguments are paths; -1: none */
	long args[6];
};

static char buffer[4096];
static struct {
	uint64_t flags, mode, resolve;
} how;
static struct timespec times[2];
static char abstract[128] = {1, 0, 0, 'x'}, named[128] = {1, 0, 'x'}; /* struct sockaddr_un, and what lies behind it */
#define BUF ((long)buffer)

/* clang-format off */
static const struct call calls[] = {
	{"open", SYS_open, 0, -1, {0, O_RDONLY}},
	{"open create", SYS_open, 0, -1, {0, O_CREAT | O_EXCL | O_WRONLY, 0600}},
	{"openat", SYS_openat, 1, -1, {CWD, 0, O_RDONLY}},
	{"openat path", SYS_openat, 1, -1, {CWD, 0, O_PATH}},
	{"openat2", SYS_openat2, 1, -1, {CWD, 0, (long)&how, sizeof(how)}},
	{"creat", SYS_creat, 0, -1, {0, 0600}},
	{"stat", SYS_stat, 0, -1, {0, BUF}},
	{"lstat", SYS_lstat, 0, -1, {0, BUF}},
	{"newfstatat", SYS_newfstatat, 1, -1, {CWD, 0, BUF, 0}},
	{"newfstatat empty", SYS_newfstatat, 1, -1, {CWD, 0, BUF, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW}},
	{"statx", SYS_statx, 1, -1, {CWD, 0, 0, 0x7ff, BUF}},
	{"access", SYS_access, 0, -1, {0, R_OK}},
	{"faccessat", SYS_faccessat, 1, -1, {CWD, 0, W_OK}},
	{"faccessat2", SYS_faccessat2, 1, -1, {CWD, 0, X_OK, AT_EACCESS}},
	{"readlink", SYS_readlink, 0, -1, {0, BUF, 100}},
	{"readlinkat", SYS_readlinkat, 1, -1, {CWD, 0, BUF, 100}},
	{"mkdir", SYS_mkdir, 0, -1, {0, 0700}},
	{"mkdirat", SYS_mkdirat, 1, -1, {CWD, 0, 0700}},
	{"rmdir", SYS_rmdir, 0, -1, {0}},
	{"unlink", SYS_unlink, 0, -1, {0}},
	{"unlinkat", SYS_unlinkat, 1, -1, {CWD, 0, 0}},
	{"rename", SYS_rename, 0, 1, {0}},
	{"renameat", SYS_renameat, 1, 3, {CWD, 0, CWD, 0}},
	{"renameat2", SYS_renameat2, 1, 3, {CWD, 0, CWD, 0, 1}},
	{"link", SYS_link, 0, 1, {0}},
	{"linkat", SYS_linkat, 1, 3, {CWD, 0, CWD, 0, AT_SYMLINK_FOLLOW}},
	{"symlink", SYS_symlink, 0, 1, {0}},
	{"symlinkat", SYS_symlinkat, 0, 2, {0, CWD, 0}},
	{"mknod", SYS_mknod, 0, -1, {0, S_IFREG | 0600, 0}},
	{"mknodat", SYS_mknodat, 1, -1, {CWD, 0, S_IFIFO | 0600, 0}},
	{"chmod", SYS_chmod, 0, -1, {0, 0600}},
	{"fchmodat", SYS_fchmodat, 1, -1, {CWD, 0, 0600}},
	{"fchmodat2", SYS_fchmodat2, 1, -1, {CWD, 0, 0600, 0}},
	{"chown", SYS_chown, 0, -1, {0, -1, -1}},
	{"lchown", SYS_lchown, 0, -1, {0, -1, -1}},
	{"fchownat", SYS_fchownat, 1, -1, {CWD, 0, -1, -1, 0}},
	{"utime", SYS_utime, 0, -1, {0, 0}},
	{"utimes", SYS_utimes, 0, -1, {0, 0}},
	{"futimesat", SYS_futimesat, 1, -1, {CWD, 0, 0}},
	{"utimensat", SYS_utimensat, 1, -1, {CWD, 0, (long)times, 0}},
	{"truncate", SYS_truncate, 0, -1, {0, 1}},
	{"chdir", SYS_chdir, 0, -1, {0}},
	{"statfs", SYS_statfs, 0, -1, {0, BUF}},
	{"getxattr", SYS_getxattr, 0, -1, {0, (long)"user.none", BUF, 10}},
	{"lgetxattr", SYS_lgetxattr, 0, -1, {0, (long)"user.none", BUF, 10}},
	{"setxattr", SYS_setxattr, 0, -1, {0, (long)"user.none", BUF, 1, 2}},
	{"lsetxattr", SYS_lsetxattr, 0, -1, {0, (long)"user.none", BUF, 1, 2}},
	{"listxattr", SYS_listxattr, 0, -1, {0, BUF, 100}},
	{"llistxattr", SYS_llistxattr, 0, -1, {0, BUF, 100}},
	{"removexattr", SYS_removexattr, 0, -1, {0, (long)"user.none"}},
	{"lremovexattr", SYS_lremovexattr, 0, -1, {0, (long)"user.none"}},
	{"execve", SYS_execve, 0, -1, {0, 0, 0}},
	{"execveat", SYS_execveat, 1, -1, {CWD, 0, 0, 0, 0}},
};

/* Good paths, and something else that is wrong. */
static const struct call others[] = {
	{"stat into nowhere", SYS_stat, -1, -1, {(long)"file", 8}},
	{"newfstatat into nowhere", SYS_newfstatat, -1, -1, {CWD, (long)"file", 8, 0}},
	{"newfstatat with unknown flags", SYS_newfstatat, -1, -1, {CWD, (long)"file", BUF, 0x40000000}},
	{"statx into nowhere", SYS_statx, -1, -1, {CWD, (long)"file", 0, 0x7ff, 8}},
	{"statx with unknown flags", SYS_statx, -1, -1, {CWD, (long)"file", 0x40000000, 0x7ff, BUF}},
	{"statx with a reserved mask", SYS_statx, -1, -1, {CWD, (long)"file", 0, 0x80000000, BUF}},
	{"statx with both sync flags", SYS_statx, -1, -1, {CWD, (long)"file", 0x6000, 0x7ff, BUF}},
	{"readlink into nowhere", SYS_readlink, -1, -1, {(long)"link", 8, 100}},
	{"readlink of no link", SYS_readlink, -1, -1, {(long)"file", BUF, 100}},
	{"readlink of size 0", SYS_readlink, -1, -1, {(long)"link", BUF, 0}},
	{"readlink of a negative size", SYS_readlink, -1, -1, {(long)"link", BUF, -1}},
	{"readlink that is cut", SYS_readlink, -1, -1, {(long)"link", BUF, 2}},
	{"statfs into nowhere", SYS_statfs, -1, -1, {(long)"file", 8}},
	{"getcwd into nowhere", SYS_getcwd, -1, -1, {8, 4096}},
	{"getcwd of size 1", SYS_getcwd, -1, -1, {BUF, 1}},
	{"openat on a closed descriptor", SYS_openat, -1, -1, {99, (long)"file", 0}},
	{"openat on descriptor -1", SYS_openat, -1, -1, {-1, (long)"file", 0}},
	{"openat of an absolute path on a closed descriptor", SYS_openat, -1, -1, {99, (long)"/", O_DIRECTORY}},
	{"openat with a dirty upper half", SYS_openat, -1, -1, {0x1234567800000000 | 0xffffff9c, (long)"absent", 0}},
	{"openat on a file", SYS_openat, -1, -1, {3, (long)"x", 0}},
	{"open of a file as a directory", SYS_open, -1, -1, {(long)"file", O_DIRECTORY}},
	{"open of a directory for writing", SYS_open, -1, -1, {(long)"dir", O_WRONLY}},
	{"open beneath a file", SYS_open, -1, -1, {(long)"file/x", 0}},
	{"open of a file with a slash", SYS_open, -1, -1, {(long)"file/", 0}},
	{"open of a link that may not be followed", SYS_open, -1, -1, {(long)"link", O_NOFOLLOW}},
	{"open of an existing file, exclusively", SYS_open, -1, -1, {(long)"file", O_CREAT | O_EXCL | O_WRONLY, 0600}},
	{"open to create a directory", SYS_open, -1, -1, {(long)"new/", O_CREAT | O_WRONLY, 0600}},
	{"openat2 with a bad how", SYS_openat2, -1, -1, {CWD, (long)"file", 8, 24}},
	{"openat2 with a short how", SYS_openat2, -1, -1, {CWD, (long)"file", (long)&how, 16}},
	{"openat2 with a huge how", SYS_openat2, -1, -1, {CWD, (long)"file", (long)&how, 1 << 20}},
	{"faccessat2 with unknown flags", SYS_faccessat2, -1, -1, {CWD, (long)"file", 0, 0x40000000}},
	{"access with an unknown mode", SYS_access, -1, -1, {(long)"file", 0xff}},
	{"unlinkat with unknown flags", SYS_unlinkat, -1, -1, {CWD, (long)"absent", 0x40000000}},
	{"unlink of a directory", SYS_unlink, -1, -1, {(long)"dir"}},
	{"rmdir of a file", SYS_rmdir, -1, -1, {(long)"file"}},
	{"rmdir of .", SYS_rmdir, -1, -1, {(long)"."}},
	{"rmdir of dir/..", SYS_rmdir, -1, -1, {(long)"dir/.."}},
	{"mkdir of an existing name", SYS_mkdir, -1, -1, {(long)"file", 0700}},
	{"mkdir of .", SYS_mkdir, -1, -1, {(long)".", 0700}},
	{"mkdir over a link", SYS_mkdir, -1, -1, {(long)"link", 0700}},
	{"symlink over an existing name", SYS_symlink, -1, -1, {(long)"x", (long)"file"}},
	{"symlink with an empty text", SYS_symlink, -1, -1, {(long)"", (long)"new"}},
	{"link of a directory", SYS_link, -1, -1, {(long)"dir", (long)"new"}},
	{"link over an existing name", SYS_link, -1, -1, {(long)"file", (long)"link"}},
	{"linkat with unknown flags", SYS_linkat, -1, -1, {CWD, (long)"file", CWD, (long)"new", 0x40000000}},
	{"rename of a directory into itself", SYS_rename, -1, -1, {(long)"dir", (long)"dir/new"}},
	{"rename of a file over a directory", SYS_rename, -1, -1, {(long)"file", (long)"dir"}},
	{"rename of a directory over a file", SYS_rename, -1, -1, {(long)"dir", (long)"file"}},
	{"rename of .", SYS_rename, -1, -1, {(long)".", (long)"new"}},
	{"renameat2 with unknown flags", SYS_renameat2, -1, -1, {CWD, (long)"file", CWD, (long)"new", 0x100}},
	{"renameat2 that replaces nothing", SYS_renameat2, -1, -1, {CWD, (long)"file", CWD, (long)"link", 1}},
	{"renameat2 with flags that exclude each other", SYS_renameat2, -1, -1, {CWD, (long)"file", CWD, (long)"x", 3}},
	{"mknodat of a directory", SYS_mknodat, -1, -1, {CWD, (long)"new", S_IFDIR | 0700, 0}},
	{"mknodat of an unknown type", SYS_mknodat, -1, -1, {CWD, (long)"new", 0170000, 0}},
	{"fchmodat2 with unknown flags", SYS_fchmodat2, -1, -1, {CWD, (long)"file", 0600, 0x40000000}},
	{"fchownat with unknown flags", SYS_fchownat, -1, -1, {CWD, (long)"file", -1, -1, 0x40000000}},
	{"fchownat of the empty path", SYS_fchownat, -1, -1, {3, (long)"", -1, -1, AT_EMPTY_PATH}},
	{"utimensat with bad times", SYS_utimensat, -1, -1, {CWD, (long)"file", 8, 0}},
	{"utimensat with unknown flags", SYS_utimensat, -1, -1, {CWD, (long)"file", 0, 0x40000000}},
	{"utimensat on a closed descriptor", SYS_utimensat, -1, -1, {99, 0, 0, 0}},
	{"truncate of a directory", SYS_truncate, -1, -1, {(long)"dir", 0}},
	{"truncate to a negative length", SYS_truncate, -1, -1, {(long)"file", -1}},
	{"ftruncate of a read-only descriptor", SYS_ftruncate, -1, -1, {3, 0}},
	{"chdir to a file", SYS_chdir, -1, -1, {(long)"file"}},
	{"fchdir to a file", SYS_fchdir, -1, -1, {3}},
	{"getdents64 of a file", SYS_getdents64, -1, -1, {3, BUF, 4096}},
	{"getdents64 into nowhere", SYS_getdents64, -1, -1, {4, 8, 4096}},
	{"getxattr with a bad name", SYS_getxattr, -1, -1, {(long)"file", 8, BUF, 10}},
	{"getxattr with an empty name", SYS_getxattr, -1, -1, {(long)"file", (long)"", BUF, 10}},
	{"setxattr with a bad value", SYS_setxattr, -1, -1, {(long)"file", (long)"user.x", 8, 10, 0}},
	{"setxattr with unknown flags", SYS_setxattr, -1, -1, {(long)"file", (long)"user.x", BUF, 1, 0x100}},
	{"execve of a file that may not run", SYS_execve, -1, -1, {(long)"file", 0, 0}},
	{"execve of a directory", SYS_execve, -1, -1, {(long)"dir", 0, 0}},
	{"execve with bad arguments", SYS_execve, -1, -1, {(long)"/bin/true", 8, 0}},
	{"execve with a bad environment", SYS_execve, -1, -1, {(long)"/bin/true", 0, 8}},
	{"execveat with unknown flags", SYS_execveat, -1, -1, {CWD, (long)"/bin/true", 0, 0, 0x40000000}},
	{"socketpair into nowhere", SYS_socketpair, -1, -1, {1, 1, 0, 8}},
	{"connect with a bad address", SYS_connect, -1, -1, {5, 8, 16}},
	{"connect with an address that is too long", SYS_connect, -1, -1, {5, BUF, 4096}},
	{"connect with an address of length 0", SYS_connect, -1, -1, {5, BUF, 0}},
	{"connect on no socket", SYS_connect, -1, -1, {3, BUF, 16}},
	{"bind with a bad address", SYS_bind, -1, -1, {5, 8, 16}},
	{"bind on a closed descriptor", SYS_bind, -1, -1, {99, BUF, 16}},
	{"bind to an abstract address that is too long", SYS_bind, -1, -1, {5, (long)abstract, 111}},
	{"bind to an abstract address that is far too long", SYS_bind, -1, -1, {5, (long)abstract, 128}},
	{"connect to an abstract address that is too long", SYS_connect, -1, -1, {5, (long)abstract, 128}},
	{"connect to a path that is too long for an address", SYS_connect, -1, -1, {5, (long)named, 128}},
	{"sendmsg with a bad header", SYS_sendmsg, -1, -1, {5, 8, 0}},
	{"sendto with a bad buffer", SYS_sendto, -1, -1, {5, 8, 10, 0, 0, 0}},
};
/* clang-format on */

static void show(const char *name, const char *what, int slot, long number, const long a[6])
{
	errno = 0;
	long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	int error = errno;

	/* A descriptor that was opened against expectation must not change the numbers of those that follow. */
	if (result > 2 && (number == SYS_open || number == SYS_openat || number == SYS_openat2 || number == SYS_creat))
		close((int)result);
	printf("%s", name);
	if (what)
		printf(", argument %d %s", slot, what);
	printf(": %ld %s\n", result, result < 0 ? strerrorname_np(error) : "");
}

int main(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, (size_t)(4 * page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + page, (size_t)page, PROT_NONE) || munmap(map + 3 * page, (size_t)page))
		return 2;
	char *at_page_end = map + page - 4; /* four bytes and no NUL before memory that cannot be read */
	memcpy(at_page_end, "file", 4);
	char *fits = map + 3 * page - 7; /* the NUL is the last byte that can be read */
	memcpy(fits, "absent", 7);
	static char long_path[5000], long_name[300];
	memset(long_path, 'x', sizeof(long_path) - 1);
	memset(long_name, 'y', sizeof(long_name) - 1);

	const struct {
		const char *what;
		const char *pointer;
	} bad[] = {
		{"NULL", NULL},
		{"on the zero page", (char *)8},
		{"not mapped", map + 3 * page},
		{"not readable", map + page},
		{"running off a page", at_page_end},
		{"in the kernel", (char *)0xffff888000000000},
		{"not canonical", (char *)0x8000000000000000},
		{"at the end of the address space", (char *)-1},
		{"ending with its page", fits},
		{"empty", ""},
		{"absent", "absent"},
		{"beneath an absent directory", "absent/absent"},
		{"beneath a file", "file/absent"},
		{"too long", long_path},
		{"too long a name", long_name},
	};

	if (open("file", O_RDONLY) != 3 || open("dir", O_RDONLY | O_DIRECTORY) != 4)
		return 2;
	if (syscall(SYS_socket, 1, 1, 0) != 5)
		return 2;
	for (size_t i = 0; i < COUNT(calls); i++) {
		const int slots[] = {calls[i].first, calls[i].second};

		for (int s = 0; s < 2; s++) {
			for (size_t b = 0; slots[s] >= 0 && b < COUNT(bad); b++) {
				long args[6];

				memcpy(args, calls[i].args, sizeof(args));
				if (calls[i].second >= 0)
					args[slots[!s]] = (long)"absent/other";
				args[slots[s]] = (long)bad[b].pointer;
				show(calls[i].name, bad[b].what, slots[s], calls[i].number, args);
				/* What a good path made is taken away, so that each line stands alone. */
				(void)!rmdir("absent");
				(void)!unlink("absent");
			}
		}
	}
	for (size_t i = 0; i < COUNT(others); i++)
		show(others[i].name, NULL, 0, others[i].number, others[i].args);
	return 0;
}
