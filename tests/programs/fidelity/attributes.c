/* Attributes: modes, owners and what takes set-id bits away, time stamps, lengths, extended attributes, ACLs, flags. */
#include "observe.h"

#include <grp.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

static void show_mode(const char *label, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		say(label, "lstat: %s", strerrorname_np(errno));
	else
		say(label, "%o %u:%u", st.st_mode, st.st_uid, st.st_gid);
}

/* --- modes --- */

static void modes(void)
{
	char label[100];

	section("chmod");
	for (unsigned mode = 0; mode <= 07777; mode += mode < 0100 ? 1 : 0111) {
		write_file("f", "x", 0600);
		snprintf(label, sizeof(label), "file %o", mode);
		result(label, chmod("f", mode));
		show_mode(label, "f");
	}
	unlink("f");
	MUST(mkdir("d", 0755));
	for (unsigned mode = 0; mode <= 07777; mode += 0321) {
		snprintf(label, sizeof(label), "directory %o", mode);
		result(label, chmod("d", mode));
		show_mode(label, "d");
	}
	MUST(chmod("d", 0700));
	MUST(rmdir("d"));

	section("umask");
	static const mode_t masks[] = {0, 022, 027, 077, 0111, 0777, 01777, 07777};

	for (size_t i = 0; i < COUNT(masks); i++) {
		umask(masks[i]);
		int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 06777);

		snprintf(label, sizeof(label), "%o", masks[i]);
		show_mode(label, "f");
		close(fd);
		unlink("f");
		mkdir("f", 07777);
		show_mode(label, "f");
		rmdir("f");
		mknod("f", S_IFIFO | 0666, 0);
		show_mode(label, "f");
		unlink("f");
		mknod("f", S_IFREG | 04777, 0);
		show_mode(label, "f");
		unlink("f");
		mknod("f", S_IFSOCK | 0777, 0);
		show_mode(label, "f");
		unlink("f");
		symlink("x", "f");
		show_mode(label, "f");
		unlink("f");
		fd = open(".", O_TMPFILE | O_RDWR, 0666);
		struct stat st = {0};

		fstat(fd, &st);
		say(label, "unnamed: %o", st.st_mode);
		close(fd);
		say(label, "was %o", umask(022));
	}
}

/* --- what takes the set-id bits away --- */

static int setid_fd;
static char buffer[4096];
static void *volatile nowhere = (void *)8;

#define STRIPS(X)                                                                                                      \
	X(write(setid_fd, "y", 1))                                                                                     \
	X(pwrite(setid_fd, "y", 1, 0))                                                                                 \
	X(writev(setid_fd, &(struct iovec){"y", 1}, 1))                                                                \
	X(write(setid_fd, "", 0))                                                                                      \
	X(ftruncate(setid_fd, 0))                                                                                      \
	X(ftruncate(setid_fd, 100))                                                                                    \
	X(truncate("f", 0))                                                                                            \
	X(truncate("f", 4))                                                                                            \
	X(fallocate(setid_fd, 0, 0, 100))                                                                              \
	X(close(open("f", O_WRONLY | O_TRUNC)))                                                                        \
	X(chown("f", -1, -1))                                                                                          \
	X(chown("f", getuid(), getgid()))                                                                              \
	X(chown("f", 1, 1))                                                                                            \
	X(chown("f", -1, 1))                                                                                           \
	X(lchown("f", getuid(), -1))                                                                                   \
	X(fchown(setid_fd, -1, getgid()))                                                                              \
	X(chmod("f", 02755))                                                                                           \
	X(chmod("f", 04711))                                                                                           \
	X(link("f", "g"))                                                                                              \
	X(rename("f", "g"))                                                                                            \
	X(setxattr("f", "user.z", "1", 1, 0))                                                                          \
	X(utimensat(AT_FDCWD, "f", NULL, 0))

static void strips(void)
{
	static const mode_t bits[] = {04755, 02755, 06755, 02745, 06711, 01755, 04644};
	char label[200];

	section("set-id bits");
	for (size_t i = 0; i < COUNT(bits); i++) {
#define STRIP(call)                                                                                                    \
	do {                                                                                                           \
		write_file("f", "abc", 0600);                                                                          \
		MUST(chmod("f", bits[i]));                                                                             \
		setid_fd = (int)MUST(open("f", O_RDWR | O_CLOEXEC));                                                   \
		snprintf(label, sizeof(label), "%o, %s", bits[i], #call);                                              \
		errno = 0;                                                                                             \
		result(label, (long)(call));                                                                           \
		show_mode(label, access("g", F_OK) ? "f" : "g");                                                       \
		close(setid_fd);                                                                                       \
		unlink("f");                                                                                           \
		unlink("g");                                                                                           \
	} while (0);
		STRIPS(STRIP)
	}
	MUST(mkdir("d", 0755));
	MUST(chmod("d", 06777));
	ROW(chown("d", getuid(), getgid()));
	show_mode("directory", "d");
	MUST(rmdir("d"));
}

/* --- owners --- */

static void owners(void)
{
	struct {
		const char *name;
		mode_t mode;
	} made[] = {{"file", S_IFREG | 0644}, {"fifo", S_IFIFO | 0644}, {"sock", S_IFSOCK | 0644}};
	static const struct {
		uid_t uid;
		gid_t gid;
	} to[] = {{-1, -1}, {0, 0},      {1, -1},     {-1, 1},         {65534, 65534},
	          {1, 1},   {-1, 65534}, {65534, -1}, {4294967294u, 5}};
	char label[100];

	section("owners");
	for (size_t i = 0; i < COUNT(made); i++)
		MUST(mknod(made[i].name, made[i].mode, 0));
	MUST(symlink("file", "link"));
	MUST(mkdir("dir", 0755));
	static const char *const names[] = {"file", "fifo", "sock", "link", "dir"};

	for (size_t n = 0; n < COUNT(names); n++)
		for (size_t i = 0; i < COUNT(to); i++) {
			snprintf(label, sizeof(label), "lchown %s %d:%d", names[n], (int)to[i].uid, (int)to[i].gid);
			result(label, lchown(names[n], to[i].uid, to[i].gid));
			show_mode(label, names[n]);
			snprintf(label, sizeof(label), "chown %s %d:%d", names[n], (int)to[i].uid, (int)to[i].gid);
			result(label, chown(names[n], to[i].uid, to[i].gid));
			show_mode(label, names[n]);
			show_mode("and the file", "file");
		}
	MUST(rmdir("dir"));
	for (size_t n = 0; n + 1 < COUNT(names); n++)
		MUST(unlink(names[n]));
}

/* --- time stamps --- */

static void show_times(const char *label, const char *path)
{
	struct stat st;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (lstat(path, &st)) {
		say(label, "lstat: %s", strerrorname_np(errno));
		return;
	}
	/* what is recent is now; the kernel's clock for files lags behind by a tick */
#define WHEN(t)                                                                                                        \
	(long)((t).tv_sec + 1000 > now.tv_sec ? -1 : (t).tv_sec),                                                      \
		(long)((t).tv_sec + 1000 > now.tv_sec ? 0 : (t).tv_nsec)
	say(label, "accessed %ld.%09ld modified %ld.%09ld changed %ld", WHEN(st.st_atim), WHEN(st.st_mtim),
	    (long)(st.st_ctim.tv_sec + 1000 > now.tv_sec));
}

static void stamps(void)
{
	static const struct timespec pairs[][2] = {
		{{1000, 5}, {2000, 7}},
		{{0, 0}, {0, 0}},
		{{-5, 0}, {-1, 999999999}},
		{{0, UTIME_NOW}, {0, UTIME_NOW}},
		{{0, UTIME_OMIT}, {0, UTIME_OMIT}},
		{{0, UTIME_OMIT}, {77, 1}},
		{{77, 1}, {0, UTIME_OMIT}},
		{{0, UTIME_NOW}, {0, UTIME_OMIT}},
		{{0, UTIME_OMIT}, {0, UTIME_NOW}},
		{{5, UTIME_NOW}, {7, UTIME_NOW}},
		{{1, 1000000000}, {1, 0}},
		{{1, 0}, {1, -1}},
		{{1, 2000000000}, {0, UTIME_OMIT}},
		{{4294967296, 0}, {8589934592, 0}},
		{{0x7fffffffffffffff, 0}, {0x7fffffffffffffff, 0}},
		{{-0x7fffffffffffffff, 0}, {0, 0}},
		{{3000000000, 1}, {17000000000, 1}},
	};
	char label[120];

	section("time stamps");
	write_file("f", "x", 0644);
	MUST(symlink("f", "l"));
	MUST(symlink("absent", "dangling"));
	static const char *const names[] = {"f", "l", "dangling", "."};

	for (size_t n = 0; n < COUNT(names); n++)
		for (size_t i = 0; i < COUNT(pairs); i++)
			for (int flags = 0; flags <= AT_SYMLINK_NOFOLLOW; flags += AT_SYMLINK_NOFOLLOW) {
				static const struct timespec base[2] = {{100, 1}, {200, 2}};

				utimensat(AT_FDCWD, names[n], base, AT_SYMLINK_NOFOLLOW);
				utimensat(AT_FDCWD, "f", base, 0);
				snprintf(label, sizeof(label), "utimensat %s %zu flags %x", names[n], i,
				         (unsigned)flags);
				result(label, utimensat(AT_FDCWD, names[n], pairs[i], flags));
				show_times(label, names[n]);
				show_times(label, "f");
			}
	int fd = (int)MUST(open("f", O_RDONLY));

	for (size_t i = 0; i < COUNT(pairs); i++) {
		snprintf(label, sizeof(label), "futimens %zu", i);
		result(label, futimens(fd, pairs[i]));
		show_times(label, "f");
	}
	close(fd);
	static const struct timeval micro[][2] = {
		{{1, 2}, {3, 4}}, {{1, 999999}, {1, 1000000}}, {{1, -1}, {1, 0}}, {{-1, 0}, {-1, 0}}};

	for (size_t i = 0; i < COUNT(micro); i++) {
		snprintf(label, sizeof(label), "utimes %zu", i);
		result(label, utimes("f", micro[i]));
		show_times(label, "f");
		snprintf(label, sizeof(label), "lutimes %zu", i);
		result(label, lutimes("l", micro[i]));
		show_times(label, "l");
	}
	unlink("f");
	unlink("l");
	unlink("dangling");
}

/* --- extended attributes --- */

static void show_list(const char *label, long n)
{
	if (n < 0) {
		result(label, n);
		return;
	}
	/* the order is the file system's */
	char *names[64];
	size_t count = 0;

	for (char *s = buffer; s < buffer + n && count < COUNT(names); s += strlen(s) + 1)
		names[count++] = s;
	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++)
			if (strcmp(names[i], names[j]) > 0) {
				char *swap = names[i];

				names[i] = names[j];
				names[j] = swap;
			}
	char text[2000] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", names[i]);
	say(label, "%ld%s", n, text);
}

static void attributes(void)
{
	static char big[70000], name255[300], name256[300];
	struct {
		uint64_t value;
		uint32_t size, flags;
	} args;

	section("xattr");
	memset(big, 'b', sizeof(big));
	memcpy(name255, "user.", 5);
	memset(name255 + 5, 'n', 250);
	memcpy(name256, "user.", 5);
	memset(name256 + 5, 'n', 251);
	write_file("f", "x", 0644);
	MUST(symlink("f", "l"));
	MUST(mkdir("d", 0755));
	MUST(mknod("p", S_IFIFO | 0644, 0));
	int fd = (int)MUST(open("f", O_RDONLY));

	ROW(setxattr("f", "user.a", "value", 5, 0));
	ROW(setxattr("f", "user.a", "again", 5, XATTR_CREATE));
	ROW(setxattr("f", "user.b", "other", 5, XATTR_REPLACE));
	ROW(setxattr("f", "user.a", "longer than before", 18, XATTR_REPLACE));
	ROW(setxattr("f", "user.a", "x", 1, XATTR_CREATE | XATTR_REPLACE));
	ROW(setxattr("f", "user.a", "x", 1, 4));
	ROW(setxattr("f", "user.empty", "", 0, 0));
	ROW(setxattr("f", "user.null", NULL, 0, 0));
	ROW(setxattr("f", "user.null", nowhere, 5, 0));
	ROW(setxattr("f", "user.", "x", 1, 0));
	ROW(setxattr("f", "user", "x", 1, 0));
	ROW(setxattr("f", "", "x", 1, 0));
	ROW(setxattr("f", "nonsense.a", "x", 1, 0));
	ROW(setxattr("f", "trusted.a", "x", 1, 0));
	ROW(setxattr("f", "security.a", "x", 1, 0));
	ROW(setxattr("f", "system.a", "x", 1, 0));
	ROW(setxattr("f", "security.capability", "x", 1, 0));
	ROW(setxattr("f", name255, "x", 1, 0));
	ROW(removexattr("f", name255));
	ROW(setxattr("f", name256, "x", 1, 0));
	ROW(getxattr("f", name256, buffer, 10));
	ROW(setxattr("f", "user.big", big, 65536, 0));
	ROW(setxattr("f", "user.big", big, 65537, 0));
	ROW(setxattr("f", "user.big", big, 2000, 0));
	ROW(setxattr("f", "user.bad", nowhere, 2000, 0));
	ROW(setxattr("d", "user.a", "dir", 3, 0));
	ROW(setxattr("p", "user.a", "fifo", 4, 0));
	ROW(lsetxattr("l", "user.a", "link", 4, 0));
	ROW(lsetxattr("f", "user.l", "file", 4, 0));
	ROW(fsetxattr(fd, "user.f", "by fd", 5, 0));
	ROW(fsetxattr(-1, "user.p", "x", 1, 0));

	ROW(getxattr("f", "user.a", NULL, 0));
	ROW(getxattr("f", "user.a", buffer, 17));
	ROW(getxattr("f", "user.a", buffer, 18));
	say("value", "%.18s", buffer);
	ROW(getxattr("f", "user.a", big, sizeof(big)));
	ROW(getxattr("f", "user.a", nowhere, 18));
	ROW(getxattr("f", "user.empty", buffer, 0));
	ROW(getxattr("f", "user.empty", buffer, 5));
	ROW(getxattr("f", "user.none", buffer, 5));
	ROW(getxattr("f", "user.big", buffer, 1999));
	ROW(getxattr("f", "user.big", buffer, 2000));
	ROW(getxattr("l", "user.a", buffer, 100));
	ROW(lgetxattr("l", "user.a", buffer, 100));
	ROW(fgetxattr(fd, "user.f", buffer, 100));
	ROW(getxattr("f", "trusted.a", buffer, 5));
	ROW(getxattr("f", "security.selinux", buffer, 5));
	ROW(getxattr("f", "security.capability", buffer, 5));
	ROW(getxattr("f", "system.posix_acl_access", buffer, 5));
	ROW(getxattr("f", "nonsense", buffer, 5));
	ROW(getxattr("f", "", buffer, 5));
	ROW(getxattr("absent", "user.a", buffer, 5));

	show_list("listxattr of f", listxattr("f", buffer, sizeof(buffer)));
	ROW(listxattr("f", NULL, 0));
	ROW(listxattr("f", buffer, 10));
	ROW(listxattr("f", nowhere, 4096));
	show_list("listxattr of l", listxattr("l", buffer, sizeof(buffer)));
	show_list("llistxattr of l", llistxattr("l", buffer, sizeof(buffer)));
	show_list("listxattr of d", listxattr("d", buffer, sizeof(buffer)));
	show_list("flistxattr", flistxattr(fd, buffer, sizeof(buffer)));
	ROW(listxattr("absent", buffer, 10));
	MUST(chmod("f", 0200));
	ROW(getxattr("f", "user.a", buffer, 100));
	show_list("listxattr of what cannot be read", listxattr("f", buffer, sizeof(buffer)));
	MUST(chmod("f", 0400));
	ROW(setxattr("f", "user.ro", "x", 1, 0));
	MUST(chmod("f", 0644));

	args.value = (uint64_t)(uintptr_t) "at";
	args.size = 2;
	args.flags = 0;
	ROW(syscall(463 /* setxattrat */, AT_FDCWD, "f", 0, "user.at", &args, sizeof(args)));
	ROW(syscall(463, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, "user.at", &args, sizeof(args)));
	ROW(syscall(463, fd, "", AT_EMPTY_PATH, "user.at2", &args, sizeof(args)));
	ROW(syscall(463, AT_FDCWD, "f", 0, "user.at", &args, 8));
	ROW(syscall(463, AT_FDCWD, "f", 0, "user.at", &args, 5000));
	args.value = (uint64_t)(uintptr_t)buffer;
	args.size = 100;
	ROW(syscall(464 /* getxattrat */, AT_FDCWD, "f", 0, "user.at", &args, sizeof(args)));
	ROW(syscall(464, fd, "", AT_EMPTY_PATH, "user.at2", &args, sizeof(args)));
	args.flags = 1;
	ROW(syscall(464, AT_FDCWD, "f", 0, "user.at", &args, sizeof(args)));
	show_list("listxattrat", syscall(465 /* listxattrat */, AT_FDCWD, "l", 0, buffer, sizeof(buffer)));
	ROW(syscall(466 /* removexattrat */, AT_FDCWD, "f", 0, "user.at"));
	ROW(syscall(466, AT_FDCWD, "f", 0, "user.at"));

	ROW(removexattr("f", "user.a"));
	ROW(removexattr("f", "user.a"));
	ROW(lremovexattr("l", "user.a"));
	ROW(fremovexattr(fd, "user.f"));
	ROW(removexattr("f", "trusted.a"));
	ROW(removexattr("f", "nonsense"));
	show_list("what is left", listxattr("f", buffer, sizeof(buffer)));
	close(fd);
	unlink("f");
	unlink("l");
	unlink("p");
	rmdir("d");
}

/* --- POSIX ACLs, as their attributes --- */

struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entry[8];
};
enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };
#define NOBODYS 0xffffffff

static void show_acl(const char *label, const char *path, const char *name)
{
	struct acl acl;
	char text[300] = "";
	ssize_t n = getxattr(path, name, &acl, sizeof(acl));

	if (n < 0) {
		result(label, n);
		return;
	}
	for (size_t i = 0; i < ((size_t)n - 4) / 8; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %u:%d:%o", acl.entry[i].tag,
		         (int)acl.entry[i].id, acl.entry[i].perm);
	say(label, "%zd version %u%s", n, acl.version, text);
	show_mode(label, path);
}

static void acls(void)
{
	static const struct acl access = {2,
	                                  {{USER_OBJ, 7, NOBODYS},
	                                   {USER, 5, 1},
	                                   {GROUP_OBJ, 4, NOBODYS},
	                                   {GROUP, 6, 5},
	                                   {MASK, 5, NOBODYS},
	                                   {OTHER, 1, NOBODYS}}};
	static const struct acl plain = {2, {{USER_OBJ, 6, NOBODYS}, {GROUP_OBJ, 4, NOBODYS}, {OTHER, 0, NOBODYS}}};
	static const struct acl bad = {2, {{USER_OBJ, 6, NOBODYS}, {OTHER, 0, NOBODYS}}};
	const char *a = "system.posix_acl_access", *d = "system.posix_acl_default";

	section("ACL");
	write_file("f", "x", 0640);
	MUST(mkdir("dir", 0755));
	ROW(setxattr("f", a, &access, 4 + 6 * 8, 0));
	show_acl("file", "f", a);
	ROW(chmod("f", 0700));
	show_acl("file after chmod", "f", a);
	ROW(setxattr("f", a, &plain, 4 + 3 * 8, 0));
	show_acl("file with a plain one", "f", a);
	ROW(setxattr("f", a, &bad, 4 + 2 * 8, 0));
	ROW(setxattr("f", a, &access, 7, 0));
	ROW(setxattr("f", d, &access, 4 + 6 * 8, 0));
	ROW(setxattr("dir", d, &access, 4 + 6 * 8, 0));
	show_acl("directory's default", "dir", d);
	umask(077);
	write_file("dir/inherits", "x", 0666);
	int fd = open("dir/created", O_CREAT | O_WRONLY, 0666);

	close(fd);
	show_acl("created in it", "dir/created", a);
	MUST(mkdir("dir/sub", 0777));
	show_acl("made in it", "dir/sub", a);
	show_acl("made in it, default", "dir/sub", d);
	MUST(mknod("dir/node", S_IFIFO | 0666, 0));
	show_acl("node in it", "dir/node", a);
	fd = open("dir", O_TMPFILE | O_RDWR, 0666);
	struct stat st = {0};

	fstat(fd, &st);
	say("unnamed in it", "%o", st.st_mode);
	close(fd);
	umask(022);
	ROW(removexattr("dir", d));
	ROW(removexattr("dir", d));
	ROW(removexattr("f", a));
	unlink("dir/inherits");
	unlink("dir/created");
	unlink("dir/node");
	rmdir("dir/sub");
	rmdir("dir");
	unlink("f");
}

/* --- lengths, and flags of a file --- */

static void lengths(void)
{
	struct stat st;

	section("lengths");
	write_file("f", "0123456789", 0644);
	MUST(mkdir("d", 0755));
	int rw = (int)MUST(open("f", O_RDWR)), ro = (int)MUST(open("f", O_RDONLY)), wo = (int)MUST(open("f", O_WRONLY));
	int ap = (int)MUST(open("f", O_WRONLY | O_APPEND)), dir = (int)MUST(open("d", O_RDONLY));
	int ends[2];

	MUST(pipe(ends));
	ROW(truncate("f", 20));
	ROW(truncate("f", 5));
	ROW(truncate("f", -1));
	ROW(truncate("f", (off_t)1 << 62));
	ROW(truncate("d", 0));
	ROW(truncate("absent", 0));
	ROW(ftruncate(rw, 7));
	ROW(ftruncate(wo, 8));
	ROW(ftruncate(ap, 9));
	ROW(ftruncate(ro, 1));
	ROW(ftruncate(dir, 1));
	ROW(ftruncate(ends[1], 1));
	ROW(ftruncate(rw, -1));
	ROW(ftruncate(-1, 1));
	ROW(fallocate(rw, 0, 0, 5000));
	ROW(fallocate(rw, FALLOC_FL_KEEP_SIZE, 0, 9000));
	ROW(fallocate(rw, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	ROW(fallocate(ro, 0, 0, 100));
	ROW(lseek(rw, 0, SEEK_END));
	ROW(lseek(rw, 0, SEEK_DATA));
	ROW(lseek(rw, 0, SEEK_HOLE));
	ROW(lseek(rw, -1, SEEK_SET));
	ROW(lseek(ends[0], 0, SEEK_SET));
	MUST(fstat(rw, &st));
	say("size at last", "%ld", (long)st.st_size);
	MUST(chmod("f", 0444));
	ROW(truncate("f", 1));
	MUST(chmod("f", 0644));
	close(rw), close(ro), close(wo), close(ap), close(dir), close(ends[0]), close(ends[1]);

	section("flags");
	int flags = 0;
	struct fsxattr fsx;
	unsigned long version;

	rw = (int)MUST(open("f", O_RDWR));
	ROW(ioctl(rw, FS_IOC_GETFLAGS, &flags));
	say("flags", "%x", (unsigned)flags);
	ROW(ioctl(rw, FS_IOC_SETFLAGS, &flags));
	ROW(ioctl(rw, FS_IOC_FSGETXATTR, &fsx));
	ROW(ioctl(rw, FS_IOC_GETVERSION, &version));
	ROW(ioctl(rw, FIGETBSZ, &flags));
	ROW(ioctl(rw, FIONREAD, &flags));
	say("to read", "%d", flags);
	ROW(ioctl(rw, 0x1234, &flags));
	close(rw);
	struct statfs sf;

	ROW(statfs("f", &sf));
	say("statfs", "type %lx bsize %ld namelen %ld flags %lx frsize %ld", (unsigned long)sf.f_type, (long)sf.f_bsize,
	    (long)sf.f_namelen, (unsigned long)sf.f_flags, (long)sf.f_frsize);
	ROW(pathconf("f", _PC_LINK_MAX));
	ROW(pathconf("f", _PC_NAME_MAX));
	ROW(pathconf(".", _PC_PATH_MAX));
	ROW(pathconf("f", _PC_CHOWN_RESTRICTED));
	unlink("f");
	rmdir("d");
}

int main(void)
{
	umask(022);
	modes();
	strips();
	owners();
	stamps();
	attributes();
	acls();
	lengths();
	return 0;
}
