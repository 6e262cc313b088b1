/* What tasks share, and what they no longer do: current directory, umask, descriptors, with and without being threads. */
#include "processes.h"

#include <pthread.h>
#include <sched.h>

static char stack[65536] __attribute__((aligned(64)));

static void show_here(const char *label)
{
	char here[4096], name[64] = "";
	int fd = open("name", O_RDONLY);

	if (!getcwd(here, sizeof(here)))
		strcpy(here, strerrorname_np(errno));
	if (fd >= 0) {
		ssize_t n = read(fd, name, sizeof(name) - 1);

		name[n > 0 ? n : 0] = 0;
		close(fd);
	}
	const char *last = strrchr(here, '/');
	mode_t mask = umask(0);

	umask(mask);
	say(label, "in %s, name %s, umask %03o", last ? last + 1 : here, name, mask);
}

static void show_fds(const char *label)
{
	char text[256] = "";

	for (int fd = 3; fd < 20; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			sprintf(text + strlen(text), " %d", fd);
	put(label, text);
}

static int changes(void *arg)
{
	(void)arg;
	MUST(chdir("b"));
	umask(077);
	(void)MUST(open("name", O_RDONLY));
	(void)MUST(open("name", O_RDONLY | O_CLOEXEC));
	show_here("the child");
	show_fds("the child");
	return 5;
}

static int changes_and_executes(void *arg)
{
	changes(arg);
	execl("/bin/sh", "sh", "-c", "read -r name <name; cd ..; exit ${#name}", (char *)NULL);
	return 127;
}

static int leaves(void *arg)
{
	(void)arg;
	show_here("before it leaves");
	ROW(unshare(CLONE_FS));
	MUST(chdir("b"));
	umask(077);
	show_here("the child");
	ROW(unshare(CLONE_FILES));
	(void)MUST(open("name", O_RDONLY));
	show_fds("the child");
	return 6;
}

static int comes_back(void *arg)
{
	(void)arg;
	MUST(chdir("../b"));
	MUST(chdir(".."));
	MUST(chdir("a"));
	MUST(rename("../b", "../moved"));
	show_here("the child");
	MUST(rename("../moved", "../b"));
	return 7;
}

static void tries(const char *what, int flags, int (*body)(void *), int top)
{
	section(what);
	int child = (int)MUST(clone(body, stack + sizeof(stack), flags | SIGCHLD, NULL));

	show_wait("its end", child, 0);
	show_here("the parent");
	show_fds("the parent");
	for (int fd = 3; fd < 20; fd++)
		if (fd != top)
			close(fd);
	umask(022);
	MUST(fchdir(top));
	MUST(chdir("a"));
}

static int gate[2], done[2];

static void step(int fd)
{
	MUST(write(fd, "x", 1));
}

static void await(int fd)
{
	char byte;

	MUST(read(fd, &byte, 1));
}

/* A thread that shares everything, then has a directory of its own, then descriptors of its own. */
static void *in_thread(void *arg)
{
	await(gate[0]);
	MUST(chdir("../b"));
	show_here("the thread");
	step(done[1]);
	await(gate[0]);
	ROW(unshare(CLONE_FS));
	MUST(chdir("../a"));
	umask(027);
	show_here("the thread, with its own");
	MUST(mkdirat(AT_FDCWD, "../made", 0777));
	step(done[1]);
	await(gate[0]);
	show_here("the thread, still");
	int own = dup(gate[0]);

	ROW(unshare(CLONE_FILES));
	MUST(open("name", O_RDONLY));
	close(own);
	show_fds("the thread, with its own");
	show_here("the thread, still");
	return arg;
}

static void threads(void)
{
	pthread_t thread;
	struct stat st;

	section("a thread");
	MUST(pipe2(gate, O_CLOEXEC));
	MUST(pipe2(done, O_CLOEXEC));
	MUST(pthread_create(&thread, NULL, in_thread, NULL) ? -1 : 0);
	step(gate[1]);
	await(done[0]);
	show_here("the first, after it");
	step(gate[1]);
	await(done[0]);
	show_here("the first, alone");
	MUST(stat("../made", &st));
	say("made by the thread", "%o", st.st_mode);
	MUST(rmdir("../made"));
	MUST(chdir("../c"));
	show_here("the first, elsewhere");
	step(gate[1]);
	pthread_join(thread, NULL);
	show_fds("the first");
	show_here("the first, at last");
}

int main(void)
{
	static const char *const names[] = {"a", "b", "c", "a/b"};
	char path[32];

	settle();
	closefrom(3);
	for (size_t i = 0; i < COUNT(names); i++) {
		MUST(mkdir(names[i], 0755));
		snprintf(path, sizeof(path), "%s/name", names[i]);
		write_file(path, names[i], 0644);
	}
	int top = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));

	umask(022);
	MUST(chdir("a"));
	tries("nothing is shared", 0, changes, top);
	tries("the directory is shared", CLONE_FS, changes, top);
	tries("descriptors are shared", CLONE_FILES, changes, top);
	tries("both are shared", CLONE_FS | CLONE_FILES, changes, top);
	tries("memory alone is shared", CLONE_VM, changes, top);
	tries("all is shared", CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND, changes, top);
	tries("vfork", CLONE_VM | CLONE_VFORK, changes, top);
	tries("vfork that shares the directory", CLONE_VM | CLONE_VFORK | CLONE_FS, changes, top);
	tries("exec leaves what was shared", CLONE_FS | CLONE_FILES, changes_and_executes, top);
	tries("exec leaves what vfork shared", CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES, changes_and_executes,
	      top);
	tries("unshare leaves it", CLONE_FS | CLONE_FILES, leaves, top);
	tries("what is shared is renamed", CLONE_FS, comes_back, top);
	close(top);
	threads();
	return 0;
}
