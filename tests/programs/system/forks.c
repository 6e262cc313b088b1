/* Forks and executes itself, up to eight at a time: forks COUNT. Each child reads a file and ends with its number. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 8 };

static int reap(long *sum)
{
	int status;

	if (wait(&status) < 0 || !WIFEXITED(status))
		return -1;
	*sum += WEXITSTATUS(status);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		int fd = open("data", O_RDONLY);
		char byte;

		return fd >= 0 && read(fd, &byte, 1) == 1 ? atoi(argv[2]) : 255;
	}
	long count = argc > 1 ? atol(argv[1]) : 100, sum = 0;
	for (long i = 0; i < count; i++) {
		char number[32];

		if (i >= AT_ONCE && reap(&sum))
			return 2;
		snprintf(number, sizeof(number), "%ld", i % 100);
		pid_t pid = i % 2 ? fork() : vfork();
		if (pid < 0)
			return 3;
		if (!pid) {
			execl("./forks", "forks", "child", number, (char *)NULL);
			_exit(254);
		}
	}
	for (long i = 0; i < (count < AT_ONCE ? count : AT_ONCE); i++) {
		if (reap(&sum))
			return 2;
	}
	printf("%ld processes, sum %ld\n", count, sum);
	return 0;
}
