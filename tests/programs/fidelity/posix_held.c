/* What is done through descriptors by who took on other credentials: those that were opened before, and after. */

#include "posix.h"

#include <sys/statvfs.h>
#include <sys/xattr.h>

static int file, dir, before_file, before_dir;

static void use(const char *whose)
{
	const struct timespec times[2] = {{1000, 1}, {2000, 2}};
	struct stat st;
	struct statvfs vfs;
	char text[64], proc[64];

	section(whose);
	ROW(fchmod(file, 0600));
	ROW(fchown(file, (uid_t)-1, (gid_t)-1));
	ROW(fchown(file, ALICE, ALICE));
	ROW(fchown(file, BOB, BOB));
	ROW(futimens(file, times));
	ROW(futimens(file, NULL));
	ROW(ftruncate(file, 3));
	ROW(fsetxattr(file, "user.one", "1", 1, 0));
	ROW(fgetxattr(file, "user.one", text, sizeof(text)));
	ROW(flistxattr(file, text, sizeof(text)));
	ROW(fremovexattr(file, "user.one"));
	ROW(fstatvfs(file, &vfs));
	ROW(fchmod(dir, 0777));
	ROW(mkdirat(dir, "sub", 0777));
	ROW(unlinkat(dir, "sub", AT_REMOVEDIR));
	ROW(symlinkat("to", dir, "ln"));
	ROW(readlinkat(dir, "ln", text, sizeof(text)));
	ROW(renameat(dir, "ln", dir, "moved"));
	ROW(fstatat(dir, "moved", &st, AT_SYMLINK_NOFOLLOW));
	ROW(unlinkat(dir, "moved", 0));
	ROW(mkfifoat(dir, "fifo", 0666));
	ROW(linkat(dir, "fifo", dir, "other", 0));
	ROW(fchmodat(dir, "fifo", 0600, 0));
	ROW(utimensat(dir, "fifo", times, 0));
	ROW(faccessat(dir, "fifo", W_OK, AT_EACCESS));
	ROW(unlinkat(dir, "fifo", 0));
	ROW(unlinkat(dir, "other", 0));
	ROW(fcntl(openat(dir, "new", O_CREAT | O_RDWR | O_CLOEXEC, 0644), F_GETFL));
	ROW(unlinkat(dir, "new", 0));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", file);
	ROW(readlink(proc, text, 1));
	ROW(fcntl(open(proc, O_RDONLY | O_CLOEXEC), F_GETFL));
	ROW(faccessat(AT_FDCWD, proc, F_OK, AT_EACCESS));
	ROW(chmod(proc, 0644));
	ROW(linkat(AT_FDCWD, proc, dir, "again", AT_SYMLINK_FOLLOW));
	ROW(unlinkat(dir, "again", 0));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/x", dir);
	ROW(mkdir(proc, 0777));
	ROW(rmdir(proc));
	ROW(fchdir(dir));
	ROW(mkdir("in-it", 0777));
	ROW(rmdir("in-it"));
	ROW(chdir(".."));
}

static void rows(void)
{
	static char name[80];
	const char *whose = current_section;

	/* of itself: the kernel gives such a process's /proc/PID to root, as it may hold what was read before */
	ROW(faccessat(AT_FDCWD, "/proc/self/environ", R_OK, AT_EACCESS));
	ROW(faccessat(AT_FDCWD, "/proc/self/maps", R_OK, AT_EACCESS));
	ROW(faccessat(AT_FDCWD, "/proc/self/cwd/.", X_OK, AT_EACCESS));
	file = before_file;
	dir = before_dir;
	snprintf(name, sizeof(name), "%s, opened before", whose);
	use(name);
	ROW(file = openat(AT_FDCWD, "own", O_CREAT | O_RDWR | O_CLOEXEC, 0640));
	ROW(mkdir("own-dir", 0755));
	ROW(dir = open("own-dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	snprintf(name, sizeof(name), "%s, opened after", whose);
	use(name);
}

/* Lookups that start at what is held ask for nothing on the way to it. */
static void rows_out_of_reach(void)
{
	struct stat st;
	char text[PATH_MAX];

	ROW(faccessat(AT_FDCWD, "closed/in", X_OK, AT_EACCESS));
	ROW(fstatat(before_dir, "it", &st, 0));
	ROW(fstatat(before_dir, ".", &st, 0));
	ROW(openat(before_dir, "it", O_RDWR | O_CLOEXEC));
	ROW(openat(before_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	ROW(openat(before_dir, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	ROW(readlinkat(before_dir, "ln", text, 8));
	ROW(mkdirat(before_dir, "sub", 0777));
	ROW(fchmodat(before_dir, "new", 0600, 0));
	ROW(renameat(before_dir, "new", before_dir, "newer"));
	ROW(unlinkat(before_dir, "newer", 0));
	ROW(fchmod(before_file, 0640));
	ROW(fchmod(before_dir, 0777));
	ROW(fchdir(before_dir));
	ROW(open("it", O_RDONLY | O_CLOEXEC));
	ROW(open("sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	ROW(stat("it", &st));
	ROW(mkdir("sub2", 0777));
	ROW(open("sub2/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	ROW(chdir("sub2"));
	ROW(open("new", O_WRONLY | O_CLOEXEC));
	ROW(unlink("new"));
	ROW(getcwd(text, sizeof(text)) ? 0 : -1);
}

static void out_of_reach(const struct who *who, enum way way)
{
	char name[80];

	fresh();
	MUST(mkdir("closed", 0777));
	MUST(mkdir("closed/in", 0777));
	write_file("closed/in/it", "text", 0666);
	MUST(symlink("it", "closed/in/ln"));
	give("closed/in/it", who->uid, who->gid);
	give("closed/in", who->uid, who->gid);
	before_file = (int)MUST(open("closed/in/it", O_RDWR | O_CLOEXEC));
	before_dir = (int)MUST(open("closed/in", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(chmod("closed", 0));
	snprintf(name, sizeof(name), "%s%s, out of reach", who->name, ways[way]);
	section(name);
	as(who, way, rows_out_of_reach);
	close(before_file);
	close(before_dir);
}

int main(void)
{
	static const struct who *const people[] = {&root_self, &alice, &bob_of_team};
	char name[80];

	begin();
	for (size_t p = 0; p < COUNT(people); p++)
		for (enum way way = EFFECTIVE; way <= FOR_GOOD; way++) {
			if (!people[p]->uid ? way : !privileged)
				continue;
			fresh();
			MUST(mkdir("d", 0777));
			write_file("f", "text", 0666);
			give("f", ALICE, ALICE);
			before_file = (int)MUST(open("f", O_RDWR | O_CLOEXEC));
			before_dir = (int)MUST(open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
			snprintf(name, sizeof(name), "%s%s", people[p]->name, ways[way]);
			section(name);
			as(people[p], way, rows);
			close(before_file);
			close(before_dir);
			if (people[p] != &bob_of_team)
				out_of_reach(people[p], way);
		}
	end();
	return 0;
}
