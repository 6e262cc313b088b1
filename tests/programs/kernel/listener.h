/* A child with a seccomp listener, which the parent gets: over a socket, as capwrap gets its own. */
#ifndef LISTENER_H
#define LISTENER_H

#include "../common/bpf.h"
#include "tracer.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* Linux 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND /* Linux 5.14 */
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

static int listener_pair[2];

__attribute__((unused)) static void give_listener(int fd)
{
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	need(sendmsg(listener_pair[1], &msg, 0), "sendmsg");
	close(fd);
}

__attribute__((unused)) static int take_listener(void)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	int fd = -1;

	if (need(recvmsg(listener_pair[0], &msg, MSG_CMSG_CLOEXEC), "recvmsg") == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	if (fd < 0)
		ends(2, "no listener came");
	return fd;
}

/* In the child: USER_NOTIF for one call, and the listener to the parent. */
__attribute__((unused)) static void be_notified_of(long nr, unsigned flags)
{
	long fd = install_for(nr, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags);

	if (fd < 0)
		lacks("SECCOMP_FILTER_FLAG_NEW_LISTENER: %s", strerror(errno));
	give_listener((int)fd);
}

__attribute__((unused)) static struct seccomp_notif receive(int listener)
{
	struct seccomp_notif request = {0};

	need(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request), "SECCOMP_IOCTL_NOTIF_RECV");
	return request;
}

__attribute__((unused)) static int answer(int listener, uint64_t id, int64_t value, int error, unsigned flags)
{
	struct seccomp_notif_resp response = {.id = id, .val = value, .error = error, .flags = flags};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

__attribute__((unused)) static void open_pair(void)
{
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, listener_pair), "socketpair");
}

#endif
