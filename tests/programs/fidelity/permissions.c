/*
 * Who may do what: modes of directories and files against owner, group, supplementary group and others; sticky and
 * set-gid directories; and the credentials of a root that takes on others' for a while, in each of the ways there are.
 */
#include "observe.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static bool root;

/* Whom the file that is tried belongs to: owner 1000, group 2000. */
struct who {
	const char *name;
	uid_t uid;
	gid_t gid, extra;
};
static const struct who everybody[] = {
	{"owner", 1000, 3000, 3000},
	{"group", 1001, 2000, 3000},
	{"further group", 1001, 3000, 2000},
	{"another", 1001, 3000, 3000},
};

static void become(const struct who *who)
{
	if (!root)
		return;
	MUST(setgroups(1, &who->extra));
	MUST(setegid(who->gid));
	MUST(seteuid(who->uid));
}

static void be_root(void)
{
	if (!root)
		return;
	MUST(seteuid(0));
	MUST(setegid(0));
	MUST(setgroups(0, NULL));
}

static void own(const char *path)
{
	if (root)
		MUST(lchown(path, 1000, 2000));
}

static void clear_dir(const char *dir)
{
	char path[600];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlink(path))
			rmdir(path);
	}
	if (d)
		closedir(d);
}

static bool dirty = true;

/* d: the directory that is tried, with a file of the owner and one of somebody else in it */
static void prepare(mode_t dir, mode_t file)
{
	be_root();
	if (!dirty) {
		MUST(chmod("d", dir));
		return;
	}
	dirty = false;
	(void)mkdir("d", 0700);
	MUST(chmod("d", 0700));
	clear_dir("d");
	clear_dir("e");
	(void)unlink("moved");
	write_file("d/f", "text\n", 0600);
	own("d/f");
	MUST(chmod("d/f", file));
	write_file("d/g", "text\n", 0666);
	if (root)
		MUST(chown("d/g", 1002, 1002));
	MUST(mkdir("d/s", 0755));
	own("d/s");
	MUST(symlink("f", "d/l"));
	own("d/l");
	own("d");
	write_file("e/mine", "mine\n", 0644);
	MUST(chmod("d", dir));
}

static struct stat st;
static char buffer[200];
static const struct timespec stamps[2] = {{1000, 5}, {2000, 7}};

static long open_and_close(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

#define IN_DIRECTORY(X)                                                                                                \
	X(stat("d/f", &st))                                                                                            \
	X(access("d/f", F_OK))                                                                                         \
	X(open_and_close("d", O_RDONLY))                                                                               \
	X(open_and_close("d", O_PATH))                                                                                 \
	X(open_and_close("d/.", O_RDONLY))                                                                             \
	X(open_and_close("d/f", O_RDONLY))                                                                             \
	X(open_and_close("d/absent", O_RDONLY))                                                                        \
	X(open_and_close("d/new", O_CREAT | O_WRONLY))                                                                 \
	X(open_and_close("d/f", O_CREAT | O_EXCL | O_WRONLY))                                                          \
	X(open_and_close("d", O_TMPFILE | O_RDWR))                                                                     \
	X(mkdir("d/new", 0755))                                                                                        \
	X(mkdir("d/f", 0755))                                                                                          \
	X(mknod("d/new", S_IFIFO | 0644, 0))                                                                           \
	X(symlink("x", "d/new"))                                                                                       \
	X(link("d/f", "d/new"))                                                                                        \
	X(link("d/f", "e/new"))                                                                                        \
	X(link("d/g", "e/new"))                                                                                        \
	X(unlink("d/f"))                                                                                               \
	X(unlink("d/g"))                                                                                               \
	X(unlink("d/absent"))                                                                                          \
	X(unlink("d/s"))                                                                                               \
	X(rmdir("d/s"))                                                                                                \
	X(rmdir("d/f"))                                                                                                \
	X(rename("d/f", "d/new"))                                                                                      \
	X(rename("d/g", "d/new"))                                                                                      \
	X(rename("d/f", "d/g"))                                                                                        \
	X(rename("d/g", "d/f"))                                                                                        \
	X(rename("d/f", "e/new"))                                                                                      \
	X(rename("e/mine", "d/new"))                                                                                   \
	X(rename("d/s", "e/new"))                                                                                      \
	X(renameat2(AT_FDCWD, "d/f", AT_FDCWD, "d/g", RENAME_EXCHANGE))                                                \
	X(readlink("d/l", buffer, sizeof(buffer)))                                                                     \
	X(chdir("d") ? -1 : chdir(".."))                                                                               \
	X(chmod("d", 0755))                                                                                            \
	X(chown("d", -1, 2000))                                                                                        \
	X(utimensat(AT_FDCWD, "d", NULL, 0))                                                                           \
	X(utimensat(AT_FDCWD, "d", stamps, 0))                                                                         \
	X(setxattr("d", "user.x", "1", 1, 0))

#define ON_FILE(X)                                                                                                     \
	X(open_and_close("d/f", O_RDONLY))                                                                             \
	X(open_and_close("d/f", O_WRONLY))                                                                             \
	X(open_and_close("d/f", O_RDWR))                                                                               \
	X(open_and_close("d/f", O_RDONLY | O_TRUNC))                                                                   \
	X(open_and_close("d/f", O_WRONLY | O_CREAT))                                                                   \
	X(open_and_close("d/f", O_RDONLY | O_NOATIME))                                                                 \
	X(open_and_close("d/f", O_PATH))                                                                               \
	X(access("d/f", R_OK))                                                                                         \
	X(access("d/f", W_OK))                                                                                         \
	X(access("d/f", X_OK))                                                                                         \
	X(faccessat(AT_FDCWD, "d/f", R_OK, AT_EACCESS))                                                                \
	X(faccessat(AT_FDCWD, "d/f", W_OK | X_OK, AT_EACCESS))                                                         \
	X(truncate("d/f", 2))                                                                                          \
	X(chmod("d/f", 0755))                                                                                          \
	X(chmod("d/f", 06777))                                                                                         \
	X(chown("d/f", 1000, -1))                                                                                      \
	X(chown("d/f", 1001, -1))                                                                                      \
	X(chown("d/f", -1, 2000))                                                                                      \
	X(chown("d/f", -1, 3000))                                                                                      \
	X(lchown("d/l", -1, 3000))                                                                                     \
	X(utimensat(AT_FDCWD, "d/f", NULL, 0))                                                                         \
	X(utimensat(AT_FDCWD, "d/f", stamps, 0))                                                                       \
	X(utimensat(AT_FDCWD, "d/l", stamps, AT_SYMLINK_NOFOLLOW))                                                     \
	X(setxattr("d/f", "user.x", "1", 1, 0))                                                                        \
	X(getxattr("d/f", "user.none", buffer, 10))                                                                    \
	X(listxattr("d/f", buffer, sizeof(buffer)))                                                                    \
	X(link("d/f", "d/new"))                                                                                        \
	X(execve("d/f", (char *[]){NULL}, (char *[]){NULL}))

static void directories(void)
{
	static const mode_t specials[] = {0, 01000, 02000}, tried[] = {0, 1, 3, 5, 7};
	char label[200];

	section("in a directory");
	for (size_t w = 0; w < (root ? COUNT(everybody) : 1); w += 1 + (w == 0)) /* groups by their modes, once */
		for (size_t s = 0; s < COUNT(specials); s++)
			for (size_t b = 0; b < COUNT(tried); b++) {
				mode_t bits = tried[b];

				if (specials[s] && bits != 7)
					continue;
				/* all classes alike but the owner's, who would be taken for the group or others */
				mode_t mode = specials[s] | bits << 6 | bits << 3 | bits;

#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		prepare(mode, 0644);                                                                                   \
		snprintf(label, sizeof(label), "%s, %05o, %s", everybody[w].name, mode, #call);                        \
		if (root)                                                                                              \
			MUST(chown("e/mine", everybody[w].uid, -1));                                                   \
		become(&everybody[w]);                                                                                 \
		errno = 0;                                                                                             \
		dirty |= result(label, (long)(call)) >= 0;                                                             \
		be_root();                                                                                             \
		if (!lstat("d/new", &st))                                                                              \
			say(label, "%o %u:%u", st.st_mode, st.st_uid, st.st_gid);                                      \
	} while (0);
				IN_DIRECTORY(TRY)
			}
}

static void files(void)
{
	static const mode_t tried[] = {0, 1, 2, 4, 6};
	char label[200];

	section("on a file");
	for (size_t w = 0; w < (root ? COUNT(everybody) : 1); w++)
		for (size_t b = 0; b < COUNT(tried); b++)
			for (int own_class = 0; own_class < 2; own_class++) {
				/* only the class of who tries it, or every other one */
				mode_t bits = tried[b];
				unsigned shift = everybody[w].uid == 1000 ? 6 : w == 3 ? 0 : 3;
				dirty = true;
				mode_t mode = own_class ? bits << shift
				                        : 0777 & ~(7u << shift) & ~(~bits << shift & 7u << shift);

#define TRY_FILE(call)                                                                                                 \
	do {                                                                                                           \
		prepare(0777, mode);                                                                                   \
		snprintf(label, sizeof(label), "%s, %04o, %s", everybody[w].name, mode, #call);                        \
		become(&everybody[w]);                                                                                 \
		errno = 0;                                                                                             \
		dirty |= result(label, (long)(call)) >= 0;                                                             \
		be_root();                                                                                             \
		MUST(lstat("d/f", &st));                                                                               \
		say(label, "%o %u:%u", st.st_mode, st.st_uid, st.st_gid);                                              \
	} while (0);
				ON_FILE(TRY_FILE)
			}
}

/* --- the ways in which root takes on other credentials --- */

static void made(const char *label)
{
	int fd = open("d/new", O_CREAT | O_EXCL | O_WRONLY, 0666);

	result(label, fd < 0 ? -1 : 0);
	if (fd >= 0)
		close(fd);
	result(label, open_and_close("d/f", O_RDONLY));
	result(label, mkdir("d/newdir", 0777));
	result(label, symlink("x", "d/newlink"));
	result(label, mknod("d/newfifo", S_IFIFO | 0666, 0));
	result(label, unlink("d/g"));
	result(label, chmod("d/f", 0640));
	result(label, chown("d/f", -1, 2000));
	result(label, access("d/f", R_OK));
	result(label, faccessat(AT_FDCWD, "d/f", R_OK, AT_EACCESS));
}

static void capabilities(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	MUST(syscall(SYS_capget, &header, data));
	data[0].permitted &= (uint32_t)permitted;
	data[0].effective = data[0].permitted & (uint32_t)effective;
	data[1].effective = data[1].permitted = 0;
	data[0].inheritable = data[1].inheritable = 0;
	MUST(syscall(SYS_capset, &header, data));
}

static void ways(void)
{
	static const char *const names[] = {
		"root",   "seteuid",  "setegid",  "setgroups",       "setresuid",           "setreuid",
		"setuid", "setfsuid", "setfsgid", "no DAC_OVERRIDE", "no CHOWN and FOWNER", "no capabilities",
		"umask",  "and back", "keepcaps",
	};

	section("credentials");
	for (size_t i = 0; i < COUNT(names); i++)
		for (int private = 0; private < 2; private ++) {
			int status;
			char label[100];

			dirty = true;
			prepare(private ? 0700 : 0777, 0600);
			snprintf(label, sizeof(label), "%s, %s directory", names[i], private ? "a private" : "an open");
			pid_t pid = (pid_t)MUST(fork());

			if (!pid) {
				gid_t groups[] = {2000, 2001};

				switch (i) {
				case 1:
					MUST(seteuid(1000));
					break;
				case 2:
					MUST(setegid(2000));
					break;
				case 3:
					MUST(setgroups(2, groups));
					MUST(setegid(3000));
					MUST(seteuid(1001));
					break;
				case 4:
					MUST(setresuid(1000, 1001, 1002));
					break;
				case 5:
					MUST(setregid(3000, 2000));
					MUST(setreuid(1000, 1001));
					break;
				case 6:
					MUST(setgid(2000));
					MUST(setuid(1000));
					break;
				case 7:
					setfsuid(1000);
					break;
				case 8:
					setfsgid(2000);
					break;
				case 9:
					capabilities(~(UINT64_C(1) << CAP_DAC_OVERRIDE), ~UINT64_C(0));
					break;
				case 10:
					capabilities(~(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_FOWNER),
					             ~UINT64_C(0));
					break;
				case 11:
					capabilities(0, 0);
					break;
				case 12:
					umask(027);
					break;
				case 13:
					MUST(seteuid(1000));
					(void)open_and_close("d/f", O_RDONLY);
					MUST(seteuid(0));
					break;
				case 14:
					MUST(syscall(SYS_prctl, 8 /* PR_SET_KEEPCAPS */, 1, 0, 0, 0));
					MUST(setuid(1001));
					capabilities(UINT64_C(1) << CAP_DAC_OVERRIDE, ~UINT64_C(0));
					break;
				default:
					break;
				}
				made(label);
				_exit(0);
			}
			MUST(waitpid(pid, &status, 0));
			static const char *const left[] = {"d/f", "d/g", "d/new", "d/newdir", "d/newlink", "d/newfifo"};

			for (size_t k = 0; k < COUNT(left); k++) {
				char what[160];

				snprintf(what, sizeof(what), "%s leaves %s", label, left[k]);
				if (lstat(left[k], &st))
					say(what, "%s", strerrorname_np(errno));
				else
					say(what, "%o %u:%u", st.st_mode, st.st_uid, st.st_gid);
			}
			umask(022);
		}
}

int main(void)
{
	umask(022);
	root = geteuid() == 0;
	MUST(mkdir("e", 0777));
	MUST(chmod("e", 0777));
	directories();
	files();
	if (root)
		ways();
	be_root();
	MUST(chmod("d", 0700));
	clear_dir("d");
	clear_dir("e");
	return 0;
}
