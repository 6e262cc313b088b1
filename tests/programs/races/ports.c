/*
 * What a socket is bound to changes while it is asked for. ARG 0: how many rounds. Two threads attack.
 */
#include "attack.h"
#include "../../../rewriters/pad.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>

#define ATTACKERS 2

static int listener = -1;

static void wait_a_while(unsigned *spin)
{
	*spin = *spin * 1664525 + 1013904223;
	for (volatile unsigned i = *spin >> 17; i; i--)
		;
}

/*
 * A port of one's own on the loopback device, which somebody outside listens on as well (SO_REUSEPORT, the same user; ARG 1 is
 * the port): whether a connection is permitted is asked while the own socket listens, and the attackers close it.
 */
static void *close_it(void *which)
{
	for (unsigned spin = (unsigned)(uintptr_t)which;;) {
		wait_a_while(&spin);
		int fd = __atomic_exchange_n(&listener, -1, __ATOMIC_SEQ_CST);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void race_close(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument(1)))};
	long rounds = atol(argument(0)), done;
	pthread_t thread;
	const int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (uintptr_t i = 0; i < ATTACKERS; i++)
		if (pthread_create(&thread, NULL, close_it, (void *)(i * 7919 + 1)))
			untried("pthread_create");
	for (done = 0; done < rounds; done++) {
		char text[128] = "";
		int own = need(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
		int fd = need(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
		const struct timeval second = {.tv_sec = 1};

		must(setsockopt(own, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
		must(bind(own, (void *)&a, sizeof(a)), "bind");
		must(listen(own, 1), "listen");
		need(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), "SO_RCVTIMEO");
		__atomic_store_n(&listener, own, __ATOMIC_SEQ_CST);
		/* The own socket says nothing, and resets the connection when it is closed. */
		if (!connect(fd, (void *)&a, sizeof(a)) && read(fd, text, sizeof(text) - 1) > 0)
			escaped("after %ld rounds: %s", done, text);
		close(fd);
		while (__atomic_load_n(&listener, __ATOMIC_SEQ_CST) >= 0)
			;
	}
	held("none in %ld rounds", done);
}

/*
 * A connection was bound by the kernel, to an address that nobody asked for, and may listen there: but it is disconnected
 * meanwhile, and bound to all of them by listen.
 */
static sem_t begun, over;
static const struct sockaddr *nowhere; /* AF_UNSPEC: of the pad, a call that does not stop */

static void *disconnect_it(void *which)
{
	for (unsigned spin = (unsigned)(uintptr_t)which;;) {
		while (sem_wait(&begun))
			;
		wait_a_while(&spin);
		(void)connect(listener, nowhere, sizeof(struct sockaddr_in));
		sem_post(&over);
	}
	return NULL;
}

static int connected(const struct sockaddr_in *a, int server)
{
	int fd = need(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	must(connect(fd, (void *)a, sizeof(*a)), "connect"); /* a container may deny pidfd_getfd */
	close(need(accept4(server, NULL, NULL, SOCK_CLOEXEC), "accept"));
	return fd;
}

static void race_listen(void)
{
	static const struct sockaddr_in unspecified;
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	long rounds = atol(argument(0)), done;
	pthread_t thread;
	int server = need(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(server, (void *)&a, sizeof(a)), "bind");
	must(listen(server, 8), "listen");
	need(getsockname(server, (void *)&a, &len), "getsockname");
	int first = connected(&a, server);
	need(connect(first, (void *)&unspecified, sizeof(unspecified)), "AF_UNSPEC");
	close(first);
	if (sem_init(&begun, 0, 0) || sem_init(&over, 0, 0))
		untried("sem_init");
	nowhere = (void *)&unspecified;
	if (!msync((void *)CW_PAD_BASE, 4096, MS_ASYNC))
		for (char *at = (char *)CW_PAD_IN4; at < (char *)CW_PAD_IN4_END; at += CW_PAD_IN_STRIDE)
			if (!memcmp(at, &unspecified, sizeof(unspecified)))
				nowhere = (void *)at;
	for (uintptr_t i = 0; i < ATTACKERS; i++)
		if (pthread_create(&thread, NULL, disconnect_it, (void *)(i * 7919 + 1)))
			untried("pthread_create");
	for (done = 0; done < rounds; done++) {
		struct sockaddr_in own = {0};
		int listens = 0;
		socklen_t size = sizeof(listens);

		len = sizeof(own);
		listener = connected(&a, server);
		for (int i = 0; i < ATTACKERS; i++)
			sem_post(&begun);
		int failed = listen(listener, 1);
		need(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), "SO_ACCEPTCONN");
		need(getsockname(listener, (void *)&own, &len), "getsockname");
		if (!failed && listens && own.sin_port)
			escaped("after %ld rounds: listens at %08x on port %d", done, ntohl(own.sin_addr.s_addr),
			        ntohs(own.sin_port));
		for (int i = 0; i < ATTACKERS; i++)
			while (sem_wait(&over))
				;
		close(listener);
	}
	held("none in %ld rounds", done);
}

const struct attack attacks[] = {
	{"listen", race_listen},
	{"close", race_close},
	{0},
};
