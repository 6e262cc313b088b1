/*
 * The stub as a place to make calls from, with what stands in the slots for a path: the names there were decided for
 * another call, or for another thread. The calls have to be decided like all others.
 *
 * ARG 0 "standin" is the native half: a `syscall` at the stub's address, and a slot that holds the name.
 */
#include "standin.h"

#include <ucontext.h>

#define STEPS 24

/* What a jump let see: where the thread was, and what two registers held, at each signal. */
struct seen {
	int n;
	struct step {
		long at, rax, rdi;
	} steps[STEPS];
};

static struct seen *seen;

static void look(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	seen->steps[seen->n++] = (struct step){regs[REG_RIP], regs[REG_RAX], regs[REG_RDI]};
	if (sig != SIGTRAP || seen->n == STEPS)
		_exit(0);
}

static const char *find_in_slots(const char *text)
{
	for (uintptr_t slot = CW_PAD_SLOT; slot < CW_PAD_SLOT_END; slot += CW_PAD_SLOT_STRIDE)
		if (!strcmp((const char *)slot + CW_PAD_SLOT_DATA, text))
			return (const char *)slot + CW_PAD_SLOT_DATA;
	return NULL;
}

/*
 * Has the path put into a slot, where it starts as one that was decided would: a path beneath a grant that is longer than
 * a slot runs over into the next, and there it may say anything, a path of the whole machine too.
 */
static const char *into_slot(const char *path)
{
	static char text[CW_PAD_SLOT_STRIDE + 512];

	if (has_argument(0)) {
		strcpy((char *)CW_PAD_SLOT + CW_PAD_SLOT_DATA, path);
	} else {
		memset(text, 'x', CW_PAD_SLOT_STRIDE);
		for (size_t i = 1; i < CW_PAD_SLOT_STRIDE; i += 2)
			text[i] = '/';
		text[CW_PAD_SLOT_STRIDE - 1] = 'x';
		snprintf(text + CW_PAD_SLOT_STRIDE, sizeof(text) - CW_PAD_SLOT_STRIDE, "%s", path);
		close(open(text, O_RDONLY | O_CLOEXEC));
	}
	const char *found = find_in_slots(path);

	if (!found)
		held("ENOENT no slot holds the path");
	return found;
}

static _Noreturn void jump(const char *to, const char *path, int stepping)
{
	static char *const argv[] = {(char *)"x", NULL}, *const envp[] = {NULL};
	static char stack[65536];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static const int signals[] = {SIGTRAP, SIGILL, SIGSEGV, SIGBUS, SIGSYS};

	sigaltstack(&other, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	alarm(5);
	/* With the trap flag every instruction ends in a SIGTRAP. */
	__asm__ volatile("pushfq\n\torq %[flags], (%%rsp)\n\tpopfq\n\tjmp *%[to]"
	                 :
	                 : [flags] "r"(stepping ? 0x100ul : 0ul), [to] "b"(to), "a"((long)SYS_execve), "D"(path),
	                   "S"(argv), "d"(envp)
	                 : "memory", "cc");
	_exit(3);
}

/* All that a jump to `to` lets see. */
static struct seen attempt(const char *to, const char *target, int stepping)
{
	const char *path = into_slot(target);

	memset(seen, 0, sizeof(*seen));
	pid_t child = need(fork(), "fork");
	if (!child)
		jump(to, path, stepping);
	reap(child);
	return *seen;
}

static void exec_tells(void)
{
	seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (has_argument(0)) {
		char *p = mmap(BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p != BASE)
			untried("mmap: %s", strerror(errno));
		memcpy(p, "\x0f\x05\x0f\x0b", 4); /* syscall; ud2 */
	}
	for (const char *to = BASE; to < BASE + CW_PAD_STUB_SIZE - 1; to++)
		for (int stepping = 0; stepping < 2 && to[0] == 0x0f && to[1] == 0x05; stepping++) {
			struct seen there = attempt(to, in_base("secret/file"), stepping);
			struct seen absent = attempt(to, in_base("secret/absent"), stepping);

			if (memcmp(&there, &absent, sizeof(there)))
				escaped("an execve from %p tells whether a name exists", (const void *)to);
		}
	held("ENOENT an execve from nowhere tells");
}

const struct attack attacks[] = {
	{"exec-tells", exec_tells},
	{0},
};
