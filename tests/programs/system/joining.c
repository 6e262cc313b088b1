/* Connections to a listener of one's own whose queue is full: what the calls give, and that they come about in the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in to;

static int call_up(int fd)
{
	int err = connect(fd, (void *)&to, sizeof(to)) ? errno : 0;

	printf("connect: %s, flags %#x\n", strerror(err), (unsigned)fcntl(fd, F_GETFL));
	return err;
}

static void handler(int sig)
{
	(void)sig;
}

/* The listener takes whoever comes. */
static void *accept_all(void *arg)
{
	int own = *(int *)arg;

	while (accept(own, NULL, NULL) >= 0)
		;
	return NULL;
}

static void ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(to);
	int n = poll(&p, 1, 30000), err = -1;
	struct sockaddr_in peer;

	printf("poll: %d %#x", n, (unsigned)p.revents);
	len = sizeof(err);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	len = sizeof(peer);
	printf(", error %d, peer %s\n", err, getpeername(fd, (void *)&peer, &len) ? strerror(errno) : "is there");
}

int main(void)
{
	struct sigaction act = {.sa_handler = handler};
	struct itimerval soon = {{0, 50000}, {0, 50000}}, never = {{0, 0}, {0, 0}};
	struct timeval limit = {0, 100000};
	int own = socket(AF_INET, SOCK_STREAM, 0), queued = socket(AF_INET, SOCK_STREAM, 0);
	int limited = socket(AF_INET, SOCK_STREAM, 0), interrupted = socket(AF_INET, SOCK_STREAM, 0);
	int not_waiting = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), waiting = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(to);
	pthread_t thread;

	setbuf(stdout, NULL);
	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(own, (void *)&to, sizeof(to)) || getsockname(own, (void *)&to, &len) || listen(own, 0))
		return 2;
	call_up(queued);
	call_up(queued);
	setsockopt(limited, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	call_up(limited);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	call_up(interrupted);
	setitimer(ITIMER_REAL, &never, NULL);
	call_up(not_waiting);
	call_up(not_waiting);
	pthread_create(&thread, NULL, accept_all, &own);
	call_up(waiting);
	call_up(waiting);
	ended(limited);
	ended(interrupted);
	ended(not_waiting);
	call_up(not_waiting);
	call_up(not_waiting);
	to.sin_port = 0;
	own = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(own, (void *)&to, sizeof(to)) || getsockname(own, (void *)&to, &len))
		return 2;
	call_up(waiting = socket(AF_INET, SOCK_STREAM, 0));
	listen(own, 0);
	call_up(waiting);
	return 0;
}
