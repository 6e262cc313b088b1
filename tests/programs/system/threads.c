/* Many threads that open, read, create, rename and remove at once: threads N ROUNDS. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int rounds;
static atomic_int failures;
static pthread_barrier_t start;

static void expect(int ok, const char *what)
{
	if (ok)
		return;
	if (atomic_fetch_add(&failures, 1) < 10)
		printf("%s: %s\n", what, strerror(errno));
}

static void *worker(void *arg)
{
	char name[64], other[64], text[64];
	long number = (long)arg;

	pthread_barrier_wait(&start);
	for (int i = 0; i < rounds; i++) {
		snprintf(name, sizeof(name), "t%ld-%d", number, i);
		snprintf(other, sizeof(other), "r%ld-%d", number, i);
		int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
		expect(fd >= 0, "create");
		expect(write(fd, name, strlen(name)) == (ssize_t)strlen(name), "write");
		expect(!close(fd), "close");
		expect(!rename(name, other), "rename");
		fd = open(other, O_RDONLY);
		expect(fd >= 0, "open");
		ssize_t length = read(fd, text, sizeof(text));
		/* Another thread's plan carried out for this one would show here. */
		expect(length == (ssize_t)strlen(name) && !memcmp(text, name, (size_t)length), "the right file");
		expect(!close(fd), "close");
		struct stat status;
		expect(!stat(other, &status) && status.st_size == length, "stat");
		expect(access(name, F_OK) && errno == ENOENT, "the old name is gone");
		expect(!unlink(other), "unlink");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 8;
	pthread_t *threads = calloc((size_t)count, sizeof(*threads));

	rounds = argc > 2 ? atoi(argv[2]) : 10;
	if (!threads || pthread_barrier_init(&start, NULL, (unsigned)count))
		return 2;
	for (long i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, worker, (void *)i))
			return 3;
	}
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%ld threads, %d rounds, %d failures\n", count, rounds, atomic_load(&failures));
	free(threads);
	return atomic_load(&failures) != 0;
}
