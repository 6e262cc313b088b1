/* Ports of the target's own that it gives up while it sends to them: somebody outside may have them next. */
#include "inet.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>

/* `fd` is connected to a socket of one's own, which has given its port up to somebody outside. */
static _Noreturn void judge_next_owner(int fd, int number)
{
	struct pollfd reply = {.fd = fd, .events = POLLIN};

	tell("given-up", number);
	await("tried");
	if (access(in_base("work/taken"), F_OK))
		held("EADDRINUSE nobody else got the port");
	must(send(fd, "x", 1, 0), "send");
	if (poll(&reply, 1, 30000) != 1)
		untried("no answer");
	judge_read(fd, "whoever has the port now");
}

/* ARG 0 is a free port. */
static void udp_given_up(void)
{
	struct sockaddr_in a = port(0);
	int own = new_socket(AF_INET, SOCK_DGRAM, 0), fd = new_socket(AF_INET, SOCK_DGRAM, 0);

	must(bind(own, (void *)&a, sizeof(a)), "bind");
	must(connect(fd, (void *)&a, sizeof(a)), "connect");
	close(own);
	judge_next_owner(fd, ntohs(a.sin_port));
}

/* A port that the kernel chose goes with the connection, or with none. */
static void udp_disconnected(void)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int own = new_socket(AF_INET, SOCK_DGRAM, 0), fd = new_socket(AF_INET, SOCK_DGRAM, 0);

	must(bind(own, (void *)&a, len), "bind");
	need(getsockname(own, (void *)&a, &len), "getsockname");
	must(connect(fd, (void *)&a, len), "connect");
	need(connect(own, &nowhere, sizeof(nowhere)), "AF_UNSPEC");
	judge_next_owner(fd, ntohs(a.sin_port));
}

/*
 * A connection that waits, since the listener of one's own has its queue full, and is still on its way when the listener
 * gives the port (ARG 2) up to somebody outside: ARG 0 is how. ARG 1: it waits in the call, or not.
 */
static struct sockaddr_in waited_for;

static void *wait_for(void *arg)
{
	int *fd = arg;

	(void)connect(*fd, (void *)&waited_for, sizeof(waited_for)); /* judged by what comes of it */
	return NULL;
}

static void tcp_given_up(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int own = new_socket(AF_INET, SOCK_STREAM, 0), queued = new_socket(AF_INET, SOCK_STREAM, 0), on = 1;
	int fd = new_socket(AF_INET, SOCK_STREAM | (strcmp(argument(1), "waits") ? SOCK_NONBLOCK : 0), 0), state = 0;
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct tcp_info info;
	pthread_t thread;

	waited_for = port(2);
	need(setsockopt(own, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	must(bind(own, (void *)&waited_for, sizeof(waited_for)), "bind");
	must(listen(own, 0), "listen");
	must(connect(queued, (void *)&waited_for, sizeof(waited_for)), "connect");
	need(-pthread_create(&thread, NULL, wait_for, &fd), "a thread");
	for (int i = 0; i < 10000 && state != TCP_SYN_SENT; i++, usleep(1000)) {
		socklen_t len = sizeof(info);

		need(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
		state = info.tcpi_state;
	}
	if (state != TCP_SYN_SENT)
		held("ECONNREFUSED nothing is on its way");
	close(queued);
	if (!strcmp(argument(0), "shutdown"))
		need(shutdown(own, SHUT_RDWR), "shutdown");
	else if (!strcmp(argument(0), "disconnect"))
		need(connect(own, &none, sizeof(none)), "AF_UNSPEC");
	else
		close(own);
	tell("given-up", atoi(argument(2)));
	await("tried");
	if (access(in_base("work/taken"), F_OK))
		held("EADDRINUSE nobody else got the port");
	if (poll(&ready, 1, 5000) != 1)
		held("ETIMEDOUT no connection");
	judge_read(fd, "whoever has the port now");
}

/* A connection that is made when the first bytes are sent: by then, the listener of one's own has given its port up. */
static void tcp_put_off(void)
{
	struct sockaddr_in a = port(0);
	int own = new_socket(AF_INET, SOCK_STREAM, 0), fd = new_socket(AF_INET, SOCK_STREAM, 0), on = 1;

	need(setsockopt(own, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	must(bind(own, (void *)&a, sizeof(a)), "bind");
	must(listen(own, 1), "listen");
	need(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on)), "TCP_FASTOPEN_NO_COOKIE");
	must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)), "TCP_FASTOPEN_CONNECT");
	must(connect(fd, (void *)&a, sizeof(a)), "connect");
	close(own);
	judge_next_owner(fd, ntohs(a.sin_port));
}

const struct attack attacks[] = {
	{"udp-given-up", udp_given_up},
	{"udp-disconnected", udp_disconnected},
	{"tcp-given-up", tcp_given_up},
	{"tcp-put-off", tcp_put_off},
	{0},
};
