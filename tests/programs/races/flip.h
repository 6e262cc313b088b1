/*
 * What the programs have in common in which a call's arguments change while it is made: the page that changes, and who changes it.
 *
 * ARG 0: who the attackers are: "threads", "vm" (processes that share all memory), "shared" (forked ones that share
 * the page), "vfork" (threads of the parent of who makes the calls), "truncated" (threads, one of which makes the file behind the page shorter and longer). ARG 1: how many rounds. ARG 2, for a path: the granted directory, six letters of it.
 */
#ifndef FLIP_H
#define FLIP_H

#include "attack.h"

#include <pthread.h>
#include <sched.h>
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

static inline void flip_name(int side, int attacker)
{
	/* One of them a byte at a time, the other all at once: each finds other gaps. */
	if (attacker)
		for (int i = 0; i < 6; i++)
			changing[i] = names[side][i];
	else
		memcpy((char *)changing, names[side], 6);
}

/* Nobody but the kernel touches the page then: where it is gone, that is a SIGBUS. */
static inline void flip_file(int side, int attacker)
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

static inline int *under_way(void)
{
	return counter;
}

static inline int attack_forever(void *which)
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

static inline void *attack_in_thread(void *which)
{
	attack_forever(which);
	return NULL;
}

static pid_t attackers[ATTACKERS];

static inline void stop(void)
{
	for (int i = 0; i < ATTACKERS; i++)
		if (attackers[i] > 0) {
			kill(attackers[i], SIGKILL);
			waitpid(attackers[i], NULL, __WALL);
		}
}

static inline _Noreturn void none(void)
{
	stop();
	held("none in %ld rounds", done);
}

#define FOUND(...)                                                                                                     \
	do {                                                                                                           \
		stop();                                                                                                \
		escaped(__VA_ARGS__);                                                                                  \
	} while (0)

/*
 * The call is made by a child of vfork(2), while its parent waits and the parent's threads attack. The child goes on on its
 * parent's stack, so the parent looks at nothing of it any more: it ends as the child does.
 */
static int vforked;

static inline void go_on_in_child(void)
{
	long pid = SYS_clone;

	__asm__ volatile("	syscall\n"
	                 "	test %%rax, %%rax\n"
	                 "	jz 1f\n"
	                 "	mov %%rax, %%rdi\n"
	                 "	mov %[status], %%rsi\n"
	                 "	xor %%edx, %%edx\n"
	                 "	xor %%r10d, %%r10d\n"
	                 "	mov $61, %%eax\n" /* wait4 */
	                 "	syscall\n"
	                 "	mov (%%rsi), %%edi\n"
	                 "	shr $8, %%edi\n"
	                 "	and $255, %%edi\n"
	                 "	mov $231, %%eax\n" /* exit_group */
	                 "	syscall\n"
	                 "1:"
	                 : "+a"(pid)
	                 : "D"((long)(CLONE_VM | CLONE_VFORK | SIGCHLD)), "S"(0L), "d"(0L), [status] "r"(&vforked)
	                 : "rcx", "r11", "r10", "memory");
}

static inline void begin(void (*how)(int, int))
{
	static char stacks[ATTACKERS][65536] __attribute__((aligned(16)));
	const char *who = argument(0);
	pthread_t thread;

	flip = how;
	rounds = atol(argument(1));
	for (int i = 0; i < ATTACKERS; i++) {
		void *which = (void *)(intptr_t)i;
		if (!strcmp(who, "threads") || !strcmp(who, "truncated") || !strcmp(who, "vfork")) {
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
	if (!strcmp(who, "vfork"))
		go_on_in_child();
}

static inline void make_page(void)
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

/* Puts the address BASE/carved/sock on the page and has `carved` changed. */
static inline struct sockaddr_un *flipping_address(void)
{
	make_page();
	struct sockaddr_un *address = (struct sockaddr_un *)page;
	address->sun_family = AF_UNIX;
	int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/", in_base(""));
	changing = address->sun_path + n;
	snprintf(address->sun_path + n, sizeof(address->sun_path) - (size_t)n, "carved/sock");
	begin(flip_name);
	return address;
}

/* Puts BASE/NAME/`leaf` on the page and has NAME changed. */
static inline const char *flipping(const char *leaf)
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

static inline const char *granted_path(const char *leaf)
{
	char *path;

	if (asprintf(&path, "%s/%s/%s", in_base(""), argument(2), leaf) < 0)
		untried("out of memory");
	return path;
}

static inline void look(int fd)
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

#endif
