/*
 * `leaders N`: N times, a thread executes the program anew while the first thread opens a file that is handed over. Then
 * "ready", until standard input ends.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char left[16];

static void *execute(void *self)
{
	/* at another moment of what the first thread does each time */
	nanosleep(&(struct timespec){.tv_nsec = 100000 + 1000 * (atoi(left) % 300)}, NULL);
	execl(self, self, left, NULL);
	_exit(1);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	pthread_t thread;
	char byte;

	if (!n) {
		puts("ready");
		fflush(stdout);
		return read(0, &byte, 1) < 0;
	}
	snprintf(left, sizeof(left), "%d", n - 1);
	if (pthread_create(&thread, NULL, execute, argv[0]))
		return 1;
	for (;;)
		close(open("/dev/null", O_RDONLY | O_CLOEXEC));
}
