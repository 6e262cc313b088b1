/* Who is at the other end of a socket. Descriptor 0 is one whose other end somebody outside has. */
#include "attack.h"

#define SO_PASSPIDFD_ 76
#define SO_PEERPIDFD_ 77
#define SCM_PIDFD_ 4

static _Noreturn void signal_it(int pidfd)
{
	judge(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), "pidfd_send_signal");
}

static void by_option(void)
{
	int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	must(getsockopt(0, SOL_SOCKET, SO_PEERPIDFD_, &pidfd, &len), "SO_PEERPIDFD");
	signal_it(pidfd);
}

static void by_message(void)
{
	const int on = 1;
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int pidfd;

	must(setsockopt(0, SOL_SOCKET, SO_PASSPIDFD_, &on, sizeof(on)), "SO_PASSPIDFD");
	tell("ready", 0);
	await("sent");
	need(recvmsg(0, &msg, 0), "recvmsg");
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_PIDFD_)
		held("ENOMSG no descriptor came");
	memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
	signal_it(pidfd);
}

/* Somebody else's pid in the credentials of a message: whoever receives them may act on it. */
static void forged(void)
{
	struct ucred forged = {.pid = victim(), .uid = getuid(), .gid = getgid()};
	struct iovec iov = {.iov_base = (void *)"x", .iov_len = 1};
	union {
		char space[CMSG_SPACE(sizeof(forged))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(forged));
	memcpy(CMSG_DATA(c), &forged, sizeof(forged));
	judge(sendmsg(0, &msg, 0), "SCM_CREDENTIALS");
}

const struct attack attacks[] = {
	{"by-option", by_option},
	{"by-message", by_message},
	{"forged", forged},
	{0},
};
