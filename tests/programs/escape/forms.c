/*
 * Calls in capability form that say something else than the rewriter meant: hows at odd addresses, of odd sizes,
 * a stub entered at any of its bytes, and the numbers that only the stub has a use for.
 *
 * ARG 0 "standin" is the native half: descriptor 900 and two hows, packed back to back at the pad's address.
 */
#include "attack.h"
#include "../../../rewriters/pad.h"

#include <sys/time.h>
#include <ucontext.h>

#define STANDIN 900

static int standing_in(void)
{
	return has_argument(0) && !strcmp(argument(0), "standin");
}

static void prepare(void)
{
	if (!standing_in())
		return;
	int dir = need(open(in_base("work"), O_PATH | O_DIRECTORY), "open work");
	need(dup2(dir, STANDIN), "dup2");
	close(dir);
	char *p = mmap((void *)CW_PAD_BASE, CW_PAD_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == MAP_FAILED)
		untried("mmap: %s", strerror(errno));
	memset(p, 0xff, CW_PAD_SLOT - CW_PAD_BASE);
	static const struct how packed[2] = {{.flags = O_CLOEXEC, .resolve = 0xa}, {.resolve = 0xa}};
	memcpy((void *)CW_PAD_HOW_RO, packed, sizeof(packed));
	memcpy((void *)CW_PAD_HOW_RW, packed, sizeof(packed));
	memcpy((void *)CW_PAD_STUB, "\x0f\x05\xc3", 3); /* syscall; ret */
}

/* The numbers that may be capabilities: those at which there is something, and else the top of the table. */
static int candidates(int *fds, int room)
{
	struct rlimit limit;
	struct stat st;
	int n = 0;

	need(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	for (int fd = 3; fd < (int)limit.rlim_cur + 1024 && n < room; fd++)
		if (!fstat(fd, &st) || fcntl(fd, F_GETFD) >= 0)
			fds[n++] = fd;
	for (int fd = (int)limit.rlim_cur - 16; !n && fd < (int)limit.rlim_cur + 48 && n < room; fd++)
		fds[n++] = fd;
	return n;
}

static const char *deep(void)
{
	char *path;

	if (asprintf(&path, "../../../../../../../../../../../..%s", in_base("secret/file")) < 0)
		untried("out of memory");
	return path;
}

static void try_how(int fd, uintptr_t how, size_t size)
{
	const char *const paths[] = {in_base("secret/file"), "../secret/file", deep()};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		long file = syscall(SYS_openat2, fd, paths[i], how, size);
		char text[128] = "";
		if (file < 0)
			continue;
		if (read((int)file, text, sizeof(text) - 1) <= 0)
			text[0] = 0;
		escaped("openat2(%d, %s, %#lx, %zu): %s", fd, paths[i], (unsigned long)how, size, text);
	}
}

static void every_offset(uintptr_t region, uintptr_t end)
{
	int fds[32], n;

	prepare();
	n = candidates(fds, ARRAY_SIZE(fds));
	/* The first slots with every capability, all slots with the first and the last of them. */
	for (int i = 0; i < n; i++) {
		uintptr_t to = i && i < n - 1 ? region + 8 * CW_PAD_HOW_STRIDE : region + 40 * CW_PAD_HOW_STRIDE;
		for (uintptr_t how = region - 32; how < to; how++)
			try_how(fds[i], how, 24);
	}
	for (uintptr_t how = end - 64; how < end + 32; how++)
		try_how(fds[0], how, 24);
	held("EPERM at no offset of %#lx", (unsigned long)region);
}

static void read_only_offsets(void)
{
	every_offset(CW_PAD_HOW_RO, CW_PAD_HOW_RO_END);
}

static void writable_offsets(void)
{
	every_offset(CW_PAD_HOW_RW, CW_PAD_HOW_RW_END);
}

/* What lies elsewhere in the pad, read as a how: code, strings, addresses, threads' slots, results. */
static void other_regions(void)
{
	static const uintptr_t starts[] = {CW_PAD_STUB,     CW_PAD_FDPATH, CW_PAD_IN4,     CW_PAD_IN6,   CW_PAD_MSGHDR,
	                                   CW_PAD_ABSTRACT, CW_PAD_SLOT,   CW_PAD_CONTROL, CW_PAD_RESULT};
	int fds[32], n;

	prepare();
	if (standing_in())
		memset((void *)CW_PAD_SLOT, 0, 64);
	/* The result slots are the target's to write. */
	else
		memset((void *)CW_PAD_RESULT, 0, 64);
	n = candidates(fds, ARRAY_SIZE(fds));
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(starts); k++)
			for (uintptr_t how = starts[k]; how < starts[k] + 64; how += 8)
				try_how(fds[i], how, 24);
	held("EPERM from no other region");
}

static void odd_sizes(void)
{
	static const size_t sizes[] = {0, 8, 16, 23, 25, 32, 40, 64, 4096, 0x100000018, 0x8000000000000018};
	int fds[32], n;

	prepare();
	if (standing_in())
		memset((void *)CW_PAD_HOW_RO, 0, 4096);
	n = candidates(fds, ARRAY_SIZE(fds));
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
			for (int slot = 0; slot < 8; slot++) {
				try_how(fds[i], CW_PAD_HOW_RO + (uintptr_t)slot * CW_PAD_HOW_STRIDE, sizes[k]);
				try_how(fds[i], CW_PAD_HOW_RW + (uintptr_t)slot * CW_PAD_HOW_STRIDE, sizes[k]);
			}
	held("EPERM with no size");
}

/* A pointer whose lower half is a slot's, and whose upper half is not. */
static void upper_half_pointer(void)
{
	const struct how zero = {0};
	int fds[32], n;

	prepare();
	void *p = mmap((void *)(0x100000000ul + CW_PAD_HOW_RO), 4096, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != (void *)(0x100000000ul + CW_PAD_HOW_RO)) {
		/* A fixed address may be refused altogether: look for one where the kernel puts things. */
		held("EPERM mmap at the pointer's like");
	}
	memcpy(p, &zero, sizeof(zero));
	n = candidates(fds, ARRAY_SIZE(fds));
	for (int i = 0; i < n; i++)
		try_how(fds[i], (uintptr_t)p, 24);
	held("EPERM with no such pointer");
}

/* A descriptor outside the capabilities, of a directory outside the grants (0), with the pad's own hows. */
static void own_descriptor(void)
{
	prepare();
	for (uintptr_t how = CW_PAD_HOW_RO; how < CW_PAD_HOW_RO + 64 * CW_PAD_HOW_STRIDE; how += CW_PAD_HOW_STRIDE) {
		int fd = (int)syscall(SYS_openat2, 0, "file", how, 24);
		if (fd >= 0)
			judge_read(fd, "openat2(0)");
		fd = (int)syscall(SYS_openat2, 0x100000000ul, "file", how, 24);
		if (fd >= 0)
			judge_read(fd, "openat2(0x100000000)");
	}
	for (uintptr_t how = CW_PAD_HOW_RW; how < CW_PAD_HOW_RW + 64 * CW_PAD_HOW_STRIDE; how += CW_PAD_HOW_STRIDE) {
		int fd = (int)syscall(SYS_openat2, 0, "file", how, 24);
		if (fd >= 0)
			judge_read(fd, "openat2(0)");
	}
	held("ENOENT with no how");
}

static uint64_t state = 88172645463325252u;

static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static _Noreturn void jump(uintptr_t to, long nr, const uint64_t *regs, const char *path)
{
	register uint64_t r10 __asm__("r10") = regs[0];
	register uint64_t r8 __asm__("r8") = regs[1];
	register uint64_t r9 __asm__("r9") = regs[2];
	register uint64_t r12 __asm__("r12") = regs[3];
	register uint64_t r13 __asm__("r13") = regs[4];
	register uint64_t r14 __asm__("r14") = regs[5];
	register uint64_t r15 __asm__("r15") = regs[6];

	__asm__ volatile("call *%[to]"
	                 :
	                 : "a"(nr), "D"((long)AT_FDCWD), "S"(path), "d"(0l), [to] "b"(to), "r"(r10), "r"(r8), "r"(r9),
	                   "r"(r12), "r"(r13), "r"(r14), "r"(r15)
	                 : "rcx", "r11", "memory");
	_exit(3);
}

/* The registers that a signal handler leaves in its frame for sigreturn. */
static greg_t forged[NGREG];

static void forge(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	for (int i = REG_R8; i <= REG_RIP; i++)
		if (i != REG_RSP)
			regs[i] = forged[i];
}

static _Noreturn void return_to(uintptr_t to, long nr, const uint64_t *regs, const char *path)
{
	static const int chosen[] = {REG_R10, REG_R8, REG_R9, REG_R12, REG_R13, REG_R14, REG_R15};
	const struct sigaction sa = {.sa_sigaction = forge, .sa_flags = SA_SIGINFO};

	for (size_t i = 0; i < ARRAY_SIZE(chosen); i++)
		forged[chosen[i]] = (greg_t)regs[i];
	forged[REG_RBX] = forged[REG_RBP] = (greg_t)regs[0];
	forged[REG_RDI] = AT_FDCWD;
	forged[REG_RSI] = (greg_t)(uintptr_t)path;
	forged[REG_RAX] = nr;
	forged[REG_RIP] = (greg_t)to;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	_exit(3);
}

/*
 * Whoever jumps into the stub has its calls judged like any other: what they try to do here is to remove the secret.
 * The test looks for it afterwards; this program cannot.
 */
static void enter(void (*by)(uintptr_t to, long nr, const uint64_t *regs, const char *path))
{
	static uint64_t memory[512];
	const char *path = in_base("secret/file");
	const uint64_t likely[] = {0,
	                           (uintptr_t)memory,
	                           CW_PAD_SLOT,
	                           CW_PAD_RESULT,
	                           CW_PAD_SLOT + CW_PAD_SLOT_DATA,
	                           (uintptr_t)path,
	                           (uint64_t)AT_FDCWD,
	                           1};
	const long numbers[] = {SYS_unlinkat, CW_NR_RETRY, CW_NR_DONE, CW_NR_DELIVER};
	static const char nothing[16];
	uintptr_t end = CW_PAD_STUB + (standing_in() ? 16 : CW_PAD_STUB_SIZE - sizeof(nothing));

	prepare();
	for (uintptr_t to = CW_PAD_STUB; to < end; to++) {
		uint64_t regs[7];

		if (!memcmp((const void *)to, nothing, sizeof(nothing)))
			continue; /* between the parts of it */

		for (size_t i = 0; i < ARRAY_SIZE(memory); i++)
			memory[i] = likely[any() % ARRAY_SIZE(likely)];
		for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
			regs[i] = likely[any() % ARRAY_SIZE(likely)];
		pid_t child = need(fork(), "fork");
		if (!child) {
			/* It may come to loop there. */
			const struct rlimit second = {.rlim_cur = 1, .rlim_max = 1};
			const struct itimerval soon = {.it_value = {.tv_usec = 300000}};
			setrlimit(RLIMIT_CPU, &second);
			setitimer(ITIMER_REAL, &soon, NULL);
			by(to, to % 3 ? SYS_unlinkat : numbers[any() % ARRAY_SIZE(numbers)], regs, path);
		}
		reap(child);
	}
	if (standing_in() && access(path, F_OK))
		escaped("a jump removed it");
	held("EPERM by no jump");
}

static void enter_stub(void)
{
	enter(jump);
}

static void return_to_stub(void)
{
	enter(return_to);
}

/* The stub's private numbers, from a caller who has no plan pending. */
static void private_numbers(void)
{
	static char memory[256];
	const long likely[] = {0, 1, -1, AT_FDCWD, (long)(uintptr_t)memory, CW_PAD_SLOT, CW_PAD_RESULT, CW_PAD_HOW_RO};

	prepare();
	const long numbers[] = {CW_NR_DELIVER, CW_NR_RETRY, CW_NR_DONE, 0x3ff0, 337, 423};

	for (size_t n = 0; n < ARRAY_SIZE(numbers); n++)
		for (int round = 0; round < 64; round++) {
			long a[6];

			const long nr = numbers[n];

			for (size_t i = 0; i < ARRAY_SIZE(a); i++)
				a[i] = likely[any() % ARRAY_SIZE(likely)];
			long result = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
			if (result >= 0)
				escaped("number %#lx gave %ld", nr, result);
			if (errno != ENOSYS)
				escaped("number %#lx gave %s", nr, strerror(errno));
			result = syscall(nr | (3l << 32), a[0], a[1], a[2], a[3], a[4], a[5]);
			if (result >= 0)
				escaped("number %#lx with an upper half gave %ld", nr, result);
		}
	errno = ENOSYS;
	refused("each of them");
}

const struct attack attacks[] = {
	{"read-only-offsets", read_only_offsets},
	{"writable-offsets", writable_offsets},
	{"other-regions", other_regions},
	{"odd-sizes", odd_sizes},
	{"upper-half-pointer", upper_half_pointer},
	{"own-descriptor", own_descriptor},
	{"enter-stub", enter_stub},
	{"return-to-stub", return_to_stub},
	{"private-numbers", private_numbers},
	{0},
};
