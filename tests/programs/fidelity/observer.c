/*
 * Runs a command natively beside the program that is observed, and does for it what must not depend on where it runs:
 * plants the tree on which calls are tried, looks at what became of it, and plants it anew.
 *
 *     observer UID COMMAND [ARG]...    in the directory where the tree is to be; the command's descriptor 0 is the observer
 *
 * A request is one byte. 'l': look; the answer is one line for each name that is otherwise than it was planted, then
 * "planted" or "kept", and an empty line. What it plants belongs to UID.
 */

#include "observe.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static uid_t owner;
static char place[PATH_MAX];
static int fifo = -1;

static void own(const char *path)
{
	if (geteuid() == 0)
		MUST(lchown(path, owner, owner));
}

static void clear(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return;
	if (S_ISDIR(st.st_mode)) {
		MUST(chmod(path, 0700));
		DIR *d = opendir(path);
		struct dirent *e;

		while (d && (e = readdir(d))) {
			char inner[PATH_MAX];

			if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
				continue;
			snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
			clear(inner);
		}
		if (d)
			closedir(d);
		MUST(rmdir(path));
	} else {
		MUST(unlink(path));
	}
}

/* What is planted, parents first. A symbolic link to "@x" leads to x by an absolute path. */
static const struct plant {
	const char *path;
	mode_t mode;
	const char *text;
} plants[] = {
	{"tree", S_IFDIR | 0755, NULL},
	{"tree/file", S_IFREG | 0644, "0123456789\n"},
	{"tree/hard", 0, "tree/file"}, /* a further name for it */
	{"tree/empty", S_IFREG | 0600, ""},
	{"tree/exec", S_IFREG | 0755, "#!/bin/echo\n"},
	{"tree/none", S_IFREG | 0, "none\n"},
	{"tree/ro", S_IFREG | 0444, "ro\n"},
	{"tree/setid", S_IFREG | 06755, "setid\n"},
	{"tree/dir", S_IFDIR | 0755, NULL},
	{"tree/dir/a", S_IFREG | 0644, "a\n"},
	{"tree/dir/sub", S_IFDIR | 0755, NULL},
	{"tree/dir/sub/b", S_IFREG | 0644, "b\n"},
	{"tree/emptydir", S_IFDIR | 0755, NULL},
	{"tree/setgiddir", S_IFDIR | 02775, NULL},
	{"tree/nodir", S_IFDIR | 0, NULL},
	{"tree/nodir/x", S_IFREG | 0644, "x\n"},
	{"tree/noread", S_IFDIR | 0311, NULL},
	{"tree/noread/x", S_IFREG | 0644, "x\n"},
	{"tree/nosearch", S_IFDIR | 0644, NULL},
	{"tree/nosearch/x", S_IFREG | 0644, "x\n"},
	{"tree/nowrite", S_IFDIR | 0555, NULL},
	{"tree/nowrite/x", S_IFREG | 0644, "x\n"},
	{"tree/sticky", S_IFDIR | 01777, NULL},
	{"tree/sticky/x", S_IFREG | 0644, "x\n"},
	{"tree/fifo", S_IFIFO | 0644, NULL},
	{"tree/sock", S_IFSOCK | 0755, NULL},
	{"tree/link", S_IFLNK, "file"},
	{"tree/dirlink", S_IFLNK, "dir"},
	{"tree/uplink", S_IFLNK, "dir/../file"},
	{"tree/dotlink", S_IFLNK, "."},
	{"tree/parentlink", S_IFLNK, ".."},
	{"tree/rootlink", S_IFLNK, "/"},
	{"tree/dangling", S_IFLNK, "absent"},
	{"tree/danglingdir", S_IFLNK, "absent/x"},
	{"tree/danglingslash", S_IFLNK, "new/"},
	{"tree/loop", S_IFLNK, "loop"},
	{"tree/ping", S_IFLNK, "pong"},
	{"tree/pong", S_IFLNK, "ping"},
	{"tree/selflink", S_IFLNK, "selflink/x"},
	{"tree/slashlink", S_IFLNK, "file/"},
	{"tree/dirslashlink", S_IFLNK, "dir/"},
	{"tree/noneslink", S_IFLNK, "nosearch/x"},
	{"tree/outward", S_IFLNK, "../outside"},
	{"tree/abslink", S_IFLNK, "@tree/file"},
	{"tree/absdirlink", S_IFLNK, "@tree/dir"},
	/* forty links are followed; but those of an attempt without locks, which was given up, may count too */
	{"tree/c20", S_IFLNK, "../chain/c19"},
	{"tree/c41", S_IFLNK, "../chain/c40"},
	{"outside", S_IFREG | 0644, "outside\n"},
};

static void plant_one(const struct plant *p)
{
	char to[PATH_MAX + 64];

	switch (p->mode & S_IFMT) {
	case S_IFDIR:
		MUST(mkdir(p->path, 0700));
		break;
	case S_IFREG:
		write_file(p->path, p->text, 0600);
		break;
	case S_IFLNK:
		snprintf(to, sizeof(to), "%s%s%s", p->text[0] == '@' ? place : "", p->text[0] == '@' ? "/" : "",
		         p->text + (p->text[0] == '@'));
		MUST(symlink(to, p->path));
		own(p->path);
		return;
	case 0:
		MUST(link(p->text, p->path));
		return;
	default:
		MUST(mknod(p->path, p->mode & S_IFMT, 0));
		break;
	}
	own(p->path);
	MUST(chmod(p->path, p->mode & 07777)); /* behind chown, which takes set-id bits away */
	if (S_ISFIFO(p->mode)) {
		/* with both ends held, no open of it waits */
		if (fifo >= 0)
			close(fifo);
		fifo = (int)MUST(open(p->path, O_RDWR | O_CLOEXEC));
	}
}

static bool beneath(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) && (!path[n] || path[n] == '/');
}

/* The directory of a read-only parent can be planted in only as root, or before it becomes one: the modes come last. */
static void plant(const char *top)
{
	clear(top);
	for (size_t i = 0; i < COUNT(plants); i++)
		if (beneath(plants[i].path, top)) {
			struct plant open = plants[i];

			if (S_ISDIR(open.mode))
				open.mode |= 0700;
			plant_one(&open);
		}
	for (size_t i = COUNT(plants); i-- > 0;)
		if (beneath(plants[i].path, top) && S_ISDIR(plants[i].mode))
			MUST(chmod(plants[i].path, plants[i].mode & 07777));
}

static void plant_chain(void)
{
	char name[32], to[32] = "../tree/file";

	clear("chain");
	MUST(mkdir("chain", 0755));
	own("chain");
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "chain/c%d", i);
		MUST(symlink(to, name));
		own(name);
		snprintf(to, sizeof(to), "%sc%d", i < 10 ? "./" : "", i);
	}
}

/* What was found otherwise becomes what it was: the name in the tree that it stands under, made anew. True: all of it. */
static bool repair(const char *path)
{
	char top[600];
	struct stat st;
	const char *slash;

	if (beneath(path, "chain")) {
		plant_chain();
		return false;
	}
	if (!strcmp(path, "tree")) {
		if (lstat(path, &st) || !S_ISDIR(st.st_mode)) {
			plant("tree");
			return true;
		}
		own(path);
		MUST(chmod(path, 0755));
		return false;
	}
	snprintf(top, sizeof(top), "%s", path);
	if (beneath(path, "tree") && (slash = strchr(path + 5, '/')))
		top[slash - path] = 0;
	if (!strcmp(top, "tree/file") || !strcmp(top, "tree/hard")) {
		clear("tree/hard");
		plant("tree/file");
		plant("tree/hard");
		return false;
	}
	plant(top);
	return false;
}

/* --- what is there --- */

struct entry {
	char path[600];
	char text[200];
};
struct view {
	struct entry entry[400];
	size_t count;
};

static void look(struct view *view, const char *path)
{
	struct stat st;
	char to[100] = "";

	if (view->count == COUNT(view->entry) || lstat(path, &st))
		return;
	struct entry *e = &view->entry[view->count++];

	snprintf(e->path, sizeof(e->path), "%s", path);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, to, sizeof(to) - 1);

		to[n < 0 ? 0 : n] = 0;
		if (to[0] == '/')
			to[1] = 0; /* where it is run is no business of the comparison */
	}
	snprintf(e->text, sizeof(e->text), "%o %u:%u links %lu size %ld %s", st.st_mode, st.st_uid, st.st_gid,
	         (unsigned long)st.st_nlink, S_ISREG(st.st_mode) ? (long)st.st_size : 0, to);
	if (!S_ISDIR(st.st_mode))
		return;
	DIR *d = opendir(path);
	struct dirent *each;

	while (d && (each = readdir(d))) {
		char inner[600];

		if (!strcmp(each->d_name, ".") || !strcmp(each->d_name, ".."))
			continue;
		if (snprintf(inner, sizeof(inner), "%s/%s", path, each->d_name) < (int)sizeof(inner))
			look(view, inner);
	}
	if (d)
		closedir(d);
}

static int order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static void see(struct view *view)
{
	view->count = 0;
	look(view, "tree");
	look(view, "chain");
	look(view, "outside");
	look(view, "absent"); /* where a call made it */
	qsort(view->entry, view->count, sizeof(view->entry[0]), order);
}

static void serve(FILE *to)
{
	static struct view before, after;
	static char changed[COUNT(before.entry)][600];
	size_t a = 0, b = 0, count = 0;
	bool planted = false;

	if (!before.count) {
		plant("tree");
		plant("outside");
		plant_chain();
		see(&before);
		planted = true;
	}
	see(&after);
	while (a < before.count || b < after.count) {
		const struct entry *was = a < before.count ? &before.entry[a] : NULL;
		const struct entry *is = b < after.count ? &after.entry[b] : NULL;
		int sign = !was ? 1 : !is ? -1 : strcmp(was->path, is->path);

		a += sign <= 0;
		b += sign >= 0;
		if (!sign && !strcmp(was->text, is->text))
			continue;
		const char *path = (sign < 0 ? was : is)->path;

		fprintf(to, "%.60s: %s\n", path, sign < 0 ? "nothing" : is->text);
		if (count < COUNT(changed))
			snprintf(changed[count++], sizeof(changed[0]), "%s", path);
	}
	for (size_t i = 0; i < count && !planted; i++)
		planted = repair(changed[i]);
	fprintf(to, "%s\n\n", planted ? "planted" : "kept");
	fflush(to);
}

int main(int argc, char **argv)
{
	int pair[2], status;
	char request;

	if (argc < 3)
		return 125;
	owner = (uid_t)atoi(argv[1]);
	umask(0);
	MUST(getcwd(place, sizeof(place)) ? 0 : -1);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		umask(022);
		dup2(pair[1], 0);
		close(pair[0]);
		close(pair[1]);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	close(pair[1]);
	signal(SIGPIPE, SIG_IGN);
	FILE *to = fdopen(pair[0], "r+");

	if (!to)
		return 125;
	while (read(pair[0], &request, 1) == 1)
		serve(to);
	clear("tree");
	clear("chain");
	clear("outside");
	if (waitpid(pid, &status, 0) != pid)
		return 125;
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}
