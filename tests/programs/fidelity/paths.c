/* Every call that takes a path, with every kind of path: what it returns, and what it leaves. */

#include "tree.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static char buffer[70000];
static struct stat st;
static struct statx sx;

static void show_opened(const char *label, long fd)
{
	char line[600], link[PATH_MAX + 16], proc[48];
	struct stat is;

	if (fd < 0) {
		result(label, fd);
		return;
	}
	int flags = fcntl((int)fd, F_GETFL);

	snprintf(proc, sizeof(proc), "/proc/self/fd/%ld", fd);
	ssize_t n = readlink(proc, link, sizeof(link) - 1);

	link[n < 0 ? 0 : n] = 0;
	char *shown = strstr(link, "/tree"), *number = shown ? strchr(shown, '#') : NULL;

	if (number) { /* an unnamed file is called by its number */
		const char *end = number + 1 + strspn(number + 1, "0123456789");

		memmove(number, end, strlen(end) + 1);
	}
	if (fstat((int)fd, &is))
		is.st_mode = 0;
	snprintf(line, sizeof(line), "%ld flags %o fd flags %d mode %o at %.300s", fd, (unsigned)flags,
	         fcntl((int)fd, F_GETFD), is.st_mode, shown ? shown : "elsewhere");
	put(label, line);
	close((int)fd);
}

static void show_stat(const char *label, long ret)
{
	if (ret) {
		result(label, ret);
		return;
	}
	say(label, "mode %o links %lu owner %u:%u size %ld rdev %lx blksize %ld", st.st_mode,
	    (unsigned long)st.st_nlink, st.st_uid, st.st_gid, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size,
	    (unsigned long)st.st_rdev, (long)st.st_blksize);
	memset(&st, 0, sizeof(st));
}

static void show_statx(const char *label, long ret)
{
	if (ret) {
		result(label, ret);
		return;
	}
	say(label, "mask %x mode %o links %u owner %u:%u size %lld attributes %llx of %llx", sx.stx_mask, sx.stx_mode,
	    sx.stx_nlink, sx.stx_uid, sx.stx_gid, S_ISDIR(sx.stx_mode) ? 0LL : (long long)sx.stx_size,
	    (unsigned long long)sx.stx_attributes, (unsigned long long)sx.stx_attributes_mask);
	memset(&sx, 0, sizeof(sx));
}

static void show_text(const char *label, long ret)
{
	if (ret < 0) {
		result(label, ret);
		return;
	}
	buffer[ret] = 0;
	say(label, "%ld %.100s", ret, buffer[0] == '/' ? "absolute" : buffer);
}

static void show_place(const char *label, long ret)
{
	char at[PATH_MAX];

	if (ret) {
		result(label, ret);
		return;
	}
	if (!getcwd(at, sizeof(at)))
		snprintf(at, sizeof(at), "getcwd: %s", strerrorname_np(errno));
	const char *shown = strstr(at, "/tree");

	say(label, "0 at %s", shown ? shown : "elsewhere");
	MUST(chdir(tree_path));
}

static void show_plain(const char *label, long ret)
{
	result(label, ret);
}

static int inotify;

static void show_watch(const char *label, long ret)
{
	result(label, ret > 0 ? 0 : ret);
	if (ret > 0)
		MUST(inotify_rm_watch(inotify, (int)ret));
}

enum effect { LOOKS, CHANGES, HURTS /* what lies outside of the tree as well */ };

#define AT AT_FDCWD
static struct timespec stamps[2] = {{1000, 5}, {2000, 7}};
static struct timeval stamps_us[2] = {{1000, 5}, {2000, 7}};
static struct utimbuf stamps_s = {1000, 2000};
static struct statfs sf;
static char *empty_env[] = {NULL};

/* clang-format off */
#define CALLS(X) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_RDONLY)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_WRONLY)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_RDWR | O_CLOEXEC)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_RDONLY | O_DIRECTORY)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_RDONLY | O_NOFOLLOW)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_PATH)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_PATH | O_NOFOLLOW)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_PATH | O_DIRECTORY | O_CLOEXEC)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_WRONLY | O_CREAT, 0640)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_WRONLY | O_CREAT | O_EXCL, 0640)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 04777)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_RDONLY | O_CREAT | O_NOFOLLOW, 0444)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_RDONLY | O_CREAT | O_DIRECTORY, 0444)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_RDONLY | O_TRUNC)) \
	X(CHANGES, show_opened, syscall(SYS_open, p, O_WRONLY | O_TRUNC)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_TMPFILE | O_RDWR, 0600)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_TMPFILE | O_RDONLY, 0600)) \
	X(LOOKS, show_opened, syscall(SYS_open, p, O_TMPFILE | O_WRONLY | O_EXCL, 0600)) \
	X(LOOKS, show_opened, syscall(SYS_openat, AT, p, O_RDONLY | O_NONBLOCK | O_NOATIME)) \
	X(CHANGES, show_opened, syscall(SYS_creat, p, 0604)) \
	X(LOOKS, show_stat, syscall(SYS_stat, p, &st)) \
	X(LOOKS, show_stat, syscall(SYS_lstat, p, &st)) \
	X(LOOKS, show_stat, syscall(SYS_newfstatat, AT, p, &st, AT_EMPTY_PATH)) \
	X(LOOKS, show_stat, syscall(SYS_newfstatat, AT, p, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)) \
	X(LOOKS, show_statx, syscall(SYS_statx, AT, p, 0, STATX_BASIC_STATS, &sx)) \
	X(LOOKS, show_statx, syscall(SYS_statx, AT, p, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &sx)) \
	X(LOOKS, show_plain, syscall(SYS_access, p, F_OK)) \
	X(LOOKS, show_plain, syscall(SYS_access, p, R_OK)) \
	X(LOOKS, show_plain, syscall(SYS_access, p, W_OK)) \
	X(LOOKS, show_plain, syscall(SYS_access, p, X_OK)) \
	X(LOOKS, show_plain, syscall(SYS_access, p, R_OK | W_OK | X_OK)) \
	X(LOOKS, show_plain, syscall(SYS_faccessat2, AT, p, R_OK, AT_EACCESS)) \
	X(LOOKS, show_plain, syscall(SYS_faccessat2, AT, p, W_OK, AT_SYMLINK_NOFOLLOW)) \
	X(LOOKS, show_plain, syscall(SYS_faccessat2, AT, p, X_OK, AT_EMPTY_PATH)) \
	X(LOOKS, show_text, syscall(SYS_readlink, p, buffer, 4096)) \
	X(LOOKS, show_text, syscall(SYS_readlinkat, AT, p, buffer, 3)) \
	X(LOOKS, show_plain, syscall(SYS_readlink, p, buffer, 0)) \
	X(LOOKS, show_plain, syscall(SYS_statfs, p, &sf)) \
	X(LOOKS, show_place, syscall(SYS_chdir, p)) \
	X(LOOKS, show_watch, inotify_add_watch(inotify, p, IN_MODIFY)) \
	X(LOOKS, show_watch, inotify_add_watch(inotify, p, IN_MODIFY | IN_DONT_FOLLOW)) \
	X(LOOKS, show_watch, inotify_add_watch(inotify, p, IN_OPEN | IN_ONLYDIR)) \
	X(CHANGES, show_plain, syscall(SYS_mkdir, p, 0750)) \
	X(CHANGES, show_plain, syscall(SYS_mkdirat, AT, p, 07777)) \
	X(CHANGES, show_plain, syscall(SYS_mknod, p, S_IFREG | 0640, 0)) \
	X(CHANGES, show_plain, syscall(SYS_mknod, p, 0644, 0)) \
	X(CHANGES, show_plain, syscall(SYS_mknodat, AT, p, S_IFIFO | 0666, 0)) \
	X(CHANGES, show_plain, syscall(SYS_mknodat, AT, p, S_IFSOCK | 04777, 0)) \
	X(CHANGES, show_plain, syscall(SYS_mknod, p, S_IFDIR | 0777, 0)) \
	X(CHANGES, show_plain, syscall(SYS_mknod, p, S_IFLNK | 0777, 0)) \
	X(CHANGES, show_plain, syscall(SYS_unlink, p)) \
	X(CHANGES, show_plain, syscall(SYS_unlinkat, AT, p, AT_REMOVEDIR)) \
	X(CHANGES, show_plain, syscall(SYS_rmdir, p)) \
	X(CHANGES, show_plain, syscall(SYS_symlink, "to/where", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "new")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "new/")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "dir/a")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "emptydir")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "dir/sub/inside")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "hard")) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, "absent/x")) \
	X(CHANGES, show_plain, syscall(SYS_rename, "file", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, "emptydir", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, "link", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, "nowrite/x", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, "absent", p)) \
	X(CHANGES, show_plain, syscall(SYS_rename, p, p)) \
	X(CHANGES, show_plain, syscall(SYS_renameat2, AT, p, AT, "new", 1 /* RENAME_NOREPLACE */)) \
	X(CHANGES, show_plain, syscall(SYS_renameat2, AT, "file", AT, p, 1)) \
	X(CHANGES, show_plain, syscall(SYS_renameat2, AT, p, AT, "dir/a", 2 /* RENAME_EXCHANGE */)) \
	X(CHANGES, show_plain, syscall(SYS_renameat2, AT, "emptydir", AT, p, 2)) \
	X(CHANGES, show_plain, syscall(SYS_link, p, "new")) \
	X(CHANGES, show_plain, syscall(SYS_link, p, "new/")) \
	X(CHANGES, show_plain, syscall(SYS_link, p, "file")) \
	X(CHANGES, show_plain, syscall(SYS_link, p, "nowrite/new")) \
	X(CHANGES, show_plain, syscall(SYS_link, "file", p)) \
	X(CHANGES, show_plain, syscall(SYS_link, "dir", p)) \
	X(CHANGES, show_plain, syscall(SYS_linkat, AT, p, AT, "new", AT_SYMLINK_FOLLOW)) \
	X(CHANGES, show_plain, syscall(SYS_linkat, AT, p, AT, "new", AT_EMPTY_PATH)) \
	X(HURTS, show_plain, syscall(SYS_chmod, p, 01741)) \
	X(HURTS, show_plain, syscall(SYS_fchmodat, AT, p, 06755)) \
	X(HURTS, show_plain, syscall(452 /* fchmodat2 */, AT, p, 0700, AT_SYMLINK_NOFOLLOW)) \
	X(HURTS, show_plain, syscall(SYS_chown, p, -1, -1)) \
	X(HURTS, show_plain, syscall(SYS_lchown, p, getuid(), getgid())) \
	X(HURTS, show_plain, syscall(SYS_chown, p, 12, 13)) \
	X(HURTS, show_plain, syscall(SYS_fchownat, AT, p, -1, 14, AT_SYMLINK_NOFOLLOW)) \
	X(HURTS, show_plain, syscall(SYS_utime, p, &stamps_s)) \
	X(HURTS, show_plain, syscall(SYS_utime, p, NULL)) \
	X(HURTS, show_plain, syscall(SYS_utimes, p, stamps_us)) \
	X(HURTS, show_plain, syscall(SYS_futimesat, AT, p, stamps_us)) \
	X(HURTS, show_plain, syscall(SYS_utimensat, AT, p, stamps, 0)) \
	X(HURTS, show_plain, syscall(SYS_utimensat, AT, p, stamps, AT_SYMLINK_NOFOLLOW)) \
	X(HURTS, show_plain, syscall(SYS_utimensat, AT, p, NULL, 0)) \
	X(HURTS, show_plain, syscall(SYS_truncate, p, 5)) \
	X(HURTS, show_plain, syscall(SYS_truncate, p, 0)) \
	X(HURTS, show_plain, syscall(SYS_setxattr, p, "user.x", "v", 1, 0)) \
	X(HURTS, show_plain, syscall(SYS_lsetxattr, p, "user.x", "v", 1, XATTR_CREATE)) \
	X(HURTS, show_plain, syscall(SYS_removexattr, p, "user.x")) \
	X(LOOKS, show_plain, syscall(SYS_getxattr, p, "user.none", buffer, 100)) \
	X(LOOKS, show_plain, syscall(SYS_lgetxattr, p, "user.none", buffer, 100)) \
	X(LOOKS, show_plain, syscall(SYS_listxattr, p, buffer, 100)) \
	X(LOOKS, show_plain, syscall(SYS_llistxattr, p, buffer, 0)) \
	X(LOOKS, show_plain, syscall(SYS_execve, strstr(p, "exec") ? "" : p, NULL, empty_env)) \
	X(LOOKS, show_plain, syscall(SYS_execveat, AT, strstr(p, "exec") ? "" : p, NULL, empty_env, AT_SYMLINK_NOFOLLOW))
/* clang-format on */

static const char *p;

#define ENUM(effect, show, call)                                                                                       \
	case __COUNTER__:                                                                                              \
		*how = effect;                                                                                         \
		*shown = show;                                                                                         \
		*text = #call;                                                                                         \
		return *run ? (call) : 0;

/* Call number `which`: its text, and what it returns if it is run. False behind the last. */
static long call(unsigned which, bool *run, enum effect *how, void (**shown)(const char *, long), const char **text)
{
	errno = 0;
	switch (which) {
		CALLS(ENUM)
	default:
		*text = NULL;
		return 0;
	}
}

static char path4095[4096], path4096[4098], name256[257 + 4], deep[3000];

int main(int argc, char **argv)
{
	static char inside[PATH_MAX + 32], inside_slash[PATH_MAX + 32];
	const struct {
		const char *path, *shown;
		bool outside; /* what it leads to is not of the tree */
	} paths[] = {
		{"", NULL, false},
		{".", NULL, false},
		{"./", NULL, false},
		{"..", NULL, true},
		{"../", NULL, true},
		{"../tree", NULL, false},
		{"../tree/.", NULL, false},
		{"../outside", NULL, true},
		{"../absent", NULL, true},
		{"file", NULL, false},
		{"file/", NULL, false},
		{"file//", NULL, false},
		{"file/.", NULL, false},
		{"file/..", NULL, false},
		{"file/x", NULL, false},
		{".//file", NULL, false},
		{"./././file", NULL, false},
		{"empty", NULL, false},
		{"exec", NULL, false},
		{"none", NULL, false},
		{"none/", NULL, false},
		{"ro", NULL, false},
		{"setid", NULL, false},
		{"hard", NULL, false},
		{"dir", NULL, false},
		{"dir/", NULL, false},
		{"dir//", NULL, false},
		{"dir/.", NULL, false},
		{"dir/./", NULL, false},
		{"dir/..", NULL, false},
		{"dir/../", NULL, false},
		{"dir/../file", NULL, false},
		{"dir/../../tree/file", NULL, false},
		{"dir/sub/../../file", NULL, false},
		{"dir/a", NULL, false},
		{"dir//a", NULL, false},
		{"dir/a/", NULL, false},
		{"dir/a/..", NULL, false},
		{"dir/new", NULL, false},
		{"dir/new/", NULL, false},
		{"dir/new/x", NULL, false},
		{"emptydir", NULL, false},
		{"emptydir/", NULL, false},
		{"emptydir/.", NULL, false},
		{"emptydir/..", NULL, false},
		{"emptydir/new", NULL, false},
		{"setgiddir", NULL, false},
		{"setgiddir/new", NULL, false},
		{"absent", NULL, false},
		{"absent/", NULL, false},
		{"absent//", NULL, false},
		{"absent/.", NULL, false},
		{"absent/..", NULL, false},
		{"absent/x", NULL, false},
		{"absent/../file", NULL, false},
		{"link", NULL, false},
		{"link/", NULL, false},
		{"link/.", NULL, false},
		{"link/x", NULL, false},
		{"slashlink", NULL, false},
		{"dirlink", NULL, false},
		{"dirlink/", NULL, false},
		{"dirlink/.", NULL, false},
		{"dirlink/..", NULL, false},
		{"dirlink/a", NULL, false},
		{"dirlink/../file", NULL, false},
		{"dirlink/new", NULL, false},
		{"dirslashlink", NULL, false},
		{"dirslashlink/", NULL, false},
		{"uplink", NULL, false},
		{"dotlink", NULL, false},
		{"dotlink/", NULL, false},
		{"dotlink/file", NULL, false},
		{"dotlink/../tree/file", NULL, false},
		{"parentlink", NULL, true},
		{"parentlink/", NULL, true},
		{"parentlink/tree/file", NULL, false},
		{"outward", NULL, true},
		{"abslink", NULL, false},
		{"absdirlink", NULL, false},
		{"absdirlink/", NULL, false},
		{"absdirlink/a", NULL, false},
		{"absdirlink/../file", NULL, false},
		{"absdirlink/new", NULL, false},
		{"dangling", NULL, false},
		{"dangling/", NULL, false},
		{"dangling/x", NULL, false},
		{"danglingdir", NULL, false},
		{"danglingslash", NULL, false},
		{"danglingslash/", NULL, false},
		{"loop", NULL, false},
		{"loop/", NULL, false},
		{"loop/x", NULL, false},
		{"ping", NULL, false},
		{"ping/..", NULL, false},
		{"selflink", NULL, false},
		{"c20", NULL, false},
		{"c20/", NULL, false},
		{"c41", NULL, false},
		{"c41/x", NULL, false},
		{"fifo", NULL, false},
		{"fifo/", NULL, false},
		{"fifo/x", NULL, false},
		{"sock", NULL, false},
		{"sock/", NULL, false},
		{"sticky/x", NULL, false},
		{"sticky/new", NULL, false},
		{"nodir", NULL, false},
		{"nodir/", NULL, false},
		{"nodir/.", NULL, false},
		{"nodir/..", NULL, false},
		{"nodir/x", NULL, false},
		{"nodir/new", NULL, false},
		{"noread", NULL, false},
		{"noread/x", NULL, false},
		{"noread/new", NULL, false},
		{"nosearch", NULL, false},
		{"nosearch/x", NULL, false},
		{"nosearch/new", NULL, false},
		{"nosearch/absent/x", NULL, false},
		{"noneslink", NULL, false},
		{"nowrite", NULL, false},
		{"nowrite/x", NULL, false},
		{"nowrite/new", NULL, false},
		{"nowrite/new/", NULL, false},
		{" ", NULL, false},
		{"a b", NULL, false},
		{"new\n", "newline", false},
		{"\xff\xfe", "not UTF-8", false},
		{"...", NULL, false},
		{"..new", NULL, false},
		{"dir/...", NULL, false},
		{NAME255, "name of 255", false},
		{name256, "name of 256", false},
		{"dir/" NAME255, "dir, name of 255", false},
		{name256 + 1, "name of 255 too", false},
		{path4095, "path of 4095", false},
		{path4096, "path of 4096", false},
		{deep, "deep and absent", false},
		{inside, "absolute file", false},
		{inside_slash, "absolute dir/", false},
	};

	memset(name256, 'm', 256);
	for (size_t i = 0; i < 4095; i += 2)
		memcpy(path4095 + i, "./", 2);
	memcpy(path4095 + 4095 - 4, "file", 5);
	path4095[4095 - 5] = '/';
	memcpy(path4096, "./", 2);
	memcpy(path4096 + 1, path4095, 4096);
	path4096[0] = '.';
	path4096[1] = '/';
	for (size_t i = 0; i + 20 < sizeof(deep); i += 10)
		memcpy(deep + i, "deeperyet/", 11);

	tree_begin();
	inotify = (int)MUST(dup3((int)MUST(inotify_init1(0)), 101, O_CLOEXEC));
	close(3);
	snprintf(inside, sizeof(inside), "%s/file", tree_path);
	snprintf(inside_slash, sizeof(inside_slash), "%s/dir/", tree_path);
	/* in two halves, since it takes its time */
	size_t halves = 1, half = 0;

	if (argc > 2) {
		half = (size_t)atoi(argv[1]);
		halves = (size_t)atoi(argv[2]);
	}
	for (unsigned which = 0;; which++) {
		enum effect effect = LOOKS;
		void (*shown)(const char *, long) = show_plain;
		const char *text = NULL;
		bool run = false;

		p = "";
		call(which, &run, &effect, &shown, &text);
		if (!text)
			break;
		if (which % halves != half)
			continue;
		run = true;
		for (size_t i = 0; i < COUNT(paths); i++) {
			char label[400];

			if (effect == HURTS && paths[i].outside)
				continue;
			p = paths[i].path;
			snprintf(label, sizeof(label), "%s | %s",
			         strstr(text, "SYS_") ? strstr(text, "SYS_") + 4 : text,
			         paths[i].shown ? paths[i].shown : p);
			long ret = call(which, &run, &effect, &shown, &text);

			shown(label, ret);
			if (ret >= 0 && effect != LOOKS)
				tree_settle(label);
		}
		/* a call that failed changed nothing either */
		tree_settle(text);
	}
	return 0;
}
