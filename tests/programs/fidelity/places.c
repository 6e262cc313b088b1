/* Where one is: the current directory, canonical paths, what directories list, and what /proc says of it. */
#include "observe.h"

#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char top[PATH_MAX];

/* A path without what leads to the place where this is run. */
static const char *beneath(const char *path)
{
	size_t n = strlen(top);

	return !strncmp(path, top, n) ? *(path + n) ? path + n : "(top)" : path;
}

static void where(const char *label)
{
	char at[PATH_MAX], link[PATH_MAX];

	errno = 0;
	if (getcwd(at, sizeof(at)))
		say(label, "%s", beneath(at));
	else
		say(label, "%s", strerrorname_np(errno));
	ssize_t n = readlink("/proc/self/cwd", link, sizeof(link) - 1);

	link[n < 0 ? 0 : n] = 0;
	say(label, "/proc: %s", n < 0 ? strerrorname_np(errno) : beneath(link));
	memset(at, 0, sizeof(at));
	say(label, "the call: %ld %s", syscall(SYS_getcwd, at, sizeof(at)) > 0 ? 1L : -1L, beneath(at));
}

static void current(void)
{
	char small[8], *made;

	section("the current directory");
	where("at first");
	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0755));
	MUST(symlink("a/b", "link"));
	MUST(symlink("/", "root"));
	ROW(chdir("a/b"));
	where("a/b");
	ROW(chdir("../.."));
	where("up again");
	ROW(chdir("link"));
	where("through a link");
	ROW(chdir(".."));
	where("above a link");
	int fd = (int)MUST(open("b", O_RDONLY | O_DIRECTORY)), path_fd = (int)MUST(open("b", O_PATH));

	ROW(fchdir(fd));
	where("by descriptor");
	MUST(chdir(top));
	ROW(fchdir(path_fd));
	where("by O_PATH descriptor");
	ROW(getcwd(small, sizeof(small)) != NULL);
	ROW(getcwd(small, 0) != NULL);
	made = getcwd(NULL, 0);
	say("made by the library", "%s", made ? beneath(made) : "nothing");
	free(made);
	ROW(syscall(SYS_getcwd, small, (size_t)0));
	ROW(syscall(SYS_getcwd, small, (size_t)2));
	ROW(syscall(SYS_getcwd, 8, (size_t)4096));
	ROW(rename("../b", "../c"));
	where("renamed from inside");
	ROW(rename("../c", "../../c"));
	where("moved from inside");
	ROW(rmdir("../c"));
	where("removed");
	ROW(open("x", O_CREAT | O_WRONLY, 0644));
	ROW(mkdir("x", 0755));
	ROW(open(".", O_RDONLY));
	close(fd);
	DIR *d = opendir(".");

	say("a removed directory", "%s", d && readdir(d) ? "lists something" : "lists nothing");
	if (d)
		closedir(d);
	ROW(access(".", F_OK));
	ROW(access("..", F_OK));
	ROW(chdir("."));
	ROW(chdir(".."));
	where("above the removed one");
	close(path_fd);
	close(fd);
	close(4), close(5), close(6);
	MUST(chdir(top));
	/* a child has its own */
	int status;
	pid_t pid = (pid_t)MUST(fork());

	if (!pid) {
		MUST(chdir("a"));
		where("the child");
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	where("the parent");
	rmdir("a/b"), rmdir("a"), unlink("link"), unlink("root");
}

static void show_real(const char *path)
{
	char real[PATH_MAX], label[200];

	snprintf(label, sizeof(label), "%.150s", path);
	if (realpath(path, real))
		put(label, beneath(real));
	else
		put(label, strerrorname_np(errno));
}

static void canonical(void)
{
	char path[PATH_MAX + 10];

	section("realpath");
	MUST(mkdir("d", 0755));
	MUST(mkdir("d/e", 0755));
	write_file("d/e/f", "x", 0644);
	MUST(symlink("d/e", "l"));
	MUST(symlink("../d", "d/up"));
	MUST(symlink("loop", "loop"));
	MUST(symlink("absent", "dangling"));
	snprintf(path, sizeof(path), "%s/d", top);
	MUST(symlink(path, "absolute"));
	static const char *const paths[] = {".",
	                                    "..",
	                                    "d",
	                                    "d/",
	                                    "d//e/./f",
	                                    "l/f",
	                                    "l/../e/f",
	                                    "d/up/up/e",
	                                    "absolute",
	                                    "absolute/e/f",
	                                    "loop",
	                                    "dangling",
	                                    "",
	                                    "d/e/f/",
	                                    "absent",
	                                    "/",
	                                    "/usr/../etc",
	                                    "/bin/sh",
	                                    "/lib64",
	                                    "/proc/self/cwd",
	                                    "/dev/stdin",

	                                    "/proc/self/root/usr"};

	for (size_t i = 0; i < COUNT(paths); i++) {
		if (!strcmp(paths[i], "/dev/stdin"))
			continue; /* it was made by chance */
		show_real(paths[i]);
	}
	unlink("d/e/f"), unlink("l"), unlink("d/up"), unlink("loop"), unlink("dangling"), unlink("absolute");
	rmdir("d/e"), rmdir("d");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void listed(const char *label, const char *path)
{
	char *names[400], text[4000] = "";
	size_t count = 0;
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d) {
		say(label, "%s", strerrorname_np(errno));
		return;
	}
	while (count < COUNT(names) && (e = readdir(d))) {
		char line[300];
		struct stat st;

		/* the number is what stat says, the type too */
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			st.st_ino = 0, st.st_mode = 0;
		snprintf(line, sizeof(line), "%s %s type %d%s%s", path, e->d_name, e->d_type,
		         strcmp(e->d_name, "..") && st.st_ino != e->d_ino ? " of another number" : "",
		         IFTODT(st.st_mode) == e->d_type ? "" : " of another type");
		names[count++] = strdup(line);
	}
	closedir(d);
	qsort(names, count, sizeof(names[0]), by_text);
	for (size_t i = 0; i < count; i++) {
		if (strlen(text) + strlen(names[i]) + 3 < sizeof(text) && count < 20) {
			strcat(text, names[i]);
			strcat(text, "; ");
		}
		free(names[i]);
	}
	say(label, "%zu: %s", count, text);
}

static int visited;

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char label[200];

	visited++;
	snprintf(label, sizeof(label), "nftw %.100s", path);
	say(label, "type %d level %d mode %o", type, at->level, st->st_mode);
	return 0;
}

static void lists(void)
{
	char name[64];

	section("directories");
	MUST(mkdir("many", 0755));
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "many/%03d-of-a-name-that-takes-its-room", i);
		MUST(mknod(name, S_IFREG | 0644, 0));
	}
	MUST(mkdir("kinds", 0755));
	MUST(mkdir("kinds/dir", 0755));
	MUST(symlink("x", "kinds/link"));
	MUST(mknod("kinds/fifo", S_IFIFO | 0644, 0));
	MUST(mknod("kinds/sock", S_IFSOCK | 0644, 0));
	write_file("kinds/file", "x", 0644);
	write_file("kinds/\xff\xfe", "x", 0644);
	write_file("kinds/a\nb", "x", 0644);
	listed("many", "many");
	listed("kinds", "kinds");
	listed("kinds/..", "kinds/dir/..");
	listed("here", ".");
	listed("absent", "absent");
	listed("a file", "kinds/file");
	nftw("kinds", visit, 4, FTW_PHYS);
	nftw("kinds", visit, 1, FTW_PHYS | FTW_DEPTH | FTW_CHDIR);
	say("visited", "%d", visited);
	glob_t found;

	int got = glob("many/1*5*", 0, NULL, &found);

	say("glob", "%d, %zu", got, found.gl_pathc);
	globfree(&found);
	got = glob("kin*/[fs]*", GLOB_MARK, NULL, &found);
	say("glob", "%d, %zu", got, found.gl_pathc);
	globfree(&found);

	/* places in a directory: the same name comes after seekdir as came then */
	DIR *d = opendir("many");
	long places[302];
	char names[302][64];
	size_t count = 0;
	struct dirent *e;
	bool same = true;

	while (count < COUNT(places) && (places[count] = telldir(d), e = readdir(d)))
		snprintf(names[count++], sizeof(names[0]), "%.60s", e->d_name);
	for (size_t i = 0; i < count; i += 7) {
		seekdir(d, places[i]);
		e = readdir(d);
		same &= e && !strcmp(e->d_name, names[i]);
	}
	say("telldir and seekdir", "%zu %s", count, same ? "agree" : "do not agree");
	rewinddir(d);
	e = readdir(d);
	say("rewinddir", "%s", e && !strcmp(e->d_name, names[0]) ? "begins anew" : "does not");
	/* what is removed while one reads */
	rewinddir(d);
	count = 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			count++;
			MUST(unlinkat(dirfd(d), e->d_name, 0));
		}
	say("removed while reading", "%zu", count);
	closedir(d);
	ROW(rmdir("many"));
	char buffer[1024];
	int fd = (int)MUST(open("kinds", O_RDONLY | O_DIRECTORY));

	ROW(syscall(SYS_getdents64, fd, buffer, (size_t)10));
	ROW(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) > 0);
	ROW(lseek(fd, 0, SEEK_SET));
	ROW(syscall(SYS_getdents, fd, buffer, sizeof(buffer)) > 0);
	ROW(read(fd, buffer, 10));
	ROW(write(fd, buffer, 10));
	/* the same open directory seen by two */
	int twin = dup(fd);

	ROW(lseek(twin, 0, SEEK_SET));
	ROW(syscall(SYS_getdents64, twin, buffer, sizeof(buffer)) > 0);
	ROW(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
	close(fd), close(twin);
	static const char *const all[] = {"link", "fifo", "sock", "file", "\xff\xfe", "a\nb"};

	for (size_t i = 0; i < COUNT(all); i++) {
		snprintf(name, sizeof(name), "kinds/%s", all[i]);
		unlink(name);
	}
	rmdir("kinds/dir"), rmdir("kinds");
}

/* Deep down, where the path is longer than PATH_MAX allows to say it. */
static void deep(void)
{
	char name[101];
	int depth = 0;

	section("deep");
	memset(name, 'd', 100);
	name[100] = 0;
	while (depth < 30) {
		if (mkdir(name, 0755) || chdir(name))
			break;
		depth++;
	}
	say("depth", "%d %s", depth, depth < 30 ? strerrorname_np(errno) : "");
	char at[PATH_MAX];

	say("down there", "%zu more", getcwd(at, sizeof(at)) ? strlen(at) - strlen(top) : 0);
	for (; depth; depth--) {
		MUST(chdir(".."));
		MUST(rmdir(name));
	}
	where("up again");
}

int main(void)
{
	umask(022);
	MUST(getcwd(top, sizeof(top)) ? 0 : -1);
	current();
	canonical();
	lists();
	deep();
	return 0;
}
