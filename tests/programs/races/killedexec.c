/*
 * `killedexec N`: N times, a process of which a thread makes an exec, killed at one of many moments of that: among them
 * the one at which the thread has taken its leader's number and the exec is not done yet.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *make_exec(void *arg)
{
	volatile int *begun = arg;

	*begun = 1;
	execl(self, self, NULL);
	_exit(1);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0, status, refused = 0;
	volatile int *begun = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (argc < 2)
		return 0;
	self = argv[0];
	for (int i = 0; i < n; i++) {
		*begun = 0;
		pid_t pid = fork();

		if (!pid) {
			pthread_t thread;

			pthread_create(&thread, NULL, make_exec, (void *)begun);
			for (;;)
				pause();
		}
		while (!*begun)
			;
		/* from at once to well behind it; what has ended by then is still there to be signalled: nobody has waited */
		for (uint64_t until = now() + (uint64_t)(i % 500) * 2000; now() < until;)
			;
		refused += kill(pid, SIGKILL) != 0;
		waitpid(pid, &status, 0);
	}
	printf("%d of %d could not be signalled\n", refused, n);
	return 0;
}
