/*
 * close_range(2) over all of a table with descriptors far up, above where the capabilities lie: what it leaves open, in the
 * thread that made it and in the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const int numbers[] = {10, 1000, 5000, 8000};

static const struct range {
	unsigned first, last, flags;
} ranges[] = {
	{3, ~0u, 0},
	{3, ~0u, CLOSE_RANGE_CLOEXEC},
	{3, ~0u, CLOSE_RANGE_UNSHARE},
	{3, ~0u, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC},
	{3, 6000, 0},
	{1100, ~0u, 0},
	{4200, ~0u, 0},
	{4200, 6000, CLOSE_RANGE_CLOEXEC},
	{4200, 4201, CLOSE_RANGE_UNSHARE},
	{4200, 4201, 64},
	{1100, 1101, 64},
	{3, ~0u, 64},
	{7000, ~0u, 0},
	{~0u, ~0u, 0},
	{4201, 4200, 0},
	{~0u, 3, 0},
};

static void show(const char *whose)
{
	printf("  %s:", whose);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int flags = fcntl(numbers[i], F_GETFD);

		printf(" %s", flags < 0 ? "closed" : flags ? "cloexec" : "open");
	}
	printf("\n");
}

static void *close_them(void *arg)
{
	const struct range *r = arg;
	long ret = syscall(SYS_close_range, r->first, r->last, r->flags);

	printf("%u-%u %u: %s\n", r->first, r->last, r->flags, ret ? strerror(errno) : "0");
	show("its thread");
	close(10); /* of a table of its own, or of everybody's */
	return NULL;
}

static void handler(int sig)
{
	(void)sig;
}

/* However often a signal comes between: all of it, and once. */
static void interrupted(void)
{
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
	int wrong = 0;

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 300; i++) {
		if (dup2(0, 10) < 0 || dup2(0, 8000) < 0 || syscall(SYS_close_range, 3, ~0u, 0))
			wrong++;
		wrong += fcntl(10, F_GETFD) >= 0 || fcntl(8000, F_GETFD) >= 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	printf("interrupted: %d of 300 wrong\n", wrong);
}

int main(void)
{
	struct rlimit limit;

	setbuf(stdout, NULL);
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max < 8192)
		return 2;
	limit.rlim_cur = 8192;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		pid_t pid = fork();

		if (!pid) {
			pthread_t thread;

			for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
				if (dup2(0, numbers[k]) < 0)
					_exit(3);
			pthread_create(&thread, NULL, close_them, (void *)&ranges[i]);
			pthread_join(thread, NULL);
			show("the first thread");
			_exit(0);
		}
		int status;

		if (waitpid(pid, &status, 0) < 0 || status)
			return 3;
	}
	interrupted();
	return 0;
}
