/* Messages with control data: what is sent arrives, and bad data gives the same errors. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static _Alignas(struct cmsghdr) char control[16384];
static size_t filled;

static void add(int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {CMSG_LEN(len), level, type};

	memcpy(control + filled, &h, sizeof(h));
	memcpy(control + filled + CMSG_LEN(0), data, len);
	filled += CMSG_SPACE(len);
}

static void transmit(const char *what, int fd, bool many, size_t less)
{
	char text[] = "some text of it";
	struct iovec iov = {text, sizeof(text)};
	struct mmsghdr m = {
		.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = filled - less}};
	long n = many ? sendmmsg(fd, &m, 1, 0) : sendmsg(fd, &m.msg_hdr, 0);

	printf("%s: %ld %s\n", what, n, n < 0 ? strerror(errno) : "");
	filled = 0;
}

/* How many descriptors come, what they are open on, and of whom the message is. */
static void collect(int fd)
{
	char text[64];
	struct iovec iov = {text, sizeof(text)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	printf("  received %zd, flags %#x\n", n, n < 0 ? 0 : (unsigned)m.msg_flags);
	for (struct cmsghdr *h = n < 0 ? NULL : CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			unsigned kinds = 0;

			for (size_t i = 0; i < count; i++) {
				struct stat st;
				int got;

				memcpy(&got, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
				kinds = kinds * 31 + (fstat(got, &st) ? 0 : st.st_mode & S_IFMT);
				close(got);
			}
			printf("  %zu descriptors %#x\n", count, kinds);
		} else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
			struct ucred u;

			memcpy(&u, CMSG_DATA(h), sizeof(u));
			printf("  of %s %u %u\n", u.pid == getpid() ? "this process" : "another", u.uid, u.gid);
		} else
			printf("  level %d type %d\n", h->cmsg_level, h->cmsg_type);
	}
}

static void local(void)
{
	int pair[2], on = 1, fds[300];
	struct ucred own = {.pid = getpid(), .uid = getuid(), .gid = getgid()}, other = {.pid = 1, .uid = 12345};

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		perror("socketpair");
	for (size_t i = 0; i < 300; i++)
		fds[i] = i % 3 ? 1 : pair[0];
	add(SOL_SOCKET, SCM_RIGHTS, fds, sizeof(int));
	transmit("one descriptor", pair[0], false, 0);
	collect(pair[1]);
	add(SOL_SOCKET, SCM_RIGHTS, fds, 7 * sizeof(int));
	add(SOL_SOCKET, SCM_RIGHTS, fds, 2 * sizeof(int));
	transmit("two lists", pair[0], true, 0);
	collect(pair[1]);
	add(SOL_SOCKET, SCM_RIGHTS, fds, 253 * sizeof(int));
	transmit("as many as there can be", pair[0], false, 0);
	collect(pair[1]);
	add(SOL_SOCKET, SCM_RIGHTS, fds, 254 * sizeof(int));
	transmit("too many", pair[0], false, 0);
	add(SOL_SOCKET, SCM_RIGHTS, fds, 0);
	transmit("none", pair[0], false, 0);
	collect(pair[1]);
	fds[1] = 99;
	add(SOL_SOCKET, SCM_RIGHTS, fds, 2 * sizeof(int));
	transmit("one that is not open", pair[0], false, 0);
	add(SOL_SOCKET, SCM_RIGHTS, fds, sizeof(int));
	transmit("cut short", pair[0], false, 8);
	add(SOL_SOCKET, SCM_RIGHTS, fds, sizeof(int));
	memset(control, 0, sizeof(size_t));
	transmit("of no length", pair[0], false, 0);
	filled = 8;
	transmit("shorter than a header", pair[0], false, 0);
	collect(pair[1]);
	setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	add(SOL_SOCKET, SCM_CREDENTIALS, &own, sizeof(own));
	add(SOL_SOCKET, SCM_RIGHTS, fds, sizeof(int));
	transmit("credentials and a descriptor", pair[0], false, 0);
	collect(pair[1]);
	add(SOL_SOCKET, SCM_CREDENTIALS, &own, sizeof(own));
	transmit("credentials", pair[0], true, 0);
	collect(pair[1]);
	add(SOL_SOCKET, SCM_CREDENTIALS, &own, sizeof(own) - 4);
	transmit("a part of them", pair[0], false, 0);
	if (getuid()) {
		add(SOL_SOCKET, SCM_CREDENTIALS, &other, sizeof(other));
		transmit("those of another", pair[0], false, 0);
	}
}

static void datagrams(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int own = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, tos = 0x10;
	uint16_t segment = 6;
	unsigned char byte = 8;

	if (bind(own, (void *)&a, len) || getsockname(own, (void *)&a, &len) || connect(fd, (void *)&a, len))
		perror("an own port");
	setsockopt(own, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	add(IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	transmit("segments", fd, false, 0);
	for (int i = 0; i < 3; i++)
		collect(own);
	add(IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	add(IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	transmit("segments of a kind of service", fd, true, 0);
	for (int i = 0; i < 3; i++)
		collect(own);
	add(IPPROTO_IP, IP_TOS, &byte, sizeof(byte));
	transmit("a kind of service", fd, false, 0);
	collect(own);
	tos = 999;
	add(IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	transmit("none that there is", fd, false, 0);
	tos = 0x20;
	add(IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	transmit("a class of traffic", fd, false, 0);
	collect(own);
}

/* More senders that wait, with descriptors, than have room at once in the pad: all are served as their turn comes. */
static int narrow[2];
static int failures;

static void *send_one(void *arg)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} own = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char byte = 1;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &own, .msg_controllen = sizeof(own.space)};

	memcpy(CMSG_DATA(&own.header), &(int){1}, sizeof(int));
	for (int i = 0; i < 50; i++)
		if (sendmsg(narrow[0], &m, 0) != 1)
			__atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void crowd(void)
{
	pthread_t threads[16];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, narrow))
		perror("socketpair");
	for (int i = 0; i < 16; i++)
		if (pthread_create(&threads[i], NULL, send_one, NULL))
			perror("pthread_create");
	int good = 0;

	for (int i = 0; i < 16 * 50; i++) {
		char byte;
		struct iovec iov = {&byte, 1};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 64};
		int fd;

		if (recvmsg(narrow[1], &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
			break;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
		good += !close(fd);
	}
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	printf("%d of 800 came, %d failed\n", good, failures);
}

int main(void)
{
	local();
	datagrams();
	crowd();
	return 0;
}
