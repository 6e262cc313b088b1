/*
 * Looks at PATH, and says with which errno: from the only thread (`plain`), where no more signals may wait (`pending`), or from a
 * thread that was made as no library makes one: with a signal for its end (`signalled`), or waited for (`awaited`).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static char stack[65536] __attribute__((aligned(16)));
static int end[2];

static int look(void *path)
{
	struct stat st;
	long result = syscall(SYS_newfstatat, AT_FDCWD, (const char *)path, &st, 0) ? errno : 0;

	return write(end[1], &result, sizeof(result)) != sizeof(result);
}

int main(int argc, char **argv)
{
	long result = -1;
	const struct rlimit none = {0, 0};
	const char *how = argc == 3 ? argv[1] : "";

	if (pipe(end))
		return 2;
	if (!strcmp(how, "pending") && setrlimit(RLIMIT_SIGPENDING, &none))
		return 2;
	if (!strcmp(how, "pending") || !strcmp(how, "plain"))
		look(argv[2]);
	else if (clone(look, stack + sizeof(stack), THREAD | (!strcmp(how, "awaited") ? CLONE_VFORK : SIGCHLD),
	               argv[2]) < 0)
		return 2;
	if (read(end[0], &result, sizeof(result)) != sizeof(result))
		return 2;
	printf("%s\n", strerrorname_np((int)result) ? strerrorname_np((int)result) : "0");
	return 0;
}
