/* Whose a new file is: set-group-id directories, umask and default ACLs, before and after a change of ids and groups. */
#include "observe.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum { OWN, FURTHER = 4711, OTHER = 4712, USER = 4713 };

static const char *name_of_gid(gid_t gid, gid_t own)
{
	return gid == own ? "own" : gid == FURTHER ? "further" : gid == OTHER ? "other" : gid ? "another" : "root";
}

static gid_t started_as;

static void show(const char *label, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		say(label, "%s", strerrorname_np(errno));
	else
		say(label, "%o uid %s gid %s", st.st_mode,
		    st.st_uid == USER       ? "user"
		    : st.st_uid == getuid() ? "own"
		                            : "another",
		    name_of_gid(st.st_gid, started_as));
}

/* Everything that makes a name, each under what the process is now. */
static void make(const char *dir)
{
	char path[128], label[160];
	struct sockaddr_un address = {.sun_family = AF_UNIX};

#define MADE(what, call)                                                                                               \
	do {                                                                                                           \
		snprintf(path, sizeof(path), "%s/%s", dir, what);                                                      \
		snprintf(label, sizeof(label), "%s in %s", what, dir);                                                 \
		errno = 0;                                                                                             \
		long made = (long)(call);                                                                              \
		if (made < 0)                                                                                          \
			result(label, made);                                                                           \
		else                                                                                                   \
			show(label, path);                                                                             \
		(void)!remove(path);                                                                                   \
	} while (0)

	MADE("file", close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0666)));
	MADE("set-id file", close(open(path, O_CREAT | O_EXCL | O_WRONLY, 06777)));
	MADE("directory", mkdir(path, 0777));
	MADE("set-group-id directory", mkdir(path, 02777));
	MADE("fifo", mkfifo(path, 0666));
	MADE("node", mknod(path, S_IFREG | 06777, 0));
	MADE("link", symlink("x", path));
	int s = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	MADE("socket", bind(s, (struct sockaddr *)&address, sizeof(address)));
	close(s);
	snprintf(path, sizeof(path), "%s", dir);
	int unnamed = open(dir, O_TMPFILE | O_RDWR, 06777);
	struct stat st;

	if (unnamed >= 0 && !fstat(unnamed, &st)) {
		snprintf(label, sizeof(label), "unnamed in %s", dir);
		say(label, "%o gid %s", st.st_mode, name_of_gid(st.st_gid, started_as));
		close(unnamed);
	}
#undef MADE
}

static void bits(const char *path)
{
	section("bits of set-id files");
	write_file(path, "text", 0);

#define LOSES(call)                                                                                                    \
	do {                                                                                                           \
		(void)chmod(path, 06777);                                                                              \
		ROW(call);                                                                                             \
		show("then", path);                                                                                    \
	} while (0)

	LOSES(chmod(path, 06777));
	LOSES(chmod(path, 02644));
	LOSES(chown(path, (uid_t)-1, (gid_t)-1));
	LOSES(chown(path, getuid(), (gid_t)-1));
	LOSES(lchown(path, (uid_t)-1, getgid()));
	LOSES(truncate(path, 2));
	int fd = (int)MUST(open(path, O_RDWR));

	LOSES(write(fd, "x", 1));
	LOSES(ftruncate(fd, 1));
	LOSES(fchown(fd, (uid_t)-1, getgid()));
	LOSES(fchmod(fd, 04711));
	LOSES(setxattr(path, "user.x", "y", 1, 0));
	LOSES(fallocate(fd, 0, 0, 10));
	LOSES(utimensat(AT_FDCWD, path, NULL, 0));
	close(fd);
	fd = (int)MUST(open(path, O_WRONLY | O_TRUNC));
	show("truncated by open", path);
	close(fd);
	ROW(unlink(path));
#undef LOSES
	ROW(mkdir("g", 0777));
	ROW(chmod("g", 02777));
	show("g", "g");
	ROW(chown("g", (uid_t)-1, getgid()));
	show("g", "g");
	ROW(chmod("g", 0777));
	show("g", "g");
	ROW(rmdir("g"));
}

/* user::rwx group::r-x other::--- and one more group, as the default of a directory (posix_acl_xattr.h). */
static void acl(void)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entry[5];
	} list = {2, {{1, 7, ~0u}, {4, 5, ~0u}, {8, 6, OTHER}, {16, 7, ~0u}, {32, 0, ~0u}}};
	char got[256];

	section("a default ACL");
	MUST(mkdir("acl", 0777));
	if (ROW(setxattr("acl", "system.posix_acl_default", &list, sizeof(list), 0)))
		return;
	make("acl");
	umask(077);
	make("acl");
	MUST(mkdir("acl/below", 0700));
	ROW(getxattr("acl/below", "system.posix_acl_default", got, sizeof(got)));
	ROW(getxattr("acl/below", "system.posix_acl_access", got, sizeof(got)));
	write_file("acl/file", "", 0640);
	ROW(getxattr("acl/file", "system.posix_acl_access", got, sizeof(got)));
	ROW(chmod("acl/file", 0600));
	show("file", "acl/file");
	ROW(getxattr("acl/file", "system.posix_acl_access", got, sizeof(got)));
	ROW(removexattr("acl", "system.posix_acl_default"));
	umask(022);
}

static void directories(void)
{
	make("plain");
	make("setgid");
	make("sticky");
}

/* In a child, which cannot become again what it was. */
static void as(const char *what, void (*body)(void))
{
	int status;
	pid_t child = (pid_t)MUST(fork());

	if (!child) {
		section(what);
		body();
		_exit(0);
	}
	MUST(waitpid(child, &status, 0));
	section(what);
	say("ended", "%04x", (unsigned)status);
}

static void with_masks(void)
{
	static const mode_t masks[] = {0, 02, 022, 077, 0777};

	for (size_t i = 0; i < COUNT(masks); i++) {
		char name[64];

		snprintf(name, sizeof(name), "umask %03o", masks[i]);
		section(name);
		umask(masks[i]);
		directories();
	}
	umask(022);
}

static void in_a_further_group(void)
{
	ROW(setgroups(1, (gid_t[]){FURTHER}));
	directories();
	bits("set-id");
}

static void with_another_effective_group(void)
{
	ROW(setegid(OTHER));
	directories();
	ROW(chown("plain", (uid_t)-1, FURTHER));
}

static void with_another_filesystem_group(void)
{
	ROW(setfsgid(OTHER));
	ROW(setfsgid((gid_t)-1) == OTHER);
	directories();
}

static void as_another_effective_user(void)
{
	ROW(setegid(OTHER));
	ROW(seteuid(USER));
	directories();
	ROW(chmod("plain", 0777));
	ROW(open("closed/file", O_RDONLY));
	ROW(access("closed/file", R_OK));
	ROW(faccessat(AT_FDCWD, "closed/file", R_OK, AT_EACCESS));
	ROW(seteuid(0));
	ROW(access("closed/file", R_OK));
	directories();
}

static void as_another_user_for_good(void)
{
	ROW(setgroups(2, (gid_t[]){FURTHER, OTHER}));
	ROW(setresgid(OTHER, OTHER, OTHER));
	ROW(setresuid(USER, USER, USER));
	ROW(setuid(0));
	ROW(setgroups(0, NULL));
	directories();
	bits("sticky/set-id");
	ROW(mkdir("sticky/own", 0700));
	ROW(chown("sticky/own", (uid_t)-1, FURTHER));
	show("given to a further group", "sticky/own");
	ROW(chmod("sticky/own", 02770));
	show("set-group-id", "sticky/own");
	ROW(chown("sticky/own", (uid_t)-1, started_as));
	ROW(chown("sticky/own", 0, (gid_t)-1));
	make("sticky/own");
	ROW(rmdir("sticky/own"));
	ROW(unlink("sticky/there"));
	ROW(rename("sticky/there", "sticky/then"));
}

int main(void)
{
	started_as = getegid();
	umask(0);
	static const struct {
		const char *name;
		mode_t mode;
	} made[] = {{"plain", 0777}, {"setgid", 02777}, {"sticky", 01777}, {"closed", 0700}};

	section("directories");
	for (size_t i = 0; i < COUNT(made); i++) {
		MUST(mkdir(made[i].name, 0700));
		if (!getuid())
			MUST(chown(made[i].name, 0, strcmp(made[i].name, "setgid") ? 0 : FURTHER));
		MUST(chmod(made[i].name, made[i].mode));
		show(made[i].name, made[i].name);
	}
	umask(022);
	write_file("closed/file", "", 0600);
	write_file("sticky/there", "", 0644);
	as("umask", with_masks);
	as("as started", directories);
	bits("set-id");
	acl();
	as("in a further group", in_a_further_group);
	as("with another effective group", with_another_effective_group);
	as("with another filesystem group", with_another_filesystem_group);
	if (!getuid()) {
		as("as another effective user", as_another_effective_user);
		as("as another user for good", as_another_user_for_good);
	}
	return 0;
}
