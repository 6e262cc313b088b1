/*
 * loop KIND COUNT [PATH]: makes one kind of call COUNT times and prints the nanoseconds that all of them took together.
 * A call that fails ends it with 1: a refused call is not a cheap one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A call that nobody decides about: what a filter costs that lets it through. The bare tracer stops it. */
static int call_nothing(char *path)
{
	(void)path;
	return (int)syscall(SYS_getppid) < 0 ? -1 : 0;
}

static int call_open(char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int call_stat(char *path)
{
	struct stat st;

	return stat(path, &st);
}

static int call_readlink(char *path)
{
	char text[4096];

	return readlink(path, text, sizeof(text)) < 0 ? -1 : 0;
}

static int call_mkdir(char *path)
{
	return mkdir(path, 0777) ? -1 : rmdir(path);
}

static int await(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status ? -1 : 0;
}

static int call_fork(char *path)
{
	pid_t pid = fork();

	(void)path;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : await(pid);
}

static int call_exec(char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		char *argv[] = {path, NULL};

		execv(path, argv);
		_exit(127);
	}
	return pid < 0 ? -1 : await(pid);
}

static void *nothing(void *arg)
{
	return arg;
}

static int call_thread(char *path)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, nothing, path);
	if (errno)
		return -1;
	errno = pthread_join(thread, NULL);
	return errno ? -1 : 0;
}

static const struct kind {
	const char *name;
	int (*call)(char *path);
} kinds[] = {
	{"nothing", call_nothing}, {"open", call_open}, {"stat", call_stat}, {"readlink", call_readlink},
	{"mkdir", call_mkdir},     {"fork", call_fork}, {"exec", call_exec}, {"thread", call_thread},
};

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: loop KIND COUNT [PATH]\n");
		return 2;
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (strcmp(kinds[k].name, argv[1]) != 0)
			continue;
		long count = atol(argv[2]);
		long long begin = now();

		for (long i = 0; i < count; i++) {
			if (kinds[k].call(argv[3])) {
				fprintf(stderr, "loop: %s %s: %s\n", argv[1], argc > 3 ? argv[3] : "", strerror(errno));
				return 1;
			}
		}
		printf("%lld\n", now() - begin);
		return fflush(stdout) ? 1 : 0;
	}
	fprintf(stderr, "loop: no such kind of call: %s\n", argv[1]);
	return 2;
}
