/* Processes, threads and programs, made in every way there is, and what may go on in them. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "rewriters/pad.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif

#define STACK ((size_t)128 << 10)

/* What a new thread or process finds on its stack. */
struct start {
	struct me me;
	int (*body)(struct me *);
};

__attribute__((noreturn, used)) static void begin(struct start *s)
{
	int status = s->body(&s->me);

	for (;;)
		RAW(SYS_exit, status);
}

/* clone(2) with a stack of its own, whatever else is shared. Of a stack nothing is freed: a process of its own ends. */
int64_t spawn(struct me *m, uint64_t flags, int (*body)(struct me *), bool wait)
{
	char *stack = (char *)RAW(SYS_mmap, 0, STACK, PROT_READ | PROT_WRITE,
	                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct start *s;
	int64_t pid;

	if ((uint64_t)stack > (uint64_t)-4096)
		return -ENOMEM;
	s = (struct start *)(stack + STACK - ((sizeof(*s) + 63) & ~(size_t)63));
	s->me = *m;
	s->me.random = rnd(m) | 1;
	s->me.depth++;
	s->me.made = 0;
	s->me.tame = false;
	s->body = body;
	register uint64_t r10 __asm__("r10") = 0;
	register uint64_t r8 __asm__("r8") = 0;

	__asm__ volatile("syscall\n\t"
	                 "test %%rax, %%rax\n\t"
	                 "jnz 1f\n\t"
	                 "mov %%rsp, %%rdi\n\t"
	                 "xor %%ebp, %%ebp\n\t"
	                 "and $-16, %%rsp\n\t"
	                 "call begin\n\t"
	                 "hlt\n"
	                 "1:"
	                 : "=a"(pid)
	                 : "0"((uint64_t)SYS_clone), "D"(flags), "S"(s), "d"((uint64_t)0), "r"(r10), "r"(r8)
	                 : "rcx", "r11", "memory");
	if (pid > 0 && wait) {
		int64_t err;
		int status;

		do
			err = RAW(SYS_wait4, pid, &status, __WALL, 0);
		while (err == -EINTR && !over());
	}
	if (pid < 0 || !(flags & CLONE_VM) || wait)
		RAW(SYS_munmap, stack, STACK);
	return pid;
}

static int a_few_calls(struct me *m)
{
	random_calls(m, 4 + below(m, 40));
	return (int)below(m, 256);
}

static int flip_for_a_while(struct me *m)
{
	for (unsigned i = 0; i < 2000 && !over(); i++) {
		flip_paths(m);
		if (one_in(m, 16))
			RAW(SYS_dup2, below(m, 40), below(m, 40));
	}
	return 0;
}

/* --- programs --- */

static void exec_something(struct me *m)
{
	static const char *const programs[] = {
		"inside/prog", "inside/script",      "inside/script_secret", "inside/script_none", "readon/prog",
		"execut/prog", "execut/script",      "secret/prog",          "inside/to_prog",     "inside/script2",
		"inside/file", "carved/secret/prog", "inside/deep_script",   "names/granted"};
	char *path = arena_room(m, 512), *number = arena_room(m, 32), *end = arena_room(m, 32);
	uint64_t argv[8] = {(uint64_t)path, (uint64_t) "leaf", (uint64_t)number, (uint64_t)world->base, (uint64_t)end};
	uint64_t *at = (uint64_t *)arena_room(m, sizeof(argv));

	snprintf(path, 512, "%s/%s", world->base, PICK(m, programs));
	if (one_in(m, 2))
		snprintf(path, 512, "%s", world->program);
	else if (one_in(m, 4))
		path = new_path(m);
	snprintf(number, 32, "%llu", (unsigned long long)rnd(m));
	snprintf(end, 32, "%llu", (unsigned long long)world->end_ns);
	memcpy(at, argv, sizeof(argv));
	if (one_in(m, 3))
		RAW(SYS_execveat, one_in(m, 2) ? (int)below(m, 40) : AT_FDCWD, path, one_in(m, 8) ? 0 : at, 0,
		    one_in(m, 2) ? AT_EMPTY_PATH : 0);
	else
		RAW(SYS_execve, path, one_in(m, 8) ? 0 : at, 0);
}

static int calls_then_exec(struct me *m)
{
	random_calls(m, below(m, 8));
	exec_something(m);
	random_calls(m, 4);
	return 1;
}

/* --- filters of its own --- */

static void own_filter(struct me *m)
{
	static const uint32_t verdicts[] = {
		SECCOMP_RET_ALLOW,      SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_TRACE | 7,    SECCOMP_RET_TRAP,
		SECCOMP_RET_USER_NOTIF, SECCOMP_RET_KILL_THREAD,   SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG};
	static const uint32_t numbers[] = {SYS_openat2, SYS_openat, SYS_execve, CW_NR_DELIVER,
	                                   CW_NR_RETRY, CW_NR_DONE, SYS_getpid, SYS_stat};
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PICK(m, numbers), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, PICK(m, verdicts)),
		BPF_STMT(BPF_RET | BPF_K, one_in(m, 8) ? PICK(m, verdicts) : SECCOMP_RET_ALLOW),
	};
	struct sock_fprog f = {4, program};
	/* NEW_LISTENER, TSYNC, and the rest */
	uint64_t flags = one_in(m, 2) ? 0 : one_in(m, 2) ? 8 : below(m, 64);

	m->filtered = true;
	if (one_in(m, 2))
		RAW(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &f);
	else
		RAW(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f);
}

static int filtered_calls(struct me *m)
{
	own_filter(m);
	random_calls(m, 20);
	return 0;
}

/* --- the stub, entered anywhere with anything in the registers --- */

static int into_the_stub(struct me *m)
{
	uint64_t frame[24], at = CW_PAD_STUB + below(m, one_in(m, 2) ? 512 : CW_PAD_STUB_SIZE);
	static const int numbers[] = {
		SYS_openat,  SYS_openat2,           SYS_open,    SYS_execve, SYS_fchdir, SYS_socket,
		SYS_mmap,    CW_NR_DELIVER,         CW_NR_RETRY, CW_NR_DONE, SYS_munmap, SYS_unlink,
		SYS_connect, SYS_inotify_add_watch, SYS_sendmmsg};
	struct call c = {0};

	do
		c.row = &PICK(m, rows);
	while (one_in(m, 2) && c.row->kind == KIND_PASS);
	for (int i = 0; i < c.row->count; i++)
		c.arg[i] = value(m, &c, i);
	for (int i = 0; i < 24; i++)
		frame[i] = one_in(m, 3) ? (uint64_t)c.row->nr : one_in(m, 2) ? c.arg[i % 6] : rnd(m);
	uint64_t rbx = one_in(m, 2) ? (uint64_t)frame : CW_PAD_SLOT + 1024u * below(m, 64);
	uint64_t rax = one_in(m, 2) ? (uint64_t)c.row->nr : (uint64_t)PICK(m, numbers);
	register uint64_t r10 __asm__("r10") = c.arg[3];
	register uint64_t r8 __asm__("r8") = c.arg[4];
	register uint64_t r9 __asm__("r9") = c.arg[5];

	__asm__ volatile("mov %[rbx], %%rbx\n\t"
	                 "call *%%rcx\n\t"
	                 : "+a"(rax)
	                 : "c"(at), [rbx] "r"(rbx), "D"(c.arg[0]), "S"(c.arg[1]), "d"(c.arg[2]), "r"(r10), "r"(r8),
	                   "r"(r9)
	                 : "rbx", "r11", "memory", "cc");
	c.result = (int64_t)rax;
	look_at_result(m, &c);
	return 0;
}

/* --- capability form, as near as it can be got by hand --- */

static void by_hand(struct me *m)
{
	uint64_t how = (one_in(m, 2) ? CW_PAD_HOW_RO : CW_PAD_HOW_RW) + CW_PAD_HOW_STRIDE * (uint64_t)below(m, 16);
	int64_t fd;

	if (one_in(m, 6))
		how += below(m, 32);
	fd = RAW(SYS_openat2, world->fd_limit + (int)below(m, 210), new_path(m), how, one_in(m, 8) ? below(m, 64) : 24);
	if (fd >= 0) {
		look_at_fd(m, (int)fd);
		if (one_in(m, 2))
			RAW(SYS_close, fd);
	}
	__atomic_fetch_add(&world->results[fd < 0], 1, __ATOMIC_RELAXED);
}

static void nothing(int sig)
{
	(void)sig;
}

void interrupt(struct me *m, unsigned us)
{
	struct sigaction sa = {.sa_handler = nothing, .sa_flags = one_in(m, 4) ? SA_RESTART : 0};
	struct itimerval every = {{0, us}, {0, us}};

	sigaction(SIGALRM, &sa, NULL);
	RAW(SYS_setitimer, ITIMER_REAL, &every, 0);
}

void special(struct me *m)
{
	static const uint64_t shared[] = {CLONE_FILES,  CLONE_FS,       CLONE_SYSVSEM, CLONE_IO,    CLONE_PARENT,
	                                  CLONE_PTRACE, CLONE_UNTRACED, CLONE_NEWUSER, CLONE_NEWNS, CLONE_CLEAR_SIGHAND,
	                                  CLONE_PIDFD};
	uint64_t flags = 0;

	if (m->depth > 2)
		return by_hand(m);
	switch (below(m, 14)) {
	case 0:
		spawn(m, SIGCHLD, a_few_calls, one_in(m, 2));
		break;
	case 1:
		spawn(m, CLONE_VFORK | CLONE_VM | SIGCHLD, one_in(m, 2) ? calls_then_exec : a_few_calls, true);
		break;
	case 2:
		spawn(m, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		      one_in(m, 2) ? flip_for_a_while : a_few_calls, false);
		break;
	case 3:
		spawn(m, CLONE_VM | SIGCHLD, one_in(m, 2) ? flip_for_a_while : a_few_calls, false);
		break;
	case 4:
		for (unsigned n = below(m, 4); n; n--)
			flags |= PICK(m, shared);
		spawn(m, flags | below(m, 65) | (one_in(m, 3) ? CLONE_VM : 0), a_few_calls, false);
		break;
	case 5:
		spawn(m, SIGCHLD, calls_then_exec, one_in(m, 2));
		break;
	case 6:
		/* an exec by one of several threads, which ends the others */
		if (m->depth)
			spawn(m, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
			      calls_then_exec, false);
		break;
	case 7:
		spawn(m, SIGCHLD, filtered_calls, true);
		break;
	case 8:
		spawn(m, SIGCHLD, into_the_stub, true);
		break;
	case 9:
		interrupt(m, one_in(m, 2) ? 3000 : 50 + below(m, 500));
		break;
	case 10:
		look_at_pad(m);
		break;
	case 11: {
		int status;

		while (RAW(SYS_wait4, -1, &status, WNOHANG | __WALL, 0) > 0)
			;
		break;
	}
	default:
		by_hand(m);
		break;
	}
}
