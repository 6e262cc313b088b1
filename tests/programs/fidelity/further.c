/* Calls on files that few programs make: advice, ranges, positions, notifications of directories, whiteouts, walks. */
#include "observe.h"

#include <fts.h>
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef SYS_cachestat /* Linux 6.5 */
#define SYS_cachestat 451
#endif

static void positions(int fd)
{
	char a[8] = "", b[8] = "";
	struct iovec two[] = {{a, 4}, {b, 4}}, many[IOV_MAX + 1];

	section("positions");
	ROW(readv(fd, two, 2));
	say("read", "%s %s", a, b);
	ROW(preadv(fd, two, 2, 3));
	say("read", "%s %s", a, b);
	ROW(preadv2(fd, two, 1, -1, 0));
	ROW(preadv2(fd, two, 1, 2, RWF_NOWAIT) != 0);
	ROW(preadv2(fd, two, 1, 2, 0x40000000));
	ROW(preadv(fd, two, 1, -1));
	ROW(lseek(fd, 0, SEEK_CUR));
	ROW(pwritev2(fd, two, 2, 0, RWF_APPEND));
	ROW(pwritev2(fd, two, 2, -1, RWF_DSYNC));
	ROW(lseek(fd, 0, SEEK_CUR));
	ROW(lseek(fd, 100, SEEK_DATA));
	ROW(lseek(fd, 0, SEEK_HOLE));
	ROW(lseek(fd, -1, SEEK_SET));
	ROW(lseek(fd, 0, 77));
	ROW(lseek(fd, LONG_MAX, SEEK_SET));
	ROW(write(fd, "x", 1));
	ROW(lseek(fd, 1 << 20, SEEK_SET));
	ROW(write(fd, "x", 1));
	ROW(lseek(fd, 4096, SEEK_DATA));
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct iovec){a, 0};
	ROW(writev(fd, many, IOV_MAX));
	ROW(writev(fd, many, IOV_MAX + 1));
	ROW(syscall(SYS_writev, fd, many, -1));
	ROW(syscall(SYS_readv, fd, 8L, 1));
	ROW(syscall(SYS_pread64, fd, 8L, 4, 0));
}

static void advice(int fd)
{
	uint64_t stat[5], range[2] = {0, 0};

	section("advice and ranges");
	ROW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	ROW(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	ROW(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
	ROW(posix_fadvise(fd, 0, 0, 77));
	ROW(readahead(fd, 0, 4096));
	ROW(readahead(99, 0, 4096));
	ROW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	ROW(sync_file_range(fd, 0, 0, 77));
	ROW(fsync(fd));
	ROW(fdatasync(fd));
	ROW(syncfs(fd));
	ROW(syncfs(99));
	long known = syscall(SYS_cachestat, fd, range, stat, 0);

	result("cachestat", known);
	ROW(syscall(SYS_cachestat, fd, 8L, stat, 0));
	ROW(syscall(SYS_cachestat, fd, range, stat, 77));
	ROW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 21));
	ROW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	ROW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
	ROW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	ROW(fallocate(fd, 0, 0, 0));
	ROW(fallocate(fd, 0, -1, 1));
	ROW(lseek(fd, 0, SEEK_END));
}

static volatile sig_atomic_t told, told_fd;

static void on_notify(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	told++;
	told_fd = info->si_fd;
}

static void show_told(const char *label, int fd)
{
	for (int i = 0; i < 2000 && !told; i++)
		usleep(1000);
	say(label, "%s%s", told ? "told" : "nothing", told && told_fd == fd ? " of the directory" : "");
	told = told_fd = 0;
}

static void directory_notify(void)
{
	struct sigaction sa = {.sa_sigaction = on_notify, .sa_flags = SA_SIGINFO | SA_RESTART};

	section("F_NOTIFY");
	MUST(mkdir("watched", 0700));
	int fd = (int)MUST(open("watched", O_RDONLY | O_DIRECTORY));

	MUST(sigaction(SIGRTMIN, &sa, NULL));
	ROW(fcntl(fd, F_SETSIG, SIGRTMIN));
	ROW(fcntl(fd, F_GETSIG) == SIGRTMIN);
	if (ROW(fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_RENAME | DN_ATTRIB | DN_MULTISHOT))) {
		close(fd);
		MUST(rmdir("watched"));
		return;
	}
	write_file("watched/a", "", 0600);
	show_told("made", fd);
	MUST(rename("watched/a", "watched/b"));
	show_told("renamed", fd);
	MUST(chmod("watched/b", 0644));
	show_told("changed", fd);
	MUST(unlink("watched/b"));
	show_told("removed", fd);
	ROW(fcntl(fd, F_NOTIFY, 0));
	ROW(fcntl(0, F_NOTIFY, DN_CREATE));
	close(fd);
	MUST(rmdir("watched"));
}

static void owners(void)
{
	struct f_owner_ex owner = {F_OWNER_PID, getpid()};
	uint64_t hint = 2;
	int fd = (int)MUST(open("file", O_RDWR));

	section("further commands of fcntl");
	ROW(fcntl(fd, F_SETOWN, getpid()));
	ROW(fcntl(fd, F_GETOWN) == getpid());
	ROW(fcntl(fd, F_SETOWN_EX, &owner));
	ROW(fcntl(fd, F_GETOWN_EX, &owner));
	say("owner", "%d %s", owner.type, owner.pid == getpid() ? "own" : "another");
	ROW(fcntl(fd, F_SETOWN, -getpgrp()));
	ROW(fcntl(fd, F_GETOWN_EX, &owner));
	say("owner", "%d %s", owner.type, owner.pid == getpgrp() ? "own" : "another");
	ROW(fcntl(fd, F_SETOWN, 0));
	ROW(fcntl(fd, F_SET_RW_HINT, &hint));
	ROW(fcntl(fd, F_GET_RW_HINT, &hint));
	ROW(hint);
	hint = 77;
	ROW(fcntl(fd, F_SET_RW_HINT, &hint));
	ROW(fcntl(fd, F_GETLEASE));
	ROW(fcntl(fd, F_GETPIPE_SZ));
	ROW(fcntl(fd, 77777));
	ROW(fcntl(99, 77777));
	close(fd);
}

static void renames(void)
{
	section("renames");
	write_file("from", "from", 0600);
	write_file("to", "to", 0600);
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_NOREPLACE | RENAME_EXCHANGE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_WHITEOUT | RENAME_EXCHANGE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", 0x80));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_NOREPLACE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "none", RENAME_EXCHANGE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_EXCHANGE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "from", RENAME_EXCHANGE));
	ROW(renameat2(AT_FDCWD, "from", AT_FDCWD, "from", RENAME_NOREPLACE));
	ROW(unlink("from"));
	ROW(unlink("to"));
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char label[256];

	if (strcmp(path, "tree/big") != 0) {
		snprintf(label, sizeof(label), "nftw %s", path);
		say(label, "type %d level %d base %d mode %o", type, at->level, at->base, st->st_mode);
	}
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void walks(void)
{
	char *top[] = {(char[]){"tree"}, NULL}, path[64], buffer[64];
	struct dirent **list;
	int n = 0;

	section("walks");
	MUST(mkdir("tree", 0755));
	MUST(mkdir("tree/d", 0755));
	MUST(mkdir("tree/closed", 0));
	write_file("tree/d/f", "", 0644);
	MUST(symlink("d", "tree/l"));
	MUST(symlink("none", "tree/dangling"));
	MUST(symlink("..", "tree/d/up"));
	FTS *walk = fts_open(top, FTS_LOGICAL | FTS_NOCHDIR, by_name);

	for (FTSENT *e; walk && (e = fts_read(walk));) {
		snprintf(path, sizeof(path), "fts %.50s", e->fts_path);
		say(path, "%d level %d", e->fts_info, e->fts_level);
	}
	say("fts_close", "%d", fts_close(walk));
	walk = fts_open(top, FTS_PHYSICAL, by_name);
	for (FTSENT *e; walk && (e = fts_read(walk));)
		n += e->fts_info == FTS_F || e->fts_info == FTS_SL;
	say("fts with chdir", "%d", n);
	fts_close(walk);
	ROW(nftw("tree/d", visit, 8, FTW_PHYS));
	n = (int)ROW(scandir("tree", &list, NULL, alphasort));
	for (int i = 0; i < n; i++) {
		say("entry", "%s type %d", list[i]->d_name, list[i]->d_type);
		free(list[i]);
	}
	int fd = (int)MUST(open("tree", O_RDONLY | O_DIRECTORY));

	ROW(syscall(SYS_getdents64, fd, buffer, 10));
	ROW(syscall(SYS_getdents64, fd, buffer, 24) > 0);
	ROW(syscall(SYS_getdents64, fd, 8L, sizeof(buffer)));
	ROW(syscall(SYS_getdents64, 0, buffer, sizeof(buffer)));
	ROW(read(fd, buffer, 1));
	ROW(pread(fd, buffer, 1, 0));
	ROW(write(fd, buffer, 1));
	ROW(ftruncate(fd, 0));
	ROW(fsync(fd));
	ROW(lseek(fd, 0, SEEK_SET));
	MUST(chmod("tree/closed", 0700));
}

int main(void)
{
	write_file("file", "0123456789abcdef", 0644);
	int fd = (int)MUST(open("file", O_RDWR));

	positions(fd);
	advice(fd);
	close(fd);
	directory_notify();
	owners();
	renames();
	walks();
	return 0;
}
