/* What can be asked of a descriptor by itself where it lies beneath /proc, /dev, / or in nothing that has a name. */
#include "observe.h"

#include <sys/syscall.h>

static int fd;

static void all(const char *name)
{
	static const unsigned sets[] = {AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0};
	static char not_empty[] = "x";
	struct statx sx;
	struct stat st;

	for (size_t i = 0; i < COUNT(sets); i++) {
		say(name, "flags %#x", sets[i]);
		long done = ROW(syscall(SYS_statx, fd, "", sets[i], STATX_BASIC_STATS, &sx));

		if (!done)
			say("type", "%o", sx.stx_mode & S_IFMT);
		done += ROW(syscall(SYS_newfstatat, fd, "", &st, sets[i]));
		if (!done)
			say("alike", "%d %d %d", sx.stx_mode == st.st_mode, sx.stx_ino == st.st_ino,
			    sx.stx_nlink == st.st_nlink);
		ROW(syscall(SYS_faccessat2, fd, "", F_OK, sets[i]));
		ROW(syscall(SYS_faccessat2, fd, "", R_OK, sets[i]));
		ROW(syscall(SYS_statx, fd, not_empty, sets[i], STATX_BASIC_STATS, &sx));
		ROW(syscall(SYS_newfstatat, fd, not_empty, &st, sets[i]));
		ROW(syscall(SYS_faccessat2, fd, not_empty, F_OK, sets[i]));
		ROW(syscall(SYS_statx, fd, (void *)8, sets[i], STATX_BASIC_STATS, &sx));
		ROW(syscall(SYS_faccessat2, fd, (void *)8, F_OK, sets[i]));
		ROW(syscall(SYS_faccessat2, fd, NULL, F_OK, sets[i]));
	}
	ROW(syscall(SYS_openat, fd, "", O_RDONLY));
	ROW(syscall(SYS_openat, fd, not_empty, O_RDONLY));
	ROW(syscall(SYS_readlinkat, fd, not_empty, st.st_mode, 1));
	ROW(syscall(SYS_mkdirat, fd, "x/y", 0700));
	ROW(syscall(SYS_unlinkat, fd, "x/y", 0));
}

int main(void)
{
	static const char *const names[] = {
		"/proc/self/status",
		"/proc/self/maps",
		"/proc/self/fd",
		"/proc/self",
		"/proc/cpuinfo",
		"/proc",
		"/dev",
		"/dev/null",
		"/dev/urandom",
		"/",
		"/proc/self/exe",
		"/usr",
		"/etc/passwd",
	};
	for (size_t i = 0; i < COUNT(names); i++) {
		fd = (int)MUST(open(names[i], O_RDONLY | O_CLOEXEC));
		all(names[i]);
		close(fd);
	}
	/* of standard input, which was given to the program */
	fd = 0;
	all("standard input");
	return 0;
}
