/* Sockets: reaching what listens outside, by every family and every call that takes an address. */
#include "inet.h"
#include "../../../rewriters/pad.h"

#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <stddef.h>
#include <sys/un.h>

/* With the NUL behind a path, or the one before an abstract name. */
static socklen_t unix_address(struct sockaddr_un *a, const char *path, int abstract)
{
	size_t len = strlen(path);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path + abstract, path, len + 1 < sizeof(a->sun_path) ? len + 1 : sizeof(a->sun_path) - 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

/* Connects to a server of the test, which says the secret to whoever comes. */
static _Noreturn void hear(int fd, const void *address, socklen_t len, const char *what)
{
	must(connect(fd, address, len), what);
	judge_read(fd, what);
}

static void unix_path(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 0);

	hear(new_socket(AF_UNIX, SOCK_STREAM, 0), &a, len, argument(0));
}

static void unix_abstract(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 1);

	hear(new_socket(AF_UNIX, SOCK_STREAM, 0), &a, len, argument(0));
}

static void unix_send_to(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 0);

	judge(sendto(new_socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, len), argument(0));
}

static void unix_send_to_abstract(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 1);

	judge(sendto(new_socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, len), argument(0));
}

static void send_message(int fd, void *address, socklen_t len, int many)
{
	struct iovec iov = {(void *)"x", 1};
	struct mmsghdr m = {.msg_hdr = {.msg_name = address, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1}};

	judge(many ? sendmmsg(fd, &m, 1, 0) : sendmsg(fd, &m.msg_hdr, 0), many ? "sendmmsg" : "sendmsg");
}

static void unix_sendmsg(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 0);

	send_message(new_socket(AF_UNIX, SOCK_DGRAM, 0), &a, len, 0);
}

static void unix_sendmmsg(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 0);

	send_message(new_socket(AF_UNIX, SOCK_DGRAM, 0), &a, len, 1);
}

static void unix_bind(void)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, argument(0), 0);

	judge(bind(new_socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, len), argument(0));
}

static void tcp(void)
{
	struct sockaddr_in a = port(0);

	hear(new_socket(AF_INET, SOCK_STREAM, 0), &a, sizeof(a), "tcp");
}

static void tcp_upper_half(void)
{
	struct sockaddr_in a = port(0);
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);

	must(syscall(SYS_connect, 0x300000000ul | (unsigned)fd, &a, 0x300000000ul | sizeof(a)), "connect");
	judge_read(fd, "tcp");
}

static void tcp_mapped(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(argument(0)))};

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	hear(new_socket(AF_INET6, SOCK_STREAM, 0), &a, sizeof(a), "::ffff:127.0.0.1");
}

static void tcp_any(void)
{
	struct sockaddr_in a = port(0);

	a.sin_addr.s_addr = 0;
	hear(new_socket(AF_INET, SOCK_STREAM, 0), &a, sizeof(a), "0.0.0.0");
}

static void tcp_fast_open(void)
{
	struct sockaddr_in a = port(0);
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);

	must(sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&a, sizeof(a)), "MSG_FASTOPEN");
	judge_read(fd, "MSG_FASTOPEN");
}

static void tcp_fast_open_message(void)
{
	struct sockaddr_in a = port(0);
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &iov, .msg_iovlen = 1};
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);

	must(sendmsg(fd, &m, MSG_FASTOPEN), "sendmsg MSG_FASTOPEN");
	judge_read(fd, "sendmsg MSG_FASTOPEN");
}

static void mptcp(void)
{
	struct sockaddr_in a = port(0);

	hear(new_socket(AF_INET, SOCK_STREAM, 262), &a, sizeof(a), "mptcp");
}

static void udp(void)
{
	struct sockaddr_in a = port(0);

	judge(sendto(new_socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, sizeof(a)), "udp");
}

static void udp_connected(void)
{
	struct sockaddr_in a = port(0);
	int fd = new_socket(AF_INET, SOCK_DGRAM, 0);

	must(connect(fd, (void *)&a, sizeof(a)), "connect");
	judge(send(fd, "x", 1, 0), "send");
}

static void udp_sendmsg(void)
{
	struct sockaddr_in a = port(0);

	send_message(new_socket(AF_INET, SOCK_DGRAM, 0), &a, sizeof(a), 0);
}

static void udp_sendmmsg(void)
{
	struct sockaddr_in a = port(0);

	send_message(new_socket(AF_INET, SOCK_DGRAM, 0), &a, sizeof(a), 1);
}

/* A datagram to a socket of one's own, by way of another address (IP_RETOPTS): it is sent to that one. */
static void routed(void)
{
	static const unsigned char loose[] = {131, 7, 4, 127, 0, 0, 2, 0};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int own = new_socket(AF_INET, SOCK_DGRAM, 0), fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(loose))];
	} control = {.header = {CMSG_LEN(sizeof(loose)), IPPROTO_IP, IP_RETOPTS}};
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

	memcpy(CMSG_DATA(&control.header), loose, sizeof(loose));
	need(bind(own, (void *)&a, len), "bind");
	need(getsockname(own, (void *)&a, &len), "getsockname");
	must(connect(fd, (void *)&a, len), "connect"); /* a container may deny pidfd_getfd, and it is refused */
	judge(sendmsg(fd, &m, 0), "IP_RETOPTS");
}

/* The interface that packets for a permitted address leave by, here the loopback device: ARG 0 how it is chosen. */
static void interface(void)
{
	const char *how = argument(0);
	const int index = 1, network_order = (int)htonl(1);
	const struct in6_pktinfo info = {.ipi6_ifindex = 1};
	const struct {
		const char *name;
		int family, level, option;
		const void *value;
		socklen_t len;
	} ways[] = {
		{"device", AF_INET, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2},
		{"index", AF_INET, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index)},
		{"unicast", AF_INET, IPPROTO_IP, IP_UNICAST_IF, &network_order, sizeof(network_order)},
		{"unicast6", AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_IF, &network_order, sizeof(network_order)},
		{"information6", AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(ways[i].name, how))
			judge(setsockopt(new_socket(ways[i].family, SOCK_DGRAM, 0), ways[i].level, ways[i].option,
			                 ways[i].value, ways[i].len),
			      how);
	untried("no such way: %s", how);
}

/* The same in a message (IP_PKTINFO); ARG 0: of one's own, or one of the pad that was made for harmless control data. */
static void interface_message(void)
{
	static union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control;
	const struct in_pktinfo info = {.ipi_ifindex = 1};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int own = new_socket(AF_INET, SOCK_DGRAM, 0), fd = new_socket(AF_INET, SOCK_DGRAM, 0), pair[2];
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

	must(bind(own, (void *)&a, len), "bind");
	need(getsockname(own, (void *)&a, &len), "getsockname");
	must(connect(fd, (void *)&a, len), "connect"); /* a container may deny pidfd_getfd */
	need(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	/* a descriptor, in as many bytes */
	control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	m.msg_controllen = CMSG_SPACE(sizeof(int));
	need(sendmsg(pair[0], &m, 0), "SCM_RIGHTS");
	control.header = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	m.msg_controllen = sizeof(control.space);
	if (!strcmp(argument(0), "own"))
		judge(sendmsg(fd, &m, 0), "IP_PKTINFO");
	if (msync((void *)CW_PAD_BASE, 4096, MS_ASYNC))
		judge(sendmsg(fd, &m, 0), "IP_PKTINFO, where there is no pad");
	for (char *at = (char *)CW_PAD_MSGHDR; at < (char *)CW_PAD_MSGHDR_END; at += CW_PAD_MSGHDR_STRIDE) {
		struct msghdr said;

		memcpy(&said, at, sizeof(said));
		if (said.msg_control && ((char *)said.msg_control < (char *)CW_PAD_CONTROL ||
		                         (char *)said.msg_control >= (char *)CW_PAD_CONTROL_END))
			judge(syscall(SYS_sendmsg, fd, at, 0), "a header that is left in the pad");
	}
	held("EINVAL no header leads to memory of one's own");
}

static void tcp_bind(void)
{
	struct sockaddr_in a = port(0);

	a.sin_port = 0;
	judge(bind(new_socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof(a)), "bind");
}

/* listen(2) on a fresh socket binds it to a port of its own accord. */
static void tcp_listen(void)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	must(listen(fd, 1), "listen");
	must(getsockname(fd, (void *)&a, &len), "getsockname");
	if (!a.sin_port)
		held("EADDRNOTAVAIL no port");
	escaped("listens on port %d", ntohs(a.sin_port));
}

/* Joining a group tells the network of it, and the group can be any of many: ARG 0 how. Here on the loopback device. */
static void multicast(void)
{
	const char *how = argument(0);
	const struct sockaddr_in group = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xef010203)};
	const struct ip_mreqn membership = {.imr_multiaddr = group.sin_addr, .imr_ifindex = 1};
	const struct ip_mreq_source from = {.imr_multiaddr = group.sin_addr,
	                                    .imr_interface.s_addr = htonl(INADDR_LOOPBACK),
	                                    .imr_sourceaddr.s_addr = htonl(INADDR_LOOPBACK)};
	struct group_req any = {.gr_interface = 1};
	struct group_source_req any_from = {.gsr_interface = 1};
	struct ipv6_mreq membership6 = {.ipv6mr_interface = 1};

	memcpy(&any.gr_group, &group, sizeof(group));
	memcpy(&any_from.gsr_group, &group, sizeof(group));
	memcpy(&any_from.gsr_source, &group, sizeof(group));
	((struct sockaddr_in *)&any_from.gsr_source)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	inet_pton(AF_INET6, "ff05::1:2:3", &membership6.ipv6mr_multiaddr);
	const struct {
		const char *name;
		int family, level, option;
		const void *value;
		socklen_t len;
	} ways[] = {
		{"ip", AF_INET, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)},
		{"ip-source", AF_INET, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &from, sizeof(from)},
		{"group", AF_INET, IPPROTO_IP, MCAST_JOIN_GROUP, &any, sizeof(any)},
		{"group-source", AF_INET, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &any_from, sizeof(any_from)},
		{"ipv6", AF_INET6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &membership6, sizeof(membership6)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(ways[i].name, how))
			judge(setsockopt(new_socket(ways[i].family, SOCK_DGRAM, 0), ways[i].level, ways[i].option,
			                 ways[i].value, ways[i].len),
			      how);
	untried("no such way: %s", how);
}

static void family(void)
{
	judge(socket(atoi(argument(0)), atoi(argument(1)), atoi(argument(2))), "socket");
}

static void pair(void)
{
	int fds[2];

	judge(socketpair(atoi(argument(0)), atoi(argument(1)), atoi(argument(2)), fds), "socketpair");
}

/* Descriptor 0 is a socket at whose other end somebody sends the descriptor of a directory outside. */
static void received_directory(void)
{
	int dir = must(receive_fd(0), "receive");

	judge_read(openat(dir, "file", O_RDONLY), "file");
}

static void received_directory_chdir(void)
{
	must(fchdir(must(receive_fd(0), "receive")), "fchdir");
	judge_read(open("file", O_RDONLY), "file");
}

const struct attack attacks[] = {
	{"unix-path", unix_path},
	{"unix-abstract", unix_abstract},
	{"unix-sendto", unix_send_to},
	{"unix-sendto-abstract", unix_send_to_abstract},
	{"unix-sendmsg", unix_sendmsg},
	{"unix-sendmmsg", unix_sendmmsg},
	{"unix-bind", unix_bind},
	{"tcp", tcp},
	{"tcp-upper-half", tcp_upper_half},
	{"tcp-mapped", tcp_mapped},
	{"tcp-any", tcp_any},
	{"tcp-fast-open", tcp_fast_open},
	{"tcp-fast-open-message", tcp_fast_open_message},
	{"mptcp", mptcp},
	{"udp", udp},
	{"udp-connected", udp_connected},
	{"udp-sendmsg", udp_sendmsg},
	{"udp-sendmmsg", udp_sendmmsg},
	{"routed", routed},
	{"interface", interface},
	{"interface-message", interface_message},
	{"tcp-bind", tcp_bind},
	{"tcp-listen", tcp_listen},
	{"multicast", multicast},
	{"family", family},
	{"pair", pair},
	{"received-directory", received_directory},
	{"received-directory-chdir", received_directory_chdir},
	{0},
};
