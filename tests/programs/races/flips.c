/*
 * What a call's arguments say changes while the call is made: two attackers write one name over the other, in memory
 * that the calling thread uses as its path, its address or its structure.
 *
 * ARG 0: who the attackers are: "threads", "vm" (processes that share all memory), "shared" (forked ones that share
 * the page), "truncated" (threads, one of which makes the file behind the page shorter and longer). ARG 1: how many rounds. ARG 2, for a path: the granted directory, six letters of it.
 */
#include "attack.h"

#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/un.h>

#define ATTACKERS 2

/* Both names are of one length: what is read half-way is a third, which does not exist. */
static char *page;
static const char *names[2] = {"carved", "secret"};
static char expected[64]; /* what the granted file says */

/* What is behind the page, and all of it with either name, where the page comes and goes. */
static int behind = -1;
static char whole[2][4096];

static volatile char *changing;
static void (*flip)(int side, int attacker);
static long rounds, done;

static void flip_name(int side, int attacker)
{
	/* One of them a byte at a time, the other all at once: each finds other gaps. */
	if (attacker)
		for (int i = 0; i < 6; i++)
			changing[i] = names[side][i];
	else
		memcpy((char *)changing, names[side], 6);
}

/* Nobody but the kernel touches the page then: where it is gone, that is a SIGBUS. */
static void flip_file(int side, int attacker)
{
	if (attacker) {
		(void)!ftruncate(behind, 0);
		(void)!ftruncate(behind, 4096);
		(void)!pwrite(behind, whole[side], 4096, 0);
	} else {
		(void)!pwrite(behind, names[side], 6, changing - page);
	}
}

/* How many attackers are under way, behind the page: forked ones share nothing else. */
static int *counter;

static int *under_way(void)
{
	return counter;
}

static int attack_forever(void *which)
{
	__atomic_fetch_add(under_way(), 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0;; i++) {
		flip(i & 1, (int)(intptr_t)which);
		/* The machine may have fewer processors than there are attackers. Odd: either name is left standing. */
		if (i % 63 == 0)
			sched_yield();
	}
	return 0;
}

static void *attack_in_thread(void *which)
{
	attack_forever(which);
	return NULL;
}

static pid_t attackers[ATTACKERS];

static void stop(void)
{
	for (int i = 0; i < ATTACKERS; i++)
		if (attackers[i] > 0) {
			kill(attackers[i], SIGKILL);
			waitpid(attackers[i], NULL, __WALL);
		}
}

static _Noreturn void none(void)
{
	stop();
	held("none in %ld rounds", done);
}

#define FOUND(...)                                                                                                     \
	do {                                                                                                           \
		stop();                                                                                                \
		escaped(__VA_ARGS__);                                                                                  \
	} while (0)

static void begin(void (*how)(int, int))
{
	static char stacks[ATTACKERS][65536] __attribute__((aligned(16)));
	const char *who = argument(0);
	pthread_t thread;

	flip = how;
	rounds = atol(argument(1));
	for (int i = 0; i < ATTACKERS; i++) {
		void *which = (void *)(intptr_t)i;
		if (!strcmp(who, "threads") || !strcmp(who, "truncated")) {
			if (pthread_create(&thread, NULL, attack_in_thread, which))
				untried("pthread_create");
		} else if (!strcmp(who, "vm")) {
			attackers[i] = clone(attack_forever, stacks[i] + sizeof(stacks[i]), CLONE_VM, which);
			need(attackers[i], "clone");
		} else if (!strcmp(who, "shared")) {
			attackers[i] = need(fork(), "fork");
			if (!attackers[i])
				attack_forever(which);
		} else {
			untried("no such attackers: %s", who);
		}
	}
	while (__atomic_load_n(under_way(), __ATOMIC_SEQ_CST) < ATTACKERS)
		sched_yield();
}

static void make_page(void)
{
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(argument(0), "truncated")) {
		behind = need(open(in_base("work/page"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), "work/page");
		need(ftruncate(behind, 4096), "ftruncate");
	}
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | (behind < 0 ? MAP_ANONYMOUS : 0), behind, 0);
	if (page == MAP_FAILED || counter == MAP_FAILED)
		untried("mmap: %s", strerror(errno));
}

/* Puts BASE/NAME/`leaf` on the page and has NAME changed. */
static const char *flipping(const char *leaf)
{
	names[0] = argument(2);
	if (strlen(names[0]) != strlen(names[1]))
		untried("%s is not as long as %s", names[0], names[1]);
	make_page();
	int n = sprintf(page, "%s/", in_base(""));
	changing = page + n;
	sprintf(page + n, "%s/%s", names[0], "file");
	snprintf(expected, sizeof(expected), "%s", slurp(page));
	sprintf(page + n, "%s/%s", names[0], leaf);
	for (int side = 0; side < 2; side++) {
		memcpy(whole[side], page, sizeof(whole[side]));
		memcpy(whole[side] + n, names[side], 6);
	}
	begin(behind < 0 ? flip_name : flip_file);
	return page;
}

static const char *granted_path(const char *leaf)
{
	char *path;

	if (asprintf(&path, "%s/%s/%s", in_base(""), argument(2), leaf) < 0)
		untried("out of memory");
	return path;
}

static void look(int fd)
{
	char text[128] = "";

	if (fd < 0)
		return;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (n <= 0 || !strcmp(text, expected))
		return;
	stop();
	escaped("after %ld rounds: %s", done, text);
}

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
	make_page();
	struct sockaddr_un *address = (struct sockaddr_un *)page;
	address->sun_family = AF_UNIX;
	int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/", in_base(""));
	changing = address->sun_path + n;
	snprintf(address->sun_path + n, sizeof(address->sun_path) - (size_t)n, "carved/sock");
	begin(flip_name);
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
