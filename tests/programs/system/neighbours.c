/*
 * Neighbours that never rest: threads that exchange two names without end, beside a thread that goes ROUNDS rounds of a call
 * that stops, one that is answered and one that is performed. Prints how many of their calls there were to a round.
 * ./neighbours NEIGHBOURS ROUNDS
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long theirs;
static atomic_int under_way;

static void *neighbour(void *unused)
{
	(void)unused;
	for (atomic_fetch_add(&under_way, 1);; atomic_fetch_add(&theirs, 1))
		syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "other", 2 /* RENAME_EXCHANGE */);
	return NULL;
}

int main(int argc, char **argv)
{
	int neighbours = argc == 3 ? atoi(argv[1]) : 0, rounds = argc == 3 ? atoi(argv[2]) : 0;

	if (neighbours < 1 || rounds < 1 || mkdir("one", 0777) || symlink("nowhere", "other"))
		return 2;
	for (int i = 0; i < neighbours; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, neighbour, NULL))
			return 2;
	}
	while (atomic_load(&under_way) < neighbours)
		sched_yield();

	long before = atomic_load(&theirs);

	for (int i = 0; i < rounds; i++) {
		/* "one" is a directory by turns */
		int fd = open("one/made", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

		if (!access("/not/granted", F_OK))
			return 1;
		close(fd);
		(void)unlink("one/made");
	}
	printf("%ld\n", (atomic_load(&theirs) - before) / rounds);
	fflush(stdout);
	_exit(0);
}
