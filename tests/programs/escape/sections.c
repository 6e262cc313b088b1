/*
 * A restartable sequence (rseq(2)) that covers the stub: the kernel takes a thread out of it that it had put off its CPU, to an
 * address of the thread's choice, and the supervisor does not learn of it. The thread has the registers of a call that was
 * decided, names another file, and goes on in the stub.
 *
 * ARG 0 "standin" is the native half: a `syscall` at the stub's address, in which a thread waits.
 */
#include "standin.h"

#include <stddef.h>
#include <sys/rseq.h>

extern const char after_abort[];

/* Where it goes on: at `resume_at`, with `resume_name` as the path. */
uintptr_t resume_at, resume_name;
long taken_out;

/* The four bytes in front are what the kernel asks of such a place: RSEQ_SIG. */
__asm__(".text\n"
        "	.long 0x53053053\n"
        "after_abort:\n"
        "	incq taken_out(%rip)\n"
        "	mov resume_name(%rip), %rsi\n"
        "	mov resume_at(%rip), %rcx\n"
        "	jmp *%rcx\n");

static struct rseq_cs section;

static void enter_section(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (!__rseq_size)
		untried("no rseq");
	section = (struct rseq_cs){.start_ip = CW_PAD_STUB,
	                           .post_commit_offset = CW_PAD_HOW_RO - CW_PAD_STUB,
	                           .abort_ip = (uintptr_t)after_abort};
	__atomic_store_n((uint64_t *)(void *)(area + offsetof(struct rseq, rseq_cs)), (uintptr_t)&section,
	                 __ATOMIC_SEQ_CST);
}

static _Noreturn void natively(void)
{
	static const unsigned char code[] = {0x0f, 0x05, 0xc3}; /* syscall; ret */
	const struct timespec pause = {.tv_nsec = 1000000};
	long result;

	prepare();
	if (mmap((void *)CW_PAD_STUB, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	         -1, 0) == MAP_FAILED)
		untried("mmap: %s", strerror(errno));
	memcpy((void *)CW_PAD_STUB, code, sizeof(code));
	resume_at = CW_PAD_STUB + 2;
	enter_section();
	__asm__ volatile("call *%[at]"
	                 : "=a"(result)
	                 : [at] "r"((uintptr_t)CW_PAD_STUB), "a"(SYS_nanosleep), "D"(&pause), "S"(NULL)
	                 : "rcx", "r11", "memory");
	if (taken_out)
		escaped("a thread was taken out of the stub's address");
	held("nobody was taken out");
}

/* 3: it was taken out, and nothing came of it; whoever goes on in the code that maps the pad ends with 126. */
static _Noreturn void try(uintptr_t at, const char *name)
{
	char text[64];

	resume_at = at;
	resume_name = (uintptr_t)name;
	enter_section();
	int fd = open(in_base("work/file"), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n > 0 && (n != 5 || memcmp(text, "work\n", 5)))
		escaped("at %lx: %.*s", (long)at, (int)n, text);
	_exit(taken_out ? 3 : 4);
}

static void rewritten(void)
{
	const char *const ways[] = {in_base("secret/file"), "../secret/file", "secret/file"};
	const unsigned char *stub = (const unsigned char *)CW_PAD_STUB;
	int out = 0;

	if (has_argument(0))
		natively();
	for (size_t i = 0; i < CW_PAD_HOW_RO - CW_PAD_STUB - 1; i++)
		for (size_t way = 0; stub[i] == 0x0f && stub[i + 1] == 0x05 && way < ARRAY_SIZE(ways); way++) {
			pid_t child = need(fork(), "fork");
			if (!child)
				try(CW_PAD_STUB + i, ways[way]);
			int status = reap(child);
			if (WIFEXITED(status) && !WEXITSTATUS(status))
				_exit(0);
			out += WIFEXITED(status) && WEXITSTATUS(status) == 3;
		}
	if (!out)
		untried("nobody was taken out");
	held("nothing of %d times", out);
}

const struct attack attacks[] = {
	{"rewritten", rewritten},
	{0},
};
