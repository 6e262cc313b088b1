/*
 * Rewritten calls that something comes between: handlers that leave by a jump, single steps, a sequence that the kernel
 * restarts elsewhere, stacks and buffers that lie in the pad.
 *
 * ARG 0 "standin" is the native half, where the pad is needed: memory of one's own at its address.
 */
#include "standin.h"

#include <sched.h>
#include <sys/random.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

enum { ROUNDS = 800, STEPPED = 20 };

static int in_pad(greg_t at)
{
	return at >= CW_PAD_BASE && at < CW_PAD_END;
}

static uint64_t state = 88172645463325252u;

static unsigned any(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	return (unsigned)((state ^= state << 17) % below);
}

static sigjmp_buf again;
static volatile sig_atomic_t struck, seen_inside;

/* Where the thread is, by its own knowledge, when a signal finds it. */
static void note(const ucontext_t *context)
{
	const greg_t *regs = context->uc_mcontext.gregs;

	struck++;
	seen_inside |= in_pad(regs[REG_RIP]) || in_pad(regs[REG_RSP]) || in_pad(regs[REG_RBX]);
}

static void leave(int sig, siginfo_t *info, void *context)
{
	(void)info;
	note(context);
	siglongjmp(again, sig);
}

static void step(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	note(context);
}

static void handle(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	const struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	need(sigaction(sig, &action, NULL), "sigaction");
}

/* Made beforehand: a handler that jumps must not jump out of malloc. */
static const char *secret_file, *secret_directory, *granted_file, *work, *no_link;

static void find_places(void)
{
	secret_file = in_base("secret/file");
	secret_directory = in_base("secret");
	granted_file = in_base("ro/file");
	work = in_base("work");
	no_link = in_base("work/nothing");
}

/* One call of each kind that capwrap makes in another way, and the secret by each. */
static void call_once(unsigned which)
{
	static int ends[2] = {-1, -1};
	char text[64] = "";
	struct stat st;
	int fd;

	switch (which % 10) {
	case 0:
		fd = open(secret_file, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			judge_read(fd, "secret/file");
		break;
	case 1:
		fd = open("../secret/file", O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			judge_read(fd, "../secret/file");
		break;
	case 2:
		fd = open(granted_file, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && (read(fd, text, sizeof(text)) < 3 || memcmp(text, "ro\n", 3) != 0))
			escaped("another file was opened: %s", text);
		if (fd >= 0)
			close(fd);
		break;
	case 3:
		(void)!mkdir("made", 0700);
		break;
	case 4:
		(void)!rmdir("made");
		break;
	case 5:
		if (!chdir(secret_directory))
			escaped("entered secret");
		(void)!chdir(work);
		break;
	case 6:
		if (!stat(secret_file, &st))
			escaped("stat of secret/file");
		break;
	case 7:
		/* the whole table, but for what is still in use */
		syscall(SYS_close_range, 3, ~0u, 0);
		ends[0] = -1;
		break;
	case 8:
		if (ends[0] < 0 && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends))
			break;
		struct iovec iov = {text, 1};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

		(void)!sendmsg(ends[0], &m, MSG_DONTWAIT);
		(void)!recv(ends[1], text, sizeof(text), MSG_DONTWAIT);
		break;
	default:
		if (readlink(no_link, text, sizeof(text)) >= 0)
			escaped("a link that is not there");
	}
}

static _Noreturn void end(const char *what)
{
	if (!has_argument(0) && seen_inside)
		escaped("%s: a handler saw the inside of a call", what);
	if (!struck)
		untried("%s: nothing struck", what);
	held("none %s: %d times", what, (int)struck);
}

/* A signal at any moment of a call, and the handler does not come back for it. */
static void jump_out(void)
{
	find_places();
	handle(SIGALRM, leave, SA_ONSTACK);
	/* volatile: what a jump finds of it */
	for (volatile unsigned round = 0; round < ROUNDS; round++) {
		const struct itimerval soon = {.it_value.tv_usec = 1 + any(round % 2 ? 60 : 400)}, never = {0};

		if (!sigsetjmp(again, 1)) {
			setitimer(ITIMER_REAL, &soon, NULL);
			call_once(any(10));
			call_once(any(10));
		}
		setitimer(ITIMER_REAL, &never, NULL);
	}
	end("jumps");
}

static void trap_flag(int on)
{
	if (on)
		__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
	else
		__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

/* Every instruction ends in a SIGTRAP: those of the stub, which the program does not know of, as well? */
static void stepping(void)
{
	find_places();
	handle(SIGTRAP, step, 0);
	for (unsigned i = 0; i < STEPPED; i++) {
		trap_flag(1);
		call_once(i);
		trap_flag(0);
	}
	end("steps");
}

/* The same, with handlers that have their stack where the results are, which is the one part that can be written. */
static void stack_in_pad(void)
{
	const stack_t stack = {.ss_sp = (void *)CW_PAD_RESULT, .ss_size = CW_PAD_RESULT_SIZE};

	prepare();
	need(sigaltstack(&stack, NULL), "sigaltstack");
	jump_out();
}

/*
 * A restartable sequence (rseq(2)) that takes in the stub: the kernel sends a thread that it finds there, after it was
 * preempted, to the end of the sequence, with whatever its registers are.
 */
long call_raw(long nr, long a, long b, long c, long d);
extern const char call_aborted[];
uint64_t caught_rdi, caught_rdx, caught_rbx;

__asm__(".text\n"
        "call_raw:\n\tpush %rbx\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tmov %rdx, %rsi\n\tmov %rcx, %rdx\n"
        "\tmov %r8, %r10\n\tsyscall\n\tpop %rbx\n\tret\n"
        "\t.long 0x53053053\n" /* RSEQ_SIG */
        "call_aborted:\n\tmov %rdi, caught_rdi(%rip)\n\tmov %rdx, caught_rdx(%rip)\n\tmov %rbx, caught_rbx(%rip)\n"
        "\tmov $-4096, %rax\n\tpop %rbx\n\tret\n");

static void sequence(void)
{
	static struct rseq_cs section __attribute__((aligned(32)));
	volatile struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	const char *secret = in_base("secret/file"), *granted = in_base("ro/file");

	if (!__rseq_size)
		untried("no rseq");
	section = (struct rseq_cs){
		.start_ip = CW_PAD_STUB, .post_commit_offset = CW_PAD_STUB_SIZE, .abort_ip = (uintptr_t)call_aborted};
	for (int i = 0; i < ROUNDS / 4; i++) {
		area->rseq_cs = (uintptr_t)&section;
		long fd = call_raw(SYS_openat, AT_FDCWD, (long)(i % 2 ? secret : granted), O_RDONLY | O_CLOEXEC, 0);

		if (fd >= 0 && i % 2)
			judge_read((int)fd, "secret/file");
		if (fd >= 0)
			close((int)fd);
		if (fd != -4096)
			continue;
		/* what the call was to be made with serves nobody else */
		struck++;
		const char *const paths[] = {secret, "../secret/file"};

		for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
			fd = syscall(SYS_openat2, caught_rdi, paths[k], caught_rdx, 24);
			if (fd >= 0)
				judge_read((int)fd, "what was caught");
		}
	}
	held("none in %d sequences", (int)struck);
}

/* The kernel, and the supervisor, write answers to where the caller says: into the pad? */
static void answers(void)
{
	char *const at = HOWS;
	int ends[2], zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), dir;
	struct iovec iov = {at, 24};

	if (has_argument(0)) {
		if (mmap(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		         -1, 0) != BASE)
			untried("mmap: %s", strerror(errno));
		memset(BASE, 0xff, CW_PAD_SIZE);
	}
	(void)!getrandom(at, 24, 0);
	(void)!read(zero, at, 24);
	(void)!readv(zero, &iov, 1);
	(void)!pipe((int *)(void *)at);
	(void)!sched_getaffinity(0, 24, (void *)at);
	syscall(SYS_getresuid, at, at + 8, at + 16);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, at, 8);
	syscall(SYS_sigaltstack, NULL, at);
	syscall(SYS_getcwd, at, 24);
	syscall(SYS_stat, ".", at);
	syscall(SYS_newfstatat, AT_FDCWD, ".", at, 0);
	syscall(SYS_statx, AT_FDCWD, ".", 0, 0, at);
	syscall(SYS_statfs, ".", at);
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, at);
	syscall(SYS_getrlimit, RLIMIT_NOFILE, at);
	need(symlink("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a-link"), "symlink");
	syscall(SYS_readlink, "a-link", at, 24);
	unlink("a-link");
	dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	syscall(SYS_getdents64, dir, at, 4096);
	need(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), "socketpair");
	if (send(ends[0], "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, 0) == 24)
		(void)!recv(ends[1], at, 24, 0);
	/* cleared, and woken, when the thread ends */
	pid_t child = need(fork(), "fork");
	if (!child) {
		syscall(SYS_set_tid_address, at);
		_exit(0);
	}
	reap(child);
	judge_pad("an answer");
}

const struct attack attacks[] = {
	{"jump-out", jump_out}, {"stepping", stepping}, {"stack-in-pad", stack_in_pad},
	{"sequence", sequence}, {"answers", answers},   {0},
};
