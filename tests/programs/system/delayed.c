/*
 * Threads that get little of their CPU, while another makes the same calls as fast as it can: what each asked for is what it
 * gets. "chdir": the directory that it goes to. "connect": the address that its socket is connected to.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TIMES = 40, DELAYED = 3 };

static atomic_int left = DELAYED;
static atomic_int wrong;
static char start[4000];

static void on_cpu(int cpu, int policy)
{
	struct sched_param none = {0};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* of one CPU alone, they share it */
	if (sched_setscheduler(0, policy, &none))
		exit(3);
}

static void *hog(void *arg)
{
	(void)arg;
	on_cpu(0, SCHED_OTHER);
	while (atomic_load(&left))
		;
	return NULL;
}

static void go_to(const char *name)
{
	char path[4200], where[4096];

	snprintf(path, sizeof(path), "%s/%s", start, name);
	if (chdir(path) || !getcwd(where, sizeof(where)) || strcmp(where, path))
		atomic_fetch_add(&wrong, 1);
}

/* A datagram socket that is connected has a peer, and nothing is sent. */
static void connect_to(unsigned number)
{
	struct sockaddr_in want = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1024 + number))}, got;
	socklen_t len = sizeof(got);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	want.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (void *)&want, sizeof(want)) || getpeername(fd, (void *)&got, &len) ||
	    got.sin_port != want.sin_port)
		atomic_fetch_add(&wrong, 1);
	close(fd);
}

static void *delayed(void *arg)
{
	bool directories = arg;

	if (unshare(CLONE_FS))
		exit(3);
	on_cpu(0, SCHED_IDLE);
	for (int i = 0; i < TIMES; i++)
		directories ? go_to("its") : connect_to(60000);
	atomic_fetch_sub(&left, 1);
	return NULL;
}

static void *fast(void *arg)
{
	on_cpu(1, SCHED_OTHER);
	for (unsigned i = 0; atomic_load(&left); i++)
		if (!arg)
			connect_to(i % 50000);
		else if (chdir("other") || chdir(".."))
			exit(4);
	return NULL;
}

int main(int argc, char **argv)
{
	void *directories = argc > 1 && !strcmp(argv[1], "chdir") ? argv[1] : NULL;
	pthread_t threads[DELAYED + 2];

	if (!getcwd(start, sizeof(start)))
		return 2;
	if ((mkdir("its", 0755) || mkdir("other", 0755)) && errno != EEXIST)
		return 2;
	for (int i = 0; i < DELAYED + 2; i++)
		pthread_create(&threads[i], NULL, i == 0 ? hog : i == 1 ? fast : delayed, directories);
	for (int i = 0; i < DELAYED + 2; i++)
		pthread_join(threads[i], NULL);
	printf("%d of %d wrong\n", wrong, DELAYED * TIMES);
	return 0;
}
