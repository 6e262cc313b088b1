/*
 * A port of one's own on the loopback device, which somebody outside listens on as well (SO_REUSEPORT, the same user):
 * whether a connection is permitted is asked while the own socket listens, and the attackers close it.
 *
 * ARG 0: how many rounds. ARG 1: the port. Two threads attack.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#define ATTACKERS 2

static int listener = -1;

static void *close_it(void *which)
{
	for (unsigned spin = (unsigned)(uintptr_t)which;; spin = spin * 1664525 + 1013904223) {
		for (volatile unsigned i = spin >> 17; i; i--)
			;
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

		need(setsockopt(own, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
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

const struct attack attacks[] = {
	{"close", race_close},
	{0},
};
