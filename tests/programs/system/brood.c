/* N threads fork at one moment; says how many have a child, which stays, and how many were refused it. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t all;
static atomic_int made, refused;

static void *fork_once(void *arg)
{
	pthread_barrier_wait(&all);
	long child = syscall(SYS_fork);

	if (!child)
		for (;;)
			pause();
	if (child > 0)
		atomic_fetch_add(&made, 1);
	else if (errno == EAGAIN)
		atomic_fetch_add(&refused, 1);
	/* none ends before all have been answered: there would be room again */
	pthread_barrier_wait(&all);
	return arg;
}

int main(int argc, char **argv)
{
	int n = argc == 2 ? atoi(argv[1]) : 0;
	pthread_t thread;

	pthread_barrier_init(&all, NULL, (unsigned)n + 1);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread, NULL, fork_once, NULL))
			return 2;
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&all);
	printf("%d made, %d refused\n", atomic_load(&made), atomic_load(&refused));
	return 0;
}
