/* Which time stamps each call changes: of the file, of its directory, of a link on the way. */
#include "observe.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

static const char *const watched[] = {"d", "d/f", "d/l", "d/h", "e", "e/x", "d/new", "e/new", "d/s", "d/script"};
static char buffer[4096];
static struct stat st;
static int fd, dirfd_, other;

/* Long ago; ctime cannot be set, so it counts as changed if it is another than it was just before. */
static struct timespec changed[COUNT(watched)];

static void set_back(void)
{
	/* relatime: a reading shows if the access is not younger than the modification */
	static const struct timespec base[2] = {{100, 1}, {200, 2}};

	for (size_t i = 0; i < COUNT(watched); i++)
		(void)utimensat(AT_FDCWD, watched[i], base, AT_SYMLINK_NOFOLLOW);
	for (size_t i = 0; i < COUNT(watched); i++) {
		changed[i].tv_sec = 0;
		if (!lstat(watched[i], &st))
			changed[i] = st.st_ctim;
	}
	/* until the clock of files has gone on */
	struct timespec now, then;

	clock_gettime(CLOCK_REALTIME_COARSE, &then);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == then.tv_sec && now.tv_nsec == then.tv_nsec);
}

static void plant(void)
{
	MUST(mkdir("d", 0755));
	MUST(mkdir("e", 0755));
	MUST(mkdir("d/s", 0755));
	write_file("d/f", "text\n", 0644);
	write_file("d/script", "#!/bin/true\n", 0755);
	MUST(link("d/f", "d/h"));
	MUST(symlink("f", "d/l"));
	write_file("e/x", "other\n", 0644);
	fd = (int)MUST(open("d/f", O_RDWR));
	dirfd_ = (int)MUST(open("d", O_RDONLY));
	other = (int)MUST(open("e/x", O_RDWR));
}

static void uproot(void)
{
	static const char *const all[] = {"d/f", "d/h", "d/l", "e/x", "d/new", "e/new", "d/s/new", "e/s", "d/script"};

	close(fd), close(dirfd_), close(other);
	for (size_t i = 0; i < COUNT(all); i++)
		if (unlink(all[i]))
			rmdir(all[i]);
	rmdir("d/s");
	rmdir("d/new");
	rmdir("e/new");
	MUST(rmdir("d"));
	MUST(rmdir("e"));
}

static void look(const char *label)
{
	for (size_t i = 0; i < COUNT(watched); i++) {
		char line[300];

		if (lstat(watched[i], &st))
			continue;
		bool a = st.st_atim.tv_sec != 100 || st.st_atim.tv_nsec != 1,
		     m = st.st_mtim.tv_sec != 200 || st.st_mtim.tv_nsec != 2;
		bool c = st.st_ctim.tv_sec != changed[i].tv_sec || st.st_ctim.tv_nsec != changed[i].tv_nsec;

		if (!a && !m && !c)
			continue;
		snprintf(line, sizeof(line), "%s: %s", label, watched[i]);
		say(line, "%s%s%s", a ? "accessed " : "", m ? "modified " : "", c ? "changed" : "");
	}
}

static long list(const char *path)
{
	DIR *d = opendir(path);
	long n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n : -1;
}

static long run(const char *path)
{
	int status;
	pid_t pid = (pid_t)MUST(vfork());

	if (!pid) {
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	MUST(waitpid(pid, &status, 0));
	return status;
}

static long map_and_touch(int prot)
{
	char *at = mmap(NULL, 5, prot, MAP_SHARED, fd, 0);
	volatile char *touched = at;

	if (at == MAP_FAILED)
		return -1;
	if (prot & PROT_WRITE)
		touched[0] = 'T';
	else
		(void)touched[0];
	msync(at, 5, MS_SYNC);
	munmap(at, 5);
	return 0;
}

static off_t zero;
static const struct timespec stamps[2] = {{1000, 5}, {2000, 7}};

#define CALLS(X)                                                                                                       \
	X(stat("d/f", &st))                                                                                            \
	X(stat("d/l", &st))                                                                                            \
	X(access("d/f", R_OK))                                                                                         \
	X(close(open("d/f", O_RDONLY)))                                                                                \
	X(close(open("d/f", O_WRONLY)))                                                                                \
	X(close(open("d/f", O_WRONLY | O_TRUNC)))                                                                      \
	X(close(open("d/f", O_WRONLY | O_CREAT, 0644)))                                                                \
	X(close(open("d/new", O_WRONLY | O_CREAT, 0644)))                                                              \
	X(close(open("d/l", O_RDONLY)))                                                                                \
	X(close(open("d", O_TMPFILE | O_RDWR, 0644)))                                                                  \
	X(close(open("d/../d/./f", O_RDONLY)))                                                                         \
	X(list("d"))                                                                                                   \
	X(list("."))                                                                                                   \
	X(chdir("d") ? -1 : chdir(".."))                                                                               \
	X(readlink("d/l", buffer, sizeof(buffer)))                                                                     \
	X(read(fd, buffer, 3))                                                                                         \
	X(read(fd, buffer, 0))                                                                                         \
	X(write(fd, "w", 1))                                                                                           \
	X(write(fd, "", 0))                                                                                            \
	X(pread(fd, buffer, 3, 100))                                                                                   \
	X(ftruncate(fd, 2))                                                                                            \
	X(ftruncate(fd, 5))                                                                                            \
	X(truncate("d/f", 3))                                                                                          \
	X(truncate("d/f", 5))                                                                                          \
	X(fallocate(fd, 0, 0, 100))                                                                                    \
	X(map_and_touch(PROT_READ))                                                                                    \
	X(map_and_touch(PROT_READ | PROT_WRITE))                                                                       \
	X(sendfile(other, fd, &zero, 3))                                                                               \
	X(copy_file_range(fd, NULL, other, NULL, 3, 0))                                                                \
	X(chmod("d/f", 0600))                                                                                          \
	X(chmod("d/f", 0644))                                                                                          \
	X(fchmod(fd, 0600))                                                                                            \
	X(chown("d/f", -1, -1))                                                                                        \
	X(chown("d/f", getuid(), getgid()))                                                                            \
	X(lchown("d/l", getuid(), getgid()))                                                                           \
	X(utimensat(AT_FDCWD, "d/f", stamps, 0))                                                                       \
	X(utimensat(AT_FDCWD, "d/f", NULL, 0))                                                                         \
	X(utimensat(AT_FDCWD, "d/l", NULL, AT_SYMLINK_NOFOLLOW))                                                       \
	X(setxattr("d/f", "user.t", "1", 1, 0))                                                                        \
	X(getxattr("d/f", "user.t", buffer, 10))                                                                       \
	X(link("d/f", "e/new"))                                                                                        \
	X(symlink("f", "d/new"))                                                                                       \
	X(mkdir("d/new", 0755))                                                                                        \
	X(mknod("d/new", S_IFIFO | 0644, 0))                                                                           \
	X(unlink("d/f"))                                                                                               \
	X(unlink("d/l"))                                                                                               \
	X(rmdir("d/s"))                                                                                                \
	X(rename("d/f", "d/new"))                                                                                      \
	X(rename("d/f", "e/new"))                                                                                      \
	X(rename("d/f", "e/x"))                                                                                        \
	X(rename("d/f", "d/h"))                                                                                        \
	X(rename("d/s", "e/s"))                                                                                        \
	X(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "e/x", RENAME_EXCHANGE))                                                \
	X(run("d/script"))                                                                                             \
	X(run("d/f"))                                                                                                  \
	X(unlink("d/absent"))                                                                                          \
	X(mkdir("d/f", 0755))                                                                                          \
	X(rename("d/absent", "d/new"))

int main(void)
{
	struct statvfs vfs;

	umask(022);
	MUST(statvfs(".", &vfs));
	if (vfs.f_flag & (ST_NOATIME | ST_NODIRATIME))
		say("access times", "are not kept here");
#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		plant();                                                                                               \
		set_back();                                                                                            \
		errno = 0;                                                                                             \
		zero = 0;                                                                                              \
		result(#call, (long)(call));                                                                           \
		look(#call);                                                                                           \
		uproot();                                                                                              \
	} while (0);
	CALLS(TRY)
	return 0;
}
