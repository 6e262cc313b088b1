/*
 * What the posix_* programs share. They go through what POSIX says of a call, error by error and effect by effect, as
 * file-system test suites do: every row is a call in a directory that is made anew for each group of rows. Where root
 * runs them they go through what depends on the user as others, too.
 */
#ifndef POSIX_H
#define POSIX_H

#include "observe.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static bool privileged;
static int home = -1; /* the directory that the program was started in */

#define ALICE 1001
#define BOB 1002
#define TEAM 2000 /* a group that only some are in */

/* --- who acts --- */

enum way {
	EFFECTIVE,  /* seteuid: the rest of the program's rights is kept for later */
	FILESYSTEM, /* setfsuid: for lookups alone */
	FOR_GOOD,   /* setresuid: nothing is kept. In a process of its own only. */
};
static const char *const ways[] = {"", " by setfsuid", " for good"};

struct who {
	const char *name;
	uid_t uid;
	gid_t gid;
	int teams; /* is TEAM among its further groups? */
};
static const struct who root_self = {"root", 0, 0, 0}, alice = {"alice", ALICE, ALICE, 0}, bob = {"bob", BOB, BOB, 0},
			bob_of_team = {"bob of the team", BOB, BOB, 1};

static UNUSED void be_root(void)
{
	if (!privileged)
		return;
	setfsuid(0);
	setfsgid(0);
	MUST(setresuid((uid_t)-1, 0, (uid_t)-1));
	MUST(setresgid((gid_t)-1, 0, (gid_t)-1));
	MUST(setgroups(0, NULL));
}

static UNUSED void be(const struct who *who, enum way way)
{
	static const gid_t team = TEAM;

	be_root();
	if (!privileged || !who->uid)
		return;
	MUST(setgroups((size_t)who->teams, &team));
	if (way == FILESYSTEM) {
		setfsgid(who->gid);
		setfsuid(who->uid);
	} else if (way == EFFECTIVE) {
		MUST(setresgid((gid_t)-1, who->gid, (gid_t)-1));
		MUST(setresuid((uid_t)-1, who->uid, (uid_t)-1));
	} else {
		MUST(setresgid(who->gid, who->gid, who->gid));
		MUST(setresuid(who->uid, who->uid, who->uid));
	}
}

/* Runs rows as somebody, in a process of its own. */
static UNUSED void as(const struct who *who, enum way way, void (*rows)(void))
{
	int status;
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		be(who, way);
		rows();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	if (status) {
		say("could not be prepared", "a process ended with %x", status);
		exit(2);
	}
}

/* --- where --- */

static UNUSED void clear_away(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && !fchmodat(dir, name, 0700, 0))
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		unlinkat(dir, name, 0);
		return;
	}
	DIR *d = fdopendir(fd);
	struct dirent *e;

	fchmod(fd, 0700);
	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			clear_away(fd, e->d_name);
	closedir(d);
	MUST(unlinkat(dir, name, AT_REMOVEDIR));
}

/* An empty directory that everybody may change, as the current one; whoever calls is root or the only user. */
static UNUSED void fresh(void)
{
	be_root();
	umask(0);
	MUST(fchdir(home));
	clear_away(home, "place");
	MUST(mkdir("place", 0777));
	MUST(chdir("place"));
}

static UNUSED void begin(void)
{
	privileged = geteuid() == 0;
	home = (int)MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(chmod(".", 0755));
	fresh();
}

static UNUSED void end(void)
{
	be_root();
	MUST(fchdir(home));
	clear_away(home, "place");
}

/* --- what is there --- */

#define KINDS(X) X(regular) X(directory) X(fifo) X(sock) X(link_to_file) X(link_to_dir) X(dangling)
#define KIND_ENUM(name) KIND_##name,
#define KIND_NAME(name) #name,
enum kind { KINDS(KIND_ENUM) KIND_COUNT };
static UNUSED const char *const kind_names[] = {KINDS(KIND_NAME)};

static UNUSED void plant(const char *path, enum kind kind)
{
	switch (kind) {
	case KIND_regular:
		write_file(path, "text", 0644);
		break;
	case KIND_directory:
		MUST(mkdir(path, 0755));
		break;
	case KIND_fifo:
		MUST(mkfifo(path, 0644));
		break;
	case KIND_sock:
		MUST(mknod(path, S_IFSOCK | 0644, 0));
		break;
	case KIND_link_to_file:
		write_file("a-file", "text", 0644);
		MUST(symlink("a-file", path));
		break;
	case KIND_link_to_dir:
		mkdir("a-dir", 0755);
		MUST(symlink("a-dir", path));
		break;
	default:
		MUST(symlink("absent", path));
	}
}

static UNUSED void give(const char *path, uid_t uid, gid_t gid)
{
	if (privileged)
		MUST(lchown(path, uid, gid));
}

static UNUSED void show(const char *label, const char *path)
{
	struct stat st;
	char to[64] = "";

	if (lstat(path, &st)) {
		result(label, -1);
		return;
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, to, sizeof(to) - 1);

		to[n < 0 ? 0 : n] = 0;
	}
	say(label, "mode %o owner %u:%u links %lu size %ld %s", st.st_mode, st.st_uid, st.st_gid,
	    (unsigned long)st.st_nlink, S_ISDIR(st.st_mode) ? 0L : (long)st.st_size, to);
}

/* --- when it was changed --- */

struct moment {
	const char *path;
	struct timespec changed, modified;
};

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Remembers the times of a file, and waits until a change would show in them. */
static UNUSED struct moment before(const char *path)
{
	const struct timespec little = {0, 200000};
	struct timespec now, limit;
	struct stat st;

	MUST(lstat(path, &st));
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 5;
	do {
		nanosleep(&little, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while ((!later(now, st.st_ctim) || !later(now, st.st_mtim)) && later(limit, now));
	return (struct moment){path, st.st_ctim, st.st_mtim};
}

static UNUSED void after(const struct moment *was, const char *path)
{
	struct stat st;
	char label[300];

	snprintf(label, sizeof(label), "  times of %s", path);
	if (lstat(path, &st))
		result(label, -1);
	else
		say(label, "%s%s",
		    later(st.st_ctim, was->changed) ? "changed"
		                                    : (later(was->changed, st.st_ctim) ? "CHANGED BACK" : "as before"),
		    later(st.st_mtim, was->modified) ? ", modified" : "");
}

/* A row, and whether it changed the times of one or two paths. */
#define TIMED(call, one, other)                                                                                        \
	do {                                                                                                           \
		struct moment was_one_ = before(one), was_other_ = before(other);                                      \
		ROW(call);                                                                                             \
		after(&was_one_, one);                                                                                 \
		after(&was_other_, other);                                                                             \
	} while (0)

#endif
