/*
 * Threads that have a table of descriptors of their own (unshare(2)), and one whose process's first thread has ended: what
 * they do with sockets, and with what they watch, is done with theirs. In the first thread's table, where it lives, the same
 * numbers are other files.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAY(call) printf("%s: %s\n", #call, (call) < 0 ? strerror(errno) : "good")

enum { LISTENER = 50, CALLER, ACCEPTED, WATCHER };

static pthread_t first;

static void place(int fd, int number)
{
	if (fd < 0 || dup2(fd, number) < 0)
		_exit(2);
	close(fd);
}

/* Another thread, which shares this table. */
static void *call_up(void *address)
{
	const struct sockaddr *a = address;

	SAY(connect(CALLER, a, a->sa_family == AF_UNIX ? sizeof(struct sockaddr_un) : sizeof(struct sockaddr_in)));
	return NULL;
}

static void talk(struct sockaddr *a, socklen_t len)
{
	pthread_t thread;
	char got = 0;

	place(socket(a->sa_family, SOCK_STREAM, 0), LISTENER);
	place(socket(a->sa_family, SOCK_STREAM, 0), CALLER);
	SAY(bind(LISTENER, a, len));
	SAY(listen(LISTENER, 4));
	SAY(getsockname(LISTENER, a, &len));
	pthread_create(&thread, NULL, call_up, a);
	pthread_join(thread, NULL);
	place(accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK), ACCEPTED);
	SAY(write(CALLER, "x", 1));
	SAY(read(ACCEPTED, &got, 1));
	for (int i = LISTENER; i <= ACCEPTED; i++)
		close(i);
}

static void *act(void *arg)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "socket"};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct inotify_event event;

	if (!arg)
		pthread_join(first, NULL);
	else if (unshare(CLONE_FILES))
		_exit(3);
	talk((void *)&un, sizeof(un));
	talk((void *)&in, sizeof(in));
	place(inotify_init1(IN_NONBLOCK), WATCHER);
	SAY(inotify_add_watch(WATCHER, "watched", IN_ATTRIB));
	SAY(chmod("watched", 0600));
	SAY(read(WATCHER, &event, sizeof(event)));
	SAY(unlink("socket"));
	if (!arg)
		exit(0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	bool own = argc > 1 && !strcmp(argv[1], "own");

	setbuf(stdout, NULL);
	close(open("watched", O_CREAT | O_WRONLY, 0644));
	for (int i = LISTENER; own && i <= WATCHER; i++)
		place(open("/dev/null", O_RDWR), i);
	first = pthread_self();
	pthread_create(&thread, NULL, act, own ? "own" : NULL);
	if (!own)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
	return 0;
}
