/*
 * Gives up being root, where it is, and then: `leaves` a process that computes, `computes` itself, `looks` at PATH, or has
 * `many` processes look at it, each once and under a burst of signals, and says how many were not told that it is absent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void compute(void)
{
	for (volatile unsigned n = 0;; n++)
		;
}

static void handle(int sig)
{
	(void)sig;
}

static int wrong_under_signals(const char *path)
{
	int wrong = 0, status;

	signal(SIGUSR1, handle);
	for (int i = 0; i < 60; i++) {
		struct stat st;
		pid_t child = fork();

		if (!child)
			_exit(!stat(path, &st) || errno != ENOENT);
		/* they come to an end: the look is made anew for each that finds it on its way */
		for (int sent = 0; child > 0 && sent < 100; sent++)
			kill(child, SIGUSR1);
		wrong += child < 0 || waitpid(child, &status, 0) != child || status != 0;
	}
	return wrong;
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
	if (!strcmp(how, "many")) {
		printf("%d\n", wrong_under_signals(argv[2]));
		return 0;
	}
	return stat(argv[2], &st) ? errno != ENOENT : 3;
}
