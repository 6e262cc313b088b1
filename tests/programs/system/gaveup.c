/* Gives up being root, where it is, and then: `leaves` a process that computes, `computes` itself, or `looks` at PATH. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void compute(void)
{
	for (volatile unsigned n = 0;; n++)
		;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	struct stat st;

	if (!getuid() && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 2;
	if (!strcmp(how, "leaves")) {
		pid_t child = fork();

		if (!child)
			compute();
		printf("%d\n", (int)child);
		return child < 0;
	}
	if (!strcmp(how, "computes"))
		compute();
	return stat(argv[2], &st) ? errno != ENOENT : 3;
}
