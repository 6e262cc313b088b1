/*
 * What a process may do to another of the same program: to its parent, which keeps its ids while the child gives them up
 * (where it can), or which closes itself to others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"cwd",     "exe",    "root",         "fd",      "fdinfo/1", "auxv",
                                    "environ", "io",     "maps",         "smaps",   "stat",     "status",
                                    "cmdline", "limits", "smaps_rollup", "pagemap", "statm"};

static void say(const char *what, long result)
{
	printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
}

static void look(void)
{
	char path[64], text[256];
	const struct rlimit few = {64, 64};
	struct rlimit now;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", getppid(), names[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		say(names[i], fd);
		if (fd >= 0)
			close(fd);
	}
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", getppid(), names[i]);
		say(names[i], readlink(path, text, sizeof(text)));
	}
	say("prlimit get", prlimit(getppid(), RLIMIT_NOFILE, NULL, &now));
	say("prlimit set", prlimit(getppid(), RLIMIT_NOFILE, &few, NULL));
	say("prlimit of another resource", prlimit(getppid(), RLIMIT_STACK, NULL, &now));
}

int main(int argc, char **argv)
{
	int status;
	struct rlimit limit;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "closed"))
		prctl(PR_SET_DUMPABLE, 0);
	pid_t child = fork();
	if (!child) {
		if (argc > 1 && !strcmp(argv[1], "dropped") && !getuid() &&
		    (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
			return 1;
		look();
		return 0;
	}
	waitpid(child, &status, 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("the parent's limit is %s\n", limit.rlim_cur == 64 ? "64" : "as before");
	return status;
}
