/*
 * The limit of open files: lowered beneath the capabilities, raised above them, set by another process, inherited, and met at
 * every step of a call. Where nothing is read outside, the capabilities have to be as before at the end.
 *
 * ARG 0 "standin" is the native half: descriptors 900 and 901 stand in for the capabilities. Else it may be "after-exec".
 */
#include "capabilities.h"

#include <dirent.h>
#include <sched.h>
#include <sys/inotify.h>

static struct rlimit was;

static void begin(void)
{
	prepare();
	need(getrlimit(RLIMIT_NOFILE, &was), "getrlimit");
}

static void set_limit(pid_t pid, rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = {soft, hard};

	prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}

/* Everything that may close a descriptor or put one in the place of another, with every number. */
static void hurt(void)
{
	static const unsigned flags[] = {0, 2 /* CLOSE_RANGE_UNSHARE */, 4 /* CLOSE_RANGE_CLOEXEC */, 6};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		syscall(SYS_close_range, 3, ~0u, flags[i]);
		for (unsigned fd = 3; fd < LAST; fd += 150) {
			syscall(SYS_close_range, fd, fd + 150, flags[i]);
			syscall(SYS_close_range, fd, LAST - fd, flags[i]);
		}
	}
	for (int fd = 3; fd < LAST; fd++) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (dup2(0, fd) == fd)
			close(fd);
		if (dup3(0, fd, O_CLOEXEC) == fd)
			close(fd);
		int landed = fcntl(0, F_DUPFD, fd);
		if (landed >= 0)
			close(landed);
		close(fd);
	}
}

static const rlim_t steps[] = {0, 3, 64, 901, 1000};

static void lowered(void)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		set_limit(0, steps[i], was.rlim_max);
		hurt();
	}
	set_limit(0, was.rlim_cur, was.rlim_max);
	judge_intact("a lower limit");
}

static void raised(void)
{
	begin();
	for (rlim_t soft = was.rlim_cur > 8 ? was.rlim_cur - 8 : 0; soft <= was.rlim_cur + 256; soft += 13) {
		set_limit(0, soft, was.rlim_max);
		hurt();
	}
	set_limit(0, was.rlim_max, was.rlim_max);
	hurt();
	set_limit(0, was.rlim_cur, was.rlim_max);
	judge_intact("a higher limit");
}

/* No number that is given out may be one that was hidden, whatever limits were set before. */
static void highest(void)
{
	static char landed[LAST];

	begin();
	const rlim_t first = standing_in() ? STANDIN : was.rlim_cur;

	for (rlim_t soft = first; soft <= was.rlim_max && soft < LAST - 1; soft += soft < first + 40 ? 1 : 97) {
		set_limit(0, soft, was.rlim_max);
		for (int fd = (int)soft - 2; fd < (int)soft + 2; fd++)
			if (dup2(0, fd) == fd)
				landed[fd] = 1;
	}
	for (int fd = 3; fd < LAST; fd++)
		if (landed[fd])
			close(fd);
	set_limit(0, was.rlim_cur, was.rlim_max);
	judge_intact("the highest number");
}

/* By a child, while this process hurts what it can. */
static void by_sibling(void)
{
	begin();
	pid_t child = need(fork(), "fork");

	if (!child)
		for (unsigned i = 0;; i++) {
			set_limit(getppid(), steps[i % ARRAY_SIZE(steps)], was.rlim_max);
			set_limit(getppid(), was.rlim_max - i % 64, was.rlim_max);
		}
	for (int i = 0; i < 3; i++)
		hurt();
	kill(child, SIGKILL);
	reap(child);
	set_limit(0, was.rlim_cur, was.rlim_max);
	judge_intact("another process's limits");
}

/* Over an exec, with a hard limit that nobody raises again. */
static void inherited(void)
{
	begin();
	hurt();
	set_limit(0, 16, 16);
	hurt();
	again();
}

static void after_exec(void)
{
	if (has_argument(0)) {
		if (fcntl(STANDIN, F_GETFD) < 0)
			escaped("it did not survive the exec");
		held("intact exec");
	}
	begin();
	hurt();
	judge_intact("an exec with a low limit");
}

/* A table that is shared with a process that has another limit. */
static int with_shared_table(void *unused)
{
	(void)unused;
	set_limit(0, 4, was.rlim_max);
	hurt();
	set_limit(0, was.rlim_max, was.rlim_max);
	hurt();
	return 0;
}

static void shared_table(void)
{
	static char stack[65536] __attribute__((aligned(16)));

	begin();
	pid_t child = clone(with_shared_table, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);

	reap(need(child, "clone"));
	judge_intact("a shared table");
}

/* Each way to a secret, with what a table that is all but full lets it have. */
static int read_secret(int way)
{
	const char *secret = in_base("secret/file");
	const struct how how = {.flags = O_RDONLY};
	char text[64];
	int fd = -1, dir;

	switch (way) {
	case 0:
		return open(secret, O_RDONLY);
	case 1:
		return (int)syscall(SYS_openat2, AT_FDCWD, "../secret/file", &how, sizeof(how));
	case 2:
		dir = open("..", O_RDONLY | O_DIRECTORY);
		if (dir >= 0) {
			fd = openat(dir, "secret/file", O_RDONLY);
			close(dir);
		}
		return fd;
	case 3:
		if (!chdir(in_base("secret"))) {
			fd = open("file", O_RDONLY);
			need(chdir(in_base("work")), "chdir");
		}
		return fd;
	case 4:
		return open(in_base("work/to-secret"), O_RDONLY);
	default:
		snprintf(text, sizeof(text), "/proc/self/cwd/../secret/file");
		return open(text, O_RDONLY);
	}
}

#define WAYS 6

static void nearly_full(void)
{
	static int fds[LAST];
	int n = 0, found = -1;

	begin();
	unlink(in_base("work/to-secret"));
	need(symlink("../secret/file", in_base("work/to-secret")), "symlink");
	while (n < LAST && (fds[n] = dup(0)) >= 0)
		n++;
	int inotify = n > 4 ? (close(fds[n - 1]), n--, inotify_init1(0)) : -1;

	for (int room = 0; room < 4 && room < n && found < 0; room++) {
		for (int way = 0; way < WAYS && found < 0; way++)
			found = read_secret(way);
		/* the calls that are rewritten, at each of their steps */
		int fd = open(in_base("work/file"), O_RDONLY);
		close(fd);
		fd = open(in_base("other/made"), O_RDWR | O_CREAT, 0600);
		close(fd);
		fd = open(in_base("carved"), O_RDONLY | O_DIRECTORY);
		close(fd);
		DIR *dir = opendir("/proc/self/fd");
		if (dir)
			closedir(dir);
		inotify_add_watch(inotify, in_base("work"), IN_CREATE);
		inotify_add_watch(inotify, in_base("secret"), IN_CREATE);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		close(fd);
		close(fds[--n]);
	}
	if (found >= 0)
		judge_read(found, "with a table that was nearly full");
	while (n--)
		close(fds[n]);
	close(inotify);
	judge_intact("a full table");
}

/* As many processes and directories at once as make the supervisor run out of descriptors of its own. */
static void crowd(void)
{
	int started = 0, go[2], found;
	char byte;

	begin();
	need(pipe(go), "pipe");
	for (; started < 400; started++) {
		pid_t child = fork();

		if (child < 0)
			break;
		if (child)
			continue;
		close(go[1]);
		/* until this process has seen that it cannot, or can */
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	for (int way = 0; way < WAYS; way++)
		if ((found = read_secret(way)) >= 0)
			judge_read(found, "among many processes");
	for (int sig = 0; sig < 2; sig++)
		if (!kill(victim(), sig ? SIGCONT : 0))
			escaped("a signal reached the victim");
	close(go[1]);
	while (wait(NULL) > 0)
		;
	if (started < 300)
		untried("only %d processes", started);
	judge_intact("many processes");
}

const struct attack attacks[] = {
	{"lowered", lowered},
	{"raised", raised},
	{"highest", highest},
	{"by-sibling", by_sibling},
	{"inherited", inherited},
	{"after-exec", after_exec},
	{"shared-table", shared_table},
	{"nearly-full", nearly_full},
	{"crowd", crowd},
	{0},
};
