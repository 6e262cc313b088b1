/*
 * A signal to the process ends the waiting of one thread, and another takes it: the kernel makes the first one's call anew, and
 * nobody who traces it sees that. Two threads are kept at taking while this one makes calls that wait for an answer of
 * capwrap's; how many of them went wrong is printed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROUNDS = 300 };

static atomic_int over;
static int lowest; /* free descriptor */
static int listener, inotify;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void nothing(int sig)
{
	(void)sig;
}

/* A signal to itself has it look for signals, and it finds those that the other thread was woken for. */
static void *taker(void *arg)
{
	(void)arg;
	while (!over) {
		kill(getpid(), SIGUSR2);
		pthread_kill(pthread_self(), SIGUSR1);
	}
	return NULL;
}

/* The other end of the FIFO, as often as it is wanted. Natively too an end that is waited for goes where the waiting does. */
static void *writer(void *arg)
{
	while (!over) {
		int fd = open(arg, O_WRONLY | O_CLOEXEC);

		(void)!write(fd, "x", 1);
		close(fd);
	}
	return NULL;
}

static int opens(void)
{
	int fd = open("box/file", O_RDONLY | O_CLOEXEC), wrong = fd != lowest;

	close(fd);
	return wrong;
}

static int creates(void)
{
	int fd = open("box/made", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600), wrong = fd != lowest;

	close(fd);
	return wrong || unlink("box/made");
}

static int changes(void)
{
	return chdir("box") || chdir("..");
}

static int watches(void)
{
	return inotify_add_watch(inotify, "box", IN_CREATE) != 1;
}

static int connects(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int wrong = connect(fd, (struct sockaddr *)&address, sizeof(address));
	int other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	wrong |= other != lowest + 1;
	close(fd);
	close(other);
	return wrong;
}

static int waits(void)
{
	int fd = open("box/fifo", O_RDONLY | O_CLOEXEC), wrong = fd < 0;

	close(fd);
	return wrong;
}

int main(void)
{
	static const struct {
		const char *name;
		int (*call)(void);
	} calls[] = {
		{"open", opens},    {"create", creates},   {"chdir", changes},
		{"watch", watches}, {"connect", connects}, {"fifo", waits},
	};
	struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	pthread_t takers[2], other;

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	strcpy(address.sun_path, "box/socket");
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		abort();
	inotify = inotify_init1(IN_CLOEXEC);
	lowest = dup(0);
	close(lowest);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&takers[i], NULL, taker, NULL))
			abort();
	for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++) {
		int wrong = 0;

		if (calls[k].call == waits && pthread_create(&other, NULL, writer, "box/fifo"))
			abort();
		for (int i = 0; i < ROUNDS; i++)
			wrong += calls[k].call() != 0;
		printf("%s: %d wrong\n", calls[k].name, wrong);
		fflush(stdout);
	}
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(takers[i], NULL);
	_exit(0); /* the writer may wait */
}
