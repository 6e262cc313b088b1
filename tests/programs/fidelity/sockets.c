/* Unix sockets: addresses and who is told of them, datagrams, descriptors and credentials that are passed, and ends. */
#include "observe.h"

#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static char bytes[256];

static struct sockaddr_un named(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memcpy(a.sun_path, path, strlen(path) + 1);
	return a;
}

static const char *address_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	static char text[200];
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (ask(fd, (struct sockaddr *)&a, &len))
		snprintf(text, sizeof(text), "-1 %s", strerrorname_np(errno));
	else
		snprintf(text, sizeof(text), "family %d length %u %s", a.sun_family, len,
		         len > 2 ? a.sun_path[0] ? a.sun_path : "abstract" : "unnamed");
	return text;
}

static int own_name(int fd, struct sockaddr *a, socklen_t *len)
{
	return getsockname(fd, a, len);
}

static int peer_name(int fd, struct sockaddr *a, socklen_t *len)
{
	return getpeername(fd, a, len);
}

/* How much of the name is given to whom: move_addr_to_user in net/socket.c. */
static void rooms(int fd)
{
	static const int sizes[] = {-1, INT_MIN, 0, 1, 2, 5, 13, 110, 111, 128};
	char a[128];
	socklen_t len;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		memset(a, 'z', sizeof(a));
		len = (socklen_t)sizes[i];
		int got = getsockname(fd, (struct sockaddr *)a, &len);
		size_t n = 0;

		while (n < sizeof(a) && a[n] != 'z')
			n++;
		say("its name", "in %d bytes: %d %s, length %d, %zu bytes, %.*s", sizes[i], got,
		    got ? strerrorname_np(errno) : "", (int)len, n, n > 2 ? (int)(n - 2) : 0, a + 2);
	}
	len = sizeof(a);
	ROW(syscall(SYS_getsockname, fd, 8, &len));
	ROW(syscall(SYS_getsockname, fd, a, 8));
	ROW(syscall(SYS_getsockname, fd, a, NULL));
	len = 0;
	ROW(syscall(SYS_getsockname, fd, 8, &len));
}

/* A path as long as there is room for, with no NUL behind it. */
static void longest(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct {
		sa_family_t family;
		char path[160];
	} told;
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	socklen_t len = sizeof(told);

	section("a long name");
	for (size_t i = 0; i < sizeof(a.sun_path); i += 2)
		memcpy(a.sun_path + i, i + 2 < sizeof(a.sun_path) ? "./" : "ss", 2);
	ROW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	memset(&told, 'z', sizeof(told));
	ROW(getsockname(fd, (struct sockaddr *)&told, &len));
	say("told", "length %u, text %zu", len, strnlen(told.path, sizeof(told.path)));
	rooms(fd);
	ROW(unlink("ss"));
	close(fd);
}

static void credentials(const char *label, int fd)
{
	struct ucred c = {0};
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len))
		say(label, "-1 %s", strerrorname_np(errno));
	else
		say(label, "%s uid %s gid %s",
		    c.pid == getpid() ? "oneself"
		    : c.pid           ? "another"
		                      : "nobody",
		    c.uid == getuid() ? "own" : "another", c.gid == getgid() ? "own" : "another");
}

static void streams(const char *path)
{
	struct sockaddr_un a = named(path);
	int listener = (int)ROW(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int fd = (int)ROW(socket(AF_UNIX, SOCK_STREAM, 0)), got;
	struct stat st;

	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(bind(listener, (struct sockaddr *)&a, sizeof(a)));
	ROW(bind(listener, (struct sockaddr *)&a, sizeof(a)));
	ROW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	MUST(lstat(path, &st));
	say("made", "%o", st.st_mode);
	say("its own name", "%s", address_of(listener, own_name));
	rooms(listener);
	say("its peer", "%s", address_of(listener, peer_name));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(listen(listener, 1));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	got = (int)ROW(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	ROW(fcntl(got, F_GETFD));
	ROW(fcntl(got, F_GETFL));
	say("connected, own", "%s", address_of(fd, own_name));
	say("connected, peer", "%s", address_of(fd, peer_name));
	say("accepted, own", "%s", address_of(got, own_name));
	say("accepted, peer", "%s", address_of(got, peer_name));
	credentials("the one that connected", got);
	credentials("the one that listened", fd);
	credentials("the listener itself", listener);
	ROW(send(fd, "hello", 5, 0));
	ROW(recv(got, bytes, 3, MSG_PEEK));
	ROW(recv(got, bytes, sizeof(bytes), 0));
	ROW(recv(got, bytes, sizeof(bytes), 0));
	ROW(shutdown(fd, SHUT_WR));
	ROW(recv(got, bytes, sizeof(bytes), 0));
	ROW(send(fd, "x", 1, MSG_NOSIGNAL));
	close(got);
	ROW(recv(fd, bytes, sizeof(bytes), 0));
	ROW(chmod(path, 0));
	int third = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	ROW(connect(third, (struct sockaddr *)&a, sizeof(a)) == -1 && errno == (geteuid() ? EACCES : 0));
	close(third);
	close(fd), close(listener);
	fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	ROW(chmod(path, 0777));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(unlink(path));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	a = named("file");
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = named("absent/x");
	ROW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a = named("file/x");
	ROW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	ROW(connect(fd, (struct sockaddr *)&a, 2));
	ROW(connect(fd, (struct sockaddr *)&a, 1));
	ROW(connect(fd, (struct sockaddr *)&a, 200));
	a.sun_family = AF_INET;
	ROW(syscall(SYS_connect, fd, &a, sizeof(a)));
	close(fd);
}

static void datagrams(void)
{
	struct sockaddr_un a = named("one"), b = named("two"), from;
	int one = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), two = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	socklen_t len = sizeof(from);

	section("datagrams");
	ROW(send(one, "x", 1, 0));
	ROW(bind(one, (struct sockaddr *)&a, sizeof(a)));
	ROW(bind(two, (struct sockaddr *)&b, sizeof(b)));
	ROW(connect(one, (struct sockaddr *)&b, sizeof(b)));
	ROW(send(one, "first", 5, 0));
	ROW(send(one, "", 0, 0));
	ROW(ioctl(two, FIONREAD, &len));
	say("to read", "%u", len);
	len = sizeof(from);
	ROW(recvfrom(two, bytes, 3, MSG_TRUNC, (struct sockaddr *)&from, &len));
	say("from", "%.*s", len > 2 ? (int)(len - 2) : 0, from.sun_path);
	ROW(recv(two, bytes, sizeof(bytes), 0));
	ROW(connect(two, (struct sockaddr *)&a, sizeof(a)));
	ROW(send(two, "back", 4, 0));
	ROW(recv(one, bytes, sizeof(bytes), 0));
	close(two);
	ROW(send(one, "x", 1, MSG_NOSIGNAL));
	ROW(unlink("one"));
	ROW(unlink("two"));
	/* no address at all: one that the kernel chooses */
	int auto_ = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));

	ROW(bind(auto_, (struct sockaddr *)&a, sizeof(a.sun_family)));
	say("chosen", "%s", address_of(auto_, own_name));
	close(auto_), close(one);
}

/* Types, flags and protocols that there are and that there are not. */
static void made(void)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6},
			 types[] = {-1, 0, 1, 2, 3, 4, 5, 6, 11, 13, 15, 77, 2048, 524289, 1 << 20 | 1, 65},
			 protocols[] = {0, 1, 6, 17, 200, 263, 300, -1};

	for (size_t f = 0; f < COUNT(families); f++)
		for (size_t t = 0; t < COUNT(types); t++)
			for (size_t p = 0; p < COUNT(protocols); p++) {
				char label[80];

				/* of the internet, TCP and UDP alone */
				if (f && ((types[t] & 15) == SOCK_RAW || (types[t] & 15) == SOCK_DGRAM))
					continue;
				snprintf(label, sizeof(label), "socket(%d, %d, %d)", families[f], types[t],
				         protocols[p]);
				errno = 0;
				int fd = socket(families[f], types[t], protocols[p]);

				result(label, fd < 0 ? -1 : 0);
				if (fd >= 0)
					close(fd);
			}
}

static void passing(int type)
{
	int pair[2], fd = (int)MUST(open("file", O_RDONLY)), one = 1;
	char control[256];
	struct iovec iov = {bytes, 4};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};

	ROW(socketpair(AF_UNIX, type, 0, pair));
	say("own", "%s", address_of(pair[0], own_name));
	say("peer", "%s", address_of(pair[0], peer_name));
	credentials("of a pair", pair[0]);
	MUST(lseek(fd, 3, SEEK_SET));
	for (int flags = 0; flags < 2; flags++) {
		struct cmsghdr *c = (struct cmsghdr *)control;
		int two[2] = {fd, pair[0]};

		memset(control, 0, sizeof(control));
		*c = (struct cmsghdr){CMSG_LEN(sizeof(two)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(c), two, sizeof(two));
		m.msg_controllen = CMSG_SPACE(sizeof(two));
		ROW(sendmsg(pair[0], &m, 0));
		m.msg_controllen = flags ? CMSG_LEN(sizeof(int)) : sizeof(control);
		ROW(recvmsg(pair[1], &m, flags ? MSG_CMSG_CLOEXEC : 0));
		memcpy(two, CMSG_DATA(c), sizeof(two));
		say("received", "flags %x, %zu bytes, numbers %d %d, at %ld, flags %d", (unsigned)m.msg_flags,
		    (size_t)c->cmsg_len, two[0], flags ? -1 : two[1], (long)lseek(two[0], 0, SEEK_CUR),
		    fcntl(two[0], F_GETFD));
		close(two[0]);
		if (!flags)
			close(two[1]);
	}
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	m.msg_controllen = 0;
	ROW(sendmsg(pair[0], &m, 0));
	m.msg_controllen = sizeof(control);
	ROW(recvmsg(pair[1], &m, 0));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct ucred who = {0};

	if (c && c->cmsg_type == SCM_CREDENTIALS)
		memcpy(&who, CMSG_DATA(c), sizeof(who));
	say("credentials", "%s", who.pid == getpid() && who.uid == getuid() && who.gid == getgid() ? "own" : "others");
	for (int k = 0; k < 3; k++) {
		static const char *const told[] = {"own", "of the parent", "of nobody"};

		who = (struct ucred){k == 0 ? getpid() : k == 1 ? getppid() : 0x3fffffff, getuid(), getgid()};
		c = (struct cmsghdr *)control;
		*c = (struct cmsghdr){CMSG_LEN(sizeof(who)), SOL_SOCKET, SCM_CREDENTIALS};
		memcpy(CMSG_DATA(c), &who, sizeof(who));
		m.msg_controllen = CMSG_SPACE(sizeof(who));
		if (k == 1 && !getuid())
			continue; /* CAP_SYS_ADMIN decides, which confined nobody has */
		errno = 0;
		result(told[k], sendmsg(pair[0], &m, 0));
	}
	struct mmsghdr many[2] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
	                          {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}}};

	ROW(sendmmsg(pair[1], many, 2, 0));
	say("sent", "%u %u", many[0].msg_len, many[1].msg_len);
	ROW(recvmmsg(pair[0], many, 2, MSG_DONTWAIT, NULL));
	say("received", "%u %u", many[0].msg_len, many[1].msg_len);
	close(pair[0]);
	struct pollfd p = {pair[1], POLLIN | POLLOUT | POLLRDHUP, 0};

	ROW(poll(&p, 1, 0));
	say("polled", "%x", (unsigned)p.revents);
	ROW(send(pair[1], "x", 1, MSG_NOSIGNAL));
	close(pair[1]), close(fd);
}

int main(void)
{
	static const int options[] = {SO_TYPE,  SO_DOMAIN,   SO_PROTOCOL, SO_ACCEPTCONN,
	                              SO_ERROR, SO_PASSCRED, SO_REUSEADDR};

	umask(022);
	write_file("file", "0123456789", 0644);
	MUST(mkdir("d", 0755));
	section("a stream");
	streams("stream");
	section("a stream in a directory");
	streams("d/../d/stream");
	longest();
	datagrams();
	section("a pair of streams");
	passing(SOCK_STREAM);
	section("a pair of datagrams");
	passing(SOCK_DGRAM);
	section("a pair of packets");
	passing(SOCK_SEQPACKET);
	section("options");
	int fd = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));

	for (size_t i = 0; i < COUNT(options); i++) {
		int value = -1;
		socklen_t len = sizeof(value);
		char label[40];

		snprintf(label, sizeof(label), "option %d", options[i]);
		result(label, getsockopt(fd, SOL_SOCKET, options[i], &value, &len));
		say(label, "%d", value);
	}
	made();
	ROW(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
	close(fd);
	unlink("file"), rmdir("d");
	return 0;
}
