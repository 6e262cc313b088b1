/*
 * What a call's arguments say changes while the call is made: two attackers write one name over the other, in memory
 * that the calling thread uses as its path, its address or its structure. flip.h has the arguments.
 */
#include "flip.h"

#include <stddef.h>
#include <sys/un.h>

static void race_open(void)
{
	for (const char *path = flipping("file"); done < rounds; done++)
		look(open(path, O_RDONLY | O_CLOEXEC));
	none();
}

static void race_openat2(void)
{
	const struct how how = {.flags = O_RDONLY | O_CLOEXEC};

	for (const char *path = flipping("file"); done < rounds; done++)
		look((int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
	none();
}

static void race_stat(void)
{
	struct stat st;

	for (const char *path = flipping("file"); done < rounds; done++)
		if (!stat(path, &st) && st.st_size != (off_t)strlen(expected))
			FOUND("after %ld rounds: size %ld", done, (long)st.st_size);
	none();
}

static void race_statx(void)
{
	struct statx stx;

	for (const char *path = flipping("file"); done < rounds; done++)
		if (!statx(AT_FDCWD, path, 0, STATX_SIZE, &stx) && stx.stx_size != strlen(expected))
			FOUND("after %ld rounds: size %ld", done, (long)stx.stx_size);
	none();
}

static void race_readlink(void)
{
	char text[128];

	for (const char *path = flipping("link"); done < rounds; done++) {
		ssize_t n = readlink(path, text, sizeof(text) - 1);
		if (n > 0 && (n != 7 || memcmp(text, "granted", 7)))
			FOUND("after %ld rounds: %.*s", done, (int)n, text);
	}
	none();
}

static void race_chdir(void)
{
	for (const char *path = flipping(""); done < rounds; done++) {
		if (chdir(path))
			continue;
		look(open("file", O_RDONLY | O_CLOEXEC));
	}
	none();
}

static void race_rename(void)
{
	const char *taken = in_base("work/taken"), *home = granted_path("file");

	for (const char *path = flipping("file"); done < rounds; done++) {
		if (rename(path, taken))
			continue;
		look(open(taken, O_RDONLY | O_CLOEXEC));
		rename(taken, home);
	}
	none();
}

/* The second name of the call changes. Whether something came to lie outside, the test sees. */
static void race_link(void)
{
	const char *inside = granted_path("new"), *outside = in_base("secret/new");

	for (const char *path = flipping("new"); done < rounds; done++) {
		if (link(in_base("work/file"), path))
			continue;
		if (!access(outside, F_OK))
			FOUND("after %ld rounds: a link outside", done);
		unlink(inside);
	}
	none();
}

static void race_unlink(void)
{
	const char *inside = granted_path("file"), *outside = in_base("secret/file");
	/* Natively the secret can be seen to go; confined, the test looks for it. */
	int seen = !access(outside, F_OK);

	for (const char *path = flipping("file"); done < rounds; done++) {
		if (unlink(path))
			continue;
		if (seen && access(outside, F_OK))
			FOUND("after %ld rounds: unlinked outside", done);
		close(open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	}
	none();
}

static void race_exec(void)
{
	char *const argv[] = {(char *)"prog", (char *)"granted", (char *)in_base(""), (char *)"0", NULL};
	char *const envp[] = {NULL};

	for (const char *path = flipping("prog"); done < rounds; done++) {
		pid_t child = need(fork(), "fork");
		if (!child) {
			execve(path, argv, envp);
			_exit(6);
		}
		int status = reap(child);
		/* The granted program ends with 7, the other with 0. */
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			FOUND("after %ld rounds: it ran", done);
	}
	none();
}

static void granted(void)
{
	_exit(7);
}

static void race_connect(void)
{
	const struct sockaddr_un *address = flipping_address();

	for (; done < rounds; done++) {
		char text[64] = "";
		int fd = need(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
		if (!connect(fd, (void *)address, sizeof(*address)) && read(fd, text, sizeof(text) - 1) > 0 &&
		    strncmp(text, "carved", 6))
			FOUND("after %ld rounds: %s", done, text);
		close(fd);
	}
	none();
}

/* The flags in the open_how change: what is opened to be read only may come out writable, or truncated. */
static void flip_how(int side, int attacker)
{
	struct how *how = (struct how *)page;

	*(volatile uint64_t *)&how->flags = side ? O_RDWR | O_CLOEXEC : O_RDONLY | O_CLOEXEC;
	*(volatile uint64_t *)&how->resolve = side ? 0 : (attacker ? 0x8 : 0);
}

static void race_how(void)
{
	make_page();
	begin(flip_how);
	for (; done < rounds; done++) {
		int fd = (int)syscall(SYS_openat2, AT_FDCWD, in_base("ro/file"), page, sizeof(struct how));
		if (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
			FOUND("after %ld rounds: writable", done);
		close(fd);
	}
	none();
}

/* The name in the msghdr comes and goes: a datagram that is for the own peer may leave for somebody outside. */
static struct sockaddr_un outsider;

static void flip_message(int side, int attacker)
{
	struct msghdr *m = (struct msghdr *)page;

	(void)attacker;
	*(void *volatile *)&m->msg_name = side ? &outsider : NULL;
	*(volatile socklen_t *)&m->msg_namelen = side ? sizeof(outsider) : 0;
}

static void race_sendmsg(void)
{
	struct iovec iov = {(void *)"x", 1};
	int pair[2];

	outsider.sun_family = AF_UNIX;
	snprintf(outsider.sun_path, sizeof(outsider.sun_path), "%s", in_base("secret/dgram"));
	need(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	make_page();
	struct msghdr *m = (struct msghdr *)page;
	m->msg_iov = &iov;
	m->msg_iovlen = 1;
	begin(flip_message);
	for (; done < rounds; done++) {
		char byte;
		if (sendmsg(pair[0], m, MSG_DONTWAIT) == 1 && recv(pair[1], &byte, 1, MSG_DONTWAIT) != 1)
			FOUND("after %ld rounds: a datagram went elsewhere", done);
	}
	none();
}

const struct attack attacks[] = {
	{"open", race_open},     {"openat2", race_openat2},   {"stat", race_stat},
	{"statx", race_statx},   {"readlink", race_readlink}, {"chdir", race_chdir},
	{"rename", race_rename}, {"link", race_link},         {"unlink", race_unlink},
	{"exec", race_exec},     {"granted", granted},        {"connect", race_connect},
	{"how", race_how},       {"sendmsg", race_sendmsg},   {0},
};
