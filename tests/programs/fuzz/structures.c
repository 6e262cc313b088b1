/* Structures that a call reads: addresses, messages, vectors. */
#include "fuzz.h"
#include "values.h"

#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

uint64_t socket_address(struct me *m, uint64_t *length)
{
	struct sockaddr_storage ss;
	size_t n;

	memset(&ss, 0, sizeof(ss));
	switch (below(m, 8)) {
	case 0:
	case 1: {
		/* struct sockaddr_un */
		char *to = (char *)&ss + 2, text[5000];

		ss.ss_family = AF_UNIX;
		if (one_in(m, 3))
			snprintf(text, sizeof(text), "%s/secret/sock", world->base);
		else
			compose(m, text, sizeof(text));
		n = strlen(text) < 107 ? strlen(text) : 107;
		memcpy(to, text, n);
		n += 2 + below(m, 2);
		break;
	}
	case 2: {
		char *to = (char *)&ss + 3;

		ss.ss_family = AF_UNIX;
		snprintf(to, 100, "%s", one_in(m, 3) ? "fuzz-own" : world->abstract);
		n = 3 + strlen(to);
		break;
	}
	case 3:
	case 4: {
		const int ports[] = {world->tcp_port, world->udp_port, 0, 1, 53};
		uint16_t port = __builtin_bswap16((uint16_t)PICK(m, ports));
		uint32_t ip = __builtin_bswap32(one_in(m, 4) ? 0 : 0x7f000001);

		ss.ss_family = AF_INET;
		memcpy((char *)&ss + 2, &port, 2);
		memcpy((char *)&ss + 4, &ip, 4);
		n = 16;
		break;
	}
	case 5: {
		const int ports[] = {world->tcp_port, world->udp_port, 0};
		uint16_t port = __builtin_bswap16((uint16_t)PICK(m, ports));

		ss.ss_family = AF_INET6;
		memcpy((char *)&ss + 2, &port, 2);
		((char *)&ss)[8 + 15] = (char)one_in(m, 2);
		if (one_in(m, 2))
			memcpy((char *)&ss + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
		n = 28;
		break;
	}
	case 6:
		ss.ss_family = AF_UNSPEC;
		n = 16;
		break;
	default:
		ss.ss_family = (sa_family_t)below(m, 48);
		n = 2 + below(m, 100);
		break;
	}
	if (one_in(m, 12))
		n = below(m, 130);
	*length = n;
	return address(m, sizeof(ss), &ss);
}

uint64_t vectors(struct me *m)
{
	struct iovec iov[4];

	for (int i = 0; i < 4; i++) {
		iov[i].iov_len = one_in(m, 12) ? number(m) : below(m, 5000);
		iov[i].iov_base = (void *)address(m, 4096, NULL);
	}
	return address(m, sizeof(iov), iov);
}

uint64_t message(struct me *m)
{
	struct {
		struct msghdr h;
		unsigned len, pad;
	} mm[2];
	char control[CMSG_SPACE(4 * sizeof(int))];
	struct cmsghdr *c = (void *)control;

	memset(mm, 0, sizeof(mm));
	memset(control, 0, sizeof(control));
	for (int i = 0; i < 2; i++) {
		uint64_t length = 0;

		if (one_in(m, 2)) {
			mm[i].h.msg_name = (void *)socket_address(m, &length);
			mm[i].h.msg_namelen = (socklen_t)length;
		}
		mm[i].h.msg_iov = (void *)vectors(m);
		mm[i].h.msg_iovlen = one_in(m, 16) ? number(m) : below(m, 5);
		if (one_in(m, 2)) {
			int fds[4] = {(int)descriptor(m), (int)below(m, 40), (int)below(m, 40),
			              world->fd_limit + (int)below(m, 210)};
			unsigned n = 1 + below(m, 4);

			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = one_in(m, 6) ? (int)below(m, 5) : SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(n * sizeof(int));
			memcpy(CMSG_DATA(c), fds, n * sizeof(int));
			mm[i].h.msg_control = (void *)address(m, sizeof(control), control);
			mm[i].h.msg_controllen = one_in(m, 8) ? number(m) : CMSG_SPACE(n * sizeof(int));
		}
	}
	return address(m, sizeof(mm), mm);
}

uint64_t open_how(struct me *m)
{
	struct open_how how;

	memset(&how, 0, sizeof(how));
	how.flags = bits(m);
	how.mode = one_in(m, 2) ? below(m, 010000) : 0;
	how.resolve = one_in(m, 3) ? below(m, 64) : 0;
	return address(m, sizeof(how), &how);
}

uint64_t vector_of_strings(struct me *m)
{
	uint64_t v[6] = {0};
	unsigned n = below(m, 6);

	for (unsigned i = 0; i < n; i++)
		v[i] = one_in(m, 20) ? address(m, 8, NULL) : (uint64_t)new_path(m);
	return address(m, sizeof(v), v);
}

uint64_t structure(struct me *m)
{
	uint64_t words[16];

	for (int i = 0; i < 16; i++)
		words[i] = one_in(m, 2) ? number(m) : one_in(m, 4) ? (uint64_t)process(m) : below(m, 100);
	return address(m, sizeof(words), words);
}

uint64_t times(struct me *m)
{
	int64_t t[4];

	if (one_in(m, 3))
		return 0;
	for (int i = 0; i < 4; i++)
		t[i] = one_in(m, 8) ? (int64_t)number(m) : (int64_t)below(m, 1000000);
	t[0] = one_in(m, 8) ? t[0] : 0; /* as a timeout: short */
	return address(m, sizeof(t), t);
}
