/*
 * A core file is made by the kernel and by no call of the program: no seccomp program sees it, but Landlock does, which
 * judges it like a file that the program makes in its current directory. Where none is made, the wait status says so.
 */
#include "../common/landlock.h"
#include "fact.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/resource.h>

static bool empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int n = 0;

	if (!dir)
		ends(2, "%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return !n;
}

/* Everything that opens or makes a file: EPERM. */
static void refuse_opens(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_creat, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
	claim_error(open("own", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), EPERM);
}

static void make_no_files_but_in_permitted(void)
{
	const uint64_t making = LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE;
	int ruleset = landlock_ruleset(making);

	if (ruleset < 0)
		lacks("Landlock: %s", strerror(errno));
	need(landlock_permit(ruleset, "../permitted", making), "a rule");
	need(landlock_enter(ruleset), "landlock_restrict_self");
}

static void no_limit(void)
{
	struct rlimit most;

	need(getrlimit(RLIMIT_CORE, &most), "getrlimit");
	if (!most.rlim_max)
		lacks("the hard limit of core files is 0");
	most.rlim_cur = most.rlim_max;
	need(setrlimit(RLIMIT_CORE, &most), "setrlimit");
}

static void limit_of_none(void)
{
	need(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}), "setrlimit");
}

static void not_dumpable(void)
{
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE");
}

/* A child in `place` aborts after `before`: whether the wait status and the directory tell of a core file. */
static void expect(bool core, const char *place, void (*before)(void), const char *what)
{
	int status;

	need(mkdir(place, 0700), place);
	pid_t child = (pid_t)need(fork(), "fork");

	if (!child) {
		need(chdir(place), place);
		no_limit();
		if (before)
			before();
		abort();
	}
	need(waitpid(child, &status, 0), "waitpid");
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	claim(WTERMSIG(status) == SIGABRT, "%s: it died of signal %d", what, WTERMSIG(status));
	claim(!!WCOREDUMP(status) == core, "%s: the status is %#x", what, (unsigned)status);
	claim(empty(place) == !core, "%s: a core file is %sthere", what, core ? "not " : "");
}

int main(void)
{
	char pattern[256] = "";
	int fd = (int)need(open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC), "core_pattern");

	need(read(fd, pattern, sizeof(pattern) - 1), "core_pattern");
	close(fd);
	if (strpbrk(pattern, "|/@"))
		lacks("core files of this machine do not go to the current directory: %s", pattern);
	expect(true, "plain", NULL, "nothing is done about it");
	expect(true, "filtered", refuse_opens, "a seccomp program refuses every open");
	expect(true, "permitted", make_no_files_but_in_permitted, "Landlock permits files there");
	expect(false, "denied", make_no_files_but_in_permitted, "Landlock denies files there");
	expect(false, "limited", limit_of_none, "RLIMIT_CORE is 0");
	expect(false, "undumpable", not_dumpable, "the process is not dumpable");
	return 0;
}
